"""Between a number p and its coordinate u: a straight line, or the logarithm of p or of its odds p / (1 - p).

A float64 coordinate cannot tell all float64 numbers apart: on a logarithmic scale over w = log(high / low), neighbours
of u lie w 2^-53 p from each other, which is more than one unit in the last place of p. So `decode` is made to hit the
numbers that people write: where a decimal of fewer digits lies within one step of u, that is the value. And `encode`
looks among the neighbours of u for one that decodes to p itself, so `decode(encode(p)) == p` for every p that
`decode` can give, and for every decimal of up to about 12 digits.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Curve", "Line", "Log", "Logit", "decode", "encode"]

_SEARCHED = 8
"""Steps to either side of u that are tried: the error of u in these steps is at most 2 or 3."""

_STEEPNESS = 1.7
"""logistic(1.7 z) is nearly the normal distribution function, so a standard normal z gives nearly uniform p."""


class Curve(ABC):
    """An increasing map between numbers in [low, high] and coordinates in [start, stop].

    Attributes:
        low, high: the least and the greatest number that `decode` gives.
        start, stop: their coordinates.
    """

    low: float
    high: float
    start: float
    stop: float

    @abstractmethod
    def up(self, p: np.ndarray) -> np.ndarray:
        """Coordinates (n,) of numbers (n,), nearly."""

    @abstractmethod
    def down(self, u: np.ndarray) -> np.ndarray:
        """Numbers (n,) of coordinates (n,), before they are snapped."""

    @abstractmethod
    def step(self, p: np.ndarray, du: np.ndarray) -> np.ndarray:
        """How far p (n,) moves when its coordinate moves by du (n,): dp / du * du."""

    @property
    def exact(self) -> bool:
        """Whether every float of the interval has a coordinate of its own by construction."""
        return False


@dataclass(frozen=True)
class Line(Curve):
    """p = origin + u * length; both are held times `unit`, so that the length of the longest interval is finite."""

    low: float
    high: float
    origin: float
    length: float
    unit: float = 1.0
    start: float = 0.0
    stop: float = 1.0

    @staticmethod
    def between(least: float, most: float, low: float, high: float) -> "Line":
        """u = 0 at `least`, 1 at `most`."""
        unit = 1.0 if math.isfinite(most - least) else 0.25
        return Line(low, high, least * unit, most * unit - least * unit, unit)

    @staticmethod
    def free(location: float, scale: float) -> "Line":
        """u = (p - location) / scale, for all numbers p."""
        most = float(np.finfo(np.float64).max)
        return Line(-most, most, location, scale, 1.0, -math.inf, math.inf)

    def up(self, p: np.ndarray) -> np.ndarray:
        return (p * self.unit - self.origin) / self.length

    def down(self, u: np.ndarray) -> np.ndarray:
        return (self.origin + u * self.length) / self.unit

    def step(self, p: np.ndarray, du: np.ndarray) -> np.ndarray:
        return du * self.length / self.unit

    @property
    def exact(self) -> bool:
        return self.origin == 0 and math.frexp(self.length)[0] == 0.5


@dataclass(frozen=True)
class Log(Curve):
    """p = least * (most / least)^u."""

    low: float
    high: float
    least: float
    most: float
    start: float = 0.0
    stop: float = 1.0

    @cached_property
    def width(self) -> float:
        """w = log(most / least)."""
        ratio = (self.most - self.least) / self.least
        return math.log1p(ratio) if math.isfinite(ratio) else math.log(self.most) - math.log(self.least)

    def up(self, p: np.ndarray) -> np.ndarray:
        ratio = (p - self.least) / self.least
        logs = np.log1p(ratio)  # exact where p is near the least
        return np.where(np.isfinite(ratio), logs, np.log(p) - math.log(self.least)) / self.width

    def down(self, u: np.ndarray) -> np.ndarray:
        x = u * self.width
        far = self.least * np.exp(x)
        if self.width > 700:  # exp(x) overflows before the product does
            far = np.where(x > 700, self.least * np.exp(x / 2) * np.exp(x / 2), far)
        return np.where(x < 1, self.least + self.least * np.expm1(x), far)

    def step(self, p: np.ndarray, du: np.ndarray) -> np.ndarray:
        return p * (self.width * du)


@dataclass(frozen=True)
class Logit(Curve):
    """The odds p / (1 - p) on a logarithmic scale.

    Between two finite odds u is in [0, 1]. An end at 0 or 1 lies infinitely far away; then u = log(p / (1 - p)) / 1.7.
    """

    low: float
    high: float
    least: float
    most: float

    @cached_property
    def _odds(self) -> Log | None:
        """The curve of the odds, where both ends are finite."""
        if self.least == 0 or self.most == 1:
            return None
        ends = self.least / (1 - self.least), self.most / (1 - self.most)
        return Log(*ends, *ends)

    @property
    def start(self) -> float:  # type: ignore[override]
        return 0.0 if self._odds else _half_logit(self.least)

    @property
    def stop(self) -> float:  # type: ignore[override]
        return 1.0 if self._odds else _half_logit(self.most)

    def up(self, p: np.ndarray) -> np.ndarray:
        if self._odds:
            return self._odds.up(p / (1 - p))
        return (np.log(p) - np.log1p(-p)) / _STEEPNESS

    def down(self, u: np.ndarray) -> np.ndarray:
        if self._odds:
            odds = self._odds.down(u)
            return np.where(odds < 1, odds / (1 + odds), 1 - 1 / (1 + odds))
        small = np.exp(-_STEEPNESS * np.abs(u))
        small = small / (1 + small)
        return np.where(u < 0, small, 1 - small)

    def step(self, p: np.ndarray, du: np.ndarray) -> np.ndarray:
        return p * ((1 - p) * (self._odds.width if self._odds else _STEEPNESS) * du)


def _half_logit(p: float) -> float:
    """The coordinate of an end where another end is infinitely far away."""
    if p in (0, 1):
        return math.inf if p else -math.inf
    return (math.log(p) - math.log1p(-p)) / _STEEPNESS


def decode(curve: Curve, u: np.ndarray) -> np.ndarray:
    """The numbers (n,) in [low, high] that the coordinates u (n,) stand for; those outside mean the nearest end."""
    with np.errstate(all="ignore"):
        u = _between(u, curve.start, curve.stop)
        p = curve.down(u)
        if not curve.exact:
            p = _snapped(p, curve.step(p, np.spacing(np.abs(u))))
        p = _between(p, curve.low, curve.high)
    p[u == curve.start] = curve.low
    p[u == curve.stop] = curve.high
    return p


def encode(curve: Curve, p: np.ndarray) -> np.ndarray:
    """Coordinates (n,) that decode to the numbers p (n,) in [low, high], or as near to them as coordinates can tell."""
    with np.errstate(all="ignore"):
        u = _between(curve.up(p), curve.start, curve.stop)
        off = np.abs(decode(curve, u) - p)
        missed = off.nonzero()[0]
        if len(missed):
            u[missed] = _searched(curve, p[missed], u[missed], off[missed])
    return u


def _between(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """`numpy.clip`, which takes longer for few numbers."""
    return np.minimum(np.maximum(x, low), high)


def _searched(curve: Curve, p: np.ndarray, u: np.ndarray, off: np.ndarray) -> np.ndarray:
    """The coordinate among the neighbours of u that decodes nearest to p; off is the distance of u itself."""
    fine = np.spacing(np.abs(u))
    # where u is much finer than p, its neighbours all decode alike: there by a quarter of the spacing of p
    wide = 0.25 * np.spacing(np.abs(p)) / curve.step(p, fine) * fine
    best = u.copy()
    for step in (fine, wide):
        for k in range(1, _SEARCHED + 1):
            for signed in (k, -k):
                there = _between(u + signed * step, curve.start, curve.stop)
                distance = np.abs(decode(curve, there) - p)
                nearer = distance < off
                best[nearer], off[nearer] = there[nearer], distance[nearer]
            if not off.any():
                return best
        if not (wide > fine).any():
            break
    return best


def _snapped(p: np.ndarray, step: np.ndarray) -> np.ndarray:
    """p (n,), and where a decimal with two digits less than p has lies within one step (n,), that decimal instead."""
    step = np.maximum(step, 2 * np.spacing(np.abs(p)))  # p itself is rounded
    digits = np.floor(-np.log10(step)) - 2  # 10^-digits is 100 to 1000 steps
    unit = 10.0**-digits
    near = np.abs(np.rint(p / unit) * unit - p) <= 2 * step
    for i in (near & (step < np.inf)).nonzero()[0].tolist():
        rounded = round(float(p[i]), int(digits[i]))  # the float nearest to the decimal, as it would be typed
        if abs(rounded - p[i]) <= step[i]:
            p[i] = rounded
    return p
