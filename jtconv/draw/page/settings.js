// The sliders: what they offer, where they stand, and the address that remembers it.
// START is where the page was made to start: sliders reach it, however far it is.
"use strict";

const SLIDERS = {
  input: ["input", 1, 8], kernel: ["kernel", 1, 6], stride: ["stride", 1, 4],
  padding: ["padding", 0, 6], output_padding: ["output padding", 0, 3], dilation: ["dilation", 1, 3],
};

for (const [name, range] of Object.entries(SLIDERS)) range[2] = Math.max(range[2], START[name]);

// The settings live in the address, so that a link or a reload keeps them.
function fromAddress() {
  const pairs = new URLSearchParams(location.hash.slice(1));
  const known = [...pairs].filter(([name, value]) => (name === "rank" || name in SLIDERS) && /^\d+$/.test(value));
  return Object.fromEntries(known.map(([name, value]) => [name, Number(value)]));
}

function inAddress() {
  return ["rank", ...Object.keys(SLIDERS)].map((name) => [name, state.settings[name]]);
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
  const usual = settings.rank === 1 ? 8 : 6;
  const widest = settings.rank === START.rank ? Math.max(usual, START.input) : usual;
  return { output_padding: extra, padding: most, input: widest };
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
  history.replaceState(null, "", `#${new URLSearchParams(inAddress())}`);
  stop();
  rebuild();
}
