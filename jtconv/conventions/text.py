"""Calls as text, both ways: written without what goes without saying, read without eval."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any


def call(name: str, *positional: Any, defaults: Mapping[str, Any], **keywords: Any) -> str:
    """A call as people write it: arguments at their defaults are left out.

    >>> call("f", 3, defaults={"stride": 1}, stride=(2, 2), bias=True)
    'f(3, stride=2, bias=True)'
    """
    said = [text(compact(value)) for value in positional]
    for key, value in keywords.items():
        value = compact(value)
        if key not in defaults or value != defaults[key]:
            said.append(f"{key}={text(value)}")
    return f"{name}({', '.join(said)})"


def compact(value: Any) -> Any:
    """One value for all axes where they agree: ``(3, 3)`` is ``3``."""
    if isinstance(value, tuple) and value and len(set(value)) == 1 and isinstance(value[0], int):
        return value[0]
    return value


class Name(str):
    """A word that is code, not a string."""


def text(value: Any) -> str:
    """A value as code, strings in double quotes."""
    if isinstance(value, str):
        return str(value) if isinstance(value, Name) else f'"{value}"'
    if isinstance(value, tuple | list):
        inner = ", ".join(text(item) for item in value)
        comma = "," if len(value) == 1 and isinstance(value, tuple) else ""
        return f"[{inner}]" if isinstance(value, list) else f"({inner}{comma})"
    return repr(value)


def shape(names: str, sizes: Sequence[int]) -> str:
    """A kernel's shape with what each axis is.

    >>> shape("O, I, *k", (33, 16, 3, 3))
    '(33, 16, 3, 3) as (O, I, *k)'
    """
    return f"{text(tuple(sizes))} as ({names})"


def signature(words: str, **defaults: Any) -> Signature:
    """A signature: ``words`` without defaults, then those with."""
    kind = Parameter.POSITIONAL_OR_KEYWORD
    required = [Parameter(name, kind) for name in words.split()]
    optional = [Parameter(name, kind, default=value) for name, value in defaults.items()]
    return Signature([*required, *optional])


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
