"""A population on its way: some generations of it, each over the contours in a panel of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from descend.errors import InvalidValue
from descend.plot._mpl import Artist, Figure
from descend.plot._style import add_legend
from descend.plot.canvas import colors, panels
from descend.plot.contours import draw_landscape, draw_stars
from descend.plot.landscape import Objective, find_box, planar, survey
from descend.plot.paths import as_path

__all__ = ["generations"]


def generations(
    objective: Objective,
    points: Sequence[Any],
    *,
    shown: Sequence[int] | None = None,
    low: float | ArrayLike | None = None,
    high: float | ArrayLike | None = None,
    log: bool = True,
    levels: int = 24,
    label: str = "",
) -> Figure:
    """Contours of a function of two variables, and where a population stood on them in some of its generations.

    Args:
        objective: a `Problem`, which brings its box and its minimizers; a function of a point (2,); or an oracle.
        points: what was asked about, a tensor or array (n, 2) per generation.
        shown: which generations to draw, counted from 0; default four of them, from the first to the last, whose
            distances grow.
        low, high: corners of the box to draw, numbers or (2,); default those of the problem, else around the points.
        log, levels: as for `trajectory`.
        label: what the population is called.

    Returns:
        The figure, a panel per generation.

    Raises:
        ShapeMismatch: points that are not of two coordinates.
        InvalidValue: no generations, or one that is not there.

    >>> from descend import problems
    >>> figure = generations(problems.himmelblau, [[[0.0, 0.0], [1.0, 1.0]], [[3.0, 2.0], [2.5, 2.5]]])
    >>> [axes.get_title() for axes in figure.axes]
    ['generation 1', 'generation 2']
    """
    if not len(points):
        raise InvalidValue("there are no generations to draw; collect what was asked, a tensor (n, 2) each time")
    clouds = [as_path(cloud, 2) for cloud in points]
    chosen = _spread(len(clouds)) if shown is None else list(shown)
    missing = [i for i in chosen if not 0 <= i < len(clouds)]
    if missing or not chosen:
        raise InvalidValue(f"shown={shown!r} names no generation of 0 to {len(clouds) - 1}")
    problem = planar(objective)
    stars = np.empty((0, 2)) if problem is None else as_path(np.atleast_2d(problem.minimizers.numpy()), 2)
    box = find_box(problem, [*clouds, stars], low, high)
    land = survey(objective, problem, box)
    columns = min(4, len(chosen))
    figure, axes = panels(columns, math.ceil(len(chosen) / columns))
    (color,) = colors([label or "points"]).values()
    handles: list[Artist] = []
    for i, ax in zip(chosen, axes, strict=False):
        draw_landscape(ax, land, log=log, levels=levels, bar=False, lines=False)
        dots = ax.plot(
            *clouds[i].T, linestyle="", marker="o", markersize=4.5, markerfacecolor=color, markeredgecolor="white",
            markeredgewidth=0.6, label=label or "points", zorder=5, scalex=False, scaley=False,
        )  # fmt: skip
        handles = [*dots, *([draw_stars(ax, stars, box)] if len(stars) else [])]
        ax.set_title(f"generation {i + 1}", fontsize=10)
    for ax in axes[len(chosen) :]:
        ax.remove()
    add_legend(axes[0], handles if label else [], above=False)
    return figure


def _spread(n: int) -> list[int]:
    """Up to four of n generations: the first, the last, and between them some whose distances grow."""
    places = [0, *(round((n - 1) * share) for share in (0.1, 0.35)), n - 1]
    return sorted(set(places))
