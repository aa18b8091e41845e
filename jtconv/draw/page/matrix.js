// The matrix on a canvas: told what is lit, like the grids.
"use strict";

// C transposed times x is y, and C itself: a canvas, as there may be fifty thousand cells.
class Matrix {
  constructor(canvas) {
    this.canvas = canvas;
  }

  layout(problem, width) {
    const rows = problem.outputs.length, columns = problem.inputs.length;
    const gap = 18, both = width > 560;
    const across = columns + 2 + (both ? rows : 0);
    const available = (width - gap * (both ? 3 : 2)) / across;
    this.cellSize = Math.max(1, Math.min(24, available, 560 / rows));
    if (this.cellSize > 3) this.cellSize = Math.floor(this.cellSize);
    const u = this.cellSize;
    this.left = { ct: 0, x: columns * u + gap, y: (columns + 1) * u + 2 * gap };
    this.left.c = this.left.y + u + gap;
    this.both = both;
    const total = (both ? this.left.c + rows * u : this.left.y + u) + 1;
    const height = Math.max(rows, columns) * u + 1;
    const sharp = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: total * sharp, height: height * sharp });
    Object.assign(this.canvas.style, { width: `${total}px`, height: `${height}px` });
    this.pen = this.canvas.getContext("2d");
    this.pen.scale(sharp, sharp);
    this.problem = problem;
  }

  paint(lit, theme, y, known) {
    const { problem, pen, left, cellSize: u } = this, { axis } = problem;
    const rows = problem.outputs.length, columns = problem.inputs.length;
    pen.clearRect(0, 0, this.canvas.width, this.canvas.height);
    pen.font = `${Math.round(u * 0.46)}px ${theme.font}`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    const box = (x, top, w, h, colour) => { pen.fillStyle = colour; pen.fillRect(x, top, w, h); };
    const cell = (x, top, colour, ink, text) => {
      const inset = u > 6 ? 1 : 0;
      box(x + inset, top + inset, u - 2 * inset, u - 2 * inset, colour);
      if (u < 15) return;
      pen.fillStyle = ink;
      pen.fillText(text, x + u / 2, top + u / 2 + 0.5);
    };
    box(left.ct, 0, columns * u, rows * u, theme.nothing);
    if (this.both) box(left.c, 0, rows * u, columns * u, theme.nothing);
    for (const p of problem.products) {
      const m = law.flat(p.m, axis.output), i = law.flat(p.i, axis.input);
      const bright = lit.outputs.has(m) && lit.inputs.has(i);
      const colour = theme.phase(law.phase(axis, p.m), problem.phases, bright);
      const ink = bright ? theme.onAccent : theme.ink;
      const [, w] = law.factors(p, axis);
      cell(left.ct + i * u, m * u, colour, ink, w);
      if (this.both) cell(left.c + m * u, i * u, colour, ink, w);
    }
    for (let i = 0; i < columns; i++) {
      const bright = lit.inputs.has(i);
      cell(left.x, i * u, bright ? theme.ink : theme.line, bright ? theme.paper : theme.ink,
        law.number(i));
    }
    problem.outputs.forEach((m, at) => {
      const bright = lit.outputs.has(at);
      const colour = theme.phase(law.phase(axis, m), problem.phases, bright);
      cell(left.y, at * u, known(at) || bright ? colour : theme.nothing,
        bright ? theme.onAccent : theme.ink, known(at) ? y[at] : "");
    });
    pen.strokeStyle = theme.ink;
    pen.lineWidth = 1.5;
    const line = (x, top, w, h) => pen.strokeRect(x + 0.75, top + 0.75, w - 1.5, h - 1.5);
    if (lit.by === "output") {
      const [m] = lit.outputs;
      line(left.ct, m * u, columns * u, u);
      if (this.both) line(left.c + m * u, 0, u, columns * u);
    } else if (lit.by === "input") {
      const [i] = lit.inputs;
      line(left.ct + i * u, 0, u, rows * u);
      if (this.both) line(left.c, i * u, rows * u, u);
    }
  }

  // Which cell of the matrix, of x or of y is under the pointer: {by, at}, or null.
  under(event) {
    const { left, cellSize: u, problem } = this, frame = this.canvas.getBoundingClientRect();
    const x = event.clientX - frame.left, down = Math.floor((event.clientY - frame.top) / u);
    const rows = problem.outputs.length, columns = problem.inputs.length;
    const output = (at) => (at >= 0 && at < rows ? { by: "output", at } : null);
    if (x < left.x - 9) return output(down);
    if (x < left.x + u) return down < columns ? { by: "input", at: down } : null;
    if (x < left.y + u) return output(down);
    return this.both && down < columns ? output(Math.floor((x - left.c) / u)) : null;
  }
}
