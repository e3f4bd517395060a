// A table larger than its place can be scrolled by keyboard too: not every browser lets the focus go there by itself.
"use strict";

(() => {
  const widths = new ResizeObserver((entries) => entries.forEach(({ target }) => look(target.closest(".scroll"))));

  function look(place) {
    if (!place || place.matches("[role=region]")) return; // such a place says itself what it is
    if (place.scrollWidth > place.clientWidth || place.scrollHeight > place.clientHeight) {
      place.tabIndex = 0;
      place.setAttribute("role", "group");
      place.setAttribute("aria-label", place.closest("section, form, main").querySelector("h1, h2, h3, legend")?.textContent || document.title);
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) place.removeAttribute(name);
    }
  }

  function watch() {
    for (const place of document.querySelectorAll(".scroll:not([role=region])")) {
      look(place);
      widths.observe(place);
      for (const content of place.children) widths.observe(content);
    }
  }

  // Parts of a page are replaced while it is open; what is watched already stays so.
  new MutationObserver(watch).observe(document.getElementById("main"), { childList: true, subtree: true });
  watch();
})();
