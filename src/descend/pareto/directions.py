"""Directions spread evenly over all ways to weigh m objectives: rows (n, m) that are not negative and sum to 1.

`das_dennis`: Das and Dennis 1998, "Normal-boundary intersection", a grid that exists for some n only. `riesz`: Blank,
Deb, Dhebar, Bandaru and Seada 2021, "Generating well-spaced points on a unit simplex for evolutionary many-objective
optimization", which lets n points push each other away, for any n.
"""

import math
from functools import lru_cache
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key

__all__ = ["das_dennis", "riesz", "spread"]


def das_dennis(m: int, parts: int) -> Tensor:
    """All rows (n, m) float64 of multiples of 1 / parts that sum to 1; n = binomial(parts + m - 1, m - 1).

    Raises:
        InvalidValue: fewer than one objective or part.

    >>> das_dennis(2, 4).tolist()
    [[0.0, 1.0], [0.25, 0.75], [0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]
    """
    if m < 1 or parts < 1:
        raise InvalidValue(f"das_dennis needs m >= 1 and parts >= 1, got m={m!r}, parts={parts!r}")
    # m - 1 bars among parts + m - 1 places: the gaps between them are the numbers of parts
    bars = np.array(list(combinations(range(parts + m - 1), m - 1)), dtype=np.int64).reshape(
        math.comb(parts + m - 1, m - 1), m - 1
    )
    walls = np.full((len(bars), 1), -1), np.full((len(bars), 1), parts + m - 1)
    gaps = np.diff(np.concatenate([walls[0], bars, walls[1]], 1)) - 1
    return torch.from_numpy(gaps / parts)


def riesz(m: int, n: int, key: Key = Key(0), steps: int = 100) -> Tensor:
    """n rows (n, m) float64 that push each other away, the m corners among them.

    Args:
        m, n: n >= m >= 2.
        key: where they begin.
        steps: of descent on their energy, the sum of distance^-s with s = m^2; default 100.

    Raises:
        InvalidValue: m or n cannot mean anything.
    """
    if m < 2 or n < m:
        raise InvalidValue(f"riesz needs n >= m >= 2, got m={m!r}, n={n!r}")
    corners = torch.eye(m, dtype=torch.float64)
    if n == m:
        return corners
    points = -(1 - key.uniform(n - m, m, like=corners)).log()  # normalized: uniform on the simplex
    points = points / points.sum(1, keepdim=True)
    least, best = math.inf, points
    for t in range(steps):
        gap = points[:, None] - torch.cat([corners, points])[None]
        square = gap.square().sum(2).clamp(min=1e-20)
        square[torch.arange(n - m), torch.arange(m, n)] = math.inf
        logs = -m * m / 2 * square.log()
        energy = float(logs.flatten().logsumexp(0))
        if energy < least:
            least, best = energy, points
        # away from the others, each by the same length: the nearest pair would move alone otherwise
        push = (logs.softmax(1) / square)[:, :, None] * gap
        push = push.sum(1)
        push = push - push.mean(1, keepdim=True)  # within the plane where they sum to 1
        length = 0.5 * n ** (-1 / (m - 1)) * (1 - t / steps) ** 2
        points = (points + length * push / push.norm(dim=1, keepdim=True).clamp(min=1e-300)).clamp(min=0)
        points = points / points.sum(1, keepdim=True)
    return torch.cat([corners, best])


@lru_cache(maxsize=32)
def spread(m: int, n: int) -> Tensor:
    """About n directions (k, m): the largest grid of at most n if it is nearly that large, else n by `riesz`."""
    if m == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    parts = 1
    while math.comb(parts + m, m - 1) <= n:
        parts += 1
    if math.comb(parts + m - 1, m - 1) >= 0.9 * n:
        return das_dennis(m, parts)
    return riesz(m, max(m, n))
