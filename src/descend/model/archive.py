"""Everything that one search has evaluated, in precise numbers and in coordinates in which every length is about 1.

The phases of a search are conversations of their own that share an archive: what one has asked for, the others know.
A point u (d,) of an archive means x = origin + scale * u: float64 on the CPU, whatever the points of the search are.
"""

import math
from collections.abc import Generator

import torch
from torch import Tensor

from descend.space.domain import Domain

__all__ = ["Answers", "Archive", "Phase"]

Answers = Generator[Tensor, Tensor, tuple[Tensor, Tensor]]
"""Asks points, and returns them as they were asked (m, d), with their losses (m,)."""
Phase = Generator[Tensor, Tensor, str]
"""A phase of a search: asks points, learns their losses, and returns why it has ended."""

_FIRST_ROWS = 256


class Archive:
    """What was asked and what was answered, and how to ask.

    Args:
        x: (d,), where the search begins.
        domain: where points may lie.

    Fields:
        lower, upper: (d,), the sides of the domain in the archive's coordinates.
        unit: (d,), ones, the typical lengths in these coordinates.
        bounded: whether all of them are finite. boxed: whether any is.
        eps: the rounding of the search's dtype. offset: (d,), how far from 0 the points lie, in typical lengths; a
            coordinate cannot change by less than about eps * offset.
        n: how many were evaluated. best: the least loss, +inf so far. at_best: (d,), its point.
    """

    def __init__(self, x: Tensor, domain: Domain) -> None:
        self._like, self._domain = x, domain
        self._scale = _precise(domain.scale)
        lower, upper, begin = _precise(domain.lower), _precise(domain.upper), _precise(x)
        self._origin = torch.where(lower.isfinite(), lower, torch.where(upper.isfinite(), upper, begin))
        self.lower, self.upper = (lower - self._origin) / self._scale, (upper - self._origin) / self._scale
        self.unit, self.boxed = torch.ones_like(lower), domain.bounded
        self.bounded = bool(self.lower.isfinite().all()) and bool(self.upper.isfinite().all())
        self.eps = torch.finfo(x.dtype).eps
        self.offset = torch.maximum(begin.abs(), self._origin.abs()) / self._scale
        self.n, self.best, self.at_best = 0, math.inf, (begin - self._origin) / self._scale
        self._points = torch.empty(_FIRST_ROWS, x.numel(), dtype=torch.float64)
        self._losses = torch.empty(_FIRST_ROWS, dtype=torch.float64)

    @property
    def dim(self) -> int:
        """d."""
        return self._origin.numel()

    @property
    def points(self) -> Tensor:
        """All points (n, d) in their order; a view."""
        return self._points[: self.n]

    @property
    def losses(self) -> Tensor:
        """Their losses (n,), failures as +inf; a view."""
        return self._losses[: self.n]

    def ask(self, us: Tensor) -> Answers:
        """Evaluate the points nearest to us (m, d) that lie in the domain and that its dtype can hold."""
        xs = (self._origin + self._scale * us).to(self._like)
        xs = self._domain.centre(self._domain.clip(xs))
        losses = yield xs
        us = (_precise(xs) - self._origin) / self._scale
        self._keep(us, losses)
        return us, losses

    def outside(self, u: Tensor) -> Tensor:
        """u (d,) as a point of the search, to recommend it."""
        return self._domain.clip((self._origin + self._scale * u).to(self._like))

    def clip(self, us: Tensor) -> Tensor:
        """The nearest points inside to us (..., d)."""
        return us.clamp(self.lower, self.upper) if self.boxed else us

    def inner(self, numbers: Tensor) -> Tensor:
        """A point (d,) to begin again at, made of numbers (d,) uniform on [0, 1).

        In the middle 80 % of the box; where a side is missing, within 1.5 typical lengths of the best point.
        """
        width = self.upper - self.lower
        held = self.lower + width * (0.1 + 0.8 * numbers)
        return torch.where(width.isfinite(), held, self.clip(self.at_best + 3 * (numbers - 0.5)))

    def _keep(self, us: Tensor, losses: Tensor) -> None:
        m, n = len(us), self.n
        if n + m > len(self._losses):
            more = max(len(self._losses), m)
            self._points = torch.cat((self._points, self._points.new_empty(more, self.dim)))
            self._losses = torch.cat((self._losses, self._losses.new_empty(more)))
        self._points[n : n + m], self._losses[n : n + m] = us, losses
        self.n = n + m
        least, i = losses.min(0)
        if float(least) < self.best:
            self.best, self.at_best = float(least), us[int(i)].clone()


def _precise(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float64)
