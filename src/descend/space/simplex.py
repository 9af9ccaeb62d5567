"""Shares of a whole: numbers >= 0 that sum to 1, by one coordinate for each.

If u_i are uniform, e_i = -log(u_i) are exponential, and the shares e_i / sum(e) are uniform on the simplex (Devroye
1986, "Non-uniform random variate generation", theorem V.2.2). All coordinates are alike, which a map from n - 1 of them
cannot be; in exchange, multiplying all e_i changes nothing. The canonical point has sum(e) = n, its mean, or
max(e) = 500 if that would be more, so that u stays representable.
"""

from functools import cached_property
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.space.combination import Items
from descend.space.leaf import Axes, Misfit, short, writable
from descend.space.number import as_number

__all__ = ["Simplex"]

_UNITS = 10**12
"""Shares are whole multiples of 10^-12, so that coordinates and shares agree exactly, and their sum is 1."""

_FARTHEST = 500.0
_TOLERANCE = 1e-6


@writable
class Simplex(Items):
    """Shares >= 0 that sum to 1, given to the objective as a list of floats, or as a dict where they have names.

    Args:
        names: how many shares, at least 2, or a list of their names.

    Shares are rounded to 12 decimals. Uniform coordinates give uniform points of the simplex.

    Raises:
        InvalidValue: there are fewer than 2 shares, or a name that is no text, or the same one twice.

    >>> Simplex(2).values(np.array([[0.5, 0.25]]))
    [[0.333333333333, 0.666666666667]]
    """

    def __init__(self, names: int | list[str] | tuple[str, ...]) -> None:
        super().__init__(names, 2)
        wrong = [name for name in self.items if not isinstance(self.given, int) and not isinstance(name, str)]
        if wrong:
            raise InvalidValue(f"Simplex takes a number of shares or a list of their names, got the name {wrong[0]!r}")

    @cached_property
    def axes(self) -> Axes:
        return Axes.of(self._names, np.exp(-1.0))

    def column(self, values: list[Any]) -> np.ndarray:
        shares = np.array([self._shares(value) for value in values]).reshape(len(values), len(self.items))
        sums = shares.sum(1, keepdims=True)
        if not bool(((shares >= 0).all(1) & (np.abs(sums[:, 0] - 1) <= _TOLERANCE)).all()):
            raise Misfit
        shares /= sums
        n = len(self.items)
        return np.exp(-shares * np.minimum(n, _FARTHEST / shares.max(1, keepdims=True)))

    def values(self, u: np.ndarray) -> list[Any]:
        # the least normal number keeps u = 0 finite
        e = -np.log(np.clip(u, np.finfo(np.float64).tiny, 1.0))
        e[e.sum(1) == 0] = 1.0
        ends = np.rint(e.cumsum(1) / e.sum(1, keepdims=True) * _UNITS)  # rounded sums, so that the whole is exact
        ends[:, -1] = _UNITS
        shares = np.diff(ends, axis=1, prepend=0.0) / _UNITS
        if isinstance(self.given, int):
            return shares.tolist()
        return [dict(zip(self.items, row, strict=True)) for row in shares.tolist()]

    def _shares(self, value: Any) -> list[float]:
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if isinstance(self.given, int):
            numbers = [as_number(share) for share in value] if isinstance(value, list | tuple) else []
        elif isinstance(value, dict) and {*value} == {*self.items}:
            numbers = [as_number(value[name]) for name in self.items]
        else:
            numbers = []
        found = [number for number in numbers if number is not None]
        if len(found) != len(self.items) or len(numbers) != len(found):
            raise Misfit
        return found

    def wrong(self, value: Any, name: str) -> str:
        try:
            shares = self._shares(value)
        except Misfit:
            if isinstance(self.given, int):
                return f"{name} must be a list of {len(self.items)} numbers, got {short(value)}"
            return f"{name} must be a dict of numbers for {', '.join(self.items)}, got {short(value)}"
        least, total = min(shares), sum(shares)
        if not least >= 0:
            return f"{name} must hold shares >= 0, got {short(value)}"
        if not abs(total - 1) <= _TOLERANCE:
            return f"{name} must hold shares that sum to 1, got {short(value)}, which sum to {total:g}"
        return ""

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.given if isinstance(self.given, int) else list(self.given),), {}
