"""A run of a study: permits to workers until there is a reason to stop, and what is done whenever a trial has ended."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from descend.errors import EvaluationFailed, InvalidValue
from descend.log.row import Row
from descend.model.modelled import History
from descend.run.drive import Streaming
from descend.run.execute import Processes, Serial, Threads
from descend.run.report import Report
from descend.run.until import Until
from descend.study.choosing import history_of
from descend.study.elsewhere import Elsewhere
from descend.study.record import Record
from descend.study.search import Exhausted
from descend.study.stopping import Standing, in_losses
from descend.study.work import Catch, Work, check_catch

if TYPE_CHECKING:
    from descend.study.study import Study

__all__ = ["Callback", "Running", "Streaming"]

Callback = Callable[["Study", Record], Any]

_FOR_EVER = 10**9
_PATIENCE = 10
"""A study whose first so many trials all fail is not worth its others before somebody has looked."""


class Running:
    """One run.

    Args:
        study: which.
        objective, executor, callbacks, catch, progress: as of `Study.run`.
        limits: trials, seconds, until, time_limit and memory_limit of it.
    """

    def __init__(
        self,
        study: "Study",
        objective: Any,
        executor: Any,
        limits: tuple[int | None, float | None, Until | None, float | None, int | None],
        callbacks: Sequence[Callback],
        catch: Catch,
        progress: bool | None,
    ) -> None:
        if not callable(objective):
            raise InvalidValue(f"an objective is a function of a trial, got {objective!r}")
        check_catch(catch)
        self._trials, self._seconds, until, self._time_limit, self._memory_limit = limits
        _check(limits)
        self._study, self._objective, self._catch = study, objective, catch
        self._executor, self._callbacks = executor, tuple(callbacks)
        self._until = None if until is None else in_losses(until, study.settings.signs[0])
        self._report = Report(progress, self._trials)
        self._reason = ""

    def go(self) -> str:
        """Run until there is a reason to stop; that reason."""
        study = self._study
        executor = self._placed()
        work = self._work(executor)  # a study in memory moves into a file here
        mirror = study.session.mirror
        mirror.sync()
        self._seen, self._standing = len(mirror.order), Standing(mirror, self._until, self._history)
        self._reason, self._began = self._standing.reason, time.monotonic()
        with self._report, self._limited(executor):
            for permit, outcome in executor.stream(work, self._permits(), study.key.fold("run")):
                if isinstance(outcome, Exhausted):
                    self._reason = self._reason or str(outcome)
                elif isinstance(outcome, Exception):
                    work.failed(permit, outcome)
                self._look()
        return self._reason

    def _history(self) -> History | None:
        session = self._study.session
        return history_of(session.mirror, session.settings, session.engine)

    def _placed(self) -> Streaming:
        limited = self._time_limit is not None or self._memory_limit is not None
        if self._executor is None:
            return Processes(1) if limited else Serial()
        if limited and not isinstance(self._executor, Processes):
            raise InvalidValue(
                f"only another process can be ended, got {self._executor!r}; write executor=Processes(4)"
            )
        if not isinstance(self._executor, Streaming):
            raise InvalidValue(f"executor={self._executor!r} evaluates no trials; write Processes(4) or Threads(4)")
        return self._executor

    @contextmanager
    def _limited(self, executor: Any) -> Iterator[None]:
        """While open, workers have the time limit of this run, and may die as often as they like: how often one and the
        same trial is begun, the log knows. At the end those that were made for this run are ended."""
        if not isinstance(executor, Processes):
            yield
            return
        before = executor.seconds, executor.deaths
        executor.seconds, executor.deaths = self._time_limit or executor.seconds, _FOR_EVER
        try:
            yield
        finally:
            executor.seconds, executor.deaths = before
            if executor is not self._executor:
                executor.close()

    def _work(self, executor: Any) -> Any:
        if isinstance(executor, Processes):
            run = f"{self._study.session.owner}-{time.time_ns():x}"
            return Elsewhere(self._study, self._objective, self._catch, self._memory_limit, run)
        return Work(self._study.session, self._objective, self._catch, seeded=not isinstance(executor, Threads))

    def _permits(self) -> Iterator[int]:
        given = 0
        while not self._reason:
            self._reason = self._why(given)
            if self._reason:
                return
            yield given
            given += 1

    def _why(self, given: int) -> str:
        """Why no more trials are begun, empty if they are."""
        if self._study.stopping:
            return "stop() was called"
        if self._trials is not None and given >= self._trials:
            return f"{self._trials} trials were made"
        if self._seconds is not None and time.monotonic() - self._began >= self._seconds:
            return f"{self._seconds:g} seconds have passed"
        return ""

    def _look(self) -> None:
        """What is due when trials have ended."""
        mirror = self._study.session.mirror
        if not (self._callbacks or self._until or self._report.wanted or self._seen < _PATIENCE):
            return
        mirror.sync()
        new = mirror.order[self._seen :]
        self._seen = len(mirror.order)
        for number in new:
            row = mirror.rows[number]
            for callback in self._callbacks:
                callback(self._study, self._study.record(number))
            self._report.show(self._standing.after(row, time.monotonic() - self._began))
            self._reason = self._reason or self._standing.reason
        if self._seen <= _PATIENCE:
            self._give_up(mirror.rows, mirror.order)

    def _give_up(self, rows: Sequence[Row], order: list[int]) -> None:
        if len(order) == _PATIENCE and all(rows[number].state == "failed" for number in order):
            last = rows[order[-1]].error or ""
            raise EvaluationFailed(f"the first {_PATIENCE} trials all failed, the last one with\n{last}")


def _check(limits: tuple[Any, ...]) -> None:
    trials, seconds, until, time_limit, memory_limit = limits
    if trials is not None and (type(trials) is not int or trials < 0):
        raise InvalidValue(f"trials is a whole number >= 0, got {trials!r}; write trials=100")
    if until is not None and not isinstance(until, Until):
        raise InvalidValue(f"until is a stopping rule, got {until!r}; write until=Target(0.1) | NoImprovement(50)")
    named = {"seconds": seconds, "time_limit": time_limit, "memory_limit": memory_limit}
    for name, value in named.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < math.inf):
            raise InvalidValue(f"{name} is a number > 0, got {name}={value!r}")
