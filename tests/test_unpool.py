"""Pooling that remembers and unpooling: against NumPy loops, torch, and finite differences."""

from __future__ import annotations

import functools
import random
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jtconv
from jtconv.unpool import average_unpool, max_pool_with_indices, max_unpool, nearest_unpool
from jtconv.upsampling import resize
from tests.compare import assert_close
from tests.selection import exhaustive


class Pooling(NamedTuple):
    """One max pooling, one value per axis."""

    input: tuple[int, ...]
    window: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    number: int

    def keywords(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "dilation": self.dilation}

    def x(self, dtype: Any = np.float32) -> np.ndarray:
        """Few different numbers, so that maxima are often equal."""
        rng = np.random.default_rng(self.number)
        return rng.integers(-4, 5, size=(2, *self.input, 3)).astype(dtype)


def poolings(count: int, seed: int = 0) -> list[Pooling]:
    """Poolings that torch takes: padding to half a window, and no empty output."""
    chance = random.Random(seed)
    found: list[Pooling] = []
    while len(found) < count:
        rank = chance.randint(1, 3)
        window, stride, dilation, size = (
            tuple(chance.randint(least, most) for _ in range(rank))
            for least, most in ((1, 4), (1, 4), (1, 2), (2, 7))
        )
        padding = tuple(chance.randint(0, k // 2) for k in window)
        spans = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
        columns = zip(size, padding, spans, strict=True)
        if all(n + 2 * p >= span for n, p, span in columns) and any(k > 1 for k in window):
            found.append(Pooling(size, window, stride, padding, dilation, len(found)))
    return found


TABLE = [
    pytest.param(p, id=str(p.number), marks=() if p.number < 8 else (exhaustive,))
    for p in poolings(150)
]


def planes(a: Any) -> np.ndarray:
    return np.moveaxis(np.asarray(a), -1, 1)


@pytest.mark.peer("torch")
@pytest.mark.parametrize("p", TABLE)
def test_as_torch(p):
    """Values, indices and gradients, through pooling and back."""
    import torch

    functional, rank = torch.nn.functional, len(p.input)
    x = torch.tensor(planes(p.x())).requires_grad_()
    values, indices = getattr(functional, f"max_pool{rank}d")(
        x, p.window, p.stride, p.padding, p.dilation, return_indices=True
    )
    scale = torch.cos(torch.arange(values.numel(), dtype=torch.float32)).reshape(values.shape)
    weights = torch.sin(torch.arange(x.numel(), dtype=torch.float32)).reshape(x.shape)
    values.backward(scale, retain_graph=True)

    by_channels = np.moveaxis(scale.numpy(), 1, -1)
    across = np.moveaxis(weights.numpy(), 1, -1)
    ours, found, pulled, unpooled, unpulled = there_and_back(p, p.x(), by_channels, across)
    np.testing.assert_array_equal(planes(ours), values.detach())
    np.testing.assert_array_equal(planes(found), indices)
    assert_close(planes(pulled), x.grad)
    # Torch's own unpooling has fewer sizes than this, and gives a shared cell's gradient to all.
    back, wins = placed((values * scale).detach().numpy(), indices.numpy(), int(np.prod(p.input)))
    assert_close(planes(unpooled), back.reshape(x.shape))
    gradient = torch.gather(weights.flatten(2), 2, indices.flatten(2)).reshape(values.shape)
    assert_close(planes(unpulled), np.where(wins, gradient, 0))


@functools.partial(
    jax.jit, static_argnums=0, compiler_options={"xla_backend_optimization_level": "0"}
)
def there_and_back(p: Pooling, x: Any, scale: Any, across: Any) -> Any:
    """Values, indices and gradient of pooling; of unpooling the scaled values; in one program."""
    pool = functools.partial(max_pool_with_indices, window=p.window, **p.keywords())
    values, pull, indices = jax.vjp(pool, x, has_aux=True)
    unpool = functools.partial(max_unpool, indices=indices, output_size=p.input)
    unpooled, unpull = jax.vjp(unpool, values * scale)
    return values, indices, pull(scale)[0], unpooled, unpull(across)[0]


def placed(values: np.ndarray, indices: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """By definition: values written one after another, and which of them are there in the end.

    ``(N, C, *spatial)`` to ``(N, C, cells)`` and a mask shaped as the values.
    """
    back = np.zeros((*values.shape[:2], cells), values.dtype)
    holder = np.full(back.shape, -1)
    for plane in np.ndindex(*values.shape[:2]):
        for number, cell in enumerate(indices[plane].ravel()):
            back[(*plane, cell)], holder[(*plane, cell)] = values[plane].ravel()[number], number
    numbers = np.arange(values[0, 0].size)
    wins = np.take_along_axis(holder, indices.reshape(*values.shape[:2], -1), 2) == numbers
    return back, wins.reshape(values.shape)


@pytest.mark.peer("torch")
@pytest.mark.parametrize(
    ("window", "stride", "size"),
    [
        pytest.param(2, 2, 7, marks=exhaustive),
        (3, 2, 7),
        pytest.param(3, 3, 10, marks=exhaustive),
        pytest.param(2, 3, 8, marks=exhaustive),
    ],
)
def test_unpool_as_torch_does(window, stride, size):
    """Torch's own MaxUnpool2d, with the sizes it takes; overlapping windows hold equal values.

    Its gradient goes to all values that were sent to one cell, ours to the one that is there.
    """
    import torch

    x = np.random.default_rng(0).normal(size=(2, size, size, 3)).astype(np.float32)
    pool = torch.nn.MaxPool2d(window, stride, return_indices=True)
    values, indices = pool(torch.tensor(planes(x)))
    values.requires_grad_()
    want = torch.nn.MaxUnpool2d(window, stride)(values, indices, output_size=(size, size))
    weights = torch.cos(torch.arange(want.numel(), dtype=torch.float32)).reshape(want.shape)
    want.backward(weights)
    y, found = jtconv.max_pool_with_indices(x, window, stride=stride)
    got, pull = jax.vjp(lambda y: jtconv.max_unpool(y, found, output_size=size), y)
    assert_close(planes(got), want.detach())
    _, wins = placed(values.detach().numpy(), indices.numpy(), size * size)
    assert wins.all() == (stride >= window)
    gradient = planes(pull(np.moveaxis(weights.numpy(), 1, -1))[0])
    assert_close(gradient, np.where(wins, values.grad, 0))


def looped(x: np.ndarray, p: Pooling) -> tuple[np.ndarray, np.ndarray]:
    """The definition, cell by cell."""
    spans = [d * (k - 1) + 1 for k, d in zip(p.window, p.dilation, strict=True)]
    columns = zip(p.input, p.padding, spans, p.stride, strict=True)
    out = [(n + 2 * a - span) // s + 1 for n, a, span, s in columns]
    values, indices = np.full((2, *out, 3), -np.inf), np.full((2, *out, 3), -1)
    for n, c in np.ndindex(2, 3):
        for cell in np.ndindex(*out):
            for tap in np.ndindex(*p.window):
                places = zip(cell, tap, p.stride, p.dilation, p.padding, strict=True)
                at = tuple(s * i + d * t - a for i, t, s, d, a in places)
                if all(0 <= i < m for i, m in zip(at, p.input, strict=True)):
                    value = x[(n, *at, c)]
                    if indices[(n, *cell, c)] < 0 or value > values[(n, *cell, c)]:
                        values[(n, *cell, c)] = value
                        indices[(n, *cell, c)] = np.ravel_multi_index(at, p.input)
    return values, indices


@pytest.mark.parametrize("p", TABLE[:4])
@pytest.mark.parametrize("dtype", [np.float32, np.int8, jnp.bfloat16])
def test_by_definition(p, dtype):
    pool = jax.jit(lambda x: max_pool_with_indices(x, p.window, **p.keywords()))
    values, indices = pool(p.x(dtype))
    want = looped(p.x(), p)
    assert values.dtype == dtype and indices.dtype == jnp.int32
    np.testing.assert_array_equal(np.asarray(values, np.float32), want[0])
    np.testing.assert_array_equal(indices, want[1])


def test_minus_infinity_and_nan():
    """Padding never wins, not even against these."""
    x = np.full((1, 4, 1), -np.inf, np.float32)
    values, indices = max_pool_with_indices(x, 3, stride=1, padding=1)
    np.testing.assert_array_equal(indices[0, :, 0], [0, 0, 1, 2])
    assert np.isneginf(values).all()
    x[0, 1] = np.nan
    values, indices = max_pool_with_indices(x, 3, stride=1, padding=1)
    np.testing.assert_array_equal(np.isnan(values[0, :, 0]), [True, True, True, False])
    np.testing.assert_array_equal(indices[0, :3, 0], [1, 1, 1])


def test_names_of_padding():
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3)).astype(np.float32)
    values, indices = max_pool_with_indices(x, 2, padding="same")
    want = jax.lax.reduce_window(
        x, np.float32(-np.inf), jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "SAME"
    )
    np.testing.assert_array_equal(values, want)
    assert values.shape == (2, 3, 2, 3)
    restored = max_unpool(values, indices, output_size=(5, 4))
    assert_close(restored, np.where(np.isin(x, np.asarray(values)), x, 0))


def test_batches_and_transformations():
    """None, one or several batch axes, jit and vmap, forward mode and second order."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3, 5, 4, 2)))

    def there_and_back(x):
        values, indices = max_pool_with_indices(x, (2, 3), stride=(2, 1))
        return max_unpool(values**2, indices, output_size=(5, 4))

    want = there_and_back(x)
    for transformed in (jax.jit, jax.vmap, lambda f: jax.jit(jax.vmap(jax.vmap(f)))):
        assert_close(transformed(there_and_back)(x), want)
    assert_close(there_and_back(x[1, 2]), want[1, 2])
    one = x[0, 0]
    along, pushed = jax.jvp(there_and_back, (one,), (one,))
    assert_close(along, want[0, 0])
    assert_close(pushed, _directional(one))
    across = jnp.cos(jnp.arange(one.size)).reshape(one.shape)
    pulled = jax.vjp(there_and_back, one)[1](across)[0]
    assert_close(jnp.vdot(pulled, one), jnp.vdot(across, pushed))


def _directional(x: jax.Array) -> Any:
    """How the square of each maximum changes along ``x`` itself; found often, it is there once."""
    values, indices = max_pool_with_indices(x, (2, 3), stride=(2, 1))
    zeros = np.zeros((20, 2))
    for (i, j, c), at in np.ndenumerate(np.asarray(indices)):
        zeros[at, c] = 2 * float(values[i, j, c]) ** 2
    return zeros.reshape(5, 4, 2)


def test_a_cell_named_twice_belongs_to_the_last():
    """Its derivative is that of the value it holds, as finite differences have it, in any order."""
    y, indices = jnp.array([[4.0], [9.0], [5.0]]), jnp.array([[1], [1], [0]])

    def unpool(y):
        return max_unpool(y, indices, output_size=(3,))

    @jax.jit
    def derivatives(y):
        pulled = jax.linear_transpose(unpool, y)(jnp.array([[2.0], [3.0], [7.0]]))[0]
        cubed = lambda y: unpool(y**3)  # noqa: E731
        twice = jax.jacfwd(jax.jacrev(cubed))(y)
        return jax.jvp(unpool, (y,), (jnp.ones_like(y),)), pulled, jax.jacrev(unpool)(y), twice

    (value, tangent), pulled, jacobian, twice = derivatives(y)
    np.testing.assert_array_equal(value[:, 0], [5, 9, 0])
    np.testing.assert_array_equal(tangent[:, 0], [1, 1, 0])
    np.testing.assert_array_equal(pulled[:, 0], [0, 3, 2])
    want = np.zeros((3, 3))
    want[0, 2] = want[1, 1] = 1
    np.testing.assert_array_equal(jacobian[:, 0, :, 0], want)
    np.testing.assert_array_equal(twice[:, 0, :, 0, :, 0].sum(2), want * 6 * y[:, 0])

    def there_and_back(x):
        values, found = max_pool_with_indices(x, (2,), stride=(1,))
        return max_unpool(values, found, output_size=(3,)).sum()

    np.testing.assert_array_equal(
        jax.grad(there_and_back)(jnp.array([[1.0], [3], [2]]))[:, 0], [0, 1, 0]
    )


def test_a_loser_does_not_touch_its_cell():
    """Whatever it is: nothing of it is added, and no finite number becomes none."""
    y = jnp.array([[jnp.inf], [jnp.nan], [2.0]])
    got, pull = jax.vjp(lambda y: max_unpool(y, jnp.zeros((3, 1), int), output_size=(2,)), y)
    np.testing.assert_array_equal(got[:, 0], [2, 0])
    np.testing.assert_array_equal(pull(jnp.ones((2, 1)))[0][:, 0], [0, 0, 1])


WRONG = [
    ({"window": 0}, "window must be an int >= 1"),
    ({"window": (2, 2, 2, 2)}, "window must be an int for an array"),
    ({"window": 9}, "window spans 9 cells on spatial axis 0"),
    ({"stride": 0}, "stride must be an int >= 1"),
    ({"padding": 2}, r"padding \(2, 2\) on spatial axis 0 leaves windows"),
    ({"padding": "SMAE"}, "padding must be one of"),
    ({"dilation": (1, 0)}, r"dilation\[1\] must be an int >= 1"),
]


@pytest.mark.parametrize(("keywords", "message"), WRONG)
def test_pooling_refuses(keywords, message):
    with pytest.raises(ValueError, match=message):
        max_pool_with_indices(np.ones((1, 4, 5, 2)), **{"window": 2, **keywords})


def test_unpooling_refuses():
    y, indices = np.ones((2, 2, 1)), np.ones((2, 2, 1), np.int32)
    for arguments, message in (
        ((y, indices[:1]), "indices must have the shape of y"),
        ((y, indices.astype(float)), "indices must be integers"),
        ((y, indices + 7), r"indices must lie in 0 to 3 for output_size \(4,\), got 8 to 8"),
        ((y, indices - 2), "got -1 to -1"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            max_unpool(*arguments, output_size=(4,))
    with pytest.raises(TypeError, match="complex numbers have no order"):
        max_pool_with_indices(y.astype(complex), 2)
    beyond = jnp.asarray(indices + 7)
    with pytest.raises(ValueError, match="got 8 to 8"):  # known, though y is traced
        jax.jit(lambda y: max_unpool(y, beyond, output_size=(4,)))(y)
    traced = jax.jit(lambda i: max_unpool(y, i, output_size=(4,)))
    assert not np.asarray(traced(indices + 7)).any() and not np.asarray(traced(indices - 2)).any()


def test_average_unpool_is_the_adjoint_of_average_pooling():
    x = np.random.default_rng(0).normal(size=(2, 7, 6, 3))

    def pooled(x):
        summed = jax.lax.reduce_window(
            x, 0.0, jax.lax.add, (1, 3, 2, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (0, 0), (0, 0))
        )
        return summed / 6

    y, pull = jax.vjp(pooled, x)
    y = jnp.cos(jnp.arange(y.size)).reshape(y.shape)
    got = average_unpool(y, (3, 2), stride=(2, 2), padding=(1, 0), output_size=(7, 6))
    assert_close(got, pull(y)[0])


def test_nearest_unpool_repeats():
    y = np.random.default_rng(0).normal(size=(2, 3, 2, 4, 3))
    got = nearest_unpool(y, (2, 3), output_size=(3, 11))
    assert_close(got, np.repeat(np.repeat(y, 2, 2), 3, 3)[:, :, :3, :11])
    with pytest.raises(ValueError, match=r"output_size\[1\] must be one of 10 to 12"):
        nearest_unpool(y, (2, 3), output_size=(3, 9))


@pytest.mark.parametrize("interpolation", ["linear", "cubic", "lanczos3"])
def test_resize_is_that_of_jax(interpolation):
    x = np.random.default_rng(0).normal(size=(2, 4, 3, 2))
    got = resize(x, (2, 3), interpolation=interpolation, output_size=(7, 9))
    assert_close(got, jax.image.resize(x, (2, 8, 9, 2), interpolation)[:, :7])
    with pytest.raises(ValueError, match="interpolation must be one of nearest"):
        resize(x, 2, interpolation="liner")  # type: ignore[arg-type]
