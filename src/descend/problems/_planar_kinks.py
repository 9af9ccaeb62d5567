"""Functions of two variables with kinks, jumps or infinite slopes: maxima, absolute values, square roots.

Each formula stands below its row; x and y are the two coordinates. Sources are named in the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.problems._elementary import norm, root
from descend.problems._rows import JAMIL, LUKSAN, MISHRA, planar
from descend.problems.core import Point, Problem

KINKS: list[Problem] = []


def mirrored(x: float, y: float) -> tuple[Point, ...]:
    """The four points (±x, ±y)."""
    return (x, y), (x, -y), (-x, y), (-x, -y)


@planar(
    KINKS,
    r"100 \sqrt{\lvert y - 0.01 x^2 \rvert} + 0.01 \lvert x + 10 \rvert",
    low=(-15.0, -3.0),
    high=(-5.0, 3.0),
    start=(-6.0, 2.5),
    minimum=0.0,
    minimizers=((-10.0, 1.0),),
    source="Bukin, New minimization strategy for non-smooth functions (1997)",
    tags=("non-smooth", "valley", "multimodal", "asymmetric"),
)
def bukin_6(x: Tensor, y: Tensor) -> Tensor:
    return 100 * root(y - 0.01 * x**2) + 0.01 * (x + 10).abs()


# exp(100) is more than float32 can hold, so a e^b + 1 is taken through its logarithm.
@planar(
    KINKS,
    r"-10^{-4} \left(\left\lvert \sin x \sin y \, e^{\lvert 100 - r / \pi \rvert} \right\rvert + 1\right)^{0.1},"
    r" \quad r = \sqrt{x^2 + y^2}",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(-6.0, 2.0),
    minimum=-2.062611870822739,
    minimizers=mirrored(1.3494066171539107, 1.3494066171539107),
    source=MISHRA,
    tags=("non-smooth", "multimodal"),
)
def cross_in_tray(x: Tensor, y: Tensor) -> Tensor:
    product = (torch.sin(x) * torch.sin(y)).abs()
    exponent = (100 - norm(x, y) / math.pi).abs()
    logarithm = torch.where(product > 0, torch.where(product > 0, product, 1).log() + exponent, -math.inf)
    return -1e-4 * torch.exp(0.1 * torch.logaddexp(logarithm, torch.zeros_like(logarithm)))


@planar(
    KINKS,
    r"-(y + 47)\sin\sqrt{\lvert x / 2 + y + 47 \rvert} - x\sin\sqrt{\lvert x - y - 47 \rvert}",
    low=(-512.0, -512.0),
    high=(512.0, 512.0),
    start=(-200.0, 150.0),
    minimum=-959.6406627208507,
    minimizers=((512.0, 404.2318051137578),),
    source="Whitley and others, Evaluating evolutionary algorithms (1996)",
    tags=("non-smooth", "multimodal", "boundary", "asymmetric"),
)
def eggholder(x: Tensor, y: Tensor) -> Tensor:
    return -(y + 47) * torch.sin(root(x / 2 + y + 47)) - x * torch.sin(root(x - y - 47))


@planar(
    KINKS,
    r"-\left\lvert \sin x \cos y \, e^{\lvert 1 - r / \pi \rvert} \right\rvert, \quad r = \sqrt{x^2 + y^2}",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(3.0, -4.0),
    minimum=-19.208502567886732,
    minimizers=mirrored(8.055023475736563, 9.664590019241272),
    source=MISHRA,
    tags=("non-smooth", "multimodal"),
)
def holder_table(x: Tensor, y: Tensor) -> Tensor:
    return -(torch.sin(x) * torch.cos(y)).abs() * torch.exp((1 - norm(x, y) / math.pi).abs())


@planar(
    KINKS,
    r"-\frac{1}{30} \cos^2 x \cos^2 y \, e^{2 \lvert 1 - r / \pi \rvert}, \quad r = \sqrt{x^2 + y^2}",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(4.0, -2.0),
    minimum=-24.15681554739122,
    minimizers=mirrored(9.646167670410366, 9.646167670410366),
    source=MISHRA,
    tags=("non-smooth", "multimodal"),
)
def carrom_table(x: Tensor, y: Tensor) -> Tensor:
    return -((torch.cos(x) * torch.cos(y)) ** 2) * torch.exp(2 * (1 - norm(x, y) / math.pi).abs()) / 30


@planar(
    KINKS,
    r"-\exp\left(-\left\lvert \cos x \cos y \, e^{\lvert 1 - r / \pi \rvert} \right\rvert^{-1}\right),"
    r" \quad r = \sqrt{x^2 + y^2}",
    low=(-11.0, -11.0),
    high=(11.0, 11.0),
    start=(4.0, -2.0),
    minimum=-0.9635348327265058,
    minimizers=mirrored(9.646167670410366, 9.646167670410366),
    source=MISHRA,
    tags=("non-smooth", "multimodal"),
)
def pen_holder(x: Tensor, y: Tensor) -> Tensor:
    height = (torch.cos(x) * torch.cos(y)).abs() * torch.exp((1 - norm(x, y) / math.pi).abs())
    return -torch.exp(-1 / height)


@planar(
    KINKS,
    r"-4 \left\lvert \sin x \cos y \, e^{\lvert \cos((x^2 + y^2) / 200) \rvert} \right\rvert",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(4.0, -2.0),
    minimum=-10.872300105622745,
    minimizers=((1.5706026141658023, 0.0), (-1.5706026141658023, 0.0)),
    source=MISHRA,
    tags=("non-smooth", "multimodal"),
)
def testtube_holder(x: Tensor, y: Tensor) -> Tensor:
    return -4 * (torch.sin(x) * torch.cos(y)).abs() * torch.exp(torch.cos((x**2 + y**2) / 200).abs())


@planar(
    KINKS,
    r"\lvert x^2 + y^2 + xy \rvert + \lvert \sin x \rvert + \lvert \cos y \rvert",
    low=(-500.0, -500.0),
    high=(500.0, 500.0),
    start=(300.0, -420.0),
    minimum=1.0,
    minimizers=((0.0, 0.0),),
    source=JAMIL,
    tags=("non-smooth", "convex"),
)
def bartels_conn(x: Tensor, y: Tensor) -> Tensor:
    return (x**2 + y**2 + x * y).abs() + torch.sin(x).abs() + torch.cos(y).abs()


@planar(
    KINKS,
    r"p_y (1 + p_x) + \lvert x + 50 p_y (1 - 2p_x) \rvert + \lvert y + 50 (1 - 2p_y) \rvert, \quad p_z = [z \ge 0]",
    low=(-100.0, -100.0),
    high=(100.0, 100.0),
    start=(60.0, 35.0),
    minimum=0.0,
    minimizers=((0.0, -50.0),),
    source="Rahnamayan, Tizhoosh and Salama, A novel population initialization method (2007)",
    tags=("non-smooth", "discontinuous", "multimodal", "asymmetric"),
)
def tripod(x: Tensor, y: Tensor) -> Tensor:
    p, q = (x >= 0).to(x.dtype), (y >= 0).to(y.dtype)
    return q * (1 + p) + (x + 50 * q * (1 - 2 * p)).abs() + (y + 50 * (1 - 2 * q)).abs()


@planar(
    KINKS,
    r"(\lvert x \rvert - 5)^2 + (\lvert y \rvert - 5)^2",
    low=(-10.0, -10.0),
    high=(10.0, 10.0),
    start=(1.0, -9.0),
    minimum=0.0,
    minimizers=mirrored(5.0, 5.0),
    source="Price, A controlled random search procedure for global optimisation (1977)",
    tags=("non-smooth", "multimodal", "separable", "least-squares"),
)
def price_1(x: Tensor, y: Tensor) -> Tensor:
    return (x.abs() - 5) ** 2 + (y.abs() - 5) ** 2


@planar(
    KINKS,
    r"\max\{x^2 + y^4, \; (2 - x)^2 + (2 - y)^2, \; 2 e^{y - x}\}",
    low=(-3.0, -3.0),
    high=(3.0, 3.0),
    start=(1.0, -0.1),
    minimum=1.9522244938706588,
    minimizers=((1.1390376519926626, 0.8995599383953928),),
    source="Charalambous and Conn, An efficient method to solve the minimax problem directly (1978)",
    tags=("non-smooth", "convex", "asymmetric"),
)
def charalambous_conn_2(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack((x**2 + y**4, (2 - x) ** 2 + (2 - y) ** 2, 2 * torch.exp(y - x))).amax(0)


@planar(
    KINKS,
    r"\max\{5x + y, \; -5x + y, \; x^2 + y^2 + 4y\}",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(1.0, 1.0),
    minimum=-3.0,
    minimizers=((0.0, -3.0),),
    source="Demyanov and Malozemov, Introduction to minimax (1974)",
    tags=("non-smooth", "convex", "asymmetric"),
)
def demyanov_malozemov(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack((5 * x + y, -5 * x + y, x**2 + y**2 + 4 * y)).amax(0)


@planar(
    KINKS,
    r"x^2 + y^2 + 10 \max\{0, \; 4 - 4x - y, \; 6 - x - 2y\}",
    low=(-5.0, -5.0),
    high=(5.0, 5.0),
    start=(-1.0, 5.0),
    minimum=7.2,
    minimizers=((1.2, 2.4),),
    source=LUKSAN,
    tags=("non-smooth", "convex", "asymmetric"),
)
def quadratic_linear(x: Tensor, y: Tensor) -> Tensor:
    return x**2 + y**2 + 10 * torch.stack((torch.zeros_like(x), 4 - 4 * x - y, 6 - x - 2 * y)).amax(0)


@planar(
    KINKS,
    r"-x + 20 \max\{x^2 + y^2 - 1, 0\}",
    low=(-2.0, -2.0),
    high=(2.0, 2.0),
    start=(0.8, 0.6),
    minimum=-1.0,
    minimizers=((1.0, 0.0),),
    source="Mifflin, An algorithm for constrained optimization with semismooth functions (1977)",
    tags=("non-smooth", "convex", "asymmetric"),
)
def mifflin_1(x: Tensor, y: Tensor) -> Tensor:
    return -x + 20 * torch.relu(x**2 + y**2 - 1)


@planar(
    KINKS,
    r"-x + 2 (x^2 + y^2 - 1) + 1.75 \lvert x^2 + y^2 - 1 \rvert",
    low=(-2.0, -2.0),
    high=(2.0, 2.0),
    start=(-1.0, -1.0),
    minimum=-1.0,
    minimizers=((1.0, 0.0),),
    source="Mifflin, A modification and an extension of Lemaréchal's algorithm for nonsmooth minimization (1982)",
    tags=("non-smooth", "convex", "asymmetric"),
)
def mifflin_2(x: Tensor, y: Tensor) -> Tensor:
    circle = x**2 + y**2 - 1
    return -x + 2 * circle + 1.75 * circle.abs()


@planar(
    KINKS,
    r"\begin{cases} 5\sqrt{9x^2 + 16y^2} & x \ge \lvert y \rvert \\ 9x + 16\lvert y \rvert & 0 < x < \lvert y \rvert \\"
    r" 9x + 16\lvert y \rvert - x^9 & x \le 0 \end{cases}",
    low=(-1.5, -3.0),
    high=(4.0, 3.0),
    start=(3.0, 2.0),
    minimum=-8.0,
    minimizers=((-1.0, 0.0),),
    source="Wolfe, A method of conjugate subgradients for minimizing nondifferentiable functions (1975)",
    tags=("non-smooth", "convex", "asymmetric"),
)
def wolfe(x: Tensor, y: Tensor) -> Tensor:
    wedge = 9 * x + 16 * y.abs() + torch.relu(-x) ** 9
    return torch.where(x >= y.abs(), 5 * norm(3 * x, 4 * y), wedge)


@planar(
    KINKS,
    r"0.005 r^2 + \max\{(x - r\cos r)^2, \; (y - r\sin r)^2\}, \quad r = \sqrt{x^2 + y^2}",
    low=(-7.0, -7.0),
    high=(7.0, 7.0),
    start=(1.41183, -4.79462),
    minimum=0.0,
    minimizers=((0.0, 0.0),),
    source=LUKSAN,
    tags=("non-smooth", "valley", "asymmetric"),
)
def spiral(x: Tensor, y: Tensor) -> Tensor:
    r = norm(x, y)
    residuals = torch.stack((x - r * torch.cos(r), y - r * torch.sin(r)))
    return 0.005 * (x**2 + y**2) + (residuals**2).amax(0)
