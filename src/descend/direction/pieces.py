"""One direction that is held where it lies: a tensor for every parameter, such as their gradients."""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction.base import Directions
from descend.layout import Layout

__all__ = ["Pieces"]


@dataclass(frozen=True, eq=False, slots=True)
class Pieces(Directions):
    """A block of one direction.

    Args:
        tensors: one per parameter, of its shape; None means zero.
        layout: of the parameters.

    >>> layout = Layout(("a", "b"), ((2,), (3,)))
    >>> Pieces((None, torch.ones(3)), layout).dense(torch.zeros(()))
    tensor([[0., 0., 1., 1., 1.]])
    """

    tensors: tuple[Tensor | None, ...]
    layout: Layout

    @property
    def count(self) -> int:  # type: ignore[override]
        return 1

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.layout.size

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        out = torch.zeros(last - first, stop - start, dtype=like.dtype, device=like.device)
        if last > first:
            self.add_to(out[0], [1.0], start)
        return out

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        for place, low, high in self.layout.overlaps(start, start + out.numel()):
            piece, offset = self.tensors[place], self.layout.offsets[place]
            if piece is not None:
                part = piece.reshape(-1)[low - offset : high - offset]
                out[low - start : high - start].add_(part.to(out), alpha=weights[0])

    def is_finite(self) -> bool:
        """Whether every number of it is finite."""
        norms = [
            torch.linalg.vector_norm(t, dtype=torch.promote_types(t.dtype, torch.float32))
            for t in self.tensors
            if t is not None
        ]
        return bool(torch.stack(norms).isfinite().all()) if norms else True
