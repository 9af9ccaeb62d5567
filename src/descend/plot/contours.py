"""Trajectories over the contours of a function of two variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from descend.plot._mpl import (
    Artist,
    Axes,
    Figure,
    Line2D,
    LinearSegmentedColormap,
    LogNorm,
    MaxNLocator,
    Normal,
    Normalize,
    ScalarMappable,
    Stroke,
)
from descend.plot._style import INK, add_legend, label_powers
from descend.plot.canvas import axes_for, line_styles
from descend.plot.landscape import Box, Landscape, Objective, find_box, inside, level_values, planar, survey
from descend.plot.paths import as_path, read_paths

__all__ = ["draw_ends", "draw_landscape", "draw_path", "draw_stars", "fitting_size", "shape", "trajectory"]

Array = NDArray[np.float64]

# Lightness falls evenly towards the minimum, so it survives print and every kind of colour vision; all of it is pale
# enough for the palette's colours to stand out.
HEIGHTS = LinearSegmentedColormap.from_list("descend", ["#5F7D9C", "#A9BBCD", "#DAE3EB", "#FBFCFD"])
DOTTED = 80  # iterates up to which each is a dot


def trajectory(
    objective: Objective,
    paths: Any,
    *,
    low: float | ArrayLike | None = None,
    high: float | ArrayLike | None = None,
    log: bool = True,
    levels: int = 40,
    labels: Sequence[str] | None = None,
    minimizers: ArrayLike | None = None,
    colors: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Contours of a function of two variables, and the way that one or several methods took over them.

    A white circle is a start, a coloured one the last finite iterate, a star a known minimizer. Iterates that are not
    finite are gaps; what lies outside the box is not seen.

    Args:
        objective: a `Problem`, which brings its box, minimum and minimizers; a function of a point (2,); or an oracle.
        paths: the iterates of one method as a tensor or array (k, 2) or a list of k points; a sequence of such; or a
            mapping from labels to them.
        low: the lower corner of the box to draw, a number or (2,); default that of the problem, else around the paths.
        high: the upper corner likewise.
        log: whether the levels are equally far apart in log(f - min f), or in f. The minimum of a function that is no
            `Problem` is the lowest value in the picture.
        levels: how many.
        labels: a name for each path.
        minimizers: (2,) or (m, 2); default those of the problem.
        colors: the colour of each label, for example `colors(labels)` of several pictures together.
        ax: where to draw; default a new figure. On the caller's axes there is no scale of heights beside them.

    Returns:
        The figure.

    Raises:
        ShapeMismatch: paths that are not of two coordinates, or another number of labels.
        InvalidValue: a box that is empty or not finite, a function that is finite nowhere in it, too few levels.

    >>> from descend import problems
    >>> figure = trajectory(problems.himmelblau, {"straight on": [[0.0, 0.0], [1.0, 1.0], [3.0, 2.0]]})
    >>> [round(float(end)) for end in figure.axes[0].get_xlim()]
    [-5, 5]
    """
    names, arrays = read_paths(paths, labels)
    problem = planar(objective)
    known = problem.minimizers.numpy() if problem is not None and minimizers is None else minimizers
    stars = np.empty((0, 2)) if known is None else as_path(np.atleast_2d(np.asarray(known, dtype=np.float64)), 2)
    box = find_box(problem, [*arrays, stars], low, high)
    land = survey(objective, problem, box)
    figure, axes = axes_for(ax, fitting_size(box))
    draw_landscape(axes, land, log=log, levels=levels, bar=ax is None)
    handles: list[Artist] = []
    for path, (color, dashes), name in zip(arrays, line_styles(names, colors), names, strict=True):
        handles.append(draw_path(axes, path, color, dashes, name))
        draw_ends(axes, path, color, box)
    if len(stars):
        handles.append(draw_stars(axes, stars, box))
    title = problem.name.replace("_", " ").capitalize() if problem is not None else ""
    add_legend(axes, handles if any(names) else [], above=ax is None, title=title)
    return figure


def fitting_size(box: Box, side: float = 4.3) -> tuple[float, float]:
    """Inches of a figure that has axes as long as `side` and room for what stands around them, but no more."""
    ratio = shape(box)
    return side * min(1.0, 1 / ratio) + 1.6, side * min(1.0, ratio) + 1.0


def shape(box: Box) -> float:
    """Height over width of the axes: the box's own, so that circles are circles, if neither is over twice the other."""
    ratio = float((box.high - box.low)[1] / (box.high - box.low)[0])
    return ratio if 0.5 <= ratio <= 2 else 1.0


def draw_landscape(ax: Axes, land: Landscape, *, log: bool, levels: int, bar: bool, lines: bool = True) -> None:
    """Filled contours, with fine lines between them; `bar` puts the scale of heights beside the axes."""
    heights = land.height if log else land.values
    at = level_values(heights, levels, log)
    ax.grid(False)
    ax.set(xlim=land.x[[0, -1]], ylim=land.y[[0, -1]], xlabel="$x_1$", ylabel="$x_2$")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.set_box_aspect(shape(land.box))
    if not len(at):  # a plane has no contours
        return
    norm = LogNorm(at[0], at[-1]) if log else Normalize(at[0], at[-1])
    # below the lowest level nothing is told apart, and a height of zero has no logarithm
    seen = np.ma.masked_invalid(np.maximum(heights, at[0] / 2) if log else heights)
    ax.contourf(land.x, land.y, seen, levels=at, norm=norm, cmap=HEIGHTS, extend="min")
    if lines:
        ax.contour(land.x, land.y, seen, levels=at, colors="#3E5871", linewidths=0.4, alpha=0.45)
    if bar:
        beside = ax.inset_axes((1.03, 0.0, 0.035, 1.0))  # as high as the axes, whatever their shape
        scale = ax.figure.figure.colorbar(ScalarMappable(norm, HEIGHTS), cax=beside)
        scale.outline.set_visible(False)
        scale.ax.tick_params(which="both", labelsize=9, labelcolor=INK, color="#888888")
        if log:
            label_powers(scale.ax.yaxis, at[0], at[-1])
        scale.set_label(r"$f - \min f$" if log else "$f$", size=10, color=INK)


def draw_path(ax: Axes, path: Array, color: str, dashes: str, label: str) -> Line2D:
    """The iterates joined by a line with a white seam, each a dot if they are few."""
    (line,) = ax.plot(
        *path.T,
        color=color,
        linestyle=dashes,
        linewidth=1.6,
        marker="o" if len(path) <= DOTTED else "",
        markersize=3,
        label=label,
        zorder=3,
        path_effects=[Stroke(linewidth=3, foreground="white", alpha=0.8), Normal()],
        scalex=False,
        scaley=False,
    )
    return line


def draw_ends(ax: Axes, path: Array, color: str, box: Box) -> None:
    """A white circle at the first finite iterate and a coloured one at the last."""
    finite = path[np.isfinite(path).all(1)]
    for point, face, edge, order in ((finite[:1], "white", color, 5), (finite[-1:], color, "white", 6)):
        ax.plot(
            *inside(point, box).T,
            clip_on=False,
            linestyle="",
            marker="o",
            markersize=7.5,
            markerfacecolor=face,
            markeredgecolor=edge,
            markeredgewidth=1.4,
            zorder=order,
            scalex=False,
            scaley=False,
        )


def draw_stars(ax: Axes, points: Array, box: Box) -> Line2D:
    """A star at each point (m, 2)."""
    (stars,) = ax.plot(
        *inside(points, box).T,
        clip_on=False,
        linestyle="",
        marker="*",
        markersize=16,
        markerfacecolor="#F0E442",
        markeredgecolor=INK,
        markeredgewidth=0.8,
        label="minimum",
        zorder=4,
        scalex=False,
        scaley=False,
    )
    return stars
