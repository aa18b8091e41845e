"""Scenes as pixels, by Pillow: PNG, and GIF that moves."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from jtconv.draw.scene import Box, Label, Scene

Colour = tuple[int, int, int]
FINER = 2  # painted larger by this and shrunk, for smooth corners


def picture(scene: Scene) -> Image.Image:
    """One frame."""
    size = scene.width * FINER, scene.height * FINER
    image = Image.new("RGB", size, scene.paper)
    pen = ImageDraw.Draw(image)
    for shape in scene.shapes:
        if isinstance(shape, Box):
            _box(pen, shape)
        else:
            _label(pen, shape)
    return image.resize((scene.width, scene.height), Image.Resampling.LANCZOS)


def png(scenes: Sequence[Scene]) -> bytes:
    """One frame, or all of them on a sheet."""
    columns = min(len(scenes), max(1, math.ceil(math.sqrt(len(scenes) * 1.5 / _shape(scenes[0])))))
    width, height = scenes[0].width, scenes[0].height
    rows = -(-len(scenes) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), scenes[0].paper)
    for number, scene in enumerate(scenes):
        row, column = divmod(number, columns)
        sheet.paste(picture(scene), (column * width, row * height))
    return _bytes(sheet, "PNG", optimize=True)


def _shape(scene: Scene) -> float:
    return scene.width / scene.height


def gif(scenes: Sequence[Scene], seconds: float) -> bytes:
    """Every frame for ``seconds``, the last one longer, round and round."""
    pictures = [picture(scene) for scene in scenes]
    palette = _palette(pictures)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in pictures]
    times = [round(1000 * seconds)] * len(frames)
    times[-1] *= 4
    return _bytes(
        frames[0],
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=times,
        loop=0,
        optimize=True,
    )


def _palette(pictures: Sequence[Image.Image]) -> Image.Image:
    """The colours there are most of, exact, none close to another: flat cells stay flat."""
    counts: Counter[Colour] = Counter()
    for image in pictures:
        found: Any = image.getcolors(image.width * image.height)
        counts.update({colour: number for number, colour in found})
    kept: list[Colour] = []
    for colour, _ in counts.most_common(3000):
        if len(kept) < 128 and all(_distance(colour, other) > 8 for other in kept):
            kept.append(colour)
    palette = Image.new("P", (1, 1))
    palette.putpalette([band for colour in kept for band in colour])
    return palette


def _distance(a: Colour, b: Colour) -> int:
    return max(abs(one - other) for one, other in zip(a, b, strict=True))


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _box(pen: ImageDraw.ImageDraw, box: Box) -> None:
    corners = [box.x, box.y, box.x + box.width, box.y + box.height]
    pen.rounded_rectangle(
        [FINER * at for at in corners],
        radius=FINER * box.radius,
        fill=box.fill,
        outline=box.stroke,
        width=round(FINER * box.thickness) if box.stroke else 0,
    )


def _label(pen: ImageDraw.ImageDraw, label: Label) -> None:
    place = FINER * label.x, FINER * label.y
    anchor = "mm" if label.centred else "lm"
    pen.text(place, label.text, fill=label.fill, font=_font(FINER * label.size), anchor=anchor)


@cache
def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one Pillow brings along, so that pictures are the same everywhere."""
    return ImageFont.load_default(size)
