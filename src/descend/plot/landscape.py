"""What lies under a trajectory: an objective on a grid, and the levels whose contours say most.

The levels are those of g = f - min f, equally far apart in log g: only so do the floor of a narrow valley and its
walls, which differ by many powers of ten, both show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle import Function, Oracle
from descend.plot.paths import as_array
from descend.problems import Problem, Scalable

__all__ = [
    "Box",
    "Landscape",
    "Objective",
    "bounds",
    "find_box",
    "inside",
    "level_values",
    "planar",
    "survey",
    "values_at",
]

Array = NDArray[np.float64]
Objective = Problem | Scalable | Oracle | Callable[..., Any]

RESOLUTION = 201  # grid points on a side; odd, so that the centre of the box is one of them
LOWEST = 0.002  # the share of the grid that lies below the lowest level
MARGIN = 0.15  # of the larger extent of the paths, where no box is known


@dataclass(frozen=True, eq=False)
class Box:
    """The rectangle that is drawn, low (2,) to high (2,)."""

    low: Array
    high: Array


@dataclass(frozen=True, eq=False)
class Landscape:
    """An objective on a grid in a box: x (m,), y (m,), its values (m, m), row by row in y, and its minimum."""

    box: Box
    x: Array
    y: Array
    values: Array
    minimum: float

    @property
    def height(self) -> Array:
        """f - minimum, (m, m)."""
        return self.values - self.minimum


def planar(objective: Objective) -> Problem | None:
    """What is known of the objective: the problem of two variables that it is, or None for any other function.

    Raises:
        InvalidValue: a problem of another number of variables.
    """
    if not isinstance(objective, Problem | Scalable):
        return None
    if objective.dimension not in (None, 2):
        raise InvalidValue(
            f"the problem {objective.name!r} has {objective.dimension} variables, but contours are drawn of 2; "
            "give a function of two of them: lambda x: problem(torch.cat([x, rest]))"
        )
    return objective.at(2)


def values_at(objective: Objective, points: Array) -> Array:
    """f at points (n, d), (n,), NaN where it is not finite; an oracle counts the evaluations, nothing else does.

    Raises:
        InvalidValue: f is finite at none of them.
    """
    if isinstance(objective, Oracle):
        oracle = objective
    else:
        oracle = Function(objective, batched=True if isinstance(objective, Problem | Scalable) else None)
    values = oracle.values(torch.as_tensor(points, dtype=torch.float64), Key(0)).numpy()
    values = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(values).all():
        raise InvalidValue(
            f"the function is finite nowhere in the picture ({oracle.ledger.last_failure}); it is given float64 "
            f"tensors ({points.shape[1]},), and one that takes arrays is written Function(f, takes='numpy')"
        )
    return values


def bounds(low: float | ArrayLike, high: float | ArrayLike, dimension: int) -> Box:
    """A box from numbers or (dimension,) sequences. Raises `InvalidValue` unless it is finite and low < high."""
    ends = []
    for name, end in (("low", low), ("high", high)):
        given = as_array(end)
        if given.shape not in ((), (dimension,)):
            raise ShapeMismatch(f"{name}={end!r} does not fit {dimension} coordinates; write one number or {dimension}")
        ends.append(np.broadcast_to(given, (dimension,)))
    box = Box(*ends)
    if not (np.isfinite(ends).all() and (box.low < box.high).all()):
        raise InvalidValue(f"low={low!r} and high={high!r} make no box; write finite numbers, the smaller ones in low")
    return box


def inside(points: Array, box: Box) -> Array:
    """The points (k, 2) that lie in the box; their marks may then reach over its edge."""
    return points[((points >= box.low) & (points <= box.high)).all(1)]


def find_box(
    problem: Problem | None, points: Sequence[Array], low: float | ArrayLike | None, high: float | ArrayLike | None
) -> Box:
    """The box to draw: as asked for, else the problem's, else around all points (k, 2) with a margin.

    Raises:
        InvalidValue: nothing is known and no point is finite, or low is not below high.
    """
    if problem is not None:
        least, most = np.array(problem.low), np.array(problem.high)
    else:
        every = np.concatenate(points)
        every = every[np.isfinite(every).all(1)]
        if not len(every) and (low is None or high is None):
            raise InvalidValue("no point of the paths is finite, so the picture has no domain; write low= and high=")
        least, most = (every.min(0), every.max(0)) if len(every) else (np.zeros(2), np.ones(2))
        margin = MARGIN * ((most - least).max() or 1.0)
        least, most = least - margin, most + margin
    return bounds(least if low is None else low, most if high is None else high, 2)


def survey(objective: Objective, problem: Problem | None, box: Box) -> Landscape:
    """f on a grid of 201 x 201 points in the box.

    The minimum is the problem's, else the lowest value found.
    """
    x, y = (np.linspace(low, high, RESOLUTION) for low, high in zip(box.low, box.high, strict=True))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    values = values_at(objective, grid.reshape(-1, 2)).reshape(len(y), len(x))
    return Landscape(box, x, y, values, float(np.nanmin(values)) if problem is None else problem.minimum)


def level_values(heights: Array, count: int, log: bool) -> Array:
    """`count` increasing levels of the heights, equally far apart in the logarithm, or themselves; none of a plane.

    The lowest logarithmic level has 1/500 of the positive heights below it, so that one grid point that lies close
    to a minimizer by chance does not spend all levels on its surroundings.

    Raises:
        InvalidValue: fewer than two levels.

    >>> level_values(np.array([0.0, 1.0, 10.0, 100.0]), 3, log=True).round(2).tolist()
    [1.04, 10.18, 100.0]
    """
    if count < 2:
        raise InvalidValue(f"levels={count!r} makes no contours; write at least 2")
    heights = heights[np.isfinite(heights)]
    if log:
        heights = heights[heights > 0]
    if not len(heights) or heights.min() == heights.max():
        return np.empty(0)
    if not log:
        return np.linspace(heights.min(), heights.max(), count)
    return np.geomspace(np.quantile(heights, LOWEST), heights.max(), count)
