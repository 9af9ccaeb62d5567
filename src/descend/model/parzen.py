"""A mixture of kernels about given points of the unit cube, some of whose coordinates are discrete or not always there.

The density is relative to the uniform one of the cube, which is 1 everywhere:

    p(x) = w_n + sum_i w_i prod_j K_j(x_j | c_ij),

a uniform share w_n and a kernel about each centre c_i, with weights that sum to 1. A coordinate j is, with width s_j,

* continuous: a normal distribution about c_ij, cut off at 0 and 1;
* with k cells in an order: exp(-(x - c)^2 / 2 s^2) over the middles of the cells, divided by its sum over them;
* with k cells without an order: c_ij's own cell with probability 1 - s_j, and with s_j any of the k, evenly (Aitchison
  and Aitken 1976, "Multivariate binary discrimination by the kernel method").

Where c_i or x has no coordinate j, because a parent has another value, its factor is 1: nothing is known of it. So
conditional spaces have one joint density, in which points with the same coordinates speak to each other in all of them.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from descend.model.modelled import Cube

__all__ = ["Axes", "Parzen"]

_FINE = 4096
"""From so many ordered cells on a kernel is divided by its integral, not by its sum over them."""

_FEW = 32
"""Integrals that are multiplied before their logarithm is taken, which is dearer: not so many that it underflows."""

_SMALL = 1000
"""So few exponentials take less time than a call of torch."""


@dataclass(frozen=True, eq=False)
class Axes:
    """The kinds of the coordinates (d,) of a cube.

    Fields: cells (d,) int64, 0 where continuous; unordered (d,) bool.
    """

    cells: np.ndarray
    unordered: np.ndarray

    @staticmethod
    def of(cube: Cube) -> "Axes":
        """Of the coordinates of a cube."""
        return Axes(cube.cells.numpy(), cube.unordered.numpy() & (cube.cells.numpy() > 0))

    @cached_property
    def smooth(self) -> list[int]:
        """The places of the continuous coordinates, and of those with very many cells in an order."""
        return np.flatnonzero((self.cells == 0) | (~self.unordered & (self.cells >= _FINE))).tolist()

    @cached_property
    def stepped(self) -> list[int]:
        """The places of the coordinates whose cells have an order, and are few enough to be counted."""
        return np.flatnonzero(~self.unordered & (self.cells > 0) & (self.cells < _FINE)).tolist()

    @cached_property
    def named(self) -> list[int]:
        """The places of the coordinates without an order."""
        return np.flatnonzero(self.unordered).tolist()

    @cached_property
    def discrete(self) -> np.ndarray:
        """The places of all coordinates with cells."""
        return np.flatnonzero(self.cells)

    @cached_property
    def finite(self) -> bool:
        """Whether all coordinates are discrete."""
        return bool((self.cells > 0).all())

    @cached_property
    def middle(self) -> np.ndarray:
        """(d,) the value in the middle."""
        return self.centre(np.full((1, len(self.cells)), 0.5))[0]

    def only(self, j: int) -> "Axes":
        """The j-th coordinate by itself."""
        return Axes(self.cells[j : j + 1], self.unordered[j : j + 1])

    def index(self, us: np.ndarray, j: int) -> np.ndarray:
        """The cells (n,) int64 of the j-th coordinate of points (n, d)."""
        k = int(self.cells[j])
        return np.clip((us[:, j] * k).astype(np.int64), 0, k - 1)

    def centre(self, us: np.ndarray) -> np.ndarray:
        """Points (n, d) with every discrete coordinate in the middle of its cell."""
        if len(self.discrete):
            us, k = us.copy(), self.cells[self.discrete]
            us[:, self.discrete] = (np.clip(np.floor(us[:, self.discrete] * k), 0, k - 1) + 0.5) / k
        return us


class Parzen:
    """The mixture. All arrays are float64 unless noted.

    Args:
        axes: the kinds of the coordinates.
        centres: (n, d) in the cube, discrete coordinates in the middles of their cells.
        there: (n, d) bool, which coordinates the centres have; None if all.
        weights: (n + 1,) >= 0, of the kernels, and of the uniform share > 0; their sum is 1.
        widths: (d,) > 0, what is s in the header.

    >>> axes = Axes(np.array([0, 4]), np.array([False, True]))
    >>> mixture = Parzen(axes, np.array([[0.3, 0.125]]), None, np.array([0.9, 0.1]), np.array([0.1, 0.2]))
    >>> xs = np.array([[0.3, 0.125], [0.3, 0.375], [0.9, 0.125]])
    >>> np.exp(mixture.log_density(xs)).round(3).tolist()
    [12.324, 0.819, 0.1]
    """

    def __init__(
        self, axes: Axes, centres: np.ndarray, there: np.ndarray | None, weights: np.ndarray, widths: np.ndarray
    ) -> None:
        self.axes, self.centres, self.there, self.weights, self.widths = axes, centres, there, weights, widths
        scale = math.sqrt(0.5) / widths
        if axes.named:
            scale[axes.named] = 0.0  # distances mean nothing
        n, d = centres.shape
        sides = np.empty((2, d, n))  # how far it is to 0 and to 1 in units of s sqrt 2, and the integrals
        np.multiply(centres.T, scale[:, None], out=sides[0])
        np.subtract(scale[:, None], sides[0], out=sides[1])
        self._scale, self._scaled, self._inside = scale, sides[0], _erf(sides)

    def log_density(self, xs: np.ndarray, there: np.ndarray | None = None) -> np.ndarray:
        """(c,) of points (c, d) in the middles of cells, of which there (c, d) bool says what they have; None: all."""
        if not len(self.centres):
            return np.zeros(len(xs))
        top, logs = self._whole(xs) if self.there is None else self._partial(xs, self.there, there)
        for j in self.axes.named:
            logs -= self._apart(xs, there, j)
        even = float(self.weights[-1])
        with np.errstate(divide="ignore"):  # what is too far from every centre has the uniform share only
            near = np.log(_exp(logs) @ self.weights[:-1])
        return np.logaddexp(near, math.log(even) - top if even else -math.inf) + top

    def draw(self, u: np.ndarray) -> np.ndarray:
        """Points (c, d) of the mixture, from numbers u (c, d + 1) independent and uniform on [0, 1)."""
        n = len(self.centres)
        if not n:
            return self.axes.centre(u[:, 1:])
        chosen = self.weights[:-1].cumsum().searchsorted(u[:, 0], side="right")
        row, u = np.minimum(chosen, n - 1), u[:, 1:]
        known = (chosen < n)[:, None]
        if self.there is not None:
            known = known & self.there[row]
        c, s, (below, above) = self.centres[row], self.widths, self._inside[:, :, row]
        xs = c + s * math.sqrt(2) * _erfinv(u * (below + above).T - below.T)
        xs = np.minimum(np.maximum(xs, 0.0), 1.0)
        for j in self.axes.stepped:
            xs[:, j] = self._step(self.axes.index(c, j), u[:, j], j)
        for j in self.axes.named:
            xs[:, j] = np.where(u[:, j] < s[j], u[:, j] / s[j], c[:, j])
        return self.axes.centre(np.where(known, xs, u))

    def _whole(self, xs: np.ndarray) -> tuple[float, np.ndarray]:
        """The highest logarithm of a kernel, and by how much they are below it (c, n) at points (c, d), if these have
        the values of all unordered coordinates: -(x - c)^2 / 2 s^2 and what there is at the centre."""
        left, (top, rest) = xs * self._scale, self._rest
        logs = (2 * left) @ self._scaled  # as a product of matrices
        logs += rest
        logs -= (left * left).sum(1, keepdims=True)
        return top, logs

    def _partial(self, xs: np.ndarray, known: np.ndarray, there: np.ndarray | None) -> tuple[float, np.ndarray]:
        """The same where not all coordinates are there; the first number is at least so high."""
        left, has, known = xs * self._scale, np.ones(xs.shape) if there is None else there, known.T
        peaks = self._logs() * known
        top = float(peaks.sum(0).max())
        logs = (2 * left * has) @ (self._scaled * known)
        logs += has @ (peaks - self._scaled * self._scaled * known) - top
        logs -= (left * left * has) @ known
        return top, logs

    @cached_property
    def _rest(self) -> tuple[float, np.ndarray]:
        """The highest logarithm of a kernel, and (n,) what is a function of centres only in their differences to it."""
        peaks = self._peaks()
        top = float(peaks.max())
        return top, peaks - top - (self._scaled * self._scaled).sum(0)

    def _peaks(self) -> np.ndarray:
        """(n,) the logarithm of every kernel at its centre."""
        if len(self.axes.discrete):
            return self._logs().sum(0)
        masses = (self._inside[0] + self._inside[1]) / self._scale[:, None]  # the usual case, quicker
        some = np.log(np.multiply.reduceat(masses, range(0, len(masses), _FEW)))
        return len(masses) * math.log(2 / math.sqrt(math.pi)) - some.sum(0)

    def _logs(self) -> np.ndarray:
        """(d, n) the logarithm of every factor at its centre; none is below 0."""
        logs, some = np.empty_like(self._scaled), self.axes.smooth
        if some:
            inside = self._inside[0, some] + self._inside[1, some]
            logs[some] = np.log(self._scale[some, None] * (2 / math.sqrt(math.pi)) / inside)
        for j in self.axes.stepped:
            k, tails, place = int(self.axes.cells[j]), self._tails(j), self.axes.index(self.centres, j)
            logs[j] = np.log(k / (tails[place] + tails[k - 1 - place] - 1.0))
        for j in self.axes.named:
            logs[j] = math.log(self.widths[j]) + self._bonus(j)
        return logs

    def _bonus(self, j: int) -> float:
        """By how much a kernel's logarithm is larger in its own cell than in another one, of those without an order."""
        s = float(self.widths[j])
        return math.log1p((1 - s) * int(self.axes.cells[j]) / s)

    def _tails(self, j: int) -> np.ndarray:
        """(k,): the sums of exp(-distance^2 / 2 s^2) over the cells 0, ..., i apart."""
        k = int(self.axes.cells[j])
        return np.cumsum(np.exp(-0.5 * (np.arange(k) / (k * self.widths[j])) ** 2))

    def _step(self, place: np.ndarray, u: np.ndarray, j: int) -> np.ndarray:
        """The middles (c,) of the cells drawn about those of the number `place`, by inversion."""
        k, tails = int(self.axes.cells[j]), self._tails(j)
        # sums over the distances -(k - 1), ..., k - 1, of which a centre sees the k that lead to cells
        sums = np.concatenate([[0.0], tails[-1] - tails[::-1][1:], tails[-1] - 1.0 + tails])
        low, high = sums[k - 1 - place], sums[2 * k - 1 - place]
        found = np.searchsorted(sums, low + u * (high - low), side="right") - 1
        return (np.clip(found - (k - 1 - place), 0, k - 1) + 0.5) / k

    def _apart(self, xs: np.ndarray, there: np.ndarray | None, j: int) -> np.ndarray:
        """(c, n): `_bonus` where the cells are not the same, of those that both have."""
        other = self.axes.index(xs, j)[:, None] != self.axes.index(self.centres, j)
        if self.there is not None:
            other &= self.there[:, j] if there is None else self.there[:, j] & there[:, j, None]
        return other * self._bonus(j)


def _exp(x: np.ndarray) -> np.ndarray:
    if x.size < _SMALL:
        return np.exp(x)
    return torch.from_numpy(x).exp_().numpy()  # several times as quick as NumPy's on most machines


def _erf(x: np.ndarray) -> np.ndarray:
    return torch.from_numpy(x).erf().numpy()


def _erfinv(x: np.ndarray) -> np.ndarray:
    return torch.from_numpy(x).erfinv_().numpy()
