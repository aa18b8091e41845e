// What is written: the sum of a cell, the facts, the call in every framework.
"use strict";

function sentence({ by, chosen, outputs, inputs }) {
  const { axis, y } = problem, name = (cell) => `[${cell.join(", ")}]`;
  const span = (text, soft) => Object.assign(document.createElement("span"), { textContent: text, className: soft ? "soft" : "" });
  if (by === "output") {
    const [at] = outputs, head = `y${name(problem.outputs[at])} = `;
    if (!chosen.length) return [span(head), span("0, no tap reaches it", true)];
    const cells = chosen.map((p) => `x${name(p.i)}·w${name(p.t)}`).join(" + ");
    const sums = chosen.map((p) => law.factors(p, axis).join("·")).join(" + ");
    return [span(head), span(`${cells} = `, true), span(`${sums} = ${y[at]}`)];
  }
  if (by === "input") {
    const [at] = inputs, count = chosen.length;
    return [span(`x${name(problem.inputs[at])} = ${law.number(at)} `),
      span(`adds its stamp: ${count} product${count === 1 ? "" : "s"} inside the output`, true)];
  }
  return [span("Point at a cell, or press play.", true)];
}

function listFacts() {
  const { axis, rank, multiplyAdds, dense, overlap, reachable } = problem;
  const cube = (size) => Array(rank).fill(size).join(" × ");
  const [fewest, most] = overlap, [first, last] = reachable;
  const facts = {
    "size": `${cube(axis.input)} → ${cube(axis.output)}`,
    "full": cube(axis.full),
    "reachable": first === last ? `${first}` : `${first} to ${last}`,
    "multiply-adds": multiplyAdds.toLocaleString("en"),
    "with zeros": dense.toLocaleString("en"),
    "overlap": fewest === most ? `even, ${most}` : `uneven, ${fewest} to ${most}`,
  };
  find("facts").replaceChildren(...Object.entries(facts).flatMap(([name, text]) => {
    const term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = name;
    value.textContent = text;
    value.id = `fact-${name.replace(" ", "-")}`;
    return [term, value];
  }));
  const size = law.size(state.settings), soft = document.createElement("span");
  soft.textContent = size.words;
  find("size-law").replaceChildren(soft, ` = ${size.numbers}`);
  const { stride, dilation, lo } = axis, times = (n, letter) => (n === 1 ? letter : `${n}${letter}`);
  find("place").textContent = `${times(stride, "i")} + ${times(dilation, "t")}${lo ? ` − ${lo}` : ""}`;
}

// What the colours mean: a chip for each phase of the output, and one for what is no product.
function listLegend() {
  const { axis, rank, phases } = problem;
  const residues = law.cells(rank, axis.stride);
  const chips = [
    ["phase", `phases of y: place modulo stride, ${residues[0].join(", ")} to ${residues.at(-1).join(", ")}`],
    ["lit", "in this step"], ["zero", "inserted zero, or not there yet"],
    ["cut", "cropped by the padding, with its place in y"],
  ];
  find("legend").replaceChildren(...chips.map(([kind, text]) => {
    const item = document.createElement("li"), chip = document.createElement("span");
    chip.className = `chip ${kind}`;
    if (kind === "phase") {
      const stops = residues.slice(0, 8).map((_, phase) => `oklch(var(--accent) ${hue(phase, phases)})`);
      chip.style.background = `linear-gradient(90deg, ${[...stops, stops[0]].slice(0, Math.max(2, stops.length)).join(", ")})`;
    }
    item.append(chip, text);
    return item;
  }));
}

function listConventions() {
  const [into, out] = state.settings.channels;
  find("channels").textContent = `with ${into} channels in and ${out} out`;
  find("conventions").replaceChildren(...conventions.toText(state.settings).map(({ framework, call, whyNot }) => {
    const item = document.createElement("li"), code = document.createElement("code");
    item.append(Object.assign(document.createElement("b"), { textContent: framework }), code);
    code.textContent = call ?? whyNot;
    code.className = call ? "" : "no";
    if (call) item.append(copyButton(framework, call));
    return item;
  }));
}

function copyButton(framework, call) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: "Copy" });
  button.setAttribute("aria-label", `Copy the call of ${framework}`);
  button.addEventListener("click", async () => {
    await copy(call);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1200);
  });
  return button;
}

// A page opened from a file may not be allowed the clipboard; selecting a text always is.
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = Object.assign(document.createElement("textarea"), { value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
