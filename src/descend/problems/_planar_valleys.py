"""Smooth functions of two variables with a bent or badly scaled valley that leads to the minimizer.

Each formula stands below its row; x and y are the two coordinates. Sources are named in the rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from descend.problems._rows import JAMIL, MORE, planar
from descend.problems.core import Problem

VALLEYS: list[Problem] = []


@planar(
    VALLEYS,
    r"(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2",
    low=(-4.5, -4.5),
    high=(4.5, 4.5),
    start=(1.0, 1.0),
    minimum=0.0,
    minimizers=((3.0, 0.5),),
    source="Beale, On an iterative method for finding a local minimum of a function of more than one variable (1958)",
    tags=("valley", "least-squares", "asymmetric"),
)
def beale(x: Tensor, y: Tensor) -> Tensor:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


@planar(
    VALLEYS,
    r"(x - 13 + ((5 - y)y - 2)y)^2 + (x - 29 + ((y + 1)y - 14)y)^2",
    low=(-20.0, -20.0),
    high=(20.0, 20.0),
    start=(0.5, -2.0),
    minimum=0.0,
    minimizers=((5.0, 4.0),),
    source="Freudenstein and Roth, Numerical solution of systems of nonlinear equations (1963)",
    tags=("valley", "least-squares", "multimodal", "ill-conditioned", "asymmetric"),
)
def freudenstein_roth(x: Tensor, y: Tensor) -> Tensor:
    return (x - 13 + ((5 - y) * y - 2) * y) ** 2 + (x - 29 + ((y + 1) * y - 14) * y) ** 2


@planar(
    VALLEYS,
    r"(x - 10^6)^2 + (y - 2 \cdot 10^{-6})^2 + (xy - 2)^2",
    low=(-2e6, -2.0),
    high=(2e6, 2.0),
    start=(1.0, 1.0),
    minimum=0.0,
    minimizers=((1e6, 2e-6),),
    source=MORE,
    tags=("ill-conditioned", "least-squares", "valley", "asymmetric"),
)
def brown_badly_scaled(x: Tensor, y: Tensor) -> Tensor:
    return (x - 1e6) ** 2 + (y - 2e-6) ** 2 + (x * y - 2) ** 2


@planar(
    VALLEYS,
    r"(10^4 xy - 1)^2 + (e^{-x} + e^{-y} - 1.0001)^2",
    low=(-1.0, -1.0),
    high=(10.0, 10.0),
    start=(0.0, 1.0),
    minimum=0.0,
    minimizers=((1.0981593296997764e-05, 9.106146739866865), (9.106146739866865, 1.0981593296997764e-05)),
    source=MORE,
    tags=("ill-conditioned", "least-squares", "valley", "multimodal", "asymmetric"),
)
def powell_badly_scaled(x: Tensor, y: Tensor) -> Tensor:
    return (1e4 * x * y - 1) ** 2 + (torch.exp(-x) + torch.exp(-y) - 1.0001) ** 2


@planar(
    VALLEYS,
    r"\sum_{i=1}^{10} \left(2 + 2i - e^{ix} - e^{iy}\right)^2",
    low=(-1.0, -1.0),
    high=(1.0, 1.0),
    start=(0.3, 0.4),
    minimum=124.36218235561483,
    minimizers=((0.2578252136703641, 0.2578252136703641),),
    source="Jennrich and Sampson, Application of stepwise regression to nonlinear estimation (1968)",
    tags=("least-squares", "valley", "asymmetric"),
)
def jennrich_sampson(x: Tensor, y: Tensor) -> Tensor:
    terms = [(2 + 2 * i - torch.exp(i * x) - torch.exp(i * y)) ** 2 for i in range(1, 11)]
    return torch.stack(terms).sum(0)


@planar(
    VALLEYS,
    r"100 (y - x^3)^2 + (1 - x)^2",
    low=(-1.5, -1.5),
    high=(1.5, 1.5),
    start=(-1.2, 1.0),
    minimum=0.0,
    minimizers=((1.0, 1.0),),
    source="Leon, A comparison among eight known optimizing procedures (1966)",
    tags=("valley", "ill-conditioned", "least-squares", "asymmetric"),
)
def cube(x: Tensor, y: Tensor) -> Tensor:
    return 100 * (y - x**3) ** 2 + (1 - x) ** 2


@planar(
    VALLEYS,
    r"(x^6 + y^4 - 17)^2 + (2x + y - 4)^2",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(3.0, -2.0),
    minimum=0.0,
    minimizers=((1.0, 2.0), (1.5968041538769333, 0.806391692246133)),
    source=JAMIL,
    tags=("valley", "least-squares", "multimodal", "ill-conditioned", "asymmetric"),
)
def wayburn_seader_1(x: Tensor, y: Tensor) -> Tensor:
    return (x**6 + y**4 - 17) ** 2 + (2 * x + y - 4) ** 2


@planar(
    VALLEYS,
    r"(x^2 + y^2 - 2x)^2 + x / 4",
    low=(-5.0, -5.0),
    high=(10.0, 10.0),
    start=(8.0, -3.0),
    minimum=-0.0037912372204688977,
    minimizers=((-0.029895985050660382, 0.0),),
    source="Schwefel, Numerical optimization of computer models (1981)",
    tags=("valley", "asymmetric"),
)
def zettl(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y**2 - 2 * x) ** 2 + x / 4


@planar(
    VALLEYS,
    r"10^5 x^2 + y^2 - (x^2 + y^2)^2 + 10^{-5} (x^2 + y^2)^4",
    low=(-20.0, -20.0),
    high=(20.0, 20.0),
    start=(12.0, 7.0),
    minimum=-24776.518342317686,
    minimizers=((0.0, 14.945112151891957), (0.0, -14.945112151891957)),
    source="Ali, Khompatraporn and Zabinsky, A numerical evaluation of several stochastic algorithms (2005)",
    tags=("multimodal", "valley"),
)
def dekkers_aarts(x: Tensor, y: Tensor) -> Tensor:
    square = x**2 + y**2
    return 1e5 * x**2 + y**2 - square**2 + 1e-5 * square**4


@planar(
    VALLEYS,
    r"(2x^3 y - y^3)^2 + (6x - y^2 + y)^2",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(-3.0, 4.0),
    minimum=0.0,
    minimizers=((0.0, 0.0), (2.0, 4.0), (1.4643521196636984, -2.5060127607816622)),
    source="Price, A controlled random search procedure for global optimisation (1977)",
    tags=("multimodal", "valley", "least-squares", "ill-conditioned", "asymmetric"),
)
def price_4(x: Tensor, y: Tensor) -> Tensor:
    return (2 * x**3 * y - y**3) ** 2 + (6 * x - y**2 + y) ** 2


@planar(
    VALLEYS,
    r"74 + 100 (y - x^2)^2 + (1 - x)^2 - 400 e^{-10 ((x + 1)^2 + (y + 1)^2)}",
    low=(-2.0, -2.0),
    high=(2.0, 2.0),
    start=(-1.2, 1.0),
    minimum=34.04024310664062,
    minimizers=((-0.9095537365026206, -0.9505717126590494),),
    source=JAMIL,
    tags=("multimodal", "valley", "asymmetric"),
)
def modified_rosenbrock(x: Tensor, y: Tensor) -> Tensor:
    hole = 400 * torch.exp(-10 * ((x + 1) ** 2 + (y + 1) ** 2))
    return 74 + 100 * (y - x**2) ** 2 + (1 - x) ** 2 - hole
