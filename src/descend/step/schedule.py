"""Schedules: learning rates, and other gains, as functions of the number of steps taken.

Any callable from t = 0, 1, 2, ... to a number is a schedule; these are the usual ones, with a state of none.
Cosine: Loshchilov, Hutter (2017), arXiv:1608.03983. Power: Robbins, Monro (1951), with the constants of Spall (1998),
"Implementation of the simultaneous perturbation algorithm".
"""

import math
from bisect import bisect_right
from dataclasses import dataclass

from descend.errors import InvalidValue
from descend.step.fixed import Fixed, Rate, as_rate

__all__ = ["Cosine", "Exponential", "PiecewiseConstant", "Polynomial", "Power", "WarmUp"]


def _check_gain(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0):
        raise InvalidValue(f"{name} must be a finite number >= 0, got {name}={value!r}; write {name}=1e-2")


def _check_steps(name: str, value: int) -> None:
    if value < 1:
        raise InvalidValue(f"{name} must be at least 1, got {name}={value!r}; write the number of steps it takes")


@dataclass(frozen=True)
class PiecewiseConstant:
    """values[0] before boundaries[0], values[i] from boundaries[i - 1] on; torch's MultiStepLR and ConstantLR.

    Args:
        values: numbers >= 0, one more than boundaries.
        boundaries: increasing numbers of steps.

    Raises:
        InvalidValue: the lengths do not fit, a value is negative, or the boundaries do not increase.

    >>> schedule = PiecewiseConstant((0.1, 0.01), boundaries=(100,))
    >>> schedule(99), schedule(100)
    (0.1, 0.01)
    """

    values: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.boundaries) + 1:
            raise InvalidValue(
                f"PiecewiseConstant needs one value more than boundaries, got {len(self.values)} values and "
                f"{len(self.boundaries)} boundaries; write PiecewiseConstant((0.1, 0.01), boundaries=(100,))"
            )
        for value in self.values:
            _check_gain("values", value)
        if any(late <= early for early, late in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise InvalidValue(f"boundaries must increase, got boundaries={self.boundaries!r}; sort them")

    def __call__(self, t: int) -> float:
        return self.values[bisect_right(self.boundaries, t)]


@dataclass(frozen=True)
class Exponential:
    """initial * gamma^t, or a staircase that goes down every `every` steps; torch's ExponentialLR and StepLR.

    Args:
        initial: >= 0, the value at t = 0.
        gamma: in (0, 1], the factor.
        every: >= 1, how many steps share one value; default 1.

    Raises:
        InvalidValue: a number outside its range.

    >>> Exponential(1.0, gamma=0.5)(3), Exponential(1.0, gamma=0.5, every=10)(19)
    (0.125, 0.5)
    """

    initial: float
    gamma: float
    every: int = 1

    def __post_init__(self) -> None:
        _check_gain("initial", self.initial)
        _check_steps("every", self.every)
        if not 0 < self.gamma <= 1:
            raise InvalidValue(f"gamma must lie in (0, 1], got gamma={self.gamma!r}; write gamma=0.99")

    def __call__(self, t: int) -> float:
        return self.initial * self.gamma ** (t // self.every)


@dataclass(frozen=True)
class Polynomial:
    """From initial to final in `steps` steps as (1 - t / steps)^power, then final; torch's PolynomialLR and LinearLR.

    Args:
        initial: >= 0, the value at t = 0.
        steps: >= 1.
        power: > 0; default 1, a straight line.
        final: >= 0; default 0.

    Raises:
        InvalidValue: a number outside its range.

    >>> [Polynomial(1.0, steps=4)(t) for t in range(6)]
    [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    """

    initial: float
    steps: int
    power: float = 1.0
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_gain("initial", self.initial)
        _check_steps("steps", self.steps)
        _check_gain("final", self.final)
        if not (math.isfinite(self.power) and self.power > 0):
            raise InvalidValue(f"power must be a finite number > 0, got power={self.power!r}; write power=1.0")

    def __call__(self, t: int) -> float:
        return self.final + (self.initial - self.final) * (1 - min(t, self.steps) / self.steps) ** self.power


@dataclass(frozen=True)
class Cosine:
    """From initial to final in `steps` steps along half a cosine, then final; torch's CosineAnnealingLR.

    Args:
        initial: >= 0, the value at t = 0.
        steps: >= 1.
        final: >= 0; default 0.

    Raises:
        InvalidValue: a number outside its range.

    >>> Cosine(1.0, steps=100)(0), round(Cosine(1.0, steps=100)(50), 12), Cosine(1.0, steps=100)(1000)
    (1.0, 0.5, 0.0)
    """

    initial: float
    steps: int
    final: float = 0.0

    def __post_init__(self) -> None:
        _check_gain("initial", self.initial)
        _check_steps("steps", self.steps)
        _check_gain("final", self.final)

    def __call__(self, t: int) -> float:
        done = min(t, self.steps) / self.steps
        return self.final + (self.initial - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclass(frozen=True)
class Power:
    """a / (stability + t + 1)^alpha, the gains of stochastic approximation.

    Noise averages out where the sum of the gains is infinite and that of their squares finite: alpha in (1/2, 1].

    Args:
        a: >= 0, the numerator.
        alpha: >= 0; default 0.602, Spall's choice for finite runs. 1 is asymptotically best, and 1/2 is AdaGrad's rate.
        stability: >= 0, Spall's A, which keeps early gains small; a tenth of the number of steps is usual. Default 0.

    Raises:
        InvalidValue: a number outside its range.

    >>> Power(1.0, alpha=1.0)(3), Power(1.0, alpha=0.5, stability=8.0)(0)
    (0.25, 0.333...)
    """

    a: float
    alpha: float = 0.602
    stability: float = 0.0

    def __post_init__(self) -> None:
        _check_gain("a", self.a)
        _check_gain("alpha", self.alpha)
        _check_gain("stability", self.stability)

    def __call__(self, t: int) -> float:
        return self.a / (self.stability + t + 1) ** self.alpha


@dataclass(frozen=True)
class WarmUp:
    """A straight line up to another schedule, which begins afterwards: torch's LinearLR in front of any other.

    The first of the warm-up's steps has 1 / (steps + 1) of the schedule's first value, so no step is wasted on zero.

    Args:
        schedule: what comes then, a schedule or a number.
        steps: >= 1, how many steps the warm-up takes.

    Raises:
        InvalidValue: a number outside its range.

    >>> [WarmUp(Polynomial(1.0, steps=2), steps=3)(t) for t in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.0]
    """

    schedule: Rate
    steps: int

    def __post_init__(self) -> None:
        Fixed(self.schedule)  # a number is checked there
        _check_steps("steps", self.steps)

    def __call__(self, t: int) -> float:
        schedule = as_rate(self.schedule)
        if t < self.steps:
            return schedule(0) * (t + 1) / (self.steps + 1)
        return schedule(t - self.steps)
