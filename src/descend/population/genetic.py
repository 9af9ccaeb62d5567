"""A population whose better members have children: crossed, mutated, and compared with those who are there.

Holland 1975, "Adaptation in natural and artificial systems"; Goldberg 1989, "Genetic algorithms in search, optimization
and machine learning" (selection); Whitley 1989, "The GENITOR algorithm and selection pressure" (steady state).
The operators are in `descend.population.breeding`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, found, whole
from descend.population.breeding import Breeding, check_names
from descend.population.sampling import check_popsize
from descend.population.shaping import settled
from descend.population.variation import linear_ranks, roulette, tournament
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["SELECTIONS", "Genetic", "GeneticState", "by_rank", "by_roulette", "by_tournament"]


def by_tournament(losses: Tensor, n: int, key: Key) -> Tensor:
    """Places (n,) of the better one of two each, for losses (p,) in ascending order."""
    return tournament(torch.arange(len(losses)), n, key)


def by_roulette(losses: Tensor, n: int, key: Key) -> Tensor:
    """Places (n,) in proportion to how much better than the worst they are; the worst has a tenth of the mean."""
    gain = losses[-1] - losses
    mean = float(gain.mean())
    return roulette(gain + 0.1 * mean if 0 < mean < math.inf else torch.ones_like(gain), n, key)


def by_rank(losses: Tensor, n: int, key: Key) -> Tensor:
    """Places (n,) in proportion to weights that fall linearly from the best to the worst."""
    return roulette(linear_ranks(torch.arange(len(losses))), n, key)


SELECTIONS: dict[str, Callable[[Tensor, int, Key], Tensor]] = {
    "tournament": by_tournament,
    "roulette": by_roulette,
    "rank": by_rank,
}
"""Who becomes a parent, by name."""


@state
class GeneticState(Searching):
    """The members, best first, none twice and none that failed.

    Fields: those of `Search`; population (k, d), k <= popsize, and losses (k,) float64 on the CPU; design (popsize, d),
    the first points; brood (j, d) and brood_losses (j,), answers that wait until their generation is complete.
    """

    population: Tensor
    losses: Tensor
    design: Tensor
    brood: Tensor
    brood_losses: Tensor


@dataclass(frozen=True)
class Genetic(AskTell[GeneticState]):
    """A genetic algorithm over numbers, lists, permutations and all of them together.

    A method for what has no slope and no distance: selections, choices, orders, and mixtures of these with numbers.

    Args:
        popsize: members, >= 4; default 100.
        children: how many are made at a time, >= 1; default popsize. 1 is the steady state.
        elite: how many of the old members survive their generation, below popsize; default None: old and new members
            compete, and the best popsize survive.
        selection: who becomes a parent, one of `SELECTIONS`; default "tournament". Only "roulette" looks at more than
            the order of the losses.
        breeding: the operators, default `Breeding()`.

    The first members are the start and uniform points of the domain. Nobody is in the population twice.

    Raises:
        InvalidValue: a number outside its range, or a selection that does not exist.

    >>> from descend.run import Evaluations, minimize
    >>> from descend.space import Subset
    >>> def f(taken):
    ...     return abs(sum(taken) - 100) + len(taken)
    >>> minimize(f, Subset(range(40)), method=Genetic(), until=Evaluations(4000), key=0).fun < 8
    True
    """

    popsize: int = 100
    children: int | None = None
    elite: int | None = None
    selection: str = "tournament"
    breeding: Breeding = Breeding()

    def __post_init__(self) -> None:
        check_popsize(self, self.popsize, 4)
        if self.children is not None:
            whole(self, "children", self.children, 1, 100)
        check_names(self, "selection", (self.selection,), SELECTIONS)
        if self.elite is not None:
            whole(self, "elite", self.elite, 0, 1)
            if self.elite >= self.popsize or self.elite + (self.children or self.popsize) < self.popsize:
                raise InvalidValue(
                    f"an elite of {self.elite} and {self.children or self.popsize} children do not make a generation "
                    f"of {self.popsize}; write elite=1 and leave children out, or elite=None"
                )

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> GeneticState:
        domain, nan = check_point(x, domain), math.nan
        design = domain.uniform(self.popsize, key.fold("first"), x)
        design[0] = x
        none = torch.zeros(0, dtype=torch.float64)
        return GeneticState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", design[:0], none, domain.centre(design),
            design[:0], none,
        )  # fmt: skip

    def batch(self, state: GeneticState) -> int:
        return self._next(state)

    def _next(self, state: GeneticState) -> int:
        """How many questions a generation has: first the rest of the design, then the children."""
        return max(0, self.popsize - state.asked) or self.children or self.popsize

    def ask(self, state: GeneticState, n: int | None = None) -> tuple[GeneticState, Tensor]:
        n = self._next(state) if n is None else n
        xs = state.design[state.asked : state.asked + n]
        if len(xs) < n:
            key = state.key.fold("ask", state.asked)
            xs = torch.cat([xs, self._bred(state, n - len(xs), key)])
        return replace(state, asked=state.asked + n), xs.clone()

    def _bred(self, state: GeneticState, n: int, key: Key) -> Tensor:
        """Children (n, d), or uniform points as long as there are no two members."""
        domain, members = state.domain, state.population
        if len(members) < 2:
            return domain.centre(domain.uniform(n, key, state.x))
        pairs = math.ceil(n / 2)
        parents = SELECTIONS[self.selection](state.losses, 2 * pairs, key.fold("parents")).to(members.device)
        xs = self.breeding.children(members[parents[:pairs]], members[parents[pairs:]], domain, key)[:n]
        # to evaluate a member again would tell nothing
        again = (xs[:, None] == members).all(2).any(1)
        if not bool(again.any()):
            return xs
        return torch.where(again[:, None], self.breeding.mutated(xs, domain, key.fold("again")), xs)

    def tell(self, state: GeneticState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> GeneticState:
        at, fine = found(state, xs, losses), settled(losses)
        if tickets is not None:  # so that the order of answers makes no difference
            rows = tickets.argsort(stable=True)
            xs, fine = xs[rows.to(xs.device)], fine[rows]
        xs, fine = torch.cat([state.brood, xs]), torch.cat([state.brood_losses, fine])
        population, known = state.population, state.losses
        if self.elite is None:
            xs, fine = torch.cat([population, xs]), torch.cat([known, fine])
            population, known = _best(xs, fine, self.popsize)
            xs, fine = xs[:0], fine[:0]
        elif len(fine) >= ((self.children or self.popsize) if len(known) else self.popsize):
            new, reached = _best(xs, fine, self.popsize - min(self.elite, len(known)))
            xs, fine = torch.cat([population[: self.elite], new]), torch.cat([known[: self.elite], reached])
            population, known = _best(xs, fine, self.popsize)
            xs, fine = xs[:0], fine[:0]
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, population=population,
            losses=known, brood=xs, brood_losses=fine,
        )  # fmt: skip


def _best(xs: Tensor, losses: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """The n best of points (p, d), in order, without those that failed or are there already."""
    order = losses.argsort(stable=True)
    order = order[losses[order].isfinite()]
    _, name = xs[order.to(xs.device)].unique(dim=0, return_inverse=True)
    name = name.cpu()
    first = torch.full((len(name),), len(name)).scatter_reduce_(0, name, torch.arange(len(name)), "amin")
    order = order[first[first < len(name)].sort().values[:n]]
    return xs[order.to(xs.device)].clone(), losses[order]
