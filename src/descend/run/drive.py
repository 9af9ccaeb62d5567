"""Drive a search to its end: questions to an executor, answers back as they come, until a budget is spent."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from traceback import extract_tb
from typing import Any, Protocol, runtime_checkable

from descend.errors import DescendError, EvaluationFailed, InvalidValue
from descend.key import Key
from descend.oracle.function import Outcome
from descend.oracle.leaf import with_randomness
from descend.oracle.scalar import as_float
from descend.run.recorded import Question, Recorded

__all__ = ["Limits", "Numbered", "Streaming", "drive"]

_HOME = str(Path(__file__).parents[1])
"""Where descend lies: of its own lines, a user learns nothing about an objective."""

_PATIENCE = 10
"""A run whose first so many evaluations all fail is not worth its others before somebody has looked."""


@runtime_checkable
class Streaming(Protocol):
    """An executor that hands out outcomes as they come and takes points as it needs them."""

    def stream(self, f: Callable[[Any, Key], Any], xs: Iterable[Any], key: Key) -> Iterator[tuple[int, Outcome]]: ...


@dataclass(frozen=True)
class Limits:
    """When to begin no more evaluations; those under way are waited for.

    Args:
        evaluations: so many in all, those of a log included, at least 1.
        seconds: after so many, > 0; default never.
        target: when a loss is at or below it; default never.

    Raises:
        InvalidValue: a number outside its range.
    """

    evaluations: int
    seconds: float | None = None
    target: float | None = None

    def __post_init__(self) -> None:
        if type(self.evaluations) is not int or self.evaluations < 1:
            raise InvalidValue(f"a budget is a whole number of evaluations >= 1, got {self.evaluations!r}; write 100")
        if self.seconds is not None and not self.seconds > 0:
            raise InvalidValue(f"a time is a number of seconds > 0, got {self.seconds!r}; write 3600")
        if self.target is not None and self.target != self.target:
            raise InvalidValue(f"a target is a number, got {self.target!r}; write 0.1")


@dataclass(frozen=True)
class Numbered:
    """f of a point as a function of the number of its evaluation too.

    Args:
        f: the objective.
        seeded: whether torch's generators are seeded by the number, so that a random objective is repeatable however
            many workers there are. In threads they cannot be.
        negated: whether -f is meant.
    """

    f: Callable[[Any], Any]
    seeded: bool = True
    negated: bool = False

    def __call__(self, x: tuple[int, Any], key: Key) -> float:
        number, point = x
        if self.seeded:
            value = as_float(with_randomness(key.fold("evaluation", number), lambda: self.f(point)))
        else:
            value = as_float(self.f(point))
        return -value if self.negated else value


def drive(
    search: Recorded,
    f: Callable[[tuple[int, Any], Key], Any],
    executor: Streaming,
    limits: Limits,
    show: Callable[[Question, Outcome], None] | None = None,
) -> str:
    """Ask, evaluate and tell until there is a reason to stop; that reason, a sentence.

    Args:
        search: the search with its log.
        f: takes the number of an evaluation with its point, and a key; see `Numbered`.
        executor: where evaluations run.
        limits: when to stop.
        show: called after every answer.

    Raises:
        DescendError: f cannot be evaluated at all, or raises something at the first evaluation of all.
    """
    began, reason = time.monotonic(), ""
    under_way: dict[int, Question] = {}  # by their places in what the executor is given

    def questions() -> Iterator[tuple[int, Any]]:
        nonlocal reason
        unfinished = iter(search.unfinished)
        for place in count():
            question = next(unfinished, None)
            if question is None:
                reason = reason or _reason(search, limits, time.monotonic() - began)
                if reason:
                    return
                question = search.ask()
            under_way[place] = question
            yield question.number, question.point

    for place, outcome in executor.stream(f, questions(), search.search.key.fold("values")):
        question = under_way.pop(place)
        if isinstance(outcome, Exception) and _is_a_mistake(outcome, search.answered == 0):
            raise outcome if isinstance(outcome, DescendError) else InvalidValue(_described(outcome)) from outcome
        search.tell(question, outcome)
        if show is not None:
            show(question, outcome)
    return reason


def _is_a_mistake(error: Exception, first: bool) -> bool:
    """Whether it says that the objective is wrong, and not that a point is bad."""
    return not isinstance(error, EvaluationFailed) and (first or isinstance(error, DescendError))


def _described(error: Exception) -> str:
    """What the objective raised and, where that is known, in which line of its own."""
    frames = [frame for frame in extract_tb(error.__traceback__) if not frame.filename.startswith(_HOME)]
    there = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"the objective raised {type(error).__name__}: {error}{there} at its first evaluation"


def _reason(search: Recorded, limits: Limits, seconds: float) -> str:
    """Why no more evaluations are begun, empty if they are."""
    told = search.search
    if search.asked >= limits.evaluations:
        return f"the budget of {limits.evaluations} evaluations is spent"
    if limits.target is not None and told.best[1] <= limits.target:
        return f"the loss {told.best[1]:.6g} is at or below the target {limits.target:g}"
    if limits.seconds is not None and seconds >= limits.seconds:
        return f"{limits.seconds:g} seconds have passed"
    if told.failures == told.evaluations >= _PATIENCE > search.replayed:
        return f"all of the first {told.failures} evaluations failed, the last one because: {told.last_failure}"
    return told.done
