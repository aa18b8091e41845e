// The same layer as every framework writes it: what jtconv/conventions does in Python.
"use strict";

const conventions = {
  // One call for each framework, or why it has none.
  toText(settings) {
    const axis = law.axis(settings);
    return Object.entries(conventions.frameworks).map(([framework, write]) => {
      const [call, whyNot] = write(settings, axis, settings.rank);
      return { framework, call, whyNot };
    });
  },

  // A call, without the arguments that are as the defaults have them.
  call(name, positional, keywords, defaults) {
    const given = Object.entries(keywords).filter(([key, value]) => value !== defaults[key]);
    return `${name}(${[...positional, ...given.map(([key, value]) => `${key}=${value}`)].join(", ")})`;
  },

  bool: (value) => (value ? "True" : "False"),
  all: (rank, value) => Array(rank).fill(value).join(", "),
  list: (rank, value) => `[${conventions.all(rank, value)}]`,
  tuple: (rank, value) => `(${conventions.all(rank, value)}${rank === 1 ? "," : ""})`,
  space: (rank) => (rank === 1 ? "W" : "HW"),

  // What Keras crops for one of its names, D being the effective kernel.
  keras(name, extra, { span, stride }) {
    if (name === "valid") return [0, extra === null ? Math.min(span - stride, 0) : -extra];
    if (extra === null) {
      const lo = Math.floor(Math.max(span - stride, 0) / 2);
      return [lo, span - stride - lo];
    }
    const total = span - (span % 2) - extra, lo = Math.max(Math.floor(total / 2), 0);
    return [lo, total - lo];
  },

  frameworks: {
    jtconv(s) {
      const { stride, padding, output_padding, dilation } = s;
      const defaults = { stride: 1, padding: 0, output_padding: 0, dilation: 1, flip_kernel: "False" };
      const keywords = { stride, padding, output_padding, dilation,
        flip_kernel: conventions.bool(s.flip_kernel) };
      return [conventions.call("jtconv.conv_transpose", s.bias ? ["x", "w", "bias"] : ["x", "w"], keywords,
        defaults)];
    },

    torch(s, axis, rank) {
      const { stride, padding, output_padding, dilation } = s;
      const defaults = { stride: 1, padding: 0, output_padding: 0, dilation: 1, bias: "True" };
      const keywords = { stride, padding, output_padding, dilation, bias: conventions.bool(s.bias) };
      return [conventions.call(`torch.nn.ConvTranspose${rank}d`, [...s.channels, s.kernel], keywords,
        defaults)];
    },

    keras(s, axis, rank) {
      if (s.stride > 1 && s.dilation > 1)
        return [null, "Keras takes strides or dilation_rate, not both"];
      const extras = [null, ...Array(s.stride).keys()];
      for (const name of ["valid", "same"])
        for (const extra of extras) {
          const [lo, hi] = conventions.keras(name, extra, axis);
          if (lo !== axis.lo || hi !== axis.hi) continue;
          const defaults = { strides: 1, padding: '"valid"', output_padding: null, dilation_rate: 1,
            use_bias: "True" };
          const keywords = { strides: s.stride, padding: `"${name}"`, output_padding: extra,
            dilation_rate: s.dilation, use_bias: conventions.bool(s.bias) };
          return [conventions.call(`keras.layers.Conv${rank}DTranspose`,
            [s.channels[1], s.kernel], keywords, defaults)];
        }
      const pairs = Array(rank).fill(`(${axis.lo}, ${axis.hi})`).join(", ");
      return [null, `no padding name of Keras crops ${pairs}`];
    },

    lax(s, axis, rank) {
      const space = conventions.space(rank), pads = conventions.pads(axis, rank);
      const keywords = {
        strides: conventions.list(rank, s.stride), padding: pads,
        rhs_dilation: s.dilation === 1 ? 1 : conventions.list(rank, s.dilation),
        dimension_numbers: `("N${space}C", "${space}${s.flip_kernel ? "IO" : "OI"}", "N${space}C")`,
        transpose_kernel: conventions.bool(!s.flip_kernel),
      };
      return [conventions.call("jax.lax.conv_transpose", ["x", "w"], keywords, { rhs_dilation: 1 })];
    },

    flax(s, axis, rank) {
      const same = conventions.keras("same", null, axis), valid = conventions.keras("valid", null, axis);
      const makes = ([lo, hi]) => lo === axis.lo && hi === axis.hi;
      const padding = makes(same) ? '"SAME"' : makes(valid) ? '"VALID"' : conventions.pads(axis, rank);
      const keywords = { strides: s.stride, padding, kernel_dilation: s.dilation,
        transpose_kernel: conventions.bool(!s.flip_kernel), use_bias: conventions.bool(s.bias),
        rngs: "rngs" };
      const defaults = { strides: 1, padding: '"SAME"', kernel_dilation: 1,
        transpose_kernel: "False", use_bias: "True" };
      return [conventions.call("flax.nnx.ConvTranspose",
        [...s.channels, conventions.tuple(rank, s.kernel)], keywords, defaults)];
    },

    onnx(s, axis, rank) {
      const extra = Math.max(-axis.hi, 0);
      const pads = `[${[conventions.all(rank, axis.lo), conventions.all(rank, axis.hi + extra)].join(", ")}]`;
      const keywords = { strides: conventions.list(rank, s.stride), pads,
        output_padding: conventions.list(rank, extra), dilations: conventions.list(rank, s.dilation) };
      const defaults = { strides: conventions.list(rank, 1), pads: conventions.list(2 * rank, 0),
        output_padding: conventions.list(rank, 0), dilations: conventions.list(rank, 1) };
      return [conventions.call("onnx.helper.make_node",
        ['"ConvTranspose"', s.bias ? '["X", "W", "B"]' : '["X", "W"]', '["Y"]'], keywords, defaults)];
    },
  },

  pads(axis, rank) {
    const pair = `(${axis.span - 1 - axis.lo}, ${axis.span - 1 - axis.hi})`;
    return conventions.list(rank, pair);
  },
};
