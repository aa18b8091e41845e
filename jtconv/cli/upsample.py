"""``jtconv upsample``: the user's own picture, larger, through one transposed convolution.

It is computed a tile of rows at a time.  A smooth kernel is made to keep brightness: the result
is divided by that of a picture of ones, so that neither the edges nor the phases of the stride
leave a pattern, and colours are weighted by their opacity, so that what is hidden under
transparent pixels does not leak out.  Random weights are shown as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import typer

import jtconv
from jtconv.cli.console import (
    Refusal,
    WrongUsage,
    check_device,
    keep_existing,
    progress,
    refusals_shown,
    write,
)
from jtconv.cli.picture import export, read, writable_format

TILE_BYTES = 2**27  # of products of x and w, were a method to hold them all at once
Layer = Callable[[np.ndarray, np.ndarray], np.ndarray]

EPILOG = """
**Examples**

- `jtconv upsample photo.jpg` — twice as large, into `photo-2x.jpg`

- `jtconv upsample scan.tif -o scan.png --stride 4` — four times as large

- `jtconv upsample photo.jpg --kernel 8` — smoother: a tent twice as wide

- `jtconv upsample photo.jpg --kernel 3 --init random --seed 7` — the checkerboard of an
untrained layer whose kernel is no multiple of its stride
"""


INITS = ("bilinear", "random")


def _known(init: str) -> str:
    if init not in INITS:
        raise typer.BadParameter(f"{init!r} is not one of {', '.join(INITS)}.")
    return init


def run(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Any picture Pillow can open.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write.  [default: IMAGE-2x next to IMAGE]"),
    ] = None,
    kernel: Annotated[
        int | None,
        typer.Option(
            "--kernel",
            "-k",
            min=1,
            max=64,
            help="Side of the kernel, at least the stride.  [default: 2 * stride, "
            "or 2 * stride - 1 where the stride is odd]",
        ),
    ] = None,
    stride: Annotated[
        int, typer.Option("--stride", "-s", min=1, max=32, help="How many times larger.")
    ] = 2,
    init: Annotated[
        str,
        typer.Option(
            "--init",
            metavar=f"[{'|'.join(INITS)}]",
            callback=_known,
            help="bilinear: interpolation. random: a layer untrained.",
        ),
    ] = INITS[0],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the random kernel.")] = 0,
    limit: Annotated[
        float, typer.Option("--limit", min=0, help="Largest result, in millions of pixels.")
    ] = 200,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file to write.")] = False,
) -> None:
    """Enlarge a picture of your own.

    The picture goes through one transposed convolution, cropped so that H x W pixels become
    stride * H x stride * W. Mode and depth are kept where the format can hold them: grey, colour,
    CMYK, 16-bit and floating-point pictures stay what they are, and 1-bit pictures stay black and
    white. Palettes become full colour, transparent pixels lend no colour to their neighbours, and
    the EXIF orientation is applied. Of an animation the first frame is taken. Whatever could not
    be kept is told.

    The bilinear kernel interpolates; a larger one is smoother. The random kernel shows what a
    layer computes before it is trained.
    """
    with refusals_shown():
        check_device()
        if image.is_dir():
            raise Refusal(f"{image} is a folder; name a picture in it.")
        size = _kernel_size(kernel, stride)
        path = out or _default_path(image, stride)
        _check_name(path)
        keep_existing([path], force)
        small = read(image, limit * 1e6 / stride**2)
        with progress() as bar:
            task = bar.add_task("upsampling", total=100)
            planes = upsampled(
                small.planes,
                has_alpha=small.has_alpha,
                size=size,
                stride=stride,
                seed=seed if init == "random" else None,
                advance=lambda share: bar.update(task, completed=round(100 * share)),
            )
        large = replace(small, planes=planes)
        data, mode, notes = export(large, path)
        write(path, data)
        for note in (*small.notes, *notes):
            typer.echo(f"Note: {note}.")
        (height, width, _), (tall, wide, _) = small.planes.shape, large.planes.shape
        typer.echo(f"{width} x {height} to {wide} x {tall}, mode {mode}: {path}")


def _kernel_size(kernel: int | None, stride: int) -> int:
    size = 2 * stride - stride % 2 if kernel is None else kernel
    if size < stride:
        raise WrongUsage(
            f"a kernel of {size} leaves gaps at stride {stride}; --kernel must be {stride} or more."
        )
    return size


def _default_path(image: Path, stride: int) -> Path:
    """``photo-2x.jpg`` for ``photo.jpg``; PNG where the format can only be read."""
    suffix = image.suffix if writable_format(image) else ".png"
    return image.with_name(f"{image.stem}-{stride}x{suffix}")


def _check_name(path: Path) -> None:
    if not path.is_dir() and writable_format(path) is None:
        raise WrongUsage(f"{path.name} has no ending of a picture format; try .png, .jpg or .tif.")
    if not path.parent.is_dir():
        raise Refusal(f"there is no folder {path.parent} to write into.")


def upsampled(
    planes: np.ndarray,
    *,
    has_alpha: bool,
    size: int,
    stride: int,
    seed: int | None = None,
    advance: Callable[[float], None] = lambda share: None,
) -> np.ndarray:
    """``(H, W, bands)`` to ``(H * stride, W * stride, bands)``, in the dtype it came in.

    The kernel is bilinear, or random with `seed`.  `advance` is told what share is done.
    """
    height, width, bands = planes.shape
    top = 1.0 if planes.dtype.kind == "f" else float(np.iinfo(planes.dtype).max)
    layer = partial(_smooth, has_alpha=has_alpha, top=top, size=size, stride=stride)
    if seed is not None:
        kernel = _untrained(size, stride, bands - has_alpha, seed)
        layer = partial(_random, smooth=layer, kernel=kernel, top=top, stride=stride)
    large = np.empty((height * stride, width * stride, bands), planes.dtype)
    rows = _rows_a_tile(planes, size)
    for start, tile, inside in _row_tiles(planes, rows, _halo(size, stride)):
        part = large[start * stride : (start + rows) * stride]
        part[:] = _as_stored(layer(tile, inside)[: len(part)], planes.dtype)
        advance(min(1.0, (start + rows) / height))
    return large


def _rows_a_tile(planes: np.ndarray, size: int) -> int:
    height, width, bands = planes.shape
    rows: int = TILE_BYTES // (4 * width * (bands + 2) * size**2)
    return max(1, min(int(height), rows))


def _halo(size: int, stride: int) -> int:
    """Rows to either side whose products reach into a tile."""
    return -(-size // stride)


def _row_tiles(
    planes: np.ndarray, rows: int, halo: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Where a tile starts, its rows with a halo, and 1 where these are inside the picture.

    All tiles have one shape, so that XLA compiles once.
    """
    height, width, bands = planes.shape
    for start in range(0, height, rows):
        wanted = range(start - halo, start + rows + halo)
        first, last = max(wanted.start, 0), min(wanted.stop, height)
        there = slice(first - wanted.start, last - wanted.start)
        tile = np.zeros((len(wanted), width, bands), np.float32)
        inside = np.zeros((len(wanted), width, 1), np.float32)
        tile[there], inside[there] = planes[first:last], 1
        yield start, tile, inside


def _smooth(
    tile: np.ndarray, inside: np.ndarray, *, has_alpha: bool, top: float, size: int, stride: int
) -> np.ndarray:
    """Colour is sum(w * opacity * colour) / sum(w * opacity)."""
    colour, opacity = (tile[..., :-1], tile[..., -1:] / top) if has_alpha else (tile, inside)
    stack = np.concatenate([colour * opacity, opacity, inside], axis=-1)
    kernel = np.repeat(bilinear(size)[:, :, None, None], stack.shape[-1], axis=-1)
    y = np.asarray(_conv_transpose(stack, kernel, stride))
    weighted, opacity, ones = y[..., :-2], y[..., -2:-1], y[..., -1:]
    colour = np.zeros_like(weighted)
    np.divide(weighted, opacity, out=colour, where=opacity > 0)
    if not has_alpha:
        return colour
    alpha = np.divide(opacity, ones, out=np.zeros_like(ones), where=ones > 0)
    return np.concatenate([colour, top * alpha], axis=-1)


def _random(
    tile: np.ndarray,
    inside: np.ndarray,
    *,
    smooth: Layer,
    kernel: np.ndarray,
    top: float,
    stride: int,
) -> np.ndarray:
    """Colours mixed by the kernel about middle grey; opacity is no colour, and stays smooth."""
    bands, middle = kernel.shape[-1], top / 2
    mixed = middle + np.asarray(
        _conv_transpose((tile[..., :bands] - middle) * inside, kernel, stride)
    )
    if tile.shape[-1] == bands:
        return mixed
    return np.concatenate([mixed, smooth(tile, inside)[..., bands:]], axis=-1)


@partial(jax.jit, static_argnums=2)
def _conv_transpose(tile: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Cropped to ``stride`` times what is inside the halo; compiled once for all tiles."""
    size, groups = len(kernel), tile.shape[-1] // kernel.shape[-2]
    before = (size - stride) // 2
    sides, halo = (before, size - stride - before), stride * _halo(size, stride)
    return jtconv.conv_transpose(
        tile[None],
        kernel.astype(np.float32),
        stride=stride,
        padding=((sides[0] + halo, sides[1] + halo), sides),
        groups=groups,
        precision="highest",
    )[0]


def _as_stored(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind == "f":
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    # float64, as float32 has no 2**31 - 1 to clip to
    return np.rint(np.clip(values.astype(np.float64), limits.min, limits.max)).astype(dtype)


def bilinear(size: int) -> np.ndarray:
    """The tent of linear interpolation, ``(size, size)``; `size` 2s for an even stride s.

    >>> bilinear(4)[0] / bilinear(4)[0, 0]
    array([1., 3., 3., 1.])
    """
    tent = 1 - np.abs(np.arange(size) - (size - 1) / 2) / ((size + 1) // 2)
    return np.outer(tent, tent)


def _untrained(size: int, stride: int, channels: int, seed: int) -> np.ndarray:
    """Random weights ``(size, size, channels, channels)``, as a new layer has before training.

    An output cell sums ``channels * (size / stride)**2`` products, so this spread keeps the
    contrast of what goes in.
    """
    spread = stride / (size * np.sqrt(channels))
    return np.random.default_rng(seed).normal(0, spread, (size, size, channels, channels))
