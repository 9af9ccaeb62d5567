"""Formulas against second implementations (plain loops, SciPy's where it has one) and against published minima."""

import math
from collections.abc import Callable, Sequence
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
    "cigar": lambda x: x[0] ** 2 + 1e6 * sum(t * t for t in x[1:]),
    "cosine_mixture": lambda x: sum(t * t - 0.1 * cos(5 * pi * t) for t in x),
    "different_powers": lambda x: sum(abs(t) ** (2 + 10 * i / (len(x) - 1)) for i, t in enumerate(x)),
    "discus": lambda x: 1e6 * x[0] ** 2 + sum(t * t for t in x[1:]),
    "dixon_price": dixon_price,
    "ellipsoid": lambda x: sum(1e6 ** (i / (len(x) - 1)) * t * t for i, t in enumerate(x)),
    "expanded_schaffer": expanded_schaffer,
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
    "schwefel_2_22": lambda x: sum(abs(x)) + math.prod(abs(x)),
    "sharp_ridge": lambda x: x[0] ** 2 + 100 * math.hypot(*x[1:]),
    "step": lambda x: sum(math.floor(t + 0.5) ** 2 for t in x),
    "styblinski_tang": lambda x: 0.5 * sum(t**4 - 16 * t**2 + 5 * t for t in x),
    "sum_of_squares": lambda x: sum(i * t * t for i, t in enumerate(x, start=1)),
    "variably_dimensioned": variably_dimensioned,
    "whitley": whitley,
    "xin_she_yang_2": lambda x: sum(abs(x)) * exp(-sum(sin(t * t) for t in x)),
    "zakharov": zakharov,
}


def box_points(low: Sequence[float], high: Sequence[float], count: int) -> Vector:
    return np.random.default_rng(0).uniform(low, high, size=(count, len(low)))


@pytest.mark.parametrize("dimension", [2, 3, 6])
@pytest.mark.parametrize("name", SCALABLE)
def test_scalable_formula_agrees_with_a_second_implementation(name: str, dimension: int) -> None:
    problem = problems.scalable[name].at(dimension)
    points = box_points(problem.low, problem.high, 50)
    expected = np.array([SCALABLE[name](x) for x in points])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(problem(torch.tensor(points)).numpy(), expected, rtol=1e-9, atol=1e-11 * scale)


def test_rosenbrock_has_the_derivatives_of_scipy() -> None:
    x = box_points([-2.0] * 6, [2.0] * 6, 1)[0]
    point = torch.tensor(x)
    np.testing.assert_allclose(torch.func.grad(problems.rosenbrock)(point).numpy(), rosen_der(x), rtol=1e-12)
    hessian = torch.func.hessian(problems.rosenbrock)(point).numpy()
    np.testing.assert_allclose(hessian, rosen_hess(x), rtol=1e-12, atol=1e-10)


def cross_in_tray(x: float, y: float) -> float:
    return -1e-4 * (abs(sin(x) * sin(y) * exp(abs(100 - math.hypot(x, y) / pi))) + 1) ** 0.1


def foxholes(x: float, y: float) -> float:
    total, j = 1 / 500, 0
    for b in range(-32, 33, 16):
        for a in range(-32, 33, 16):
            j += 1
            total += 1 / (j + (x - a) ** 6 + (y - b) ** 6)
    return 1 / total


def langermann(x: float, y: float) -> float:
    total = 0.0
    for a, b, c in zip([3, 5, 2, 1, 7], [5, 2, 1, 4, 9], [1, 2, 5, 2, 3], strict=True):
        square = (x - a) ** 2 + (y - b) ** 2
        total -= c * exp(-square / pi) * cos(pi * square)
    return total


def shubert(x: float, y: float) -> float:
    first = sum(i * cos((i + 1) * x + i) for i in (1, 2, 3, 4, 5))
    return first * sum(i * cos((i + 1) * y + i) for i in (1, 2, 3, 4, 5))


def damavandi(x: float, y: float) -> float:
    bump = sin(pi * (x - 2)) * sin(pi * (y - 2)) / (pi**2 * (x - 2) * (y - 2))
    return (1 - abs(bump) ** 5) * (2 + (x - 7) ** 2 + 2 * (y - 7) ** 2)


def goldstein_price(x: float, y: float) -> float:
    a = 19 - 14 * x + 3 * x * x - 14 * y + 6 * x * y + 3 * y * y
    b = 18 - 32 * x + 12 * x * x + 48 * y - 36 * x * y + 27 * y * y
    return (1 + a * (x + y + 1) ** 2) * (30 + b * (2 * x - 3 * y) ** 2)


def wolfe(x: float, y: float) -> float:
    if x >= abs(y):
        return 5 * sqrt(9 * x * x + 16 * y * y)
    return 9 * x + 16 * abs(y) - (x**9 if x <= 0 else 0.0)


def tripod(x: float, y: float) -> float:
    p, q = int(x >= 0), int(y >= 0)
    return q * (1 + p) + abs(x + 50 * q * (1 - 2 * p)) + abs(y + 50 * (1 - 2 * q))


def spiral(x: float, y: float) -> float:
    r = math.hypot(x, y)
    return max((x - r * cos(r)) ** 2, (y - r * sin(r)) ** 2) + 0.005 * (x * x + y * y)


def branin(x: float, y: float) -> float:
    a, b, c, r, s, t = 1, 5.1 / (4 * pi**2), 5 / pi, 6, 10, 1 / (8 * pi)
    return a * (y - b * x**2 + c * x - r) ** 2 + s * (1 - t) * cos(x) + s


def trefethen(x: float, y: float) -> float:
    total = exp(sin(50 * x)) + sin(60 * exp(y)) + sin(70 * sin(x)) + sin(sin(80 * y))
    return total - sin(10 * (x + y)) + 0.25 * (x * x + y * y)


def eggholder(x: float, y: float) -> float:
    return -(y + 47) * sin(sqrt(abs(y + x / 2 + 47))) - x * sin(sqrt(abs(x - (y + 47))))


def schaffer_4(x: float, y: float) -> float:
    return 0.5 + (cos(sin(abs(x * x - y * y))) ** 2 - 0.5) / (1 + 0.001 * (x * x + y * y)) ** 2


def freudenstein_roth(x: float, y: float) -> float:
    return (-13 + x + 5 * y**2 - y**3 - 2 * y) ** 2 + (-29 + x + y**3 + y**2 - 14 * y) ** 2


def carrom_table(x: float, y: float) -> float:
    return -((cos(x) * cos(y) * exp(abs(1 - sqrt(x * x + y * y) / pi))) ** 2) / 30


def quadratic_linear(x: float, y: float) -> float:
    base = x * x + y * y
    return max(base, base + 10 * (-4 * x - y + 4), base + 10 * (-x - 2 * y + 6))


PLANAR: dict[str, Callable[[float, float], float]] = {
    "beale": lambda x, y: sum((c - x * (1 - y**i)) ** 2 for i, c in enumerate((1.5, 2.25, 2.625), start=1)),
    "bird": lambda x, y: sin(x) * exp((1 - cos(y)) ** 2) + cos(y) * exp((1 - sin(x)) ** 2) + (x - y) ** 2,
    "branin": branin,
    "bukin_6": lambda x, y: 100 * sqrt(abs(y - x * x / 100)) + abs(x + 10) / 100,
    "carrom_table": carrom_table,
    "cross_in_tray": cross_in_tray,
    "damavandi": damavandi,
    "drop_wave": lambda x, y: -(1 + cos(12 * math.hypot(x, y))) / (0.5 * (x * x + y * y) + 2),
    "easom": lambda x, y: -cos(x) * cos(y) * exp(-((x - pi) ** 2 + (y - pi) ** 2)),
    "eggholder": eggholder,
    "foxholes": foxholes,
    "freudenstein_roth": freudenstein_roth,
    "goldstein_price": goldstein_price,
    "himmelblau": lambda x, y: (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2,
    "holder_table": lambda x, y: -abs(sin(x) * cos(y) * exp(abs(1 - math.hypot(x, y) / pi))),
    "langermann": langermann,
    "pen_holder": lambda x, y: -exp(-1 / abs(cos(x) * cos(y) * exp(abs(1 - math.hypot(x, y) / pi)))),
    "quadratic_linear": quadratic_linear,
    "schaffer_4": schaffer_4,
    "shubert": shubert,
    "six_hump_camel": lambda x, y: (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (-4 + 4 * y**2) * y**2,
    "spiral": spiral,
    "trefethen": trefethen,
    "tripod": tripod,
    "wolfe": wolfe,
}


@pytest.mark.parametrize("name", PLANAR)
def test_planar_formula_agrees_with_a_second_implementation(name: str) -> None:
    problem = problems.two_dimensional[name]
    points = box_points(problem.low, problem.high, 200)
    expected = np.array([PLANAR[name](x, y) for x, y in points.tolist()])
    scale = np.abs(expected).max()
    np.testing.assert_allclose(problem(torch.tensor(points)).numpy(), expected, rtol=1e-9, atol=1e-12 * scale)


# As printed in Jamil and Yang (2013), Mishra (2006), Moré, Garbow and Hillstrom (1981), Lukšan and Vlček (2000).
PUBLISHED = {
    "adjiman": -2.02181,
    "bird": -106.764537,
    "branin": 0.397887,
    "carrom_table": -24.1568155,
    "charalambous_conn_2": 1.9522245,
    "chichinadze": -42.944387,
    "cliff": 0.199786613,
    "cross_in_tray": -2.06261187,
    "dekkers_aarts": -24776.5183,
    "eggholder": -959.6407,
    "foxholes": 0.998003838,
    "giunta": 0.0644704,
    "holder_table": -19.2085,
    "hosaki": -2.3458,
    "jennrich_sampson": 124.362182,
    "langermann": -5.1621259,
    "mccormick": -1.9132,
    "pen_holder": -0.96353,
    "schaffer_4": 0.292579,
    "shubert": -186.7309,
    "six_hump_camel": -1.031628,
    "testtube_holder": -10.8723,
    "trefethen": -3.30686865,
    "ursem_1": -4.816814,
    "zettl": -0.003791,
    "zirilli": -0.352386,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_minimum_is_the_published_one(name: str) -> None:
    assert problems.two_dimensional[name].minimum == pytest.approx(PUBLISHED[name], rel=1e-4)


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
