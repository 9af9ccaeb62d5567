"""A few likely hyperparameters instead of the single most likely ones: a short Hamiltonian Monte Carlo chain.

Neal 2011, "MCMC using Hamiltonian dynamics", begun at the mode, its step length drawn towards an acceptance of 0.7.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from descend.key import Key

__all__ = ["chain"]

_LEAPS = 6


def chain(
    f: Callable[[Tensor], tuple[Tensor, Tensor]], theta: Tensor, lower: Tensor, upper: Tensor, n: int, key: Key
) -> Tensor:
    """n draws (n, d) from the density of which f gives the logarithm and its gradient, within a box.

    Args:
        f: a point (d,) -> the log density () and its gradient (d,).
        theta: (d,), where to begin: a mode, lest the beginning be wasted.
        lower, upper: (d,).
        n: draws.
        key: of everything random.
    """
    value, slope = f(theta)
    draws, step = [], 0.3
    for i in range(2 * n + 2):
        momentum = key.fold("momentum", i).normal(len(theta), like=theta)
        where, what, slow, fast = theta, value, slope, momentum
        for _ in range(_LEAPS):
            fast = fast + 0.5 * step * slow
            where = where + step * fast
            where, fast = _reflected(where, fast, lower, upper)
            what, slow = f(where)
            fast = fast + 0.5 * step * slow
            if not math.isfinite(float(what)):
                break
        gain = float(what - 0.5 * fast.square().sum() - value + 0.5 * momentum.square().sum())
        accepted = math.isfinite(gain) and math.log(float(key.fold("accept", i).uniform(1, like=theta))) < gain
        if accepted:
            theta, value, slope = where, what, slow
        step *= math.exp(0.4 * (min(1.0, math.exp(min(gain, 0.0))) - 0.7)) if math.isfinite(gain) else 0.5
        if i >= 2 and i % 2:
            draws.append(theta)
    return torch.stack(draws)


def _reflected(x: Tensor, v: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    below, above = x < lower, x > upper
    inside = torch.where(below, 2 * lower - x, torch.where(above, 2 * upper - x, x)).clamp(lower, upper)
    return inside, torch.where(below | above, -v, v)
