"""Directions that are signed or rescaled rows of other directions: mirrored pairs, and rows brought to one length."""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction.base import Directions, Factors, as_list

__all__ = ["Rows", "mirrored"]


@dataclass(frozen=True, eq=False, slots=True)
class Rows(Directions):
    """Direction i is multiples[i] * base[index[i]].

    Args:
        base: the directions that are held.
        index: one row of `base` per direction.
        multiples: one number per direction.
    """

    base: Directions
    index: tuple[int, ...]
    multiples: tuple[float, ...]

    @property
    def count(self) -> int:  # type: ignore[override]
        return len(self.index)

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.base.size

    @property
    def acts(self) -> bool:  # type: ignore[override]
        return self.base.acts

    def factors(self, place: int, rows: list[int] | Tensor, like: Tensor) -> Factors | None:
        named = as_list(rows)
        found = self.base.factors(place, [self.index[row] for row in named], like)
        return None if found is None else found.scaled([self.multiples[row] for row in named])

    def start_of(self, place: int) -> int:
        return self.base.start_of(place)

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        rows = self.index[first:last]
        low, high = min(rows), max(rows) + 1
        z = self.base.tile(low, high, start, stop, like)
        if rows != tuple(range(low, high)):
            z = z[torch.tensor(rows, device=z.device) - low]
        return z * torch.tensor(self.multiples[first:last], dtype=z.dtype, device=z.device)[:, None]

    def perturb(self, points: Tensor, rows: list[int] | Tensor, scales: Tensor, start: int = 0) -> None:
        factors = torch.tensor([self.multiples[row] for row in as_list(rows)], dtype=scales.dtype, device=scales.device)
        self.base.perturb(points, [self.index[row] for row in as_list(rows)], scales * factors, start)

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        gathered = [0.0] * self.base.count
        for i, factor, weight in zip(self.index, self.multiples, weights, strict=True):
            gathered[i] += factor * weight
        self.base.add_to(out, gathered, start)


def mirrored(base: Directions) -> Rows:
    """Antithetic pairs z_0, -z_0, z_1, -z_1, ...: twice as many directions as `base` has.

    >>> from descend.direction import Dense
    >>> mirrored(Dense(torch.ones(1, 2))).dense(torch.zeros(()))
    tensor([[ 1.,  1.],
            [-1., -1.]])
    """
    index = tuple(i for i in range(base.count) for _ in range(2))
    return Rows(base, index, (1.0, -1.0) * base.count)
