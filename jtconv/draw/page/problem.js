// One problem as cells to draw: rebuilt whenever a slider moves.
"use strict";

const canvasSize = (axis) => Math.max(axis.full, axis.lo + axis.output);

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
  const flip = (at) => at.map((one) => axis.kernel - 1 - one);
  grids = {
    x: new Grid(find("x"), rank, axis.input, number(problem.inputs, axis.input), phases),
    w: new Grid(find("w"), rank, axis.span, kernel.map((c) => ({ ...c, at: spread(c.at) })), phases),
    v: new Grid(find("v"), rank, axis.span, kernel.map((c) => ({ ...c, at: spread(flip(c.at)) })), phases),
    y: new Grid(find("y"), rank, canvasSize(axis), outputCells(), phases),
    n: new Grid(find("n"), rank, axis.output, tapCounts(), phases),
    z: new Grid(find("z"), rank, axis.output + axis.span - 1, dilatedCells(), phases),
  };
  matrix.layout(problem, find("matrix").parentElement.clientWidth);
  listFacts();
  listLegend();
  listConventions();
  state.cursor = null;
  goTo(stepCount());
}

// The full output with what the padding crops from it.
function outputCells() {
  const { axis, rank } = problem;
  return law.cells(rank, canvasSize(axis)).map((at) => {
    const m = at.map((one) => one - axis.lo);
    if (m.some((one) => one < 0 || one >= axis.output)) return { at, kind: "cut", value: m.join(",") };
    const flat = law.flat(m, axis.output), value = problem.y[flat];
    const long = String(value).length > 3 ? " long" : "";
    return { at, value, key: String(flat), kind: `phase${long}`, phase: law.phase(axis, m) };
  });
}

// How many taps reach each cell of the output: where this is uneven there is a checkerboard.
function tapCounts() {
  const { axis, outputs } = problem, counts = law.reached(problem);
  return outputs.map((at, flat) => ({ at, value: counts[flat], kind: "phase", phase: law.phase(axis, at),
    key: String(flat) }));
}

// The input dilated: zeros between and around its cells, less what the padding crops.
function dilatedCells() {
  const { axis, rank } = problem, before = axis.span - 1 - axis.lo;
  return law.cells(rank, axis.output + axis.span - 1).map((at) => {
    const i = at.map((one) => (one - before) / axis.stride);
    if (!i.every((one) => Number.isInteger(one) && one >= 0 && one < axis.input))
      return { at, value: 0, kind: "zero" };
    const flat = law.flat(i, axis.input);
    return { at, value: law.number(flat), key: String(flat), kind: "" };
  });
}
