"""Which points of a front to leave out: one after the other, always the one that is missed least.

Leaving out the most crowded half of a front at once leaves holes where it was most crowded. Removing one point at a
time, and looking again at its neighbours, does not: Kukkonen and Deb 2006, "Improved pruning of non-dominated
solutions based on crowding distance for bi-objective optimization problems" (two objectives, `by_crowding`) and
"A fast and effective method for pruning of non-dominated solutions in many-objective problems" (`by_nearest`).
Hypervolume in place of distance is Beume, Naujoks and Emmerich 2007, "SMS-EMOA: multiobjective selection based on
dominated hypervolume" (`by_area`).

A removal makes no other point worth less. So what was found earlier is a lower bound, and only the point with the least
one has to be looked at again: it goes if it is still the least.

Every function takes values (n, m) of points that do not dominate each other and returns the places of the k that stay,
in their order. The ends of the front stay.
"""

import heapq
import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

__all__ = ["by_area", "by_crowding", "by_nearest", "scaled"]

_SPARE = 8
"""Neighbours that are looked at first beyond those that count; of most points no others are needed."""


def scaled(values: np.ndarray) -> np.ndarray:
    """Values (n, m) moved and scaled to [0, 1] in every objective."""
    low = values.min(0)
    width = values.max(0) - low
    width[~(width > 0)] = 1.0
    return (values - low) / width


def by_crowding(values: np.ndarray, k: int) -> np.ndarray:
    """Of two objectives: the sides of the empty box around a point are what it is worth."""
    return _along(scaled(values), k, lambda u, v, left, i, right: u[right] - u[left] + v[left] - v[right])


def by_area(values: np.ndarray, k: int) -> np.ndarray:
    """Of two objectives: the area that only this point dominates is what it is worth."""
    return _along(scaled(values), k, lambda u, v, left, i, right: (u[right] - u[i]) * (v[left] - v[i]))


_Worth = Callable[[Any, Any, Any, Any, Any], Any]
"""Of the i-th of sorted points u, v, with its neighbours left and right: numbers, or arrays of them."""


def _along(values: np.ndarray, k: int, worth: _Worth) -> np.ndarray:
    """Remove points of a curve (n, 2), whose neighbours are those before and after it in the first objective."""
    n = len(values)
    order = np.lexsort((-values[:, 1], values[:, 0]))
    u, v = values[order, 0].tolist(), values[order, 1].tolist()
    left, right = list(range(-1, n - 1)), list(range(1, n + 1))
    within = np.arange(1, n - 1)
    first = worth(values[order, 0], values[order, 1], within - 1, within, within + 1)
    heap = [(value, i) for i, value in enumerate([math.inf, *first.tolist(), math.inf][:n])]
    heapq.heapify(heap)
    there, gone = [True] * n, 0
    while gone < n - k:
        value, i = heap[0]
        before, after = left[i], right[i]
        if value < math.inf and (grown := worth(u, v, before, i, after)) != value:
            heapq.heapreplace(heap, (grown, i))
            continue
        heapq.heappop(heap)
        there[i], gone = False, gone + 1
        if before >= 0:
            right[before] = after
        if after < n:
            left[after] = before
    return np.sort(order[there])


def by_nearest(values: np.ndarray, k: int) -> np.ndarray:
    """Of m objectives: the product of the distances to the m nearest is what a point is worth."""
    n, m = values.shape
    u = scaled(values)
    ranked, near = _neighbours(u)
    count = min(m, n - 1)
    far, few = (part[:, : count + _SPARE].tolist() for part in (ranked, near))
    close = near[:, :count].tolist()  # who counted when the worth was found
    worth = ranked[:, :count].prod(1)
    worth[u.argmin(0)] = worth[u.argmax(0)] = math.inf
    heap = [(value, i) for i, value in enumerate(worth.tolist())]
    heapq.heapify(heap)
    gone: set[int] = set()
    while len(gone) < n - k:
        value, i = heap[0]
        if value == math.inf or gone.isdisjoint(close[i]):
            heapq.heappop(heap)
            gone.add(i)
            continue
        product, close[i] = _worth_now(far[i], few[i], gone, count)
        if len(close[i]) < count:  # all that were looked at are gone
            far[i], few[i] = ranked[i].tolist(), near[i].tolist()
            product, close[i] = _worth_now(far[i], few[i], gone, count)
        heapq.heapreplace(heap, (product, i))
    there = np.ones(n, bool)
    there[list(gone)] = False
    return np.flatnonzero(there)


def _worth_now(far: list[float], near: list[int], gone: set[int], count: int) -> tuple[float, list[int]]:
    """The product of the distances to the `count` nearest of those who are there, and who they are."""
    product, close = 1.0, []
    for distance, j in zip(far, near, strict=True):
        if j not in gone:
            product *= distance
            close.append(j)
            if len(close) == count:
                break
    return product, close


def _neighbours(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distances (n, n) of every point of u (n, m) to all, the nearest first and itself last, and who they are.

    Who it is stands in the last bits of each distance, since numbers are sorted several times as quickly as places.
    """
    n = len(u)
    points = torch.from_numpy(u)
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")  # the other mode loses digits
    apart.fill_diagonal_(sys.float_info.max)
    mask = (1 << (n - 1).bit_length()) - 1
    packed = apart.numpy().view(np.int64)
    packed &= ~mask
    packed |= np.arange(n)
    packed.view(np.float64).sort(1)
    return (packed & ~mask).view(np.float64), packed & mask
