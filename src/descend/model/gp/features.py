"""Points of a mixed, conditional cube as vectors whose scaled distances mean something to a kernel.

A number is itself. An unordered value is a corner of a simplex, at distance 1 from every other one. A permutation is
the ranks of its items. A number that is not always there lies on an arc, (cos u, sin u), and in its centre where it is
absent: every present value is equally far from the absent one, and two absent ones are the same (after the arc kernel
of Swersky et al. 2014, "Raiders of the lost architecture"); an unordered value that is absent is the origin. Every
coordinate, or permutation, has one length scale.

Symbols: u (n, d), points of the cube; phi (n, p), their features; q length scales, owner[j] the one of feature j.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from descend.model.modelled import Cube

__all__ = ["Features"]

_SMOOTH = 12
"""Cells from which on an ordered coordinate may be moved as if it were continuous, and rounded afterwards."""


@dataclass(frozen=True, eq=False)
class Features:
    """How points of a cube become vectors.

    Fields: cube.
    """

    cube: Cube

    @cached_property
    def conditional(self) -> Tensor:
        """(d,) bool: coordinates that are not always there."""
        there = torch.zeros(self.dim, dtype=torch.bool)
        for rule in self.cube.domain.rules:
            there[rule.first : rule.end] = True
        return there

    @property
    def dim(self) -> int:
        """d."""
        return self.cube.domain.dim

    @cached_property
    def smooth(self) -> Tensor:
        """(d,) bool: coordinates that can be moved a little: continuous ones, and ordered ones of many cells."""
        cells = self.cube.cells
        return ((cells == 0) | ((cells >= _SMOOTH) & ~self.cube.unordered)) & (self._orders < 0)

    @cached_property
    def _orders(self) -> Tensor:
        return self.cube.domain.orders.cpu()

    @cached_property
    def _plain(self) -> Tensor:
        """The places of the numbers that are always there."""
        return (~self.cube.unordered & (self._orders < 0) & ~self.conditional).nonzero()[:, 0]

    @cached_property
    def bendable(self) -> Tensor:
        """(m,) int64: the features that are smooth numbers which are always there."""
        return self.smooth[self._plain].nonzero()[:, 0]

    @cached_property
    def _arcs(self) -> Tensor:
        return (~self.cube.unordered & (self._orders < 0) & self.conditional).nonzero()[:, 0]

    @cached_property
    def _labels(self) -> list[int]:
        return self.cube.unordered.nonzero()[:, 0].tolist()

    @cached_property
    def permutations(self) -> list[Tensor]:
        """The places of the items of every permutation."""
        return [(self._orders == k).nonzero()[:, 0] for k in self._orders[self._orders >= 0].unique().tolist()]

    @cached_property
    def owner(self) -> Tensor:
        """(p,) int64: the length scale of each feature."""
        arcs, plain = len(self._arcs), len(self._plain)
        places = [torch.arange(plain), plain + torch.arange(arcs), plain + torch.arange(arcs)]
        q = plain + arcs
        for i in self._labels:
            places.append(torch.full((int(self.cube.cells[i]),), q))
            q += 1
        for items in self.permutations:
            places.append(torch.full((len(items),), q))
            q += 1
        return torch.cat(places)

    @cached_property
    def scales(self) -> int:
        """q."""
        return int(self.owner.max()) + 1

    def lengths(self, inverse: Tensor) -> Tensor:
        """The length scales (d,) of numbers, from the inverse ones (p,) of features; 1 where a coordinate is none."""
        out, plain, arcs = torch.ones(self.dim, dtype=inverse.dtype), len(self._plain), len(self._arcs)
        out[self._plain] = 1 / inverse[:plain]
        out[self._arcs] = 1 / inverse[plain : plain + arcs]
        return out

    @cached_property
    def _easy(self) -> bool:
        return len(self._plain) == self.dim

    def __call__(self, us: Tensor, active: Tensor) -> Tensor:
        """The features (n, p) of points (n, d), of which active (n, d) coordinates are there."""
        if self._easy:
            return us - 0.5
        parts = [us[:, self._plain] - 0.5]
        arc = us[:, self._arcs]
        there = active[:, self._arcs].to(us)
        parts += [arc.cos() * there, arc.sin() * there]
        for i in self._labels:
            k = int(self.cube.cells[i])
            place = (us[:, i] * k).floor().long().clamp(0, k - 1)
            hot = torch.nn.functional.one_hot(place, k).to(us) * math.sqrt(0.5)
            parts.append(hot * active[:, i, None])
        for items in self.permutations:
            ranks = us[:, items].argsort(dim=1, stable=True).argsort(dim=1).to(us)
            parts.append(ranks / (len(items) * math.sqrt(len(items))) * active[:, items])
        return torch.cat(parts, 1)

    def at(self, us: Tensor) -> Tensor:
        """The features (n, p) of points (n, d), with the coordinates that are there by the rules of the cube."""
        return self(us, self.cube.active(us))

    def back(self, us: Tensor, active: Tensor, slopes: Tensor) -> Tensor:
        """By the chain rule: from derivatives (n, p) by the features those (n, d) by the points, 0 where not smooth."""
        if self._easy and bool(self.smooth.all()):
            return slopes
        out, plain, arcs = torch.zeros_like(us), len(self._plain), len(self._arcs)
        out[:, self._plain] = slopes[:, :plain]
        cosines, sines = slopes[:, plain : plain + arcs], slopes[:, plain + arcs : plain + 2 * arcs]
        arc = us[:, self._arcs]
        out[:, self._arcs] = (arc.cos() * sines - arc.sin() * cosines) * active[:, self._arcs]
        return out * self.smooth
