"""``jtconv demo``: a photograph through every method, timed and checked."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_image

import jtconv
from jtconv.cli.console import Refusal, keep_existing, progress, refusals_shown, say, write
from jtconv.cli.contest import Problem, Row, contest
from jtconv.cli.kernels import coloured, lanczos

KERNEL, STRIDE, SATURATION = 12, 2, 1.25
FOLDER = Path("jtconv-demo")
TOLERANCE = 1e-4  # of values between 0 and 1, in float32
EPILOG = """
**Examples**

- `jtconv demo` — the pictures go to the folder `jtconv-demo`, each time anew

- `jtconv demo --out pictures --force` — elsewhere, and over what is there
"""


def run(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the pictures; made if missing.")
    ] = FOLDER,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite pictures in a folder that you named.")
    ] = False,
) -> None:
    """Enlarge a photograph by every method and compare them.

    The photograph ships with scikit-learn. It goes through the transposed convolution
    `ConvTranspose2d(3, 3, (12, 12), 2)`: 3 colours in, 3 out, a 12 x 12 kernel at stride 2, and
    nothing cropped, so H rows become (H - 1) * 2 + 12. The kernel is a Lanczos window, of which
    12 cells at stride 2 hold exactly three lobes a side, with a little colour saturation mixed
    in: the result is a smooth picture twice as large, fading out at the edges where stamps are
    missing.

    One table compares the methods with NumPy in float64 (the largest difference anywhere, of
    values between 0 and 1) and with `jax.lax.conv_transpose`, timed in the same run. A method
    that refuses the photograph is listed with its reason, and then shown on a part of it: on one
    of its three colours, or on a few of its pixels. The method that jtconv takes where none is
    named is marked. Should any result be wrong, the exit code is 1.
    """
    with refusals_shown():
        paths = [out / "before.png", out / "after.png"]
        _ready(out, paths, force)
        photograph = load_sample_image("china.jpg")
        kernel = coloured(lanczos(KERNEL, STRIDE), SATURATION)
        x = photograph[None].astype(np.float32) / 255
        problem = Problem("the photograph", x, kernel.astype(np.float32), STRIDE)
        rows = _all_rows(problem)
        Console().print(_table(rows, problem))
        after = next(row.output for row in rows[1:] if row.output is not None)
        for path, pixels in zip(paths, (photograph, _pixels(after[0])), strict=True):
            write(path, _png(pixels))
            say(f"{path.stem:<6} {pixels.shape[1]} x {pixels.shape[0]}  {path}")
        _check(rows)


def _ready(out: Path, paths: list[Path], force: bool) -> None:
    keep_existing([] if out == FOLDER else paths, force)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"cannot make the folder {out}: {error.strerror or error}.") from None


def _all_rows(problem: Problem) -> list[Row]:
    """Every row of the contest, with a bar that tells which method is at work."""
    names = ["jax.lax", *jtconv.methods()]
    rows: list[Row] = []
    with progress() as bar:
        task = bar.add_task("NumPy, float64", total=1 + len(names))
        _ = problem.reference
        bar.update(task, advance=1, description="jax.lax")
        for row in contest(problem):
            rows.append(row)
            done = len({row.method for row in rows})
            following = names[done] if done < len(names) else "pictures"
            bar.update(task, completed=1 + done, description=following)
    return rows


def _table(rows: list[Row], problem: Problem) -> Table:
    _, height, width, channels = problem.x.shape
    auto = problem.choice
    table = Table(
        title=f"{width} x {height} x {channels}, kernel {KERNEL} x {KERNEL}, stride {STRIDE}",
        caption="difference: from NumPy in float64; ms: median after warm-up\n"
        f"auto takes {auto.method}: {auto.reason}",
    )
    table.add_column("method", no_wrap=True)
    table.add_column("on, or why not")
    for name in ("max difference", "ms", "speed\n(lax = 1)"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        mark = " (auto)" if row.method == auto.method else ""
        table.add_row(f"{row.method}{mark}", *_cells(row))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    if row.refusal:
        return (f"refuses: {row.refusal}", "-", "-", "-")
    return (row.on, f"{row.difference:.1e}", f"{row.milliseconds:.1f}", f"{row.speed:.2f}")


def _pixels(values: np.ndarray) -> np.ndarray:
    """Values between 0 and 1 as bytes; a sharp kernel overshoots a little at edges."""
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _check(rows: list[Row]) -> None:
    wrong = [row.method for row in rows if not row.refusal and not row.difference <= TOLERANCE]
    if wrong:
        raise Refusal(f"{', '.join(wrong)} differ by more than {TOLERANCE} from the reference.")
    say("Every method that ran agrees with the reference.")
