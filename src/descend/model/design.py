"""First points that fill a cube whatever has been asked already: a Latin hypercube, made one point at a time.

Every coordinate is cut into m strata, and a new point takes in each of them one that has fewest points so far; of
several points made in this way the one is taken that is farthest from all others (McKay, Beckman and Conover 1979;
Johnson, Moore and Ylvisaker 1990 for the distance). So the design is a function of the points that are there already.
"""

import torch
from torch import Tensor

from descend.key import Key
from descend.model.modelled import Cube

__all__ = ["fill"]

_TRIES = 32


def fill(cube: Cube, taken: Tensor, n: int, m: int, key: Key) -> Tensor:
    """n points (n, d) that, with those taken (k, d), are spread as m points should be.

    >>> from descend.space.domain import Domain
    >>> cube = Cube(Domain.box(torch.zeros(2), torch.ones(2)), torch.zeros(2))
    >>> us = fill(cube, torch.zeros(0, 2).double(), 5, 5, Key(0))
    >>> (us * 5).long().sort(0).values.T.tolist()
    [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    """
    for i in range(n):
        taken = torch.cat([taken, _next(cube, taken, m, key.fold("fill", i))[None]])
    return taken[len(taken) - n :]


def _next(cube: Cube, taken: Tensor, m: int, key: Key) -> Tensor:
    d = taken.shape[1]
    strata = torch.where((cube.cells > 0) & (cube.cells < m), cube.cells, m)
    used = (taken * strata).long().clamp(min=0).minimum(strata - 1)
    count = torch.zeros(d, max(m, int(strata.max())), dtype=torch.float64)
    count.scatter_add_(1, used.T, torch.ones_like(used.T, dtype=torch.float64))
    count[torch.arange(count.shape[1]) >= strata[:, None]] = torch.inf
    draws = key.uniform(2, _TRIES, d, count.shape[1], like=taken)
    place = (count + 0.5 * draws[0]).argmin(2)  # of the emptiest strata any
    tries = (place + draws[1, :, :, 0]) / strata
    if not len(taken):
        return tries[0]
    apart = torch.cdist(cube.centre(tries), cube.centre(taken)).min(1).values
    return tries[int(apart.argmax())]
