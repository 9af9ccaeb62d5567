"""Directions that are held as an array."""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction.base import Directions
from descend.errors import ShapeMismatch

__all__ = ["Dense"]


@dataclass(frozen=True, eq=False)
class Dense(Directions):
    """The rows of a matrix as directions.

    Args:
        matrix: (n, d).

    Raises:
        ShapeMismatch: it is not a matrix.
    """

    matrix: Tensor

    def __post_init__(self) -> None:
        if self.matrix.dim() != 2:
            raise ShapeMismatch(
                f"Dense needs an (n, d) matrix of n directions, got shape {tuple(self.matrix.shape)}; "
                "write Dense(direction[None]) for one direction"
            )

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.matrix.shape[0]

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.matrix.shape[1]

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        return self.matrix[first:last, start:stop].to(like)

    def point(self, x: Tensor, row: int, scale: float, out: Tensor) -> None:
        torch.add(x, self.matrix[row].to(x), alpha=scale, out=out)

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        if len(weights) == 1:
            row = self.matrix[0] if out.numel() == self.size else self.matrix[0, start : start + out.numel()]
            out.add_(row.to(out), alpha=weights[0])
        else:
            Directions.add_to(self, out, weights, start)
