// Keeps a job's page fresh: asks often while the bar moves, less often while it does not or nobody answers, and not at all
// while the page is hidden or once the job has ended or is deleted. htmx does the asking and the swapping.
"use strict";

(() => {
  const FASTEST_MS = 1000;
  const SLOWEST_MS = 15000;
  const AWAY_MS = 15000;
  const progress = document.getElementById("progress");
  const findings = document.getElementById("findings");
  const said = document.getElementById("said");
  const away = document.getElementById("away");
  const gone = document.getElementById("gone");
  const opened = new Map();
  let waitMs = pace();
  let timer = 0;
  let redrawing = 0;
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

  // A paused job goes on only when somebody says so.
  function pace() {
    return live().dataset.step.startsWith("paused ") ? SLOWEST_MS : FASTEST_MS;
  }

  function ask() {
    clearTimeout(timer);
    if (asking) return;
    asking = true;
    htmx.trigger(progress, "refresh");
  }

  function redraw() {
    clearTimeout(redrawing);
    if (gone.hidden) htmx.trigger(findings, "refresh");
  }

  // Nothing of the job can be seen or done any more.
  function end() {
    const held = document.activeElement;
    gone.hidden = false;
    for (const part of [progress, findings, document.querySelector(".tabs")]) {
      part.hidden = true;
      if (part.contains(held)) gone.querySelector("a").focus();
    }
  }

  // Only an answer of this page is put into it, and only if it says something else than before.
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    const { elt: target, xhr } = event.detail;
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
      redraw();
    }
  });

  document.body.addEventListener("htmx:afterRequest", (event) => {
    const { elt, xhr } = event.detail;
    if (elt !== progress && elt !== findings) return;
    const answered = xhr.status === 200 && xhr.getResponseHeader("X-Job-State") !== null;
    if (elt === findings) {
      clearTimeout(redrawing);
      if (!answered) redrawing = setTimeout(redraw, AWAY_MS);
      return;
    }
    asking = false;
    const deleted = xhr.status === 404 && xhr.getResponseHeader("X-Problem") === "not_found";
    away.hidden = answered || deleted;
    still = deleted || (answered && xhr.getResponseHeader("X-Job-Still") === "true");
    if (deleted) end();
    if (!answered) waitMs = Math.min(waitMs * 2, AWAY_MS);
    else if (step !== live().dataset.step) waitMs = pace();
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
