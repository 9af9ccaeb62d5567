"""Smooth functions of two variables with many minima: waves, foxholes, needles and traps.

Each formula stands below its row; x and y are the two coordinates. Sources are named in the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.problems._elementary import cosine_of_root, sinc
from descend.problems._rows import JAMIL, MISHRA, planar
from descend.problems.core import Point, Problem

WAVES: list[Problem] = []


@planar(
    WAVES,
    r"-\frac{1 + \cos(12 r)}{r^2 / 2 + 2}, \quad r = \sqrt{x^2 + y^2}",
    low=(-5.12, -5.12),
    high=(5.12, 5.12),
    start=(3.5, -2.0),
    minimum=-1.0,
    minimizers=((0.0, 0.0),),
    source="Surjanovic and Bingham, Virtual library of simulation experiments (2013)",
    tags=("multimodal",),
)
def drop_wave(x: Tensor, y: Tensor) -> Tensor:
    return -(1 + cosine_of_root(144 * (x**2 + y**2))) / ((x**2 + y**2) / 2 + 2)


@planar(
    WAVES,
    r"\frac{1}{2} + \frac{\sin^2(x^2 - y^2) - 1/2}{(1 + 0.001 (x^2 + y^2))^2}",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(7.0, -4.0),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=MISHRA,
    tags=("multimodal",),
)
def schaffer_2(x: Tensor, y: Tensor) -> Tensor:
    return 0.5 + (torch.sin(x**2 - y**2) ** 2 - 0.5) / (1 + 0.001 * (x**2 + y**2)) ** 2


# The usual |x^2 - y^2| is written without its bars: cos^2(sin(u)) is even in u.
@planar(
    WAVES,
    r"\frac{1}{2} + \frac{\cos^2(\sin(x^2 - y^2)) - 1/2}{(1 + 0.001 (x^2 + y^2))^2}",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(7.0, -4.0),
    minimum=0.29257863203598056,
    minimizers=(
        (0.0, 1.2531318314637332),
        (0.0, -1.2531318314637332),
        (1.2531318314637332, 0.0),
        (-1.2531318314637332, 0.0),
    ),
    source=MISHRA,
    tags=("multimodal", "ill-conditioned"),
)
def schaffer_4(x: Tensor, y: Tensor) -> Tensor:
    return 0.5 + (torch.cos(torch.sin(x**2 - y**2)) ** 2 - 0.5) / (1 + 0.001 * (x**2 + y**2)) ** 2


@planar(
    WAVES,
    r"-\cos x \cos y \, e^{-(x - \pi)^2 - (y - \pi)^2}",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(1.5, 1.0),
    minimum=-1.0,
    minimizers=((math.pi, math.pi),),
    source="Easom, A survey of global optimization techniques (1990)",
    tags=("multimodal", "plateau", "asymmetric"),
)
def easom(x: Tensor, y: Tensor) -> Tensor:
    return -torch.cos(x) * torch.cos(y) * torch.exp(-((x - math.pi) ** 2) - (y - math.pi) ** 2)


@planar(
    WAVES,
    r"\sin^2(3\pi x) + (x - 1)^2 (1 + \sin^2(3\pi y)) + (y - 1)^2 (1 + \sin^2(2\pi y))",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(-7.3, 5.6),
    minimum=0.0,
    minimizers=((1.0, 1.0),),
    source="Levy and Montalvo, The tunneling algorithm for the global minimization of functions (1985)",
    tags=("multimodal", "asymmetric"),
)
def levy_13(x: Tensor, y: Tensor) -> Tensor:
    waves = torch.sin(3 * math.pi * x) ** 2 + (x - 1) ** 2 * (1 + torch.sin(3 * math.pi * y) ** 2)
    return waves + (y - 1) ** 2 * (1 + torch.sin(2 * math.pi * y) ** 2)


def shubert_points() -> tuple[Point, ...]:
    """One coordinate where the wave of `shubert` is least, the other where it is greatest, in either order."""
    periods = (-2 * math.pi, 0.0, 2 * math.pi)
    least = [-1.425128428319761 + period for period in periods]
    greatest = [-0.8003211004719731 + period for period in periods]
    pairs = [(a, b) for a in least for b in greatest]
    return (*pairs, *((b, a) for a, b in pairs))


@planar(
    WAVES,
    r"\sum_{i=1}^{5} i \cos((i + 1)x + i) \cdot \sum_{i=1}^{5} i \cos((i + 1)y + i)",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(3.0, -2.0),
    minimum=-186.73090883102384,
    minimizers=shubert_points(),
    source="Shubert, A sequential method seeking the global maximum of a function (1972)",
    tags=("multimodal", "asymmetric"),
)
def shubert(x: Tensor, y: Tensor) -> Tensor:
    def wave(z: Tensor) -> Tensor:
        return torch.stack([i * torch.cos((i + 1) * z + i) for i in range(1, 6)]).sum(0)

    return wave(x) * wave(y)


BOHACHEVSKY = "Bohachevsky, Johnson and Stein, Generalized simulated annealing for function optimization (1986)"


@planar(
    WAVES,
    r"x^2 + 2y^2 - 0.3\cos(3\pi x) - 0.4\cos(4\pi y) + 0.7",
    low=(-100.0, -100.0),
    high=(100.0, 100.0),
    start=(70.0, -45.0),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=BOHACHEVSKY,
    tags=("multimodal", "separable"),
)
def bohachevsky_1(x: Tensor, y: Tensor) -> Tensor:
    return x**2 + 2 * y**2 - 0.3 * torch.cos(3 * math.pi * x) - 0.4 * torch.cos(4 * math.pi * y) + 0.7


@planar(
    WAVES,
    r"x^2 + 2y^2 - 0.3\cos(3\pi x)\cos(4\pi y) + 0.3",
    low=(-100.0, -100.0),
    high=(100.0, 100.0),
    start=(70.0, -45.0),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=BOHACHEVSKY,
    tags=("multimodal",),
)
def bohachevsky_2(x: Tensor, y: Tensor) -> Tensor:
    return x**2 + 2 * y**2 - 0.3 * torch.cos(3 * math.pi * x) * torch.cos(4 * math.pi * y) + 0.3


@planar(
    WAVES,
    r"x^2 + 2y^2 - 0.3\cos(3\pi x + 4\pi y) + 0.3",
    low=(-100.0, -100.0),
    high=(100.0, 100.0),
    start=(70.0, -45.0),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=BOHACHEVSKY,
    tags=("multimodal",),
)
def bohachevsky_3(x: Tensor, y: Tensor) -> Tensor:
    return x**2 + 2 * y**2 - 0.3 * torch.cos(3 * math.pi * x + 4 * math.pi * y) + 0.3


@planar(
    WAVES,
    r"\sin x \, e^{(1 - \cos y)^2} + \cos y \, e^{(1 - \sin x)^2} + (x - y)^2",
    low=(-2 * math.pi, -2 * math.pi),
    high=(2 * math.pi, 2 * math.pi),
    start=(0.5, -1.0),
    minimum=-106.7645367492647,
    minimizers=((4.701043130249553, 3.15293850372493), (-1.5821421769300335, -3.1302468034546562)),
    source=MISHRA,
    tags=("multimodal", "asymmetric"),
)
def bird(x: Tensor, y: Tensor) -> Tensor:
    sine, cosine = torch.sin(x), torch.cos(y)
    return sine * torch.exp((1 - cosine) ** 2) + cosine * torch.exp((1 - sine) ** 2) + (x - y) ** 2


@planar(
    WAVES,
    r"x^2 - 12x + 11 + 10\cos\frac{\pi x}{2} + 8\sin\frac{5\pi x}{2} - \frac{1}{\sqrt{5}} e^{-(y - 1/2)^2 / 2}",
    low=(-30.0, -30.0),
    high=(30.0, 30.0),
    start=(-20.0, 3.0),
    minimum=-42.94438701899098,
    minimizers=((6.18986658698431, 0.5),),
    source=JAMIL,
    tags=("multimodal", "separable", "ill-conditioned", "asymmetric"),
)
def chichinadze(x: Tensor, y: Tensor) -> Tensor:
    waves = 10 * torch.cos(math.pi / 2 * x) + 8 * torch.sin(5 * math.pi / 2 * x)
    return x**2 - 12 * x + 11 + waves - torch.exp(-((y - 0.5) ** 2) / 2) / math.sqrt(5)


@planar(
    WAVES,
    r"x^2 + y^2 + 25 (\sin^2 x + \sin^2 y)",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(4.2, -2.5),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=JAMIL,
    tags=("multimodal", "separable"),
)
def egg_crate(x: Tensor, y: Tensor) -> Tensor:
    return x**2 + y**2 + 25 * (torch.sin(x) ** 2 + torch.sin(y) ** 2)


@planar(
    WAVES,
    r"\cos^2 x + \sin^2 y",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(0.3, 1.2),
    minimum=0.0,
    minimizers=tuple((i * math.pi / 2, j * math.pi) for i in (-3, -1, 1, 3) for j in (-1, 0, 1)),
    source=JAMIL,
    tags=("multimodal", "separable"),
)
def parsopoulos(x: Tensor, y: Tensor) -> Tensor:
    return torch.cos(x) ** 2 + torch.sin(y) ** 2


@planar(
    WAVES,
    r"1 + \sin^2 x + \sin^2 y - 0.1 e^{-x^2 - y^2}",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(7.0, -5.5),
    minimum=0.9,
    minimizers=((0.0, 0.0),),
    source="Price, A controlled random search procedure for global optimisation (1977)",
    tags=("multimodal",),
)
def price_2(x: Tensor, y: Tensor) -> Tensor:
    return 1 + torch.sin(x) ** 2 + torch.sin(y) ** 2 - 0.1 * torch.exp(-(x**2) - y**2)


@planar(
    WAVES,
    r"e^{\sin 50x} + \sin(60 e^y) + \sin(70\sin x) + \sin(\sin 80y) - \sin(10(x + y)) + \frac{x^2 + y^2}{4}",
    low=(-1.0, -1.0),
    high=(1.0, 1.0),
    start=(0.7, -0.6),
    minimum=-3.3068686474752362,
    minimizers=((-0.02440307969437517, 0.21061242715535572),),
    source="Trefethen, A hundred-dollar, hundred-digit challenge (2002)",
    tags=("multimodal", "asymmetric"),
)
def trefethen(x: Tensor, y: Tensor) -> Tensor:
    fast = torch.exp(torch.sin(50 * x)) + torch.sin(60 * torch.exp(y)) + torch.sin(70 * torch.sin(x))
    return fast + torch.sin(torch.sin(80 * y)) - torch.sin(10 * (x + y)) + (x**2 + y**2) / 4


@planar(
    WAVES,
    r"x^2 - 100\cos^2 x - 100\cos\frac{x^2}{30} + y^2 - 100\cos^2 y - 100\cos\frac{y^2}{30}",
    low=(-50.0, -50.0),
    high=(50.0, 50.0),
    start=(30.0, -22.0),
    minimum=-400.0,
    minimizers=((0.0, 0.0),),
    source="Venter and Sobieszczanski-Sobieski, Particle swarm optimization (2003)",
    tags=("multimodal", "separable"),
)
def venter_sobieski(x: Tensor, y: Tensor) -> Tensor:
    def wave(z: Tensor) -> Tensor:
        return z**2 - 100 * torch.cos(z) ** 2 - 100 * torch.cos(z**2 / 30)

    return wave(x) + wave(y)


@planar(
    WAVES,
    r"\left(\frac{1}{500} + \sum_{j=1}^{25} \frac{1}{j + (x - a_j)^6 + (y - b_j)^6}\right)^{-1}, \quad "
    r"a_j, b_j \in \{-32, -16, 0, 16, 32\}",
    low=(-65.536, -65.536),
    high=(65.536, 65.536),
    start=(40.0, 25.0),
    minimum=0.99800383779445,
    minimizers=((-31.97833483565697, -31.978334837300796),),
    source="De Jong, An analysis of the behavior of a class of genetic adaptive systems (1975)",
    tags=("multimodal", "plateau", "asymmetric"),
)
def foxholes(x: Tensor, y: Tensor) -> Tensor:
    side = (-32, -16, 0, 16, 32)
    holes = [(a, b) for b in side for a in side]
    depths = [1 / (j + (x - a) ** 6 + (y - b) ** 6) for j, (a, b) in enumerate(holes, start=1)]
    return 1 / (1 / 500 + torch.stack(depths).sum(0))


@planar(
    WAVES,
    r"-\sum_{j=1}^{5} c_j e^{-r_j / \pi} \cos(\pi r_j), \quad r_j = (x - a_j)^2 + (y - b_j)^2",
    low=(0.0, 0.0),
    high=(10.0, 10.0),
    start=(8.0, 3.5),
    minimum=-5.162126159963981,
    minimizers=((2.0029921199344654, 1.0060959402921885),),
    source="Bersini and others, Results of the first international contest on evolutionary optimisation (1996)",
    tags=("multimodal", "plateau", "asymmetric"),
)
def langermann(x: Tensor, y: Tensor) -> Tensor:
    rings = ((3, 5, 1), (5, 2, 2), (2, 1, 5), (1, 4, 2), (7, 9, 3))  # a, b, c
    squares = [((x - a) ** 2 + (y - b) ** 2, c) for a, b, c in rings]
    return -torch.stack([c * torch.exp(-r / math.pi) * torch.cos(math.pi * r) for r, c in squares]).sum(0)


@planar(
    WAVES,
    r"\left(1 - \left\lvert \mathrm{sinc}(x - 2) \, \mathrm{sinc}(y - 2) \right\rvert^5\right)"
    r"\left(2 + (x - 7)^2 + 2(y - 7)^2\right), \quad \mathrm{sinc}(t) = \frac{\sin \pi t}{\pi t}",
    low=(0.0, 0.0),
    high=(14.0, 14.0),
    start=(12.0, 10.0),
    minimum=0.0,
    minimizers=((2.0, 2.0),),
    source="Damavandi and Safavi-Naeini, A hybrid evolutionary programming method for circuit optimization (2005)",
    tags=("multimodal", "asymmetric"),
)
def damavandi(x: Tensor, y: Tensor) -> Tensor:
    needle = 1 - (sinc(x - 2) * sinc(y - 2)).abs() ** 5
    return needle * (2 + (x - 7) ** 2 + 2 * (y - 7) ** 2)


@planar(
    WAVES,
    r"-\sin\left(2x - \frac{\pi}{2}\right) - 3\cos y - \frac{x}{2}",
    low=(-2.5, -2.0),
    high=(3.0, 2.0),
    start=(-2.0, 1.5),
    minimum=-4.816814063734822,
    minimizers=((1.697136454365936, 0.0),),
    source="Ursem, Multinational evolutionary algorithms (1999)",
    tags=("multimodal", "separable", "asymmetric"),
)
def ursem_1(x: Tensor, y: Tensor) -> Tensor:
    return -torch.sin(2 * x - math.pi / 2) - 3 * torch.cos(y) - x / 2


@planar(
    WAVES,
    r"3(1 - x)^2 e^{-x^2 - (y + 1)^2} - 10\left(\frac{x}{5} - x^3 - y^5\right) e^{-x^2 - y^2}"
    r" - \frac{1}{3} e^{-(x + 1)^2 - y^2}",
    low=(-3.0, -3.0),
    high=(3.0, 3.0),
    start=(-0.5, 1.5),
    minimum=-6.551133332835834,
    minimizers=((0.22827892055636917, -1.6255349574999967),),
    source="The demonstration surface of MATLAB",
    tags=("multimodal", "plateau", "asymmetric"),
)
def peaks(x: Tensor, y: Tensor) -> Tensor:
    hills = 3 * (1 - x) ** 2 * torch.exp(-(x**2) - (y + 1) ** 2)
    twist = 10 * (x / 5 - x**3 - y**5) * torch.exp(-(x**2) - y**2)
    return hills - twist - torch.exp(-((x + 1) ** 2) - y**2) / 3
