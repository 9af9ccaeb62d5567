"""When to stop: rules are values, composed with | (any of them) and & (all of them), and each says in words why.

A rule keeps nothing itself. What it has to remember of the run is handed to it and back, so that one rule may serve
many runs.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.errors import InvalidValue

__all__ = [
    "Both",
    "Either",
    "Evaluations",
    "NoImprovement",
    "Plateau",
    "Progress",
    "Rejections",
    "Seconds",
    "StepNorm",
    "Steps",
    "Target",
    "Until",
]


@dataclass(frozen=True, eq=False, slots=True)
class Progress:
    """Where a run stands after a step: what stopping rules and callbacks are given.

    Fields:
        steps, evaluations, seconds: since the run began.
        value: f at the iterate, NaN if the method did not ask.
        loss: the value where it is known, else what the last step learned of f near the iterate.
        best: the least loss so far.
        rejected: how many steps came to nothing because evaluations failed.
        refused: whether the last step was one of them.
        point, before: the flat iterate (d,) after and before the last step.
        shaped: turns a flat point into the type and shape of x0.
    """

    steps: int
    evaluations: int
    seconds: float
    value: float
    loss: float
    best: float
    rejected: int
    refused: bool
    point: Tensor
    before: Tensor
    shaped: Callable[[Tensor], Any]

    @property
    def x(self) -> Any:
        """A copy of the iterate, in the type and shape of x0."""
        return self.shaped(self.point)

    @property
    def moved(self) -> float:
        """The Euclidean length of the last step."""
        if self.point is self.before:
            return 0.0
        return float(torch.linalg.vector_norm((self.point - self.before).double()))


class Until(ABC):
    """A stopping rule."""

    @property
    def limit(self) -> int | None:
        """The number of evaluations that this rule never lets a run exceed; None if it does not count them."""
        return None

    def init(self) -> Any:
        """What the rule remembers before the first step."""
        return None

    @abstractmethod
    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        """The reason to stop, empty to go on, and what to remember."""

    def __or__(self, other: "Until") -> "Either":
        return Either(self, _rule(other))

    def __and__(self, other: "Until") -> "Both":
        return Both(self, _rule(other))


@dataclass(frozen=True)
class Either(Until):
    """Stop when one of two rules says so; written ``first | second``."""

    first: Until
    second: Until

    def __repr__(self) -> str:
        return f"{self.first!r} | {self.second!r}"

    @property
    def limit(self) -> int | None:
        limits = [rule.limit for rule in (self.first, self.second) if rule.limit is not None]
        return min(limits, default=None)

    def init(self) -> Any:
        return self.first.init(), self.second.init()

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        one, left = self.first(progress, memory[0])
        two, right = self.second(progress, memory[1])
        return one or two, (left, right)


@dataclass(frozen=True)
class Both(Until):
    """Stop when two rules say so after the same step; written ``first & second``."""

    first: Until
    second: Until

    def __repr__(self) -> str:
        sides = (f"({rule!r})" if isinstance(rule, Either) else repr(rule) for rule in (self.first, self.second))
        return " & ".join(sides)

    @property
    def limit(self) -> int | None:
        one, two = self.first.limit, self.second.limit
        return None if one is None or two is None else max(one, two)

    def init(self) -> Any:
        return self.first.init(), self.second.init()

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        one, left = self.first(progress, memory[0])
        two, right = self.second(progress, memory[1])
        return f"{one}, and {two}" if one and two else "", (left, right)


@dataclass(frozen=True)
class Evaluations(Until):
    """At most n evaluations of the objective, of whatever kind, counted where it is called and never exceeded by one.

    Part of the budget, two values, is kept for the end, to evaluate the returned points if they are not known yet.

    Args:
        n: at least 1.

    >>> Evaluations(100) | Target(1e-6)
    Evaluations(n=100) | Target(f=1e-06)
    """

    n: int

    def __post_init__(self) -> None:
        _check_count("Evaluations", "n", self.n)

    @property
    def limit(self) -> int | None:
        return self.n

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        return (f"the budget of {self.n} evaluations is spent" if progress.evaluations >= self.n else ""), None


@dataclass(frozen=True)
class Steps(Until):
    """At most n steps of the method.

    Args:
        n: at least 1.
    """

    n: int

    def __post_init__(self) -> None:
        _check_count("Steps", "n", self.n)

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        return (f"{self.n} steps were taken" if progress.steps >= self.n else ""), None


@dataclass(frozen=True)
class Seconds(Until):
    """Stop after the first step that ends n seconds or more after the start. A step is not cut short.

    Args:
        n: seconds, > 0.
    """

    n: float

    def __post_init__(self) -> None:
        if not _is_number(self.n) or not self.n > 0:
            raise InvalidValue(f"Seconds needs a number > 0, got {self.n!r}; write Seconds(60)")

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        return (f"{self.n:g} seconds have passed" if progress.seconds >= self.n else ""), None


@dataclass(frozen=True)
class Target(Until):
    """Stop when the loss is at or below f.

    That is f(x) at an iterate where the method asks for it, and otherwise what is known near the iterate (the mean of
    an estimator's probes), which noise may have favoured.

    Args:
        f: a number.
    """

    f: float

    def __post_init__(self) -> None:
        if not _is_number(self.f):
            raise InvalidValue(f"Target needs a number, got {self.f!r}; write Target(1e-8)")

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        reached = f"the loss {progress.best:.6g} is at or below the target {self.f:g}"
        return (reached if progress.best <= self.f else ""), None


@dataclass(frozen=True)
class NoImprovement(Until):
    """Stop when the best loss has not fallen by more than tol within so many steps.

    Steps that were rejected because evaluations failed are not counted, see `Rejections`.

    Args:
        steps: at least 1.
        tol: in the units of f, >= 0; default 0, any improvement counts.
    """

    steps: int
    tol: float = 0.0

    def __post_init__(self) -> None:
        _check_count("NoImprovement", "steps", self.steps)
        _check_tolerance("NoImprovement", self.tol)

    def init(self) -> Any:
        return math.inf, 0

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        best, stale = memory
        if progress.best < best - self.tol:
            return "", (progress.best, 0)
        stale += not progress.refused
        stop = stale >= self.steps
        reason = f"the best loss did not fall by more than {self.tol:g} in {self.steps} steps"
        return (reason if stop else ""), (best, stale)


@dataclass(frozen=True)
class Plateau(Until):
    """Stop when the best loss has not fallen in so many evaluations.

    Args:
        evaluations: at least 1.
        tol: a fall by this part of the best loss's size, or less, is none; >= 0, default 1e-9.

    >>> Evaluations(10_000) | Plateau(500)
    Evaluations(n=10000) | Plateau(evaluations=500, tol=1e-09)
    """

    evaluations: int
    tol: float = 1e-9

    def __post_init__(self) -> None:
        _check_count("Plateau", "evaluations", self.evaluations)
        _check_tolerance("Plateau", self.tol)

    def init(self) -> Any:
        return math.inf, 0

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        best, since = memory
        if progress.best < (best - self.tol * abs(best) if math.isfinite(best) else math.inf):
            return "", (progress.best, progress.evaluations)
        stop = progress.evaluations - since >= self.evaluations
        return (f"the best loss did not fall in {self.evaluations} evaluations" if stop else ""), (best, since)


@dataclass(frozen=True)
class StepNorm(Until):
    """Stop when the iterate has moved by tol or less in so many steps in a row.

    Steps that were rejected because evaluations failed are not counted, see `Rejections`.

    Args:
        tol: Euclidean length in the units of x, >= 0; 0 is the sign that a line search has nothing left to gain.
        steps: at least 1, default 5.
    """

    tol: float
    steps: int = 5

    def __post_init__(self) -> None:
        _check_tolerance("StepNorm", self.tol)
        _check_count("StepNorm", "steps", self.steps)

    def init(self) -> Any:
        return 0

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        if progress.refused:
            return "", memory
        still = memory + 1 if progress.moved <= self.tol else 0
        if still < self.steps:
            return "", still
        if self.tol == 0:
            return f"the iterate did not move in {self.steps} steps", still
        return f"the iterate moved by {self.tol:g} or less in each of {self.steps} steps", still


@dataclass(frozen=True)
class Rejections(Until):
    """Stop when so many steps in a row were rejected because evaluations failed.

    Args:
        steps: at least 1, default 20.
    """

    steps: int = 20

    def __post_init__(self) -> None:
        _check_count("Rejections", "steps", self.steps)

    def init(self) -> Any:
        return 0

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        failed = memory + 1 if progress.refused else 0
        stop = failed >= self.steps
        return (f"{self.steps} steps in a row were rejected because evaluations failed" if stop else ""), failed


def _rule(rule: Any) -> Until:
    if not isinstance(rule, Until):
        raise InvalidValue(f"a stopping rule is combined with another one, got {rule!r}; write Evaluations(100)")
    return rule


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _check_count(name: str, argument: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidValue(f"{name} needs a whole number {argument} >= 1, got {value!r}; write {name}({argument}=100)")


def _check_tolerance(name: str, tol: Any) -> None:
    if not _is_number(tol) or not 0 <= tol < math.inf:
        raise InvalidValue(f"{name} needs a finite tol >= 0, got {tol!r}; write tol=0.0")
