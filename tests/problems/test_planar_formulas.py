"""Formulas of two variables against second implementations, written in plain Python, and against published minima."""

import math
from collections.abc import Callable
from math import cos, exp, pi, sin, sqrt

import numpy as np
import pytest
import torch

from descend import problems
from descend.problems import catalogue


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


def chichinadze(x: float, y: float) -> float:
    first = x**2 - 12 * x + 11 + 10 * cos(pi * x / 2) + 8 * sin(5 * pi * x / 2)
    return first - 0.2**0.5 * exp(-0.5 * (y - 0.5) ** 2)


def giunta(x: float, y: float) -> float:
    total = 0.6
    for u in (16 * x / 15 - 1, 16 * y / 15 - 1):
        total += sin(u) ** 2 + sin(u) + 0.02 * sin(4 * u)
    return total


def levy_13(x: float, y: float) -> float:
    first = sin(3 * pi * x) ** 2 + (x - 1) ** 2 * (1 + sin(3 * pi * y) ** 2)
    return first + (y - 1) ** 2 * (1 + sin(2 * pi * y) ** 2)


def venter_sobieski(x: float, y: float) -> float:
    return sum(t**2 - 100 * cos(t) ** 2 - 100 * cos(t**2 / 30) for t in (x, y))


def modified_rosenbrock(x: float, y: float) -> float:
    return 74 + 100 * (y - x**2) ** 2 + (1 - x) ** 2 - 400 * exp(-((x + 1) ** 2 + (y + 1) ** 2) / 0.1)


def peaks(x: float, y: float) -> float:
    first = 3 * (1 - x) ** 2 * exp(-(x**2) - (y + 1) ** 2)
    return first - 10 * (x / 5 - x**3 - y**5) * exp(-(x**2) - y**2) - exp(-((x + 1) ** 2) - y**2) / 3


PLANAR: dict[str, Callable[[float, float], float]] = {
    "adjiman": lambda x, y: cos(x) * sin(y) - x / (1 + y * y),
    "bartels_conn": lambda x, y: abs(x * x + y * y + x * y) + abs(sin(x)) + abs(cos(y)),
    "bazaraa_shetty": lambda x, y: (x - 2) ** 4 + (x - 2 * y) ** 2,
    "beale": lambda x, y: sum((c - x * (1 - y**i)) ** 2 for i, c in enumerate((1.5, 2.25, 2.625), start=1)),
    "bird": lambda x, y: sin(x) * exp((1 - cos(y)) ** 2) + cos(y) * exp((1 - sin(x)) ** 2) + (x - y) ** 2,
    "bohachevsky_1": lambda x, y: x * x - 0.3 * cos(3 * pi * x) + 0.3 + 2 * y * y - 0.4 * cos(4 * pi * y) + 0.4,
    "bohachevsky_2": lambda x, y: x * x + 2 * y * y + 0.3 * (1 - cos(3 * pi * x) * cos(4 * pi * y)),
    "bohachevsky_3": lambda x, y: x * x + 2 * y * y + 0.3 * (1 - cos(3 * pi * x + 4 * pi * y)),
    "booth": lambda x, y: 5 * x * x + 8 * x * y + 5 * y * y - 34 * x - 38 * y + 74,
    "branin": branin,
    "brent": lambda x, y: (x + 10) ** 2 + (y + 10) ** 2 + exp(-(x * x + y * y)),
    "brown_badly_scaled": lambda x, y: math.fsum(r * r for r in (x - 10**6, y - 2 / 10**6, x * y - 2)),
    "bukin_6": lambda x, y: 100 * sqrt(abs(y - x * x / 100)) + abs(x + 10) / 100,
    "carrom_table": carrom_table,
    "charalambous_conn_2": lambda x, y: max(x**2 + y**4, (2 - x) ** 2 + (2 - y) ** 2, 2 * exp(-x + y)),
    "chichinadze": chichinadze,
    "cliff": lambda x, y: (0.01 * x - 0.03) ** 2 - x + y + exp(20 * (x - y)),
    "cross_in_tray": cross_in_tray,
    "cube": lambda x, y: 100 * (y - x * x * x) ** 2 + (x - 1) ** 2,
    "damavandi": damavandi,
    "dekkers_aarts": lambda x, y: 1e5 * x**2 + y**2 - (x**2 + y**2) ** 2 + (x**2 + y**2) ** 4 / 1e5,
    "demyanov_malozemov": lambda x, y: max(5 * abs(x) + y, x * x + (y + 2) ** 2 - 4),
    "drop_wave": lambda x, y: -(1 + cos(12 * math.hypot(x, y))) / (0.5 * (x * x + y * y) + 2),
    "easom": lambda x, y: -cos(x) * cos(y) * exp(-((x - pi) ** 2 + (y - pi) ** 2)),
    "egg_crate": lambda x, y: x * x + y * y + 25 * (2 - cos(x) ** 2 - cos(y) ** 2),
    "eggholder": eggholder,
    "foxholes": foxholes,
    "freudenstein_roth": freudenstein_roth,
    "giunta": giunta,
    "goldstein_price": goldstein_price,
    "gramacy_lee": lambda x, y: x / exp(x * x + y * y),
    "himmelblau": lambda x, y: (x * x + y - 11) ** 2 + (x + y * y - 7) ** 2,
    "holder_table": lambda x, y: -abs(sin(x) * cos(y) * exp(abs(1 - math.hypot(x, y) / pi))),
    "hosaki": lambda x, y: (1 + x * (-8 + x * (7 + x * (-7 / 3 + x / 4)))) * y * y * exp(-y),
    "jennrich_sampson": lambda x, y: sum((2 + 2 * i - exp(i * x) - exp(i * y)) ** 2 for i in range(1, 11)),
    "langermann": langermann,
    "levy_13": levy_13,
    "matyas": lambda x, y: 0.01 * (x + y) ** 2 + 0.25 * (x - y) ** 2,
    "mccormick": lambda x, y: sin(x + y) + (x - y) ** 2 - 3 / 2 * x + 5 / 2 * y + 1,
    "mifflin_1": lambda x, y: -x + 20 * max(x * x + y * y - 1, 0),
    "mifflin_2": lambda x, y: -x + (3.75 if x * x + y * y > 1 else 0.25) * (x * x + y * y - 1),
    "modified_rosenbrock": modified_rosenbrock,
    "parsopoulos": lambda x, y: 1 + (cos(2 * x) - cos(2 * y)) / 2,
    "peaks": peaks,
    "pen_holder": lambda x, y: -exp(-1 / abs(cos(x) * cos(y) * exp(abs(1 - math.hypot(x, y) / pi)))),
    "powell_badly_scaled": lambda x, y: (10**4 * x * y - 1) ** 2 + (exp(-x) + exp(-y) - 1.0001) ** 2,
    "price_1": lambda x, y: min(abs(x - 5), abs(x + 5)) ** 2 + min(abs(y - 5), abs(y + 5)) ** 2,
    "price_2": lambda x, y: 3 - cos(x) ** 2 - cos(y) ** 2 - exp(-x * x - y * y) / 10,
    "price_4": lambda x, y: (2 * y * x**3 - y**3) ** 2 + (6 * x - y**2 + y) ** 2,
    "quadratic_linear": quadratic_linear,
    "rotated_ellipse": lambda x, y: 4 * (x * sqrt(3) / 2 + y / 2) ** 2 + 16 * (-x / 2 + y * sqrt(3) / 2) ** 2,
    "schaffer_2": lambda x, y: 0.5 + (sin(x * x - y * y) ** 2 - 0.5) / (1 + (x * x + y * y) / 1000) ** 2,
    "schaffer_4": schaffer_4,
    "shubert": shubert,
    "sisser": lambda x, y: 3 * (x * x - y * y) ** 2 + 4 * x * x * y * y,
    "six_hump_camel": lambda x, y: (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (-4 + 4 * y**2) * y**2,
    "spiral": spiral,
    "testtube_holder": lambda x, y: -4 * abs(sin(x) * cos(y)) * exp(abs(cos((x * x + y * y) / 200))),
    "three_hump_camel": lambda x, y: (2 - 1.05 * x**2 + x**4 / 6) * x**2 + x * y + y**2,
    "trecanni": lambda x, y: x * x * (x + 2) ** 2 + y * y,
    "trefethen": trefethen,
    "tripod": tripod,
    "ursem_1": lambda x, y: cos(2 * x) - 3 * cos(y) - x / 2,
    "venter_sobieski": venter_sobieski,
    "wayburn_seader_1": lambda x, y: (x**6 + y**4 - 17) ** 2 + (2 * x + y - 4) ** 2,
    "wolfe": wolfe,
    "zettl": lambda x, y: (x * (x - 2) + y * y) ** 2 + 0.25 * x,
    "zirilli": lambda x, y: 0.25 * x**4 - 0.5 * x**2 + 0.1 * x + 0.5 * y**2,
}


def test_every_problem_has_a_second_implementation() -> None:
    assert set(PLANAR) == {problem.name for problem in catalogue.PLANAR}


@pytest.mark.parametrize("name", PLANAR)
def test_planar_formula_agrees_with_a_second_implementation(name: str) -> None:
    problem = problems.two_dimensional[name]
    points = np.random.default_rng(0).uniform(problem.low, problem.high, size=(200, 2))
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
