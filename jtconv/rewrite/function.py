"""``jtconv.accelerate``: any function of JAX, its convolutions computed by ours where that pays."""

from __future__ import annotations

import functools
import sys
import types
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from jtconv.dispatch import tag
from jtconv.problem import arguments
from jtconv.rewrite import equation
from jtconv.rewrite.report import Report, report_of

_known: weakref.WeakValueDictionary[Any, Any] = weakref.WeakValueDictionary()


class accelerate:
    """A function of JAX with its convolutions computed by jtconv where that is faster.

    Every ``conv_general_dilated`` that the function traces is looked at, at any depth: inside jit,
    scan, while_loop, cond, checkpoint, custom_jvp, vmap and shard_map, and in gradients, whichever
    of ``grad`` and ``accelerate`` comes first, so that a finished training step can be accelerated
    whole. What is not expected to be faster stays XLA's own, as does what jtconv cannot compute.
    Nothing else changes: the function is called as it is, and all else that JAX does with it, from
    donation to sharding, stays JAX's. The choice is made when a program is lowered, for the
    platform that it is lowered for. Numbers differ by the order of sums and no more: no transforms
    are taken, and an infinity or a NaN reaches nothing that it does not reach by XLA.

    Args:
        f: any function; its arguments and results are its own affair.
        static_argnums, static_argnames: arguments that :meth:`report` hands over as they are, as
            ``jax.jit`` would. A call needs neither.

    Returns:
        A function to be called as ``f`` is, which also has the attributes of ``f`` (``lower`` and
        the like of a jitted one). A function that is accelerated already comes back unchanged, and
        so does any, with a warning, under a version of JAX whose inside is not known here.

    Raises:
        TypeError: for what cannot be called, and for a model of Flax, whose layers are reached by
            :func:`jtconv.nnx.accelerate` and :func:`jtconv.linen.accelerate`.

    >>> import jax, jax.numpy as jnp
    >>> def loss(x, w):
    ...     numbers = ("NHWC", "HWIO", "NHWC")
    ...     y = jax.lax.conv_general_dilated(
    ...         x, w, (2, 2), "SAME", dimension_numbers=numbers, feature_group_count=4
    ...     )
    ...     return jnp.sum(y**2)
    >>> x, w = jnp.ones((1, 8, 8, 4)), jnp.ones((3, 3, 1, 4))
    >>> gradient = jax.jit(jax.grad(accelerate(loss)))(x, w)
    >>> bool(jnp.allclose(gradient, jax.grad(loss)(x, w)))
    True
    >>> print(accelerate.report(loss, x, w, platform="tpu").rows[0].reason)
    nothing is measured on tpu
    """

    __wrapped__: Callable[..., Any]
    _tag: str
    _static: tuple[tuple[int, ...], tuple[str, ...]]

    def __new__(
        cls,
        f: Callable[..., Any],
        *,
        static_argnums: int | Sequence[int] = (),
        static_argnames: str | Sequence[str] = (),
    ) -> Any:
        """``f`` itself where it is accelerated already, or cannot be."""
        if isinstance(f, accelerate):
            return f
        _check_function(f)
        return _made(f, equation.FASTER, _static(static_argnums, static_argnames))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the function itself returns."""
        with tag.tagged(self._tag):
            return self.__wrapped__(*args, **kwargs)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Also the method of a class."""
        return self if instance is None else types.MethodType(self, instance)

    def __getattr__(self, name: str) -> Any:
        """Of the function within; what can be called, such as ``lower``, is so under the tag."""
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self.__wrapped__, name)
        if not callable(found):
            return found

        @functools.wraps(found)
        def called(*args: Any, **kwargs: Any) -> Any:
            with tag.tagged(self._tag):
                return found(*args, **kwargs)

        return called

    def __reduce__(self) -> Any:
        return _made, (self.__wrapped__, self._tag, self._static)

    @staticmethod
    def report(
        f: Callable[..., Any], *args: Any, platform: str | None = None, **kwargs: Any
    ) -> Report:
        """Each convolution of a call, what it would be computed by, and why. Nothing is run.

        Args:
            f: a function, accelerated or not yet.
            *args, **kwargs: what it is called with; arrays may be ``jax.ShapeDtypeStruct``.
            platform: "cpu", "cuda", "rocm" or "tpu"; the one that computations run on if None.

        Returns:
            A value that prints as a table.

        Raises:
            TypeError, ValueError: for a wrong argument.

        >>> import jax, jax.numpy as jnp
        >>> x = jax.ShapeDtypeStruct((1, 3, 16, 16), jnp.float32)
        >>> w = jax.ShapeDtypeStruct((3, 1, 5, 5), jnp.float32)
        >>> def blur(x, w):
        ...     return jax.lax.conv_general_dilated(x, w, (2, 2), "SAME", feature_group_count=3)
        >>> [(row.side, row.method) for row in accelerate.report(blur, x, w, platform="cpu").rows]
        [('fprop s2,2 g3', 'taps')]
        """
        f = accelerate(f)
        numbers, names = f._static if isinstance(f, accelerate) else ((), ())
        return report_of(f, args, kwargs, numbers, names, platform)


def accelerating() -> AbstractContextManager[Any]:
    """The convolutions traced inside are looked at as those of an accelerated function are."""
    return tag.tagged(equation.FASTER) if tag.install(equation.rule) else nullcontext()


def forced(f: Callable[..., Any], method: str) -> Any:
    """``f`` with every convolution inside the law computed by ``method``: for tests and the bench.

    >>> import jax, jax.numpy as jnp
    >>> up = lambda x, w: jax.lax.conv_transpose(x, w, (2,), "SAME")
    >>> x, w = jnp.ones((1, 8, 3)), jnp.ones((4, 3, 5))
    >>> report = accelerate.report(forced(up, "phases"), x, w)
    >>> report.rows[0].method, report.rows[0].reason
    ('phases', 'asked for')
    """
    return _made(f, method, ((), ()))


def _made(f: Any, value: str, static: Any) -> Any:
    """One object for a function as long as it lives, so that ``jax.jit`` finds it in its caches."""
    if not tag.install(equation.rule):
        return f
    key: Any = f, value, static
    try:
        found = _known.get(key)
    except TypeError:  # not hashable
        key = found = None
    if found is not None:
        return found
    made = object.__new__(accelerate)
    functools.update_wrapper(made, f, updated=())
    made._tag, made._static = value, static
    if key is not None:
        _known[key] = made
    return made


def _check_function(f: Any) -> None:
    for package, name, fix in _MODULES:
        module = getattr(sys.modules.get(package), name, None)
        if module and (isinstance(f, module) or (isinstance(f, type) and issubclass(f, module))):
            raise TypeError(f"f is a model of {package}, {_short(f)}: {fix}.")
    if not callable(f):
        raise TypeError(f"f must be a function of arrays, got {_short(f)}: pass what calls it.")


_MODULES = (
    ("flax.nnx", "Module", "use jtconv.nnx.accelerate(model), or accelerate a function of it"),
    (
        "flax.linen",
        "Module",
        "write `with jtconv.linen.accelerate():` around its calls, or pass model.apply",
    ),
)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else type(value).__name__


def _static(numbers: Any, names: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:
    found = (numbers,) if isinstance(numbers, int) else arguments.sequence(numbers)
    if found is None or not all(isinstance(n, int) and not isinstance(n, bool) for n in found):
        raise TypeError(f"static_argnums must be an int or a sequence of ints, got {numbers!r}.")
    words = (names,) if isinstance(names, str) else arguments.sequence(names)
    if words is None or not all(isinstance(word, str) for word in words):
        raise TypeError(f"static_argnames must be a name or a sequence of names, got {names!r}.")
    return tuple(found), tuple(words)
