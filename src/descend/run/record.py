"""What is remembered of a run: the best iterate, the last one, and how it went.

A value counts as exact if it came from an evaluation of that point alone. Values from a batch or from an autograd
graph may differ from it in the last bit, and the mean of an estimator's probes is not a value at all; iterates known
in such ways only are evaluated once more at the end, which is why ``result.fun == f(result.x)`` holds bit for bit.
"""

import math
import time
from collections import deque
from dataclasses import dataclass, field

import torch
from torch import Tensor

from descend.direction import Directions
from descend.errors import BudgetExhausted
from descend.key import Key
from descend.oracle import Ledger, Oracle
from descend.oracle.wrap import Wrapped
from descend.run.method import Standing
from descend.run.point import Start
from descend.run.result import Result, Trace
from descend.run.until import Progress

__all__ = ["FINAL_VALUES", "Record", "Watched"]

FINAL_VALUES = 2
"""Values that a budget keeps in reserve: one for the best iterate and one for the last."""


@dataclass(frozen=True, eq=False)
class Watched(Wrapped):
    """Remembers the last few points whose value was asked for alone."""

    _seen: deque[tuple[Tensor, float]] = field(default_factory=lambda: deque(maxlen=4), repr=False)

    def __repr__(self) -> str:
        return repr(self.base)

    def value(self, x: Tensor, key: Key) -> float:
        value = self.base.value(x, key)
        self._seen.append((x.clone(), value))
        return value

    def knows(self, x: Tensor, value: float) -> bool:
        """Whether this is the value that x alone had lately."""
        return any(known == value and torch.equal(point, x) for point, known in self._seen)

    def along(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        return self.base.along(x, directions, scales, key)


@dataclass(frozen=True, eq=False, slots=True)
class _Known:
    """An iterate, what is known of f there or near it (NaN: nothing), whether that is f itself, and whether exact."""

    x: Tensor
    loss: float
    is_value: bool = False
    exact: bool = False


class Record:
    """Follows a run from x (d,), counting evaluations of a ledger from here on."""

    def __init__(self, start: Start, x: Tensor, ledger: Ledger, key: Key) -> None:
        self.start, self.ledger, self.key = start, ledger, key
        self.began = time.perf_counter()
        self.counts, self.failures = dict(ledger.counts), ledger.failures
        self.best = self.last = _Known(x, math.nan)
        self.steps = self.rejected = 0
        self.trace = Trace()
        self.method = ""  # what searches, in words
        self.recommends = False  # whether the method knows of noise, so that its last x is the best one

    @property
    def evaluations(self) -> int:
        """Made since the run began."""
        return self.ledger.total - sum(self.counts.values())

    def step(self, before: Standing, after: Standing, watched: Watched) -> Progress:
        """Note one step of a method."""
        refused = after.rejected > self.rejected
        self.steps, self.rejected = self.steps + 1, after.rejected
        known = not math.isnan(after.value)
        if self.recommends:  # x is the result, and all that is known is the loss near it
            self.best = self.last = _Known(after.x, after.value if known else after.loss, known)
        else:
            if not refused and math.isnan(before.value):
                self._offer(_Known(before.x, after.loss))
            if not (after.x is self.last.x and self.last.exact and after.value == self.last.loss):
                self.last = _Known(after.x, after.value, known, known and watched.knows(after.x, after.value))
                self._offer(self.last)
        loss = after.value if known else after.loss
        progress = Progress(
            self.steps, self.evaluations, time.perf_counter() - self.began, after.value, loss, self.best.loss,
            self.rejected, refused, after.x, before.x, self.start.shaped,
        )  # fmt: skip
        self.trace.add((progress.steps, progress.evaluations, progress.seconds, progress.loss, progress.value))
        return progress

    def _offer(self, known: _Known) -> None:
        if known.loss < self.best.loss or (math.isnan(self.best.loss) and not math.isnan(known.loss)):
            self.best = known

    def result(self, oracle: Oracle, reason: str, interrupted: bool) -> Result:
        """Evaluate what is not known exactly, as far as the budget goes, and conclude.

        After an interrupt somebody is waiting: no more than the best iterate is evaluated.
        """
        best = self._evaluated(oracle, self.best)
        last = self.last
        if torch.equal(last.x, best.x):
            last = best
        elif not interrupted:
            last = self._evaluated(oracle, last)
        if (last.exact and last.loss < best.loss) or math.isnan(best.loss):
            best = last
        counts = {kind: n - self.counts.get(kind, 0) for kind, n in self.ledger.counts.items()}
        return Result(
            x=self.start.shaped(best.x),
            fun=best.loss,
            last_x=self.start.shaped(last.x),
            last_fun=last.loss,
            evaluations={kind: n for kind, n in counts.items() if n},
            reason=reason,
            method=self.method,
            steps=self.steps,
            rejected=self.rejected,
            failures=self.ledger.failures - self.failures,
            last_failure=self.ledger.last_failure if self.ledger.failures > self.failures else "",
            seconds=time.perf_counter() - self.began,
            history=self.trace.history(),
            key=self.key,
        )

    def _evaluated(self, oracle: Oracle, known: _Known) -> _Known:
        """The iterate with f there, NaN if that cannot be had."""
        if known.exact:
            return known
        try:
            value = oracle.value(known.x, self.key.fold("final"))
        except (BudgetExhausted, KeyboardInterrupt):  # a second interrupt: do without
            value = math.nan
        if math.isnan(value) and known.is_value:
            return known
        return _Known(known.x, value, True, True)
