"""The strong Wolfe line search: a step that decreases f enough and flattens its slope, so curvature can be learned.

Algorithms 3.5 (bracketing) and 3.6 (zoom) of Nocedal and Wright (2006), "Numerical Optimization"; the conditions are
Wolfe's (1969), "Convergence conditions for ascent methods".

Symbols: phi(t) = f(x - t * direction); rate = -phi'(0); low and high, the two ends of the bracket, low with the
least value of the steps that decrease f enough.
"""

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope
from descend.step.backtracking import quadratic_through
from descend.step.base import Moved, Step
from descend.step.line import Line, LineState, Trial, check_search

__all__ = ["StrongWolfe", "cubic_between"]


@dataclass(frozen=True)
class StrongWolfe(Step[LineState]):
    """A t with f(x - t * direction) <= f(x) - c1 * t * rate and |phi'(t)| <= c2 * rate, where rate = -phi'(0).

    The second condition makes gradient differences show positive curvature, which `BFGS` and `LBFGS` learn from and
    `ConjugateGradient` relies on. Each trial asks for a gradient; a value is asked for on its own only if gradients
    do not bring it along, and then the gradient only where the value is good. A direction that does not descend is
    replaced by the gradient. After `max_evals` points the best one that decreases f enough is taken, or x
    itself if there is none.

    Args:
        lr: the first t, default 1.0, the natural step of second-order transforms. Along a bare gradient, which has no
            natural length, the first step moves by lr at most, and later ones begin at the last accepted t.
        c1: the fraction of the promised decrease, in (0, 1); default 1e-4.
        c2: the fraction of the slope that may remain, in (c1, 1); default 0.5, at which quasi-Newton methods took fewer
            steps than at the customary 0.9 and no more gradients. Write 0.1 for conjugate gradients, which need a
            nearly exact search.
        max_evals: points that are looked at per step, beside x; default 20.

    Raises:
        InvalidValue: a hyperparameter outside its range.

    >>> import torch
    >>> from descend.descent import Descent
    >>> from descend.oracle import Differentiable
    >>> from descend.transform import LBFGS
    >>> rosenbrock = Differentiable(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)
    >>> descent = Descent(LBFGS(), StrongWolfe())
    >>> state = descent.init(torch.tensor([-1.1, 2.5], dtype=torch.float64), Key(0))
    >>> for _ in range(60):
    ...     state = descent.advance(rosenbrock, state)
    >>> state.value < 1e-12
    True
    """

    lr: float = 1.0
    c1: float = 1e-4
    c2: float = 0.5
    max_evals: int = 20

    needs: ClassVar[Asks] = Asks.VALUE | Asks.GRADIENT

    def __post_init__(self) -> None:
        check_search("StrongWolfe", self.lr, self.c1, self.max_evals)
        if not self.c1 < self.c2 < 1:
            raise InvalidValue(
                f"StrongWolfe needs c1 < c2 < 1, got c1={self.c1!r} and c2={self.c2!r}; write c1=1e-4, c2=0.5"
            )

    def init(self, x: Tensor) -> LineState:
        return LineState(0.0, True)

    def __call__(
        self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, state: LineState, key: Key
    ) -> Moved[LineState]:
        line = Line(oracle, x, direction, slope, key, self.max_evals)
        if line.rate == 0:
            return Moved(x, slope.value, state)
        search = _Search(line, self.c1, self.c2, state.joint)
        found = search.bracket(line.first(self.lr, state.last, 1.0))
        if found is None:
            after = replace(state, joint=search.joint)
            return Moved(x, line.value if math.isfinite(line.value) else math.nan, after)
        after = LineState(found.t if line.bare else state.last, search.joint)
        return Moved(found.x, found.value, after, found.gradient)


class _Search:
    """One search along one line."""

    def __init__(self, line: Line, c1: float, c2: float, joint: bool) -> None:
        self.line, self.c1, self.c2, self.joint = line, c1, c2, joint
        self.start = Trial(0.0, line.x, None, 0.0, line.value, -line.rate)

    def bracket(self, t: float) -> Trial | None:
        """Algorithm 3.5: go on until an interval must contain a point that satisfies both conditions."""
        before = self.start
        while (trial := self._ask(t)) is not None:
            if not self._decreases(trial) or (before is not self.start and trial.value >= before.value):
                return self._zoom(before, trial)
            trial = self.line.ask_slope(trial)
            if trial.value == math.inf:
                return self._zoom(before, trial)
            if self._is_flat(trial):
                return trial
            if trial.derivative >= 0:
                return self._zoom(trial, before)
            guess = cubic_between(before, trial)
            before, t = trial, min(max(guess, 2 * t), 10 * t) if math.isfinite(guess) else 10 * t
        return self._taken(before)

    def _zoom(self, low: Trial, high: Trial) -> Trial | None:
        """Algorithm 3.6: shrink the bracket; phi'(low) points into it."""
        while not self._exhausted(low, high) and (trial := self._ask(_between(low, high))) is not None:
            if not self._decreases(trial) or trial.value >= low.value:
                high = trial
                continue
            trial = self.line.ask_slope(trial)
            if trial.value == math.inf:
                high = trial
                continue
            if self._is_flat(trial):
                return trial
            if trial.derivative * (high.t - low.t) >= 0:
                high = low
            low = trial
        return self._taken(low)

    def _ask(self, t: float) -> Trial | None:
        """The trial at t with its value; None if it does not move or was one too many."""
        if self.line.left <= 0:
            return None
        trial = self.line.look(t)
        if trial is None:
            return None
        if self.joint:
            trial = self.line.ask_slope(trial)
            self.joint = not math.isnan(trial.value)
        return self.line.ask_value(trial)

    def _decreases(self, trial: Trial) -> bool:
        """The first condition (eq. 3.6a)."""
        bound = self.line.value - self.c1 * trial.promised
        return trial.promised > 0 and trial.value <= bound and trial.value < math.inf

    def _is_flat(self, trial: Trial) -> bool:
        """The second condition (eq. 3.7b)."""
        return abs(trial.derivative) <= self.c2 * self.line.rate

    def _exhausted(self, low: Trial, high: Trial) -> bool:
        """Whether what is left to gain in the bracket is below the rounding of f, or the bracket below that of t."""
        eps = torch.finfo(self.line.x.dtype).eps
        width = abs(high.t - low.t)
        if width <= eps * max(high.t, low.t):
            return True
        return math.isfinite(low.value) and abs(low.derivative) * width <= 0.01 * eps * abs(low.value)

    def _taken(self, trial: Trial) -> Trial | None:
        return None if trial is self.start else trial


def _between(low: Trial, high: Trial) -> float:
    """The next t in a bracket: a minimizer of the interpolant if it is well inside, else a point nearer to low."""
    width = high.t - low.t
    if not math.isfinite(high.value) or not math.isfinite(low.value):
        return low.t + 0.2 * width  # beyond a region where f fails: come back quickly
    if math.isnan(high.derivative):
        guess = low.t + math.copysign(1.0, width) * quadratic_through(
            low.value, -abs(low.derivative), abs(width), high.value
        )
    else:
        guess = cubic_between(low, high)
    share = (guess - low.t) / width
    return guess if 0.1 <= share <= 0.9 else low.t + 0.5 * width


def cubic_between(a: Trial, b: Trial) -> float:
    """The minimizer of the cubic with the values and derivatives of two trials (eq. 3.59); NaN if it has none."""
    span = b.t - a.t
    d1 = a.derivative + b.derivative - 3 * (a.value - b.value) / (a.t - b.t)
    inside = d1 * d1 - a.derivative * b.derivative
    if not inside >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(inside), span)
    denominator = b.derivative - a.derivative + 2 * d2
    return b.t - span * (b.derivative + d2 - d1) / denominator if denominator != 0 else math.nan
