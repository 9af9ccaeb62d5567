"""Smooth functions of any number of variables with one minimum and no bent valley: bowls, round and very flat.

Each formula stands below its row and maps points `(..., d)` to values `(...)`. Sources are named in the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.problems._elementary import index
from descend.problems._rows import HANSEN, JAMIL, MORE, everywhere, scalable
from descend.problems.core import Scalable

BOWLS: list[Scalable] = []


@scalable(
    BOWLS,
    r"\sum_{i=1}^{d} x_i^2",
    low=-5.12,
    high=5.12,
    source="De Jong, An analysis of the behavior of a class of genetic adaptive systems (1975)",
    tags=("convex", "separable", "least-squares"),
)
def sphere(x: Tensor) -> Tensor:
    return (x**2).sum(-1)


@scalable(
    BOWLS,
    r"\sum_{i=1}^{d} i x_i^2",
    low=-10.0,
    high=10.0,
    source=JAMIL,
    tags=("convex", "separable", "least-squares"),
)
def sum_of_squares(x: Tensor) -> Tensor:
    return (index(x) * x**2).sum(-1)


@scalable(
    BOWLS,
    r"\sum_{i=1}^{d} 10^{6 (i - 1) / (d - 1)} x_i^2",
    low=-5.0,
    high=5.0,
    source=HANSEN,
    tags=("convex", "separable", "ill-conditioned", "least-squares"),
)
def ellipsoid(x: Tensor) -> Tensor:
    exponents = 6 * (index(x) - 1) / (x.shape[-1] - 1)
    return (10**exponents * x**2).sum(-1)


@scalable(
    BOWLS,
    r"x_1^2 + 10^6 \sum_{i=2}^{d} x_i^2",
    low=-5.0,
    high=5.0,
    source=HANSEN,
    tags=("convex", "separable", "ill-conditioned", "least-squares"),
)
def cigar(x: Tensor) -> Tensor:
    return x[..., 0] ** 2 + 1e6 * (x[..., 1:] ** 2).sum(-1)


@scalable(
    BOWLS,
    r"10^6 x_1^2 + \sum_{i=2}^{d} x_i^2",
    low=-5.0,
    high=5.0,
    source=HANSEN,
    tags=("convex", "separable", "ill-conditioned", "least-squares"),
)
def discus(x: Tensor) -> Tensor:
    return 1e6 * x[..., 0] ** 2 + (x[..., 1:] ** 2).sum(-1)


@scalable(
    BOWLS,
    r"\sum_{i=1}^{d} \lvert x_i \rvert^{2 + 10 (i - 1) / (d - 1)}",
    low=-2.0,
    high=2.0,
    source=HANSEN,
    tags=("convex", "separable", "ill-conditioned"),
)
def different_powers(x: Tensor) -> Tensor:
    return (x.abs() ** (2 + 10 * (index(x) - 1) / (x.shape[-1] - 1))).sum(-1)


@scalable(
    BOWLS,
    r"\sum_{i=1}^{d} \left(\sum_{j=1}^{i} x_j\right)^2",
    low=-65.536,
    high=65.536,
    source="Schwefel, Numerical optimization of computer models (1981)",
    tags=("convex", "least-squares"),
)
def schwefel_1_2(x: Tensor) -> Tensor:
    return (x.cumsum(-1) ** 2).sum(-1)


@scalable(
    BOWLS,
    r"\sum_i x_i^2 + s^2 + s^4, \quad s = \tfrac{1}{2} \sum_{i=1}^{d} i x_i",
    low=-5.0,
    high=10.0,
    source=JAMIL,
    tags=("convex", "least-squares", "asymmetric"),
)
def zakharov(x: Tensor) -> Tensor:
    s = (index(x) * x).sum(-1) / 2
    return (x**2).sum(-1) + s**2 + s**4


@scalable(
    BOWLS,
    r"\sum_{i=1}^{d} \sum_{j=1}^{d} \frac{x_i x_j}{i + j - 1}",
    low=-2.0,
    high=2.0,
    start=lambda dimension: (1.0,) * dimension,
    source="Hilbert, Ein Beitrag zur Theorie des Legendre'schen Polynoms (1894)",
    tags=("convex", "ill-conditioned"),
)
def hilbert(x: Tensor) -> Tensor:
    i = index(x)
    matrix = 1 / (i[:, None] + i - 1)
    return ((x @ matrix) * x).sum(-1)


def decline(dimension: int) -> tuple[tuple[float, ...], ...]:
    """The straight line from 1 at i = 0 to 0 at i = d + 1, which solves the discrete Poisson equation."""
    return (tuple(1 - i / (dimension + 1) for i in range(1, dimension + 1)),)


@scalable(
    BOWLS,
    r"\tfrac{1}{2} \left(x_1^2 + \sum_{i=1}^{d-1} (x_i - x_{i+1})^2 + x_d^2\right) - x_1",
    low=-2.0,
    high=2.0,
    start=lambda dimension: (0.0,) * dimension,
    minimum=lambda dimension: (1 / (dimension + 1) - 1) / 2,
    minimizers=decline,
    source="Nesterov, Introductory lectures on convex optimization (2004), section 2.1.2",
    tags=("convex", "asymmetric"),
)
def nesterov_worst(x: Tensor) -> Tensor:
    ends = x[..., 0] ** 2 + x[..., -1] ** 2
    return (ends + (x.diff(dim=-1) ** 2).sum(-1)) / 2 - x[..., 0]


@scalable(
    BOWLS,
    r"\left(\sum_{i=1}^{d} x_i^2\right)^2",
    low=-10.0,
    high=10.0,
    source="Chung and Reynolds, CAEP: an evolution-based tool for real-valued function optimization (1998)",
    tags=("convex", "ill-conditioned"),
)
def chung_reynolds(x: Tensor) -> Tensor:
    return (x**2).sum(-1) ** 2


@scalable(
    BOWLS,
    r"-\exp\left(-\tfrac{1}{2} \sum_{i=1}^{d} x_i^2\right)",
    low=-3.0,
    high=3.0,
    minimum=lambda _: -1.0,
    source=JAMIL,
    tags=("plateau",),
)
def exponential(x: Tensor) -> Tensor:
    return -torch.exp(-(x**2).sum(-1) / 2)


@scalable(
    BOWLS,
    r"\log \sum_{i=1}^{d} \left(e^{x_i} + e^{-x_i}\right)",
    low=-10.0,
    high=10.0,
    minimum=lambda dimension: math.log(2 * dimension),
    source="Nesterov, Smooth minimization of non-smooth functions (2005)",
    tags=("convex",),
)
def log_sum_exp(x: Tensor) -> Tensor:
    return torch.logsumexp(torch.cat((x, -x), dim=-1), dim=-1)


@scalable(
    BOWLS,
    r"\sum_{i=1}^{d} (x_i - 1)^2 + s^2 + s^4, \quad s = \sum_{i=1}^{d} i (x_i - 1)",
    low=-10.0,
    high=10.0,
    start=lambda dimension: tuple(1 - i / dimension for i in range(1, dimension + 1)),
    minimizers=everywhere(1.0),
    source=MORE,
    tags=("convex", "least-squares", "asymmetric"),
)
def variably_dimensioned(x: Tensor) -> Tensor:
    s = (index(x) * (x - 1)).sum(-1)
    return ((x - 1) ** 2).sum(-1) + s**2 + s**4
