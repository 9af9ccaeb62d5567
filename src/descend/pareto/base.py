"""Methods for several objectives: they ask like the others, and are told a row of losses for each point.

What they share is here: the state, its first population, and the archive of the points that nobody dominates.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import Tensor

from descend.key import Key
from descend.pareto.sorting import front, settled
from descend.population.base import check_point
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = ["Crowd", "Many", "first_generation", "joined"]


@as_state
class Crowd:
    """Where a search for a front stands.

    Fields: xs (n, d), values (n, m) and violations (n,), the population, empty before the first answers; t, how often
    it was told; asked, the number of questions so far; rejected, how often all answers were failures; key; domain;
    start (d,), where it began; front_xs (k, d), front_values (k, m), what nobody dominates of all that it was told;
    done, why it has nothing more to ask, else "".
    """

    xs: Tensor
    values: Tensor
    violations: Tensor
    t: int
    asked: int
    rejected: int
    key: Key
    domain: Domain
    start: Tensor
    front_xs: Tensor
    front_values: Tensor
    done: str


S = TypeVar("S")


class Many(ABC, Generic[S]):
    """Base of the methods for several objectives; a subclass is a frozen dataclass of hyperparameters."""

    @abstractmethod
    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> S:
        """The state before the first question, at x (d,) in a domain."""

    @abstractmethod
    def ask(self, state: S, n: int | None = None) -> tuple[S, Tensor]:
        """Points (m, d) to be evaluated, n or, by default, a generation of them."""

    @abstractmethod
    def tell(self, state: S, xs: Tensor, values: Tensor, violations: Tensor | None = None) -> S:
        """Answers, in any order, also about points that were never asked for.

        Args:
            xs: (n, d).
            values: (n, m) float64, smaller is better; a row with NaN or an infinity is a failure.
            violations: (n,), 0 where all constraints hold, else by how much they do not.
        """


def empty(x: Tensor, key: Key, domain: Domain | None) -> Crowd:
    """Nobody yet."""
    domain = check_point(x, domain)
    none = torch.zeros(0, 0, dtype=torch.float64)
    return Crowd(x[None][:0], none, none[:, :0].reshape(0), 0, 0, 0, key, domain, x, x[None][:0], none, "")


def first_generation(state: Crowd, n: int) -> Tensor:
    """n points: where the search begins, and others all over the domain."""
    points = state.domain.uniform(n, state.key.fold("first", state.asked), state.start)
    if state.asked == 0:
        points[0] = state.start
    return state.domain.centre(points)


def joined(state: Crowd, xs: Tensor, values: Tensor, violations: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """The population with new points: (n, d), (n, m), (n,)."""
    values = settled(values)
    broken = torch.zeros(len(xs), dtype=torch.float64) if violations is None else violations.to("cpu", torch.float64)
    if not len(state.xs):
        return xs, values, broken
    return (
        torch.cat([state.xs, xs]),
        torch.cat([state.values, values]),
        torch.cat([state.violations, broken]),
    )


def kept(state: Crowd, xs: Tensor, values: Tensor, violations: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The archive, points (k, d) and values (k, m), with new points; of too many the ones that stand closest go."""
    from descend.pareto.sorting import crowding

    old = len(state.front_xs)
    every = torch.cat([state.front_xs, xs]) if old else xs
    losses = torch.cat([state.front_values, values]) if old else values
    broken = torch.cat([torch.zeros(old, dtype=torch.float64), violations])
    places = front(losses, broken)
    if len(places) > most:
        spread = crowding(losses[places])
        places = places[spread.argsort(descending=True, stable=True)[:most].sort().values]
    return every[places.to(every.device)], losses[places]
