// The answer in place of the last one: failures too, said aloud, and sent from the keyboard.
"use strict";

(() => {
  const form = document.getElementById("classify");
  const result = document.getElementById("result");
  const announced = document.getElementById("announced");

  for (const hint of form.querySelectorAll(".keys")) hint.hidden = false;

  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit(form.querySelector("button.primary"));
    }
  });

  // htmx leaves answers out that are errors; ours say what to do.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target === result && event.detail.xhr.getResponseHeader("Content-Type")?.startsWith("text/html")) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
      // A whole page, as where the session has ended, does not go into this one: ask for it as a browser does.
      if (/^\s*<!doctype/i.test(event.detail.serverResponse)) {
        event.detail.shouldSwap = false;
        HTMLFormElement.prototype.submit.call(form);
      }
    }
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== result) return;
    const verdict = result.querySelector("[data-announce]");
    announced.textContent = verdict ? verdict.dataset.announce : "";
    result.parentElement.scrollIntoView({ block: "nearest" });
  });

  document.body.addEventListener("htmx:sendError", () => {
    const problem = document.createElement("div");
    problem.className = "problem";
    problem.setAttribute("role", "alert");
    problem.textContent = result.dataset.unreachable;
    result.replaceChildren(problem);
  });
})();
