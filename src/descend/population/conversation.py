"""A sequential method written as a conversation: a generator that yields points and receives their losses.

The state is the log of the answers, so a saved state is replayed where it is continued: the generator is begun again
and told everything once more, without any evaluation.
"""

import math
from abc import abstractmethod
from collections.abc import Generator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, found
from descend.population.shaping import settled
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = ["Conversation", "Question", "Talk", "Turns"]


class Question(NamedTuple):
    """What a method asks that knows of noise: points (m, d), and the point x (d,) that it recommends, with its mean."""

    points: Tensor
    x: Tensor
    value: float


Turns = Generator[Tensor | Question, Tensor, str]
"""Yields points (m, d) inside the domain, m >= 1; receives their losses (m,) float64 on the CPU, failures as +inf;
returns why it has nothing more to ask."""


class _Log(list[Tensor]):
    """The answers turn by turn, with the generator that has heard them all; a copy has none and is replayed."""

    def __init__(self, answers: Any = ()) -> None:
        super().__init__(answers)
        self.turns: Turns | None = None
        self.pending: Tensor | None = None
        self.advice: Question | None = None
        self.reason = ""


@as_state
class Talk(Searching):
    """Where a conversation stands.

    Fields: those of `Search`; start (d,); answers, the losses (m,) of every turn that is complete; told (m,), those of
    the present turn, of which `missing` are not there yet; first, the ticket of its first point; given, how many of
    its points were handed out.
    """

    start: Tensor
    answers: list[Tensor]
    told: Tensor | None
    missing: int
    first: int
    given: int


class Conversation(AskTell[Talk]):
    """Base of the sequential methods: a subclass writes `turns`."""

    @abstractmethod
    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        """The conversation from x (d,); everything in it is a function of the arguments and of the answers."""

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> Talk:
        domain = check_point(x, domain)
        nan = math.nan
        return Talk(x, nan, nan, 0, 0, 0, key, domain, "", x, _Log(), None, 0, 0, 0)

    def trusts(self, state: Talk) -> bool:
        return self.recommends or (isinstance(state.answers, _Log) and state.answers.advice is not None)

    def batch(self, state: Talk) -> int:
        return 1 if state.told is None else state.missing

    def ask(self, state: Talk, n: int | None = None) -> tuple[Talk, Tensor]:
        log = self._live(state)
        if log.pending is None:
            return self._with(state, log, done=log.reason), state.x[None, :][:0]
        m = len(log.pending)
        told = torch.full((m,), math.nan, dtype=torch.float64) if state.told is None else state.told
        missing, first, given = (m, state.asked, 0) if state.told is None else (state.missing, state.first, state.given)
        stop = m if n is None else min(m, given + n)
        points = log.pending[given:stop]
        asked = state.asked + stop - given
        state = self._with(state, log, told=told, missing=missing, first=first, given=stop, asked=asked)
        return state, points.clone()

    def tell(self, state: Talk, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> Talk:
        log, told = self._live(state), state.told
        if told is not None and len(told) == len(xs) == 1 and (tickets is None or int(tickets[0]) == state.first):
            return self._answered(state, log, xs[0], float(losses[0]))
        at = found(state, xs, losses)
        if told is not None and log.pending is not None:
            last = torch.arange(state.asked - len(xs), state.asked)
            places = (last if tickets is None else tickets) - state.first
            ours = (places >= 0) & (places < len(told))
            _refuse_twice(told, places[ours])
            told[places[ours]] = settled(losses[ours].to(torch.float64))
            missing = int(told.isnan().sum())
        else:
            missing = 0
        reason = state.done
        if told is not None and missing == 0:
            log.append(told)
            told, reason = None, self._turn(log, log[-1])
        x, value = (at.x, at.value) if log.advice is None else (log.advice.x, log.advice.value)
        return Talk(
            x, value, at.loss, at.rejected, state.t + 1, state.asked, state.key, state.domain, reason,
            state.start, log, told, missing, state.first, state.given if told is not None else 0,
        )  # fmt: skip

    def _answered(self, state: Talk, log: _Log, x: Tensor, loss: float) -> Talk:
        """What `tell` does where a turn has one point, which is most of what a sequential method does all day."""
        fine = math.isfinite(loss)
        log.append(torch.tensor([loss if fine else math.inf], dtype=torch.float64))
        reason = self._turn(log, log[-1])
        best, value = state.x, state.value
        if log.advice is not None:
            best, value = log.advice.x, log.advice.value
        elif fine and not value <= loss:
            best, value = x.clone(), loss
        return Talk(
            best, value, loss if fine else math.nan, state.rejected + (not fine), state.t + 1, state.asked, state.key,
            state.domain, reason, state.start, log, None, 0, state.first, 0,
        )  # fmt: skip

    def _live(self, state: Talk) -> _Log:
        """The log with its generator, begun and told again if it was saved or copied."""
        log = state.answers if isinstance(state.answers, _Log) else _Log(state.answers)
        if log.turns is None and not log.reason:
            log.turns = self.turns(state.start, state.domain, state.key)
            self._turn(log, None)
            for answer in log:
                self._turn(log, answer)
        return log

    @staticmethod
    def _turn(log: _Log, answer: Tensor | None) -> str:
        """Say something to the generator, and keep what it asks next."""
        assert log.turns is not None
        try:
            asked = next(log.turns) if answer is None else log.turns.send(answer.clone())
            log.advice = asked if isinstance(asked, Question) else None
            log.pending = asked.points if isinstance(asked, Question) else asked
        except StopIteration as end:
            log.pending, log.reason = None, end.value or "the method has nothing more to ask"
        return log.reason

    @staticmethod
    def _with(
        state: Talk,
        log: _Log,
        told: Tensor | None = None,
        missing: int = 0,
        first: int = 0,
        given: int = 0,
        asked: int | None = None,
        done: str = "",
    ) -> Talk:
        return Talk(
            state.x, state.value, state.loss, state.rejected, state.t, state.asked if asked is None else asked,
            state.key, state.domain, done, state.start, log, told, missing, first, given,
        )  # fmt: skip


def _refuse_twice(told: Tensor, places: Tensor) -> None:
    again = ~told[places].isnan()
    if bool(again.any()):
        raise InvalidValue(f"question {int(places[again][0])} of this turn was answered twice")
