"""What proposes the points of a study, seen alike: points that wait for nothing, models of the history, conversations.

Each is asked about one trial after the other, by its number and by how many answers count. Where it stands in between
is a value, so that a question for which somebody else was quicker can be taken back.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from descend.direct.filling import Filling
from descend.direct.grid import Grid
from descend.errors import CompositionError
from descend.key import Key
from descend.model.modelled import Modelled
from descend.pareto.base import Many
from descend.population.base import AskTell
from descend.run.ask_tell import nearby
from descend.study.answers import Answers, point_of
from descend.study.frame import Frame
from descend.study.mirror import Mirror
from descend.study.record import broken
from descend.tree import map_tensors

__all__ = ["Blocks", "Conversation", "Exhausted", "Models", "Search", "check_method", "search_of"]

Params = dict[str, Any]

_BLOCK = 256
"""Points that are made at once where they wait for no answers."""


class Exhausted(Exception):
    """There is nothing left to ask; the text says why."""


class Search(Protocol):
    """A method at work on a study.

    Attributes:
        recalled: whether its questions depend on the answers alone, so that those of the past need not be asked again.
        counted: whether they depend on nothing but how many were asked before; this number is where it stands.
    """

    recalled: bool
    counted: bool

    def begin(self) -> Any:
        """Where it stands before the first question."""
        ...

    def step(self, stand: Any, number: int, after: int, turn: int) -> tuple[Any, Params]:
        """Where it stands after it was told the first `after` answers and asked for the point of a trial, and this
        point as a flat dict.

        Args:
            stand: where it stood; it stays as it is.
            number: of the trial.
            after: how many answers count, not fewer than before.
            turn: how many of its points for this trial were refused.

        Raises:
            Exhausted: there are no more points.
        """
        ...

    def refuse(self, stand: Any, number: int, loss: float | None) -> Any:
        """Where it stands when the point was not taken: it has this loss, NaN if it cannot be evaluated; None if the
        loss will be known later."""
        ...


def search_of(
    method: Any, mirror: Mirror, frame: Frame, key: Key, constraints: int, average: bool, begun: int
) -> Search:
    """A method at work.

    Args:
        method: any that asks for values.
        mirror, frame: of the log, and of its points.
        key: of the study.
        constraints, average: as of `Answers`.
        begun: the number of the trial that is its first.

    Raises:
        CompositionError: it cannot be asked for points, or not with so many objectives.
    """
    check_method(method, len(mirror.signs))
    fresh = key.fold("method", begun)
    if isinstance(method, Filling | Grid):
        return Blocks(method, frame, fresh)
    answers = Answers(mirror, frame, constraints, average)
    if isinstance(method, Modelled):
        return Models(method, frame, key, answers)
    return Conversation(method, mirror, frame, fresh, answers, average)


def check_method(method: Any, objectives: int) -> None:
    """See to it that a method can propose the points of a study.

    Raises:
        CompositionError: it cannot be asked for points, or not with so many objectives.
    """
    if not isinstance(method, AskTell | Many):
        raise CompositionError(f"a study needs a method that asks for values, got {method!r}; write method=TPE()")
    if objectives > 1 and not isinstance(method, Many | Modelled | Filling | Grid):
        raise CompositionError(f"{method!r} is for one objective, and there are {objectives}; write NSGA2()")


class Blocks:
    """Points that wait for no answers; they are made many at a time."""

    recalled, counted = False, True

    def __init__(self, method: Filling | Grid, frame: Frame, key: Key) -> None:
        self._method, self._frame, self._key = method, frame, key
        self._states: list[Any] = [method.init(frame.start, key, frame.domain)]  # before each block
        self._blocks: dict[int, list[Params]] = {}

    def begin(self) -> int:
        return 0

    def step(self, stand: int, number: int, after: int, turn: int) -> tuple[int, Params]:
        block, place = divmod(stand, _BLOCK)
        points = self._blocks.get(block)
        if points is None:
            points = self._made(block)
        if place >= len(points):
            raise Exhausted(f"all points that {self._method!r} has were asked for")
        return stand + 1, points[place]

    def refuse(self, stand: int, number: int, loss: float | None) -> int:
        return stand

    def _made(self, block: int) -> list[Params]:
        while True:
            made = len(self._states) - 1
            state, xs = self._method.ask(self._states[min(block, made)], _BLOCK)
            if block >= made:
                self._states.append(state)
            if block <= made:
                break
        self._blocks = {k: points for k, points in self._blocks.items() if k == block - 1}
        self._blocks[block] = self._frame.decode(xs)
        return self._blocks[block]


class Models:
    """Proposals of a model: a function of the history, and of the study's key and the number of the trial."""

    recalled, counted = True, False

    def __init__(self, method: Modelled, frame: Frame, key: Key, answers: Answers) -> None:
        self._method, self._frame, self._key, self._answers = method, frame, key, answers

    def begin(self) -> None:
        return None

    def step(self, stand: None, number: int, after: int, turn: int) -> tuple[None, Params]:
        key = self._key.fold("trial", number) if turn == 0 else self._key.fold("trial", number).fold("again", turn)
        us = self._method.propose(self._answers.history(number, after), 1, key)
        return None, self._answers.params(us)

    def refuse(self, stand: None, number: int, loss: float | None) -> None:
        return None


@dataclass(frozen=True, eq=False)
class _Stand:
    """Where a conversation stands: the method's state, how many answers it was told or are kept for it, those that are
    kept, how many points it had nothing to say to, and of the answers the best point, its loss and the worst loss."""

    state: Any
    told: int = 0
    kept: tuple[tuple[Tensor, tuple[float, ...], float, int], ...] = ()
    filled: int = 0
    best: Tensor | None = None
    least: float = math.inf
    worst: float = 0.0


class Conversation:
    """A method with a state: it is told as many answers at once as it likes, and is never kept waiting."""

    recalled, counted = False, False

    def __init__(self, method: Any, mirror: Mirror, frame: Frame, key: Key, answers: Answers, average: bool) -> None:
        self._method, self._mirror, self._frame, self._key = method, mirror, frame, key
        self._answers, self._average = answers, average
        self._many = isinstance(method, Many)
        self._asked: dict[int, tuple[Tensor, int, Params]] = {}
        self._sums: dict[str, dict[int, float]] = {}

    def begin(self) -> _Stand:
        return _Stand(self._method.init(self._frame.start, self._key, self._frame.domain))

    def step(self, stand: _Stand, number: int, after: int, turn: int) -> tuple[_Stand, Params]:
        for place in range(stand.told, after):
            stand = self._kept(stand, self._mirror.answers[place], place)
        # methods may write into the state that they are given, and this one may be gone back to
        stand = self._told(replace(stand, told=after, state=map_tensors(torch.clone, stand.state)))
        state, xs = self._method.ask(stand.state, 1)
        if len(xs):
            ticket = state.asked - 1
            stand = replace(stand, state=state)
        elif state.done:
            raise Exhausted(state.done)
        else:
            ticket, start = -1, self._frame.start if stand.best is None else stand.best
            key = self._key.fold("around", stand.filled)
            xs = nearby(1, start, stand.best is not None, self._frame.domain, key)
            stand = replace(stand, state=state, filled=stand.filled + 1)
        params = self._frame.decode_one(xs[0].tolist())
        self._asked[number] = xs[0], ticket, params
        return stand, params

    def refuse(self, stand: _Stand, number: int, loss: float | None) -> _Stand:
        x, ticket, _ = self._asked.pop(number)
        if loss is None or ticket < 0:
            return stand
        return replace(stand, kept=(*stand.kept, (x, (loss,) * len(self._mirror.signs), 0.0, ticket)))

    def _kept(self, stand: _Stand, number: int, place: int) -> _Stand:
        """The stand with an answer that is to be told."""
        row = self._mirror.rows[number]
        x, ticket, proposed = self._asked.get(number, (None, -1, None))
        if x is None or proposed != row.params:
            x, ticket = self._answers.x(row.params or row.proposal or {}), -1
        losses, much = self._answers.losses(number), broken(row.violations)
        if not self._many:
            loss = self._mean(row.params, place, losses[0]) if self._average else losses[0]
            if much > 0 and math.isfinite(loss):
                losses = (stand.worst + much,)  # worse than whatever keeps the constraints (Deb 2000)
            else:
                losses = (loss,)
                if math.isfinite(loss):
                    least = min(loss, stand.least)
                    best = x if loss < stand.least else stand.best
                    worst = max(loss, stand.worst) if stand.best is not None else loss
                    stand = replace(stand, best=best, least=least, worst=worst)
        return replace(stand, kept=(*stand.kept, (x, losses, much, ticket)))

    def _told(self, stand: _Stand) -> _Stand:
        """The stand after the method was told what is kept, if it likes to be told so many."""
        if not stand.kept or (not self._many and len(stand.kept) < self._method.batch(stand.state)):
            return stand
        xs, losses, much, tickets = zip(*stand.kept, strict=True)
        points, rows = torch.stack(xs), torch.tensor(losses, dtype=torch.float64)
        if self._many:
            state = self._method.tell(stand.state, points, rows, torch.tensor(much, dtype=torch.float64))
        else:
            state = self._method.tell(stand.state, points, rows[:, 0], torch.tensor(tickets))
        return replace(stand, state=state, kept=())

    def _mean(self, params: Params, place: int, loss: float) -> float:
        """The mean of all losses of this point up to this answer."""
        if not math.isfinite(loss):
            return loss
        known = self._sums.setdefault(point_of(params), {})
        known[place] = loss
        fine = [each for at, each in known.items() if at <= place]
        return sum(fine) / len(fine)
