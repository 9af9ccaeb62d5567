"""The constants of CMA-ES for n ranked points in d dimensions: recombination weights and learning rates.

Hansen 2016, "The CMA Evolution Strategy: A Tutorial" (arXiv:1604.00772), table 1, whose equation numbers are cited.
Symbols: lambda = n, N = d, mu_eff = `mass`, c_sigma = `cs`, d_sigma = `damping`, c_c = `cc`, c_1 = `c1`, c_mu = `cmu`.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["Rates", "default_popsize", "rates"]


@dataclass(frozen=True, slots=True)
class Rates:
    """What an update needs to know beside the points.

    Fields:
        n, d: points and dimensions. mu: how many of the points have a positive weight.
        plus: (n,), the positive weights, which sum to 1, then zeros. minus: (n,), zeros, then the negative weights
            times d. active: whether there are negative ones. total: the sum of all weights.
        least: (n,), tiny numbers. ones: (d,).
        mass: the variance effective selection mass mu_eff. chi: the mean length of a standard normal vector.
        cs, damping, cc, c1, cmu: the learning rates.
    """

    n: int
    d: int
    mu: int
    plus: Tensor
    minus: Tensor
    active: bool
    least: Tensor
    ones: Tensor
    total: float
    mass: float
    chi: float
    cs: float
    damping: float
    cc: float
    c1: float
    cmu: float


def default_popsize(d: int) -> int:
    """4 + floor(3 ln d), eq. 48.

    >>> default_popsize(10)
    10
    """
    return 4 + math.floor(3 * math.log(d))


@lru_cache(maxsize=256)
def rates(n: int, d: int, active: bool, speed: float, dtype: torch.dtype, device: torch.device) -> Rates:
    """The constants for n points in d dimensions.

    Args:
        n: >= 2 points.
        d: >= 1 dimensions.
        active: whether the worse half has negative weights.
        speed: what c1 and cmu are multiplied by: 1, or more where the covariance has fewer numbers to learn.
        dtype, device: of the weights.
    """
    mu = n // 2
    raw = [math.log((n + 1) / 2) - math.log(i + 1) for i in range(n)]  # (49)
    mass = sum(raw[:mu]) ** 2 / sum(w * w for w in raw[:mu])  # (8)
    cs = (mass + 2) / (d + mass + 5)  # (55)
    damping = 1 + 2 * max(0.0, math.sqrt((mass - 1) / (d + 1)) - 1) + cs
    cc = (4 + mass / d) / (d + 4 + 2 * mass / d)  # (56)
    c1 = min(1.0, 2 / ((d + 1.3) ** 2 + mass) * speed)  # (57)
    cmu = min(1 - c1 - 1e-8, 2 * (mass - 2 + 1 / mass) / ((d + 2) ** 2 + mass) * speed)  # (58)
    cmu = max(cmu, 0.0)
    better = sum(raw[:mu])
    plus = [w / better for w in raw[:mu]]  # (53)
    active = active and cmu > 0
    minus = _negative(raw[mu:], d, mass, c1, cmu) if active else [0.0] * (n - mu)
    # two terms of the series for E|N(0, I)|, as everybody has it
    chi = math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d))
    return Rates(
        n,
        d,
        mu,
        torch.tensor(plus + [0.0] * (n - mu), dtype=dtype, device=device),
        torch.tensor([0.0] * mu + [w * d for w in minus], dtype=dtype, device=device),
        active,
        torch.full((n,), torch.finfo(dtype).tiny, dtype=dtype, device=device),
        torch.ones(d, dtype=dtype, device=device),
        sum(plus) + sum(minus),
        mass,
        chi,
        cs,
        damping,
        cc,
        c1,
        cmu,
    )


def _negative(raw: list[float], d: int, mass: float, c1: float, cmu: float) -> list[float]:
    """The weights of the worse half, of a size at which the covariance stays positive definite."""
    size = sum(-w for w in raw)
    worse = size**2 / sum(w * w for w in raw)
    least = min(
        1 + c1 / cmu,  # (50)
        1 + 2 * worse / (mass + 2),  # (51)
        (1 - c1 - cmu) / (d * cmu),  # (52)
    )
    return [least * w / size for w in raw]
