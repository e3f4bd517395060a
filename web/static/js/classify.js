// The answer said aloud, and sent for from the keyboard.
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

  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target !== result) return;
    const verdict = result.querySelector("[data-announce]");
    announced.textContent = verdict ? verdict.dataset.announce : "";
    result.parentElement.scrollIntoView({ block: "nearest" });
  });
})();
