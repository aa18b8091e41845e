// The same layer in the words of every framework, as jtconv/words says it.
"use strict";

const words = {
  channels: [16, 32],

  say(settings) {
    const axis = law.axis(settings);
    return Object.entries(words.speakers).map(([framework, speak]) => {
      const [call, whyNot] = speak(settings, axis, settings.rank);
      return { framework, call, whyNot };
    });
  },

  // A call without what goes without saying.
  call(name, positional, keywords, defaults) {
    const said = Object.entries(keywords).filter(([key, value]) => value !== defaults[key]);
    return `${name}(${[...positional, ...said.map(([key, value]) => `${key}=${value}`)].join(", ")})`;
  },

  all: (rank, value) => Array(rank).fill(value).join(", "),
  list: (rank, value) => `[${words.all(rank, value)}]`,
  tuple: (rank, value) => `(${words.all(rank, value)}${rank === 1 ? "," : ""})`,
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

  speakers: {
    jtconv(s) {
      const { stride, padding, output_padding, dilation } = s;
      const defaults = { stride: 1, padding: 0, output_padding: 0, dilation: 1 };
      const keywords = { stride, padding, output_padding, dilation };
      return [words.call("jtconv.conv_transpose", ["x", "w", "bias"], keywords, defaults)];
    },

    torch(s, axis, rank) {
      const { stride, padding, output_padding, dilation } = s;
      const defaults = { stride: 1, padding: 0, output_padding: 0, dilation: 1 };
      return [words.call(`torch.nn.ConvTranspose${rank}d`, [...words.channels, s.kernel],
        { stride, padding, output_padding, dilation }, defaults)];
    },

    keras(s, axis, rank) {
      if (s.stride > 1 && s.dilation > 1)
        return [null, "Keras takes strides or dilation_rate, not both"];
      const extras = [null, ...Array(s.stride).keys()];
      for (const name of ["valid", "same"])
        for (const extra of extras) {
          const [lo, hi] = words.keras(name, extra, axis);
          if (lo !== axis.lo || hi !== axis.hi) continue;
          const defaults = { strides: 1, padding: '"valid"', output_padding: null, dilation_rate: 1 };
          const keywords = { strides: s.stride, padding: `"${name}"`, output_padding: extra,
            dilation_rate: s.dilation };
          return [words.call(`keras.layers.Conv${rank}DTranspose`,
            [words.channels[1], s.kernel], keywords, defaults)];
        }
      const pairs = Array(rank).fill(`(${axis.lo}, ${axis.hi})`).join(", ");
      return [null, `no padding name of Keras crops ${pairs}`];
    },

    lax(s, axis, rank) {
      const space = words.space(rank), pads = words.pads(axis, rank);
      const keywords = {
        strides: words.list(rank, s.stride), padding: pads,
        rhs_dilation: s.dilation === 1 ? 1 : words.list(rank, s.dilation),
        dimension_numbers: `("N${space}C", "${space}OI", "N${space}C")`, transpose_kernel: "True",
      };
      return [words.call("jax.lax.conv_transpose", ["x", "w"], keywords, { rhs_dilation: 1 })];
    },

    flax(s, axis, rank) {
      const same = words.keras("same", null, axis), valid = words.keras("valid", null, axis);
      const makes = ([lo, hi]) => lo === axis.lo && hi === axis.hi;
      const padding = makes(same) ? '"SAME"' : makes(valid) ? '"VALID"' : words.pads(axis, rank);
      const keywords = { strides: s.stride, padding, kernel_dilation: s.dilation,
        transpose_kernel: "True", rngs: "rngs" };
      const defaults = { strides: 1, padding: '"SAME"', kernel_dilation: 1 };
      return [words.call("flax.nnx.ConvTranspose",
        [...words.channels, words.tuple(rank, s.kernel)], keywords, defaults)];
    },

    onnx(s, axis, rank) {
      const extra = Math.max(-axis.hi, 0);
      const pads = `[${[words.all(rank, axis.lo), words.all(rank, axis.hi + extra)].join(", ")}]`;
      const keywords = { strides: words.list(rank, s.stride), pads,
        output_padding: words.list(rank, extra), dilations: words.list(rank, s.dilation) };
      const defaults = { strides: words.list(rank, 1), pads: words.list(2 * rank, 0),
        output_padding: words.list(rank, 0), dilations: words.list(rank, 1) };
      return [words.call("onnx.helper.make_node",
        ['"ConvTranspose"', '["X", "W", "B"]', '["Y"]'], keywords, defaults)];
    },
  },

  pads(axis, rank) {
    const pair = `(${axis.span - 1 - axis.lo}, ${axis.span - 1 - axis.hi})`;
    return words.list(rank, pair);
  },
};
