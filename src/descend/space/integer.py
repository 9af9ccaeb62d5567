"""Whole numbers.

A logarithmic integer is the rounding of a float that is log-uniform between low - 1/2 and high + 1/2, so that the
first and the last value get as much as their size deserves.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.space.curve import Log
from descend.space.leaf import Axes, Discrete, Misfit, short, writable
from descend.space.number import as_number, as_numbers

__all__ = ["Int"]

_MOST = 10**13
"""Integers up to here have coordinates of their own on every scale."""


@writable
@dataclass(frozen=True, eq=False, repr=False)
class Int(Discrete):
    """A whole number, low <= n <= high, given to the objective as an int.

    Args:
        low, high: whole numbers, low < high, of at most 10^13.
        log: whether it is drawn, and moved about, on a logarithmic scale; needs low >= 1.
        step: >= 1, the distance of neighbouring values low, low + step, ..., high; default 1.

    Raises:
        InvalidValue: arguments that cannot mean anything, or that exclude each other.

    >>> Int(1, 64, log=True), Int(0, 100, step=10)
    (Int(1, 64, log=True), Int(0, 100, step=10))
    """

    low: int
    high: int
    log: bool = False
    step: int = 1

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer):
                raise InvalidValue(f"Int needs a whole number for {name}, got {name}={value!r}")
            object.__setattr__(self, name, int(value))
        if not isinstance(self.log, bool):
            raise InvalidValue(f"Int needs True or False for log, got log={self.log!r}")
        if not self.low < self.high:
            raise InvalidValue(
                f"Int needs low < high, got low={self.low!r}, high={self.high!r}; a constant is Choice({self.low!r})"
            )
        if max(abs(self.low), abs(self.high)) > _MOST:
            raise InvalidValue(
                f"Int holds numbers of at most {_MOST:g}, which float64 coordinates can tell apart, got "
                f"low={self.low!r}, high={self.high!r}; write Float(..., log=True) and round it in the objective"
            )
        if self.step < 1:
            raise InvalidValue(f"Int needs step >= 1, got step={self.step!r}")
        if self.log and self.step > 1:
            raise InvalidValue("log and step exclude each other; write one of them, or an Ordinal of the values")
        if self.log and self.low < 1:
            raise InvalidValue(f"the logarithm needs low >= 1, got low={self.low!r}")
        if (self.high - self.low) % self.step:
            reached = self.high - (self.high - self.low) % self.step
            better = f"high={reached}" if reached > self.low else f"step={self.high - self.low}"
            raise InvalidValue(f"step={self.step} does not divide [{self.low}, {self.high}]; write {better}")

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return (self.high - self.low) // self.step + 1

    @cached_property
    def _curve(self) -> Log | None:
        ends = self.low - 0.5, self.high + 0.5
        return Log(*ends, *ends) if self.log else None

    @cached_property
    def axes(self) -> Axes:
        # cells on a logarithmic scale are not equal, so to a method the coordinate is continuous
        if self._curve is None:
            return super().axes
        return Axes.of([""], self._coordinates(self.cell(np.array([[0.5]])))[0])

    def _coordinates(self, index: np.ndarray) -> np.ndarray:
        """The middle (n,) of each value's cell on the logarithmic scale."""
        assert self._curve is not None
        values = self.low + index
        return (self._curve.up(values - 0.5) + self._curve.up(values + 0.5)) / 2

    def cell(self, u: np.ndarray) -> np.ndarray:
        if self._curve is None:
            return super().cell(u)
        values = np.rint(self._curve.down(np.clip(u[:, 0], 0, 1)))
        return np.clip(values, self.low, self.high).astype(np.int64) - self.low

    def intervals(self, places: np.ndarray) -> np.ndarray:
        if self._curve is None:
            return super().intervals(places)
        ends = [self._curve.up(self.low + places + half) for half in (-0.5, 0.5)]
        return self._unending(np.stack(ends, axis=1), places)

    def column(self, values: list[Any]) -> np.ndarray:
        return super().column(values) if self._curve is None else self._coordinates(self.index(values))[:, None]

    def index(self, values: list[Any]) -> np.ndarray:
        numbers = as_numbers(values)
        index = (numbers - self.low) / self.step
        if not bool(((numbers >= self.low) & (numbers <= self.high) & (index == np.rint(index))).all()):
            raise Misfit
        return index.astype(np.int64)

    def at(self, index: np.ndarray) -> list[Any]:
        return (self.low + index * self.step).tolist()

    def wrong(self, value: Any, name: str) -> str:
        number = as_number(value)
        if number is None or number != number or not number.is_integer():
            return f"{name} must be a whole number, got {short(value)}"
        if not self.low <= number <= self.high:
            return f"{name} must lie in [{self.low}, {self.high}], got {value!r}"
        if (int(number) - self.low) % self.step:
            return f"{name} must be one of {self.low}, {self.low + self.step}, ..., {self.high}, got {value!r}"
        return ""

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.low, self.high), ({"log": True} if self.log else {}) | (
            {"step": self.step} if self.step > 1 else {}
        )
