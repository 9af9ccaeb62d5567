"""Flipout directions: one matrix of signs that all directions share, flipped by row and by column for each of them.

On a parameter seen as a matrix (m, n), direction b is Z_b = U * (r_b s_b^T), elementwise, with signs U (m, n), r_b (m,)
and s_b (n,). Every Z_b is a matrix of independent signs by itself and any two are uncorrelated, E <z_a, g><z_b, h> = 0
and E z_a z_a^T z_b z_b^T = I, so an average over them has the variance of independent ones. They need m n + k (m + n)
random signs instead of k m n, and k of them act on activations by one product, x Z_b^T = ((x * s_b) U^T) * r_b.
Vectors, and matrices too small to gain anything, move along independent signs.

Wen, Vicol, Ba, Tran and Grosse (2018), "Flipout: efficient pseudo-independent weight perturbations on mini-batches".
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from descend import noise
from descend.direction.base import Directions, as_list
from descend.direction.low_rank import cover, exact_terms, matrix_shape
from descend.direction.seeded import Seeded
from descend.key import Key
from descend.layout import Layout

__all__ = ["Flipout"]

_SIGN = noise.Law.SIGN


@dataclass(frozen=True, eq=False)
class Flipout(Directions):
    """`count` directions of signs, one for each example of a batch.

    Args:
        key: decides the numbers.
        count: k, how many directions.
        layout: of the parameters.

    >>> layout = Layout(("weight", "bias"), ((4, 6), (4,)))
    >>> z = Flipout(Key(0), 2, layout).dense(torch.zeros(()))
    >>> z.shape, bool((z.abs() == 1).all()), int(torch.linalg.matrix_rank((z[0] * z[1])[:24].view(4, 6)))
    (torch.Size([2, 28]), True, 1)
    """

    key: Key
    count: int
    layout: Layout
    _made: dict[Any, Any] = field(default_factory=dict, init=False, repr=False)

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.layout.size

    @cached_property
    def matrices(self) -> tuple[tuple[int, int] | None, ...]:
        """(m, n) of every parameter whose directions share their signs, else None."""
        return tuple(matrix_shape(shape, 1) for shape in self.layout.shapes)

    @cached_property
    def shared(self) -> Seeded:
        """U of all matrices, as one direction of the size of the point."""
        return Seeded(self.key.fold("shared"), _SIGN, 1, self.size)

    @cached_property
    def _starts(self) -> tuple[tuple[int, int], ...]:
        """Where the signs of rows and of columns begin for every parameter."""
        starts, rows, columns = [], 0, 0
        for matrix in self.matrices:
            starts.append((rows, columns))
            if matrix is not None:
                rows, columns = rows + matrix[0], columns + matrix[1]
        return tuple(starts)

    def _flips(self, place: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """All r (k, m) and s (k, n) on a parameter, float32; those made last are kept, since blocks share them."""
        name = ("flips", place, str(like.device))
        if name not in self._made:
            (m, n), (a, b) = self.matrices[place], self._starts[place]  # type: ignore[misc]  # it is a matrix
            r = torch.empty(self.count, m, device=like.device)
            s = torch.empty(self.count, n, device=like.device)
            noise.fill(r, self.key.fold("rows").seed, _SIGN, start=a)
            noise.fill(s, self.key.fold("columns").seed, _SIGN, start=b)
            self._made.clear()
            self._made[name] = r, s
        return self._made[name]

    def multiplies(self, place: int) -> bool:
        return self.matrices[place] is not None

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
        m, n = self.matrices[place]  # type: ignore[misc]  # the caller has asked
        r, s = (flips[torch.tensor(rows, device=out.device)].to(out.dtype) for flips in self._flips(place, out))
        r = r * torch.tensor(scales, dtype=out.dtype, device=out.device)[:, None]
        offset, step = self.layout.offsets[place], m if tile is None else max(1, tile // n)
        signs = torch.empty(min(step, m) * n, dtype=out.dtype, device=out.device)
        flipped = None if transposed else x.to(out.dtype) * s[:, None]
        for low in range(0, m, step):
            high = min(m, low + step)
            u = signs[: (high - low) * n]
            noise.fill(u, self.shared.key.seed, _SIGN, start=offset + low * n)
            u = u.view(-1, n)
            if flipped is not None:
                out[:, :, low:high].addcmul_(flipped @ u.t(), r[:, None, low:high])
            else:
                out.addcmul_((x[..., low:high].to(out.dtype) * r[:, None, low:high]) @ u, s[:, None])

    def lookup(self, row: int, start: int, width: int, needed: Tensor, like: Tensor) -> Tensor:
        place = self.layout.overlaps(start, start + 1)[0][0]
        if self.matrices[place] is None or self.matrices[place][1] != width:  # type: ignore[index]
            return super().lookup(row, start, width, needed, like)
        r, s = self._flips(place, like)
        kept = self._made.get("rows")  # every direction asks for the same rows of U
        if kept is None or kept[0] is not needed:
            kept = self._made["rows"] = needed, self.shared.lookup(0, start, width, needed, like)
        return kept[1] * (r[row][needed].to(like.dtype)[:, None] * s[row].to(like.dtype))

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        out = torch.empty(last - first, stop - start, dtype=like.dtype, device=like.device)
        for place, low, high in self.layout.overlaps(start, stop):
            part = out[:, low - start : high - start]
            if self.matrices[place] is None:
                noise.fill(part, self.key.seed, _SIGN, start=low, member=first)
                continue
            r, s = (flips[first:last] for flips in self._flips(place, like))
            a, b, skip = cover(self.matrices[place], self.layout.offsets[place], low, high)
            flips = (r[:, a:b, None] * s[:, None]).flatten(1)[:, skip : skip + high - low]
            noise.fill(part[0], self.shared.key.seed, _SIGN, start=low)
            part[1:] = part[0]
            part *= flips.to(part.dtype)
        return out

    def perturb(self, points: Tensor, rows: list[int] | Tensor, scales: Tensor, start: int = 0) -> None:
        named = as_list(rows)
        if len(named) == 1:
            points.addcmul_(scales[:, None], self.tile(named[0], named[0] + 1, start, start + points.shape[1], points))
        else:
            super().perturb(points, named, scales, start)

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        """out += U * sum_b w_b r_b s_b^T: one matrix product per parameter, rounded once."""
        terms = exact_terms(tuple(weights), 1, out.dtype, _SIGN)
        wide = torch.promote_types(out.dtype, torch.float32)
        for place, low, high in self.layout.overlaps(start, start + out.numel()):
            part = out[low - start : high - start]
            if self.matrices[place] is None:
                noise.combine(part, self.key.seed, _SIGN, weights, start=low)
                continue
            r, s = self._flips(place, out)
            a, b, skip = cover(self.matrices[place], self.layout.offsets[place], low, high)
            coefficients = torch.tensor(terms, dtype=wide, device=out.device)
            change = (r[:, a:b].to(wide) * coefficients[:, None]).t() @ s.to(wide)
            u = torch.empty(high - low, dtype=wide, device=out.device)
            noise.fill(u, self.shared.key.seed, _SIGN, start=low)
            part.copy_(u.mul_(change.view(-1)[skip : skip + high - low]).add_(part))
