// The fields that say which labels: chips over the textarea, a saved set loaded in place, the template's preview.
"use strict";

(() => {
  // What parts labels: as the server has it, and line breaks.
  const marked = document.querySelector("[data-separators]");
  const SEPARATORS = new RegExp(`[${marked ? marked.dataset.separators : ""}\r\n]`);

  // Names as the server reads them: a name that has a separator needs JSON.
  function written(names) {
    const plain = names.every((name) => name === name.trim() && !SEPARATORS.test(name));
    return plain && !(names[0] || "").startsWith("[") ? names.join("\n") : JSON.stringify(names);
  }

  function read(value) {
    if (value.trim().startsWith("[")) {
      try {
        return JSON.parse(value).map((label) => (typeof label === "string" ? label : label.name)).filter(Boolean);
      } catch {
        // No list: then a name that begins so, or a mistake that the server tells of.
      }
    }
    return value.split(SEPARATORS).map((name) => name.trim()).filter(Boolean);
  }

  class Chips {
    constructor(area) {
      this.area = area;
      this.words = area.dataset;
      this.names = [];
      this.shown = null;
      this.build();
      this.take();
    }

    build() {
      const { area, words } = this;
      this.box = document.createElement("div");
      this.box.className = "chips";
      this.list = document.createElement("ul");
      this.list.setAttribute("role", "list");
      this.input = document.createElement("input");
      this.input.id = `${area.id}-input`;
      this.input.autocomplete = "off";
      this.input.enterKeyHint = "enter";
      this.input.placeholder = words.add;
      this.input.setAttribute("aria-describedby", `${area.id}-keys ${area.getAttribute("aria-describedby") || ""}`);
      const keys = document.createElement("span");
      keys.id = `${area.id}-keys`;
      keys.className = "unseen";
      keys.textContent = words.keys;
      this.count = document.createElement("span");
      this.said = document.createElement("span");
      this.said.setAttribute("role", "status");
      const line = document.createElement("p");
      line.className = "chips-said";
      line.append(this.count, this.said);
      this.box.append(this.list, this.input);
      area.before(this.box, line, keys);
      area.hidden = true;
      area.required = false;
      for (const label of area.labels || []) {
        label.htmlFor = this.input.id;
        this.list.setAttribute("aria-label", label.textContent);
      }
      this.input.addEventListener("input", (event) => { if (!event.isComposing) this.split(false); });
      this.input.addEventListener("compositionend", () => this.split(false));
      this.input.addEventListener("keydown", (event) => this.key(event));
      this.input.addEventListener("blur", () => this.split(true));
      this.input.addEventListener("paste", (event) => this.paste(event));
      this.list.addEventListener("click", (event) => this.click(event));
      this.list.addEventListener("keydown", (event) => this.walk(event));
      this.box.addEventListener("mousedown", (event) => {
        if (event.target === this.box || event.target === this.list) { event.preventDefault(); this.input.focus(); }
      });
      area.form.addEventListener("reset", () => setTimeout(() => this.take()));
      // A browser that goes back puts the textarea's value in without a word.
      window.addEventListener("pageshow", () => { if (area.value !== this.shown) this.take(); });
      // Another script put labels in.
      for (const event of ["input", "change"]) {
        area.addEventListener(event, () => { if (area.value !== this.shown) this.take(); });
      }
    }

    // The textarea's labels as chips.
    take() {
      this.names = [];
      this.list.replaceChildren();
      this.add(read(this.area.value));
    }

    add(names) {
      const known = new Set(this.names);
      const max = Number(this.words.maxLabels);
      let refused = "";
      const fresh = document.createDocumentFragment();
      for (const name of names) {
        if (known.has(name)) {
          refused = this.words.twice.replace("{name}", () => name);
          this.mark(name);
        } else if ([...name].length > Number(this.words.maxChars)) {
          refused = this.words.long.replace("{name}", () => `${[...name].slice(0, 20).join("")}…`);
        } else if (this.names.length >= max) {
          refused = this.words.full;
          break;
        } else {
          known.add(name);
          this.names.push(name);
          fresh.append(this.chip(name));
        }
      }
      this.list.append(fresh);
      this.say(refused, true);
      this.keep();
    }

    chip(name) {
      const item = document.createElement("li");
      const text = document.createElement("bdi");
      text.textContent = name;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "×";
      button.tabIndex = -1;
      button.setAttribute("aria-label", this.words.remove.replace("{name}", () => name));
      item.append(text, button);
      return item;
    }

    mark(name) {
      const item = this.list.children[this.names.indexOf(name)];
      if (!item) return;
      item.classList.add("twice");
      item.scrollIntoView({ block: "nearest" });
      setTimeout(() => item.classList.remove("twice"), 1500);
    }

    remove(index) {
      const [name] = this.names.splice(index, 1);
      this.list.children[index].remove();
      this.say(this.words.removed.replace("{name}", () => name));
      this.keep();
    }

    // What was typed up to a separator, or all of it, becomes chips.
    split(whole) {
      const parts = this.input.value.split(SEPARATORS);
      const rest = whole ? "" : parts.pop();
      const names = parts.map((part) => part.trim()).filter(Boolean);
      if (!names.length && rest === this.input.value) return;
      this.input.value = rest.trimStart();
      if (names.length) this.add(names);
      this.check();
    }

    paste(event) {
      const pasted = event.clipboardData.getData("text");
      if (!SEPARATORS.test(pasted.trim())) return;
      event.preventDefault();
      this.split(true);
      this.add(read(pasted));
    }

    key(event) {
      if (event.isComposing || event.keyCode === 229) return;
      const atStart = this.input.selectionStart === 0 && this.input.selectionEnd === 0;
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        this.split(true);
      } else if (event.key === "Enter") {
        event.preventDefault();
        this.split(true);
      } else if (event.key === "Backspace" && !this.input.value && this.names.length) {
        event.preventDefault();
        this.remove(this.names.length - 1);
      } else if (event.key === "ArrowLeft" && atStart && this.names.length) {
        event.preventDefault();
        this.go(this.names.length - 1);
      }
    }

    walk(event) {
      const buttons = [...this.list.querySelectorAll("button")];
      const at = buttons.indexOf(event.target);
      const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: buttons.length - 1 }[event.key];
      if (at >= 0 && to !== undefined) {
        event.preventDefault();
        this.go(to);
      } else if (at >= 0 && (event.key === "Backspace" || event.key === "Delete")) {
        event.preventDefault();
        this.drop(at);
      }
    }

    click(event) {
      const button = event.target.closest("button");
      if (button) this.drop([...this.list.querySelectorAll("button")].indexOf(button));
    }

    drop(index) {
      this.remove(index);
      this.go(Math.min(index, this.names.length - 1));
    }

    go(index) {
      const buttons = this.list.querySelectorAll("button");
      (buttons[index] || this.input).focus();
    }

    say(text, warning = false) {
      this.said.textContent = text;
      this.said.className = warning ? "warning" : "";
    }

    keep() {
      const first = this.shown === null;
      this.area.value = this.shown = written(this.names);
      const n = this.names.length;
      this.count.textContent = n === 1 ? this.words.one : this.words.many.replace("{n}", n);
      // One chip is reached by Tab, the others from it by the arrow keys.
      this.list.querySelectorAll("button").forEach((button, index) => { button.tabIndex = index === n - 1 ? 0 : -1; });
      this.check();
      // As if they had been typed, for whatever listens to the form.
      if (!first) this.area.dispatchEvent(new Event("change", { bubbles: true }));
    }

    check() {
      this.input.setCustomValidity(this.names.length || this.input.value.trim() ? "" : this.words.none);
      this.input.placeholder = this.words.add;
    }
  }

  // The template with the first label in it, or what is wrong with it.
  function previewTemplate(input) {
    const preview = document.getElementById("template-preview");
    if (!preview) return;
    const words = preview.dataset;
    const areas = [...document.querySelectorAll("[data-chips]")];
    const first = areas.flatMap((area) => read(area.value))[0]
      || [...document.querySelectorAll('input[name="label"]')].map((row) => row.value.trim()).find(Boolean)
      || words.sample;
    const show = () => {
      const template = input.value || "{}";
      const right = template.split("{}").length === 2;
      input.setCustomValidity(right ? "" : words.wrong);
      input.setAttribute("aria-invalid", String(!right));
      preview.classList.toggle("wrong", !right);
      preview.textContent = right
        ? words.reads.replace("{sentence}", () => template.replace("{}", () => first))
        : words.wrong;
    };
    show();
  }

  // The form's fields as a saved set has them.
  let loads = 0;
  async function load(select, { loadSet, failed }) {
    const form = select.form;
    const mine = ++loads; // only the last choice counts
    const note = document.getElementById("from-set");
    const reference = form.elements.namedItem("label_set");
    if (!select.value) {
      reference.value = "";
      note.textContent = "";
      return;
    }
    try {
      const response = await fetch(`${loadSet}/${select.value}/export.json`, { cache: "no-store" });
      if (!response.ok) throw new Error(response.status);
      const set = await response.json();
      if (mine !== loads) return;
      const area = form.elements.namedItem("labels");
      area.value = written(set.labels.map((label) => label.name));
      area.dispatchEvent(new Event("change", { bubbles: true }));
      const put = (name, value) => { const field = form.elements.namedItem(name); if (field) field.value = value; };
      put("template", set.template);
      put("threshold", set.threshold ?? "");
      form.elements.namedItem("multi_label").checked = set.multi_label;
      reference.value = response.headers.get("X-Label-Set");
      const version = reference.value.split("@")[1];
      note.textContent = note.dataset.from.replace("{name}", () => set.name).replace("{version}", () => version);
      const template = form.elements.namedItem("template");
      if (template) previewTemplate(template);
      const options = template && template.closest("details");
      if (options && (set.template !== "{}" || set.threshold !== null)) options.open = true;
    } catch {
      if (mine === loads) note.textContent = failed;
    }
  }

  function start() {
    for (const area of document.querySelectorAll("textarea[data-chips]:not([hidden])")) new Chips(area);
    const template = document.getElementById("template");
    if (template) {
      const preview = () => previewTemplate(template);
      template.addEventListener("input", preview);
      document.addEventListener("change", (event) => { if (event.target.name === "labels") preview(); });
      document.addEventListener("input", (event) => { if (event.target.name === "label") preview(); });
      preview();
    }
    // What is wrong in a closed part of the form could not be shown.
    document.addEventListener("invalid", (event) => {
      const part = event.target.closest("details");
      if (part) part.open = true;
    }, true);
    const button = document.querySelector("button[data-load-set]");
    if (button) {
      const select = document.getElementById("saved");
      button.type = "button"; // or it would be what Enter presses
      button.hidden = true;
      select.addEventListener("change", () => load(select, button.dataset));
    }
  }

  start();
})();
