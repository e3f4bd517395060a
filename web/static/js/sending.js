// What every page has around what it sends: asking before what was entered is lost, buttons that wait, and what htmx was refused.
"use strict";

(() => {
  // <form data-confirm-unsent="…">: leads away from the page, and what was entered in its other forms would be lost.
  // <form data-sends-itself>: keeps each thing as it is entered.
  const unsent = new Set();
  for (const name of ["input", "change"]) {
    document.addEventListener(name, (event) => {
      const { form } = event.target;
      if (form && form.method === "post" && !("sendsItself" in form.dataset)) unsent.add(form);
    });
  }
  document.addEventListener("submit", (event) => {
    const question = event.target.dataset.confirmUnsent;
    const entered = [...unsent].some((form) => form.isConnected);
    if (question && entered && !window.confirm(question)) event.preventDefault();
  });
  document.addEventListener("reset", (event) => unsent.delete(event.target));

  // <button data-busy>: does nothing while its request runs, or that of its form. Disabled, it would lose the focus.
  function busy(elt, running) {
    const button = elt.matches("button[data-busy]") ? elt : elt.querySelector("button[data-busy]");
    if (!button) return;
    if (running) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-busy]");
    if (!button || button.getAttribute("aria-disabled") !== "true") return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  document.addEventListener("htmx:beforeRequest", (event) => busy(event.detail.elt, true));
  document.addEventListener("htmx:afterRequest", (event) => busy(event.detail.elt, false));

  // htmx leaves out answers that are refusals. Ours are parts of the page and say where they go; for any other, such as a
  // proxy's page, there are words. Elements that show failures themselves have data-own-failures.
  const refusal = document.getElementById("refusal");
  let refused = null; // what asked in vain

  function showsItself(event) {
    return event.detail.requestConfig.elt.hasAttribute("data-own-failures");
  }

  function unreachable(event) {
    if (showsItself(event)) return;
    const problem = document.createElement("div");
    problem.className = "problem";
    problem.setAttribute("role", "alert");
    problem.textContent = refusal.dataset.unreachable;
    refusal.replaceChildren(problem);
    refused = event.detail.requestConfig.elt;
  }

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target, requestConfig } = event.detail;
    if (xhr.status < 400 || xhr.getResponseHeader("X-Problem") === null || showsItself(event)) return;
    event.detail.shouldSwap = true;
    event.detail.isError = false;
    if (target === refusal) refused = requestConfig.elt;
  });
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) document.addEventListener(name, unreachable);

  // It stands until the same is tried again.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (refused === null || (refused !== event.detail.elt && refused.isConnected)) return;
    refused = null;
    refusal.replaceChildren();
  });
})();
