"""Smooth functions of two variables with one or a few minima: bowls, humps, cliffs, flat bottoms.

Each formula stands below its row; x and y are the two coordinates. Sources are named in the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.problems._rows import JAMIL, MISHRA, planar
from descend.problems.core import Problem

BOWLS: list[Problem] = []


@planar(
    BOWLS,
    r"(x + 2y - 7)^2 + (2x + y - 5)^2",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(-8.0, -3.0),
    minimum=0.0,
    minimizers=((1.0, 3.0),),
    source=JAMIL,
    tags=("convex", "least-squares", "asymmetric"),
)
def booth(x: Tensor, y: Tensor) -> Tensor:
    return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


@planar(
    BOWLS,
    r"0.26 (x^2 + y^2) - 0.48 xy",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(-7.0, 5.0),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=JAMIL,
    tags=("convex",),
)
def matyas(x: Tensor, y: Tensor) -> Tensor:
    return 0.26 * (x**2 + y**2) - 0.48 * x * y


@planar(
    BOWLS,
    r"7x^2 - 6\sqrt{3} xy + 13y^2",
    low=(-500.0, -500.0),
    high=(500.0, 500.0),
    start=(300.0, -400.0),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=JAMIL,
    tags=("convex",),
)
def rotated_ellipse(x: Tensor, y: Tensor) -> Tensor:
    return 7 * x**2 - 6 * math.sqrt(3) * x * y + 13 * y**2


@planar(
    BOWLS,
    r"x^4 / 4 - x^2 / 2 + x / 10 + y^2 / 2",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(6.0, -7.0),
    minimum=-0.3523860738000364,
    minimizers=((-1.0466805318046024, 0.0),),
    source="Aluffi-Pentini, Parisi and Zirilli, Global optimization and stochastic differential equations (1985)",
    tags=("multimodal", "separable", "asymmetric"),
)
def zirilli(x: Tensor, y: Tensor) -> Tensor:
    return x**4 / 4 - x**2 / 2 + x / 10 + y**2 / 2


@planar(
    BOWLS,
    r"2x^2 - 1.05x^4 + x^6 / 6 + xy + y^2",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(-4.0, 3.0),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=JAMIL,
    tags=("multimodal",),
)
def three_hump_camel(x: Tensor, y: Tensor) -> Tensor:
    return 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2


@planar(
    BOWLS,
    r"4x^2 - 2.1x^4 + x^6 / 3 + xy - 4y^2 + 4y^4",
    low=(-3.0, -2.0),
    high=(3.0, 2.0),
    start=(-2.0, 1.5),
    minimum=-1.0316284534898776,
    minimizers=((0.08984201310031807, -0.7126564030207396), (-0.08984201310031807, 0.7126564030207396)),
    source="Dixon and Szegő, The global optimization problem: an introduction (1978)",
    tags=("multimodal",),
)
def six_hump_camel(x: Tensor, y: Tensor) -> Tensor:
    return 4 * x**2 - 2.1 * x**4 + x**6 / 3 + x * y - 4 * y**2 + 4 * y**4


@planar(
    BOWLS,
    r"(x + 10)^2 + (y + 10)^2 + e^{-x^2 - y^2}",
    low=(-20.0, -20.0),
    high=(5.0, 5.0),
    start=(3.0, -1.0),
    minimum=math.exp(-200),
    minimizers=((-10.0, -10.0),),
    source=JAMIL,
    tags=("convex", "asymmetric"),
)
def brent(x: Tensor, y: Tensor) -> Tensor:
    return (x + 10) ** 2 + (y + 10) ** 2 + torch.exp(-(x**2) - y**2)


# In u = x + y and v = x - y it is sin(u) + u / 2 plus (v - 1)^2, which gives the minimizer in closed form.
@planar(
    BOWLS,
    r"\sin(x + y) + (x - y)^2 - 1.5x + 2.5y + 1",
    low=(-1.5, -3.0),
    high=(4.0, 4.0),
    start=(3.0, 0.0),
    minimum=-math.sqrt(3) / 2 - math.pi / 3,
    minimizers=((0.5 - math.pi / 3, -0.5 - math.pi / 3),),
    source="McCormick, Applied nonlinear programming (1982)",
    tags=("multimodal", "asymmetric"),
)
def mccormick(x: Tensor, y: Tensor) -> Tensor:
    return torch.sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1


@planar(
    BOWLS,
    r"\left(1 - 8x + 7x^2 - \tfrac{7}{3}x^3 + \tfrac{1}{4}x^4\right) y^2 e^{-y}",
    low=(0.0, 0.0),
    high=(5.0, 6.0),
    start=(2.5, 5.0),
    minimum=-52 / 3 * math.exp(-2),
    minimizers=((4.0, 2.0),),
    source="Bekey and Ung, A comparative evaluation of two global search algorithms (1974)",
    tags=("multimodal", "asymmetric"),
)
def hosaki(x: Tensor, y: Tensor) -> Tensor:
    return (1 - 8 * x + 7 * x**2 - 7 / 3 * x**3 + x**4 / 4) * y**2 * torch.exp(-y)


@planar(
    BOWLS,
    r"\cos x \sin y - \frac{x}{y^2 + 1}",
    low=(-1.0, -1.0),
    high=(2.0, 1.0),
    start=(-0.5, 0.7),
    minimum=-2.0218067833597866,
    minimizers=((2.0, 0.10578346945171692),),
    source="Adjiman and others, A global optimization method for general twice-differentiable constrained NLPs (1998)",
    tags=("boundary", "asymmetric"),
)
def adjiman(x: Tensor, y: Tensor) -> Tensor:
    return torch.cos(x) * torch.sin(y) - x / (y**2 + 1)


@planar(
    BOWLS,
    r"\left(1 + (x + y + 1)^2 (19 - 14x + 3x^2 - 14y + 6xy + 3y^2)\right)"
    r"\left(30 + (2x - 3y)^2 (18 - 32x + 12x^2 + 48y - 36xy + 27y^2)\right)",
    low=(-2.0, -2.0),
    high=(2.0, 2.0),
    start=(1.5, 1.2),
    minimum=3.0,
    minimizers=((0.0, -1.0),),
    source="Goldstein and Price, On descent from local minima (1971)",
    tags=("multimodal", "asymmetric"),
)
def goldstein_price(x: Tensor, y: Tensor) -> Tensor:
    first = 1 + (x + y + 1) ** 2 * (19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2)
    return first * (30 + (2 * x - 3 * y) ** 2 * (18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2))


@planar(
    BOWLS,
    r"\left(y - \frac{5.1 x^2}{4\pi^2} + \frac{5x}{\pi} - 6\right)^2 + 10\left(1 - \frac{1}{8\pi}\right)\cos x + 10",
    low=(-5.0, 0.0),
    high=(10.0, 15.0),
    start=(5.0, 10.0),
    minimum=10 / (8 * math.pi),
    minimizers=((-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475)),
    source="Branin, Widely convergent method for finding multiple solutions of simultaneous nonlinear equations (1972)",
    tags=("multimodal", "asymmetric"),
)
def branin(x: Tensor, y: Tensor) -> Tensor:
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * torch.cos(x) + 10


@planar(
    BOWLS,
    r"3x^4 - 2x^2 y^2 + 3y^4",
    low=(-2.0, -2.0),
    high=(2.0, 2.0),
    start=(1.0, 0.1),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source="Sisser, A modified Newton's method for minimizing factorable functions (1982)",
    tags=("ill-conditioned",),
)
def sisser(x: Tensor, y: Tensor) -> Tensor:
    return 3 * x**4 - 2 * x**2 * y**2 + 3 * y**4


@planar(
    BOWLS,
    r"x^4 + 4x^3 + 4x^2 + y^2",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(4.0, -3.0),
    minimum=0.0,
    minimizers=((0.0, 0.0), (-2.0, 0.0)),
    source="Dixon and Szegő, The global optimization problem: an introduction (1978)",
    tags=("multimodal", "separable", "asymmetric"),
)
def trecanni(x: Tensor, y: Tensor) -> Tensor:
    return x**4 + 4 * x**3 + 4 * x**2 + y**2


@planar(
    BOWLS,
    r"x e^{-x^2 - y^2}",
    low=(-2.0, -2.0),
    high=(6.0, 6.0),
    start=(-1.5, 1.0),
    minimum=-1 / math.sqrt(2 * math.e),
    minimizers=((-math.sqrt(0.5), 0.0),),
    source="Gramacy and Lee, Adaptive design and analysis of supercomputer experiments (2009)",
    tags=("plateau", "asymmetric"),
)
def gramacy_lee(x: Tensor, y: Tensor) -> Tensor:
    return x * torch.exp(-(x**2) - y**2)


@planar(
    BOWLS,
    r"(x - 2)^4 + (x - 2y)^2",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(0.0, 3.0),
    minimum=0.0,
    minimizers=((2.0, 1.0),),
    source="Bazaraa and Shetty, Nonlinear programming: theory and algorithms (1979)",
    tags=("convex", "least-squares", "ill-conditioned", "asymmetric"),
)
def bazaraa_shetty(x: Tensor, y: Tensor) -> Tensor:
    return (x - 2) ** 4 + (x - 2 * y) ** 2


# At the minimizer x = 3 and 20 exp(20 (x - y)) = 1.
@planar(
    BOWLS,
    r"\left(\frac{x - 3}{100}\right)^2 - (x - y) + e^{20 (x - y)}",
    low=(-1.0, -1.0),
    high=(4.0, 4.0),
    start=(0.0, -1.0),
    minimum=(math.log(20) + 1) / 20,
    minimizers=((3.0, 3.0 + math.log(20) / 20),),
    source="Buckley, Test functions for unconstrained minimization (1989), problem 206",
    tags=("convex", "ill-conditioned", "asymmetric"),
)
def cliff(x: Tensor, y: Tensor) -> Tensor:
    return ((x - 3) / 100) ** 2 - (x - y) + torch.exp(20 * (x - y))


@planar(
    BOWLS,
    r"(x^2 + y - 11)^2 + (x + y^2 - 7)^2",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(-1.0, -0.5),
    minimum=0.0,
    minimizers=(
        (3.0, 2.0),
        (-2.805118086952745, 3.131312518250573),
        (-3.779310253377747, -3.2831859912861696),
        (3.5844283403304917, -1.8481265269644034),
    ),
    source="Himmelblau, Applied nonlinear programming (1972)",
    tags=("multimodal", "least-squares", "asymmetric"),
)
def himmelblau(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2


@planar(
    BOWLS,
    r"0.6 + \sum_{z \in \{x, y\}} \sin^2(u_z) + \sin(u_z) + \tfrac{1}{50}\sin(4 u_z), \quad u_z = \tfrac{16}{15}z - 1",
    low=(-1.0, -1.0),
    high=(1.0, 1.0),
    start=(-0.8, 0.9),
    minimum=0.06447042053690566,
    minimizers=((0.4673200253979607, 0.4673200253979607),),
    source=MISHRA,
    tags=("separable", "asymmetric"),
)
def giunta(x: Tensor, y: Tensor) -> Tensor:
    def wave(z: Tensor) -> Tensor:
        u = 16 / 15 * z - 1
        return torch.sin(u) ** 2 + torch.sin(u) + torch.sin(4 * u) / 50

    return 0.6 + wave(x) + wave(y)
