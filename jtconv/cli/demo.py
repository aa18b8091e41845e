"""``jtconv demo``: a photograph through every method, timed and checked."""

from __future__ import annotations

import io
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import typer
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_image

import jtconv
from jtconv.cli.console import (
    Refusal,
    check_device,
    keep_existing,
    progress,
    refusals_shown,
    write,
)
from jtconv.dispatch.choose import Choice
from jtconv.typing import MethodName

KERNEL, STRIDE, SATURATION = 12, 2, 1.25
# How much each colour adds to what the eye takes for brightness (ITU-R BT.709).
LUMA = np.array([0.2126, 0.7152, 0.0722])
FOLDER = Path("jtconv-demo")
CROP = 24  # small enough for the matrix of a 12 x 12 kernel with 3 colours to fit in memory
FEWEST_RUNS, MOST_RUNS, ENOUGH_SECONDS = 3, 15, 0.5
HIGHEST = "highest"  # so that accelerators do not round the operands
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
    """Upsample a photograph by every method and compare them.

    The photograph ships with scikit-learn. It goes through the transposed convolution
    `ConvTranspose2d(3, 3, (12, 12), 2)`: 3 colours in, 3 out, a 12 x 12 kernel at stride 2, and
    nothing cropped, so H rows become (H - 1) * 2 + 12. The kernel is a Lanczos window, of which
    12 cells at stride 2 hold exactly three lobes a side, with a little colour saturation mixed
    in: the result is a smooth picture twice as large, fading out at the edges, which fewer
    products reach.

    One table compares the methods with NumPy in float64 (the largest difference anywhere, of
    values between 0 and 1) and with `jax.lax.conv_transpose`, timed in the same run. A method
    that refuses the photograph is listed with its reason, and then shown on a part of it: on one
    of its three colours, or on a few of its pixels. The method that jtconv takes where none is
    named is marked. Should any result be wrong, the exit code is 1.
    """
    with refusals_shown():
        check_device()
        paths = [out / "before.png", out / "after.png"]
        _ready(out, paths, force)
        photograph = load_sample_image("china.jpg")
        kernel = coloured(lanczos(KERNEL, STRIDE), SATURATION)
        x = photograph[None].astype(np.float32) / 255
        case = Case("the photograph", x, kernel.astype(np.float32), STRIDE)
        rows = _all_rows(case)
        Console().print(_table(rows, case))
        after = next(row.output for row in rows[1:] if row.output is not None)
        for path, pixels in zip(paths, (photograph, _pixels(after[0])), strict=True):
            write(path, _png(pixels))
            typer.echo(f"{path.stem:<6} {pixels.shape[1]} x {pixels.shape[0]}  {path}")
        _check(rows)


def _ready(out: Path, paths: list[Path], force: bool) -> None:
    keep_existing([] if out == FOLDER else paths, force)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"cannot make the folder {out}: {error.strerror or error}.") from None


def _all_rows(case: Case) -> list[Row]:
    """Every row of the benchmark, with a bar that tells which method is at work."""
    names = ["jax.lax", *jtconv.methods()]
    rows: list[Row] = []
    with progress() as bar:
        task = bar.add_task("NumPy, float64", total=1 + len(names))
        _ = case.reference
        bar.update(task, advance=1, description="jax.lax")
        for row in benchmark_rows(case):
            rows.append(row)
            done = len({row.method for row in rows})
            following = names[done] if done < len(names) else "pictures"
            bar.update(task, completed=1 + done, description=following)
    return rows


def _table(rows: list[Row], case: Case) -> Table:
    _, height, width, channels = case.x.shape
    auto = case.choice
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
    pixels: np.ndarray = np.rint(255 * values.clip(0, 1)).astype(np.uint8)
    return pixels


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _check(rows: list[Row]) -> None:
    wrong = [row.method for row in rows if not row.refusal and not row.difference <= TOLERANCE]
    if wrong:
        raise Refusal(f"{', '.join(wrong)} differ by more than {TOLERANCE} from the reference.")
    typer.echo("Every method that ran agrees with the reference.")


def lanczos(size: int, stride: int) -> np.ndarray:
    """The Lanczos window with ``size / (2 * stride)`` lobes a side, ``(size, size)``.

    Each output phase has its own share of the taps; making every share sum to one keeps a flat
    grey flat, which is what a checkerboard pattern is the absence of.
    """
    distance = (np.arange(size) - (size - 1) / 2) / stride
    taps = np.sinc(distance) * np.sinc(distance * 2 * stride / size)
    for phase in range(stride):
        taps[phase::stride] /= taps[phase::stride].sum()
    return np.outer(taps, taps)


def coloured(kernel: np.ndarray, saturation: float) -> np.ndarray:
    """``(*kernel, 3, 3)``: the kernel for each pair of colours, raising the saturation with it.

    Greys stay grey: every column of the mixture sums to one.
    """
    mixture = saturation * np.eye(3) + (1 - saturation) * LUMA[:, None]
    return kernel[:, :, None, None] * mixture


@dataclass(frozen=True)
class Row:
    """One line of the result: what ran on what, or why it did not."""

    method: str
    on: str
    difference: float = math.nan
    milliseconds: float = math.nan
    speed: float = math.nan  # jax.lax = 1
    refusal: str = ""
    output: np.ndarray | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Case:
    """``x (1, H, W, C)`` through a kernel ``w (k, k, C, O)`` at one stride, nothing cropped."""

    name: str
    x: np.ndarray
    w: np.ndarray
    stride: int

    @cached_property
    def reference(self) -> np.ndarray:
        """By NumPy in float64, one kernel cell at a time."""
        x, w = self.x.astype(np.float64), self.w.astype(np.float64)
        batch, height, width, _ = x.shape
        k, s = len(w), self.stride
        y = np.zeros((batch, (height - 1) * s + k, (width - 1) * s + k, w.shape[-1]))
        for a, b in np.ndindex(k, k):
            y[:, a : a + s * height : s, b : b + s * width : s][:, :height, :width] += x @ w[a, b]
        return y

    @cached_property
    def lax(self) -> Row:
        """What a JAX user would write today; it wants the kernel flipped."""
        strides = self.stride, self.stride
        call = partial(jax.lax.conv_transpose, strides=strides, padding="VALID", precision=HIGHEST)
        return self._measured("jax.lax", call, self.w[::-1, ::-1])

    @cached_property
    def choice(self) -> Choice:
        """The method that "auto" takes, and why."""
        plan = jtconv.explain(self.x, self.w, stride=self.stride, precision=HIGHEST)
        return plan.sides[0].choice

    def by(self, method: MethodName) -> Row:
        """This case by one method of jtconv, which may refuse it."""
        call = partial(jtconv.conv_transpose, stride=self.stride, method=method, precision=HIGHEST)
        try:
            return self._measured(method, call, self.w)
        except jtconv.Unsupported as refusal:
            return Row(method, self.name, refusal=_reason(str(refusal)))

    def _measured(self, method: str, call: Callable[..., jax.Array], w: np.ndarray) -> Row:
        operands = jax.device_put((self.x, np.ascontiguousarray(w)))
        output, milliseconds = _timed(jax.jit(call), operands)
        difference = float(np.abs(output - self.reference).max())
        speed = self.lax.milliseconds / milliseconds if method != "jax.lax" else 1.0
        return Row(method, self.name, difference, milliseconds, speed, output=output)

    def smaller(self) -> Iterator[Case]:
        """Parts of the case for a method that finds the whole too large."""
        colour = self.x[..., :1], self.w[..., :1, :1]
        yield Case(f"one colour of {self.name}", *colour, self.stride)
        top, left = (self.x.shape[1] - CROP) // 2, (self.x.shape[2] - CROP) // 2
        crop = self.x[:, top : top + CROP, left : left + CROP]
        yield Case(f"{CROP} x {CROP} pixels of {self.name}", crop, self.w, self.stride)


def benchmark_rows(case: Case) -> Iterator[Row]:
    """jax.lax, then each method; one that refuses is shown on a part it can do as well."""
    yield case.lax
    parts = list(case.smaller())
    for method in jtconv.methods():
        row = case.by(method)
        yield row
        if row.refusal:
            rows = (part.by(method) for part in parts)
            yield from [row for row in rows if not row.refusal][:1]


def _timed(call: Callable[..., jax.Array], operands: Any) -> tuple[np.ndarray, float]:
    """The result, and the median time of a few runs after one that compiles."""
    output = np.asarray(call(*operands))
    times: list[float] = []
    while len(times) < FEWEST_RUNS or (sum(times) < ENOUGH_SECONDS and len(times) < MOST_RUNS):
        start = time.perf_counter()
        call(*operands).block_until_ready()
        times.append(time.perf_counter() - start)
    return output, 1e3 * statistics.median(times)


def _reason(message: str) -> str:
    """The heart of a refusal: the table tells the rest."""
    return message.partition(": ")[2].split(". Use method=")[0]
