"""The tree-structured Parzen estimator: the next point is one that is likely among good points and unlikely among bad.

Bergstra, Bardenet, Bengio and Kegl 2011, "Algorithms for hyper-parameter optimization". The answers are split into the
good, a share of the best, and the others; each half makes a density, l(x) and g(x); some candidates are drawn from l,
and the one with the largest l(x) / g(x) is asked. Questions without an answer count as bad ones (a constant liar), so
that several workers go to different places. The densities are joint ones over all coordinates (Falkner, Klein and
Hutter 2018, "BOHB"), and over conditional spaces too: see `Parzen`.

What is not in these papers was chosen on some twenty functions (smooth, rugged, discrete, conditional), at 50 and at
100 evaluations; Watanabe 2023, "Tree-structured Parzen estimator: understanding its algorithm components and their
roles for better empirical performance", is about such choices.

* Widths of l follow the spread of the good points in each coordinate, so that the search contracts by itself; those of
  g do not. Both shrink with the number n of points as n^(-1 / (d + 4)), which is Scott's rule.
* Good points count by their rank, log((n + 1) / (rank + 1)), as in the weights of CMA-ES: only the order of losses.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.model.design import fill
from descend.model.leaders import leaders
from descend.model.modelled import Cube, History, Modelled
from descend.model.parzen import Axes, Parzen
from descend.population.base import positive, whole

__all__ = ["TPE"]

_GOOD, _BAD = 0.65, 0.1
"""The widths of kernels about good points, in standard deviations of theirs; about bad ones, in sides of the cube."""

_EVEN = 0.7
"""How many points, evenly spread over the cube, are added to the good ones where their spread is measured."""

_STAYS = 2.0
"""How strongly a point speaks for its own value of a coordinate without an order: as this many against one of each."""


@dataclass(frozen=True)
class TPE(Modelled):
    """Tree-structured Parzen estimator: quick, for any space, also conditional, and for any number of objectives.

    Args:
        startup: at least 1, how many answers come before the first model; the questions before it are the start, and
            points that fill the space. Default 10.
        candidates: at least 1, how many points of the good density compete. More are greedier. Default 24.
        share: which share of the answers are good ones, 0 < share < 1. Default 0.1.
        most: at least 1, how many good ones there are at most. Default 25.
        prior: > 0, the weight of the even density in either half, where an answer has the weight 1. Default 1.5.
        multivariate: whether candidates are points. If not, every coordinate is chosen by itself, from its own
            densities. Default True.

    Constraints: infeasible answers are bad ones as long as there are enough feasible ones, and count by how much they
    break. Failures are bad ones. Where all coordinates are discrete, points that were asked before come last.

    References: see the header of the module; several objectives as in `descend.model.leaders`.

    Raises:
        InvalidValue: an argument out of its range.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: float((x[0] - 1.5) ** 2 + (x[1] + 0.5) ** 2)
    >>> result = minimize(f, [0.0, 0.0], method=TPE(), bounds=(-5, 5), until=Evaluations(100), key=0)
    >>> result.fun < 0.1
    True
    """

    startup: int = 10
    candidates: int = 24
    share: float = 0.1
    most: int = 25
    prior: float = 1.5
    multivariate: bool = True

    def __post_init__(self) -> None:
        for name, suggestion in (("startup", 10), ("candidates", 24), ("most", 25)):
            whole(self, name, getattr(self, name), 1, suggestion)
        positive(self, "share", self.share, 0.1)
        if self.share >= 1:
            raise InvalidValue(f"TPE needs 0 < share < 1, got share={self.share!r}; write TPE(share=0.1)")
        positive(self, "prior", self.prior, 1.5)
        if not isinstance(self.multivariate, bool):
            raise InvalidValue(f"TPE needs True or False for multivariate, got {self.multivariate!r}")

    def propose(self, history: History, n: int, key: Key) -> Tensor:
        cube, axes, us = history.cube, _axes(history.cube), history.us.numpy()
        there = history.active.numpy() if cube.domain.rules else None
        modelled = len(us) >= self.startup
        good, ranks = _NONE, _NONE
        if modelled:
            count = min(math.ceil(self.share * len(us)), self.most)
            good, ranks = leaders(history.values.numpy(), history.violations.numpy(), count)
            order = good.argsort()
            good, ranks = good[order], ranks[order]
        known = _Known(us, there, good, ranks)
        waiting = history.waiting.numpy()
        if len(waiting):
            known = known.and_bad(waiting, _active(cube, waiting))
        rows = []
        for i in range(n):
            here = key.fold(i) if i else key
            x = self._next(cube, axes, known, here) if modelled else self._first(cube, axes, known, here)
            has = _active(cube, x)
            rows.append(x if has is None else np.where(has, x, axes.middle))
            if i < n - 1:
                known = known.and_bad(rows[-1], has)
        return torch.from_numpy(np.concatenate(rows))

    def _first(self, cube: Cube, axes: Axes, known: "_Known", key: Key) -> np.ndarray:
        """A point (1, d) before there is a model: the start, and then one that fills the cube."""
        if not len(known.us):
            return axes.centre(cube.middle.numpy()[None])
        return axes.centre(fill(cube, torch.from_numpy(known.us), 1, self.startup, key).numpy())

    def _next(self, cube: Cube, axes: Axes, known: "_Known", key: Key) -> np.ndarray:
        """The best point (1, d) of some that are drawn."""
        d = known.us.shape[1]
        u = torch.rand(self.candidates, d + 1, generator=key.generator(), dtype=torch.float64).numpy()
        if self.multivariate:
            return self._winner(cube, axes, known, u)
        columns = [self._winner(None, axes.only(j), known.only(j), u[:, [0, j + 1]]) for j in range(d)]
        return np.concatenate(columns, 1)

    def _winner(self, cube: Cube | None, axes: Axes, known: "_Known", u: np.ndarray) -> np.ndarray:
        """The best (1, d) of the candidates made of u (c, d + 1); in the whole cube, or in one coordinate of it."""
        likely = self._likely(axes, known)
        xs = likely.draw(u)
        has = None if cube is None else _active(cube, xs)
        score = likely.log_density(xs, has) - self._unlikely(axes, known).log_density(xs, has)
        if cube is not None and axes.finite:
            again = known.has(axes, xs, has)
            if again.all():  # all the likely ones have been asked
                xs = axes.centre(u[:, 1:])
                again = known.has(axes, xs, _active(cube, xs))
            score = np.where(again, -math.inf, score)
        return xs[score.argmax()][None]

    def _likely(self, axes: Axes, known: "_Known") -> Parzen:
        """The density of the good points."""
        there = None if known.there is None else known.there[known.good].tobytes()
        return _good(axes, self.prior, known.us[known.good].tobytes(), there, tuple(known.ranks.tolist()))

    def _unlikely(self, axes: Axes, known: "_Known") -> Parzen:
        """The density of the others: the good ones are among its centres, and weigh nothing."""
        n, narrowing = _narrowing(known.us, known.there, known.good)
        weights = np.full(len(known.us) + 1, 1 / (len(known.us) - len(known.good) + self.prior))
        weights[known.good] = 0.0
        weights[-1] *= self.prior
        return Parzen(axes, known.us, known.there, weights, _widths(axes, n, narrowing * _BAD))


class _Known(NamedTuple):
    """Points (n, d) in the cube; which coordinates they have, None: all; and the places (k,) of the good ones among
    them and their ranks (k,)."""

    us: np.ndarray
    there: np.ndarray | None
    good: np.ndarray
    ranks: np.ndarray

    def and_bad(self, us: np.ndarray, there: np.ndarray | None) -> "_Known":
        """With more points (k, d), which are bad."""
        has = None if self.there is None or there is None else np.concatenate([self.there, there])
        return _Known(np.concatenate([self.us, us]), has, self.good, self.ranks)

    def only(self, j: int) -> "_Known":
        """The j-th coordinate of the points that have it."""
        if self.there is None:
            return _Known(self.us[:, j : j + 1], None, self.good, self.ranks)
        rows = self.there[:, j]
        good = rows[self.good]
        return _Known(self.us[rows, j : j + 1], None, (rows.cumsum() - 1)[self.good[good]], self.ranks[good])

    def has(self, axes: Axes, xs: np.ndarray, there: np.ndarray | None) -> np.ndarray:
        """Which of points (c, d) in discrete coordinates are among the known ones: (c,) bool."""
        old, new = (np.floor(points * axes.cells) for points in (self.us, xs))
        if self.there is not None and there is not None:
            old, new = np.where(self.there, old, -1.0), np.where(there, new, -1.0)
        return (old == new[:, None]).all(2).any(1)


_NONE = np.zeros(0, dtype=np.int64)


@lru_cache(maxsize=8)
def _good(axes: Axes, prior: float, us: bytes, there: bytes | None, ranks: tuple[int, ...]) -> Parzen:
    """The density of good points (k, d) float64, which have coordinates there (k, d) bool, None: all, by their ranks.

    It is kept, because most answers are no good ones, and then it is asked for again.
    """
    centres = np.frombuffer(us).reshape(len(ranks), len(axes.cells))
    known = None if there is None else np.frombuffer(there, dtype=bool).reshape(centres.shape)
    n, narrowing = _narrowing(centres, known)
    wide = narrowing * _GOOD * _spread(centres, known, n) if ranks else _BAD
    shares = np.log((max(ranks, default=0) + 2) / (np.array(ranks) + 1))
    weights = np.append(shares / shares.mean() if ranks else shares, prior)
    return Parzen(axes, centres, known, weights / weights.sum(), _widths(axes, n, wide))


def _narrowing(
    centres: np.ndarray, there: np.ndarray | None, but: np.ndarray = _NONE
) -> tuple[int | np.ndarray, float | np.ndarray]:
    """How many of some points (n, d) have a coordinate, but for those in some places, and by how much the kernels of so
    many are narrower than that of one: a number for all coordinates, or (d,)."""
    n, d = len(centres) - len(but), centres.shape[1]
    if there is None:
        return n, max(n, 1) ** (-1 / (d + 4))
    each = there.sum(0) - there[but].sum(0)
    dim = float(each.sum()) / n if n else d
    return each, np.maximum(each, 1) ** (-1 / (dim + 4))


def _widths(axes: Axes, n: int | np.ndarray, wide: float | np.ndarray) -> np.ndarray:
    """The widths (d,) of kernels about n points, from what they are where a coordinate is continuous."""
    widths = np.empty(len(axes.cells))
    widths[:] = wide
    if len(axes.discrete):
        k = np.maximum(axes.cells, 1)
        ordered = np.maximum(widths, np.where(axes.cells > 0, 0.5 / k, 0.0))
        widths = np.where(axes.unordered, k / (_STAYS * (n + 1) + k), ordered)
    return widths


def _spread(centres: np.ndarray, there: np.ndarray | None, n: int | np.ndarray) -> np.ndarray:
    """The standard deviation (d,) of the points that have a coordinate, of which there are n."""
    if there is None:
        squares = ((centres - centres.sum(0) / n) ** 2).sum(0)
    else:
        mean = (centres * there).sum(0) / np.maximum(n, 1)
        squares = ((centres - mean) ** 2 * there).sum(0)
    return np.sqrt((squares + _EVEN / 12) / (n + _EVEN))  # 1 / 12 is the variance of the cube


def _active(cube: Cube, us: np.ndarray) -> np.ndarray | None:
    """Which coordinates points (n, d) have; None: all."""
    return cube.active(torch.from_numpy(us)).numpy() if cube.domain.rules else None


@lru_cache(maxsize=8)
def _axes(cube: Cube) -> Axes:
    """The kinds of coordinates of a cube, made once."""
    return Axes.of(cube)
