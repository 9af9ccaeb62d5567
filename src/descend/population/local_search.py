"""Iterated local search over permutations: small changes while one of them helps, then a kick, and again.

Lin 1965, "Computer solutions of the traveling salesman problem" (2-opt); Or 1976 (segments of up to three items moved
elsewhere); Martin, Otto and Felten 1991, "Large-step Markov chains for the traveling salesman problem" (the double
bridge); Bentley 1992, "Fast algorithms for geometric traveling salesman problems" (don't-look bits, here: only places
near a change are looked at again).

The permutation is that of the domain's coordinates with one number in `orders`. tour (m,) holds the items by place;
candidates are keys (k, m) by place, so that a change of places costs no sorting here.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.population.base import whole
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["NEIGHBOURHOODS", "LocalSearch", "reversals", "swaps", "transfers"]

Climbing = Generator[Tensor, Tensor, tuple[Tensor, Tensor]]

_LONGEST = 3
"""Items of a segment that is moved elsewhere."""


def reversals(m: int, places: Tensor) -> Tensor:
    """2-opt: keys (k, m) by place of all reversals of a stretch that begins or ends at one of `places`."""
    i, j = _pairs(m, places)
    place = torch.arange(m)
    inside = (place >= i[:, None]) & (place <= j[:, None])
    return torch.where(inside, i[:, None] + j[:, None] - place, place).to(torch.float64)


def transfers(m: int, places: Tensor) -> Tensor:
    """Or-opt: keys (k, m) of all segments of 1 to 3 items at `places`, moved elsewhere, either way round."""
    found = []
    place = torch.arange(m, dtype=torch.float64)
    for length in range(1, min(_LONGEST, m - 2) + 1):
        starts = (places[:, None] - torch.arange(length)).reshape(-1).unique()
        starts = starts[(starts >= 0) & (starts + length <= m)]
        first, gap = torch.cartesian_prod(starts, torch.arange(-1, m)).T
        away = (gap < first - 1) | (gap > first + length - 1)
        first, gap = first[away, None], gap[away, None]
        inside = (place >= first) & (place < first + length)
        step = (place - first + 1) / (length + 1)
        for way in (step, 1 - step) if length > 1 else (step,):
            found.append(torch.where(inside, gap + way, place))
    return torch.cat(found) if found else place[None][:0]


def swaps(m: int, places: Tensor) -> Tensor:
    """Keys (k, m) of all exchanges of one of `places` with another."""
    i, j = _pairs(m, places)
    keys = torch.arange(m, dtype=torch.float64).repeat(len(i), 1)
    rows = torch.arange(len(i))
    keys[rows, i], keys[rows, j] = j.to(keys), i.to(keys)
    return keys


def _pairs(m: int, places: Tensor) -> tuple[Tensor, Tensor]:
    """All i < j of which one is among `places`."""
    a, b = torch.cartesian_prod(places, torch.arange(m)).T
    code = (torch.minimum(a, b) * m + torch.maximum(a, b))[a != b].unique()
    return code // m, code % m


NEIGHBOURHOODS: dict[str, Callable[[int, Tensor], Tensor]] = {
    "2-opt": reversals,
    "or-opt": transfers,
    "swap": swaps,
}
"""What changes of a permutation of m items there are at some of its places, by name."""


@dataclass(frozen=True)
class LocalSearch(Conversation):
    """For permutations: tours, schedules, assignments.

    From the first point on, neighbours are asked about a block at a time, in random order, and the best of a block is
    taken if it is better. Where no neighbour is, a double bridge changes four edges near to each other, and only places
    near to a change are looked at again. What is found then is kept if it is not worse.

    Args:
        moves: the neighbourhoods, names of `NEIGHBOURHOODS`; the next is tried where the one before has nothing better.
            Default 2-opt and then Or-opt, for tours; ("swap", "or-opt") suits schedules and assignments.
        block: neighbours that are asked about at once, default 300.
        kicks: how many there are in all, default None, no end.
        patience: kicks without an improvement after which the next one is a random permutation, default 20 m + 200.

    Raises:
        InvalidValue: moves that do not exist, or a block or numbers of kicks below 1.

    >>> LocalSearch(("swap",))
    LocalSearch(moves=('swap',), block=300, kicks=None, patience=None)
    """

    moves: tuple[str, ...] = ("2-opt", "or-opt")
    block: int = 300
    kicks: int | None = None
    patience: int | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.moves if name not in NEIGHBOURHOODS]
        if unknown or not self.moves:
            names = ", ".join(map(repr, NEIGHBOURHOODS))
            raise InvalidValue(f"moves must be names of {names}, got {self.moves!r}; write moves=('2-opt', 'or-opt')")
        whole(self, "block", self.block, 1, 300)
        for name, value in (("kicks", self.kicks), ("patience", self.patience)):
            if value is not None:
                whole(self, name, value, 1, 1000)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        columns = _order(domain)
        m = len(columns)
        climb = _Climb(self, x, columns)
        (loss,) = yield x[None]
        tour, loss = yield from climb.run(x[columns].argsort(), loss, torch.arange(m), key.fold("climb", 0))
        stale = 0
        patience = 20 * m + 200 if self.patience is None else self.patience
        for k in count(1) if self.kicks is None else range(1, self.kicks + 1):
            if m < 8 or stale >= patience:
                start, near = key.fold("anew", k).permutation(m), torch.arange(m)
                tour_loss, stale = torch.tensor(float("inf"), dtype=torch.float64), 0
            else:
                start, near = _double_bridge(tour, key.fold("kick", k))
                tour_loss = loss
            (kicked,) = yield climb.points(start, torch.arange(m, dtype=torch.float64)[None])
            found, found_loss = yield from climb.run(start, kicked, near, key.fold("climb", k))
            stale += 1
            if found_loss <= tour_loss:
                stale = 0 if found_loss < tour_loss else stale
                tour, loss = found, found_loss
        return f"{self.kicks} kicks were made"


@dataclass(frozen=True, eq=False)
class _Climb:
    """Going to better neighbours as long as there are any; x (d,) says what the other coordinates are."""

    method: LocalSearch
    x: Tensor
    columns: Tensor

    def points(self, tour: Tensor, keys: Tensor) -> Tensor:
        """Points (k, d) for keys (k, m) by place in a tour (m,)."""
        m = len(tour)
        points = self.x.repeat(len(keys), 1)
        points[:, self.columns[tour]] = ((keys + 1) / (m + 1)).to(points)  # a key may lie a place before the first
        return points

    def run(self, tour: Tensor, loss: Tensor, near: Tensor, key: Key) -> Climbing:
        """From a tour (m,) with its loss, looking at some places first; returns where it ends, and the loss there."""
        m, level, turn = len(tour), 0, 0
        while level < len(self.method.moves):
            keys = NEIGHBOURHOODS[self.method.moves[level]](m, near)
            keys = keys[key.fold(turn).permutation(len(keys))]
            level, turn = level + 1, turn + 1
            for block in keys.split(self.method.block):
                losses = yield self.points(tour, block)
                i = int(losses.argmin())
                if losses[i] < loss:
                    moved = block[i].argsort()
                    places = torch.empty_like(moved)
                    places[moved] = torch.arange(m)
                    near = torch.cat([places[near], _ends(moved)]).unique()
                    tour, loss, level = tour[moved], losses[i], 0
                    break
        return tour, loss


def _ends(moved: Tensor) -> Tensor:
    """The places whose neighbours are new, in a tour whose places held the items of the places `moved` (m,) before."""
    fresh = (moved.diff(append=moved[:1]).abs() % (len(moved) - 1) != 1).nonzero()[:, 0]
    return torch.cat([fresh, (fresh + 1) % len(moved)])


def _double_bridge(tour: Tensor, key: Key) -> tuple[Tensor, Tensor]:
    """Two stretches beside each other change places; and the places (8,) about the edges that are new."""
    m = len(tour)
    reach = max(8, min(m, 50))
    turned = tour.roll(-int(key.fold("turn").integers(0, m, 1)))
    a, b, c = (key.fold("cuts").permutation(reach - 1)[:3] + 1).sort().values.tolist()
    kicked = torch.cat([turned[:a], turned[b:c], turned[a:b], turned[c:]])
    edges = torch.tensor([0, a, a + c - b, c])
    return kicked, torch.cat([edges - 1, edges]).remainder(m).unique()


def _order(domain: Domain) -> Tensor:
    """The columns (m,) of the one permutation of a domain."""
    number = domain.orders.max()
    if int(number) != 0:
        count = int(number) + 1
        raise CompositionError(
            f"LocalSearch searches a space of one permutation, and this one has {count}; write dd.Permutation(n)"
        )
    return (domain.orders == 0).nonzero()[:, 0]
