"""Formulas of d variables against second implementations, plain loops or SciPy's, and against published minima."""

import math
from collections.abc import Callable
from itertools import pairwise
from math import cos, exp, pi, sin, sqrt

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import hilbert as hilbert_matrix
from scipy.optimize import rosen, rosen_der, rosen_hess
from scipy.special import logsumexp

from descend import problems

Vector = NDArray[np.float64]


def ackley(x: Vector) -> float:
    d = len(x)
    mean_square, mean_wave = sum(t * t for t in x) / d, sum(cos(2 * pi * t) for t in x) / d
    return -20 * exp(-0.2 * sqrt(mean_square)) - exp(mean_wave) + 20 + exp(1)


def griewank(x: Vector) -> float:
    product = 1.0
    for i, t in enumerate(x, start=1):
        product *= cos(t / sqrt(i))
    return 1 + sum(t * t for t in x) / 4000 - product


def levy(x: Vector) -> float:
    w = [1 + (t - 1) / 4 for t in x]
    total = sin(pi * w[0]) ** 2 + (w[-1] - 1) ** 2 * (1 + sin(2 * pi * w[-1]) ** 2)
    return total + sum((t - 1) ** 2 * (1 + 10 * sin(pi * t + 1) ** 2) for t in w[:-1])


def michalewicz(x: Vector) -> float:
    return -sum(sin(t) * sin(i * t * t / pi) ** 20 for i, t in enumerate(x, start=1))


def dixon_price(x: Vector) -> float:
    return (x[0] - 1) ** 2 + sum((i + 1) * (2 * x[i] ** 2 - x[i - 1]) ** 2 for i in range(1, len(x)))


def whitley(x: Vector) -> float:
    total = 0.0
    for a in x:
        for b in x:
            y = 100 * (a**2 - b) ** 2 + (1 - b) ** 2
            total += y**2 / 4000 - cos(y) + 1
    return total


def expanded_schaffer(x: Vector) -> float:
    total = 0.0
    for a, b in zip(x, np.roll(x, -1), strict=True):
        r = math.hypot(a, b)
        total += 0.5 + (sin(r) ** 2 - 0.5) / (1 + 0.001 * r * r) ** 2
    return total


def pinter(x: Vector) -> float:
    d, total = len(x), 0.0
    for i in range(d):
        before, here, after = x[i - 1], x[i], x[(i + 1) % d]
        a = before * sin(here) + sin(after)
        b = before**2 - 2 * here + 3 * after - cos(here) + 1
        total += (i + 1) * (here**2 + 20 * sin(a) ** 2 + math.log10(1 + (i + 1) * b**2))
    return total


def lunacek(x: Vector) -> float:
    d = len(x)
    s = 1 - 1 / (2 * sqrt(d + 20) - 8.2)
    second = -sqrt((2.5**2 - 1) / s)
    funnels = min(sum((t - 2.5) ** 2 for t in x), d + s * sum((t - second) ** 2 for t in x))
    return funnels + 10 * sum(1 - cos(2 * pi * (t - 2.5)) for t in x)


def inverted_cosine_wave(x: Vector) -> float:
    squares = [a * a + b * b + 0.5 * a * b for a, b in pairwise(x)]
    return -sum(exp(-q / 8) * cos(4 * sqrt(q)) for q in squares)


def nesterov_worst(x: Vector) -> float:
    d = len(x)
    matrix = 2 * np.eye(d) - np.eye(d, k=1) - np.eye(d, k=-1)
    return float(x @ matrix @ x / 2 - x[0])


def variably_dimensioned(x: Vector) -> float:
    line = float(np.dot(np.arange(1, len(x) + 1), x - 1))
    residuals = [*(x - 1), line, line**2]
    return float(np.sum(np.square(residuals)))


def zakharov(x: Vector) -> float:
    line = sum(0.5 * i * t for i, t in enumerate(x, start=1))
    return sum(t * t for t in x) + line**2 + line**4


def schwefel_1_2(x: Vector) -> float:
    return sum(sum(x[: i + 1]) ** 2 for i in range(len(x)))


def chained_cb3(x: Vector) -> float:
    return sum(max(a**4 + b**2, (2 - a) ** 2 + (2 - b) ** 2, 2 * exp(b - a)) for a, b in pairwise(x))


def chained_lq(x: Vector) -> float:
    return sum(max(-a - b, -a - b + a * a + b * b - 1) for a, b in pairwise(x))


def chained_crescent(x: Vector) -> float:
    first = sum(a**2 + (b - 1) ** 2 + b - 1 for a, b in pairwise(x))
    return max(first, sum(-(a**2) - (b - 1) ** 2 + b + 1 for a, b in pairwise(x)))


SCALABLE: dict[str, Callable[[Vector], float]] = {
    "ackley": ackley,
    "arrowhead": lambda x: sum((t * t + x[-1] ** 2) ** 2 - 4 * t + 3 for t in x[:-1]),
    "brown": lambda x: sum((a * a) ** (b * b + 1) + (b * b) ** (a * a + 1) for a, b in pairwise(x)),
    "chained_cb3": chained_cb3,
    "chained_crescent": chained_crescent,
    "chained_lq": chained_lq,
    "chebyshev_rosenbrock": lambda x: (x[0] - 1) ** 2 / 4 + sum((b - 2 * a * a + 1) ** 2 for a, b in pairwise(x)),
    "chung_reynolds": lambda x: float(np.dot(x, x)) ** 2,
    "cigar": lambda x: x[0] ** 2 + 1e6 * sum(t * t for t in x[1:]),
    "cosine_mixture": lambda x: sum(t * t - 0.1 * cos(5 * pi * t) for t in x),
    "different_powers": lambda x: sum(abs(t) ** (2 + 10 * i / (len(x) - 1)) for i, t in enumerate(x)),
    "discus": lambda x: 1e6 * x[0] ** 2 + sum(t * t for t in x[1:]),
    "dixon_price": dixon_price,
    "ellipsoid": lambda x: sum(1e6 ** (i / (len(x) - 1)) * t * t for i, t in enumerate(x)),
    "expanded_schaffer": expanded_schaffer,
    "exponential": lambda x: -exp(-0.5 * float(np.dot(x, x))),
    "griewank": griewank,
    "hilbert": lambda x: float(x @ hilbert_matrix(len(x)) @ x),
    "inverted_cosine_wave": inverted_cosine_wave,
    "levy": levy,
    "log_sum_exp": lambda x: float(logsumexp([*x, *(-x)])),
    "lunacek": lunacek,
    "max_hilbert": lambda x: float(np.max(np.abs(hilbert_matrix(len(x)) @ x))),
    "michalewicz": michalewicz,
    "nesterov_worst": nesterov_worst,
    "nonsmooth_chebyshev_rosenbrock": lambda x: (
        abs(x[0] - 1) / 4 + sum(abs(b - 2 * abs(a) + 1) for a, b in pairwise(x))
    ),
    "pinter": pinter,
    "rastrigin": lambda x: 10 * len(x) + sum(t * t - 10 * cos(2 * pi * t) for t in x),
    "rosenbrock": lambda x: float(rosen(x)),
    "salomon": lambda x: 1 - cos(2 * pi * math.hypot(*x)) + 0.1 * math.hypot(*x),
    "schwefel": lambda x: 418.9828872724338 * len(x) - sum(t * sin(sqrt(abs(t))) for t in x),
    "schwefel_1_2": schwefel_1_2,
    "schwefel_2_20": lambda x: float(np.linalg.norm(x, 1)),
    "schwefel_2_21": lambda x: float(np.linalg.norm(x, np.inf)),
    "schwefel_2_22": lambda x: sum(abs(x)) + math.prod(abs(x)),
    "sharp_ridge": lambda x: x[0] ** 2 + 100 * math.hypot(*x[1:]),
    "sphere": lambda x: float(np.dot(x, x)),
    "step": lambda x: sum(math.floor(t + 0.5) ** 2 for t in x),
    "styblinski_tang": lambda x: 0.5 * sum(t**4 - 16 * t**2 + 5 * t for t in x),
    "sum_of_squares": lambda x: sum(i * t * t for i, t in enumerate(x, start=1)),
    "variably_dimensioned": variably_dimensioned,
    "whitley": whitley,
    "xin_she_yang_2": lambda x: sum(abs(x)) * exp(-sum(sin(t * t) for t in x)),
    "zakharov": zakharov,
}


def test_every_problem_has_a_second_implementation() -> None:
    assert set(SCALABLE) == set(problems.scalable)


@pytest.mark.parametrize("dimension", [2, 3, 6])
@pytest.mark.parametrize("name", SCALABLE)
def test_scalable_formula_agrees_with_a_second_implementation(name: str, dimension: int) -> None:
    problem = problems.scalable[name].at(dimension)
    points = np.random.default_rng(0).uniform(problem.low, problem.high, size=(50, dimension))
    expected = np.array([SCALABLE[name](x) for x in points])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(problem(torch.tensor(points)).numpy(), expected, rtol=1e-9, atol=1e-11 * scale)


def test_rosenbrock_has_the_derivatives_of_scipy() -> None:
    x = np.random.default_rng(0).uniform(-2.0, 2.0, size=6)
    point = torch.tensor(x)
    np.testing.assert_allclose(torch.func.grad(problems.rosenbrock)(point).numpy(), rosen_der(x), rtol=1e-12)
    hessian = torch.func.hessian(problems.rosenbrock)(point).numpy()
    np.testing.assert_allclose(hessian, rosen_hess(x), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize(("dimension", "published"), [(2, -1.8013034), (5, -4.687658), (10, -9.66015)])
def test_michalewicz_has_the_published_minima(dimension: int, published: float) -> None:
    assert problems.michalewicz.at(dimension).minimum == pytest.approx(published, rel=1e-6)


def test_michalewicz_finds_the_best_peak_of_every_coordinate() -> None:
    x = np.linspace(0.0, pi, 200_001)
    problem = problems.michalewicz.at(40)
    for i, minimizer in enumerate(problem.solutions[0], start=1):
        wave = -np.sin(x) * np.sin(i * x**2 / pi) ** 20
        assert abs(minimizer - x[wave.argmin()]) < 2e-5


def test_minima_of_sums_grow_with_the_dimension() -> None:
    assert problems.styblinski_tang.at(7).minimum == pytest.approx(7 * -39.16616570377142, rel=1e-13)
    assert problems.scalable["log_sum_exp"].at(8).minimum == pytest.approx(math.log(16))
    assert problems.scalable["chained_cb3"].at(11).minimum == 20.0
    assert problems.scalable["chained_lq"].at(11).minimum == pytest.approx(-10 * sqrt(2))


@pytest.mark.parametrize("name", sorted(problems.scalable))
def test_claims_hold_in_a_hundred_dimensions(name: str) -> None:
    problem = problems.scalable[name].at(100)
    scale = max(1.0, abs(problem.minimum))
    torch.testing.assert_close(
        problem(problem.minimizers),
        torch.full((len(problem.solutions),), problem.minimum, dtype=torch.float64),
        rtol=0.0,
        atol=1e-9 * scale,
    )
    assert problem(problem.start) > problem.minimum
