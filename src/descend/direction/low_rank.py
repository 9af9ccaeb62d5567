"""Low-rank directions: seen as a matrix (m, n), a parameter moves along A B^T / sqrt(r), with A (m, r) and B (n, r).

They need (m + n) r random numbers instead of m n, act on activations at the cost of two thin products,
x Z^T = (x B) A^T / sqrt(r), and many of them update a weight by one matrix product. Every element of Z has mean 0 and
variance 1 and E z z^T = I, so estimators take them like any other; with signs for A and B and r = 1 every element is a
sign itself. Vectors, and matrices too small to gain anything, move along dense directions.

Sarkar et al. (2025), "Evolution strategies at the hyperscale" (EGGROLL); Chen et al. (2024), "Enhancing zeroth-order
fine-tuning for language models with low-rank structures" (LOZO, which keeps B for several steps).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import torch
from torch import Tensor

from descend import noise
from descend.direction.base import BLOCK, Directions, Factors, as_list
from descend.direction.scratch import Scratch
from descend.errors import InvalidValue
from descend.key import Key
from descend.layout import Layout

__all__ = ["LowRank", "cover", "exact_terms", "matrix_shape"]

_DRAWN = 2**20  # numbers of factors that are made, and held, together: 4 MB


def matrix_shape(shape: tuple[int, ...], rank: int) -> tuple[int, int] | None:
    """(m, n) of a parameter seen as a matrix: its first axis by all others. None where factors would not be fewer.

    >>> matrix_shape((8, 4, 3, 3), 1), matrix_shape((1, 16, 8), 1), matrix_shape((8,), 1), matrix_shape((2, 2), 1)
    ((8, 36), (16, 8), None, None)
    """
    if len(shape) < 2:
        return None
    m, n = shape[0], math.prod(shape[1:])
    if m == 1:
        m, n = math.prod(shape[:-1]), shape[-1]
    return (m, n) if (m + n) * rank < m * n else None


@dataclass(frozen=True, eq=False)
class LowRank(Directions):
    """`count` directions of rank `rank` on every matrix of a layout.

    Args:
        key: decides the numbers.
        law: of the elements of A and B, mean 0 and variance 1. With signs an update is the same bits on every device.
        count: how many directions.
        rank: r >= 1.
        layout: of the parameters.
        right: another key for B, to keep it while A changes (default: `key`).

    Raises:
        InvalidValue: rank < 1.

    >>> layout = Layout(("weight", "bias"), ((4, 6), (4,)))
    >>> z = LowRank(Key(0), noise.Law.SIGN, 2, 1, layout).dense(torch.zeros(()))
    >>> z.shape, int(torch.linalg.matrix_rank(z[0, :24].view(4, 6))), bool((z.abs() == 1).all())
    (torch.Size([2, 28]), 1, True)
    """

    key: Key
    law: noise.Law
    count: int
    rank: int
    layout: Layout
    right: Key | None = None
    _last: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    _scratch: Scratch = field(default_factory=Scratch, init=False, repr=False)
    _made: dict[Any, list[tuple[Tensor, Tensor]]] = field(default_factory=dict, init=False, repr=False)
    _groups: dict[int, list[range]] = field(default_factory=dict, init=False, repr=False)

    acts = True

    @property
    def seamless(self) -> bool:  # type: ignore[override]
        return self.law is noise.Law.SIGN

    def __post_init__(self) -> None:
        if self.rank < 1:
            raise InvalidValue(f"rank must be at least 1, got {self.rank!r}; write rank=1")

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.layout.size

    @cached_property
    def matrices(self) -> tuple[tuple[int, int] | None, ...]:
        """(m, n) of every parameter that has factors, else None."""
        return tuple(matrix_shape(shape, self.rank) for shape in self.layout.shapes)

    @cached_property
    def _starts(self) -> tuple[tuple[int, int], ...]:
        """Where the numbers of A and of B begin for every parameter, and where those of the last one end."""
        starts, left, right = [(0, 0)], 0, 0
        for matrix in self.matrices:
            if matrix is not None:
                left, right = left + matrix[0] * self.rank, right + matrix[1] * self.rank
            starts.append((left, right))
        return tuple(starts)

    @cached_property
    def _seeds(self) -> tuple[int, int]:
        """Of A and of B."""
        return self.key.fold("left").seed, (self.right or self.key).fold("right").seed

    def factors(self, place: int, rows: list[int] | Tensor, like: Tensor) -> Factors | None:
        if self.matrices[place] is None:
            return None
        named = as_list(rows)
        low, high = min(named), max(named) + 1
        left, right = self._pair(place, low, high, like)
        index = self._indices(tuple(named), low, left.device)
        return Factors(left, right, index, [1 / math.sqrt(self.rank)] * len(named))

    def _indices(self, named: tuple[int, ...], low: int, device: torch.device) -> Tensor:
        """Where the named rows stand after `low`; the same for every parameter, so it is made once."""
        if self._last.get("named") != named:
            self._last.update(named=named, index=(torch.tensor(named) - low).to(device))
        return self._last["index"]

    def start_of(self, place: int) -> int:
        return self.layout.offsets[place]

    def _pair(self, place: int, first: int, last: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """A (k, m, r) and B (k, n, r) of directions first..last."""
        group = self._group(place, last - first)
        name = (group.start, first, last, like.device)
        if name not in self._made:  # only those made last are kept
            self._made.clear()
            self._made[name] = self._draw(group, first, last, like)
        return self._made[name][place - group.start]

    def _draw(self, group: range, first: int, last: int, like: Tensor) -> list[tuple[Tensor, Tensor]]:
        """A and B of directions first..last on every parameter of a group, views of what is drawn at once."""
        drawn = []
        for side, seed in enumerate(self._seeds):
            begin, end = self._starts[group.start][side], self._starts[group.stop][side]
            rows = torch.empty(last - first, end - begin, device=like.device)
            noise.fill(rows, seed, self.law, start=begin, member=first)
            sizes = [self._starts[i + 1][side] - self._starts[i][side] for i in group]
            drawn.append([part.view(len(part), -1, self.rank) for part in rows.split(sizes, 1)])
        return list(zip(*drawn, strict=True))

    def _group(self, place: int, count: int) -> range:
        """The parameters whose factors are made with those of `place`: as many as a few megabytes of numbers serve."""
        if count not in self._groups:
            groups: list[range] = []
            begin, end = 0, len(self.matrices)
            for i in range(1, end + 1):
                if i == end or (sum(self._starts[i + 1]) - sum(self._starts[begin])) * count > _DRAWN:
                    groups += [range(begin, i)] * (i - begin)
                    begin = i
            self._groups[count] = groups
        return self._groups[count][place]

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        out = torch.empty(last - first, stop - start, dtype=like.dtype, device=like.device)
        for place, low, high in self.layout.overlaps(start, stop):
            part = out[:, low - start : high - start]
            matrix = self.matrices[place]
            if matrix is None:
                noise.fill(part, self.key.seed, self.law, start=low, member=first)
                continue
            left, right = self._pair(place, first, last, like)
            a, b, skip = cover(self.matrices[place], self.layout.offsets[place], low, high)
            wide = torch.promote_types(like.dtype, torch.float32)
            block = torch.bmm(left[:, a:b].to(wide), right.to(wide).transpose(1, 2)).mul_(1 / math.sqrt(self.rank))
            part.copy_(block.flatten(1)[:, skip : skip + high - low])
        return out

    def tiles(self, first: int, last: int, stretches: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
        wide = sum(stop - start for start, stop in stretches)
        out, at = torch.empty(last - first, wide, dtype=like.dtype, device=like.device), 0
        for start, stop in stretches:
            part = out[:, at : at + stop - start]
            at += stop - start
            [(place, *_), *others] = self.layout.overlaps(start, stop)
            if others or self.matrices[place] is not None:
                part.copy_(self.tile(first, last, start, stop, like))
            else:
                noise.fill(part, self.key.seed, self.law, start=start, member=first)
        return out

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        """One matrix product per parameter: out += (A diag w) B^T, rounded once."""
        terms = exact_terms(tuple(weights), self.rank, out.dtype, self.law)
        wide = torch.promote_types(out.dtype, torch.float32)
        for place, low, high in self.layout.overlaps(start, start + out.numel()):
            part = out[low - start : high - start]
            if self.matrices[place] is None:
                noise.combine(part, self.key.seed, self.law, weights, start=low)
                continue
            left, right = self._pair(place, 0, self.count, out)
            a, b, skip = cover(self.matrices[place], self.layout.offsets[place], low, high)
            coefficients = torch.tensor(terms, dtype=wide, device=out.device)
            scaled = (left[:, a:b].to(wide) * coefficients[:, None, None]).transpose(0, 1).flatten(1)
            thin = right.to(wide).transpose(1, 2).flatten(0, 1)
            if len(thin) == 1 and part.dtype == wide:  # one term: rounded once as it is, in one sweep
                _add_outer(part, scaled[:, 0], thin[0], skip)
            else:
                self._add_product(part, scaled, thin, skip)

    def _add_product(self, out: Tensor, left: Tensor, right: Tensor, skip: int) -> None:
        """out += the elements from `skip` on of left @ right, some rows at a time."""
        n = right.shape[1]
        step = max(1, BLOCK // n)
        for first in range(0, len(left), step):
            some = left[first : first + step]
            product = self._scratch.take(len(some) * n, left.dtype, left.device)
            torch.mm(some, right, out=product.view(len(some), n))
            low, begin = first * n - skip, max(0, skip - first * n)
            here = out[low + begin : low + len(product)]
            here.add_(product[begin : begin + len(here)])


def _add_outer(out: Tensor, left: Tensor, right: Tensor, skip: int) -> None:
    """out += the elements from `skip` on of left right^T, row by row, in place."""
    n = len(right)
    head = min(-skip % n, len(out))  # what is left of the first row where it is not whole
    rows = (len(out) - head) // n
    whole, tail = out[head : head + rows * n].view(rows, n), out[head + rows * n :]
    if head:
        out[:head].addcmul_(left[0], right[skip : skip + head])
    if rows:
        first = int(head > 0)
        whole.addcmul_(left[first : first + rows, None], right)
    if len(tail):
        tail.addcmul_(left[-1], right[: len(tail)])


def cover(matrix: tuple[int, int] | None, offset: int, low: int, high: int) -> tuple[int, int, int]:
    """The rows a..b of a matrix that hold elements low..high, and how many elements come before low: (a, b, skip).

    Args:
        matrix: (m, n), as `matrix_shape` gives it.
        offset: where the matrix begins in the point, as low and high are counted.

    >>> cover((4, 6), 100, 107, 115)
    (1, 3, 1)
    """
    assert matrix is not None
    n = matrix[1]
    a = (low - offset) // n
    return a, -(-(high - offset) // n), low - offset - a * n


@lru_cache(maxsize=2)  # the blocks of an update follow each other
def exact_terms(weights: tuple[float, ...], rank: int, dtype: torch.dtype, law: noise.Law) -> list[float]:
    """The weights over sqrt(r), rounded to multiples of a power of two so coarse that no signed sum of them is rounded.

    So the matrix product gives the same bits in whatever order it adds: sums of the n r terms stay below 2^23 quanta
    (2^52 in float64), for which each weight changes by at most 2^-23 of the sum of all. Other laws than signs have no
    exact products.
    """
    terms = [w / math.sqrt(rank) for w in weights]
    total = rank * math.fsum(abs(t) for t in terms)
    if law is not noise.Law.SIGN or not 0 < total < math.inf:
        return terms
    bits = 52 if dtype == torch.float64 else 23
    quantum = 2.0 ** (math.frexp(total)[1] - bits)
    return [round(t / quantum) * quantum for t in terms] if quantum > 0 else terms
