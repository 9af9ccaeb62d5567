"""Methods for several objectives: they ask like the others, and are told a row of numbers for each point.

What they share is here: the state, the first population, mating, and the archive of points that nobody dominates. What
distinguishes them is `select`: who of the old and the new points stays, and who of them is preferred as a parent. As
that is a question about points and not about when they were asked for, answers are welcome in any order and number.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle import Asks
from descend.pareto.mating import Mating
from descend.pareto.sorting import crowding, front, settled
from descend.population.base import check_point, whole
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = ["Crowd", "Many", "Selection", "front_of"]


_TURNS = 5
"""How often points are made, until enough of them are new; the last time anywhere in the domain."""
_FOR_ONE = 4
"""How many points are drawn there for one that is needed."""


@as_state
class Crowd:
    """Where a search for a front stands.

    Fields: xs (n, d), values (n, m) and violations (n,), the population, empty before the first answers; merit (n,)
    int64, who is preferred as a parent, the lower the better; memory, what a method keeps beside; x (d,), where the
    search began; value and loss, NaN, for there is no single number to go by; t, how often it was told; asked, the
    number of questions so far; rejected, how often all answers were failures; key; domain; archive_xs (k, d) and
    archive_values (k, m), what nobody dominates of all that it was told, if the method keeps an archive; done, why it
    has nothing more to ask, else "".
    """

    xs: Tensor
    values: Tensor
    violations: Tensor
    merit: Tensor
    memory: tuple[Tensor, ...]
    x: Tensor
    value: float
    loss: float
    t: int
    asked: int
    rejected: int
    key: Key
    domain: Domain
    archive_xs: Tensor
    archive_values: Tensor
    done: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Who stays: the places (n,) int64 in the order of the next population, merit (n,) int64, and what to remember."""

    places: Tensor
    merit: Tensor
    memory: tuple[Tensor, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Many(ABC):
    """Base of the methods for several objectives; a subclass is a frozen dataclass of hyperparameters.

    Args:
        popsize: points in the population and in a generation, at least 4.
        mating: how parents make children.
        archive: how many points that nobody dominates are kept beside the population, of too many the most crowded ones
            left out; default 0: the population is the result.

    Raises:
        InvalidValue: a number outside its range.
    """

    popsize: int = 100
    mating: Mating = Mating()
    archive: int = 0

    def __post_init__(self) -> None:
        whole(self, "popsize", self.popsize, 4, 100)
        whole(self, "archive", self.archive, 0, 1000)
        if not isinstance(self.mating, Mating):
            raise InvalidValue(f"{type(self).__name__} needs a Mating, got {self.mating!r}; write mating=Mating()")

    @cached_property
    def needs(self) -> Asks:
        """Values of many points."""
        return Asks.VALUES

    @abstractmethod
    def select(self, values: Tensor, violations: Tensor, old: int, state: Crowd) -> Selection:
        """Who stays of all points, the population and those that were told.

        Args:
            values: (n, m) float64 on the CPU, +inf in the rows of failures and of points that were not evaluated.
            violations: (n,) float64 >= 0.
            old: how many of the first rows are the population.
            state: as it was.
        """

    @final
    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> Crowd:
        """The state before the first question.

        Args:
            x: (d,), one of the first points.
            key: of everything random.
            domain: where points may lie, default everywhere, 1 being a typical length.

        Raises:
            ShapeMismatch, InvalidValue: x is no point of the domain.
        """
        domain = check_point(x, domain)
        x = x.detach().clone()
        numbers, rows = torch.zeros(0, dtype=torch.float64), torch.zeros(0, 0, dtype=torch.float64)
        return Crowd(
            xs=x[None][:0], values=rows, violations=numbers, merit=numbers.long(), memory=(), x=x, value=math.nan,
            loss=math.nan, t=0, asked=0, rejected=0, key=key, domain=domain, archive_xs=x[None][:0],
            archive_values=rows, done="",
        )  # fmt: skip

    @final
    def ask(self, state: Crowd, n: int | None = None) -> tuple[Crowd, Tensor]:
        """Points (n, d) to be evaluated, by default a generation of them."""
        n = self.popsize if n is None else n
        key = state.key.fold("ask", state.asked)
        if state.asked >= self.popsize and len(state.xs) >= 2:
            points = self._new(state, n, key)
        else:
            points = state.domain.uniform(n, key, state.x)
            if state.asked == 0 and n:
                points[0] = state.x
            points = state.domain.centre(points)
        return replace(state, asked=state.asked + n), points

    def _new(self, state: Crowd, n: int, key: Key) -> Tensor:
        """Children (n, d), none of them a point of the population or the archive, or twice among them.

        Others take the place of those, and where there seem to be no others points of the whole domain; only where
        these are known too, the domain having few, is one asked again.
        """
        known = {*_rows(state.xs), *_rows(state.archive_xs)}
        parts, left, made = [], n, state.xs
        for turn in range(_TURNS):
            luck = key.fold("again", turn) if turn else key
            many = left + left // 4 + 1  # so that another turn is seldom needed
            if turn < _TURNS - 1:
                made = self.children(state, many, luck)
            else:
                made = state.domain.centre(state.domain.uniform(_FOR_ONE * many, luck, state.x))
            places = []
            for i, row in enumerate(_rows(made)):
                if row not in known:
                    known.add(row)
                    places.append(i)
            places = places[:left]
            parts.append(made[places] if places != list(range(left)) else made[:left])
            left -= len(parts[-1])
            if not left:
                break
        else:
            parts.append(made[:left])
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def children(self, state: Crowd, n: int, key: Key) -> Tensor:
        """Children (n, d) of the population, copies of their parents among them."""
        return self.mating.children(state.xs, state.merit, state.domain, n, key)

    @final
    def tell(self, state: Crowd, xs: Tensor, values: Tensor, violations: Tensor | None = None) -> Crowd:
        """Answers, in any order and number, also about points that were never asked for.

        Args:
            xs: (n, d).
            values: (n, m), smaller is better; a row with NaN or an infinity is a failure, or was not evaluated because
                the point violates a constraint.
            violations: (n,), 0 where all constraints hold, else by how much they do not; default they hold.

        Raises:
            ShapeMismatch: there are not as many values as points, or not as many columns as before.
        """
        values = settled(_checked(state, xs, values))
        if violations is None:
            broken = torch.zeros(len(xs), dtype=torch.float64)
        else:
            broken = violations.to("cpu", torch.float64).nan_to_num(nan=math.inf).clamp(min=0)
        failed = not bool((values[:, 0].isfinite() | (broken > 0)).any())
        old, before = len(state.xs), state.values
        if old and before.shape[1] != values.shape[1]:  # all failures: how many objectives there are was not known
            before = torch.full((old, values.shape[1]), math.inf, dtype=torch.float64)
        if old:
            every = torch.cat([state.xs, xs])
            all_values, all_broken = torch.cat([before, values]), torch.cat([state.violations, broken])
        else:
            every, all_values, all_broken = xs.clone(), values, broken
        chosen = self.select(all_values, all_broken, old, state)
        archive_xs, archive_values = state.archive_xs, state.archive_values
        if self.archive:
            archive_xs, archive_values = self._archived(state, xs, values, broken)
        return Crowd(  # written out, because replace() takes several times as long
            every[chosen.places.to(every.device)], all_values[chosen.places], all_broken[chosen.places], chosen.merit,
            chosen.memory, state.x, math.nan, math.nan, state.t + 1, state.asked, state.rejected + failed, state.key,
            state.domain, archive_xs, archive_values, state.done,
        )  # fmt: skip

    def _archived(self, state: Crowd, xs: Tensor, values: Tensor, broken: Tensor) -> tuple[Tensor, Tensor]:
        old = len(state.archive_xs)
        every, losses = xs.clone(), values
        if old:
            every, losses = torch.cat([state.archive_xs, xs]), torch.cat([state.archive_values, values])
            broken = torch.cat([torch.zeros(old, dtype=torch.float64), broken])
        places = front(losses, broken)
        if len(places) > self.archive:
            least = crowding(losses[places]).argsort(descending=True, stable=True)
            places = places[least[: self.archive].sort().values]
        return every[places.to(every.device)], losses[places]


def _rows(xs: Tensor) -> list[bytes]:
    """What distinguishes the points xs (n, d)."""
    return [row.tobytes() for row in xs.numpy(force=True) + 0.0]  # -0.0 is 0.0


def front_of(state: Crowd) -> tuple[Tensor, Tensor]:
    """The points (k, d) and values (k, m) that nobody dominates of a population and its archive, each once."""
    xs, values, broken = state.xs, state.values, state.violations
    if len(state.archive_xs):
        xs, values = torch.cat([xs, state.archive_xs]), torch.cat([values, state.archive_values])
        broken = torch.cat([broken, torch.zeros(len(state.archive_xs), dtype=torch.float64)])
    if not len(xs):
        return xs, values
    places = front(values, broken)
    # of points with the same values the first
    _, group = values[places].unique(dim=0, return_inverse=True)
    seen: set[int] = set()
    once = [i for i, g in zip(places.tolist(), group.tolist(), strict=True) if not (g in seen or seen.add(g))]
    chosen = torch.tensor(once, dtype=torch.int64)
    return xs[chosen.to(xs.device)], values[chosen]


def _checked(state: Crowd, xs: Tensor, values: Tensor) -> Tensor:
    if values.dim() != 2 or len(values) != len(xs) or not len(xs) or not values.shape[1]:
        raise ShapeMismatch(
            f"{len(xs)} points are told with values of shape {tuple(values.shape)}; "
            "write a row of m numbers for each point"
        )
    if values.shape[1] != state.values.shape[1] and bool(state.values.isfinite().any()):
        raise ShapeMismatch(f"there were {state.values.shape[1]} objectives so far, and now {values.shape[1]}")
    return values
