"""A trajectory that moves: the contours stay, the iterates appear one after the other, and a GIF is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from descend.errors import InvalidValue
from descend.plot._mpl import Artist, Axes, Figure, FigureCanvasAgg, Image
from descend.plot._style import INK, PALETTE
from descend.plot.canvas import panels
from descend.plot.contours import draw_landscape, draw_path, draw_stars, fitting_size
from descend.plot.landscape import Objective, find_box, planar, survey, values_at
from descend.plot.paths import read_paths

__all__ = ["animate", "drawn", "frame_ends", "write_gif"]

FRAMES = 120  # at most, so that a file stays below a megabyte
REST = 1500  # milliseconds for which the last frame stands before the film begins again
DOTS = 100  # per inch
COLORS = 256


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
        objective: as for `trajectory`.
        path: the iterates, a tensor or array (k, 2) or a list of k points.
        file: where to write; the name ends in .gif. A file of this name is overwritten.
        fps: frames per second, 1 to 50; browsers slow down what is faster.
        every: iterates from one frame to the next; by default as few as give at most 120 frames. The last iterate is
            always shown.
        low: as for `trajectory`, and so are high, log and levels.
        high: see there.
        log: see there.
        levels: see there, but fewer, because a GIF has 256 colours.
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
        raise InvalidValue(
            f"animate draws one path, got {1 + len(more)}; write one animation for each, or `trajectory`"
        )
    frames = frame_ends(len(points), every)
    problem = planar(objective)
    stars = np.empty((0, 2)) if problem is None else problem.minimizers.numpy()
    box = find_box(problem, [points, stars], low, high)
    land = survey(objective, problem, box)
    losses = np.full(len(points), np.nan)
    finite = np.isfinite(points).all(1)
    losses[finite] = values_at(objective, points[finite])
    width, height = fitting_size(box)
    figure, (ax,) = panels(size=(width - 0.7, height - 0.2))
    draw_landscape(ax, land, log=log, levels=levels, bar=False, lines=False)
    draw_stars(ax, stars, box)
    way = draw_path(ax, points, color, "-", "")
    head = draw_path(ax, points[:1], color, "-", "")
    head.set(marker="o", markersize=7.5, markeredgecolor="white", zorder=6)
    caption = ax.set_title(" ", loc="left", fontsize=10, color=INK, family="monospace")
    digits = len(str(len(points) - 1))

    def show(end: int) -> list[Artist]:
        way.set_data(*points[: end + 1].T)
        head.set_data(*points[end : end + 1].T)
        caption.set_text(f"step {end:{digits}d}   f = {losses[end]:.3g}")
        return [way, head, caption]

    write_gif(target, list(drawn(figure, ax, show, frames)), fps)
    return target


def drawn(figure: Figure, ax: Axes, show: Callable[[int], list[Artist]], frames: list[int]) -> Iterator[Image.Image]:
    """Each frame as an image. What stands still is drawn once, so nothing jumps, and a frame takes milliseconds."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(DOTS)
    for artist in show(frames[-1]):
        artist.set_animated(True)  # left out of canvas.draw()
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    for end in frames:
        canvas.restore_region(still)
        for artist in show(end):
            ax.draw_artist(artist)
        yield Image.fromarray(np.asarray(canvas.buffer_rgba()).copy()).convert("RGB")


def write_gif(file: Path, images: list[Image.Image], fps: int) -> None:
    """The images as a GIF in the colours of the last one, undithered, so that frames differ only where they move.

    matplotlib's own writer lets every frame choose its colours: then all pixels differ, and a film of 0.2 MB has 2.4.
    """
    last = images[-1].quantize(COLORS, dither=Image.Dither.NONE)
    frames = [image.quantize(palette=last, dither=Image.Dither.NONE) for image in images]
    pause = round(1000 / fps)
    frames[0].save(
        file,
        save_all=True,
        append_images=frames[1:],
        duration=[pause] * (len(frames) - 1) + [max(pause, REST)],
        loop=0,
    )


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
