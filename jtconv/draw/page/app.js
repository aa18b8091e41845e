// The page: `state` is all there is to know; here it meets the pointer and the keys.
"use strict";

const find = (id) => document.getElementById(id);
const state = { settings: { ...START, ...fromAddress() }, cursor: null, step: 0, timer: null };
let problem, grids;
const matrix = new Matrix(find("matrix"));

function listen() {
  for (const [id, by] of [["x", "input"], ["z", "input"], ["y", "output"], ["n", "output"]]) {
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
  find("y").addEventListener("keydown", moveCursor);
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

// Arrow keys move over the output from wherever the cursor is; Escape leaves it.
function moveCursor(event) {
  if (event.key === "Escape") return unpoint();
  const directions = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  if (!(event.key in directions)) return;
  event.preventDefault();
  stop();
  const { axis, rank, outputs } = problem, size = axis.output;
  if (state.cursor?.by !== "output") return point({ by: "output", at: 0 });
  const [down, right] = directions[event.key], at = outputs[state.cursor.at];
  const moved = rank === 1 ? [at[0] + right + down] : [at[0] + down, at[1] + right];
  point({ by: "output", at: law.flat(moved.map((one) => Math.min(Math.max(one, 0), size - 1)), size) });
}

buildControls();
listen();
change({});
