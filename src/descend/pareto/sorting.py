"""Who dominates whom: fronts, crowding, and the order of survivors.

u dominates v if it is nowhere worse and somewhere better. With constraints (Deb 2000, "An efficient constraint handling
method for genetic algorithms"): a feasible point dominates every infeasible one, and of two infeasible ones the one
that breaks them less. A point whose evaluation failed is dominated by all others.

Deb, Pratap, Agarwal and Meyarivan 2002, "A fast and elitist multiobjective genetic algorithm: NSGA-II".
"""

import math

import numpy as np
import torch
from torch import Tensor

__all__ = ["crowding", "dominates", "front", "ranks", "settled"]


def settled(values: Tensor) -> Tensor:
    """Values (n, m) float64 on the CPU, all +inf in the rows of failures."""
    values = values.detach().to("cpu", torch.float64)
    return torch.where(values.isfinite().all(1, keepdim=True), values, math.inf)


def dominates(values: Tensor, violations: Tensor | None = None) -> Tensor:
    """(n, n) bool: whether the i-th point dominates the j-th.

    Args:
        values: (n, m) float64 on the CPU, failures as +inf.
        violations: (n,) >= 0, by how much constraints are broken; default none are.
    """
    # NumPy, because a comparison of booleans is several times quicker there than in torch for some hundred points
    v = values.numpy()
    m = v.shape[1]
    no_worse = v[:, 0][:, None] <= v[:, 0]
    for k in range(1, m):
        no_worse &= v[:, k][:, None] <= v[:, k]
    found = no_worse > no_worse.T  # somewhere better: not the other way round too
    if violations is not None and bool((violations > 0).any()):
        w = np.where((violations.numpy() <= 0) & ~np.isfinite(v).all(1), math.inf, violations.numpy())
        less = w[:, None] < w[None]
        found = less | (found & (w[:, None] == w[None]) & (w[:, None] == 0))
    return torch.from_numpy(found)


def ranks(values: Tensor, violations: Tensor | None = None, enough: int | None = None) -> Tensor:
    """The front (n,) int64 that each point belongs to, 0 for those that nobody dominates.

    Args:
        values, violations: as for `dominates`.
        enough: how many points to rank at least; those of later fronts all get the number of the next.

    >>> ranks(torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [2.0, 2.0]])).tolist()
    [0, 0, 1, 2]
    """
    above = dominates(values, violations).numpy()
    waiting = above.sum(0)  # by how many each is dominated that have no rank yet
    rank = np.full(len(waiting), -1)
    level, done, enough = 0, 0, len(waiting) if enough is None else enough
    while done < enough:
        here = (waiting == 0) & (rank < 0)
        rank[here] = level
        done += int(here.sum())
        level += 1
        waiting = waiting - above[here].sum(0)
    rank[rank < 0] = level
    return torch.from_numpy(rank)


def front(values: Tensor, violations: Tensor | None = None) -> Tensor:
    """The places (k,) int64 of the points that nobody dominates, failures and infeasible ones left out."""
    values = settled(values)
    fine = values[:, 0].isfinite()
    if violations is not None:
        fine &= violations <= 0
    places = fine.nonzero()[:, 0]
    beaten = dominates(values[places]).any(0)
    return places[~beaten]


def crowding(values: Tensor) -> Tensor:
    """The crowding distance (n,) of the points of one front (n, m): the mean side of the empty box around each.

    The ends of the front have an infinite one.
    """
    n, m = values.shape
    if n < 3:
        return torch.full((n,), math.inf, dtype=torch.float64)
    v = values.numpy()
    order = v.argsort(0, kind="stable")
    ranked = np.take_along_axis(v, order, 0)
    gaps = np.full((n, m), math.inf)
    with np.errstate(invalid="ignore"):  # infinities where evaluations failed
        width = ranked[-1] - ranked[0]
        width[~(width > 0)] = 1.0
        gaps[1:-1] = (ranked[2:] - ranked[:-2]) / width
    own = np.empty_like(gaps)
    np.put_along_axis(own, order, gaps, 0)
    return torch.from_numpy(own.sum(1) / m)
