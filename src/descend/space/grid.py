"""Equally spaced floats, each the float nearest to the decimal that a person would write: 0.1 + 2 * 0.1 is 0.3."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.space.leaf import Discrete, Misfit

__all__ = ["Grid"]

_MOST = 10**13


@dataclass(frozen=True, eq=False, repr=False)
class Grid(Discrete):
    """low, low + step, ..., high.

    Fields: count, how many; first and stride, low and step as whole multiples of 10^-digits, digits None where these
    are too long to be exact. A number within 10^-6 of a step from one of them means that one.
    """

    low: float
    high: float
    step: float
    count: int
    first: int
    stride: int
    digits: int | None

    @staticmethod
    def of(low: float, high: float, step: float) -> "Grid":
        """The grid from low to high.

        Raises:
            InvalidValue: the step does not divide the interval, or is too small for it.
        """
        ratio = high / step - low / step
        if not ratio < _MOST:
            raise InvalidValue(f"step={step!r} gives more than {_MOST:g} values in [{low!r}, {high!r}]; leave it out")
        steps = round(ratio)
        if steps < 1 or abs(ratio - steps) > 1e-6:
            reached = low + max(1, math.floor(ratio)) * step
            raise InvalidValue(f"step={step!r} does not divide [{low!r}, {high!r}]; write high={reached:.12g}")
        exact = [Decimal(repr(number)) for number in (low, high, step)]
        digits = max(0, *(-int(number.as_tuple().exponent) for number in exact))
        first, last, stride = (int(number.scaleb(digits)) for number in exact)
        # 10^22 and integers below 2^53 are floats, and so their quotient is the float nearest to the decimal
        whole = digits <= 22 and max(abs(first), abs(last)) < 2**53 and first + steps * stride == last
        return Grid(low, high, step, steps + 1, first, stride, digits if whole else None)

    def index(self, values: list[Any]) -> np.ndarray:
        place = (np.asarray(values, dtype=np.float64) - self.low) / self.step
        index = np.clip(np.rint(place), 0, self.count - 1)
        if not bool((np.abs(place - index) <= 1e-6).all()):
            raise Misfit
        return index.astype(np.int64)

    def at(self, index: np.ndarray) -> list[Any]:
        if self.digits is not None:
            return ((self.first + index * self.stride) / 10.0**self.digits).tolist()
        values = self.low + index * self.step
        return np.where(index == self.count - 1, self.high, np.minimum(values, self.high)).tolist()

    def wrong(self, value: Any, name: str) -> str:
        try:
            self.index([value])
        except Misfit:
            second = self.at(np.array([1]))[0]
            return f"{name} must be one of {self.low!r}, {second!r}, ..., {self.high!r}, got {value!r}"
        return ""

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.low, self.high), {"step": self.step}
