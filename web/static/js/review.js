// Walks the rows by keyboard, and saves each as soon as it is decided. Without it, the page is a form.
"use strict";

(() => {
  const form = document.getElementById("review");
  if (!form) return;
  const rows = [...form.querySelectorAll("[data-row]")];
  const said = document.getElementById("said");
  const multi = "multi" in form.dataset;
  const SKIPPED = "";
  const NONE = "none";
  const decided = []; // rows in the order in which they were decided, for undoing
  let saving = Promise.resolve(); // one at a time, in order
  let leaving = false;
  let current = rows[0];

  const choices = (row) => [...row.querySelectorAll(".choice input")];
  const other = (row) => row.querySelector("select");
  const byKey = (row, key) => row.querySelector(`[data-key="${key}"]`);
  const finder = (row) => row.querySelector(".find input");
  const none = (row) => choices(row).find((input) => input.value === NONE);

  function say(key, row, more = {}) {
    const words = { row: row.dataset.fileRow, ...more };
    said.textContent = form.dataset[key].replace(/\{(\w+)\}/g, (_, name) => words[name]);
  }

  function show(row, { moving = true } = {}) {
    for (const each of rows) each.classList.toggle("current", each === row);
    current = row;
    if (!moving) return;
    row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "center" });
  }

  function next() {
    const open = (row) => !row.classList.contains("decided") && !row.classList.contains("skipped");
    const at = rows.indexOf(current);
    const found = [...rows.slice(at + 1), ...rows.slice(0, at)].find(open);
    if (found) show(found);
    else finish();
  }

  // What could not be saved is sent again with the page, which then says why.
  function finish() {
    if (leaving) return;
    leaving = true;
    saving.finally(() => form.requestSubmit(document.getElementById("next")));
  }

  function values(row) {
    const chosen = choices(row).filter((input) => input.checked && input.value !== SKIPPED).map((input) => input.value);
    const more = other(row) && other(row).value !== SKIPPED ? [other(row).value] : [];
    return multi ? [...chosen, ...more] : more.length ? more : chosen;
  }

  function named(row) {
    const names = choices(row)
      .filter((input) => input.checked && input.value !== SKIPPED)
      .map((input) => input.parentElement.querySelector(".name").textContent);
    const more = other(row) && other(row).value !== SKIPPED ? [other(row).selectedOptions[0].textContent] : [];
    return (multi ? [...names, ...more] : more.length ? more : names).join(form.dataset.between);
  }

  function choose(row, wanted) {
    for (const input of choices(row)) input.checked = wanted.includes(input.value);
    if (other(row)) {
      const shown = choices(row).map((input) => input.value);
      other(row).value = wanted.find((value) => !shown.includes(value)) || SKIPPED;
    }
  }

  // A label that was in the list alone gets a place among those that the row shows.
  function shown(row, option) {
    const made = row.querySelector(".choice").cloneNode(true);
    const input = made.querySelector("input");
    const key = made.querySelector("kbd");
    input.value = option.value;
    input.checked = false;
    if (option.dataset.key) input.dataset.key = option.dataset.key;
    else delete input.dataset.key;
    key.textContent = option.dataset.key || "";
    key.hidden = !option.dataset.key;
    made.querySelector(".name").textContent = option.textContent;
    made.querySelectorAll(".hint").forEach((score) => score.remove());
    made.classList.remove("has");
    none(row).parentElement.before(made);
    option.remove();
    return input;
  }

  function take(row, found) {
    const input = found.matches("option") ? shown(row, found) : found;
    if (multi) {
      input.checked = !input.checked;
      none(row).checked = false;
    } else {
      choose(row, [input.value]);
      save(row);
    }
  }

  // What is typed stands for a label if it is its name, or in the name of no other.
  function find(row) {
    const typed = finder(row).value.trim().toLowerCase();
    if (!typed) return;
    const all = [
      ...choices(row).filter((input) => input.value !== NONE && input.value !== SKIPPED)
        .map((input) => [input.parentElement.querySelector(".name").textContent, input]),
      ...[...other(row).options].filter((option) => option.value !== SKIPPED).map((option) => [option.textContent, option]),
    ].map(([name, found]) => [name.trim().toLowerCase(), found]);
    const same = all.filter(([name]) => name === typed);
    const matching = same.length === 1 ? same : all.filter(([name]) => name.includes(typed));
    if (matching.length !== 1) {
      say(matching.length ? "unclear" : "unknown", row, { count: matching.length });
      return;
    }
    finder(row).value = "";
    row.focus({ preventScroll: true });
    take(row, matching[0][1]);
  }

  async function send(url, fields) {
    const body = new FormData();
    body.set("csrf_token", form.elements.csrf_token.value);
    body.set("then", "one");
    for (const [name, value] of fields) body.append(name, value);
    try {
      const response = await fetch(url, { method: "POST", body });
      if (response.status === 204) return null;
      const plain = (response.headers.get("Content-Type") || "").startsWith("text/plain");
      return plain ? await response.text() : form.dataset.away;
    } catch {
      return form.dataset.away;
    }
  }

  function mark(row, outcome, sign) {
    row.classList.remove("decided", "skipped", "failed");
    if (outcome) row.classList.add(outcome);
    row.querySelector(".outcome").textContent = sign;
  }

  function save(row) {
    const number = row.dataset.row;
    const wanted = values(row);
    const labels = named(row);
    if (!wanted.length) return;
    decided.push(row);
    mark(row, "decided", `→ ${labels} …`);
    const fields = [["shown", number], ...wanted.map((value) => [`row-${number}`, value])];
    if (form.elements.author) fields.push(["author", form.elements.author.value]);
    saving = saving.then(() => send(form.action, fields)).then((reason) => {
      if (!row.classList.contains("decided")) return; // undone meanwhile
      if (reason === null) {
        row.querySelector(".outcome").textContent = `→ ${labels} ✓`;
        say("saved", row, { labels });
      } else {
        mark(row, "failed", "✗");
        say("failed", row, { reason });
      }
    });
    next();
  }

  function skip(row) {
    choose(row, multi ? [] : [SKIPPED]);
    mark(row, "skipped", "");
    say("skipped", row);
    decided.push(row);
    next();
  }

  function undo() {
    const row = decided.pop();
    if (!row) {
      // What was saved on the page before is in the table below.
      const button = document.querySelector("#corrected button");
      if (button) button.focus();
      return;
    }
    const wasSkipped = row.classList.contains("skipped");
    mark(row, null, "");
    choose(row, multi ? [] : [SKIPPED]);
    show(row);
    if (wasSkipped) {
      say("undone", row);
      return;
    }
    const fields = [["row", row.dataset.row]];
    saving = saving.then(() => send(form.dataset.undo, fields)).then((reason) => {
      if (reason === null) say("undone", row);
      else say("failed", row, { reason });
    });
  }

  function press(key, row) {
    if (key === "0" || key === "n") {
      choose(row, [NONE]);
      save(row);
    } else if (key === "Enter") {
      if (!values(row).length) choose(row, row.dataset.has.split(","));
      save(row);
    } else if (key === "s") {
      skip(row);
    } else if (key === "u") {
      undo();
    } else if (key === "j" || key === "k") {
      const at = rows.indexOf(row) + (key === "j" ? 1 : -1);
      if (rows[at]) show(rows[at]);
    } else if (key === "?") {
      const help = document.getElementById("keys");
      help.open = !help.open;
    } else if (key === "/" && finder(row)) {
      finder(row).focus();
    } else {
      const found = /^[1-9a-z]$/.test(key) && byKey(row, key);
      if (!found) return false;
      take(row, found);
    }
    return true;
  }

  // Only while a row has the focus, so that no key does anything unasked for elsewhere on the page.
  form.addEventListener("keydown", (event) => {
    const row = event.target.closest("[data-row]");
    if (!row || leaving || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    if (event.target === finder(row)) {
      if (event.key === "Enter") find(row);
      else if (event.key === "Escape") row.focus({ preventScroll: true });
      else return;
      event.preventDefault();
      return;
    }
    if (event.target.matches("select, summary, a, button")) return;
    if (press(event.key.length === 1 ? event.key.toLowerCase() : event.key, row)) event.preventDefault();
  });

  // By mouse or finger, a choice is saved at once. By the arrow keys it is only chosen, for Enter to save.
  let pointedAt = -Infinity;
  form.addEventListener("pointerup", () => { pointedAt = performance.now(); });
  form.addEventListener("change", (event) => {
    const row = event.target.closest("[data-row]");
    if (!row || multi || event.target === finder(row)) return;
    choose(row, [event.target.value]);
    if (event.target.matches("select") || performance.now() - pointedAt > 500) return;
    if (values(row).length) save(row);
    else skip(row);
  });

  // Chosen from what the browser offers below the field, rather than typed.
  form.addEventListener("input", (event) => {
    const row = event.target.closest("[data-row]");
    if (row && event.target === finder(row) && event.inputType === "insertReplacementText") find(row);
  });

  form.addEventListener("focusin", (event) => {
    const row = event.target.closest("[data-row]");
    if (row) show(row, { moving: false });
  });

  form.addEventListener("submit", (event) => {
    const submitter = event.submitter;
    if (leaving || !submitter) return;
    event.preventDefault();
    leaving = true;
    // Not at once: a form ignores what is asked of it while it is being submitted.
    setTimeout(() => saving.finally(() => form.requestSubmit(submitter)));
  });

  window.addEventListener("pageshow", () => { leaving = false; });
  form.classList.add("with-keys");
  document.getElementById("keys").hidden = false;
  for (const place of form.querySelectorAll(".find")) place.hidden = false;
  show(current);
})();
