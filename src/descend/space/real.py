"""Real numbers, on a linear, logarithmic or logit scale, with or without steps."""

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.space.curve import Curve, Line, Log, Logit, decode, encode
from descend.space.grid import Grid
from descend.space.leaf import Axes, Leaf, Misfit, short, writable
from descend.space.number import as_number, as_numbers

__all__ = ["Float"]


@writable
@dataclass(frozen=True, eq=False, repr=False)
class Float(Leaf):
    """A real number, given to the objective as a float.

    Args:
        low, high: finite, low < high; the interval is closed. Without both the number is unbounded.
        log: whether it is drawn, and moved about, on a logarithmic scale; needs low > 0.
        logit: the same on the scale of log(p / (1 - p)), which is fine near 0 and near 1; low and high lie in [0, 1].
            An end at 0 or at 1 lies infinitely far away on this scale, and is itself left out.
        step: > 0, the distance of neighbouring values low, low + step, ..., high, where only these are meant.
        open: whether low and high themselves are left out; default False.
        location, scale: where to look for an unbounded number, and how far around: finite, scale > 0; default 0 and 1.

    The coordinate is u in [0, 1], or (p - location) / scale; of an infinite logit scale, log(p / (1 - p)) / 1.7, whose
    standard normal is nearly uniform in p. Where float64 coordinates cannot tell all floats apart, decimals of up to
    about 12 digits are among those they can; others come back within a step of u, log(high / low) / 2 units in the
    last place on a logarithmic scale.

    Raises:
        InvalidValue: arguments that cannot mean anything, or that exclude each other.

    >>> Float(1e-5, 1, log=True), Float(0.1, 0.7, step=0.1), Float()
    (Float(1e-05, 1.0, log=True), Float(0.1, 0.7, step=0.1), Float())
    """

    low: float | None = None
    high: float | None = None
    _: KW_ONLY
    log: bool = False
    logit: bool = False
    step: float | None = None
    open: bool = False
    location: float | None = None
    scale: float | None = None

    def __post_init__(self) -> None:
        for name in ("low", "high", "step", "location", "scale"):
            given = getattr(self, name)
            number = as_number(given)
            if given is not None and (number is None or not math.isfinite(number)):
                advice = "; write Float() for an unbounded number" if name in ("low", "high") else ""
                raise InvalidValue(f"Float needs a finite number for {name}, got {name}={given!r}{advice}")
            object.__setattr__(self, name, None if number is None else number + 0.0)  # + 0.0 makes -0.0 plain
        for name in ("log", "logit", "open"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidValue(f"Float needs True or False for {name}, got {name}={getattr(self, name)!r}")
        if self.low is not None and self.high is not None:
            self._check_interval(self.low, self.high)
        else:
            self._check_unbounded()

    def _check_unbounded(self) -> None:
        if self.low is not None or self.high is not None:
            raise InvalidValue(
                f"Float takes both low and high, or none of them, got low={self.low!r}, high={self.high!r}"
            )
        if self.log or self.logit or self.open or self.step is not None:
            raise InvalidValue("log, logit, step and open belong to an interval; write Float(low, high, ...)")
        if self.scale is not None and not self.scale > 0:
            raise InvalidValue(f"Float needs scale > 0, got scale={self.scale!r}")

    def _check_interval(self, low: float, high: float) -> None:
        if not low < high:
            raise InvalidValue(f"Float needs low < high, got low={low!r}, high={high!r}; a constant is Choice({low!r})")
        if self.location is not None or self.scale is not None:
            raise InvalidValue(
                f"location and scale belong to an unbounded number, which has no low={low!r} and high={high!r}; "
                "write Float(location=..., scale=...)"
            )
        if (self.log, self.logit, self.step is not None).count(True) > 1:
            raise InvalidValue("log, logit and step exclude each other; write one of them, or an Ordinal of the values")
        if self.open and self.step is not None:
            raise InvalidValue("open=True leaves out the ends, which belong to the steps; move low and high by a step")
        if self.log and not low > 0:
            raise InvalidValue(f"the logarithm needs low > 0, got low={low!r}; write for example low={high / 1e6!r}")
        if self.logit and not (low >= 0 and high <= 1):
            raise InvalidValue(f"the logit needs low and high in [0, 1], got low={low!r}, high={high!r}")
        if self.step is not None and not self.step > 0:
            raise InvalidValue(f"Float needs step > 0, got step={self.step!r}")
        if self._curve.low > self._curve.high:
            raise InvalidValue(f"there is no float between low={low!r} and high={high!r}; leave out open=True")
        _ = self._grid  # made here, so that a wrong step is found here

    @cached_property
    def _curve(self) -> Curve:
        low, high = self.low, self.high
        if low is None or high is None:
            return Line.free(self.location or 0.0, self.scale or 1.0)
        first = math.nextafter(low, math.inf) if self.open or (self.logit and low == 0) else low
        last = math.nextafter(high, -math.inf) if self.open or (self.logit and high == 1) else high
        if self.log:
            return Log(first, last, low, high)
        return Logit(first, last, low, high) if self.logit else Line.between(low, high, first, last)

    @cached_property
    def _grid(self) -> "Grid | None":
        if self.step is None or self.low is None or self.high is None:
            return None
        return Grid.of(self.low, self.high, self.step)

    @cached_property
    def axes(self) -> Axes:
        if self._grid:
            return self._grid.axes
        start, stop = self._curve.start, self._curve.stop
        # in the middle, or at 0 or 1 from the only end
        middle = 0.5 if (start, stop) == (0, 1) else max(0.0, start + 1) if stop == math.inf else min(0.0, stop - 1)
        return Axes.of([""], middle, start, stop)

    def column(self, values: list[Any]) -> np.ndarray:
        p = as_numbers(values)
        if self._grid:
            return self._grid.column(p.tolist())
        if not bool(((p >= self._curve.low) & (p <= self._curve.high)).all()):
            raise Misfit
        return encode(self._curve, p)[:, None]

    def values(self, u: np.ndarray) -> list[Any]:
        if self._grid:
            return self._grid.values(u)
        return decode(self._curve, u[:, 0]).tolist()

    def wrong(self, value: Any, name: str) -> str:
        number = as_number(value)
        if number is None:
            return f"{name} must be a number, got {short(value)}"
        if self._grid:
            return self._grid.wrong(number, name)
        if self._curve.low <= number <= self._curve.high:
            return ""
        if self.low is None:
            return f"{name} must be a finite number, got {value!r}"
        between = "lie in" if (self._curve.low, self._curve.high) == (self.low, self.high) else "lie inside of"
        return f"{name} must {between} [{self.low!r}, {self.high!r}], got {value!r}"

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        bounds = () if self.low is None else (self.low, self.high)
        named = {name: getattr(self, name) for name in ("log", "logit", "step", "open", "location", "scale")}
        return bounds, {name: value for name, value in named.items() if value is not None and value is not False}
