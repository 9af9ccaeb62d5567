"""Backtracking: try a step, and shorten it until f decreases by a fraction of what the gradient promises.

Armijo (1966), "Minimization of functions having Lipschitz continuous first partial derivatives"; interpolation as in
section 3.5 of Nocedal and Wright (2006), "Numerical Optimization".

Symbols: phi(t) = f(x - t * direction), rate = -phi'(0).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope
from descend.step.base import Moved, Step
from descend.step.line import Line, LineState, Trial, check_search

__all__ = ["Backtracking", "cubic_through", "quadratic_through"]


@dataclass(frozen=True)
class Backtracking(Step[LineState]):
    """The first t of a decreasing sequence with f(x - t * direction) <= f(x) - c1 * t * gradient . direction.

    It asks for values only, so it suits estimated gradients and functions that break down in places: a value of NaN
    is a reason to shorten the step. A direction that does not descend is replaced by the gradient. After `max_evals`
    points the step gives up and stays at x.

    Args:
        lr: the first t, default 1.0, the natural step of second-order transforms. Along a bare gradient, which has no
            natural length, the first step moves by lr at most, and later ones begin at twice the last accepted t.
        shrink: what t is multiplied by where interpolation does not apply, in (0, 1); default 0.5.
        c1: the fraction of the promised decrease, in (0, 1); default 1e-4, which asks for little more than descent.
        interpolate: whether the next t is the minimizer of a parabola, then of a cubic, through what is known, kept
            within [0.1, shrink] of the t before; default True.
        max_evals: points that are looked at per step, beside x; default 20.

    Raises:
        InvalidValue: a hyperparameter outside its range.

    >>> import torch
    >>> from descend.descent import Descent
    >>> from descend.oracle import Differentiable
    >>> rosenbrock = Differentiable(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)
    >>> descent = Descent(Backtracking())
    >>> state = descent.init(torch.tensor([-1.1, 2.5]), Key(0))
    >>> for _ in range(3):
    ...     state = descent.advance(rosenbrock, state)
    >>> state.value < 10
    True
    """

    lr: float = 1.0
    shrink: float = 0.5
    c1: float = 1e-4
    interpolate: bool = True
    max_evals: int = 20

    needs: ClassVar[Asks] = Asks.VALUE

    def __post_init__(self) -> None:
        check_search("Backtracking", self.lr, self.c1, self.max_evals)
        if not 0 < self.shrink < 1:
            raise InvalidValue(f"a step is shortened by 0 < shrink < 1, got shrink={self.shrink!r}; write shrink=0.5")

    def init(self, x: Tensor) -> LineState:
        return LineState(0.0, False)

    def __call__(
        self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, state: LineState, key: Key
    ) -> Moved[LineState]:
        line = Line(oracle, x, direction, slope, key, self.max_evals)
        if line.rate == 0:
            return Moved(x, slope.value, state)
        t, before = line.first(self.lr, state.last, 2.0), None
        while line.left > 0:
            trial = line.look(t)
            if trial is None:
                break
            if trial.promised > 0:  # on a path that bends, a long step may promise nothing
                trial = line.ask_value(trial)
                if trial.value <= line.value - self.c1 * trial.promised and trial.value < math.inf:
                    return Moved(trial.x, trial.value, LineState(t if line.bare else state.last, False))
            t = self._shorter(line, trial, before)
            before = trial
        return Moved(x, line.value if math.isfinite(line.value) else math.nan, state)

    def _shorter(self, line: Line, trial: Trial, before: Trial | None) -> float:
        t = trial.t
        if not self.interpolate or not math.isfinite(trial.value) or not math.isfinite(line.value):
            return self.shrink * t
        if before is None or not math.isfinite(before.value):
            guess = quadratic_through(line.value, -line.rate, t, trial.value)
        else:
            guess = cubic_through(line.value, -line.rate, t, trial.value, before.t, before.value)
        low, high = min(0.1, self.shrink) * t, self.shrink * t
        return min(max(guess, low), high) if math.isfinite(guess) else high


def quadratic_through(value: float, derivative: float, t: float, at_t: float) -> float:
    """The minimizer of the parabola with this value and negative derivative at 0, and value `at_t` at t (eq. 3.57).

    >>> quadratic_through(1.0, -2.0, 4.0, 9.0)  # (s - 1)^2
    1.0
    """
    bend = at_t - value - derivative * t
    return -derivative * t * t / (2 * bend) if bend > 0 else math.inf


def cubic_through(value: float, derivative: float, t: float, at_t: float, u: float, at_u: float) -> float:
    """The minimizer of the cubic with this value and negative derivative at 0, and values at t and u (after 3.58).

    >>> round(cubic_through(2.0, -3.0, 2.0, 4.0, 3.0, 20.0), 12)  # s^3 - 3 s + 2
    1.0
    """
    # a s^3 + b s^2 + derivative * s + value: two equations a t + b = p, a u + b = q
    p = (at_t - value - derivative * t) / (t * t)
    q = (at_u - value - derivative * u) / (u * u)
    if t == u:
        return math.inf
    a = (p - q) / (t - u)
    b = p - a * t
    inside = b * b - 3 * a * derivative
    # the form of (-b + sqrt(inside)) / 3a that also holds for a = 0
    return -derivative / (b + math.sqrt(inside)) if inside >= 0 and b + math.sqrt(inside) > 0 else math.inf
