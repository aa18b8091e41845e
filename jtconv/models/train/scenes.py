"""Scenes: digits pasted on photographs, with the name of the digit at every pixel.

Composed as they are needed from a random key, so a key is all that has to be remembered of a
batch. Held-out scenes are made of digits and of parts of the photographs that no training scene
shows.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_sample_images

from jtconv.models.train.digits import Digits, split

SIZE = 48  # pixels a side
CLASSES = 11  # background, then the digits 0 to 9
_MAGNIFIED = (2.25, 3.0)  # a digit is 8 cells wide, a scene has one in each half
_APART = (0.15, 0.45)  # from the mean colour beneath, in each channel
_SEEN = 0.7  # the left part of each photograph is learnt from, the rest held out


class Photographs(NamedTuple):
    """Digits, and the photographs to paste them on: ``(count, height, width, 3)`` in 0 .. 1."""

    digits: Digits
    photographs: np.ndarray


class Scenes(NamedTuple):
    """Pictures ``(batch, SIZE, SIZE, 3)`` in 0 .. 1 and classes ``(batch, SIZE, SIZE)``."""

    pictures: jax.Array
    classes: jax.Array


@cache
def sources() -> tuple[Photographs, Photographs]:
    """What training scenes are made of, and what held-out scenes are made of."""
    photographs = np.stack(load_sample_images().images).astype(np.float32) / 255
    border = int(_SEEN * photographs.shape[2])
    seen, held_out = split()
    return (
        Photographs(seen, photographs[:, :, :border]),
        Photographs(held_out, photographs[:, :, border:]),
    )


def scenes(key: jax.Array, source: Photographs, count: int) -> Scenes:
    """``count`` scenes of this key."""
    return jax.vmap(lambda key: Scenes(*_scene(key, source)))(jax.random.split(key, count))


def _scene(key: jax.Array, source: Photographs) -> tuple[jax.Array, jax.Array]:
    backdrop, *digits = jax.random.split(key, 3)
    picture = _crop(backdrop, jnp.asarray(source.photographs))
    classes = jnp.zeros((SIZE, SIZE), jnp.int32)
    for half, key in enumerate(digits):
        picture, classes = _paste(key, source.digits, half, picture, classes)
    return picture, classes


def _crop(key: jax.Array, photographs: jax.Array) -> jax.Array:
    """A square of one of the photographs, or its mirror image."""
    which, down, right, mirrored = jax.random.split(key, 4)
    count, height, width, _ = photographs.shape
    start = (
        jax.random.randint(which, (), 0, count),
        jax.random.randint(down, (), 0, height - SIZE + 1),
        jax.random.randint(right, (), 0, width - SIZE + 1),
        0,
    )
    square = jax.lax.dynamic_slice(photographs, start, (1, SIZE, SIZE, 3))[0]
    return jnp.where(jax.random.bernoulli(mirrored), square[:, ::-1], square)


def _paste(
    key: jax.Array, digits: Digits, half: int, picture: jax.Array, classes: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """One digit in one half of the scene, coloured to differ from what lies under it."""
    which, place, colour = jax.random.split(key, 3)
    number = jax.random.randint(which, (), 0, len(digits.ink))
    ink = _placed(place, jnp.asarray(digits.ink)[number], half)
    cover = ink[..., None]
    below = (cover * picture).sum((0, 1)) / cover.sum((0, 1))
    apart = jax.random.uniform(colour, (3,), jnp.float32, *_APART)
    dye = below + jnp.where(below < 0.5, apart, -apart)
    picture = picture * (1 - cover) + dye * cover
    return picture, jnp.where(ink > 0.5, jnp.asarray(digits.names)[number] + 1, classes)


def _placed(key: jax.Array, ink: jax.Array, half: int) -> jax.Array:
    """A digit magnified and moved to a random place in the left (0) or right (1) half."""
    size, place = jax.random.split(key)
    scale = jax.random.uniform(size, (), jnp.float32, *_MAGNIFIED)
    room = jnp.array([SIZE, SIZE // 2], jnp.float32) - 8 * scale
    corner = jax.random.uniform(place, (2,), jnp.float32) * room
    corner += jnp.array([0, half * SIZE // 2], jnp.float32)
    large = jax.image.scale_and_translate(
        ink, (SIZE, SIZE), (0, 1), jnp.stack([scale, scale]), corner, "linear", antialias=False
    )
    return jnp.clip(large, 0, 1)
