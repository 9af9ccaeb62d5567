"""When a study stops: the rules of `descend.run.until`, told of trials as of evaluations, and one of its own."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from descend.log.row import Row
from descend.model.modelled import History
from descend.run.until import Both, Either, Progress, Target, Until
from descend.study.mirror import Mirror
from descend.study.record import feasible

__all__ = ["Standing", "Standpoint", "in_losses"]

_NOWHERE = torch.empty(0)


@dataclass(frozen=True, eq=False, slots=True)
class Standpoint(Progress):
    """Where a study stands. Field besides: history, all that a model may know now; None where that is not told."""

    history: Callable[[], History | None]


class Standing:
    """Where a study stands after each of its trials, as rules see it. It counts the trials of earlier runs too.

    Args:
        mirror: of the log; the answers that are there already are counted.
        rule: when to stop; None never.
        history: all that a model may know now.

    Attributes:
        reason: why the rule said to stop at the last trial, empty if it did not.
    """

    def __init__(self, mirror: Mirror, rule: Until | None, history: Callable[[], History | None]) -> None:
        self._mirror, self._rule = mirror, rule
        self._memory = None if rule is None else rule.init()
        self._steps = self._failed = 0
        self._best = math.inf
        self.reason = ""
        self._history: Callable[[], History | None] = lambda: None  # of earlier trials it is not that of now
        for number in mirror.order:
            self.after(mirror.rows[number], 0.0)
        self._history = history

    def after(self, row: Row, seconds: float) -> Progress:
        """The standing after one more trial."""
        loss = math.nan
        if row.state == "done" and row.values is not None and feasible(row.violations):
            loss = self._mirror.losses(row.values)[0]
            self._best = min(self._best, loss)
        self._steps += 1
        self._failed += row.state == "failed"
        progress = Standpoint(
            steps=self._steps,
            evaluations=self._steps,
            seconds=seconds,
            value=loss,
            loss=loss,
            best=self._best,
            rejected=self._failed,
            refused=row.state == "failed",
            point=_NOWHERE,
            before=_NOWHERE,
            shaped=lambda x: x,
            history=self._history,
        )
        if self._rule is not None:
            self.reason, self._memory = self._rule(progress, self._memory)
        return progress


def in_losses(rule: Until, sign: float) -> Until:
    """The rule for what is minimized: a target of a study that maximizes is reached from below."""
    match rule:
        case Either(first, second):
            return Either(in_losses(first, sign), in_losses(second, sign))
        case Both(first, second):
            return Both(in_losses(first, sign), in_losses(second, sign))
        case Target(f) if sign < 0:
            return _Reached(f)
    return rule


@dataclass(frozen=True)
class _Reached(Until):
    """Stop when the value that is maximized is at or above f."""

    f: float

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        reached = f"the value {-progress.best:.6g} is at or above the target {self.f:g}"
        return (reached if -progress.best >= self.f else ""), None
