"""Sizes as people type them: 3, 3x5, 0:1x1:0, 16:33."""

from __future__ import annotations

from jtconv.cli.console import Refusal
from jtconv.problem.padding import NAMES

Pairs = tuple[int | tuple[int, int], ...]


def sizes(option: str, text: str) -> tuple[int, ...]:
    """One int per axis.

    >>> sizes("kernel", "3x5")
    (3, 5)
    """
    return tuple(_integer(option, part, text) for part in text.lower().split("x"))


def paddings(text: str) -> str | Pairs:
    """A name, or an int or a pair per axis.

    >>> paddings("same"), paddings("1"), paddings("0:1x2")
    ('SAME', (1,), ((0, 1), 2))
    """
    if text.upper() in NAMES:
        return text.upper()
    parts = [part.split(":") for part in text.lower().split("x")]
    numbers = [tuple(_integer("padding", number, text) for number in part) for part in parts]
    if any(len(pair) > 2 for pair in numbers):
        raise Refusal(f"--padding has one int or lo:hi per axis, got {text!r}.")
    return tuple(pair[0] if len(pair) == 1 else (pair[0], pair[1]) for pair in numbers)


def channels(text: str) -> tuple[int, int]:
    """``16:33``, or one number for both."""
    parts = [_integer("channels", part, text) for part in text.split(":")]
    if len(parts) > 2 or min(parts) < 1:
        raise Refusal(f"--channels is IN:OUT, both 1 or more, got {text!r}.")
    return parts[0], parts[-1]


def on_every_axis(option: str, values: tuple, rank: int) -> tuple:
    """One value for all axes, or as many as there are axes."""
    if len(values) not in (1, rank):
        raise Refusal(f"--{option} has {len(values)} axes, and the layer has {rank}.")
    return values * rank if len(values) == 1 else values


def _integer(option: str, part: str, text: str) -> int:
    try:
        return int(part)
    except ValueError:
        example = "0:1x1:0, 1x2, 1 or a name such as same" if option == "padding" else "3x5 or 3"
        raise Refusal(f"--{option} is written as {example}, got {text!r}.") from None
