"""A trajectory that moves: the contours stay, the iterates appear one after the other, and a GIF is written."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from descend.errors import InvalidValue
from descend.plot._mpl import PillowWriter
from descend.plot._style import INK, PALETTE
from descend.plot.canvas import panels
from descend.plot.contours import draw_landscape, draw_path, draw_stars
from descend.plot.landscape import Objective, find_box, planar, survey, values_at
from descend.plot.paths import read_paths

__all__ = ["animate", "frame_ends"]

FRAMES = 120  # at most, so that a file stays below a megabyte
REST = 1.5  # seconds for which the last frame stands before the film begins again


def animate(
    objective: Objective,
    path: Any,
    file: str | PathLike[str],
    *,
    fps: int = 20,
    every: int | None = None,
    low: float | ArrayLike | None = None,
    high: float | ArrayLike | None = None,
    log: bool = True,
    levels: int = 25,
    color: str = PALETTE[1],
) -> Path:
    """Write an animation of a trajectory over contours as a GIF that repeats for ever.

    Args:
        objective, low, high, log, levels: as for `trajectory`.
        path: the iterates, a tensor or array (k, 2) or a list of k points.
        file: where to write; the name ends in .gif. A file of this name is overwritten.
        fps: frames per second, 1 to 50; browsers slow down what is faster.
        every: iterates from one frame to the next; by default as few as give at most 120 frames. The last iterate is
            always shown.
        color: of the iterates.

    Returns:
        The path of the file.

    Raises:
        ShapeMismatch: a path of another shape, or several of them.
        InvalidValue: another suffix, fps out of range, or so small an `every` that there were more than 120 frames.

    >>> import tempfile
    >>> from descend import problems
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     animate(problems.booth, [[-8.0, 3.0], [-2.0, 4.0], [1.0, 3.0]], f"{folder}/booth.gif").name
    'booth.gif'
    """
    target = Path(file)
    if target.suffix.lower() != ".gif":
        raise InvalidValue(f"an animation is written as GIF, not as {target.name!r}; end the name with .gif")
    if not 1 <= fps <= 50:
        raise InvalidValue(f"fps={fps!r} cannot be shown; write 1 to 50 frames per second, for example fps=20")
    _, (points, *more) = read_paths(path, None)
    if more:
        raise InvalidValue(f"animate draws one path, got {1 + len(more)}; write one animation for each, or `trajectory`")
    frames = frame_ends(len(points), every)
    problem = planar(objective)
    stars = np.empty((0, 2)) if problem is None else problem.minimizers.numpy()
    box = find_box(problem, [points, stars], low, high)
    figure, (ax,) = panels(size=(4.8, 4.6))
    draw_landscape(ax, survey(objective, problem, box), log=log, levels=levels, bar=False)
    draw_stars(ax, stars)
    way = draw_path(ax, points, color, "-", "")
    head = draw_path(ax, points[:1], color, "-", "")
    head.set(markersize=7.5, markeredgecolor="white", zorder=6)
    losses = np.full(len(points), np.nan)
    finite = np.isfinite(points).all(1)
    losses[finite] = values_at(objective, points[finite])
    caption = ax.set_title(" ", loc="left", fontsize=10, color=INK, family="monospace")
    figure.canvas.draw()  # the layout is made here, once: nothing may jump between frames
    figure.set_layout_engine("none")
    writer = PillowWriter(fps=fps)
    with writer.saving(figure, str(target), dpi=100):
        for end in frames + frames[-1:] * round(REST * fps):
            way.set_data(*points[: end + 1].T)
            head.set_data(*points[end : end + 1].T)
            caption.set_text(f"step {end:{len(str(len(points)))}d}   f = {losses[end]:.3g}")
            writer.grab_frame()
    return target


def frame_ends(count: int, every: int | None) -> list[int]:
    """Which of `count` iterates is the last one seen in each frame.

    Raises:
        InvalidValue: more than 120 frames.

    >>> frame_ends(8, 3)
    [0, 3, 6, 7]
    """
    fewest = max(1, math.ceil((count - 1) / (FRAMES - 1)))
    if every is None:
        every = fewest
    if every < fewest:
        raise InvalidValue(
            f"every={every!r} makes more than {FRAMES} frames of {count} iterates; write every={fewest} or more, "
            "or leave it out"
        )
    return [*range(0, count - 1, every), count - 1]
