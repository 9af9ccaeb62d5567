"""Ask and tell: a search that somebody else drives, with as many workers as they like and answers in any order.

A method wants its answers by generations; workers have them one by one, late, or never. So answers are kept until
there are as many as the method likes to be told at once, with the number of the question that each of them answers.
Whoever asks for more points than a method has to ask before it is told more gets points around the best one, so that
no worker is idle; what is found there is told to the method like everything else.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.key import Key, as_key
from descend.oracle.scalar import as_float
from descend.population.base import AskTell as Method
from descend.population.base import Search
from descend.run import saved
from descend.run.outer import Outer, digest, outer_of
from descend.space.domain import Domain

__all__ = ["AskTell", "nearby"]

_NOBODY = -1
"""The ticket of a point that the method did not ask for."""

_PATIENCE = 1000
"""How often in a row all points may break the conditions of a space."""


class AskTell:
    """A search to be asked for points and told their losses, for workers anywhere and objectives of any kind.

    Points may be asked for one or many at a time, at any time, and told in any order, in any number, or never. A point
    that was never asked for may be told too. A point that is told again with the same loss is ignored, as a message
    that came twice; with another loss it is another measurement.

    Args:
        method: a method that asks for values, such as ``CMAES()``.
        space: what is searched: a `Space` of typed parameters, whose points are dicts; or an array, list or number x0
            to begin at, and points are arrays like it (NumPy, or torch if x0 is a tensor).
        key: randomness, a `Key` or an integer, default 0. None draws fresh entropy.
        bounds: with x0, as `minimize` takes them: (low, high), or a list with a pair per coordinate.

    Attributes:
        method, key: as they were given.
        evaluations: how many losses were told, failures included.
        failures, last_failure: how many of them were NaN, infinite or an exception, and what the last one was.

    Raises:
        CompositionError: the method cannot be asked for points.
        InvalidValue: a space, an x0 or bounds that cannot mean anything.

    >>> from descend.population.snes import SNES
    >>> search = AskTell(SNES(), [3.0, -2.0], key=0)
    >>> for _ in range(100):
    ...     points = search.ask(8)
    ...     search.tell(points, [x @ x for x in points])
    >>> point, loss = search.best
    >>> bool(loss < 1e-3), search.evaluations
    (True, 800)
    """

    def __init__(self, method: Method[Any], space: Any, key: Key | int | None = 0, bounds: Any = None) -> None:
        if not isinstance(method, Method):
            raise CompositionError(
                f"a search is driven from outside by a method that asks for values, and {method!r} is none; "
                "write AskTell(CMAES(), x0)"
            )
        self._set(method, outer_of(space, bounds), as_key(key))
        self._state: Search = method.init(self._outer.start, self.key, self._outer.domain)

    def _set(self, method: Method[Any], outer: Outer, key: Key) -> None:
        self.method, self.key, self._outer = method, key, outer
        self._questions = _Questions()
        self._buffer: list[tuple[Tensor, float, int]] = []
        self._told: dict[int, float] = {}  # the last loss of every point
        self._best, self._least = outer.start, math.nan
        self._filled = 0
        self.evaluations = self.failures = 0
        self.last_failure = ""

    def __repr__(self) -> str:
        return (
            f"AskTell({self.method!r}): {self.evaluations} evaluations, {len(self._questions.open)} pending, "
            f"best loss {self._least:.6g}"
        )

    @property
    def best(self) -> tuple[Any, float]:
        """The point with the least loss that was told, and that loss; the start and NaN before there is one."""
        return self._outer.points(self._best[None])[0], self._least

    @property
    def pending(self) -> list[Any]:
        """The points that were asked for and not told yet, in the order in which they were asked for."""
        return [question.point for question in self._questions.open]

    @property
    def done(self) -> str:
        """Why the method has nothing more to ask, empty while it goes on; `ask` goes on around the best point."""
        return self._state.done

    def ask(self, n: int | None = None) -> Any:
        """One point to be evaluated, or with n a list of n points.

        A point at which the conditions of a space do not hold is not handed out; the method is told that it failed.

        Raises:
            InvalidValue: n is not a whole number >= 1, or the conditions of the space seem never to hold.
        """
        if n is None:
            return self._ask(1)[0]
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InvalidValue(f"ask(n) needs a whole number n >= 1, got {n!r}; write ask() for one point")
        return self._ask(int(n))

    def tell(self, points: Any, losses: Any) -> None:
        """The loss of one point, or the losses of many.

        Args:
            points: one point, or with several losses as many points. They are recognized if they are the objects that
                `ask` gave, or equal to them.
            losses: a number, or a list, array or tensor of numbers. NaN, an infinity, or an exception in place of a
                number says that the evaluation failed.

        Raises:
            ShapeMismatch: a loss is not one number, or there are more or fewer than points.
            InvalidValue: a point that was never asked for, and cannot be one. In either case nothing is noted.
        """
        several = _listed(losses)
        if several is not None and isinstance(points, Mapping):
            raise InvalidValue(f"one point was told with {len(several)} losses in a list; write tell(point, loss)")
        given = [points] if several is None else list(points)
        outcomes = [_outcome(loss) for loss in ([losses] if several is None else several)]
        if len(given) != len(outcomes):
            raise InvalidValue(f"{len(given)} points were told with {len(outcomes)} losses; write one loss per point")
        asked = [self._questions.same(point) for point in given]
        others = self._outer.flat([point for point, question in zip(given, asked, strict=True) if question is None])
        rows = iter(others)
        flat = [next(rows) if question is None else question.x for question in asked]
        for x, question, (loss, why) in zip(flat, asked, outcomes, strict=True):
            self._note(x, question, loss, why)
        self._pass_on_if_enough()

    def save(self, path: str | Path) -> None:
        """Write the search to a file, from which `load` continues bit for bit, pending points included.

        The file is there at once or not at all, and reading it runs no code.
        """
        saved.write(path, self.method, self._outer, self.key, self._state, self._memory())

    @classmethod
    def load(cls, path: str | Path, method: Method[Any] | None = None) -> "AskTell":
        """The search that was saved in a file.

        Args:
            method: only for a method of your own, which a file cannot name: the one that was saved.

        Raises:
            StateMismatch: the file is no saved search, or that of another method or version.
            InvalidValue: the method is your own, and has to be given.
        """
        found = saved.read(path, method)
        search = cls.__new__(cls)
        search._set(found.method, found.outer, found.key)
        search._state = found.state
        search._restore(found.memory)
        return search

    def _ask(self, n: int) -> list[Any]:
        points: list[Any] = []
        for _ in range(_PATIENCE):
            wanted = n - len(points)
            self._state, xs = self.method.ask(self._state, wanted)
            tickets = range(self._state.asked - len(xs), self._state.asked)
            points += self._hand_out(xs, list(tickets))
            if (missing := wanted - len(xs)) > 0:
                points += self._hand_out(self._around_best(missing), [_NOBODY] * missing)
            if len(points) == n:
                return points
        raise InvalidValue(
            f"none of {_PATIENCE} points in a row met the conditions of where(); tell a point that does, narrow the "
            "space, or make a Constraint of a condition, which may be broken on the way"
        )

    def _hand_out(self, xs: Tensor, tickets: list[int]) -> list[Any]:
        """Those of the points (n, d) that meet the conditions of the space; the others have failed already."""
        points = self._outer.points(xs)
        allowed = self._outer.allowed(points)
        if not all(allowed):
            for x, ticket, fine in zip(xs, tickets, allowed, strict=True):
                if not fine and ticket != _NOBODY:
                    self._buffer.append((x, math.nan, ticket))
            self._pass_on_if_enough()
            kept = [i for i, fine in enumerate(allowed) if fine]
            points, xs, tickets = [points[i] for i in kept], xs[kept], [tickets[i] for i in kept]
        self._put(points, xs, tickets)
        return points

    def _put(self, points: list[Any], xs: Tensor, tickets: list[int]) -> None:
        # several flat points may mean one point, and a point that is told is recognized by what it means
        for point, x, ticket, meant in zip(points, xs, tickets, self._outer.flat(points), strict=True):
            self._questions.put(_Question(point, x, ticket, digest(meant)))

    def _around_best(self, n: int) -> Tensor:
        key = self.key.fold("around", self._filled)
        self._filled += n
        return nearby(n, self._best, not math.isnan(self._least), self._outer.domain, key)

    def _note(self, x: Tensor, question: "_Question | None", loss: float, why: str) -> None:
        mark = digest(x) if question is None else question.mark
        if question not in self._questions.open:
            question = self._questions.at(mark)
        if question is None and mark in self._told and _same(self._told[mark], loss):
            return
        if question is not None:
            self._questions.close(question)
        self._buffer.append((x, loss, _NOBODY) if question is None else (question.x, loss, question.ticket))
        self._told[mark] = loss
        self.evaluations += 1
        if why:
            self.failures, self.last_failure = self.failures + 1, why
        elif not self._least <= loss:
            self._best, self._least = self._buffer[-1][0], loss

    def _pass_on_if_enough(self) -> None:
        """Tell the method all answers that are there, if it likes to be told so many."""
        if not self._buffer or len(self._buffer) < self.method.batch(self._state):
            return
        xs, losses, tickets = zip(*self._buffer, strict=True)
        self._buffer = []
        self._state = self.method.tell(
            self._state, torch.stack(xs), torch.tensor(losses, dtype=torch.float64), torch.tensor(tickets)
        )

    def _memory(self) -> dict[str, Any]:
        """All but the method's state, as data to be saved."""
        return {
            "pending": [(question.x, question.ticket) for question in self._questions.open],
            "buffer": self._buffer,
            "told": (torch.tensor(list(self._told)), torch.tensor(list(self._told.values()), dtype=torch.float64)),
            "best": (self._best, self._least),
            "counts": (self._filled, self.evaluations, self.failures, self.last_failure),
        }

    def _restore(self, memory: dict[str, Any]) -> None:
        if memory["pending"]:
            xs, tickets = zip(*memory["pending"], strict=True)
            self._put(self._outer.points(torch.stack(xs)), torch.stack(xs), list(tickets))
        self._buffer = list(memory["buffer"])
        marks, losses = memory["told"]
        self._told = dict(zip(marks.tolist(), losses.tolist(), strict=True))
        self._best, self._least = memory["best"]
        self._filled, self.evaluations, self.failures, self.last_failure = memory["counts"]


def nearby(n: int, best: Tensor, known: bool, domain: Domain, key: Key) -> Tensor:
    """Points (n, d) at distances of all orders from the best one (d,); anywhere while none is known."""
    anywhere = domain.uniform(n, key.fold("anywhere"), best)
    if not known:
        return anywhere
    # half of a coordinate's typical length down to a thousandth of it: how far it pays to look is not known
    reach = 0.5 * 500.0 ** -key.fold("reach").uniform(n, 1, like=best)
    near = domain.mirror(best + reach * domain.scale * key.fold("step").normal(n, domain.dim, like=best))
    # a cell has no distance: it changes as often as a step is long, and at least in one coordinate of them all
    changed = key.fold("cells").uniform(n, domain.dim, like=best) < reach.clamp(min=1 / domain.dim)
    return torch.where(domain.cells > 0, torch.where(changed, anywhere, best), near)


class _Question:
    """A point that was handed out: as its user has it, flat (d,), the number of the method's question, and its mark."""

    __slots__ = ("mark", "point", "ticket", "x")

    def __init__(self, point: Any, x: Tensor, ticket: int, mark: int) -> None:
        self.point, self.x, self.ticket, self.mark = point, x, ticket, mark


class _Questions:
    """Those that are open, in their order, found by the object that was handed out or by what it means.

    By the object first, because an objective may have written into it. Some objects are handed out many times, True
    for example.
    """

    def __init__(self) -> None:
        self.open: dict[_Question, None] = {}  # a set that keeps its order
        self._by_object: dict[int, list[_Question]] = {}  # by id(point), which is nobody else's while it is here
        self._by_mark: dict[int, list[_Question]] = {}

    def put(self, question: _Question) -> None:
        self.open[question] = None
        self._by_object.setdefault(id(question.point), []).append(question)
        self._by_mark.setdefault(question.mark, []).append(question)

    def same(self, point: Any) -> _Question | None:
        """The first open question of this very object."""
        return next(iter(self._by_object.get(id(point), ())), None)

    def at(self, mark: int) -> _Question | None:
        """The first open question about what has this mark."""
        return next(iter(self._by_mark.get(mark, ())), None)

    def close(self, question: _Question) -> None:
        del self.open[question]
        for index, place in ((self._by_object, id(question.point)), (self._by_mark, question.mark)):
            index[place].remove(question)
            if not index[place]:
                del index[place]


def _listed(losses: Any) -> list[Any] | None:
    """Several losses, or None if it is one."""
    if isinstance(losses, Tensor | np.ndarray):
        return list(losses) if losses.ndim else None
    return list(losses) if isinstance(losses, Iterable) and not isinstance(losses, str | Mapping) else None


def _outcome(loss: Any) -> tuple[float, str]:
    """A loss, NaN where the evaluation failed, and why it did."""
    if isinstance(loss, BaseException):
        return math.nan, f"{type(loss).__name__}: {loss}"
    number = as_float(loss)
    return (number, "") if math.isfinite(number) else (math.nan, f"the objective returned {number}")


def _same(a: float, b: float) -> bool:
    return a == b or (math.isnan(a) and math.isnan(b))
