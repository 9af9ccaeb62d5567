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
        cube, axes, told = history.cube, _axes(history.cube), len(history.us)
        us, there = history.us.numpy(), history.active.numpy() if cube.domain.rules else None
        merit = np.full(told, -1)
        if told >= self.startup:
            count = min(math.ceil(self.share * told), self.most)
            good, ranks = leaders(history.values.numpy(), history.violations.numpy(), count)
            merit[good] = ranks
        waiting = history.waiting.numpy()
        known = _Known(us, there, merit)
        if len(waiting):
            known = known.and_bad(waiting, _active(cube, waiting))
        rows = []
        for i in range(n):
            here = key.fold(i) if i else key
            x = self._next(cube, axes, known, here) if told >= self.startup else self._first(cube, axes, known, here)
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
        likely, unlikely = self._half(axes, known, True), self._half(axes, known, False)
        xs = likely.draw(u)
        has = None if cube is None else _active(cube, xs)
        score = likely.log_density(xs, has) - unlikely.log_density(xs, has)
        if cube is not None and axes.finite:
            again = known.has(axes, xs, has)
            if again.all():  # all the likely ones have been asked
                xs = axes.centre(u[:, 1:])
                again = known.has(axes, xs, _active(cube, xs))
            score = np.where(again, -math.inf, score)
        return xs[score.argmax()][None]

    def _half(self, axes: Axes, known: "_Known", good: bool) -> Parzen:
        """The density of the good points, or of the bad ones."""
        which = known.merit >= 0 if good else known.merit < 0
        centres, there = known.us[which], None if known.there is None else known.there[which]
        d = centres.shape[1]
        n = np.full(d, len(centres)) if there is None else there.sum(0)
        dim = d if there is None or not len(centres) else float(there.sum(1).mean())
        widths = np.maximum(n, 1) ** (-1 / (dim + 4))
        weights = np.full(len(centres) + 1, self.prior)
        if good and len(centres):
            widths = widths * (_GOOD * _spread(centres, there, n))
            ranks = known.merit[which]
            shares = np.log((ranks.max() + 2) / (ranks + 1))
            weights[:-1] = shares / shares.mean()
        else:
            widths = widths * _BAD
            weights[:-1] = 1.0
        if len(axes.discrete):
            k = np.maximum(axes.cells, 1)
            ordered = np.maximum(widths, np.where(axes.cells > 0, 0.5 / k, 0.0))
            widths = np.where(axes.unordered, k / (_STAYS * (n + 1) + k), ordered)
        return Parzen(axes, centres, there, weights / weights.sum(), widths)


@dataclass(frozen=True, eq=False)
class _Known:
    """Points (n, d) in the cube; which coordinates they have, None: all; and their ranks (n,), -1 for bad ones."""

    us: np.ndarray
    there: np.ndarray | None
    merit: np.ndarray

    def and_bad(self, us: np.ndarray, there: np.ndarray | None) -> "_Known":
        """With more points (k, d), which are bad."""
        has = None if self.there is None or there is None else np.concatenate([self.there, there])
        return _Known(np.concatenate([self.us, us]), has, np.concatenate([self.merit, np.full(len(us), -1)]))

    def only(self, j: int) -> "_Known":
        """The j-th coordinate of the points that have it."""
        rows = slice(None) if self.there is None else self.there[:, j]
        return _Known(self.us[rows, j : j + 1], None, self.merit[rows])

    def has(self, axes: Axes, xs: np.ndarray, there: np.ndarray | None) -> np.ndarray:
        """Which of points (c, d) in discrete coordinates are among the known ones: (c,) bool."""
        old, new = (np.floor(points * axes.cells) for points in (self.us, xs))
        if self.there is not None and there is not None:
            old, new = np.where(self.there, old, -1.0), np.where(there, new, -1.0)
        return (old == new[:, None]).all(2).any(1)


def _spread(centres: np.ndarray, there: np.ndarray | None, n: np.ndarray) -> np.ndarray:
    """The standard deviation (d,) of the points that have a coordinate, of which there are n (d,)."""
    if there is None:
        squares = ((centres - centres.mean(0)) ** 2).sum(0)
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
