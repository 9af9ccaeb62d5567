"""Every point of a grid once: the values of discrete coordinates, and evenly spaced ones of the others."""

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
    """The fields of `Search`; told, how many of the questions have been answered."""

    told: int


@dataclass(frozen=True)
class Grid(AskTell[GridState]):
    """All combinations, the last coordinate changing fastest; done when all are answered.

    Args:
        steps: how many values a continuous coordinate takes, from one side to the other: a number >= 1 for all, or one
            for each coordinate, which is not looked at where it is discrete. A single value is the middle. Default 5.
        size: at least 1, how many points are asked at once by default; default 32.

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
        return GridState(x, math.nan, math.nan, 0, 0, 0, key, domain, "", 0)

    def counts(self, domain: Domain) -> list[int]:
        """How many values each coordinate takes; their product is how many points there are."""
        steps = self.steps if isinstance(self.steps, tuple) else (self.steps,) * domain.dim
        return [k or n for k, n in zip(domain.cells.tolist(), steps, strict=True)]

    def ask(self, state: GridState, n: int | None = None) -> tuple[GridState, Tensor]:
        domain, counts = state.domain, self.counts(state.domain)
        stop = min(state.asked + (self.size if n is None else n), math.prod(counts))
        numbers = torch.arange(state.asked, stop, device=domain.lower.device)
        columns, below = [], 1
        for count in reversed(counts):
            # int64 holds every number that will ever be asked, but perhaps not how many there are
            columns.append(numbers // min(below, 2**62) % count)
            below *= count
        places = torch.stack(columns[::-1], 1).to(domain.lower)
        of = torch.tensor(counts, device=domain.lower.device).to(domain.lower)
        smooth = torch.where(of > 1, places / (of - 1).clamp(min=1), torch.full_like(places, 0.5))
        share = torch.where(domain.cells > 0, (places + 0.5) / of, smooth)
        xs = domain.centre(domain.clip(domain.lower + (domain.upper - domain.lower) * share))
        return self._with(state, asked=stop), xs

    def tell(self, state: GridState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> GridState:
        at = found(state, xs, losses)
        told = state.told + (len(xs) if tickets is None else int((tickets >= 0).sum()))
        total = math.prod(self.counts(state.domain))
        done = f"all {total} points of the grid are evaluated" if told >= total else ""
        return GridState(
            at.x, at.value, at.loss, at.rejected, state.t + 1, state.asked, state.key, state.domain, done, told
        )

    @staticmethod
    def _with(state: GridState, asked: int) -> GridState:
        return GridState(
            state.x,
            state.value,
            state.loss,
            state.rejected,
            state.t,
            asked,
            state.key,
            state.domain,
            state.done,
            state.told,
        )
