// The law in integers: y[s*i + d*t - lo] += x[i] * w[t] along every axis, alike on all of them.
"use strict";

const law = {
  // Settings as the sliders have them to the numbers of one axis.
  axis({ input, kernel, stride, padding, output_padding, dilation }) {
    const span = dilation * (kernel - 1) + 1;
    const full = (input - 1) * stride + span;
    const lo = padding, hi = padding - output_padding;
    return { input, kernel, stride, dilation, span, full, lo, hi, output: full - lo - hi };
  },

  // Why these settings have no output, or "".
  trouble(settings) {
    const axis = law.axis(settings);
    if (settings.output_padding >= Math.max(axis.stride, axis.dilation))
      return `output padding must be below ${Math.max(axis.stride, axis.dilation)}`;
    return axis.output < 1 ? "the padding leaves no output" : "";
  },

  // Every [i, t] whose product lands on output cell m, in order of i.
  taps(axis, m) {
    const pairs = [];
    for (let t = axis.kernel - 1; t >= 0; t--) {
      const place = m + axis.lo - axis.dilation * t;
      const i = place / axis.stride;
      if (Number.isInteger(i) && i >= 0 && i < axis.input) pairs.push([i, t]);
    }
    return pairs;
  },

  // The size of the output, in words and in numbers.
  size({ input, kernel, stride, padding, output_padding, dilation }) {
    const words = "out = (in - 1)*stride - 2*padding + dilation*(kernel - 1) + output_padding + 1";
    const { output } = law.axis({ input, kernel, stride, padding, output_padding, dilation });
    const numbers = `(${input} - 1)*${stride} - 2*${padding} + ${dilation}*(${kernel} - 1)`;
    return { words, numbers: `${numbers} + ${output_padding} + 1 = ${output}` };
  },

  // How many taps reach each output cell.
  reached(solved) {
    const counts = Array(solved.outputs.length).fill(0);
    for (const p of solved.products) counts[law.flat(p.m, solved.axis.output)]++;
    return counts;
  },

  // Fewest and most taps over the phases of the output, away from its edges.
  overlap(axis) {
    const counts = Array(axis.stride).fill(0);
    for (let t = 0; t < axis.kernel; t++) counts[(axis.dilation * t) % axis.stride]++;
    return [Math.min(...counts), Math.max(...counts)];
  },

  // Cells of a cube of `size`, as arrays of one int per axis, in row-major order.
  cells(rank, size) {
    const line = Array.from({ length: size }, (_, at) => at);
    if (rank === 1) return line.map((at) => [at]);
    return line.flatMap((row) => line.map((column) => [row, column]));
  },

  flat: (cell, size) => cell.reduce((sum, at) => sum * size + at, 0),

  phase(axis, cell) {
    const residues = cell.map((m) => ((m % axis.stride) + axis.stride) % axis.stride);
    return law.flat(residues, axis.stride);
  },

  // The small numbers that are shown for cell number `at`.
  number: (at) => (at % 9) + 1,

  // Everything about one setting: sizes, every product, and what they add up to.
  solve(settings) {
    const { rank } = settings, axis = law.axis(settings);
    const along = Array.from({ length: axis.output }, (_, m) => law.taps(axis, m));
    const outputs = law.cells(rank, axis.output), products = [];
    for (const m of outputs) {
      let pairs = [[[], []]];
      for (const at of m)
        pairs = pairs.flatMap(([i, t]) => along[at].map(([a, b]) => [[...i, a], [...t, b]]));
      for (const [i, t] of pairs) products.push({ m, i, t });
    }
    const y = Array(outputs.length).fill(0);
    for (const p of products) y[law.flat(p.m, axis.output)] += law.product(p, axis);
    const dense = (axis.output * axis.kernel) ** rank;
    const reach = Math.max(axis.stride, axis.dilation);
    const base = axis.output - settings.output_padding;
    return {
      axis, rank, outputs, products, y, dense,
      inputs: law.cells(rank, axis.input),
      taps: law.cells(rank, axis.kernel),
      phases: axis.stride ** rank,
      multiplyAdds: products.length,
      overlap: law.overlap(axis).map((count) => count ** rank),
      reachable: [Math.max(base, 1), base + reach - 1],
    };
  },

  factors: ({ i, t }, axis) => [
    law.number(law.flat(i, axis.input)), law.number(law.flat(t, axis.kernel)),
  ],

  product(p, axis) {
    const [x, w] = law.factors(p, axis);
    return x * w;
  },
};
