"""Scenes as SVG: one still, or all of them in turn."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape
from zlib import crc32

from jtconv.draw.scene import Box, Label, Scene

FONT = "ui-sans-serif, system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif"


def still(scene: Scene) -> str:
    """One frame."""
    return _document(scene, _shapes(scene))


def animated(scenes: Sequence[Scene], seconds: float) -> str:
    """Every frame for ``seconds``, round and round; the last one for those who want no motion.

    Names in a style hold for the whole page, so each drawing has its own.  Where styles are taken
    out, as some viewers of notebooks do, the last frame stands still.
    """
    count, frames = len(scenes), [_shapes(scene) for scene in scenes]
    name = f"f{crc32(''.join(frames).encode()):08x}-{count}"
    style = (
        f".{name}{{visibility:hidden;animation:{name} {count * seconds:g}s step-end infinite}}"
        f"@keyframes {name}{{0%{{visibility:visible}}{100 / count:.4f}%{{visibility:hidden}}}}"
        f"@media(prefers-reduced-motion:reduce){{.{name}{{animation:none}}.{name}:last-of-type"
        "{visibility:visible}}"
    )
    groups = "".join(
        f'<g class="{name}" visibility="{"hidden" if number < count - 1 else "visible"}" '
        f'style="animation-delay:{number * seconds:g}s">{shapes}</g>'
        for number, shapes in enumerate(frames)
    )
    return _document(scenes[0], f"<style>{style}</style>{groups}")


def _document(scene: Scene, inside: str) -> str:
    size = f'width="{scene.width}" height="{scene.height}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {scene.width} '
        f'{scene.height}" font-family="{FONT}">'
        f'<rect width="100%" height="100%" fill="{scene.paper}"/>{inside}</svg>\n'
    )


def _shapes(scene: Scene) -> str:
    return "".join(_box(s) if isinstance(s, Box) else _label(s) for s in scene.shapes)


def _box(box: Box) -> str:
    stroke = f' stroke="{box.stroke}" stroke-width="{box.thickness:g}"' if box.stroke else ""
    return (
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" height="{box.height:g}" '
        f'rx="{box.radius:g}" fill="{box.fill or "none"}"{stroke}/>'
    )


def _label(label: Label) -> str:
    anchor = ' text-anchor="middle"' if label.centred else ""
    return (
        f'<text x="{label.x:g}" y="{label.y:g}" font-size="{label.size:.1f}" '
        f'fill="{label.fill}" dominant-baseline="central"{anchor}>{escape(label.text)}</text>'
    )
