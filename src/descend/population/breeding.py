"""How parents make children where coordinates are of several kinds: an operator for each kind, by name.

The operators, with their papers, are those of `descend.population.variation`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population import variation
from descend.population.kinds import another, keyed, kinds, tours
from descend.space.domain import Domain

__all__ = ["CROSSOVERS", "MUTATIONS", "ORDERINGS", "SHUFFLES", "Breeding", "check_names", "insertion", "shuffled"]

_FEW = 10
"""Cells up to which a number counts as drawn from a list: polynomial mutation would hardly ever reach the next one."""

CROSSOVERS: dict[str, Callable[[Tensor, Tensor, Domain, Key], tuple[Tensor, Tensor]]] = {
    "binary": variation.simulated_binary,
    "uniform": lambda a, b, domain, key: variation.uniform(a, b, key),
    "points": lambda a, b, domain, key: variation.points(a, b, key),
}
"""Of numbers: simulated binary, coordinate by coordinate, two-point."""

MUTATIONS: dict[str, Callable[[Tensor, Domain, Key, float], Tensor]] = {
    "polynomial": lambda xs, domain, key, each: variation.polynomial(xs, domain, key, each=each),
    "gaussian": lambda xs, domain, key, each: variation.gaussian(xs, domain, key, each=each),
}
"""Of numbers."""

ORDERINGS: dict[str, Callable[[Tensor, Tensor, Key], Tensor]] = {"order": variation.order, "edges": variation.edges}
"""Crossover of permutations."""


def insertion(permutations: Tensor, key: Key) -> Tensor:
    """Permutations (n, m) with one item moved to another place."""
    n, m = permutations.shape
    places = torch.arange(m, dtype=torch.float64, device=permutations.device).repeat(n, 1)
    draw = key.generator(permutations.device)
    first = torch.randint(0, m, (n, 1), generator=draw, device=permutations.device)
    further = torch.randint(1, m, (n, 1), generator=draw, device=permutations.device)
    last = (first + further) % m
    places.scatter_(1, first, torch.where(last > first, last + 0.5, last - 0.5).to(places))
    return permutations.gather(1, places.argsort(1))


SHUFFLES: dict[str, Callable[[Tensor, Key], Tensor]] = {
    "inversion": variation.inversion,
    "swap": variation.swap,
    "insertion": insertion,
}
"""Mutation of permutations: a stretch is turned round, two items change places, one is moved elsewhere."""


@dataclass(frozen=True)
class Breeding:
    """How two parents make two children.

    Args:
        crossover: of numbers, one of `CROSSOVERS`; default "binary". What is drawn from a list is always exchanged.
        mutation: of numbers, one of `MUTATIONS`; default "polynomial". What is drawn from a list becomes another value.
        ordering: crossover of permutations, one of `ORDERINGS`; default "order"; "edges" for closed tours.
        shuffles: mutations of permutations, each as likely, some of `SHUFFLES`; default all.
        chance: in [0, 1], the share of pairs that are crossed, default 0.9; the other children are copies at first.
        each: in (0, 1], the probability of a coordinate to be mutated; default one of them on average.
        shuffled: in [0, 1], the probability of a permutation to be mutated, default 0.5.

    Raises:
        InvalidValue: a name that is none, or a number outside its range.

    >>> Breeding(ordering="edges").ordering
    'edges'
    """

    crossover: str = "binary"
    mutation: str = "polynomial"
    ordering: str = "order"
    shuffles: tuple[str, ...] = ("inversion", "swap", "insertion")
    chance: float = 0.9
    each: float | None = None
    shuffled: float = 0.5

    def __post_init__(self) -> None:
        check_names(self, "crossover", (self.crossover,), CROSSOVERS)
        check_names(self, "mutation", (self.mutation,), MUTATIONS)
        check_names(self, "ordering", (self.ordering,), ORDERINGS)
        check_names(self, "shuffles", self.shuffles, SHUFFLES)
        for name, share, usual in (("chance", self.chance, 0.9), ("shuffled", self.shuffled, 0.5)):
            if not 0 <= share <= 1:
                raise InvalidValue(f"Breeding needs a share {name} in [0, 1], got {share!r}; write {name}={usual}")
        if self.each is not None and not 0 < self.each <= 1:
            raise InvalidValue(f"Breeding needs a share each in (0, 1], got {self.each!r}; write each=0.1")

    def children(self, first: Tensor, second: Tensor, domain: Domain, key: Key) -> Tensor:
        """Children (2 n, d) of parents (n, d), inside of the domain and mutated: n of them, then their siblings."""
        one, two = self.crossed(first, second, domain, key.fold("cross"))
        return self.mutated(torch.cat([one, two]), domain, key.fold("mutate"))

    def crossed(self, a: Tensor, b: Tensor, domain: Domain, key: Key) -> tuple[Tensor, Tensor]:
        """Two children (n, d) of every pair of parents (n, d)."""
        kind = kinds(domain, _FEW)
        one, two = a, b
        if bool(kind.numbers.any()):
            near, far = CROSSOVERS[self.crossover](a, b, domain, key.fold("numbers"))
            one, two = torch.where(kind.numbers, near, one), torch.where(kind.numbers, far, two)
        if bool(kind.lists.any()):
            mine, other = variation.uniform(a, b, key.fold("lists"))
            one, two = torch.where(kind.lists, mine, one), torch.where(kind.lists, other, two)
        cross = ORDERINGS[self.ordering]
        for k, columns in enumerate(kind.orders):
            p, q = tours(a, columns), tours(b, columns)
            one = keyed(one, columns, cross(p, q, key.fold("orders", k)))
            two = keyed(two, columns, cross(q, p, key.fold("siblings", k)))
        taken = key.fold("chance").uniform(len(a), 1, like=a) < self.chance
        return torch.where(taken, domain.centre(one), a), torch.where(taken, domain.centre(two), b)

    def mutated(self, xs: Tensor, domain: Domain, key: Key) -> Tensor:
        """xs (n, d) with small changes."""
        kind = kinds(domain, _FEW)
        plain = xs.shape[1] - sum(map(len, kind.orders))
        each = self.each or 1 / max(1, plain)
        after = xs
        if bool(kind.numbers.any()):
            after = torch.where(kind.numbers, MUTATIONS[self.mutation](xs, domain, key.fold("numbers"), each), after)
        if bool(kind.lists.any()):
            hit = (key.fold("hit").uniform(*xs.shape, like=xs) < each) & kind.lists
            after = another(after, domain, hit, key.fold("lists"))
        for k, columns in enumerate(kind.orders):
            moved = keyed(after, columns, shuffled(tours(after, columns), self.shuffles, key.fold("shuffle", k)))
            hit = key.fold("shuffled", k).uniform(len(xs), 1, like=xs) < self.shuffled
            after = torch.where(hit, moved, after)
        return domain.centre(after)


def shuffled(permutations: Tensor, shuffles: tuple[str, ...], key: Key) -> Tensor:
    """Permutations (n, m), each changed by one of these `SHUFFLES`, any with the same chance."""
    which = key.fold("which").integers(0, len(shuffles), len(permutations), 1).to(permutations.device)
    after = permutations
    for i, name in enumerate(shuffles):
        after = torch.where(which == i, SHUFFLES[name](permutations, key.fold(name)), after)
    return after


def check_names(owner: object, field: str, names: tuple[str, ...], table: Mapping[str, Any]) -> None:
    """Refuse names that are not in a table, and no name at all.

    Raises:
        InvalidValue: a sentence with the name and with those that there are.
    """
    for name in names or ("",):
        if name not in table:
            there = ", ".join(map(repr, table))
            raise InvalidValue(f"{type(owner).__name__} knows no {field} {name!r}; write one of {there}")
