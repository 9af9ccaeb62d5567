"""Smooth functions of any number of variables whose minimizer lies at the end of a bent valley.

Each formula stands below its row and maps points `(..., d)` to values `(...)`. Sources are named in the rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from descend.problems._elementary import index
from descend.problems._rows import JAMIL, alternating, everywhere, scalable
from descend.problems.core import Scalable

VALLEYS: list[Scalable] = []


@scalable(
    VALLEYS,
    r"\sum_{i=1}^{d-1} 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2",
    low=-2.048,
    high=2.048,
    start=alternating(-1.2, 1.0),
    minimizers=everywhere(1.0),
    source="Rosenbrock, An automatic method for finding the greatest or least value of a function (1960)",
    tags=("valley", "ill-conditioned", "least-squares", "asymmetric"),
)
def rosenbrock(x: Tensor) -> Tensor:
    here, there = x[..., :-1], x[..., 1:]
    return (100 * (there - here**2) ** 2 + (1 - here) ** 2).sum(-1)


@scalable(
    VALLEYS,
    r"\tfrac{1}{4} (x_1 - 1)^2 + \sum_{i=1}^{d-1} (x_{i+1} - 2x_i^2 + 1)^2",
    low=-2.0,
    high=2.0,
    start=alternating(-1.0, 1.0),
    minimizers=everywhere(1.0),
    source="Gürbüzbalaban and Overton, On Nesterov's nonsmooth Chebyshev-Rosenbrock functions (2012)",
    tags=("valley", "ill-conditioned", "least-squares", "asymmetric"),
)
def chebyshev_rosenbrock(x: Tensor) -> Tensor:
    here, there = x[..., :-1], x[..., 1:]
    return (x[..., 0] - 1) ** 2 / 4 + ((there - 2 * here**2 + 1) ** 2).sum(-1)


def halving(dimension: int) -> tuple[tuple[float, ...], ...]:
    """x_1 = 1 and 2 x_i^2 = x_{i-1}, whose last coordinate may have either sign."""
    head = tuple(2.0 ** -(1 - 2.0 ** (1 - i)) for i in range(1, dimension + 1))
    return head, (*head[:-1], -head[-1])


@scalable(
    VALLEYS,
    r"(x_1 - 1)^2 + \sum_{i=2}^{d} i (2x_i^2 - x_{i-1})^2",
    low=-10.0,
    high=10.0,
    minimizers=halving,
    source="Dixon and Price, Truncated Newton method for sparse unconstrained optimization (1989)",
    tags=("valley", "multimodal", "least-squares", "asymmetric"),
)
def dixon_price(x: Tensor) -> Tensor:
    here, there = x[..., :-1], x[..., 1:]
    return (x[..., 0] - 1) ** 2 + (index(x)[1:] * (2 * there**2 - here) ** 2).sum(-1)


@scalable(
    VALLEYS,
    r"\sum_{i=1}^{d-1} (x_i^2)^{x_{i+1}^2 + 1} + (x_{i+1}^2)^{x_i^2 + 1}",
    low=-1.0,
    high=4.0,
    source=JAMIL,
    tags=("asymmetric",),
)
def brown(x: Tensor) -> Tensor:
    here, there = x[..., :-1] ** 2, x[..., 1:] ** 2
    return (here ** (there + 1) + there ** (here + 1)).sum(-1)


@scalable(
    VALLEYS,
    r"\sum_{i=1}^{d} \sum_{j=1}^{d} \frac{y_{ij}^2}{4000} - \cos y_{ij} + 1,"
    r" \quad y_{ij} = 100 (x_i^2 - x_j)^2 + (1 - x_j)^2",
    low=-10.24,
    high=10.24,
    minimizers=everywhere(1.0),
    source="Whitley and others, Evaluating evolutionary algorithms (1996)",
    tags=("valley", "multimodal", "ill-conditioned", "asymmetric"),
)
def whitley(x: Tensor) -> Tensor:
    row, column = x[..., :, None], x[..., None, :]
    y = 100 * (row**2 - column) ** 2 + (1 - column) ** 2
    return (y**2 / 4000 - torch.cos(y) + 1).sum((-2, -1))


@scalable(
    VALLEYS,
    r"\sum_{i=1}^{d-1} (x_i^2 + x_d^2)^2 - 4x_i + 3",
    low=-2.0,
    high=2.0,
    start=lambda dimension: (1.0,) * dimension,
    minimizers=lambda dimension: ((1.0,) * (dimension - 1) + (0.0,),),
    source="Conn, Gould, Lescrenier and Toint, Performance of a multifrontal scheme (1994)",
    tags=("convex", "asymmetric"),
)
def arrowhead(x: Tensor) -> Tensor:
    shaft = x[..., :-1]
    return ((shaft**2 + x[..., -1:] ** 2) ** 2 - 4 * shaft + 3).sum(-1)
