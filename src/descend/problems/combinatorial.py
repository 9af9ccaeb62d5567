"""Selections and schedules as objectives: the knapsack and the job shop, for one point or many at once.

The knapsack's instances are those of Pisinger 2005, "Where are the hard knapsack problems?", strongly correlated; its
optimum is found by dynamic programming (Bellman 1957). The job shops are those of Fisher and Thompson 1963; that the
one of 10 jobs on 10 machines takes 930 was proved by Carlier and Pinson 1989, "An algorithm for solving the job-shop
problem".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.space import Permutation, Space, Subset, as_space

__all__ = ["JobShop", "Knapsack", "ft06", "ft10", "knapsack"]


@dataclass(frozen=True, eq=False)
class Knapsack:
    """What a selection of items is worth, with a minus; or by how much it is too heavy, which is worse than anything.

    Args:
        values, weights: (m,) whole numbers > 0.
        capacity: what may be carried, a whole number >= 0.

    A selection is a list of items 0..m-1. `keyed` takes random keys (n, m) instead: items of at least 1/2 are taken.

    Raises:
        InvalidValue: numbers of values and weights that differ, or one that is not > 0.

    >>> bag = Knapsack([6, 10, 12], [1, 2, 3], capacity=5)
    >>> bag([1, 2]), bag([0, 1, 2]), bag.optimum
    (-22.0, 1.0, -22.0)
    """

    values: Sequence[int]
    weights: Sequence[int]
    capacity: int

    def __post_init__(self) -> None:
        if len(self.values) != len(self.weights) or not len(self.values):
            raise InvalidValue(
                f"every item has a value and a weight, got {len(self.values)} values and {len(self.weights)} weights"
            )
        least = min(*self.values, *self.weights)
        if least <= 0:
            raise InvalidValue(f"values and weights are > 0, got {least!r}; leave such items out")

    @property
    def space(self) -> Space:
        """All selections."""
        return as_space(Subset(len(self.values)))

    @cached_property
    def _table(self) -> Tensor:
        return torch.tensor([list(self.values), list(self.weights)], dtype=torch.float64).T

    @cached_property
    def optimum(self) -> float:
        """The least loss there is."""
        best = np.zeros(self.capacity + 1, dtype=np.int64)  # by the weight that may be used
        for value, weight in zip(self.values, self.weights, strict=True):
            if weight <= self.capacity:
                best[weight:] = np.maximum(best[weight:], best[: self.capacity + 1 - weight] + value)
        return -float(best[-1])

    def __call__(self, taken: Any) -> float:
        """The loss of one selection, a sequence of items."""
        keys = torch.zeros(1, len(self.values))
        keys[0, list(taken)] = 1.0
        return float(self.keyed(keys)[0])

    def keyed(self, keys: Tensor) -> Tensor:
        """The losses (n,) float64 of the selections that random keys (n, m) mean."""
        taken = (keys >= 0.5).to(torch.float64)
        value, weight = (taken @ self._table).T
        return torch.where(weight > self.capacity, weight - self.capacity, -value)


def knapsack(m: int = 100, key: int = 0) -> Knapsack:
    """A strongly correlated instance of m items: weights up to 1000, values larger by 100, room for half of them.

    >>> knapsack(50).optimum < -13_000
    True
    """
    weights = (Key(key).integers(1, 1001, m)).tolist()
    return Knapsack([weight + 100 for weight in weights], weights, sum(weights) // 2)


@dataclass(frozen=True, eq=False)
class JobShop:
    """When the last job is done, if operations start as early as they can, in a given order.

    Args:
        jobs: for every job its operations (machine, duration) in their order, the same number for all; each machine
            does one at a time.
        optimum: the shortest possible time, None if it is not known.

    An order is a permutation of the numbers of all operations; where it has some operation of a job, the next one of
    that job is done (a permutation with repetition, Bierwirth 1995). So every order is a schedule, and one of them is
    best. `keyed` takes random keys (n, m) instead.

    Raises:
        InvalidValue: jobs of different lengths.

    >>> shop = JobShop([[(0, 3), (1, 2)], [(1, 2), (0, 4)]])
    >>> shop([0, 2, 1, 3]), shop([2, 3, 0, 1])
    (7.0, 11.0)
    """

    jobs: Sequence[Sequence[tuple[int, int]]]
    optimum: float | None = None

    def __post_init__(self) -> None:
        lengths = {len(job) for job in self.jobs}
        if len(lengths) != 1 or lengths == {0}:
            raise InvalidValue(f"all jobs of a shop have the same number of operations, got {sorted(lengths)}")

    @property
    def space(self) -> Space:
        """All orders of all operations."""
        return as_space(Permutation(len(self.jobs) * len(self.jobs[0])))

    @cached_property
    def _table(self) -> np.ndarray:
        return np.array(self.jobs, dtype=np.int64).reshape(-1, 2)

    def operations(self, orders: np.ndarray) -> np.ndarray:
        """The operations (n, m) in the order in which they are done, as numbers job * length + step."""
        length = len(self.jobs[0])
        jobs = orders // length
        # the k-th place that a job has in the order is that of its k-th operation
        places = jobs.argsort(axis=1, kind="stable")
        done = np.empty_like(jobs)
        np.put_along_axis(done, places, np.arange(jobs.shape[1])[None].repeat(len(jobs), 0), 1)
        return done

    def starts(self, orders: np.ndarray) -> np.ndarray:
        """When each operation begins: (n, m) for orders (n, m), by the operation's number."""
        done, length = self.operations(orders).T, len(self.jobs[0])  # (m, n)
        n, machines = orders.shape[0], int(self._table[:, 0].max()) + 1
        free = np.zeros((len(self.jobs) + machines) * n)  # until when jobs and machines are busy, a row each
        rows = np.arange(n)
        job = done // length * n + rows
        machine = (len(self.jobs) + self._table[done, 0]) * n + rows
        duration = self._table[done, 1]
        begun = np.empty(orders.shape)
        for k in range(len(done)):
            begin = np.maximum(free[job[k]], free[machine[k]])
            free[job[k]] = free[machine[k]] = begin + duration[k]
            begun[rows, done[k]] = begin
        return begun

    def spans(self, orders: np.ndarray) -> np.ndarray:
        """When all is done: (n,) for orders (n, m)."""
        return (self.starts(orders) + self._table[:, 1]).max(1)

    def __call__(self, order: Any) -> float:
        """When all is done, for one order of m operations."""
        return float(self.spans(np.asarray(order, dtype=np.int64)[None])[0])

    def keyed(self, keys: Tensor) -> Tensor:
        """When all is done: (n,) float64, for the orders that random keys (n, m) mean."""
        return torch.from_numpy(self.spans(keys.argsort(1).numpy(force=True)))


def _shop(text: str, optimum: float) -> JobShop:
    rows = [[int(word) for word in line.split()] for line in text.strip().splitlines()]
    return JobShop([list(zip(row[::2], row[1::2], strict=True)) for row in rows], optimum)


ft06 = _shop(
    """
    2 1 0 3 1 6 3 7 5 3 4 6
    1 8 2 5 4 10 5 10 0 10 3 4
    2 5 3 4 5 8 0 9 1 1 4 7
    1 5 0 5 2 5 3 3 4 8 5 9
    2 9 1 3 4 5 5 4 0 3 3 1
    1 3 3 3 5 9 0 10 4 4 2 1
    """,
    55,
)
"""6 jobs on 6 machines."""

ft10 = _shop(
    """
    0 29 1 78 2 9 3 36 4 49 5 11 6 62 7 56 8 44 9 21
    0 43 2 90 4 75 9 11 3 69 1 28 6 46 5 46 7 72 8 30
    1 91 0 85 3 39 2 74 8 90 5 10 7 12 6 89 9 45 4 33
    1 81 2 95 0 71 4 99 6 9 8 52 7 85 3 98 9 22 5 43
    2 14 0 6 1 22 5 61 3 26 4 69 8 21 7 49 9 72 6 53
    2 84 1 2 5 52 3 95 8 48 9 72 0 47 6 65 4 6 7 25
    1 46 0 37 3 61 2 13 6 32 5 21 9 32 8 89 7 30 4 55
    2 31 0 86 1 46 5 74 4 32 6 88 8 19 9 48 7 36 3 79
    0 76 1 69 3 76 5 51 2 85 9 11 6 40 7 89 4 26 8 74
    1 85 0 13 2 61 6 7 8 64 9 76 5 47 3 52 4 90 7 45
    """,
    930,
)
"""10 jobs on 10 machines; it stayed unsolved for 26 years."""
