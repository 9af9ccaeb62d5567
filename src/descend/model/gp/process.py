"""A Gaussian process given what was seen: its mean and deviation anywhere, and what these grow by.

Rasmussen and Williams 2006, algorithm 2.1.

Symbols: r = k(phi, phi) + g 1 = l l'; alpha = r^-1 (z - mean); v the variance of the process; of a point, k (n,) its
kernel with what was seen, w = l^-1 k, and v (1 - |w|^2) its variance.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.model.gp.bend import NOWHERE, STRAIGHT, Bend
from descend.model.gp.kernel import matern, matern_with_slope, square_distances

__all__ = ["Local", "Process", "condition"]


@dataclass(frozen=True, eq=False)
class Process:
    """A process given observations.

    Fields: seen (n, p), the bent and scaled features; inverse (p,), what features are scaled by; alpha (n,); half
    (n, n), l^-1; mean, variance and noise, floats, the noise in the same unit as the variance; bend, of the features.
    """

    seen: Tensor
    inverse: Tensor
    alpha: Tensor
    half: Tensor
    mean: float
    variance: float
    noise: float
    bend: Bend = STRAIGHT

    def __call__(self, phi: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (k,) and standard deviation (k,), without noise, at features (k, p)."""
        k = matern(square_distances(self._scaled(phi), self.seen))
        w = k @ self.half.T
        return self.mean + k @ self.alpha, self._deviation(w)

    def _scaled(self, phi: Tensor) -> Tensor:
        return self.bend(phi) * self.inverse

    def _deviation(self, w: Tensor) -> Tensor:
        return (self.variance * (1 - w.square().sum(1)).clamp(min=1e-14)).sqrt()

    def means(self, phi: Tensor) -> Tensor:
        """The mean (k,) at features (k, p)."""
        return self.mean + matern(square_distances(self._scaled(phi), self.seen)) @ self.alpha

    def covariances(self, phi: Tensor, others: Tensor) -> Tensor:
        """Those (k, j), without noise, of what is at features (k, p) and at others (j, p)."""
        a, b = self._scaled(phi), self._scaled(others)
        w = matern(square_distances(a, self.seen)) @ self.half.T
        return self.variance * (
            matern(square_distances(a, b)) - w @ (matern(square_distances(b, self.seen)) @ self.half.T).T
        )

    def imagine(self, phi: Tensor) -> "Process":
        """The process if at features (k, p) its means were seen: it is surer there, and its mean is the same.

        The "Kriging believer" of Ginsbourger, Le Riche and Carraro 2010.
        """
        if not len(phi):
            return self
        scaled, share = self._scaled(phi), self.noise / self.variance
        w = matern(square_distances(scaled, self.seen)) @ self.half.T
        rest = matern(square_distances(scaled, scaled)) - w @ w.T
        rest.diagonal().copy_((1 - w.square().sum(1)).clamp(min=0) + max(share, 1e-9))
        eye = torch.eye(len(phi), dtype=phi.dtype)
        corner = torch.linalg.solve_triangular(_factor(rest, share)[0], eye, upper=False)
        half = torch.cat(
            [torch.nn.functional.pad(self.half, (0, len(phi))), torch.cat([-corner @ w @ self.half, corner], 1)]
        )
        seen, alpha = torch.cat([self.seen, scaled]), torch.cat([self.alpha, torch.zeros_like(phi[:, 0])])
        return Process(seen, self.inverse, alpha, half, self.mean, self.variance, self.noise, self.bend)

    def with_slopes(self, phi: Tensor) -> "Local":
        """As a call, and what is needed for slopes there."""
        scaled = self._scaled(phi)
        k, fall = matern_with_slope(square_distances(scaled, self.seen))
        w = k @ self.half.T
        return Local(self, phi, scaled, fall, w, self.mean + k @ self.alpha, self._deviation(w))


@dataclass(frozen=True, eq=False)
class Local:
    """What a process says at k points.

    Fields: process; phi (k, p), the features; scaled (k, p); fall (k, n); w (k, n); mean, deviation (k,).
    """

    process: Process
    phi: Tensor
    scaled: Tensor
    fall: Tensor
    w: Tensor
    mean: Tensor
    deviation: Tensor

    def back(self, by_mean: Tensor, by_deviation: Tensor) -> Tensor:
        """The derivatives (k, p) by the features of what has these (k,) by the mean and by the deviation."""
        p = self.process
        weight = by_deviation * (-p.variance) / self.deviation
        c = (by_mean[:, None] * p.alpha + weight[:, None] * (self.w @ p.half)) * self.fall
        return 2 * p.inverse * (self.scaled * c.sum(1)[:, None] - c @ p.seen) * p.bend.slope(self.phi)


def condition(
    theta: Tensor, phi: Tensor, owner: Tensor, z: Tensor, strength: float, places: Tensor = NOWHERE
) -> Process:
    """The process of hyperparameters theta (q + 1 + 2 m,) given values z (n,) at features phi (n, p), see `likelihood`.

    Of features, those at m places are bent.
    `strength` is that of the prior of its variance; more noise is added where r has no factor.
    """
    n, q = len(z), len(theta) - 1 - 2 * len(places)
    inverse, bend = (-theta[:q]).exp()[owner], Bend.of(theta[q + 1 :], places)
    seen = bend(phi) * inverse
    k = matern(square_distances(seen, seen))
    g = float(theta[q].exp())
    k.diagonal().fill_(1 + g)
    factor, more = _factor(k, g)
    g += more
    sides = torch.stack([z, torch.ones_like(z)], 1)
    solved = torch.cholesky_solve(sides, factor)
    mean = solved[:, 0].sum() / solved[:, 1].sum()
    alpha = solved[:, 0] - mean * solved[:, 1]
    variance = float(((z - mean).dot(alpha) + strength) / (n + strength))
    half = torch.linalg.solve_triangular(factor, torch.eye(n, dtype=z.dtype), upper=False)
    return Process(seen, inverse, alpha, half, float(mean), variance, variance * g, bend)


def _factor(k: Tensor, g: float) -> tuple[Tensor, float]:
    """The lower factor of k (n, n), and what had to be added to its diagonal, beginning with g."""
    added = 0.0
    for _ in range(40):
        factor, bad = torch.linalg.cholesky_ex(k)
        if not int(bad):
            return factor, added
        more = max(9 * (g + added), 1e-10)
        k.diagonal().add_(more)
        added += more
    raise InvalidValue("a Gaussian process needs features that are numbers, and some of them are NaN")
