// The lists beside the picture: parts, with a box to hide each and a button for each group; and people, with a
// button to keep each outlined.

import { percent } from "./parsing.js";

export class Legend {
  #parts = document.getElementById("parts");
  #groups = document.getElementById("groups");
  #crowd = document.getElementById("crowd");
  #people = document.getElementById("people");
  #onLight;
  #onHide;
  #pinned = null;

  /**
   * @param onLight called with the {label} or {person} at the pointer or the focus, or null.
   * @param onHide called with the hidden labels.
   */
  constructor(onLight, onHide) {
    this.#onLight = onLight;
    this.#onHide = onHide;
    document.getElementById("show-all").addEventListener("click", () => this.#check(() => true));
    document.getElementById("hide-all").addEventListener("click", () => this.#check(() => false));
  }

  show(parsing) {
    this.#pinned = null;
    this.#parts.replaceChildren(...parsing.parts.map((part) => this.#partRow(part, parsing)));
    const groups = Object.entries(parsing.groups).filter(([, labels]) => labels.some((one) => parsing.has(one)));
    this.#groups.replaceChildren(...groups.map(([name, labels]) => this.#groupButton(name, labels)));
    this.#groups.hidden = groups.length === 0;
    this.#crowd.hidden = parsing.people.length === 0;
    this.#people.replaceChildren(...parsing.people.map((person) => this.#personRow(person)));
  }

  /** What is highlighted when nothing is pointed at: the person that was picked, or null. */
  get kept() {
    return this.#pinned === null ? null : { person: this.#pinned };
  }

  /** Mark the row of a part; null marks none. */
  mark(label) {
    for (const row of this.#parts.children) row.classList.toggle("lit", row.dataset.label === String(label));
  }

  #partRow(part, parsing) {
    const box = element("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => this.#onHide(this.#unchecked()));
    const swatch = element("span", { className: "swatch" });
    swatch.style.backgroundColor = `rgb(${parsing.colour(part.label).join(" ")})`;
    const name = element("span", { className: "name", textContent: part.name });
    const share = element("span", { className: "share", textContent: percent(part.share) });
    const label = element("label", {});
    label.append(box, swatch, name, " ", share);
    const row = element("li", {});
    row.dataset.label = part.label;
    row.append(label);
    this.#lights(row, { label: part.label });
    return row;
  }

  #groupButton(name, labels) {
    const button = element("button", { type: "button", textContent: name, title: `Show ${name} only` });
    button.addEventListener("click", () => this.#check((label) => labels.includes(label)));
    return button;
  }

  #personRow(person) {
    const button = element("button", { type: "button" });
    const name = element("span", { className: "name", textContent: `Person ${person.id}` });
    const parts = `${person.parts.length} ${person.parts.length === 1 ? "part" : "parts"}`;
    const facts = `${parts}, score ${person.score.toFixed(2)}`;
    button.append(name, " ", element("span", { className: "share", textContent: facts }));
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => this.#pin(person.id));
    const row = element("li", {});
    row.dataset.person = person.id;
    row.append(button);
    this.#lights(row, { person: person.id });
    return row;
  }

  #lights(row, what) {
    row.addEventListener("pointerenter", () => this.#onLight(what));
    row.addEventListener("pointerleave", () => this.#onLight(this.kept));
    row.addEventListener("focusin", () => this.#onLight(what));
    row.addEventListener("focusout", () => this.#onLight(this.kept));
  }

  #pin(id) {
    this.#pinned = this.#pinned === id ? null : id;
    for (const row of this.#people.children) {
      const pressed = row.dataset.person === String(this.#pinned);
      row.firstElementChild.setAttribute("aria-pressed", String(pressed));
    }
    this.#onLight(this.kept);
  }

  // Show the parts whose label is wanted, hide the others.
  #check(wanted) {
    for (const row of this.#parts.children) {
      row.querySelector("input").checked = wanted(Number(row.dataset.label));
    }
    this.#onHide(this.#unchecked());
  }

  #unchecked() {
    const rows = [...this.#parts.children].filter((row) => !row.querySelector("input").checked);
    return rows.map((row) => Number(row.dataset.label));
  }
}

function element(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}
