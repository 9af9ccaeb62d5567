"""Every point of a grid once: the values of discrete coordinates, and evenly spaced ones of the others.

The points are counted like a milometer, from the wheel that turns fastest. A coordinate that is not there, because its
parent has another value, stands still in its first place, so that points which differ in nothing that counts come once.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, found, whole
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["Grid", "GridState"]


@state
class GridState(Searching):
    """The fields of `Search`; told, how many of the questions have been answered; place (d,) int64, the places of the
    point that comes next; over, whether none comes."""

    told: int
    place: Tensor
    over: bool


@dataclass(frozen=True)
class Grid(AskTell[GridState]):
    """All combinations, the last coordinate changing fastest; done when all are answered.

    Args:
        steps: how many values a continuous coordinate takes, from one side to the other: a number >= 1 for all, or one
            for each coordinate, which is not looked at where it is discrete. A single value is the middle. Default 5.
        size: at least 1, how many points are asked at once by default; default 32.

    Where coordinates are conditional, those on which others depend change most slowly, and every combination of the
    coordinates that are there comes once; the others then are in the middle of their range. Integers on a logarithmic
    scale are continuous coordinates.

    Raises:
        InvalidValue: a number outside its range; or, at the start, a coordinate without two sides.
        ShapeMismatch: at the start, `steps` has another length than the point.

    >>> method, x = Grid((2, 3)), torch.zeros(2)
    >>> state = method.init(x, Key(0), Domain.box(x, x + 1))
    >>> state, xs = method.ask(state, 100)
    >>> xs.tolist()
    [[0.0, 0.0], [0.0, 0.5], [0.0, 1.0], [1.0, 0.0], [1.0, 0.5], [1.0, 1.0]]
    """

    steps: int | tuple[int, ...] = 5
    size: int = 32

    def __post_init__(self) -> None:
        for steps in self.steps if isinstance(self.steps, tuple) else (self.steps,):
            whole(self, "steps", steps, 1, 5)
        whole(self, "size", self.size, 1, 32)

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> GridState:
        domain = check_point(x, domain)
        if isinstance(self.steps, tuple) and len(self.steps) != x.numel():
            raise ShapeMismatch(f"Grid has {len(self.steps)} numbers of steps for {x.numel()} coordinates")
        open_ended = (~(domain.upper - domain.lower).isfinite()).nonzero()
        if len(open_ended):
            i = int(open_ended[0])
            sides = f"[{float(domain.lower[i]):g}, {float(domain.upper[i]):g}]"
            raise InvalidValue(f"a grid needs two sides for every coordinate, and x[{i}] lies in {sides}; give bounds")
        place = torch.zeros(x.numel(), dtype=torch.int64)
        return GridState(x, math.nan, math.nan, 0, 0, 0, key, domain, "", 0, place, False)

    def counts(self, domain: Domain) -> list[int]:
        """How many values each coordinate takes."""
        steps = self.steps if isinstance(self.steps, tuple) else (self.steps,) * domain.dim
        return [k or n for k, n in zip(domain.cells.tolist(), steps, strict=True)]

    def ask(self, state: GridState, n: int | None = None) -> tuple[GridState, Tensor]:
        domain = state.domain
        wheels = _Wheels(domain, self.counts(domain))
        place, over, rows, there = state.place.tolist(), state.over, [], []
        for _ in range(self.size if n is None else n):
            if over:
                break
            rows.append(list(place))
            there.append(wheels.there(place))
            over = not wheels.turn(place, there[-1])
        xs = state.x.new_empty(len(rows), domain.dim)
        if rows:
            device = xs.device
            known = torch.tensor(there, device=device)
            xs = torch.where(known, wheels.values(torch.tensor(rows, device=device)), (domain.lower + domain.upper) / 2)
        after = GridState(
            state.x, state.value, state.loss, state.rejected, state.t, state.asked + len(rows), state.key, domain,
            state.done, state.told, torch.tensor(place, dtype=torch.int64), over,
        )  # fmt: skip
        return after, domain.centre(xs)

    def tell(self, state: GridState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> GridState:
        at = found(state, xs, losses)
        told = state.told + (len(xs) if tickets is None else int((tickets >= 0).sum()))
        done = f"all {state.asked} points of the grid are evaluated" if state.over and told >= state.asked else ""
        return GridState(
            at.x, at.value, at.loss, at.rejected, state.t + 1, state.asked, state.key, state.domain, done,
            told, state.place, state.over,
        )  # fmt: skip


class _Wheels:
    """The milometer: which wheels there are at a place, and its next place."""

    def __init__(self, domain: Domain, counts: list[int]) -> None:
        self.domain, self.counts = domain, counts
        self.of = torch.tensor(counts, device=domain.lower.device).to(domain.lower)
        depth = [0] * domain.dim
        for rule in domain.rules:
            for j in range(rule.first, rule.end):
                depth[j] = max(depth[j], depth[rule.parent] + 1)
        self.fastest_first = sorted(range(domain.dim), key=lambda j: (depth[j], j), reverse=True)
        self.held: dict[tuple[int, int], bool] = {}

    def values(self, places: Tensor) -> Tensor:
        """The points (n, d) of places (n, d)."""
        domain, of = self.domain, self.of
        places = places.to(of)
        smooth = torch.where(of > 1, places / (of - 1).clamp(min=1), 0.5)
        share = torch.where(domain.cells > 0, (places + 0.5) / of, smooth)
        return domain.centre(domain.clip(domain.lower + (domain.upper - domain.lower) * share))

    def there(self, place: list[int]) -> list[bool]:
        """Which coordinates (d,) are there."""
        there = [True] * len(place)
        for number, rule in enumerate(self.domain.rules):
            if not (there[rule.parent] and self._holds(number, place[rule.parent])):
                there[rule.first : rule.end] = [False] * (rule.end - rule.first)
        return there

    def turn(self, place: list[int], there: list[bool]) -> bool:
        """Go on to the next place; whether there is one."""
        for j in self.fastest_first:
            if there[j] and place[j] + 1 < self.counts[j]:
                place[j] += 1
                return True
            place[j] = 0
        return False

    def _holds(self, number: int, place: int) -> bool:
        """Whether a rule's parent, if it is there, has one of its values."""
        if (number, place) not in self.held:
            rule = self.domain.rules[number]
            every = torch.zeros(1, len(self.counts), dtype=torch.int64, device=self.of.device)
            every[0, rule.parent] = place
            x = float(self.values(every)[0, rule.parent])
            self.held[number, place] = any(low <= x < high for low, high in rule.intervals.tolist())
        return self.held[number, place]
