"""``jtconv upsample``: the user's own picture, larger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jtconv.cli.console import Refusal, keep_existing, progress, refusals_shown, say, write
from jtconv.cli.encode import encode, writable_format
from jtconv.cli.enlarge import enlarge
from jtconv.cli.picture import Picture, read

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
        typer.Option("--out", "-o", help="File to write.  [default: IMAGE-2x beside IMAGE]"),
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
    be kept is said.

    The bilinear kernel interpolates; a larger one is smoother. The random kernel shows what a
    layer computes before it is trained.
    """
    with refusals_shown():
        size = _kernel_size(kernel, stride)
        path = out or _beside(image, stride)
        _check_name(path)
        keep_existing([path], force)
        small = read(image, limit * 1e6 / stride**2)
        large = _enlarged(small, size, stride, seed if init == "random" else None)
        data, mode, notes = encode(large, path)
        write(path, data)
        for note in (*small.notes, *notes):
            say(f"Note: {note}.")
        (height, width, _), (tall, wide, _) = small.planes.shape, large.planes.shape
        say(f"{width} x {height} to {wide} x {tall}, mode {mode}: {path}")


def _kernel_size(kernel: int | None, stride: int) -> int:
    size = 2 * stride - stride % 2 if kernel is None else kernel
    if size < stride:
        raise Refusal(
            f"a kernel of {size} leaves gaps at stride {stride}; --kernel must be {stride} or more."
        )
    return size


def _beside(image: Path, stride: int) -> Path:
    """``photo-2x.jpg`` for ``photo.jpg``; PNG where the format can only be read."""
    suffix = image.suffix if writable_format(image) else ".png"
    return image.with_name(f"{image.stem}-{stride}x{suffix}")


def _check_name(path: Path) -> None:
    if not path.is_dir() and writable_format(path) is None:
        raise Refusal(f"{path.name} has no ending of a picture format; try .png, .jpg or .tif.")
    if not path.parent.is_dir():
        raise Refusal(f"there is no folder {path.parent} to write into.")


def _enlarged(small: Picture, size: int, stride: int, seed: int | None) -> Picture:
    with progress() as bar:
        task = bar.add_task("enlarging", total=100)
        planes = enlarge(
            small.planes,
            has_alpha=small.has_alpha,
            size=size,
            stride=stride,
            seed=seed,
            advance=lambda share: bar.update(task, completed=round(100 * share)),
        )
    return Picture(planes, small.mode, small.exif, small.profile)
