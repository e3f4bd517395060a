// Keeps a job's page fresh: asks often while something changes, less often while nothing does, not at all while hidden.
"use strict";

(() => {
  const FASTEST_MS = 1000;
  const SLOWEST_MS = 15000;
  const live = document.getElementById("live");
  let shown = null;
  let waitMs = FASTEST_MS;
  let timer = 0;
  let still = false;

  function later() {
    clearTimeout(timer);
    if (!still && !document.hidden) {
      timer = setTimeout(refresh, waitMs);
    }
  }

  async function refresh() {
    let changed = false;
    try {
      const response = await fetch(live.dataset.url, { cache: "no-store" });
      if (response.ok) {
        const html = await response.text();
        changed = html !== shown;
        if (changed) {
          live.innerHTML = html;
          shown = html;
        }
        still = response.headers.get("X-Job-Still") === "true";
      }
    } catch {
      // The server is away for now: ask again later.
    }
    waitMs = changed ? FASTEST_MS : Math.min(waitMs * 1.5, SLOWEST_MS);
    later();
  }

  document.addEventListener("visibilitychange", () => {
    waitMs = FASTEST_MS;
    later();
  });
  later();
})();
