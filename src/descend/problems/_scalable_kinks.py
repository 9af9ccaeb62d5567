"""Functions of any number of variables with kinks or jumps.

Each formula stands below its row and maps points `(..., d)` to values `(...)`. Sources are named in the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.problems._elementary import index
from descend.problems._rows import HAARALA, alternating, everywhere, scalable
from descend.problems.core import Scalable

KINKS: list[Scalable] = []
SCHWEFEL = "Schwefel, Numerical optimization of computer models (1981)"


@scalable(
    KINKS,
    r"\sum_{i=1}^{d} \lvert x_i \rvert",
    low=-10.0,
    high=10.0,
    source=SCHWEFEL,
    tags=("non-smooth", "convex", "separable"),
)
def schwefel_2_20(x: Tensor) -> Tensor:
    return x.abs().sum(-1)


@scalable(
    KINKS,
    r"\max_i \lvert x_i \rvert",
    low=-10.0,
    high=10.0,
    source=SCHWEFEL,
    tags=("non-smooth", "convex"),
)
def schwefel_2_21(x: Tensor) -> Tensor:
    return x.abs().amax(-1)


@scalable(
    KINKS,
    r"\sum_{i=1}^{d} \lvert x_i \rvert + \prod_{i=1}^{d} \lvert x_i \rvert",
    low=-10.0,
    high=10.0,
    source=SCHWEFEL,
    tags=("non-smooth",),
)
def schwefel_2_22(x: Tensor) -> Tensor:
    return x.abs().sum(-1) + x.abs().prod(-1)


@scalable(
    KINKS,
    r"x_1^2 + 100 \sqrt{\sum_{i=2}^{d} x_i^2}",
    low=-5.0,
    high=5.0,
    source="Hansen, Finck, Ros and Auger, Real-parameter black-box optimization benchmarking 2009 (2009)",
    tags=("non-smooth", "convex", "valley"),
)
def sharp_ridge(x: Tensor) -> Tensor:
    return x[..., 0] ** 2 + 100 * torch.linalg.vector_norm(x[..., 1:], dim=-1)


@scalable(
    KINKS,
    r"\sum_{i=1}^{d} \left\lfloor x_i + \tfrac{1}{2} \right\rfloor^2",
    low=-100.0,
    high=100.0,
    source="Bäck and Schwefel, An overview of evolutionary algorithms for parameter optimization (1993)",
    tags=("non-smooth", "discontinuous", "plateau", "separable", "least-squares"),
)
def step(x: Tensor) -> Tensor:
    return (torch.floor(x + 0.5) ** 2).sum(-1)


@scalable(
    KINKS,
    r"\left(\sum_i \lvert x_i \rvert\right) \exp\left(-\sum_i \sin x_i^2\right)",
    low=-2 * math.pi,
    high=2 * math.pi,
    source="Yang, Nature-inspired metaheuristic algorithms (2010)",
    tags=("non-smooth", "multimodal"),
)
def xin_she_yang_2(x: Tensor) -> Tensor:
    return x.abs().sum(-1) * torch.exp(-torch.sin(x**2).sum(-1))


@scalable(
    KINKS,
    r"\max_i \left\lvert \sum_{j=1}^{d} \frac{x_j}{i + j - 1} \right\rvert",
    low=-2.0,
    high=2.0,
    start=lambda dimension: (1.0,) * dimension,
    source=HAARALA,
    tags=("non-smooth", "convex", "ill-conditioned"),
)
def max_hilbert(x: Tensor) -> Tensor:
    i = index(x)
    return (x @ (1 / (i[:, None] + i - 1))).abs().amax(-1)


@scalable(
    KINKS,
    r"\sum_{i=1}^{d-1} \max\{-x_i - x_{i+1}, \; -x_i - x_{i+1} + x_i^2 + x_{i+1}^2 - 1\}",
    low=-2.0,
    high=2.0,
    start=lambda dimension: (-0.5,) * dimension,
    minimum=lambda dimension: (1 - dimension) * math.sqrt(2),
    minimizers=everywhere(math.sqrt(0.5)),
    source=HAARALA,
    tags=("non-smooth", "convex", "asymmetric"),
)
def chained_lq(x: Tensor) -> Tensor:
    here, there = x[..., :-1], x[..., 1:]
    return (torch.relu(here**2 + there**2 - 1) - here - there).sum(-1)


@scalable(
    KINKS,
    r"\sum_{i=1}^{d-1} \max\{x_i^4 + x_{i+1}^2, \; (2 - x_i)^2 + (2 - x_{i+1})^2, \; 2 e^{x_{i+1} - x_i}\}",
    low=-3.0,
    high=3.0,
    start=lambda dimension: (2.0,) * dimension,
    minimum=lambda dimension: 2.0 * (dimension - 1),
    minimizers=everywhere(1.0),
    source=HAARALA,
    tags=("non-smooth", "convex", "asymmetric"),
)
def chained_cb3(x: Tensor) -> Tensor:
    here, there = x[..., :-1], x[..., 1:]
    pieces = (here**4 + there**2, (2 - here) ** 2 + (2 - there) ** 2, 2 * torch.exp(there - here))
    return torch.stack(pieces).amax(0).sum(-1)


@scalable(
    KINKS,
    r"\max\left\{\sum_{i=1}^{d-1} x_i^2 + (x_{i+1} - 1)^2 + x_{i+1} - 1, \;"
    r" \sum_{i=1}^{d-1} -x_i^2 - (x_{i+1} - 1)^2 + x_{i+1} + 1\right\}",
    low=-5.0,
    high=5.0,
    start=alternating(-1.5, 2.0),
    source=HAARALA,
    tags=("non-smooth", "valley", "asymmetric"),
)
def chained_crescent(x: Tensor) -> Tensor:
    here, there = x[..., :-1], x[..., 1:]
    circle = here**2 + (there - 1) ** 2
    return torch.maximum((there + (circle - 1)).sum(-1), (there - (circle - 1)).sum(-1))


@scalable(
    KINKS,
    r"\tfrac{1}{4} \lvert x_1 - 1 \rvert + \sum_{i=1}^{d-1} \left\lvert x_{i+1} - 2 \lvert x_i \rvert + 1 \right\rvert",
    low=-2.0,
    high=2.0,
    minimizers=everywhere(1.0),
    source="Gürbüzbalaban and Overton, On Nesterov's nonsmooth Chebyshev-Rosenbrock functions (2012)",
    tags=("non-smooth", "valley", "asymmetric"),
)
def nonsmooth_chebyshev_rosenbrock(x: Tensor) -> Tensor:
    here, there = x[..., :-1], x[..., 1:]
    return (x[..., 0] - 1).abs() / 4 + (there - 2 * here.abs() + 1).abs().sum(-1)
