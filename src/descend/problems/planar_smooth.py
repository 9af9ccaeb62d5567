"""Smooth functions of two variables with few minima: bowls, bent valleys, bad scaling, degenerate minimizers.

Each formula stands below its row; x and y are the two coordinates. Sources are named in the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.problems.core import Problem
from descend.problems.rows import JAMIL, MORE, planar

SMOOTH: list[Problem] = []


@planar(
    SMOOTH,
    r"(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2",
    low=(-4.5, -4.5), high=(4.5, 4.5), start=(1.0, 1.0),
    minimum=0.0, minimizers=((3.0, 0.5),),
    source="Beale, On an iterative method for finding a local minimum of a function of more than one variable (1958)",
    tags=("valley", "least-squares", "multimodal", "asymmetric"),
)
def beale(x: Tensor, y: Tensor) -> Tensor:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


@planar(
    SMOOTH,
    r"(x + 2y - 7)^2 + (2x + y - 5)^2",
    low=(-10.0, -10.0), high=(10.0, 10.0), start=(-8.0, -3.0),
    minimum=0.0, minimizers=((1.0, 3.0),),
    source=JAMIL, tags=("convex", "least-squares", "asymmetric"),
)
def booth(x: Tensor, y: Tensor) -> Tensor:
    return (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2


@planar(
    SMOOTH,
    r"0.26 (x^2 + y^2) - 0.48 xy",
    low=(-10.0, -10.0), high=(10.0, 10.0), start=(-7.0, 5.0),
    minimum=0.0, minimizers=((0.0, 0.0),),
    source=JAMIL, tags=("convex",),
)
def matyas(x: Tensor, y: Tensor) -> Tensor:
    return 0.26 * (x**2 + y**2) - 0.48 * x * y


@planar(
    SMOOTH,
    r"7x^2 - 6\sqrt{3} xy + 13y^2",
    low=(-500.0, -500.0), high=(500.0, 500.0), start=(300.0, -400.0),
    minimum=0.0, minimizers=((0.0, 0.0),),
    source=JAMIL, tags=("convex",),
)
def rotated_ellipse(x: Tensor, y: Tensor) -> Tensor:
    return 7 * x**2 - 6 * math.sqrt(3) * x * y + 13 * y**2


@planar(
    SMOOTH,
    r"(x - 13 + ((5 - y)y - 2)y)^2 + (x - 29 + ((y + 1)y - 14)y)^2",
    low=(-20.0, -20.0), high=(20.0, 20.0), start=(0.5, -2.0),
    minimum=0.0, minimizers=((5.0, 4.0),),
    source="Freudenstein and Roth, Numerical solution of systems of nonlinear equations (1963)",
    tags=("valley", "least-squares", "multimodal", "ill-conditioned", "asymmetric"),
)
def freudenstein_roth(x: Tensor, y: Tensor) -> Tensor:
    return (x - 13 + ((5 - y) * y - 2) * y) ** 2 + (x - 29 + ((y + 1) * y - 14) * y) ** 2


@planar(
    SMOOTH,
    r"(x - 10^6)^2 + (y - 2 \cdot 10^{-6})^2 + (xy - 2)^2",
    low=(-2e6, -2.0), high=(2e6, 2.0), start=(1.0, 1.0),
    minimum=0.0, minimizers=((1e6, 2e-6),),
    source=MORE, tags=("ill-conditioned", "least-squares", "valley", "asymmetric"),
)
def brown_badly_scaled(x: Tensor, y: Tensor) -> Tensor:
    return (x - 1e6) ** 2 + (y - 2e-6) ** 2 + (x * y - 2) ** 2


@planar(
    SMOOTH,
    r"(10^4 xy - 1)^2 + (e^{-x} + e^{-y} - 1.0001)^2",
    low=(-1.0, -1.0), high=(10.0, 10.0), start=(0.0, 1.0),
    minimum=0.0, minimizers=((1.0981593296997764e-05, 9.106146739866865), (9.106146739866865, 1.0981593296997764e-05)),
    source=MORE, tags=("ill-conditioned", "least-squares", "valley", "multimodal", "asymmetric"),
)
def powell_badly_scaled(x: Tensor, y: Tensor) -> Tensor:
    return (1e4 * x * y - 1) ** 2 + (torch.exp(-x) + torch.exp(-y) - 1.0001) ** 2


@planar(
    SMOOTH,
    r"\sum_{i=1}^{10} \left(2 + 2i - e^{ix} - e^{iy}\right)^2",
    low=(-1.0, -1.0), high=(1.0, 1.0), start=(0.3, 0.4),
    minimum=124.36218235561483, minimizers=((0.2578252136703641, 0.2578252136703641),),
    source="Jennrich and Sampson, Application of stepwise regression to nonlinear estimation (1968)",
    tags=("ill-conditioned", "least-squares", "valley", "asymmetric"),
)
def jennrich_sampson(x: Tensor, y: Tensor) -> Tensor:
    terms = [(2 + 2 * i - torch.exp(i * x) - torch.exp(i * y)) ** 2 for i in range(1, 11)]
    return torch.stack(terms).sum(0)


@planar(
    SMOOTH,
    r"100 (y - x^3)^2 + (1 - x)^2",
    low=(-1.5, -1.5), high=(1.5, 1.5), start=(-1.2, 1.0),
    minimum=0.0, minimizers=((1.0, 1.0),),
    source="Leon, A comparison among eight known optimizing procedures (1966)",
    tags=("valley", "ill-conditioned", "least-squares", "asymmetric"),
)
def cube(x: Tensor, y: Tensor) -> Tensor:
    return 100 * (y - x**3) ** 2 + (1 - x) ** 2


@planar(
    SMOOTH,
    r"(x^6 + y^4 - 17)^2 + (2x + y - 4)^2",
    low=(-5.0, -5.0), high=(5.0, 5.0), start=(3.0, -2.0),
    minimum=0.0, minimizers=((1.0, 2.0), (1.5968041538769333, 0.806391692246133)),
    source=JAMIL, tags=("valley", "least-squares", "multimodal", "asymmetric"),
)
def wayburn_seader_1(x: Tensor, y: Tensor) -> Tensor:
    return (x**6 + y**4 - 17) ** 2 + (2 * x + y - 4) ** 2


@planar(
    SMOOTH,
    r"(x^2 + y^2 - 2x)^2 + x / 4",
    low=(-5.0, -5.0), high=(10.0, 10.0), start=(8.0, -3.0),
    minimum=-0.0037912372204688977, minimizers=((-0.029895985050660382, 0.0),),
    source="Schwefel, Numerical optimization of computer models (1981)", tags=("valley", "asymmetric"),
)
def zettl(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y**2 - 2 * x) ** 2 + x / 4


@planar(
    SMOOTH,
    r"x^4 / 4 - x^2 / 2 + x / 10 + y^2 / 2",
    low=(-10.0, -10.0), high=(10.0, 10.0), start=(6.0, -7.0),
    minimum=-0.3523860738000364, minimizers=((-1.0466805318046024, 0.0),),
    source="Aluffi-Pentini, Parisi and Zirilli, Global optimization and stochastic differential equations (1985)",
    tags=("multimodal", "separable", "asymmetric"),
)
def zirilli(x: Tensor, y: Tensor) -> Tensor:
    return x**4 / 4 - x**2 / 2 + x / 10 + y**2 / 2


@planar(
    SMOOTH,
    r"2x^2 - 1.05x^4 + x^6 / 6 + xy + y^2",
    low=(-5.0, -5.0), high=(5.0, 5.0), start=(-4.0, 3.0),
    minimum=0.0, minimizers=((0.0, 0.0),),
    source=JAMIL, tags=("multimodal",),
)
def three_hump_camel(x: Tensor, y: Tensor) -> Tensor:
    return 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2


@planar(
    SMOOTH,
    r"4x^2 - 2.1x^4 + x^6 / 3 + xy - 4y^2 + 4y^4",
    low=(-3.0, -2.0), high=(3.0, 2.0), start=(-2.0, 1.5),
    minimum=-1.0316284534898776,
    minimizers=((0.08984201310031807, -0.7126564030207396), (-0.08984201310031807, 0.7126564030207396)),
    source="Dixon and Szegő, The global optimization problem: an introduction (1978)", tags=("multimodal",),
)
def six_hump_camel(x: Tensor, y: Tensor) -> Tensor:
    return 4 * x**2 - 2.1 * x**4 + x**6 / 3 + x * y - 4 * y**2 + 4 * y**4


@planar(
    SMOOTH,
    r"(x + 10)^2 + (y + 10)^2 + e^{-x^2 - y^2}",
    low=(-20.0, -20.0), high=(5.0, 5.0), start=(3.0, -1.0),
    minimum=math.exp(-200), minimizers=((-10.0, -10.0),),
    source="Brent, Algorithms for minimization without derivatives (1973)", tags=("asymmetric",),
)
def brent(x: Tensor, y: Tensor) -> Tensor:
    return (x + 10) ** 2 + (y + 10) ** 2 + torch.exp(-(x**2) - y**2)


# In u = x + y and v = x - y it is sin(u) + u / 2 plus (v - 1)^2, which gives the minimizer in closed form.
@planar(
    SMOOTH,
    r"\sin(x + y) + (x - y)^2 - 1.5x + 2.5y + 1",
    low=(-1.5, -3.0), high=(4.0, 4.0), start=(3.0, 0.0),
    minimum=-math.sqrt(3) / 2 - math.pi / 3, minimizers=((0.5 - math.pi / 3, -0.5 - math.pi / 3),),
    source="McCormick, Applied nonlinear programming (1982)", tags=("multimodal", "asymmetric"),
)
def mccormick(x: Tensor, y: Tensor) -> Tensor:
    return torch.sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1


@planar(
    SMOOTH,
    r"\left(1 - 8x + 7x^2 - \tfrac{7}{3}x^3 + \tfrac{1}{4}x^4\right) y^2 e^{-y}",
    low=(0.0, 0.0), high=(5.0, 6.0), start=(2.5, 5.0),
    minimum=-52 / 3 * math.exp(-2), minimizers=((4.0, 2.0),),
    source="Bekey and Ung, A comparative evaluation of two global search algorithms (1974)",
    tags=("multimodal", "asymmetric"),
)
def hosaki(x: Tensor, y: Tensor) -> Tensor:
    return (1 - 8 * x + 7 * x**2 - 7 / 3 * x**3 + x**4 / 4) * y**2 * torch.exp(-y)


@planar(
    SMOOTH,
    r"\cos x \sin y - \frac{x}{y^2 + 1}",
    low=(-1.0, -1.0), high=(2.0, 1.0), start=(-0.5, 0.7),
    minimum=-2.0218067833597866, minimizers=((2.0, 0.10578346945171692),),
    source="Adjiman and others, A global optimization method for general twice-differentiable constrained NLPs (1998)",
    tags=("boundary", "asymmetric"),
)
def adjiman(x: Tensor, y: Tensor) -> Tensor:
    return torch.cos(x) * torch.sin(y) - x / (y**2 + 1)


@planar(
    SMOOTH,
    r"10^5 x^2 + y^2 - (x^2 + y^2)^2 + 10^{-5} (x^2 + y^2)^4",
    low=(-20.0, -20.0), high=(20.0, 20.0), start=(12.0, 7.0),
    minimum=-24776.518342317686, minimizers=((0.0, 14.945112151891957), (0.0, -14.945112151891957)),
    source="Ali, Khompatraporn and Zabinsky, A numerical evaluation of several stochastic algorithms (2005)",
    tags=("multimodal", "valley"),
)
def dekkers_aarts(x: Tensor, y: Tensor) -> Tensor:
    square = x**2 + y**2
    return 1e5 * x**2 + y**2 - square**2 + 1e-5 * square**4


@planar(
    SMOOTH,
    r"\left(1 + (x + y + 1)^2 (19 - 14x + 3x^2 - 14y + 6xy + 3y^2)\right)"
    r"\left(30 + (2x - 3y)^2 (18 - 32x + 12x^2 + 48y - 36xy + 27y^2)\right)",
    low=(-2.0, -2.0), high=(2.0, 2.0), start=(1.5, 1.2),
    minimum=3.0, minimizers=((0.0, -1.0),),
    source="Goldstein and Price, On descent from local minima (1971)", tags=("multimodal", "asymmetric"),
)
def goldstein_price(x: Tensor, y: Tensor) -> Tensor:
    first = 1 + (x + y + 1) ** 2 * (19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2)
    return first * (30 + (2 * x - 3 * y) ** 2 * (18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2))


@planar(
    SMOOTH,
    r"\left(y - \frac{5.1 x^2}{4\pi^2} + \frac{5x}{\pi} - 6\right)^2 + 10\left(1 - \frac{1}{8\pi}\right)\cos x + 10",
    low=(-5.0, 0.0), high=(10.0, 15.0), start=(5.0, 10.0),
    minimum=10 / (8 * math.pi), minimizers=((-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475)),
    source="Branin, Widely convergent method for finding multiple solutions of simultaneous nonlinear equations (1972)",
    tags=("multimodal", "asymmetric"),
)
def branin(x: Tensor, y: Tensor) -> Tensor:
    valley = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return valley**2 + 10 * (1 - 1 / (8 * math.pi)) * torch.cos(x) + 10


@planar(
    SMOOTH,
    r"3x^4 - 2x^2 y^2 + 3y^4",
    low=(-2.0, -2.0), high=(2.0, 2.0), start=(1.0, 0.1),
    minimum=0.0, minimizers=((0.0, 0.0),),
    source="Sisser, A modified Newton's method for minimizing factorable functions (1982)", tags=("ill-conditioned",),
)
def sisser(x: Tensor, y: Tensor) -> Tensor:
    return 3 * x**4 - 2 * x**2 * y**2 + 3 * y**4


@planar(
    SMOOTH,
    r"(2x^3 y - y^3)^2 + (6x - y^2 + y)^2",
    low=(-5.0, -5.0), high=(5.0, 5.0), start=(-3.0, 4.0),
    minimum=0.0, minimizers=((0.0, 0.0), (2.0, 4.0), (1.4643521196636984, -2.5060127607816622)),
    source="Price, A controlled random search procedure for global optimisation (1977)",
    tags=("multimodal", "valley", "least-squares", "ill-conditioned", "asymmetric"),
)
def price_4(x: Tensor, y: Tensor) -> Tensor:
    return (2 * x**3 * y - y**3) ** 2 + (6 * x - y**2 + y) ** 2


@planar(
    SMOOTH,
    r"x^4 + 4x^3 + 4x^2 + y^2",
    low=(-5.0, -5.0), high=(5.0, 5.0), start=(4.0, -3.0),
    minimum=0.0, minimizers=((0.0, 0.0), (-2.0, 0.0)),
    source="Dixon and Szegő, The global optimization problem: an introduction (1978)",
    tags=("multimodal", "separable", "asymmetric"),
)
def trecanni(x: Tensor, y: Tensor) -> Tensor:
    return x**4 + 4 * x**3 + 4 * x**2 + y**2


@planar(
    SMOOTH,
    r"x e^{-x^2 - y^2}",
    low=(-2.0, -2.0), high=(6.0, 6.0), start=(-1.5, 1.0),
    minimum=-1 / math.sqrt(2 * math.e), minimizers=((-math.sqrt(0.5), 0.0),),
    source="Gramacy and Lee, Adaptive design and analysis of supercomputer experiments (2009)",
    tags=("plateau", "asymmetric"),
)
def gramacy_lee(x: Tensor, y: Tensor) -> Tensor:
    return x * torch.exp(-(x**2) - y**2)


@planar(
    SMOOTH,
    r"(x - 2)^4 + (x - 2y)^2",
    low=(-5.0, -5.0), high=(5.0, 5.0), start=(0.0, 3.0),
    minimum=0.0, minimizers=((2.0, 1.0),),
    source="Bazaraa and Shetty, Nonlinear programming: theory and algorithms (1979)",
    tags=("convex", "ill-conditioned", "asymmetric"),
)
def bazaraa_shetty(x: Tensor, y: Tensor) -> Tensor:
    return (x - 2) ** 4 + (x - 2 * y) ** 2


# At the minimizer x = 3 and 20 exp(20 (x - y)) = 1.
@planar(
    SMOOTH,
    r"\left(\frac{x - 3}{100}\right)^2 - (x - y) + e^{20 (x - y)}",
    low=(-1.0, -1.0), high=(4.0, 4.0), start=(0.0, -1.0),
    minimum=(math.log(20) + 1) / 20, minimizers=((3.0, 3.0 + math.log(20) / 20),),
    source="Steinberg and Sharpe, Nonlinear problems, in Hock and Schittkowski's and later collections (1970s)",
    tags=("convex", "ill-conditioned", "asymmetric"),
)
def cliff(x: Tensor, y: Tensor) -> Tensor:
    return ((x - 3) / 100) ** 2 - (x - y) + torch.exp(20 * (x - y))
