"""Minimizing along a line with values only: bracket a minimum, then close in on it.

Brent (1973), "Algorithms for minimization without derivatives", chapter 5: parabolas through the three best points, and
golden sections where these do not pay; the bracket grows by golden sections and parabolas too. x, w and v are his: the
best point, the second best, and the one before that; a and b are the ends of the bracket.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.population.base import positive, whole
from descend.space.domain import Domain

__all__ = ["Bracket", "Brent", "Golden", "Line", "Ray", "check_line", "reach"]

Ray = Callable[[float], Generator[Tensor, Tensor, float]]
"""The loss at a place t on the line, 0 being where it begins."""

Found = Generator[Tensor, Tensor, tuple[float, float]]
"""Asks, and returns the best t with its loss."""

_GOLD = (1 + math.sqrt(5)) / 2
_SECTION = 2 - _GOLD  # the smaller part of a golden section


@dataclass(frozen=True)
class Bracket:
    """low < best < high and the losses at the three, that at `best` being the least; or `best` is an end of the
    line."""

    low: float
    best: float
    high: float
    at_low: float
    at_best: float
    at_high: float


@dataclass(frozen=True)
class Line(ABC):
    """How to minimize along a line.

    Args:
        accuracy: > 0, relative to the length of the way from where the line begins; default 0.01, with which a
            parabola's minimum is missed by 1e-4 of what there is to gain.
        most: at least 1, evaluations inside of a bracket; default 30.

    Raises:
        InvalidValue: a number outside its range.
    """

    accuracy: float = 1e-2
    most: int = 30

    def __post_init__(self) -> None:
        positive(self, "accuracy", self.accuracy, 0.01)
        whole(self, "most", self.most, 1, 30)

    def search(self, ray: Ray, loss: float, step: float, low: float, high: float) -> Found:
        """A local minimum on [low, high], which contains 0.

        Args:
            ray: the losses on the line.
            loss: that at 0.
            step: > 0, the distance to try first.
            low, high: how far it may go, perhaps infinitely.
        """
        bracket = yield from _bracket(ray, loss, step, low, high)
        if not bracket.low < bracket.best < bracket.high:
            return bracket.best, bracket.at_best
        return (yield from self.close_in(ray, bracket, step))

    @abstractmethod
    def close_in(self, ray: Ray, bracket: Bracket, step: float) -> Found:
        """A local minimum inside a bracket that was found with this first step."""


@dataclass(frozen=True)
class Brent(Line):
    """Parabolas and golden sections.

    Args:
        accuracy: > 0, relative to the length of the way from where the line begins; default 0.01, with which a
            parabola's minimum is missed by 1e-4 of what there is to gain.
        most: at least 1, evaluations inside of a bracket; default 30.

    Raises:
        InvalidValue: a number outside its range.
    """

    def close_in(self, ray: Ray, bracket: Bracket, step: float) -> Found:
        a, b = bracket.low, bracket.high
        x, fx = bracket.best, bracket.at_best
        ends = sorted(((bracket.at_low, a), (bracket.at_high, b)))
        (fw, w), (fv, v) = ends
        before = last = b - a  # the steps taken before the last one, and last
        for _ in range(self.most):
            tolerance = self.accuracy * max(abs(x), 0.1 * step)
            if max(x - a, b - x) <= 2 * tolerance:
                break
            u = _vertex(x, fx, w, fw, v, fv)
            # he refuses a parabola that leaves the bracket or does not halve the step before last
            if a < u < b and abs(u - x) < 0.5 * abs(before):
                before, last = last, u - x
                if min(u - a, b - u) < 2 * tolerance:
                    last = math.copysign(tolerance, 0.5 * (a + b) - x)
            else:
                before = (a if x >= 0.5 * (a + b) else b) - x
                last = _SECTION * before
            u = x + (last if abs(last) >= tolerance else math.copysign(tolerance, last))
            fu = yield from ray(u)
            if fu <= fx:
                a, b = (x, b) if u >= x else (a, x)
                v, fv, w, fw, x, fx = w, fw, x, fx, u, fu
                continue
            a, b = (a, u) if u >= x else (u, b)
            if fu <= fw or w == x:
                v, fv, w, fw = w, fw, u, fu
            elif fu <= fv or v in (x, w):
                v, fv = u, fu
        return x, fx


@dataclass(frozen=True)
class Golden(Line):
    """Golden sections only: slower where the loss is smooth, and not misled where it is not (Kiefer 1953).

    Args:
        accuracy: > 0, relative to the length of the way from where the line begins; default 0.01.
        most: at least 1, evaluations inside of a bracket; default 30.

    Raises:
        InvalidValue: a number outside its range.
    """

    def close_in(self, ray: Ray, bracket: Bracket, step: float) -> Found:
        a, x, b, fx = bracket.low, bracket.best, bracket.high, bracket.at_best
        for _ in range(self.most):
            if max(x - a, b - x) <= 2 * self.accuracy * max(abs(x), 0.1 * step):
                break
            u = x + _SECTION * ((b if b - x > x - a else a) - x)
            fu = yield from ray(u)
            if fu < fx:
                a, b, x, fx = (x, b, u, fu) if u > x else (a, x, u, fu)
            else:
                a, b = (a, u) if u > x else (u, b)
        return x, fx


def _bracket(ray: Ray, loss: float, step: float, low: float, high: float) -> Generator[Tensor, Tensor, Bracket]:
    """Go downhill from 0 in growing steps until the loss rises, or to the end of the line."""
    if not low < high:
        return Bracket(0.0, 0.0, 0.0, loss, loss, loss)
    first = min(step, high) if high >= min(step, -low) else max(-step, low)
    a, fa, b, fb = 0.0, loss, first, (yield from ray(first))
    if fb >= fa:  # uphill: turn round
        a, fa, b, fb = b, fb, a, fa
    while True:
        end = high if b > a else low
        if b == end:
            return _sorted(a, fa, b, fb, b, fb)
        c = b + _GOLD * (b - a)
        c = min(c, end) if b > a else max(c, end)
        fc = yield from ray(c)
        if fc >= fb or not math.isfinite(c):
            return _sorted(a, fa, b, fb, c, fc)
        # where a parabola through the three has its minimum farther on, go there, but not absurdly far
        u = _vertex(c, fc, b, fb, a, fa)
        a, fa, b, fb = b, fb, c, fc
        if (u - b) * (b - a) > 0 and b != end:
            u = min(u, b + 50 * (b - a), end) if b > a else max(u, b + 50 * (b - a), end)
            fu = yield from ray(u)
            if fu >= fb:
                return _sorted(a, fa, b, fb, u, fu)
            a, fa, b, fb = b, fb, u, fu


def _sorted(a: float, fa: float, b: float, fb: float, c: float, fc: float) -> Bracket:
    return Bracket(a, b, c, fa, fb, fc) if a < c else Bracket(c, b, a, fc, fb, fa)


def _vertex(x: float, fx: float, w: float, fw: float, v: float, fv: float) -> float:
    """The minimum of the parabola through three points, NaN if it has none."""
    left, right = (x - w) * (fx - fv), (x - v) * (fx - fw)
    bend = right - left
    # minus the second derivative, but for a positive factor
    if not (math.isfinite(bend) and bend * (x - v) * (x - w) * (v - w) < 0):
        return math.nan
    return x - 0.5 * ((x - v) * right - (x - w) * left) / bend


def reach(x: Tensor, direction: Tensor, domain: Domain) -> tuple[float, float]:
    """The least and the greatest t for which x + t * direction (d,) lies inside; at most 0 and at least 0."""
    if not domain.bounded:
        return -math.inf, math.inf
    first, second = (domain.lower - x) / direction, (domain.upper - x) / direction
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    moves = direction != 0
    low = torch.where(moves, low, torch.full_like(low, -math.inf))
    high = torch.where(moves, high, torch.full_like(high, math.inf))
    return min(0.0, float(low.max())), max(0.0, float(high.min()))


def check_line(owner: object, line: Any) -> None:
    """Refuse what cannot minimize along a line.

    Raises:
        InvalidValue: a sentence with the value and what to write.
    """
    if not isinstance(line, Line):
        kind = type(owner).__name__
        raise InvalidValue(f"{kind} needs a line search, got line={line!r}; write {kind}(line=Brent()) or Golden()")
