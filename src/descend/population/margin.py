"""A margin that keeps discrete coordinates alive: neighbouring values never become too unlikely to be drawn.

Hamano, Saito, Nomura and Shirakawa 2022, "CMA-ES with margin: lower-bounding marginal probability for mixed-integer
black-box optimization" (arXiv:2205.13482), section 4.
Symbols: alpha = `least`, the probability that is kept; A = `stretch` (d,), by how much longer steps are when a point is
read than when it is learned from; l_low and l_up = `low` and `up`, the borders of the mean's cell.
"""

import math

import torch
from torch import Tensor

from descend.population.cma_update import Gaussian
from descend.space.domain import Domain

__all__ = ["keep_alive", "read"]


def read(gauss: Gaussian, domain: Domain, stretch: Tensor, drawn: Tensor) -> Tensor:
    """The points (n, d) that drawn ones mean: stretched, in the box, and in the middle of their cells."""
    if domain.discrete:
        drawn = torch.addcmul(gauss.mean, drawn - gauss.mean, stretch)
    return domain.centre(domain.clip(drawn))


def keep_alive(
    gauss: Gaussian, deviations: Tensor, domain: Domain, stretch: Tensor, least: float
) -> tuple[Tensor, Tensor]:
    """The mean (d,) and the stretch (d,) with which no neighbouring value is less likely than `least`, about.

    Args:
        gauss: the distribution after a generation.
        deviations: (d,), of its coordinates, in units of sigma and scale.
        domain: some of whose coordinates have cells.
        stretch: (d,), before.
        least: the probability that is kept, 1 / (d n) in the paper.
    """
    some = (domain.cells > 0).nonzero()[:, 0]
    mean, factor = gauss.mean[some].double(), stretch[some].double()
    cells, lower = domain.cells[some], domain.lower[some].double()
    width = (domain.upper[some].double() - lower) / cells
    unit = (deviations * gauss.scale)[some].double() * gauss.sigma  # sigma sqrt(C_jj)
    place = ((mean - lower) / width).floor().clamp(min=0).minimum(cells - 1)
    first, last = place == 0, place == cells - 1
    low = lower + width * torch.where(first, place + 1, place)  # an outermost cell has one border
    up = lower + width * torch.where(last, place, place + 1)
    spread = (unit * factor).clamp_min(torch.finfo(torch.float64).tiny)
    below, above = _cdf((low - mean) / spread), _cdf((mean - up) / spread)

    # at the end of the range: the mean stays near enough to the one border
    border = torch.where(first, low, up)
    reach = spread * _quantile(torch.tensor(least, dtype=torch.float64, device=mean.device))
    held = border + (mean - border).clamp(-reach, reach)

    # in between: both neighbours keep alpha / 2 by a longer stretch and a shifted mean
    half = least / 2
    low_part, up_part, middle = below.clamp_min(half), above.clamp_min(half), 1 - below - above
    excess = (1 - low_part - up_part - middle) / (low_part + up_part + middle - 3 * half)
    to_low = _quantile(low_part + excess * (low_part - half))
    to_up = _quantile(up_part + excess * (up_part - half))
    between = (low * to_up + up * to_low) / (to_low + to_up)
    longer = (up - low) / ((to_low + to_up) * unit.clamp_min(torch.finfo(torch.float64).tiny))

    end = first | last
    new_mean, new_stretch = gauss.mean.clone(), stretch.clone()
    new_mean[some] = torch.where(end, held, between).to(mean.dtype).to(new_mean)
    new_stretch[some] = torch.where(end, factor, longer).to(new_stretch)
    return new_mean, new_stretch


def _cdf(x: Tensor) -> Tensor:
    return 0.5 * torch.erfc(x.neg() / math.sqrt(2))


def _quantile(p: Tensor) -> Tensor:
    """The z > 0 with P(N > z) = p, which is the root of the chi-squared quantile at 1 - 2 p."""
    return torch.special.ndtri(p.clamp(1e-10, 0.5 - 1e-10)).neg()
