"""Parents and children: tournaments, simulated binary crossover, polynomial mutation, and drawing anew in short lists.

The settings are those of Deb, Pratap, Agarwal and Meyarivan 2002, "A fast and elitist multiobjective genetic
algorithm: NSGA-II"; the operators are those of Deb and Agrawal 1995 and of Deb and Goyal 1996 in their bounded form, as
in `descend.population.variation`. Here they are in NumPy, and only for the coordinates that change: a generation is
some hundred numbers, for which a call of torch costs more than the arithmetic.

Symbols: u, uniform numbers; eta, the index of either distribution.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import positive
from descend.space.domain import Domain

__all__ = ["Mating", "binary", "polynomial"]

_CROSSED = 0.5
"""The share of the coordinates of a pair that are crossed; the others are taken over."""

_FEW = 10
"""Cells up to which a discrete coordinate is drawn anew: polynomial mutation would hardly ever reach the next one."""

Array = np.ndarray


@dataclass(frozen=True)
class Mating:
    """How two parents make two children.

    Args:
        crossover: > 0, the index of simulated binary crossover; the larger, the nearer are children to their parents;
            default 15.
        mutation: > 0, the index of polynomial mutation, default 20.
        chance: in [0, 1], the share of pairs that are crossed at all, default 0.9.
        each: in (0, 1], the probability of a coordinate to be mutated; default 1 / d.

    Coordinates without an order are exchanged in place of crossed, and these and the ones of at most 10 cells are drawn
    anew in place of moved.

    Raises:
        InvalidValue: a number outside its range.

    >>> population = torch.rand(8, 3, generator=Key(0).generator())
    >>> box = Domain.box(torch.zeros(3), torch.ones(3))
    >>> Mating().children(population, torch.arange(8), box, 5, Key(1)).shape
    torch.Size([5, 3])
    """

    crossover: float = 15.0
    mutation: float = 20.0
    chance: float = 0.9
    each: float | None = None

    def __post_init__(self) -> None:
        positive(self, "crossover", self.crossover, 15.0)
        positive(self, "mutation", self.mutation, 20.0)
        if not _is_share(self.chance):
            raise InvalidValue(f"Mating needs a share chance in [0, 1], got {self.chance!r}; write Mating(chance=0.9)")
        if self.each is not None and not (_is_share(self.each) and self.each > 0):
            raise InvalidValue(f"Mating needs a share each in (0, 1], got {self.each!r}; write Mating(each=0.1)")

    def children(self, xs: Tensor, merit: Tensor, domain: Domain, n: int, key: Key) -> Tensor:
        """n children (n, d) of a population xs (p, d), p >= 2, whose parents win tournaments of two by merit (p,)."""
        pairs = math.ceil(n / 2)
        first, second = _tournaments(merit.numpy(), 2 * pairs, key.fold("parents")).reshape(pairs, 2).T
        both = self.cross(xs, first, second, domain, key)
        return both.reshape(2, pairs, -1).transpose(0, 1).flatten(0, 1)[:n]  # siblings side by side

    def cross(self, xs: Tensor, first: Array, second: Array, domain: Domain, key: Key) -> Tensor:
        """Children (2 n, d) of parents xs[first] and xs[second], inside of the domain: n of them, then their siblings.

        Args:
            xs: (p, d).
            first, second: (n,) places in xs.
        """
        points = xs.numpy(force=True).astype(np.float64, copy=False)
        a, b = points[first], points[second]
        n, d = a.shape
        draw = key.generator()
        low, high, scale = (side.numpy(force=True) for side in (domain.lower, domain.upper, domain.scale))
        crossed = (_uniform(draw, n, d) < _CROSSED) & (_uniform(draw, n, 1) < self.chance)
        hit = _uniform(draw, 2 * n, d) < (1 / d if self.each is None else self.each)
        children = np.concatenate([a, b])
        # coordinates that are drawn from lists
        if domain.discrete:
            unordered, cells = domain.unordered.numpy(force=True), domain.cells.numpy(force=True)
            swapped = crossed & unordered
            children = np.where(np.concatenate([swapped, swapped]), np.concatenate([b, a]), children)
            few = hit & (unordered | ((cells > 0) & (cells <= _FEW)))
            children[few] = domain.uniform(2 * n, key.fold("anew"), xs[0]).numpy(force=True)[few]
            crossed, hit = crossed & ~unordered, hit & ~few
        # coordinates that are moved
        rows, columns = np.nonzero(crossed & (a != b))
        u, turned = _uniform(draw, 2, len(rows))
        here = a[rows, columns], b[rows, columns]
        one, two = binary(*here, low[columns], high[columns], u, self.crossover)
        children[rows, columns] = np.where(turned < 0.5, one, two)
        children[n + rows, columns] = np.where(turned < 0.5, two, one)
        rows, columns = np.nonzero(hit)
        (u,) = _uniform(draw, 1, len(rows))
        there = children[rows, columns], low[columns], high[columns], scale[columns]
        children[rows, columns] = polynomial(*there, u, self.mutation)
        return domain.centre(domain.clip(torch.from_numpy(children).to(xs)))


def binary(a: Array, b: Array, low: Array, high: Array, u: Array, eta: float) -> tuple[Array, Array]:
    """Two children of numbers a != b (k,), the lower first, around them, and as far from each other on average."""
    least, most = np.minimum(a, b), np.maximum(a, b)
    gap = np.maximum(most - least, 1e-14)
    middle = (least + most) / 2
    sides = []
    for room, sign in ((least - low, -0.5), (high - most, 0.5)):
        # the spread beyond which a child would lie outside has probability 1 - alpha / 2
        alpha = 2.0 - (1.0 + 2.0 * room / gap) ** -(eta + 1.0)
        share = u * alpha
        spread = np.where(share <= 1.0, share, 1.0 / (2.0 - share)) ** (1.0 / (eta + 1.0))
        sides.append(middle + sign * spread * gap)
    return sides[0], sides[1]


def polynomial(x: Array, low: Array, high: Array, scale: Array, u: Array, eta: float) -> Array:
    """Numbers x (k,) moved, seldom far; where there are no two sides a typical length is the unit."""
    sided = np.isfinite(high - low)
    width = np.where(sided, high - low, scale)
    down = u < 0.5
    with np.errstate(invalid="ignore"):  # infinite sides
        room = np.where(sided, np.clip(np.where(down, x - low, high - x) / width, 0.0, 1.0), 1.0)
    v = np.where(down, u, 1 - u)  # both halves are mirror images
    step = (2 * v + (1 - 2 * v) * (1 - room) ** (eta + 1.0)) ** (1.0 / (eta + 1.0)) - 1
    return x + np.where(down, step, -step) * width


def _tournaments(merit: Array, n: int, key: Key) -> Array:
    """The places (n,) of n winners of two. Everybody has a turn before anybody has another one."""
    turns, draw = math.ceil(2 * n / len(merit)), key.generator()
    drawn = torch.cat([torch.randperm(len(merit), generator=draw) for _ in range(turns)])[: 2 * n].numpy().reshape(n, 2)
    first, second = drawn.T
    return np.where(merit[first] <= merit[second], first, second)


def _uniform(draw: torch.Generator, rows: int, columns: int) -> Array:
    return torch.rand(rows, columns, generator=draw, dtype=torch.float64).numpy()


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
