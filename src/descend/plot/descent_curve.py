"""The picture of a descent in one dimension: the curve, the iterates on it, and an arrow for each step."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from descend.plot._mpl import Axes, FancyArrowPatch, Figure
from descend.plot._style import INK, PALETTE
from descend.plot.canvas import axes_for
from descend.plot.landscape import Box, Objective, bounds, inside, values_at
from descend.plot.paths import as_path

__all__ = ["curve"]

Array = NDArray[np.float64]

POINTS = 501
ARROWS = 40  # steps that get an arrow; later ones are too close together to be told apart
SHORTEST, LONGEST = 0.02, 2.0  # arrows, in widths or heights of the picture; longer ones overflow where a run diverges


def curve(
    f: Objective,
    low: float,
    high: float,
    steps: Any = None,
    *,
    color: str = PALETTE[1],
    ax: Axes | None = None,
) -> Figure:
    """A function of one variable, and the steps of a descent on it.

    A white circle is the start, a coloured one the last iterate, an arrow a step. What leaves the picture is followed
    by an arrow to its edge.

    Args:
        f: a function of a tensor (1,), such as ``lambda x: x**2``; or an oracle.
        low: where the curve begins.
        high: where it ends.
        steps: the iterates as a tensor or sequence (k,) or (k, 1); default none.
        color: of the iterates.
        ax: where to draw; default a new figure.

    Returns:
        The figure.

    Raises:
        ShapeMismatch: steps of another shape.
        InvalidValue: an interval that is empty or not finite, or a function that is finite nowhere in it.

    >>> figure = curve(lambda x: x**2, -2, 2, [-1.5, 0.75, -0.375])
    >>> len(figure.axes[0].patches)
    2
    """
    box = bounds(low, high, 1)
    grid = np.linspace(box.low[0], box.high[0], POINTS)
    heights = values_at(f, grid[:, None])
    path = np.empty(0) if steps is None else as_path(steps, 1)[:, 0]
    figure, axes = axes_for(ax)
    axes.plot(grid, heights, color=INK, linewidth=1.6, zorder=2)
    least, most = np.nanmin(heights), np.nanmax(heights)
    margin = 0.06 * ((most - least) or 1.0)
    axes.set(xlim=(grid[0], grid[-1]), ylim=(least - margin, most + margin), xlabel="$x$", ylabel="$f(x)$")
    path = path[np.isfinite(path)]
    if len(path):
        _descend(axes, np.stack([path, values_at(f, path[:, None])], axis=1), color)
    return figure


def _descend(ax: Axes, points: Array, color: str) -> None:
    """Dots and arrows of the iterates (k, 2), the later ones stronger."""
    points = points[np.isfinite(points).all(1)]
    ax.scatter(
        *points.T,
        s=34,
        c=["white"] + [color] * (len(points) - 1),
        edgecolors=[color] + ["white"] * (len(points) - 1),
        linewidths=[1.6] + [0.7] * (len(points) - 1),
        zorder=4,
    )
    box = Box(*np.array([ax.get_xlim(), ax.get_ylim()]).T)
    side = box.high - box.low
    for start, end in list(pairwise(points))[:ARROWS]:
        reach = float(np.abs((end - start) / side).max())  # in widths of the picture
        if len(inside(start[None], box)) and reach > SHORTEST:
            ax.add_patch(_arrow(start, start + (end - start) * min(1.0, LONGEST / reach), color))


def _arrow(start: Array, end: Array, color: str) -> FancyArrowPatch:
    return FancyArrowPatch(
        (start[0], start[1]),
        (end[0], end[1]),
        arrowstyle="-|>",
        mutation_scale=11,
        shrinkA=3,
        shrinkB=3,
        color=color,
        linewidth=1.2,
        alpha=0.85,
        zorder=3,
    )
