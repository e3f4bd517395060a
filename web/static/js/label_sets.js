// Rows of the form of a label set: added and removed in place.
"use strict";

(() => {
  const rows = document.getElementById("rows");
  const add = document.getElementById("add-row");
  const count = document.getElementById("row-count");
  const template = document.getElementById("row-template");

  function number() {
    const all = rows.querySelectorAll(".label-row");
    all.forEach((row, index) => {
      row.querySelector("legend").textContent = rows.dataset.legend.replace("{n}", index + 1);
      const button = row.querySelector("[data-remove-row]");
      button.value = `remove-${index}`;
      button.setAttribute("aria-label", rows.dataset.remove.replace("{n}", index + 1));
    });
    count.textContent = all.length === 1 ? count.dataset.one : count.dataset.many.replace("{n}", all.length);
  }

  function append() {
    rows.append(template.content.cloneNode(true));
    number();
    rows.lastElementChild.querySelector("input").focus();
  }

  add.addEventListener("click", (event) => {
    event.preventDefault();
    append();
  });

  rows.addEventListener("click", (event) => {
    const button = event.target.closest("[data-remove-row]");
    if (!button) return;
    event.preventDefault();
    const row = button.closest(".label-row");
    const next = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    if (rows.children.length) {
      number();
      next.querySelector("input").focus();
    } else {
      append();
    }
  });

  // Enter in a name goes to the next row, as in a table, and makes one at the end.
  rows.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.isComposing || event.target.name !== "label") return;
    event.preventDefault();
    const next = event.target.closest(".label-row").nextElementSibling;
    if (next) next.querySelector("input").focus();
    else append();
  });

  number();
})();
