"""Who is better with several objectives: fronts, and within a front the points that stand for it first.

A rule for one objective compares values; with several, the number of the front takes the value's place (the points
that nobody dominates are front 0, those that only they dominate front 1, ...), which like a rank does not change when
an objective is stretched. Where a fixed share has to be chosen even if nobody dominates anybody, a front is ordered so
that its first k points cover it, for every k (an epsilon net, by the farthest point from those chosen): Schmucker,
Donini, Zafar, Salinas, Archambeau (2021), "Multi-objective asynchronous successive halving".
"""

import numpy as np
import torch

from descend.pareto.sorting import ranks, settled

__all__ = ["fronts", "places"]


def fronts(values: np.ndarray) -> np.ndarray:
    """(n,) float64: the number of the front of each of values (n, m), 0 for those that nobody dominates.

    With one objective the values themselves, which are in that order. Failures, +inf, are in the last.

    >>> fronts(np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])).tolist()
    [0.0, 0.0, 1.0]
    """
    if values.shape[1] == 1:
        return values[:, 0]
    return ranks(settled(torch.from_numpy(values))).numpy().astype(np.float64)


def places(values: np.ndarray) -> np.ndarray:
    """(n,) float64: what values (n, m) are chosen by, least first; no two alike with several objectives.

    >>> places(np.array([[0.0, 1.0], [0.4, 0.4], [0.45, 0.4], [1.0, 0.0]])).tolist()
    [1.0, 0.0, 3.0, 2.0]
    """
    if values.shape[1] == 1:
        return values[:, 0]
    front, place, taken = fronts(values), np.empty(len(values)), 0
    for level in np.unique(front):
        members = np.flatnonzero(front == level)
        place[members[_net(values[members])]] = np.arange(taken, taken + len(members))
        taken += len(members)
    return place


def _net(values: np.ndarray) -> list[int]:
    """The points (n, m) of a front: the one with the least sum, then always the farthest from those before."""
    if not np.isfinite(values).all():
        return list(range(len(values)))
    width = np.ptp(values, 0)
    scaled = (values - values.min(0)) / np.where(width > 0, width, 1.0)
    order = [int(scaled.sum(1).argmin())]
    far = np.full(len(values), np.inf)
    while len(order) < len(values):
        far = np.minimum(far, np.linalg.norm(scaled - scaled[order[-1]], axis=1))
        far[order[-1]] = -1.0
        order.append(int(far.argmax()))
    return order
