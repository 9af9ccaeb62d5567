"""Directions that are zero outside a mask, which is held as one bit per element."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction.base import BLOCK, Directions
from descend.errors import ShapeMismatch

__all__ = ["Mask", "Masked"]

_POWERS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, eq=False)
class Mask:
    """Which elements of a point move.

    Args:
        bits: (ceil(d / 8),) uint8; element i is bit i mod 8 of byte i div 8.
        size: d.

    >>> mask = Mask.of([torch.tensor([True, False, True])])
    >>> mask.tile(1, 3, torch.zeros(())), mask.count
    (tensor([0., 1.]), 2)
    """

    bits: Tensor
    size: int

    def __post_init__(self) -> None:
        if self.bits.dtype != torch.uint8 or self.bits.shape != ((self.size + 7) // 8,):
            raise ShapeMismatch(
                f"a mask of {self.size} elements has {(self.size + 7) // 8} bytes, got shape {tuple(self.bits.shape)} "
                f"of {self.bits.dtype}; write Mask.of([a bool tensor])"
            )

    def __repr__(self) -> str:
        return f"Mask({self.count} of {self.size})"

    @staticmethod
    def of(pieces: Iterable[Tensor]) -> "Mask":
        """From bool tensors of any shapes, one after the other; what is made on the way has the size of a piece."""
        packed: list[Tensor] = []
        left, size = torch.zeros(0, dtype=torch.bool), 0
        for piece in pieces:
            size += piece.numel()
            bits = torch.cat([left.to(piece.device), piece.reshape(-1)])
            whole = len(bits) // 8 * 8
            packed.append(_pack(bits[:whole]))
            left = bits[whole:].clone()
        packed.append(_pack(torch.cat([left, left.new_zeros(-len(left) % 8)])))
        return Mask(torch.cat(packed), size)

    @property
    def count(self) -> int:
        """How many elements move."""
        return sum(int(_unpack(part).sum()) for part in self.bits.split(BLOCK))

    def tile(self, start: int, stop: int, like: Tensor) -> Tensor:
        """Elements start..stop as ones and zeros, dtype and device of `like`."""
        part = _unpack(self.bits[start // 8 : (stop + 7) // 8].to(like.device))
        return part[start % 8 : start % 8 + stop - start].to(like.dtype)


def _pack(bits: Tensor) -> Tensor:
    powers = torch.tensor(_POWERS, dtype=torch.uint8, device=bits.device)
    return (bits.view(-1, 8).to(torch.uint8) * powers).sum(1, dtype=torch.uint8)


def _unpack(packed: Tensor) -> Tensor:
    shifts = torch.arange(8, dtype=torch.uint8, device=packed.device)
    return ((packed[:, None] >> shifts) & 1).view(-1)


@dataclass(frozen=True, eq=False, slots=True)
class Masked(Directions):
    """Directions times a mask, elementwise.

    Args:
        base: the directions.
        mask: of their size.
    """

    base: Directions
    mask: Mask

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.base.count

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.base.size

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        return self.base.tile(first, last, start, stop, like) * self.mask.tile(start, stop, like)

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        wide = torch.promote_types(out.dtype, torch.float32)
        for low in range(0, out.numel(), BLOCK):
            part = out[low : low + BLOCK]
            change = torch.zeros(len(part), dtype=wide, device=out.device)
            self.base.add_to(change, weights, start + low)
            part += change.mul_(self.mask.tile(start + low, start + low + len(part), change)).to(part.dtype)
