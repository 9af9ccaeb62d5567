"""Noise on the BBOB functions: each evaluation has another loss, and targets are met by the values without noise.

The models are those of "Real-parameter black-box optimization benchmarking 2009: noisy functions definitions" (Hansen,
Finck, Ros and Auger), at the severe setting, and a constant normal noise. Symbol: g >= 0, what is above the optimum.
"""

from collections.abc import Callable

import numpy as np

__all__ = ["NOISES", "Noise"]

Noise = Callable[[float], float]
"""What is seen of g."""


def gauss(random: np.random.Generator) -> Noise:
    """g exp(N): as wrong far from the optimum as near."""
    return lambda g: g * float(np.exp(random.standard_normal()))


def cauchy(random: np.random.Generator) -> Noise:
    """g + max(0, 1000 + C) in a fifth of the evaluations, C Cauchy: outliers, 1000 for most, a few good ones."""

    def seen(g: float) -> float:
        shift = 1000.0 if random.uniform() < 0.2 else 0.0
        return g + (max(0.0, shift + float(random.standard_cauchy())) if shift else 0.0)

    return seen


def added(random: np.random.Generator) -> Noise:
    """g + N: nothing below 1 can be told apart by one evaluation."""
    return lambda g: g + float(random.standard_normal())


NOISES: dict[str, Callable[[np.random.Generator], Noise]] = {
    "noisy-gauss": gauss,
    "noisy-cauchy": cauchy,
    "noisy-added": added,
}
"""Suites of our own: the BBOB functions of the same number, with noise."""
