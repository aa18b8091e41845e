"""Configurations of Flax's ConvTranspose: every argument, alone and together, seeded.

Geometries are few and everything else is drawn freely around them: compiling takes nearly all
of the time, and layers that differ in a mask or a dtype of parameters share their programs.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.compare import assert_close
from tests.selection import rows

# kernel_size, strides, kernel_dilation, spatial size, padding.
GEOMETRIES = (
    (3, None, None, (5,), "SAME"),
    ((4,), 2, None, (4,), "CIRCULAR"),
    ((7,), (2,), (2,), (3,), "CIRCULAR"),
    ((2,), (3,), None, (4,), "CIRCULAR"),
    ((5,), 3, None, (4,), "VALID"),
    ((3,), 2, (2,), (4,), 3),
    ((4,), (2,), 1, (5,), ((1, 2),)),
    ((1,), 2, None, (3,), "SAME"),
    ((3, 3), (2, 2), None, (3, 4), "SAME"),
    ((4, 4), 2, None, (3, 3), "SAME"),
    ((2, 2), (2, 2), None, (3, 2), "VALID"),
    ((3, 2), (1, 3), (2, 1), (3, 3), "VALID"),
    ((3, 4), (2, 1), None, (3, 3), "CIRCULAR"),
    ((2, 5), (3, 2), None, (2, 3), "CIRCULAR"),
    ((3, 3), (2, 1), None, (3, 3), 2),
    ((3, 3), (2, 2), (1, 2), (2, 3), (1, 3)),
    ((3, 2), (2, 3), None, (3, 2), ((2, 0), (1, 1))),
    ((5, 5), (2, 2), None, (2, 2), ((-1, 3), (4, 4))),
    ((2, 2, 2), (2, 2, 2), None, (2, 2, 2), "SAME"),
    ((3, 1, 2), (2, 1, 1), None, (2, 2, 3), "CIRCULAR"),
    ((2, 3, 2), (1, 2, 3), (2, 1, 1), (2, 2, 2), (1, 2, 0)),
)
BATCHES = ((), (2,), (2,), (2, 1, 3))


class Configuration(NamedTuple):
    """One layer, and what it is called with."""

    features: tuple[int, int]
    kernel_size: Any
    space: tuple[int, ...]
    batch: tuple[int, ...]
    arguments: dict[str, Any]
    masked: bool
    number: int

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        size = (self.kernel_size,) if isinstance(self.kernel_size, int) else self.kernel_size
        return (*size, *(self.features[:: -1 if self.arguments["transpose_kernel"] else 1]))

    def keywords(self) -> dict[str, Any]:
        """The keywords of the constructor, a mask among them where there is one."""
        if not self.masked:
            return self.arguments
        mask = np.random.default_rng(self.number).random(self.kernel_shape) < 0.7
        return {**self.arguments, "mask": jnp.asarray(mask, jnp.float32)}

    def inputs(self, dtype: Any) -> jax.Array:
        rng = np.random.default_rng(self.number)
        return jnp.asarray(rng.normal(size=(*self.batch, *self.space, self.features[0])), dtype)


def configurations(count: int, seed: int = 0) -> list[Configuration]:
    """Each geometry in turn, with everything else drawn."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        kernel_size, strides, dilation, space, padding = GEOMETRIES[number % len(GEOMETRIES)]
        arguments: dict[str, Any] = {
            "strides": strides,
            "padding": padding,
            "kernel_dilation": dilation,
            "transpose_kernel": chance.random() < 0.5,
            "use_bias": chance.random() < 0.7,
            "param_dtype": chance.choice((jnp.float32, jnp.float32, jnp.bfloat16)),
            "precision": chance.choice((None, "highest", jax.lax.Precision.HIGH)),
            "kernel_init": drawn,
            "bias_init": drawn,
            "preferred_element_type": chance.choice((None, None, jnp.float32)),
        }
        features, batch = chance.choice(((2, 3), (3, 1))), chance.choice(BATCHES)
        masked = chance.random() < 0.3
        found.append(Configuration(features, kernel_size, space, batch, arguments, masked, number))
    return found


def drawn(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    """An initializer: normal numbers, by NumPy as that compiles nothing, and moved by the key."""
    seed = [len(shape), *shape]
    moved = jax.random.key_data(key)[-1] % 97 / 97
    return (jnp.asarray(np.random.default_rng(seed).normal(size=shape)) + moved).astype(dtype)


def same_leaves(one: Any, other: Any) -> None:
    """Equal trees of equal arrays."""
    paths = [jax.tree_util.tree_flatten_with_path(tree)[0] for tree in (one, other)]
    for (here, a), (there, b) in zip(*paths, strict=True):
        assert here == there and a.dtype == b.dtype
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


# Flax rounds a result before it folds it (CIRCULAR) or adds the bias; jtconv rounds once.
ROUNDED_AGAIN = 4.0


def close_leaves(one: Any, other: Any, dtype: Any, slack: float = ROUNDED_AGAIN) -> None:
    """Equal trees, and arrays as close as ``dtype`` allows."""
    for a, b in zip(*map(jax.tree.leaves, (one, other)), strict=True):
        assert a.dtype == b.dtype
        assert_close(a, b, dtype, slack)


TABLE = configurations(5 * len(GEOMETRIES))


# Of the geometries above, by number: one of each kind of padding, of one to three axes.
DEFAULT = (1, 5, 8, 12, 16, 18)


def _rows() -> list:
    table = {
        f"{c.number}-{dtype.__name__}": (c, dtype)
        for dtype in (jnp.float32, jnp.bfloat16)
        for c in TABLE
    }
    return rows(table, default=[*(f"{number}-float32" for number in DEFAULT), "8-bfloat16"])


every_configuration = pytest.mark.parametrize(
    "c", rows({str(c.number): (c,) for c in TABLE}, default=map(str, DEFAULT))
)
every_configuration_and_dtype = pytest.mark.parametrize(("c", "dtype"), _rows())
