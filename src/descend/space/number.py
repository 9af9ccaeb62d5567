"""What counts as a number where a user writes one: Python's and NumPy's, but no booleans and no text."""

import math
from typing import Any

import numpy as np

from descend.space.leaf import Misfit

__all__ = ["as_number", "as_numbers"]


def as_number(value: Any) -> float | None:
    """What a user may write for a number, or None."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def as_numbers(values: list[Any]) -> np.ndarray:
    """(n,) float64."""
    if not {*map(type, values)} <= {float, int}:
        numbers = [as_number(value) for value in values]
        if any(number is None for number in numbers):
            raise Misfit
        values = numbers
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise Misfit from None
