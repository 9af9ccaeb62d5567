"""How well hyperparameters explain what was seen: the log marginal likelihood of a Gaussian process, and its slope.

Rasmussen and Williams 2006, equations 5.8 and 5.9. The mean is the generalized least squares one, and the variance of
the process is the most probable one given the rest (with an inverse gamma prior), so that only length
scales and the share of noise are left to search. Length scales have the log-normal prior of Hvarfner, Hellsten and
Nardi 2024, "Vanilla Bayesian optimization performs great in high dimensions", whose median grows with the root of their
number.

Symbols: theta (q + 1 + 2 m,): log length scales, the log of the noise's share g of the process's variance, and, where
features are bent, log a and log b, see `bend`; phi (n, p) features; z (n,) standardized values; r = k(phi, phi) + g 1;
alpha = r^-1 (z - mean); v the process's variance.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.model.gp.bend import NOWHERE, Bend
from descend.model.gp.kernel import matern_with_slope, square_distances

__all__ = ["Prior", "log_evidence"]

LOG_NOISE = (math.log(1e-10), math.log(10.0))
"""The box of the log noise share."""


@dataclass(frozen=True)
class Prior:
    """What is believed of theta before anything is seen, independently.

    Fields: length, spread, the mode and the deviation of a log length scale, which is normal; short, the length below
    which it is much less likely still, by exp(-short / length), as few points can be explained by no lengths at all;
    noise, noise_spread, the same of the log noise share, which has a Cauchy law: most losses have none, and some have
    much; strength, of how many observations with variance 1 the process's variance remembers; curl, the deviation of
    log a and log b, which are normal about 0.
    """

    length: float
    spread: float
    short: float
    noise: float
    noise_spread: float
    strength: float
    curl: float

    @staticmethod
    def of(q: int) -> "Prior":
        """That of q length scales."""
        # a log-normal density of ell peaks at exp(mu - sigma^2), with mu = sqrt 2 + log(q) / 2 and sigma = sqrt 3
        return Prior(
            math.sqrt(2) - 3 + 0.5 * math.log(q), math.sqrt(3), 0.1 * math.sqrt(q), math.log(1e-7), 3.0, 2.0, 0.75
        )

    def log_density(self, theta: Tensor, m: int = 0) -> tuple[Tensor, Tensor]:
        """Up to a constant, which is that of nothing bent, and its gradient (q + 1 + 2 m,)."""
        lengths, noise, logs = theta.split([len(theta) - 1 - 2 * m, 1, 2 * m])
        away = (lengths - self.length) / self.spread
        loud = float(noise - self.noise) / self.noise_spread
        slope = -2 * loud / (1 + loud**2) / self.noise_spread
        unlikely = self.short * (-lengths).exp()
        bent = logs / self.curl
        pull = torch.cat([unlikely - away / self.spread, theta.new_tensor([slope]), -bent / self.curl])
        density = -0.5 * away.square().sum() - unlikely.sum() - math.log1p(loud**2) - 0.5 * bent.square().sum()
        return density, pull


def log_evidence(
    theta: Tensor, phi: Tensor, owner: Tensor, z: Tensor, prior: Prior, places: Tensor = NOWHERE
) -> tuple[Tensor, Tensor]:
    """The log posterior density of theta up to a constant, and its gradient; -inf where r has no factor."""
    n, m = len(z), len(places)
    q = len(theta) - 1 - 2 * m
    inverse, bend = (-theta[:q]).exp()[owner], Bend.of(theta[q + 1 :], places)
    scaled = bend(phi) * inverse
    k, slope = matern_with_slope(square_distances(scaled, scaled))
    g = float(theta[q].exp())
    k.diagonal().fill_(1 + g)
    factor, bad = torch.linalg.cholesky_ex(k)
    if int(bad):
        return theta.new_tensor(-math.inf), torch.zeros_like(theta)
    r_inverse = torch.cholesky_inverse(factor)
    ones = r_inverse.sum(1)
    mean = ones.dot(z) / ones.sum()
    alpha = r_inverse @ z - mean * ones
    quadratic = (z - mean).dot(alpha)
    v = (quadratic + prior.strength) / (n + prior.strength)
    density, pull = prior.log_density(theta, m)
    value = density - 0.5 * (n + prior.strength) * v.log() - factor.diagonal().log().sum()
    # d value / d r = (alpha alpha' / v - r^-1) / 2
    by_r = torch.addmm(r_inverse, alpha[:, None], alpha[None] / v, beta=-0.5, alpha=0.5)
    noise = g * by_r.diagonal().sum()
    c = by_r * slope
    by_scaled = 4 * (c.sum(1)[:, None] * scaled - c @ scaled)  # of sum_ij c_ij |scaled_i - scaled_j|^2
    by_length = torch.zeros(q, dtype=theta.dtype).index_add_(0, owner, -(by_scaled * scaled).sum(0))
    by_bend = bend.by_logs(phi, by_scaled * inverse) if m else theta[:0]
    return value, pull + torch.cat([by_length, noise[None], by_bend])
