"""How CMA-ES holds the covariance of its steps: whole, or as a diagonal; see also `restricted` and `limited_memory`.

Whole: C = B D^2 B^T (Hansen 2016, arXiv:1604.00772), decomposed only when enough has been learned to matter.
Diagonal: Ros and Hansen 2008, "A simple modification in CMA-ES achieving linear time and space complexity".
Symbols: y (n, d), steps from the mean, best first; z (n, d), the same as standard normals, C^-1/2 y up to a rotation;
p_c = `path`; w_i = the weights of `Rates`.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.population.cma_rates import Rates, rates
from descend.tree import state

__all__ = ["Covariance", "Diagonal", "Full", "Separable", "Whole", "check_covariance"]

S = TypeVar("S")


class Covariance(ABC, Generic[S]):
    """A family of covariance matrices: how to draw from one, how to undo it, and how it learns. Its state holds one."""

    @abstractmethod
    def begin(self, like: Tensor, covariance: Tensor | None = None) -> S:
        """The identity for points like `like` (d,), or the nearest of the family to a covariance (d, d)."""

    @abstractmethod
    def rates(self, n: int, like: Tensor, active: bool) -> Rates:
        """The weights and learning rates for n points like `like` (d,)."""

    def paced(self, held: S, rates: Rates) -> Rates:
        """The rates where they depend on what is held; else as they are."""
        return rates

    @abstractmethod
    def draw(self, held: S, z: Tensor) -> Tensor:
        """Standard normals (n, d) as steps y (n, d)."""

    @abstractmethod
    def whiten(self, held: S, y: Tensor) -> Tensor:
        """Steps (n, d) as the z (n, d) of which `draw` makes them."""

    @abstractmethod
    def prolong(self, held: S, path: Tensor, fading: float, z: Tensor, gain: float) -> Tensor:
        """fading * path + gain * z (d,) in place, z being turned to coordinates that stay the same when C learns."""

    @abstractmethod
    def learn(
        self, held: S, rates: Rates, path: Tensor, stalled: float, y: Tensor, z: Tensor, zw: Tensor, sigma: float
    ) -> S:
        """The covariance after a generation. What is held may be overwritten.

        Args:
            held: the covariance so far.
            rates: those for n points.
            path: p_c (d,), the evolution path of the mean, in units of sigma; scaled in place where C is.
            stalled: c_c (2 - c_c) where the path was not prolonged (h_sigma = 0), else 0.
            y, z: (n, d), the steps and their white coordinates, times sigma, the best first.
            zw: (d,), the weighted mean of z.
            sigma: that of which y and z are multiples.
        """

    @abstractmethod
    def deviations(self, held: S) -> Tensor:
        """The standard deviation of every coordinate (d,)."""

    @abstractmethod
    def axes(self, held: S) -> tuple[float, float]:
        """The shortest and the longest semi-axis, or (NaN, NaN) if they are not known."""


def check_covariance(covariance: Tensor, d: int) -> None:
    """Refuse what is no covariance of d coordinates.

    Raises:
        ShapeMismatch: it is not (d, d).
        InvalidValue: it is not finite, symmetric and positive definite.
    """
    if tuple(covariance.shape) != (d, d):
        raise ShapeMismatch(f"a covariance of {d} coordinates is ({d}, {d}), got {tuple(covariance.shape)}")
    fine = bool(covariance.isfinite().all()) and torch.allclose(covariance, covariance.mT)
    if not fine or int(torch.linalg.cholesky_ex(covariance).info) != 0:
        raise InvalidValue("a covariance is finite, symmetric and positive definite; this one is not")


@state
class Whole:
    """C (d, d); its eigenvectors in columns (d, d); its semi-axes (d,), ascending, the roots of the eigenvalues.

    The last two are those of the time of the last decomposition; `waited` counts the generations since, and `ends` are
    the shortest and the longest semi-axis.
    """

    matrix: Tensor
    vectors: Tensor
    roots: Tensor
    waited: int
    ends: tuple[float, float]


@dataclass(frozen=True)
class Full(Covariance[Whole]):
    """Any covariance. d^2 numbers, d^2 operations a point, and d^3 for a decomposition now and then.

    Args:
        patience: >= 0, how much may be learned before C is decomposed again: a generation changes an eigenvalue by
            about (c1 + cmu) d of it, and decompositions are made when that has added up to `patience`. Default 0.5,
            which at d = 10 means every second generation and at d = 100 every third. The tutorial has 0.1, at which
            nothing that we measured gets better; at 1 Rosenbrock's function takes a fifth longer.

    Raises:
        InvalidValue: a number outside its range.
    """

    patience: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.patience < math.inf:
            raise InvalidValue(f"patience must be finite and >= 0, got patience={self.patience!r}; write patience=0.5")

    def begin(self, like: Tensor, covariance: Tensor | None = None) -> Whole:
        d = like.shape[0]
        if covariance is None:
            eye = torch.eye(d, dtype=like.dtype, device=like.device)
            return Whole(eye, eye.clone(), torch.ones_like(like), 0, (1.0, 1.0))
        check_covariance(covariance, d)
        matrix = covariance.to(like).clone()
        return _decomposed(Whole(matrix, matrix, like, 0, (1.0, 1.0)))

    def rates(self, n: int, like: Tensor, active: bool) -> Rates:
        return rates(n, like.shape[0], active, 1.0, like.dtype, like.device)

    def draw(self, held: Whole, z: Tensor) -> Tensor:
        return (z * held.roots) @ held.vectors.T

    def whiten(self, held: Whole, y: Tensor) -> Tensor:
        return (y @ held.vectors).div_(held.roots)

    def prolong(self, held: Whole, path: Tensor, fading: float, z: Tensor, gain: float) -> Tensor:
        return path.addmv_(held.vectors, z, beta=fading, alpha=gain)  # C^-1/2 y = B D^-1 B^T y = B z

    def learn(
        self, held: Whole, rates: Rates, path: Tensor, stalled: float, y: Tensor, z: Tensor, zw: Tensor, sigma: float
    ) -> Whole:
        c1, cmu, matrix = rates.c1, rates.cmu, held.matrix
        weights = _weights(rates, z, sigma)  # (47)
        matrix.addmm_(y.T * weights, y, beta=1 - c1 + c1 * stalled - cmu * rates.total, alpha=cmu / sigma**2)
        matrix.addr_(path, path, alpha=c1)
        waited = held.waited + 1
        if waited * (c1 + cmu) * rates.d >= self.patience:
            return _decomposed(held)
        return Whole(matrix, held.vectors, held.roots, waited, held.ends)

    def deviations(self, held: Whole) -> Tensor:
        return held.matrix.diagonal().clamp_min(0).sqrt()

    def axes(self, held: Whole) -> tuple[float, float]:
        return held.ends


def _weights(rates: Rates, z: Tensor, sigma: float) -> Tensor:
    """The weights (n,) of white points (n, d), sigma z: a negative one times d / |z_i|^2, eq. 46, so that no point
    takes away more of the variance in its direction than one of the usual length."""
    if not rates.active:
        return rates.plus
    squares = torch.addmv(rates.least, z * z, rates.ones)  # quicker than a sum, and never 0
    return torch.addcdiv(rates.plus, rates.minus, squares, value=sigma * sigma)


def _decomposed(held: Whole) -> Whole:
    matrix = held.matrix
    try:
        values, vectors = torch.linalg.eigh(matrix)
    except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
        # it has overflowed: the axes say so, and the old ones stay in use
        return Whole(matrix, held.vectors, held.roots, 0, (math.nan, math.nan))
    ends = values.tolist()
    least, most = ends[0], ends[-1]
    if not 0 < least <= most < math.inf:
        if not 0 < most < math.inf:
            return Whole(matrix, held.vectors, held.roots, 0, (math.nan, math.nan))
        values = values.clamp_min(torch.finfo(values.dtype).eps * most)  # it was rounded to below 0
    return Whole(matrix, vectors, values.sqrt(), 0, (math.sqrt(max(least, 0.0)), math.sqrt(most)))


@state
class Diagonal:
    """variances (d,) and their roots (d,)."""

    variances: Tensor
    roots: Tensor


@dataclass(frozen=True)
class Separable(Covariance[Diagonal]):
    """A diagonal covariance: d numbers, learned (d + 2) / 3 times as fast. For separable problems or large d."""

    def begin(self, like: Tensor, covariance: Tensor | None = None) -> Diagonal:
        if covariance is None:
            return Diagonal(torch.ones_like(like), torch.ones_like(like))
        check_covariance(covariance, like.shape[0])
        variances = covariance.diagonal().to(like).clone()
        return Diagonal(variances, variances.sqrt())

    def rates(self, n: int, like: Tensor, active: bool) -> Rates:
        d = like.shape[0]
        return rates(n, d, active, (d + 2) / 3, like.dtype, like.device)

    def draw(self, held: Diagonal, z: Tensor) -> Tensor:
        return z * held.roots

    def whiten(self, held: Diagonal, y: Tensor) -> Tensor:
        return y / held.roots

    def prolong(self, held: Diagonal, path: Tensor, fading: float, z: Tensor, gain: float) -> Tensor:
        return path.mul_(fading).add_(z, alpha=gain)

    def learn(
        self, held: Diagonal, rates: Rates, path: Tensor, stalled: float, y: Tensor, z: Tensor, zw: Tensor, sigma: float
    ) -> Diagonal:
        c1, cmu = rates.c1, rates.cmu
        rank_mu = (y * y).T.mv(_weights(rates, z, sigma))
        variances = held.variances.mul_(1 - c1 + c1 * stalled - cmu * rates.total)
        variances.add_(rank_mu, alpha=cmu / sigma**2).addcmul_(path, path, value=c1)
        return Diagonal(variances, variances.sqrt())

    def deviations(self, held: Diagonal) -> Tensor:
        return held.roots

    def axes(self, held: Diagonal) -> tuple[float, float]:
        least, most = held.roots.aminmax()
        return float(least), float(most)
