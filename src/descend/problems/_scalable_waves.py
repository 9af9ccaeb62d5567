"""Functions of any number of variables with many minima, smooth almost everywhere.

Each formula stands below its row and maps points `(..., d)` to values `(...)`. Sources are named in the rows.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from descend.problems._elementary import cosine_of_root, index, root
from descend.problems._rows import everywhere, scalable
from descend.problems.core import Point, Scalable

WAVES: list[Scalable] = []


@scalable(
    WAVES,
    r"-20 \exp\left(-0.2 \sqrt{\tfrac{1}{d} \sum_i x_i^2}\right) - \exp\left(\tfrac{1}{d} \sum_i \cos 2\pi x_i\right)"
    r" + 20 + e",
    low=-32.768,
    high=32.768,
    source="Ackley, A connectionist machine for genetic hillclimbing (1987)",
    tags=("multimodal", "non-smooth"),
)
def ackley(x: Tensor) -> Tensor:
    radius = torch.linalg.vector_norm(x, dim=-1) / math.sqrt(x.shape[-1])
    waves = torch.exp(torch.cos(2 * math.pi * x).mean(-1))
    return 20 - 20 * torch.exp(-0.2 * radius) + (math.e - waves)


@scalable(
    WAVES,
    r"10d + \sum_{i=1}^{d} x_i^2 - 10\cos 2\pi x_i",
    low=-5.12,
    high=5.12,
    source="Rastrigin, Systems of extremal control (1974)",
    tags=("multimodal", "separable"),
)
def rastrigin(x: Tensor) -> Tensor:
    return (x**2 + 10 * (1 - torch.cos(2 * math.pi * x))).sum(-1)


@scalable(
    WAVES,
    r"1 + \frac{1}{4000} \sum_{i=1}^{d} x_i^2 - \prod_{i=1}^{d} \cos\frac{x_i}{\sqrt{i}}",
    low=-600.0,
    high=600.0,
    source="Griewank, Generalized descent for global optimization (1981)",
    tags=("multimodal",),
)
def griewank(x: Tensor) -> Tensor:
    return (x**2).sum(-1) / 4000 + 1 - torch.cos(x / index(x).sqrt()).prod(-1)


# The least value of -t sin(sqrt|t|) in [-500, 500]: tan(s) = -s / 2 with s = sqrt(t).
SCHWEFEL_POINT = 420.96874635998194
SCHWEFEL_VALUE = SCHWEFEL_POINT * math.sin(math.sqrt(SCHWEFEL_POINT))


@scalable(
    WAVES,
    r"418.9828872724\,d - \sum_{i=1}^{d} x_i \sin\sqrt{\lvert x_i \rvert}",
    low=-500.0,
    high=500.0,
    minimizers=everywhere(SCHWEFEL_POINT),
    source="Schwefel, Numerical optimization of computer models (1981)",
    tags=("multimodal", "separable", "asymmetric"),
)
def schwefel(x: Tensor) -> Tensor:
    return (SCHWEFEL_VALUE - x * torch.sin(root(x))).sum(-1)


# The least root of the derivative, 4 t^3 - 32 t + 5 = 0.
STYBLINSKI_POINT = -2.903534027771177
STYBLINSKI_VALUE = (STYBLINSKI_POINT**4 - 16 * STYBLINSKI_POINT**2 + 5 * STYBLINSKI_POINT) / 2


@scalable(
    WAVES,
    r"\tfrac{1}{2} \sum_{i=1}^{d} x_i^4 - 16x_i^2 + 5x_i",
    low=-5.0,
    high=5.0,
    minimum=lambda dimension: dimension * STYBLINSKI_VALUE,
    minimizers=everywhere(STYBLINSKI_POINT),
    source="Styblinski and Tang, Experiments in nonconvex optimization (1990)",
    tags=("multimodal", "separable", "asymmetric"),
)
def styblinski_tang(x: Tensor) -> Tensor:
    return (x**4 - 16 * x**2 + 5 * x).sum(-1) / 2


@scalable(
    WAVES,
    r"\sin^2(\pi w_1) + \sum_{i=1}^{d-1} (w_i - 1)^2 (1 + 10\sin^2(\pi w_i + 1)) + (w_d - 1)^2 (1 + \sin^2(2\pi w_d)),"
    r" \quad w_i = 1 + \frac{x_i - 1}{4}",
    low=-10.0,
    high=10.0,
    minimizers=everywhere(1.0),
    source="Levy and Montalvo, The tunneling algorithm for the global minimization of functions (1985)",
    tags=("multimodal", "separable", "asymmetric"),
)
def levy(x: Tensor) -> Tensor:
    step = (x - 1) / 4  # w - 1
    first = torch.sin(math.pi * step[..., 0]) ** 2
    middle = step[..., :-1] ** 2 * (1 + 10 * torch.sin(math.pi * step[..., :-1] + (math.pi + 1)) ** 2)
    last = step[..., -1] ** 2 * (1 + torch.sin(2 * math.pi * step[..., -1]) ** 2)
    return first + middle.sum(-1) + last


def michalewicz_coordinate(i: int) -> float:
    """The minimizer of -sin(x) sin^20(i x^2 / pi) in [0, pi]: the highest peak of sin^20 is one next to pi / 2.

    Between two zeros of the wave the derivative vanishes where cot(x) + (40 i x / pi) cot(i x^2 / pi), which only
    falls, changes its sign; that is found by bisection.
    """

    def slope(x: float) -> float:
        return 1 / math.tan(x) + 40 * i * x / math.pi / math.tan(i * x**2 / math.pi)

    def value(x: float) -> float:
        return -math.sin(x) * math.sin(i * x**2 / math.pi) ** 20

    peaks = []
    for k in {max(0, (i - 2) // 4), max(0, (i + 1) // 4)}:  # (k + 1/2) / i is nearest to 1/4
        left, right = math.pi * math.sqrt(k / i), math.pi * math.sqrt((k + 1) / i)
        for _ in range(60):
            middle = (left + right) / 2
            left, right = (middle, right) if slope(middle) > 0 else (left, middle)
        peaks.append((left + right) / 2)
    return min(peaks, key=value)


def michalewicz_points(dimension: int) -> tuple[Point, ...]:
    return (tuple(michalewicz_coordinate(i) for i in range(1, dimension + 1)),)


def michalewicz_minimum(dimension: int) -> float:
    return float(michalewicz(torch.tensor(michalewicz_points(dimension)[0], dtype=torch.float64)))


@scalable(
    WAVES,
    r"-\sum_{i=1}^{d} \sin x_i \, \sin^{20}\frac{i x_i^2}{\pi}",
    low=0.0,
    high=math.pi,
    minimum=michalewicz_minimum,
    minimizers=michalewicz_points,
    source="Michalewicz, Genetic algorithms + data structures = evolution programs (1992)",
    tags=("multimodal", "separable", "plateau", "asymmetric"),
)
def michalewicz(x: Tensor) -> Tensor:
    return -(torch.sin(x) * torch.sin(index(x) * x**2 / math.pi) ** 20).sum(-1)


@scalable(
    WAVES,
    r"1 - \cos(2\pi r) + 0.1 r, \quad r = \sqrt{\sum_i x_i^2}",
    low=-100.0,
    high=100.0,
    source="Salomon, Re-evaluating genetic algorithm performance under coordinate rotation (1996)",
    tags=("multimodal", "non-smooth"),
)
def salomon(x: Tensor) -> Tensor:
    r = torch.linalg.vector_norm(x, dim=-1)
    return 1 - torch.cos(2 * math.pi * r) + 0.1 * r


@scalable(
    WAVES,
    r"\sum_{i=1}^{d} \frac{1}{2} + \frac{\sin^2 r_i - 1/2}{(1 + 0.001 r_i^2)^2},"
    r" \quad r_i^2 = x_i^2 + x_{i+1}^2, \; x_{d+1} = x_1",
    low=-100.0,
    high=100.0,
    source="Schaffer and others, A study of control parameters affecting online performance (1989)",
    tags=("multimodal", "plateau"),
)
def expanded_schaffer(x: Tensor) -> Tensor:
    q = x**2 + x.roll(-1, -1) ** 2  # r_i^2; and sin^2(r) - 1/2 = -cos(2r) / 2
    return (1 - cosine_of_root(4 * q) / (1 + 0.001 * q) ** 2).sum(-1) / 2


@scalable(
    WAVES,
    r"\sum_{i=1}^{d} x_i^2 - 0.1\cos 5\pi x_i",
    low=-1.0,
    high=1.0,
    minimum=lambda dimension: -0.1 * dimension,
    source="Breiman and Cutler, A deterministic algorithm for global optimization (1993)",
    tags=("multimodal", "separable"),
)
def cosine_mixture(x: Tensor) -> Tensor:
    return (x**2 - 0.1 * torch.cos(5 * math.pi * x)).sum(-1)


@scalable(
    WAVES,
    r"\sum_{i=1}^{d} i x_i^2 + 20 i \sin^2 a_i + i \log_{10}(1 + i b_i^2), \quad"
    r" a_i = x_{i-1}\sin x_i + \sin x_{i+1}, \; b_i = x_{i-1}^2 - 2x_i + 3x_{i+1} - \cos x_i + 1",
    low=-10.0,
    high=10.0,
    source="Pintér, Global optimization in action (1996)",
    tags=("multimodal", "asymmetric"),
)
def pinter(x: Tensor) -> Tensor:
    i, before, after = index(x), x.roll(1, -1), x.roll(-1, -1)
    a = before * torch.sin(x) + torch.sin(after)
    b = before**2 - 2 * x + 3 * after - torch.cos(x) + 1
    return (i * (x**2 + 20 * torch.sin(a) ** 2 + torch.log10(1 + i * b**2))).sum(-1)


@scalable(
    WAVES,
    r"\min\left\{\sum_i (x_i - 2.5)^2, \; d + s \sum_i (x_i - m)^2\right\} + 10 \sum_i (1 - \cos 2\pi(x_i - 2.5)),"
    r" \quad s = 1 - \frac{1}{2\sqrt{d + 20} - 8.2}, \; m = -\sqrt{5.25 / s}",
    low=-10.0,
    high=10.0,
    minimizers=everywhere(2.5),
    source="Lunacek, Whitley and Sutton, The impact of global structure on search (2008)",
    tags=("multimodal", "non-smooth", "asymmetric"),
)
def lunacek(x: Tensor) -> Tensor:
    dimension = x.shape[-1]
    s = 1 - 1 / (2 * math.sqrt(dimension + 20) - 8.2)
    narrow = ((x - 2.5) ** 2).sum(-1)
    wide = dimension + s * ((x + math.sqrt(5.25 / s)) ** 2).sum(-1)
    return torch.minimum(narrow, wide) + 10 * (1 - torch.cos(2 * math.pi * (x - 2.5))).sum(-1)


@scalable(
    WAVES,
    r"-\sum_{i=1}^{d-1} e^{-q_i / 8} \cos(4\sqrt{q_i}), \quad q_i = x_i^2 + x_{i+1}^2 + \tfrac{1}{2} x_i x_{i+1}",
    low=-5.0,
    high=5.0,
    minimum=lambda dimension: 1.0 - dimension,
    source="Masters, Practical neural network recipes in C++ (1993)",
    tags=("multimodal", "plateau"),
)
def inverted_cosine_wave(x: Tensor) -> Tensor:
    here, there = x[..., :-1], x[..., 1:]
    q = here**2 + there**2 + here * there / 2
    return -(torch.exp(-q / 8) * cosine_of_root(16 * q)).sum(-1)
