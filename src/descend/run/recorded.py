"""A search whose conversation is written down, so that a run that was ended at any moment goes on where it was.

Nothing of the method is saved. It is asked again what it was asked, in the same order, and told again what it was told,
from the log and without any evaluation; since it is a function of its key and of the answers, it is then in the state
in which it was. Questions without an answer are put again.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from descend.errors import EvaluationFailed, StateMismatch
from descend.run.ask_tell import AskTell
from descend.run.study import Entry, Run

__all__ = ["Question", "Recorded"]


@dataclass(frozen=True, eq=False)
class Question:
    """An evaluation to be made: its number, counted from 0, and the point."""

    number: int
    point: Any


class Recorded:
    """A search and its log.

    Args:
        search: a new one.
        run: the log, which may hold evaluations already; None keeps none.

    Attributes:
        search: as it was given.
        asked, answered: how many evaluations, those of the log included.
        replayed: how many answers came from the log.
        unfinished: the questions of the log that have no answer yet.

    Raises:
        StateMismatch: the log is not of this search; the sentence names the first evaluation that differs.
    """

    def __init__(self, search: AskTell, run: Run | None = None) -> None:
        self.search, self._run = search, run
        self.asked = self.answered = 0
        entries = [] if run is None else run.entries
        self.unfinished = self._replay(entries)
        self.replayed = self.answered

    def ask(self) -> Question:
        """The next question, once it is written down."""
        question = Question(self.asked, self.search.ask())
        if self._run is not None:
            self._run.ask(question.number, _as_json(question.point), self.answered)
        self.asked += 1
        return question

    def tell(self, question: Question, outcome: float | Exception, seconds: float) -> None:
        """An answer, once it is written down."""
        error = _why(outcome)
        loss = None if error or isinstance(outcome, Exception) else outcome
        if self._run is not None:
            self._run.answer(question.number, self.answered, loss, error or None, seconds)
        self._tell(question, loss, error)

    def _tell(self, question: Question, loss: float | None, error: str) -> None:
        self.search.tell(question.point, math.nan if loss is None else loss)
        if loss is None:
            self.search.last_failure = error
        self.answered += 1

    def _replay(self, entries: list[Entry]) -> list[Question]:
        """Ask and tell what the log holds, in its order; the questions that are still open."""
        answers = sorted((entry for entry in entries if entry.place is not None), key=lambda entry: entry.place or 0)
        open_: dict[int, Question] = {}

        def tell_up_to(count: int) -> None:
            while self.answered < count:
                entry = answers[self.answered] if self.answered < len(answers) else None
                if entry is None or entry.place != self.answered or entry.number not in open_:
                    raise StateMismatch(f"the study is damaged: answer {self.answered} is missing")
                self._tell(open_.pop(entry.number), entry.loss, entry.error or "")

        for entry in entries:
            if entry.number != self.asked:
                raise StateMismatch(f"the study is damaged: evaluation {self.asked} is missing")
            tell_up_to(entry.after)
            question = Question(self.asked, self.search.ask())
            if (point := _as_json(question.point)) != entry.point:
                raise StateMismatch(
                    f"the study does not belong to this search: evaluation {entry.number} was made at {entry.point}, "
                    f"and now {point} is asked for; another version of descend may have made it, so name another file"
                )
            open_[entry.number] = question
            self.asked += 1
        tell_up_to(len(answers))
        return list(open_.values())


def _why(outcome: float | Exception) -> str:
    """Why an evaluation failed, empty if it did not."""
    if not isinstance(outcome, Exception):
        return "" if math.isfinite(outcome) else f"the objective returned {outcome}"
    return str(outcome) if isinstance(outcome, EvaluationFailed) else f"{type(outcome).__name__}: {outcome}"


def _as_json(point: Any) -> str:
    def plain(part: Any) -> Any:
        if isinstance(part, Tensor | np.ndarray | np.generic):
            return part.tolist()
        raise TypeError(f"{part!r} cannot be written down as JSON")

    return json.dumps(point, default=plain)
