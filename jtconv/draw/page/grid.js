// A grid of cells as SVG: it is told what is lit, and knows no more.
"use strict";

const SIZE = 40;
const svg = (name, attributes = {}, parent = null) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (parent) parent.append(element);
  return element;
};
const hue = (phase, count) => (255 + (360 * phase) / count) % 360;
const row = (cell) => (cell.length === 1 ? 0 : cell[0]);
const column = (cell) => cell[cell.length - 1];

// A grid of `size` cells a side; `cells` is a list of {at, value, kind, phase, key, of}.
class Grid {
  constructor(holder, rank, size, cells, phases) {
    const rows = rank === 1 ? 1 : size;
    this.root = svg("svg", { viewBox: `0 0 ${size * SIZE} ${rows * SIZE}` });
    this.root.style.width = `${size * Math.max(15, Math.min(36, 440 / size))}px`;
    this.cells = new Map();
    for (const cell of cells) this.add(cell, phases);
    this.windows = svg("g", { class: "windows" }, this.root);
    holder.replaceChildren(this.root);
  }

  add({ at, value, kind, phase, key }, phases) {
    const place = `translate(${column(at) * SIZE} ${row(at) * SIZE})`;
    const group = svg("g", { class: `cell ${kind}`, transform: place }, this.root);
    if (phase !== undefined) group.style.setProperty("--h", hue(phase, phases));
    svg("rect", { x: 1.5, y: 1.5, width: SIZE - 3, height: SIZE - 3, rx: 5 }, group);
    const text = svg("text", { x: SIZE / 2, y: SIZE / 2 }, group);
    text.textContent = value ?? "";
    if (key === undefined) return;
    group.dataset.key = key;
    this.cells.set(key, { group, text, value });
  }

  // Light the cells with these keys; show the numbers of those that `known` allows.
  show(lit, known = () => true, value = null) {
    for (const [key, cell] of this.cells) {
      cell.group.classList.toggle("lit", lit.has(key));
      cell.group.classList.toggle("unknown", !known(key));
      const number = value ? value(key) : cell.value;
      cell.text.textContent = known(key) ? number : "";
    }
  }

  // Outlines of `span` cells a side with these corners.
  frame(corners, span) {
    this.windows.replaceChildren(...corners.map((at) => svg("rect", {
      x: column(at) * SIZE, y: row(at) * SIZE, width: span * SIZE,
      height: (at.length === 1 ? 1 : span) * SIZE, rx: 6,
    })));
  }

  keyUnder(event) {
    return event.target.closest?.("[data-key]")?.dataset.key;
  }
}
