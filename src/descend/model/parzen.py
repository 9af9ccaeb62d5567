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


@dataclass(frozen=True, eq=False)
class Parzen:
    """The mixture. All arrays are float64 unless noted.

    Fields:
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

    axes: Axes
    centres: np.ndarray
    there: np.ndarray | None
    weights: np.ndarray
    widths: np.ndarray

    def log_density(self, xs: np.ndarray, there: np.ndarray | None = None) -> np.ndarray:
        """(c,) of points (c, d) in the middles of cells, of which there (c, d) bool says what they have; None: all."""
        if not len(self.centres):
            return np.zeros(len(xs))
        scale, (n, d) = self._scale, self.centres.shape
        # -(x - c)^2 / 2 s^2 and everything that is a function of x or of c alone, as one product of matrices
        left, right = xs * scale, self._scaled
        top = sum(map(self._bonus, self.axes.named))  # at least the highest logarithm, so that nothing overflows
        if self.there is None:
            top += float(self._peaks.max())
            table, asked = np.empty((n, d + 2)), np.empty((len(xs), d + 2))
            table[:, :d], table[:, d], table[:, d + 1] = right, self._peaks - top - _squares(right), 1.0
            asked[:, :d], asked[:, d], asked[:, d + 1] = 2 * left, 1.0, -_squares(left)
        else:
            has, known = np.ones(xs.shape) if there is None else there, self.there
            top += float(np.maximum(self._logs, 0.0).sum(1).max())
            table = np.concatenate(
                [right * known, (self._logs - right * right) * known, known, np.full((n, 1), -top)], 1
            )
            asked = np.concatenate([2 * left * has, has, -left * left * has, np.ones((len(xs), 1))], 1)
        logs = asked @ table.T  # (c, n)
        for j in self.axes.named:
            logs += self._agreement(xs, there, j)
        with np.errstate(divide="ignore"):  # what is too far from every centre has the uniform share only
            near = np.log(_exp(logs) @ self.weights[:-1])
            return np.logaddexp(near + top, np.log(self.weights[-1]))

    def draw(self, u: np.ndarray) -> np.ndarray:
        """Points (c, d) of the mixture, from numbers u (c, d + 1) independent and uniform on [0, 1)."""
        n = len(self.centres)
        if not n:
            return self.axes.centre(u[:, 1:])
        chosen = np.searchsorted(np.cumsum(self.weights[:-1]), u[:, 0], side="right")
        row, u = np.minimum(chosen, n - 1), u[:, 1:]
        known = np.broadcast_to((chosen < n)[:, None], u.shape)
        if self.there is not None:
            known = known & self.there[row]
        c, s = self.centres[row], self.widths
        low, high = _phi(np.stack([-c / s, (1 - c) / s]))
        xs = np.clip(c + s * _quantile(low + u * (high - low)), 0.0, 1.0)
        for j in self.axes.stepped:
            xs[:, j] = self._step(self.axes.index(c, j), u[:, j], j)
        for j in self.axes.named:
            xs[:, j] = np.where(u[:, j] < s[j], u[:, j] / s[j], c[:, j])
        return self.axes.centre(np.where(known, xs, u))

    @cached_property
    def _scale(self) -> np.ndarray:
        """(d,) 1 / (s sqrt 2), and 0 for coordinates in which distances mean nothing."""
        return np.where(self.axes.unordered, 0.0, math.sqrt(0.5) / self.widths)

    @cached_property
    def _scaled(self) -> np.ndarray:
        return self.centres * self._scale

    @cached_property
    def _peaks(self) -> np.ndarray:
        """(n,): the sums of `_logs`."""
        if len(self.axes.smooth) == len(self.widths):  # the usual case, quicker
            return -(np.log(self._inside(slice(None))) @ np.ones(len(self.widths)))
        return self._logs.sum(1)

    @cached_property
    def _logs(self) -> np.ndarray:
        """(n, d): the logarithm of every factor at its centre; of one without an order, of that in another cell."""
        logs = np.empty_like(self.centres)
        if self.axes.smooth:
            logs[:, self.axes.smooth] = -np.log(self._inside(self.axes.smooth))
        for j in self.axes.stepped:
            k, tails, place = int(self.axes.cells[j]), self._tails(j), self.axes.index(self.centres, j)
            logs[:, j] = np.log(k / (tails[place] + tails[k - 1 - place] - 1.0))
        for j in self.axes.named:
            logs[:, j] = math.log(self.widths[j])
        return logs

    def _inside(self, which: slice | list[int]) -> np.ndarray:
        """The integrals of exp(-(x - c)^2 / 2 s^2) over [0, 1]."""
        scale, scaled = self._scale[which], self._scaled[:, which]
        return (_erf(scale - scaled) + _erf(scaled.copy())) * (math.sqrt(math.pi) / 2 / scale)

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

    def _agreement(self, xs: np.ndarray, there: np.ndarray | None, j: int) -> np.ndarray:
        """(c, n): `_bonus` where both have the same cell."""
        same = self.axes.index(xs, j)[:, None] == self.axes.index(self.centres, j)
        if self.there is not None:
            same &= self.there[:, j] if there is None else self.there[:, j] & there[:, j, None]
        return same * self._bonus(j)


def _squares(x: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", x, x)


def _exp(x: np.ndarray) -> np.ndarray:
    return torch.from_numpy(x).exp_().numpy()  # several times as quick as NumPy's on most machines


def _erf(x: np.ndarray) -> np.ndarray:
    return torch.from_numpy(x).erf_().numpy()


def _phi(x: np.ndarray) -> np.ndarray:
    return torch.special.ndtr(torch.from_numpy(x)).numpy()


def _quantile(p: np.ndarray) -> np.ndarray:
    return torch.special.ndtri(torch.from_numpy(p)).numpy()
