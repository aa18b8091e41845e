// The page: settings in, one problem solved, three views shown. `state` is all there is to know.
"use strict";

const SLIDERS = {
  input: ["input", 1, 8], kernel: ["kernel", 1, 6], stride: ["stride", 1, 4],
  padding: ["padding", 0, 6], output_padding: ["output padding", 0, 3], dilation: ["dilation", 1, 3],
};
const DEFAULTS = { rank: 2, input: 3, kernel: 3, stride: 2, padding: 0, output_padding: 0, dilation: 1 };
const PAUSE = { input: 900, output: 350 };
const find = (id) => document.getElementById(id);

const state = { settings: { ...DEFAULTS, ...START, ...fromAddress() }, cursor: null, step: 0, timer: null };
let problem, grids;
const matrix = new Matrix(find("matrix"));

// The settings live in the address, so that a link or a reload keeps them.
function fromAddress() {
  const pairs = new URLSearchParams(location.hash.slice(1));
  const known = [...pairs].filter(([name, value]) => name in DEFAULTS && /^\d+$/.test(value));
  return Object.fromEntries(known.map(([name, value]) => [name, Number(value)]));
}

function buildControls() {
  for (const [name, [title, least, most]] of Object.entries(SLIDERS)) {
    const label = document.createElement("label");
    label.innerHTML = `<span>${title}</span><output></output>` +
      `<input type="range" id="${name}" min="${least}" max="${most}">`;
    find("sliders").append(label);
    label.querySelector("input").addEventListener("input", (event) => {
      change({ [name]: Number(event.target.value) });
    });
  }
  for (const radio of document.getElementsByName("rank"))
    radio.addEventListener("change", () => change({ rank: Number(radio.value) }));
  for (const radio of document.getElementsByName("by"))
    radio.addEventListener("change", () => { stop(); goTo(stepCount()); });
}

// Every slider offers only what has an output.
function limits(settings) {
  const { input, kernel, stride, dilation } = settings;
  const full = (input - 1) * stride + dilation * (kernel - 1) + 1;
  const extra = Math.min(SLIDERS.output_padding[2], Math.max(stride, dilation) - 1);
  const output_padding = Math.min(settings.output_padding, extra);
  const most = Math.min(SLIDERS.padding[2], Math.floor((full + output_padding - 1) / 2));
  return { output_padding: extra, padding: most, input: settings.rank === 1 ? 8 : 6 };
}

function change(changes) {
  Object.assign(state.settings, changes);
  for (const [name, [, least, most]] of Object.entries(SLIDERS)) {
    const top = limits(state.settings)[name] ?? most;
    state.settings[name] = Math.min(Math.max(state.settings[name], least), top);
    const slider = find(name);
    slider.max = top;
    slider.disabled = top <= least;
    slider.value = state.settings[name];
    slider.parentElement.querySelector("output").value = state.settings[name];
  }
  state.settings.rank = state.settings.rank === 1 ? 1 : 2;
  for (const radio of document.getElementsByName("rank"))
    radio.checked = Number(radio.value) === state.settings.rank;
  find("trouble").textContent = law.trouble(state.settings);
  history.replaceState(null, "", `#${new URLSearchParams(state.settings)}`);
  stop();
  rebuild();
}

function rebuild() {
  problem = law.solve(state.settings);
  const { axis, rank, phases } = problem;
  const number = (cells, size, extra) => cells.map((at) => {
    const key = String(law.flat(at, size));
    return { at, value: law.number(Number(key)), key, kind: "", ...extra?.(at) };
  });
  const tap = (t) => ({ kind: "phase", phase: law.phase(axis, t.map((at) => axis.dilation * at - axis.lo)) });
  const spread = (at) => at.map((one) => axis.dilation * one);
  const kernel = number(problem.taps, axis.kernel, tap);
  const turn = (at) => at.map((one) => axis.kernel - 1 - one);
  grids = {
    x: new Grid(find("x"), rank, axis.input, number(problem.inputs, axis.input), phases),
    w: new Grid(find("w"), rank, axis.span, kernel.map((c) => ({ ...c, at: spread(c.at) })), phases),
    v: new Grid(find("v"), rank, axis.span, kernel.map((c) => ({ ...c, at: spread(turn(c.at)) })), phases),
    y: new Grid(find("y"), rank, canvasSize(axis), outputCells(), phases),
    z: new Grid(find("z"), rank, axis.output + axis.span - 1, enlargedCells(), phases),
  };
  matrix.layout(problem, find("matrix").parentElement.clientWidth);
  listFacts();
  listWords();
  state.cursor = null;
  goTo(stepCount());
}

const canvasSize = (axis) => Math.max(axis.full, axis.lo + axis.output);

// The full output with what the padding crops from it.
function outputCells() {
  const { axis, rank } = problem;
  return law.cells(rank, canvasSize(axis)).map((at) => {
    const m = at.map((one) => one - axis.lo);
    if (m.some((one) => one < 0 || one >= axis.output)) return { at, kind: "cut" };
    const flat = law.flat(m, axis.output), value = problem.y[flat];
    const long = String(value).length > 3 ? " long" : "";
    return { at, value, key: String(flat), kind: `phase${long}`, phase: law.phase(axis, m) };
  });
}

// The input with zeros between and around its cells, less what the padding crops.
function enlargedCells() {
  const { axis, rank } = problem, before = axis.span - 1 - axis.lo;
  return law.cells(rank, axis.output + axis.span - 1).map((at) => {
    const i = at.map((one) => (one - before) / axis.stride);
    if (!i.every((one) => Number.isInteger(one) && one >= 0 && one < axis.input))
      return { at, value: 0, kind: "zero" };
    const flat = law.flat(i, axis.input);
    return { at, value: law.number(flat), key: String(flat), kind: "" };
  });
}

const by = () => document.querySelector("[name=by]:checked").value;
const stepCount = () => (by() === "input" ? problem.inputs : problem.outputs).length;

// Step 0 to n - 1 are the steps; step n is the whole, with nothing lit.
function goTo(step) {
  state.step = Math.min(Math.max(step, 0), stepCount());
  state.cursor = state.step < stepCount() ? { by: by(), at: state.step } : null;
  find("step").max = stepCount();
  find("step").value = state.step;
  show();
}

// What the cursor lights: the products of one output cell, or of one input cell.
function lit() {
  const { axis } = problem, { by, at } = state.cursor ?? {};
  const chosen = problem.products.filter((p) =>
    by === "output" ? law.flat(p.m, axis.output) === at
      : by === "input" && law.flat(p.i, axis.input) === at);
  const keys = (name, size) => new Set(chosen.map((p) => law.flat(p[name], size)));
  const found = { by, chosen, outputs: keys("m", axis.output), inputs: keys("i", axis.input),
    taps: keys("t", axis.kernel) };
  if (by === "output") found.outputs = new Set([at]);
  if (by === "input") found.inputs = new Set([at]);
  return found;
}

// The output as far as the steps have come; all of it where a cell was pointed at.
function soFar() {
  const { axis, y } = problem, done = state.step;
  if (state.pointed || !state.cursor) return { known: () => true, value: (at) => y[at] };
  if (by() === "output") return { known: (at) => at <= done, value: (at) => y[at] };
  const sums = new Map();
  for (const p of problem.products)
    if (law.flat(p.i, axis.input) <= done) {
      const m = law.flat(p.m, axis.output);
      sums.set(m, (sums.get(m) ?? 0) + law.product(p, axis));
    }
  return { known: (at) => sums.has(at), value: (at) => sums.get(at) };
}

function show() {
  const now = lit(), { known, value } = soFar(), { axis } = problem;
  const text = (set) => new Set([...set].map(String));
  grids.x.show(text(now.inputs));
  grids.z.show(text(now.inputs));
  grids.w.show(text(now.taps));
  grids.v.show(text(now.taps));
  grids.y.show(text(now.outputs), (key) => known(Number(key)), (key) => value(Number(key)));
  const corners = [...now.inputs].map((i) => problem.inputs[i].map((one) => one * axis.stride));
  grids.y.frame(corners, axis.span);
  grids.z.frame(now.by === "output" ? [problem.outputs[[...now.outputs][0]]] : [], axis.span);
  matrix.paint(now, theme(), problem.outputs.map((_, at) => value(at)), known);
  find("sentence").replaceChildren(...sentence(now));
}

function sentence({ by, chosen, outputs, inputs }) {
  const { axis, y } = problem, name = (cell) => `[${cell.join(", ")}]`;
  const span = (said, soft) => Object.assign(document.createElement("span"), { textContent: said, className: soft ? "soft" : "" });
  if (by === "output") {
    const [at] = outputs, head = `y${name(problem.outputs[at])} = `;
    if (!chosen.length) return [span(head), span("0, no stamp reaches it", true)];
    const cells = chosen.map((p) => `x${name(p.i)}·w${name(p.t)}`).join(" + ");
    const sums = chosen.map((p) => law.factors(p, axis).join("·")).join(" + ");
    return [span(head), span(`${cells} = `, true), span(`${sums} = ${y[at]}`)];
  }
  if (by === "input") {
    const [at] = inputs, count = chosen.length;
    return [span(`x${name(problem.inputs[at])} = ${law.number(at)} `),
      span(`throws its stamp: ${count} product${count === 1 ? "" : "s"} inside the output`, true)];
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
  find("facts").replaceChildren(...Object.entries(facts).flatMap(([name, said]) => {
    const term = document.createElement("dt"), value = document.createElement("dd");
    term.textContent = name;
    value.textContent = said;
    value.id = `fact-${name.replace(" ", "-")}`;
    return [term, value];
  }));
  const { stride, dilation, lo } = axis, times = (n, letter) => (n === 1 ? letter : `${n}${letter}`);
  find("place").textContent = `${times(stride, "i")} + ${times(dilation, "t")}${lo ? ` − ${lo}` : ""}`;
}

function listWords() {
  find("words").replaceChildren(...words.say(state.settings).map(({ framework, call, whyNot }) => {
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

function theme() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const [tint, accent] = [read("tint"), read("accent")];
  return {
    paper: read("paper"), ink: read("ink"), line: read("line"), nothing: read("nothing"),
    onAccent: read("on-accent"), font: getComputedStyle(document.body).fontFamily,
    phase: (phase, count, bright) => `oklch(${bright ? accent : tint} ${hue(phase, count)})`,
  };
}

function play() {
  if (state.timer) return stop();
  state.pointed = false;
  if (state.step >= stepCount()) goTo(0);
  find("icon").setAttribute("d", "M7 5h4v14H7zM13 5h4v14h-4z");
  find("play").setAttribute("aria-label", "Pause");
  const next = () => {
    goTo(state.step + 1);
    if (state.step < stepCount()) state.timer = setTimeout(next, PAUSE[by()]);
    else stop();
  };
  state.timer = setTimeout(next, PAUSE[by()]);
  show();
}

function stop() {
  clearTimeout(state.timer);
  state.timer = null;
  find("icon").setAttribute("d", "M8 5v14l11-7z");
  find("play").setAttribute("aria-label", "Play");
}

function point(cursor) {
  if (state.timer) return;
  state.pointed = true;
  state.cursor = cursor;
  show();
}

function unpoint() {
  if (!state.pointed || state.timer) return;
  state.pointed = false;
  goTo(state.step);
}

function listen() {
  for (const [id, by] of [["x", "input"], ["z", "input"], ["y", "output"]]) {
    const over = (event) => {
      const key = grids[id].keyUnder(event);
      if (key !== undefined) point({ by, at: Number(key) });
    };
    find(id).addEventListener("pointerover", over);
    find(id).addEventListener("pointerdown", over);
    find(id).addEventListener("pointerleave", unpoint);
  }
  const over = (event) => { const cursor = matrix.under(event); if (cursor) point(cursor); };
  find("matrix").addEventListener("pointermove", over);
  find("matrix").addEventListener("pointerdown", over);
  find("matrix").addEventListener("pointerleave", unpoint);
  find("play").addEventListener("click", play);
  find("step").addEventListener("input", (event) => {
    stop();
    state.pointed = false;
    goTo(Number(event.target.value));
  });
  find("y").addEventListener("keydown", walk);
  document.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.target.closest("button, input")) return;
    event.preventDefault();
    play();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (innerWidth === width) return;
    width = innerWidth;
    matrix.layout(problem, find("matrix").parentElement.clientWidth);
    show();
  });
}

// Arrow keys walk over the output from wherever the cursor is; Escape leaves it.
function walk(event) {
  if (event.key === "Escape") return unpoint();
  const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  if (!(event.key in moves)) return;
  event.preventDefault();
  stop();
  const { axis, rank, outputs } = problem, size = axis.output;
  if (state.cursor?.by !== "output") return point({ by: "output", at: 0 });
  const [down, right] = moves[event.key], at = outputs[state.cursor.at];
  const moved = rank === 1 ? [at[0] + right + down] : [at[0] + down, at[1] + right];
  point({ by: "output", at: law.flat(moved.map((one) => Math.min(Math.max(one, 0), size - 1)), size) });
}

buildControls();
listen();
change({});
