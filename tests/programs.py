"""What is read from the text of a lowered program."""

from __future__ import annotations

import re

FOUR_AXES = "0, 1, 2, 3"


def convolutions(text: str) -> int:
    """How many convolutions XLA does, where all numbers are finite.

    One with four axes, which no test here writes, is the form that is run for infinities.
    """
    numbers = re.findall(r"stablehlo\.convolution\(.*?dim_numbers = (.*?), window", text)
    assert len(numbers) == text.count("stablehlo.convolution(")
    return sum(FOUR_AXES not in found for found in numbers)
