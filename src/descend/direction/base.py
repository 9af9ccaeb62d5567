"""A direction is a promise, not an array: a block of n directions in R^d becomes numbers only where they are needed.

Elements are indexed by the global flat offset of a point's layout, so a direction is the same however the
parameters are stored or chunked.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["BLOCK", "Directions", "Factors", "as_list"]

BLOCK = 2**18
"""Elements per block wherever something of size d is walked through: 1 MiB of float32, so that it stays in cache."""

_GAP = 8
"""Rows of a table that are not needed and yet cheaper to make than to begin anew."""


@dataclass(frozen=True, eq=False, slots=True)
class Factors:
    """k directions on one parameter of m by n elements: Z_i = gains[i] * left[j] @ right[j].T with j = index[i].

    Args:
        left: (u, m, r) float32.
        right: (u, n, r) float32.
        index: (k,) int64; mirrored members share their factors.
        gains: k numbers.
    """

    left: Tensor
    right: Tensor
    index: Tensor
    gains: list[float]

    def spread(self) -> tuple[Tensor, Tensor]:
        """left (k, m, r) and right (k, n, r), one for each direction."""
        if len(self.index) == len(self.left):
            return self.left, self.right
        return self.left[self.index], self.right[self.index]

    def scaled(self, scales: list[float]) -> "Factors":
        """The directions times a number each."""
        return Factors(self.left, self.right, self.index, [g * s for g, s in zip(self.gains, scales, strict=True)])


class Directions(ABC):
    """A block of `count` directions z_0, ..., z_{count-1} in R^size.

    Class attributes:
        acts: whether they have `factors` on the large parameters, so that they can act on activations.
        seamless: whether `add_to` gives the same bits in one piece as in several, and makes nothing of the size of a
            piece, so that large ones may be asked for.
    """

    __slots__ = ()
    count: int
    size: int
    acts: bool = False
    seamless: bool = False

    @abstractmethod
    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        """Elements start..stop of directions first..last: (last - first, stop - start), dtype and device of `like`.

        The tensor may be a view of what the directions hold: read it, do not write to it.
        """

    def tiles(self, first: int, last: int, stretches: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
        """Tiles of several stretches (start, stop) of the directions side by side; read it, do not write to it."""
        return torch.cat([self.tile(first, last, start, stop, like) for start, stop in stretches], 1)

    def factors(self, place: int, rows: list[int] | Tensor, like: Tensor) -> Factors | None:
        """Thin factors of some directions on parameter number `place` of the layout, or None: then ask for a `tile`.

        Args:
            place: index of the parameter.
            rows: k indices of directions; they may repeat.
            like: a tensor on the device of the parameter.
        """
        return None

    def start_of(self, place: int) -> int:
        """Where parameter number `place` begins in the point; only what has factors knows."""
        raise LookupError(f"{type(self).__name__} directions know no parameters")

    def multiplies(self, place: int) -> bool:
        """Whether `add_product` is answered for parameter number `place`."""
        return False

    def add_product(
        self,
        place: int,
        rows: list[int],
        scales: list[float],
        x: Tensor,
        out: Tensor,
        transposed: bool = False,
        tile: int | None = None,
    ) -> None:
        """out[i] += scales[i] * x[i] Z^T with the matrix Z of direction rows[i] on a parameter (m, n), in place.

        Args:
            place: index of the parameter.
            rows, scales: k directions, and how far along each.
            x: (k, l, n), or (l, n) if all share it.
            out: (k, l, m).
            transposed: x[i] Z instead, with x (k, l, m) and out (k, l, n).
            tile: how many elements of a parameter's size may be made at once; None for all of them.
        """
        raise LookupError(f"{type(self).__name__} directions make no products")

    def lookup(self, row: int, start: int, width: int, needed: Tensor, like: Tensor) -> Tensor:
        """Some rows of one direction on a table of rows `width` wide that begins at `start`.

        Args:
            needed: (u,) int64, ascending indices of rows of the table, at least one.

        Returns:
            (u, width), dtype and device of `like`; what is made on the way has the size of a block.
        """
        step, rows, found = max(1, BLOCK // width), needed.tolist(), []
        first = 0
        for i in range(1, len(rows) + 1):  # rows that lie close together are made at once
            if i == len(rows) or rows[i] - rows[i - 1] > _GAP or rows[i] - rows[first] >= step:
                low, high = rows[first], rows[i - 1] + 1
                z = self.tile(row, row + 1, start + low * width, start + high * width, like)
                found.append(z.view(-1, width)[needed[first:i] - low])
                first = i
        return torch.cat(found)

    def dense(self, like: Tensor) -> Tensor:
        """All of them, (count, size), in the dtype and on the device of `like`."""
        return self.tile(0, self.count, 0, self.size, like)

    def perturb(self, points: Tensor, rows: list[int] | Tensor, scales: Tensor, start: int = 0) -> None:
        """points[k] += scales[k] * z_{rows[k]}, in place.

        Args:
            points: (p, len), elements start..start+len of p points.
            rows: p indices of directions, a list or an int64 tensor on the CPU.
            scales: (p,), in the dtype of `points`.
        """
        named = as_list(rows)
        if named == list(range(named[0], named[0] + len(named))):
            z = self.tile(named[0], named[-1] + 1, start, start + points.shape[1], points)
        else:
            low, high = min(named), max(named) + 1
            z = self.tile(low, high, start, start + points.shape[1], points)
            z = z[torch.tensor(named, device=z.device) - low]
        points.addcmul_(scales[:, None], z)

    def shift(self, out: Tensor, source: Tensor, row: int, scale: float, start: int) -> None:
        """out = source + scale * z_row, for elements start..start+len; both are contiguous vectors."""
        out.copy_(source)
        if scale != 0.0:
            self.perturb(out[None], [row], torch.tensor([scale], dtype=out.dtype, device=out.device), start)

    def point(self, x: Tensor, row: int, scale: float, out: Tensor) -> None:
        """out = x + scale * z_row, all of it at once; x and out are (d,)."""
        out.copy_(x)
        self.perturb(out[None], [row], torch.tensor([scale], dtype=x.dtype, device=x.device))

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        """out += sum_i weights[i] * z_i, in place, for elements start..start+len(out)."""
        step = max(1, BLOCK // max(1, out.numel()))
        for first in range(0, self.count, step):
            last = min(self.count, first + step)
            z = self.tile(first, last, start, start + out.numel(), out)
            out += torch.tensor(weights[first:last], dtype=out.dtype, device=out.device) @ z

    def dot(self, x: Tensor) -> Tensor:
        """<z_i, x> for every direction: (count,)."""
        total = x.new_zeros(self.count)
        width = max(1, BLOCK // max(1, self.count))
        for start in range(0, self.size, width):
            stop = min(self.size, start + width)
            total += self.tile(0, self.count, start, stop, x) @ x[start:stop]
        return total


def as_list(rows: list[int] | Tensor) -> list[int]:
    """Indices as a list of integers."""
    return rows.tolist() if isinstance(rows, Tensor) else rows
