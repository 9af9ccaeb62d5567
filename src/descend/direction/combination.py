"""Linear combinations of lazily held directions, and directions with another scale on each stretch of the point."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction.base import BLOCK, Directions, Factors
from descend.direction.dense import Dense

__all__ = ["Combination", "Scaled", "Stretch", "as_dense", "as_directions"]

Stretch = tuple[int, int, float]
"""(start, stop, factor): elements start..stop are multiplied by factor."""


@dataclass(frozen=True, eq=False, slots=True)
class Scaled(Directions):
    """Directions multiplied elementwise by a factor that is constant on each stretch (one radius per parameter group).

    Args:
        base: the directions.
        stretches: (start, stop, factor) triples that together cover 0..d.
    """

    base: Directions
    stretches: tuple[Stretch, ...]

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.base.count

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.base.size

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        out = self.base.tile(first, last, start, stop, like).clone()
        for low, high, factor in self.stretches:
            if low < stop and high > start:
                out[:, max(low, start) - start : min(high, stop) - start] *= factor
        return out

    @property
    def acts(self) -> bool:  # type: ignore[override]
        return self.base.acts

    @property
    def seamless(self) -> bool:  # type: ignore[override]
        return self.base.seamless

    def factors(self, place: int, rows: list[int] | Tensor, like: Tensor) -> Factors | None:
        found = self.base.factors(place, rows, like)
        if found is None:
            return None
        return found.scaled([self._at(self.base.start_of(place))] * len(found.gains))

    def start_of(self, place: int) -> int:
        return self.base.start_of(place)

    def _at(self, index: int) -> float:
        """The factor of an element; a parameter lies in one stretch."""
        return next(factor for low, high, factor in self.stretches if low <= index < high)

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        for low, high, factor in self.stretches:
            first, last = max(low, start), min(high, start + out.numel())
            if first < last:
                self.base.add_to(out[first - start : last - start], [w * factor for w in weights], first)


@dataclass(frozen=True, eq=False, slots=True)
class Combination:
    """One direction, the lazily held sum of weighted directions: what an estimator answers for a gradient.

    Args:
        terms: pairs (weights, directions) with one weight per direction of the block.
        size: its length d.

    >>> from descend.direction import Dense
    >>> import torch
    >>> c = Combination((([2.0, 1.0], Dense(torch.eye(2))),), 2)
    >>> c.dense(torch.zeros(())), c.scaled(10.0).dense(torch.zeros(()))
    (tensor([2., 1.]), tensor([20., 10.]))
    """

    terms: tuple[tuple[list[float], Directions], ...]
    size: int

    @property
    def seamless(self) -> bool:
        """Whether all its directions are, see `Directions`."""
        return all(directions.seamless for _, directions in self.terms)

    def scaled(self, factor: float) -> "Combination":
        """This direction times a number."""
        return Combination(tuple(([w * factor for w in ws], z) for ws, z in self.terms), self.size)

    def __add__(self, other: "Combination") -> "Combination":
        return Combination(self.terms + other.terms, self.size)

    def add_to(self, out: Tensor, scale: float = 1.0, start: int = 0) -> Tensor:
        """out += scale * direction[start:start + len(out)], in place."""
        for weights, directions in self.terms:
            directions.add_to(out, [scale * w for w in weights] if scale != 1.0 else weights, start)
        return out

    def tile(self, start: int, stop: int, like: Tensor) -> Tensor:
        """Elements start..stop as a new dense tensor, dtype and device of `like`."""
        return self.add_to(torch.zeros(stop - start, dtype=like.dtype, device=like.device), 1.0, start)

    def dense(self, like: Tensor) -> Tensor:
        """All of it as a new (d,) tensor, dtype and device of `like`; made block by block."""
        out = torch.zeros(self.size, dtype=like.dtype, device=like.device)
        for start in range(0, self.size, BLOCK):
            self.add_to(out[start : start + BLOCK], 1.0, start)
        return out

    def length(self) -> float:
        """About its Euclidean norm: exact for one sign or sphere direction, else that of near-orthogonal directions."""
        return math.sqrt(self.size * sum(w * w for weights, _ in self.terms for w in weights))

    def is_finite(self) -> bool:
        """Whether every weight is finite."""
        return all(-float("inf") < w < float("inf") for weights, _ in self.terms for w in weights)


def as_dense(direction: Tensor | Combination, like: Tensor) -> Tensor:
    """A direction as a (d,) tensor in the dtype and on the device of `like`; a tensor is returned as it is."""
    return direction if isinstance(direction, Tensor) else direction.dense(like)


def as_directions(direction: Tensor | Combination | Directions, like: Tensor) -> Directions:
    """Anything that means directions as a block: a (d,) or (n, d) tensor, a combination, or a block already."""
    if isinstance(direction, Directions):
        return direction
    vector = as_dense(direction, like)
    return Dense(vector if vector.dim() == 2 else vector[None])
