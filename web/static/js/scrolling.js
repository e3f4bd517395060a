// A table larger than its place can be scrolled by keyboard too: not every browser lets the focus go there by itself.
"use strict";

(() => {
  const added = new WeakMap(); // place to the names of what was added here; what the page came with stays
  const sizes = new ResizeObserver((entries) => entries.forEach(({ target }) => look(target.closest(".scroll"))));

  function look(place) {
    if (!place) return;
    // Heights are rounded: a pixel is nothing to scroll by.
    const scrolls = place.scrollWidth > place.clientWidth || place.scrollHeight > place.clientHeight + 1;
    const names = added.get(place) || [];
    if (scrolls && !added.has(place)) {
      const title = place.closest("section, form, main").querySelector("h1, h2, h3, legend")?.textContent || document.title;
      for (const [name, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", title]]) {
        if (place.hasAttribute(name)) continue;
        place.setAttribute(name, value);
        names.push(name);
      }
      added.set(place, names);
    } else if (!scrolls) {
      for (const name of names) place.removeAttribute(name);
      added.delete(place);
    }
  }

  function watch() {
    for (const place of document.querySelectorAll(".scroll")) {
      look(place);
      sizes.observe(place);
      for (const content of place.children) sizes.observe(content);
    }
  }

  // Parts of a page are replaced while it is open; what is watched already stays so.
  new MutationObserver(watch).observe(document.getElementById("main"), { childList: true, subtree: true });
  watch();
})();
