"""Unit vectors as directions: only their indices are held."""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction.base import Directions

__all__ = ["Coordinate"]


@dataclass(frozen=True, eq=False)
class Coordinate(Directions):
    """The unit vectors e_i for i in `indices`.

    Args:
        indices: (n,) int64 offsets, on the CPU.
        size: the length d of the directions.
    """

    indices: Tensor
    size: int

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.indices.shape[0]

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        out = torch.zeros(last - first, stop - start, dtype=like.dtype, device=like.device)
        at = self.indices[first:last]
        inside = (at >= start) & (at < stop)
        out[inside.nonzero()[:, 0], at[inside] - start] = 1
        return out

    def perturb(self, points: Tensor, rows: list[int] | Tensor, scales: Tensor, start: int = 0) -> None:
        at = self.indices[torch.as_tensor(rows)] - start
        which = torch.arange(len(rows))
        if start > 0 or points.shape[1] < self.size:  # part of the points: some of the directions miss it
            inside = (at >= 0) & (at < points.shape[1])
            at, which, scales = at[inside], which[inside], scales[inside.to(scales.device)]
        if points.is_contiguous():
            points.view(-1).index_add_(0, (which * points.shape[1] + at).to(points.device), scales)
        else:
            points.index_put_((which.to(points.device), at.to(points.device)), scales, accumulate=True)

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        inside = (self.indices >= start) & (self.indices < start + out.numel())
        values = torch.tensor(weights, dtype=torch.float64)[inside].to(out)
        out.index_add_(0, (self.indices[inside] - start).to(out.device), values)

    def dot(self, x: Tensor) -> Tensor:
        return x[self.indices.to(x.device)]
