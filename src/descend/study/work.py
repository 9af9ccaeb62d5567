"""What a worker does, wherever it runs: it takes a trial, evaluates the objective there, and tells the answer."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from descend.errors import DescendError, EvaluationFailed, InvalidValue, StateMismatch, StoreFailed
from descend.key import Key
from descend.oracle.leaf import Randomness
from descend.study.evaluate import Objective, Outcome, evaluated
from descend.study.session import Session
from descend.study.trial import Trial

__all__ = ["Catch", "Work", "check_catch", "finish"]

Catch = bool | type[Exception] | tuple[type[Exception], ...]
"""Which exceptions of an objective end a trial and not the run."""

_PAUSE = 0.002, 0.1
"""Seconds between two looks whether a batch is complete: the first, and the longest."""

_PATIENCE = 6
"""How often an answer is told again that could not be written, after 0.1, 0.2, 0.4, ... seconds."""


class Work:
    """A function of a permit: one trial from its beginning to its end.

    Args:
        session: of the study.
        objective: what is evaluated.
        catch: which exceptions end the trial only.
        seeded: whether torch's generators are seeded by the trial's number.
    """

    def __init__(self, session: Session, objective: Objective, catch: Catch, seeded: bool) -> None:
        self.session, self.objective, self.catch, self.seeded = session, objective, catch, seeded

    def __call__(self, permit: int, key: Key) -> float:
        """Make a trial; its number.

        Raises:
            Exhausted: there is nothing left to ask.
            Exception: the objective's own, if it is not to be caught.
        """
        return self.made(self.taken())

    def made(self, trial: Trial) -> float:
        """Bring a trial to its end; its number. Raises as a call."""
        outcome = self._evaluated(trial)
        finish(self.session, trial, outcome)
        if outcome.cause is not None and not self._catches(outcome.cause):
            raise outcome.cause
        return float(trial.number)

    def failed(self, permit: int, error: Exception) -> None:
        """Raise what ended the run."""
        raise error

    def taken(self) -> Trial:
        """The next trial: one that waits or was left, else a new one."""
        pause, longest = _PAUSE
        while True:
            trial = self.session.take()
            if trial is not None:
                return trial
            time.sleep(pause)
            pause = min(2 * pause, longest)

    def _evaluated(self, trial: Trial) -> Outcome:
        key = self.session.settings.key.fold("trial", trial.number).fold("evaluation")
        quiet: AbstractContextManager[Any] = Randomness(key) if self.seeded else nullcontext()
        try:
            with quiet:
                return evaluated(self.objective, trial, len(self.session.settings.signs))
        except BaseException:
            self.session.release(trial)
            raise

    def _catches(self, error: Exception) -> bool:
        if isinstance(error, EvaluationFailed):
            return True
        if isinstance(error, DescendError) and not self._has_worked():
            return False  # a mistake in the question, not a bad point
        return self.catch if isinstance(self.catch, bool) else isinstance(error, self.catch)

    def _has_worked(self) -> bool:
        """Whether the objective has ever given an answer."""
        mirror = self.session.mirror
        mirror.sync()
        return any(mirror.rows.state(number) == "done" for number in mirror.order)


def finish(session: Session, trial: Trial, outcome: Outcome, sleep: Callable[[float], None] = time.sleep) -> bool:
    """Tell an outcome; whether it counts, which it does not if the trial was taken over meanwhile.

    Raises:
        StoreFailed: it could not be written, though it was tried again for seconds.
    """
    for attempt in range(_PATIENCE):
        try:
            session.tell(trial, outcome.state, outcome.values, outcome.error)
            return True
        except StateMismatch:
            return False
        except StoreFailed:
            if attempt == _PATIENCE - 1:
                raise
            sleep(0.1 * 2**attempt)
    return False


def check_catch(catch: Any) -> None:
    """Refuse what names no exceptions.

    Raises:
        InvalidValue: a sentence with what to write.
    """
    kinds = catch if isinstance(catch, tuple) else (catch,)
    if isinstance(catch, bool) or all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
        return
    raise InvalidValue(f"catch is True, False, an exception or a tuple of them, got {catch!r}; write catch=ValueError")
