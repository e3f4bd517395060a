// The upload with its drop zone and progress, and the page of an uploaded file. Both work without this.
"use strict";

(() => {
  for (const element of document.querySelectorAll(".needs-script, .drophere")) element.hidden = false;

  const form = document.getElementById("upload");
  if (form) uploadPage(form);
  const draft = document.getElementById("draft");
  if (draft) draftPage(draft);

  function uploadPage(form) {
    const zone = form.querySelector(".dropzone");
    const input = form.querySelector("input[type=file]");
    const button = form.querySelector("button.primary");
    const sending = form.querySelector(".sending");
    const progress = sending.querySelector("progress");
    const status = sending.querySelector("[role=status]");
    const refused = form.querySelector(".refused");
    let cancelled = false;

    button.hidden = true;
    zone.classList.add("live");

    function refuse(...words) {
      refused.replaceChildren(...words);
      refused.hidden = !words.length;
    }

    function begin() {
      if (!input.files.length) return;
      const [file] = input.files;
      if (file.size > Number(form.dataset.maxMib) * 2 ** 20) {
        input.value = "";
        refuse(form.dataset.tooLarge);
        return;
      }
      sending.querySelector(".file").textContent = file.name;
      form.requestSubmit();
    }

    function show(busy) {
      zone.hidden = busy;
      sending.hidden = !busy;
      progress.value = 0;
      status.textContent = "";
      if (busy) sending.querySelector("[data-cancel]").focus();
    }

    input.addEventListener("change", begin);
    for (const name of ["dragenter", "dragover"]) {
      zone.addEventListener(name, (event) => {
        event.preventDefault();
        zone.classList.add("over");
      });
    }
    zone.addEventListener("dragleave", (event) => {
      if (!zone.contains(event.relatedTarget)) zone.classList.remove("over");
    });
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("over");
      const { files } = event.dataTransfer;
      if (files.length !== 1) {
        refuse(form.dataset.one);
        return;
      }
      input.files = files;
      begin();
    });
    // A file that misses the zone would replace the page.
    for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());

    sending.querySelector("[data-cancel]").addEventListener("click", () => {
      cancelled = true;
      htmx.trigger(form, "htmx:abort");
    });
    form.addEventListener("htmx:beforeRequest", () => {
      cancelled = false;
      refuse();
      show(true);
    });
    form.addEventListener("htmx:xhr:progress", (event) => {
      const { loaded, total } = event.detail;
      if (!total) return;
      progress.value = (100 * loaded) / total;
      // Which is not the end: the server still has to store it.
      status.textContent = loaded === total ? form.dataset.sent : `${Math.floor((100 * loaded) / total)}%`;
    });
    form.addEventListener("htmx:afterRequest", (event) => {
      const { xhr, successful } = event.detail;
      if (successful) return; // the browser is on its way to the file's page
      input.value = "";
      show(false);
      input.focus();
      if (cancelled) return;
      const answer = new DOMParser().parseFromString(xhr.responseText || "", "text/html").querySelector(".problem:not([hidden])");
      refuse(...(answer ? answer.childNodes : [form.dataset.brokenOff]));
    });
    // Coming back by the browser's button, the page may stand as it was left.
    window.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      input.value = "";
      show(false);
    });
  }

  function draftPage(draft) {
    const reveal = (root) => {
      for (const element of root.querySelectorAll(".needs-script")) element.hidden = false;
    };
    document.body.addEventListener("htmx:load", (event) => reveal(event.detail.elt));

    // Counting begins by itself; if it was refused, it is asked for.
    const counting = (counts, running) => {
      counts.querySelector(".working-text").hidden = !running;
      counts.querySelector(".actions").hidden = running;
    };
    document.body.addEventListener("htmx:afterRequest", (event) => {
      const { elt, xhr } = event.detail;
      if (elt.id === "counts" && xhr.status !== 200 && elt.querySelector("[data-again]")) counting(elt, false);
    });
    draft.addEventListener("click", (event) => {
      if (!event.target.closest("button[data-again]")) return;
      const counts = document.getElementById("counts");
      counting(counts, true);
      htmx.trigger(counts, "again");
    });

    // Giving a time chooses it.
    for (const input of draft.querySelectorAll(".when input:not([type=radio])")) {
      input.addEventListener("input", () => {
        input.closest("p").querySelector("input[type=radio]").checked = true;
      });
    }

    draft.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-labels]");
      if (!button) return;
      const field = document.getElementById("labels");
      field.value = button.dataset.labels;
      for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, { bubbles: true }));
      // Where the field stands behind chips, it is these that can have the focus.
      (document.getElementById(`${field.id}-input`) || field).focus();
    });

    // Twice pressed is once meant. And what is still to be asked of this file would come when it is gone.
    let leaving = false;
    document.body.addEventListener("htmx:beforeRequest", (event) => { if (leaving) event.preventDefault(); });
    draft.addEventListener("submit", () => {
      leaving = true;
      for (const waiting of document.querySelectorAll("[hx-post]")) htmx.trigger(waiting, "htmx:abort");
      setTimeout(() => {
        for (const button of draft.querySelectorAll("button")) button.disabled = true;
      });
    });
    window.addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      leaving = false;
      for (const button of draft.querySelectorAll("button")) button.disabled = false;
    });
  }
})();
