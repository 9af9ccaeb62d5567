"""The mathematics of CMA-ES without a class: a normal distribution, drawing from it, and what a generation teaches it.

Hansen 2016, "The CMA Evolution Strategy: A Tutorial" (arXiv:1604.00772), whose equation numbers stand beside the lines.
Symbols: m = `mean`, sigma = `sigma`, C = `held` by a `Covariance`, p_sigma = `path_sigma`, p_c = `path`, g = `g`.
Every coordinate is measured in units of its `scale`, so that C begins as the identity whatever the problem's units.
Injected points are shortened: Hansen 2011, "Injecting external solutions into CMA-ES" (arXiv:1110.4181).
"""

import math
from typing import Any

import torch
from torch import Tensor

from descend.population.cma_rates import Rates
from descend.population.covariance import Covariance
from descend.tree import state

__all__ = ["Gaussian", "begin", "draw", "learn", "shortened"]

_CEILING = 1e100
"""Of sigma: a function that falls for ever must end in a reason, not in an overflow."""


@state
class Gaussian:
    """The search distribution N(mean, sigma^2 S C S), S = diag(scale), and its memory.

    Fields: mean (d,); sigma > 0; scale (d,) > 0; held, the state of a `Covariance`, that is C; path_sigma (d,) and
    path (d,), the evolution paths of the step size and of the covariance; g, how many generations it has learned from.
    """

    mean: Tensor
    sigma: float
    scale: Tensor
    held: Any
    path_sigma: Tensor
    path: Tensor
    g: int


def begin(
    mean: Tensor, sigma: float, scale: Tensor, family: Covariance[Any], covariance: Tensor | None = None
) -> Gaussian:
    """A distribution with an empty memory.

    Args:
        mean: (d,).
        sigma: > 0, the standard deviation in units of scale.
        scale: (d,) > 0.
        family: of covariances.
        covariance: (d, d) of the coordinates in units of scale; default the identity.
    """
    zeros = torch.zeros_like(mean)
    return Gaussian(mean, sigma, scale, family.begin(mean, covariance), zeros, zeros.clone(), 0)


def draw(gauss: Gaussian, family: Covariance[Any], z: Tensor) -> Tensor:
    """Points (n, d) of the distribution from standard normals (n, d), eq. 38 to 40."""
    return torch.addcmul(gauss.mean, family.draw(gauss.held, z), gauss.scale, value=gauss.sigma)


def learn(gauss: Gaussian, family: Covariance[Any], rates: Rates, xs: Tensor) -> Gaussian:
    """The distribution after a generation. The old one's memory is overwritten, its mean is not.

    Args:
        gauss: the distribution so far, whether or not the points were drawn from it.
        family: of its covariance.
        rates: the constants for n points.
        xs: (n, d), the best first.
    """
    rates = family.paced(gauss.held, rates)
    d, cs, cc, sigma = rates.d, rates.cs, rates.cc, gauss.sigma
    # steps are left sigma times as long as in the equations: numbers are quicker divided by it than tensors
    y = (xs - gauss.mean).div_(gauss.scale)
    z = family.whiten(gauss.held, y)
    yw, zw = y.T.mv(rates.plus), z.T.mv(rates.plus)  # (41)
    mean = torch.addcmul(gauss.mean, gauss.scale, yw)  # (42)
    gain = math.sqrt(cs * (2 - cs) * rates.mass) / sigma
    path_sigma = family.prolong(gauss.held, gauss.path_sigma, 1 - cs, zw, gain)  # (43)
    length = math.sqrt(float(path_sigma.dot(path_sigma)))
    # a longer step than e-fold in one generation comes from points that were not drawn, and is not believed
    new_sigma = min(sigma * math.exp(min(1.0, cs / rates.damping * (length / rates.chi - 1))), _CEILING)  # (44)
    usual = (1.4 + 2 / (d + 1)) * rates.chi * math.sqrt(1 - (1 - cs) ** (2 * (gauss.g + 2)))
    path = gauss.path.mul_(1 - cc)  # (45)
    stalled = cc * (2 - cc)
    if length < usual:  # h_sigma = 1
        path.add_(yw, alpha=math.sqrt(stalled * rates.mass) / sigma)
        stalled = 0.0
    held = family.learn(gauss.held, rates, path, stalled, y, z, zw, sigma)
    return Gaussian(mean, new_sigma, gauss.scale, held, path_sigma, path, gauss.g + 1)


def shortened(gauss: Gaussian, family: Covariance[Any], xs: Tensor) -> Tensor:
    """Points (n, d) from elsewhere, drawn towards the mean where they lie farther out than drawn ones do.

    The Mahalanobis distance is at most sqrt(d) + 2 d / (d + 2), so that one stranger cannot blow up the distribution.
    """
    d = xs.shape[1]
    away = xs - gauss.mean
    z = family.whiten(gauss.held, away / (gauss.scale * gauss.sigma))
    farthest = math.sqrt(d) + 2 * d / (d + 2)
    factor = farthest / torch.linalg.vector_norm(z, dim=1).clamp_min(farthest)
    return torch.addcmul(gauss.mean, away, factor[:, None])
