// Keeps a job's page fresh: asks often while the bar moves, less often while it does not or nobody answers, and not at all
// while the page is hidden or the job stands still. htmx does the asking and the swapping.
"use strict";

(() => {
  const FASTEST_MS = 1000;
  const SLOWEST_MS = 15000;
  const AWAY_MS = 15000;
  const progress = document.getElementById("progress");
  const findings = document.getElementById("findings");
  const said = document.getElementById("said");
  const away = document.getElementById("away");
  const opened = new Map();
  let waitMs = FASTEST_MS;
  let timer = 0;
  let asking = false;
  let still = false;
  let last = null;
  let drawn = live().dataset.drawn;
  let step = live().dataset.step;

  function live() {
    return document.getElementById("live");
  }

  function later() {
    clearTimeout(timer);
    if (!still && !document.hidden) timer = setTimeout(ask, waitMs);
  }

  function ask() {
    clearTimeout(timer);
    if (asking) return;
    asking = true;
    htmx.trigger(progress, "refresh");
  }

  // Only an answer of this page is put into it, and only if it says something else than before.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { target, xhr } = event.detail;
    if (target !== progress && target !== findings) return;
    const ours = xhr.status === 200 && xhr.getResponseHeader("X-Job-State") !== null;
    event.detail.shouldSwap = ours && (target === findings || xhr.responseText !== last);
    if (target === progress && ours) last = xhr.responseText;
    event.detail.isError = !ours;
    opened.set(target, [...target.querySelectorAll("details[open]")].map((details) => details.id));
  });

  document.body.addEventListener("htmx:afterSwap", (event) => {
    const { target } = event.detail;
    for (const id of opened.get(target) || []) {
      const details = document.getElementById(id);
      if (details) details.open = true;
    }
    if (target !== progress) return;
    // Said aloud in coarse steps only: the text is the same from one to the next.
    if (said.textContent !== live().dataset.said) said.textContent = live().dataset.said;
    if (drawn !== live().dataset.drawn) {
      drawn = live().dataset.drawn;
      htmx.trigger(findings, "refresh");
    }
  });

  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr } = event.detail;
    if (elt === findings && xhr.getResponseHeader("X-Job-State") === null) drawn = null; // once more with the next step
    if (elt !== progress) return;
    asking = false;
    const answered = xhr.status === 200 && xhr.getResponseHeader("X-Job-State") !== null;
    away.hidden = answered;
    still = xhr.status === 404 || (answered && xhr.getResponseHeader("X-Job-Still") === "true");
    if (!answered) waitMs = Math.min(waitMs * 2, AWAY_MS);
    else if (step !== live().dataset.step) waitMs = FASTEST_MS;
    else waitMs = Math.min(waitMs * 1.5, SLOWEST_MS);
    step = live().dataset.step;
    later();
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
    } else if (!still) {
      waitMs = FASTEST_MS;
      ask();
    }
  });
  later();
})();
