"""Calls as text, both ways: written without their defaults, read without eval."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, Signature
from typing import Any, NamedTuple

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


class Written(NamedTuple):
    """A constructor call as somebody wrote it."""

    name: str
    positional: list[Any]
    keywords: dict[str, Any]


def parse(source: str, known: Mapping[str, Signature]) -> tuple[str, dict[str, Any]]:
    """The class a constructor call names and its arguments, defaults filled in."""
    written = read(source, known)
    return written.name, bind(written, known[written.name])


def read(source: str, known: Iterable[str]) -> Written:
    """The class, one of those ``known``, and the arguments of a constructor call.

    >>> read("nn.Conv1d(4, 8, 3, padding=3//2)", ["Conv1d"])
    Written(name='Conv1d', positional=[4, 8, 3], keywords={'padding': 1})
    """
    names = tuple(known)
    try:
        return _written(_call_node(source, names), names)
    except (RecursionError, MemoryError):
        raise ValueError("the constructor call is nested too deeply to be read.") from None


def bind(written: Written, signature: Signature) -> dict[str, Any]:
    """What was written for each argument of the signature, defaults filled in."""
    try:
        bound = signature.bind(*written.positional, **written.keywords)
    except TypeError as error:
        raise ValueError(f"{written.name}: {error}; its signature is {signature}.") from None
    bound.apply_defaults()
    return dict(bound.arguments)


def _call_node(source: str, known: tuple[str, ...]) -> ast.Call:
    try:
        node = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        node = None
    if not isinstance(node, ast.Call):
        raise ValueError(
            f"{source!r} is not one constructor call; write {known[0]}(...) as in Python."
        )
    return node


def _written(node: ast.Call, known: tuple[str, ...]) -> Written:
    name = _name(node)
    if name not in known:
        raise ValueError(f"{name!r} is not known here; this reads {', '.join(known)}.")
    starred = [arg for arg in node.args if isinstance(arg, ast.Starred)]
    if starred or any(keyword.arg is None for keyword in node.keywords):
        raise ValueError(f"{name}: write its arguments out, without * and **.")
    return Written(
        name,
        [_argument(name, f"argument {n}", arg) for n, arg in enumerate(node.args, 1)],
        {str(k.arg): _argument(name, str(k.arg), k.value) for k in node.keywords},
    )


def class_name(source: str) -> str:
    """The class that a constructor call names, without its module."""
    return _name(_call_node(source, ("ConvTranspose2d",)))


def _name(node: ast.Call) -> str:
    return ast.unparse(node.func).split(".")[-1]


def _argument(name: str, argument: str, node: ast.expr) -> Any:
    """Numbers, strings and tuples; names (``rngs=rngs``) stay names."""
    if isinstance(node, ast.Name | ast.Attribute | ast.Call):
        return Name(ast.unparse(node))
    try:
        return _value(node)
    except (ValueError, TypeError, ArithmeticError) as error:
        wrong = isinstance(error, ArithmeticError)
        raise ValueError(
            f"{name}: {argument} must be a number, a string or a tuple, or arithmetic of these, "
            f"got {ast.unparse(node)!r}{f': {error}' if wrong else ''}."
        ) from None


# What people write: padding=9 // 2, kernel_size=(3,) * 2.
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_SIGNS: dict[type, Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
LARGEST, LONGEST = 2**63, 64  # numbers; powers, and tuples


def _value(node: ast.expr) -> Any:
    """Arithmetic of literals, within bounds that keep it from taking long."""
    if isinstance(node, ast.Tuple | ast.List):
        items = [_value(item) for item in node.elts]
        return tuple(items) if isinstance(node, ast.Tuple) else items
    if isinstance(node, ast.UnaryOp) and type(node.op) in _SIGNS:
        return _SIGNS[type(node.op)](_number(_value(node.operand)))
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _computed(node.op, _value(node.left), _value(node.right))
    return ast.literal_eval(node)


def _computed(op: ast.operator, left: Any, right: Any) -> Any:
    """Of two numbers; tuples and lists may be joined and repeated, too."""
    sequences = [item for item in (left, right) if isinstance(item, tuple | list)]
    if not sequences:
        exponent = abs(_number(right)) if isinstance(op, ast.Pow) else 0
        if exponent > LONGEST:
            raise OverflowError(f"powers may be up to {LONGEST}")
        return _number(_OPERATORS[type(op)](_number(left), right))
    if isinstance(op, ast.Add):
        size = len(left) + len(right)
    elif isinstance(op, ast.Mult) and len(sequences) == 1:
        size = len(sequences[0]) * max(left if sequences[0] is right else right, 0)
    else:
        raise TypeError
    if size > LONGEST:
        raise OverflowError(f"tuples may have up to {LONGEST} entries")
    return _OPERATORS[type(op)](left, right)


def _number(value: Any) -> int | float:
    """An int or a float, and no huge one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if abs(value) > LARGEST:
        raise OverflowError("the number is too large")
    return value
