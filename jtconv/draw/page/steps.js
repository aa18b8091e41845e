// Where the steps stand and what they light, in all views at once.
"use strict";

const PAUSE = { input: 900, output: 350 };
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
  grids.n.show(text(now.outputs));
  grids.y.show(text(now.outputs), (key) => known(Number(key)), (key) => value(Number(key)));
  const corners = [...now.inputs].map((i) => problem.inputs[i].map((one) => one * axis.stride));
  grids.y.frame(corners, axis.span);
  grids.z.frame(now.by === "output" ? [problem.outputs[[...now.outputs][0]]] : [], axis.span);
  matrix.paint(now, theme(), problem.outputs.map((_, at) => value(at)), known);
  find("sentence").replaceChildren(...sentence(now));
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
