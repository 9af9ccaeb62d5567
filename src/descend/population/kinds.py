"""The kinds of coordinates that a domain has, for methods that move each kind in its own way.

Numbers have neighbours; what is drawn from a list has none, only other values; and the keys of a permutation mean
nothing but their order (Bean 1994, see `descend.space.combination`), so that they are moved as a permutation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.key import Key
from descend.space.domain import Domain

__all__ = ["Kinds", "another", "keyed", "kinds", "tours"]


@dataclass(frozen=True, eq=False)
class Kinds:
    """Which coordinates are what.

    Fields: numbers, lists (d,) bool; orders, for each permutation its columns (m,) int64.
    """

    numbers: Tensor
    lists: Tensor
    orders: tuple[Tensor, ...]


def kinds(domain: Domain, few: int = 2) -> Kinds:
    """The kinds of a domain's coordinates.

    Args:
        few: up to so many cells count as a list though they have an order; where there are two, the other value is the
            only move there is.

    >>> box = Domain.box(torch.zeros(4), torch.ones(4), orders=torch.tensor([-1, 0, 0, 0]))
    >>> kinds(box).numbers.tolist(), [columns.tolist() for columns in kinds(box).orders]
    ([True, False, False, False], [[1, 2, 3]])
    """
    keys = domain.orders >= 0
    lists = ~keys & (domain.unordered | ((domain.cells > 0) & (domain.cells <= few)))
    orders = tuple((domain.orders == k).nonzero()[:, 0] for k in range(int(domain.orders.max()) + 1))
    return Kinds(~keys & ~lists, lists, orders)


def tours(xs: Tensor, columns: Tensor) -> Tensor:
    """The permutations (n, m) int64 that the keys in these columns (m,) of points (n, d) mean."""
    return xs[:, columns].argsort(dim=1, stable=True)


def keyed(xs: Tensor, columns: Tensor, permutations: Tensor) -> Tensor:
    """Points (n, d) whose columns (m,) are the canonical keys of permutations (n, m), the others those of xs (n, d)."""
    m = permutations.shape[1]
    ranks = torch.arange(m, device=xs.device).expand_as(permutations)
    keys = torch.empty_like(xs[:, columns]).scatter_(1, permutations, (ranks + 0.5).to(xs.dtype) / m)
    return xs.index_copy(1, columns, keys)


def another(xs: Tensor, domain: Domain, which: Tensor, key: Key) -> Tensor:
    """xs (n, d) with another cell, any with the same chance, wherever `which` (n, d) says so."""
    cells = domain.cells.clamp(min=2)
    luck = key.uniform(*xs.shape, like=xs)
    further = 1 + (luck * (cells - 1)).long().minimum(cells - 2)
    width = (domain.upper - domain.lower) / cells
    middles = domain.lower + ((domain.index(xs) + further) % cells + 0.5).to(xs.dtype) * width
    return torch.where(which & (domain.cells > 0), middles, xs)
