"""A search whose conversation is written down, so that a run that was ended at any moment goes on where it was.

Nothing of the method is saved. It is asked again what it was asked, in the same order, and told again what it was told,
from the log and without any evaluation; since it is a function of its key and of the answers, it is then in the state
in which it was. Questions without an answer are put again.
"""

import json
import math
import time
from dataclasses import dataclass
from typing import Any

from descend.errors import EvaluationFailed, InvalidValue, StateMismatch
from descend.log import Log, Memory, Row
from descend.log.owner import here, is_alive
from descend.run.ask_tell import AskTell
from descend.run.outer import by_name

__all__ = ["LEASE", "Question", "Recorded", "take_over"]

LEASE = 30.0
"""Seconds after which a process that is not heard of may be dead; on the same machine it is known at once."""

_ALWAYS = 10**9  # so often may an evaluation be begun again


@dataclass(frozen=True, eq=False)
class Question:
    """An evaluation to be made: its number, counted from 0, and the point."""

    number: int
    point: Any


class Recorded:
    """A search and its log.

    Args:
        search: a new one.
        log: where it is written down, which may hold evaluations already; None keeps none.

    Attributes:
        search: as it was given.
        asked, answered: how many evaluations, those of the log included.
        replayed: how many answers came from the log.
        unfinished: the questions of the log that have no answer yet.

    Raises:
        InvalidValue: another process goes on with this run.
        StateMismatch: the log is not of this search; the sentence names the first evaluation that differs.
    """

    def __init__(self, search: AskTell, log: Log | Memory | None = None) -> None:
        self.search, self._log, self._owner = search, log, here()
        self.asked = self.answered = 0
        if log is not None:
            take_over(log, LEASE)
        self.unfinished = self._replay([] if log is None else sorted(log.sync()[0]))
        self.replayed = self.answered

    def ask(self) -> Question:
        """The next question, once it is written down."""
        question = Question(self.asked, self.search.ask())
        if self._log is not None:
            proposal = by_name(question.point, "")
            if not self._log.ask(question.number, self.answered, proposal, self._owner, LEASE):
                raise InvalidValue(_busy(self._log))
        self.asked += 1
        return question

    def tell(self, question: Question, outcome: float | Exception) -> None:
        """An answer, once it is written down."""
        error = _why(outcome)
        loss = None if error or isinstance(outcome, Exception) else outcome
        if self._log is not None:
            values, state = (None, "failed") if loss is None else ([loss], "done")
            self._log.tell(question.number, self._owner, state, values, error=error or None)
        self._tell(question, loss, error)

    def _tell(self, question: Question, loss: float | None, error: str) -> None:
        self.search.tell(question.point, math.nan if loss is None else loss)
        if loss is None:
            self.search.last_failure = error
        self.answered += 1

    def _replay(self, rows: list[Row]) -> list[Question]:
        """Ask and tell what the log holds, in its order; the questions that are still open."""
        answers = sorted((row for row in rows if row.place is not None), key=lambda row: row.place or 0)
        open_: dict[int, Question] = {}

        def tell_up_to(count: int) -> None:
            while self.answered < count:
                row = answers[self.answered] if self.answered < len(answers) else None
                if row is None or row.place != self.answered or row.number not in open_:
                    raise StateMismatch(f"the study is damaged: answer {self.answered} is missing")
                self._tell(open_.pop(row.number), row.values[0] if row.values else None, row.error or "")

        for row in rows:
            if row.number != self.asked:
                raise StateMismatch(f"the study is damaged: evaluation {self.asked} is missing")
            tell_up_to(row.after)
            question = Question(self.asked, self.search.ask())
            if (point := _text(by_name(question.point, ""))) != (known := _text(by_name(row.proposal, ""))):
                raise StateMismatch(
                    f"the study does not belong to this search: evaluation {row.number} was made at {known}, "
                    f"and now {point} is asked for; another version of descend may have made it, so name another file"
                )
            open_[row.number] = question
            self.asked += 1
        tell_up_to(len(answers))
        return list(open_.values())


def take_over(log: Log | Memory, lease: float) -> None:
    """Make the evaluations of a log that have no answer this process's own, for so many seconds.

    Raises:
        InvalidValue: another process is at work on them.
    """
    while True:
        while log.claim(here(), lease, _ALWAYS) is not None:
            pass
        theirs = [row for row in log.sync()[0] if row.state == "running" and row.owner != here()]
        if not theirs:
            return
        if any(is_alive(row.owner or "") or (row.lease or 0.0) > time.time() for row in theirs):
            raise InvalidValue(_busy(log))
        time.sleep(0.05)  # on another machine: its lease has run out, and is watched for half of another


def _busy(log: Log | Memory) -> str:
    return f"{log.where} is being used by another process; wait for it to end, or name another file"


def _why(outcome: float | Exception) -> str:
    """Why an evaluation failed, empty if it did not."""
    if not isinstance(outcome, Exception):
        return "" if math.isfinite(outcome) else f"the objective returned {outcome}"
    return str(outcome) if isinstance(outcome, EvaluationFailed) else f"{type(outcome).__name__}: {outcome}"


def _text(point: dict[str, Any]) -> str:
    return json.dumps(point)
