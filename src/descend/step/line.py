"""The path t -> project(x - t * direction), along which line searches look, and where they begin to look.

A search is safe whatever it is given: a direction that does not descend is replaced by the gradient, a value that is
not finite counts as +infinity, no point with a number that is not finite is asked about or returned, and after so many
points it gives up. Under bounds the path bends, and the decrease that was promised is measured along it, as
gradient . (x - point) (Bertsekas 1976, "On the Goldstein-Levitin-Polyak gradient projection method").

Symbols: phi(t) = f(point at t); rate = gradient . direction = -phi'(0).
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.direction import as_dense
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Oracle, Slope
from descend.transform.inner import dot
from descend.tree import state

__all__ = ["Line", "LineState", "Trial", "check_search"]


@state
class LineState:
    """What a line search remembers.

    Fields: last, the length t of the last accepted step along a bare gradient, 0 before there was one; joint, whether
    the oracle's gradients bring values along, believed until one does not.
    """

    last: float
    joint: bool


def check_search(name: str, lr: float, c1: float, max_evals: int) -> None:
    """Refuse, in words, what no line search can work with."""
    if not (math.isfinite(lr) and lr > 0):
        raise InvalidValue(f"{name} needs a finite first step lr > 0, got lr={lr!r}; write lr=1.0")
    if not 0 < c1 < 1:
        raise InvalidValue(f"{name} needs a fraction of the promised decrease 0 < c1 < 1, got c1={c1!r}; write c1=1e-4")
    if max_evals < 1:
        raise InvalidValue(f"{name} needs at least one evaluation, got max_evals={max_evals!r}; write max_evals=20")


@dataclass(frozen=True, slots=True)
class Trial:
    """A point of the path.

    Fields: t; x (d,); moving, the (d,) bool mask of coordinates not held at a bound, None if none is; promised, the
    decrease that the gradient at t = 0 promises here; value, phi(t), NaN while unknown and +inf if f failed here;
    derivative, phi'(t), NaN while unknown; gradient (d,), held coordinates included, None while unknown.
    """

    t: float
    x: Tensor
    moving: Tensor | None
    promised: float
    value: float
    derivative: float = math.nan
    gradient: Tensor | None = None


class Line:
    """The path from x along -direction, or along -gradient if that direction does not descend.

    Attributes:
        value: f(x), asked only if the slope does not know it; +inf if f failed there.
        rate: -phi'(0) >= 0; 0 only where the gradient is zero.
        bare: whether the direction is the gradient itself, which has no natural length.
        left: how many more points may be looked at.
    """

    def __init__(self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, key: Key, max_evals: int) -> None:
        self.oracle, self.x, self.key, self.left = oracle, x, key, max_evals
        self.gradient = as_dense(slope.gradient, x)
        self.direction = self._inward(direction)
        self.rate = dot(self.gradient, self.direction)
        if not 0 < self.rate < math.inf:
            self.direction, self.rate = self.gradient, dot(self.gradient, self.gradient)
        self.bare = torch.equal(self.direction, self.gradient)
        self.value = slope.value
        if math.isnan(self.value) and self.rate > 0:
            self.value = oracle.value(x, key)
        self.value = _worst_if_failed(self.value)

    def _inward(self, direction: Tensor) -> Tensor:
        """The direction without the coordinates that would leave their bound at once."""
        raw = self.x - direction
        inside = self.oracle.project(raw)
        if inside is raw:
            return direction
        return torch.where(inside == self.x, torch.zeros_like(direction), direction)

    def first(self, lr: float, last: float, growth: float) -> float:
        """Where to look first: at lr, or along a bare gradient a little farther than last time.

        The very first step along a bare gradient moves by lr at most, since a gradient's length says nothing of the
        distance to the minimum.
        """
        if not self.bare:
            return lr
        return growth * last if last > 0 else lr / max(1.0, math.sqrt(self.rate))

    def look(self, t: float) -> Trial | None:
        """The point at t, without a question; None where rounding or a bound leaves x as it is."""
        self.left -= 1
        raw = self.x.sub(self.direction, alpha=t)
        x = self.oracle.project(raw)
        if torch.equal(x, self.x):
            return None
        if not torch.isfinite(x).all():
            return Trial(t, x, None, t * self.rate, math.inf)
        if x is raw:
            return Trial(t, x, None, t * self.rate, math.nan)
        return Trial(t, x, x == raw, dot(self.gradient, self.x - x), math.nan)

    def ask_value(self, trial: Trial) -> Trial:
        """The trial with its value."""
        if not math.isnan(trial.value):
            return trial
        return replace(trial, value=_worst_if_failed(self.oracle.value(trial.x, self.key)))

    def ask_slope(self, trial: Trial) -> Trial:
        """The trial with its derivative, and its value where that comes along; a failed gradient is a failed value."""
        if trial.value == math.inf or not math.isnan(trial.derivative):
            return trial
        slope = self.oracle.gradient(trial.x, self.key)
        if not slope.is_finite():
            return replace(trial, value=math.inf)
        gradient = as_dense(slope.gradient, trial.x)
        along = gradient if trial.moving is None else gradient * trial.moving
        value = trial.value
        if math.isnan(value) and not math.isnan(slope.value):
            value = _worst_if_failed(slope.value)
        return replace(trial, value=value, derivative=-dot(along, self.direction), gradient=gradient)


def _worst_if_failed(value: float) -> float:
    return value if math.isfinite(value) else math.inf
