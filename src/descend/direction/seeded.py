"""Directions that are a key and a law: nothing is stored, every element is a pure function of (key, row, offset)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend import noise
from descend.direction.base import Directions
from descend.key import Key

__all__ = ["Seeded"]


@dataclass(frozen=True, slots=True)
class Seeded(Directions):
    """`count` independent directions whose elements are drawn from a law with mean 0 and variance 1.

    Args:
        key: decides the numbers.
        law: the law of one element, see `descend.noise.Law`.
        count: how many directions.
        size: their length d.

    >>> import torch
    >>> z = Seeded(Key(0), noise.Law.SIGN, 2, 3).dense(torch.zeros(()))
    >>> z.shape, bool((z.abs() == 1).all())
    (torch.Size([2, 3]), True)
    """

    key: Key
    law: noise.Law
    count: int
    size: int

    @property
    def seamless(self) -> bool:  # type: ignore[override]
        return True

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        out = torch.empty(last - first, stop - start, dtype=like.dtype, device=like.device)
        return noise.fill(out, self.key.seed, self.law, start=start, member=first)

    def perturb(self, points: Tensor, rows: list[int] | Tensor, scales: Tensor, start: int = 0) -> None:
        if len(rows) == 1 and points.dtype == torch.float32:
            noise.add(points[0], self.key.seed, self.law, float(scales[0]), start=start, member=int(rows[0]))
        else:
            # an explicit base class: super() does not reach through a dataclass with slots
            Directions.perturb(self, points, rows, scales, start)

    def shift(self, out: Tensor, source: Tensor, row: int, scale: float, start: int) -> None:
        noise.shift(out, source, self.key.seed, self.law, scale, start=start, member=row)

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        if len(weights) == 1:
            noise.add(out, self.key.seed, self.law, weights[0], start=start)
        else:
            noise.combine(out, self.key.seed, self.law, weights, start=start)
