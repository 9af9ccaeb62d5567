"""Formulas to be tuned: smooth, of many minima, mixed, conditional, noisy; their minima are known."""

import math
from hashlib import blake2b

import numpy as np

from tuning.problem import Params, Task, choice, integer, number

__all__ = [
    "ackley10",
    "branin",
    "griewank8",
    "hartmann6",
    "levy5",
    "mixed",
    "noisy_branin",
    "rosenbrock20",
    "shapes",
    "tree",
]

BRANIN_LEAST = 0.39788735772973816


def _vector(params: Params, d: int) -> np.ndarray:
    return np.array([params[f"x{i}"] for i in range(d)])


def _floats(d: int, low: float, high: float) -> tuple:
    return tuple(number(f"x{i}", low, high) for i in range(d))


def _branin(p: Params) -> float:
    bend = p["y"] - 5.1 * (p["x"] / (2 * math.pi)) ** 2 + 5 * p["x"] / math.pi - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(p["x"]) + 10


def branin() -> Task:
    """Two coordinates, three minima alike."""
    return Task((number("x", -5, 10), number("y", 0, 15)), _branin, BRANIN_LEAST)


def noisy_branin() -> Task:
    """The same with noise of standard deviation 5, drawn by the point, so that a run can be repeated."""

    def f(p: Params) -> float:
        seed = int.from_bytes(blake2b(f"{p['x']!r} {p['y']!r}".encode(), digest_size=8).digest(), "little")
        return _branin(p) + 5 * float(np.random.default_rng(seed).standard_normal())

    return Task(branin().parameters, f, BRANIN_LEAST, _branin)


def hartmann6() -> Task:
    """Six coordinates, six minima."""
    weights = np.array([1.0, 1.2, 3.0, 3.2])
    scales = np.array(
        [[10, 3, 17, 3.5, 1.7, 8], [0.05, 10, 17, 0.1, 8, 14], [3, 3.5, 1.7, 10, 17, 8], [17, 8, 0.05, 10, 0.1, 14]]
    )
    centres = np.array(
        [
            [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
            [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
            [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
            [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
        ]
    )

    def f(p: Params) -> float:
        far = (scales * (_vector(p, 6) - centres) ** 2).sum(1)
        return -float(weights @ np.exp(-far))

    return Task(_floats(6, 0, 1), f, -3.322368011415515)


def ackley10() -> Task:
    """Ten coordinates, a funnel of small waves whose bottom is away from the middle."""
    bottom = np.random.default_rng(7).uniform(-5, 5, 10)

    def f(p: Params) -> float:
        z = _vector(p, 10) - bottom
        return float(
            20 * (1 - math.exp(-0.2 * math.sqrt(np.mean(z**2)))) + math.e - math.exp(np.mean(np.cos(2 * math.pi * z)))
        )

    return Task(_floats(10, -10, 15), f, 0.0)


def levy5() -> Task:
    """Five coordinates, waves over a bowl."""

    def f(p: Params) -> float:
        w = 1 + (_vector(p, 5) - 1 - np.array([2.0, -3.0, 4.0, -1.0, 0.5])) / 4
        inner = (w[:-1] - 1) ** 2 * (1 + 10 * np.sin(math.pi * w[:-1] + 1) ** 2)
        return float(
            math.sin(math.pi * w[0]) ** 2 + inner.sum() + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
        )

    return Task(_floats(5, -10, 10), f, 0.0)


def rosenbrock20() -> Task:
    """Twenty coordinates, a bent valley, as its logarithm."""

    def f(p: Params) -> float:
        x = _vector(p, 20)
        return math.log1p(float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()))

    return Task(_floats(20, -2, 3), f, 0.0)


def griewank8() -> Task:
    """Eight coordinates, a wide bowl with ripples, away from the middle."""
    bottom = np.array([31.0, -22.0, 13.0, -41.0, 5.0, 17.0, -9.0, 28.0])

    def f(p: Params) -> float:
        z = _vector(p, 8) - bottom
        return float(1 + (z**2).sum() / 400 - np.cos(z / np.sqrt(np.arange(1, 9))).prod())

    return Task(_floats(8, -60, 60), f, 0.0)


def mixed() -> Task:
    """Three floats, two ints and two choices; where the bowl has its bottom depends on the choices."""

    def f(p: Params) -> float:
        moved = {"left": -0.5, "right": 0.5, "both": 0.0}[p["side"]]
        steep = {"soft": 0.3, "hard": 3.0}[p["grip"]]
        bowl = (p["a"] - moved) ** 2 + steep * (p["b"] + 0.7 * moved) ** 2 + (math.log10(p["c"]) + 2) ** 2 / 4
        steps = 0.02 * (p["n"] - 7) ** 2 + 0.1 * abs(p["m"] - (3 if p["grip"] == "soft" else 5))
        return bowl + steps + {"left": 0.15, "right": 0.0, "both": 0.3}[p["side"]]

    parameters = (
        number("a", -1, 1), number("b", -1, 1), number("c", 1e-5, 1, log=True), integer("n", 0, 20), integer("m", 1, 8),
        choice("side", "left", "right", "both"), choice("grip", "soft", "hard"),
    )  # fmt: skip
    return Task(parameters, f, 0.0)


def tree() -> Task:
    """A choice of three models with parameters of their own, one with a choice within."""

    def f(p: Params) -> float:
        if p["model"] == "wave":
            return 0.4 + 0.3 * math.sin(5 * p["wave_x"]) + (p["wave_x"] - 0.4) ** 2 + 0.2 * abs(p["wave_y"] - 0.3)
        if p["model"] == "bowl":
            depth = 0.1 * abs(math.log10(p["bowl_scale"]) + 1)
            kind = (p["bowl_sharp"] - 0.8) ** 2 if p["bowl_kind"] == "sharp" else 0.1 + 0.02 * (p["bowl_flat"] - 6) ** 2
            return 0.1 + depth + kind + (p["shared"] - 0.25) ** 2
        return 0.35 + 0.1 * p["plain_n"] / 30

    parameters = (
        choice("model", "wave", "bowl", "plain"), number("shared", 0, 1),
        number("wave_x", 0, 2).given("model", "wave"), number("wave_y", 0, 1).given("model", "wave"),
        number("bowl_scale", 1e-4, 1e2, log=True).given("model", "bowl"),
        choice("bowl_kind", "sharp", "flat").given("model", "bowl"),
        number("bowl_sharp", 0, 1).given("bowl_kind", "sharp"), integer("bowl_flat", 1, 12).given("bowl_kind", "flat"),
        integer("plain_n", 1, 30).given("model", "plain"),
    )  # fmt: skip
    return Task(parameters, f, 0.1)


def shapes() -> Task:
    """A choice of four shapes: of two, three and four floats, and one of ints only."""

    def f(p: Params) -> float:
        if p["shape"] == "valley":
            x, y = p["vx"], p["vy"]
            return 0.5 + math.log1p(100 * (y - x * x) ** 2 + (1 - x) ** 2) / 4
        if p["shape"] == "cone":
            return 0.2 + math.sqrt((p["cx"] - 0.3) ** 2 + (p["cy"] + 0.4) ** 2 + (p["cz"] - 0.1) ** 2)
        if p["shape"] == "bowl":
            return 0.1 + sum((p[f"b{i}"] - 0.2 * i) ** 2 * (1 + i) for i in range(4))
        return 0.3 + 0.05 * abs(p["i"] - 3) + 0.05 * abs(p["j"] - 11)

    parameters = (
        choice("shape", "valley", "cone", "bowl", "grid"),
        number("vx", -2, 2).given("shape", "valley"), number("vy", -1, 3).given("shape", "valley"),
        *(number(f"c{axis}", -1, 1).given("shape", "cone") for axis in "xyz"),
        *(number(f"b{i}", -1, 1).given("shape", "bowl") for i in range(4)),
        integer("i", 0, 15).given("shape", "grid"), integer("j", 0, 15).given("shape", "grid"),
    )  # fmt: skip
    return Task(parameters, f, 0.1)
