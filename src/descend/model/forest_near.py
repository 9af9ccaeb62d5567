"""Where a model is asked: random points, and neighbours of good ones, of which each differs in one coordinate.

The neighbourhood is that of Hutter, Hoos, Leyton-Brown (2011, "Sequential model-based optimization for general
algorithm configuration", section 4.2): every other cell of an unordered coordinate, and for each other coordinate some
places about its own, normal with standard deviations from 0.2 down to 0.002; ordered cells move by one at least.
"""

import numpy as np
import torch
from torch import Tensor

from descend.key import Key
from descend.model.modelled import Cube

__all__ = ["canonical", "neighbours", "same_rows"]

_MOST_CELLS = 8
"""Of more unordered cells than this, as many are drawn."""


def canonical(cube: Cube, us: Tensor) -> Tensor:
    """Points (n, d) with discrete coordinates in the middle of their cells, and in the middle what is not there."""
    us = cube.centre(us)
    return torch.where(cube.active(us), us, 0.5) if cube.domain.rules else us


def neighbours(cube: Cube, us: Tensor, steps: int, key: Key) -> Tensor:
    """Points (n, k, d) that differ from points (n, d) in one coordinate each, k >= d; canonical, like those given.

    Args:
        steps: how many places of each coordinate that has no unordered cells.
        key: randomness.
    """
    n, d = us.shape
    cells, unordered = cube.cells, cube.unordered
    column = torch.cat(
        [
            torch.full((min(int(k) - 1, _MOST_CELLS) if u else steps,), j)
            for j, (k, u) in enumerate(zip(cells.tolist(), unordered.tolist(), strict=True))
        ]
    )
    k = len(column)
    now, size = us[:, column], cells[column].clamp(min=1)
    draws = key.fold("size").uniform(n, k, like=us), key.fold("step").normal(n, k, like=us)
    step = 0.2 * 100.0 ** -draws[0] * draws[1]
    one = torch.where(step < 0, -1.0, 1.0) / size
    step = torch.where((cells[column] > 0) & (step.abs() < 1 / size), one, step)
    moved = 1 - (1 - (now + step).abs()).abs()  # mirrored at both ends
    # the other cells of an unordered coordinate in turn, begun anywhere if they are too many for all of them
    turn = torch.cat([torch.arange(1, 1 + int(c)) for c in torch.bincount(column, minlength=d)])
    shift = torch.where(size - 1 > _MOST_CELLS, (draws[0] * (size - 1)).floor(), 0.0)
    other = (((now * size).floor() + 1 + (turn - 1 + shift) % (size - 1).clamp(min=1)) % size + 0.5) / size
    found = us[:, None, :].repeat(1, k, 1)
    found[:, torch.arange(k), column] = torch.where(unordered[column] & (size > 1), other, moved.clamp(0, 1))
    return canonical(cube, found.reshape(n * k, d)).reshape(n, k, d)


def same_rows(us: Tensor, others: Tensor) -> Tensor:
    """Which of the points (n, d) are among others (m, d): (n,) bool."""
    known = {row.tobytes() for row in np.ascontiguousarray(others.numpy())}
    return torch.tensor([row.tobytes() in known for row in np.ascontiguousarray(us.numpy())], dtype=torch.bool)
