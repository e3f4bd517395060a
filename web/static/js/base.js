// What every page has: copying, asking before what cannot be undone, and saying what went wrong.
"use strict";

// <button data-copy="#id">: puts the text of an element on the clipboard and says so for a moment.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button || button.dataset.words || !await copied(document.querySelector(button.dataset.copy))) return;
  button.dataset.words = button.textContent;
  button.textContent = button.dataset.copied || "✓";
  setTimeout(() => {
    button.textContent = button.dataset.words;
    delete button.dataset.words;
  }, 1500);
});

// Over plain HTTP browsers give the clipboard to pages of this machine only. Elsewhere what is marked can be copied; where that
// fails too, it stays marked, for the keyboard.
async function copied(element) {
  try {
    await navigator.clipboard.writeText(element.textContent);
    return true;
  } catch {
    const marked = window.getSelection();
    marked.selectAllChildren(element);
    const done = document.execCommand("copy");
    if (done) marked.removeAllRanges();
    return done;
  }
}

// <form data-confirm="…">
document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !window.confirm(question)) event.preventDefault();
});

// A page that came back with a problem begins there, or with what was done: it is read aloud, and the keyboard goes on from
// it. So it is where a field is to be filled in anew, and names the problem as its description. What htmx puts into a page says
// so itself, and leaves the focus where a person works.
document.addEventListener("DOMContentLoaded", () => {
  const words = document.getElementById("problem") || document.getElementById("told");
  if (words && !document.querySelector("[autofocus][aria-describedby~=problem]")) words.focus();
});
