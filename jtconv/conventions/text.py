"""Calls as text, both ways: written without their defaults, read without eval."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from inspect import Parameter, Signature
from typing import Any

from jtconv.conventions.layer import Layer


def call(name: str, *positional: Any, defaults: Mapping[str, Any], **keywords: Any) -> str:
    """A call as people write it: arguments at their defaults are left out.

    >>> call("f", 3, defaults={"stride": 1}, stride=(2, 2), bias=True)
    'f(3, stride=2, bias=True)'
    """
    written = [code(_compact(value)) for value in positional]
    for key, value in keywords.items():
        value = _compact(value)
        if key not in defaults or value != defaults[key]:
            written.append(f"{key}={code(value)}")
    return f"{name}({', '.join(written)})"


def defaults(signature: Signature) -> dict[str, Any]:
    """What a signature's arguments are where they are left out."""
    return {p.name: p.default for p in signature.parameters.values()}


def _compact(value: Any) -> Any:
    """One value for all axes where they agree: ``(3, 3)`` is ``3``."""
    if isinstance(value, tuple) and value and len(set(value)) == 1 and isinstance(value[0], int):
        return value[0]
    return value


class Name(str):
    """Text that is code, not a string."""


def code(value: Any) -> str:
    """A value as code, strings in double quotes."""
    if isinstance(value, str):
        return str(value) if isinstance(value, Name) else f'"{value}"'
    if isinstance(value, tuple | list):
        inner = ", ".join(code(item) for item in value)
        comma = "," if len(value) == 1 and isinstance(value, tuple) else ""
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{comma})"
    return repr(value)


def kernel(layer: Layer, axes: str, flipped: bool = False) -> str:
    """The shape of a layer's kernel, its axes in this order, such as ``I, O // groups, *k``.

    ``k`` stands for the spatial axes, which may also go by the letters of the layer's layout.
    """
    c_in, c_out, groups = layer.call.in_channels, layer.call.out_channels, layer.groups
    size = layer.each("kernel")
    sizes = {
        "I": (c_in,),
        "O": (c_out,),
        "I // groups": (c_in // groups,),
        "O // groups": (c_out // groups,),
        "*k": size,
        **{letter: (k,) for letter, k in zip(layer.call.layout.spatial, size, strict=True)},
    }
    shape = tuple(n for axis in axes.split(", ") for n in sizes[axis])
    return f"{shape} as ({axes})" + ", flipped" * flipped


def signature(parameters: str) -> Signature:
    """A signature from its text.

    >>> signature("filters, strides=1")
    <Signature (filters, strides=1)>
    """
    lambda_: Any = ast.parse(f"lambda {parameters}: 0", mode="eval").body
    names, values = lambda_.args.args, list(map(ast.literal_eval, lambda_.args.defaults))
    values = [Parameter.empty] * (len(names) - len(values)) + values
    kind = Parameter.POSITIONAL_OR_KEYWORD
    return Signature(
        [Parameter(a.arg, kind, default=v) for a, v in zip(names, values, strict=True)]
    )


def parse(source: str, known: Mapping[str, Signature]) -> tuple[str, dict[str, Any]]:
    """The class a constructor call names and its arguments, defaults filled in."""
    node = _call_node(source, known)
    name = ast.unparse(node.func).split(".")[-1]
    if name not in known:
        raise ValueError(f"{name!r} is not known here; this reads {', '.join(known)}.")
    if any(isinstance(arg, ast.Starred) for arg in node.args):
        raise ValueError(f"{name}: write its arguments out, without *.")
    keywords = {str(k.arg): _literal(name, str(k.arg), k.value) for k in node.keywords}
    positional = [_literal(name, f"argument {n}", arg) for n, arg in enumerate(node.args, 1)]
    try:
        bound = known[name].bind(*positional, **keywords)
    except TypeError as error:
        raise ValueError(f"{name}: {error}; its signature is {known[name]}.") from None
    bound.apply_defaults()
    return name, dict(bound.arguments)


def _call_node(source: str, known: Mapping[str, Signature]) -> ast.Call:
    try:
        node = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        node = None
    if not isinstance(node, ast.Call):
        raise ValueError(
            f"{source!r} is not one constructor call; write {next(iter(known))}(...) as in Python."
        )
    return node


def _literal(name: str, argument: str, node: ast.expr) -> Any:
    """Numbers, strings and tuples; names (``rngs=rngs``) stay names."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Call):
        return Name(ast.unparse(node))
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ValueError(
            f"{name}: {argument} must be a number, a string or a tuple, got {ast.unparse(node)!r}."
        ) from None
