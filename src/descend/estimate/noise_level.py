"""How noisy an objective is: the standard deviation of one value, from differences of values along a short line.

The k-th difference of a smooth function on a fine enough grid is nothing but noise, of which it has
Var[Delta^k f] = sigma^2 (2k)! / (k!)^2, so that every column of the difference table gives an estimate of sigma:

    sigma_k^2 = (k!)^2 / (2k)! mean_i (Delta^k f_i)^2                                                          (1)

The estimate is taken at the first k where three neighbours agree within a factor of 4 and the differences change
sign, which a smooth function's do not (Moré and Wild 2011, "Estimating computational noise", algorithm ECNoise).
"""

import math

import torch
from torch import Tensor

from descend.direction import Dense
from descend.estimate.radius import typical
from descend.key import Key
from descend.oracle import Asks, Oracle, check_answers

__all__ = ["difference_table_noise", "noise_level"]

_POINTS = 7
_SPACINGS = (1e-2, 1e-4, 1e-6)
"""Spacings of the grid in units of the point's size, tried in turn: the first is fine enough for noise worth a name."""


def noise_level(oracle: Oracle, x: Tensor, key: Key) -> float:
    """The standard deviation of the noise of one value near x (d,), rounding included.

    Asks 7 values along a random line; 14 or 21 where f bends too much for the first spacing to show noise. If none of
    the spacings does, the answer is 0: then there is no noise beside rounding.

    All values are asked with one key, so noise that the key decides (a minibatch, dropout) is common to them
    and does not count: differences do not see it either.

    >>> from descend.oracle import Function
    >>> def noisy(xs):
    ...     return (xs**2).sum(1) + 0.1 * torch.randn(len(xs))
    >>> sigma = noise_level(Function(noisy, batched=True), torch.ones(3), Key(0))
    >>> 0.03 < sigma < 0.3
    True
    """
    check_answers("noise_level", Asks.VALUES, oracle)
    line = key.fold("noise level").normal(x.numel(), like=x.new_empty(0, dtype=torch.float64).cpu())
    line = line / line.norm() * typical(x, torch.arange(x.numel())).square().sum().sqrt()
    grid = torch.arange(_POINTS, dtype=torch.float64) - _POINTS // 2
    for spacing in _SPACINGS:
        if spacing < torch.finfo(x.dtype).eps:
            break
        values = oracle.along(x, Dense(line[None].to(x)), spacing * grid[None], key)[0]
        sigma = difference_table_noise(values)
        if math.isfinite(sigma):
            return sigma
    return 0.0


def difference_table_noise(values: Tensor) -> float:
    """Equation (1) for values (m + 1,) on an even grid, at the first column that looks like noise; NaN if none does.

    >>> difference_table_noise(torch.tensor([0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0]))
    nan
    """
    sigmas: list[float] = []
    turns: list[bool] = []
    differences = values.double()
    for k in range(1, len(values)):
        differences = differences.diff()
        gamma = math.factorial(k) ** 2 / math.factorial(2 * k)
        sigmas.append(math.sqrt(gamma * float(differences.square().mean())))
        turns.append(bool((differences > 0).any()) and bool((differences < 0).any()))
    for k in range(len(sigmas) - 2):
        near = sigmas[k : k + 3]
        if turns[k] and 0 < max(near) <= 4 * min(near):
            return near[0]
    return math.nan
