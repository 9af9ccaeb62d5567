"""Losses against what they cost: single runs, and the middle half of many runs of each method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from descend.errors import InvalidValue, ShapeMismatch
from descend.plot._mpl import Artist, Axes, Figure, Line2D, MaxNLocator
from descend.plot._style import INK, add_legend, positive, set_loss_scale
from descend.plot.canvas import axes_for, line_styles
from descend.plot.history import Trace, Track, XAxis, YAxis, read_traces

__all__ = ["compare", "quantile", "sample", "trace"]

Array = NDArray[np.float64]

POINTS = 400  # of the common grid of a comparison, more than a picture can resolve
DOTTED = 30  # losses up to which each is a dot


def trace(
    histories: Track | Iterable[Track] | Mapping[str, Track],
    *,
    x: XAxis = "evaluations",
    y: YAxis = "loss",
    log: bool | None = None,
    labels: Sequence[str] | None = None,
    target: float | None = None,
    colors: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Loss against evaluations, seconds or steps, a line for each run.

    Args:
        histories: what `minimize` returns, or a `Trace`; several of them; or a mapping from labels to them.
        x: what the loss is drawn against.
        y: the recorded "loss", or the "best" so far.
        log: whether the losses are on a logarithmic axis; default if all are positive and they span more than 1.5
            powers of ten. On such an axis losses that are not positive are gaps, and so are NaN and infinities on any.
        labels: a name for each run; default its own.
        target: a loss to be reached, drawn as a dashed line.
        colors: the colour of each label.
        ax: where to draw; default a new figure.

    Returns:
        The figure.

    Raises:
        ShapeMismatch: no runs, or another number of labels.
        InvalidValue: a run that has no positions on this axis; log=True where nothing is positive.

    >>> figure = trace([Trace("slow", [9.0, 5.0, 4.0]), Trace("fast", [9.0, 1.0, 0.1])], x="steps")
    >>> [line.get_label() for line in figure.axes[0].lines]
    ['slow', 'fast']
    """
    runs = read_traces(histories, labels)
    across, heights = [run.x(x) for run in runs], [run.y(y) for run in runs]
    figure, axes = axes_for(ax)
    log = set_loss_scale(axes, heights, log, target)
    handles: list[Artist] = []
    styles = line_styles([run.label for run in runs], colors)
    for run, place, height, (color, dashes) in zip(runs, across, heights, styles, strict=True):
        height = positive(height, log)
        handles.append(_line(axes, place, height, color, dashes, run.label, y))
    _finish(axes, handles, x, y, target, above=ax is None)
    return figure


def compare(
    runs: Mapping[str, Sequence[Track]],
    *,
    x: XAxis = "evaluations",
    y: YAxis = "best",
    log: bool | None = None,
    target: float | None = None,
    colors: Mapping[str, str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Several methods, each run with several seeds: the median as a line and the middle half of the runs as a band.

    All runs of a method are read at the same positions; between two records the loss is the earlier one, and after its
    last record a run keeps what it reached. A NaN or infinity counts as worse than every number.

    Args:
        runs: from the name of a method to its runs, each what `minimize` returns or a `Trace`; the legend counts them.
        x: as for `trace`, and so are log, target, colors and ax.
        y: likewise, but the best so far by default.
        log: see there.
        target: see there.
        colors: see there.
        ax: see there.

    Returns:
        The figure.

    Raises:
        ShapeMismatch: no methods, or a method without runs.
        InvalidValue: as for `trace`.

    >>> seeds = [Trace("", [9.0, loss], evaluations=[1, 2]) for loss in (1.0, 2.0, 4.0)]
    >>> float(compare({"search": seeds}).axes[0].lines[0].get_ydata()[-1])
    2.0
    """
    if not isinstance(runs, Mapping) or not runs:
        raise ShapeMismatch("there are no runs to compare; give a mapping {'method': [run, run, ...], ...}")
    summaries = {name: _summary(name, tracks, x, y) for name, tracks in runs.items()}
    figure, axes = axes_for(ax)
    log = set_loss_scale(axes, [line for _, _, lines in summaries.values() for line in lines], log, target)
    handles: list[Artist] = []
    for (name, (count, grid, lines)), (color, dashes) in zip(
        summaries.items(), line_styles(list(summaries), colors), strict=True
    ):
        lowest, median, highest = (positive(line, log) for line in lines)
        step = "post" if y == "best" else None
        axes.fill_between(grid, lowest, highest, step=step, color=color, alpha=0.18, linewidth=0, zorder=2)
        handles.append(_line(axes, grid, median, color, dashes, f"{name} (n = {count})", y))
    _finish(axes, handles, x, y, target, above=ax is None)
    return figure


def _summary(name: str, tracks: Sequence[Track], x: XAxis, y: YAxis) -> tuple[int, Array, list[Array]]:
    """How many runs, the common grid, and their quartiles on it."""
    if isinstance(tracks, Trace) or not len(tracks):
        raise ShapeMismatch(f"the method {name!r} has no runs; write a sequence of at least one, a run for each seed")
    traces = read_traces(tracks, [name] * len(tracks))
    places = [run.x(x) for run in traces]
    first, every = max(place[0] for place in places), np.unique(np.concatenate(places))
    grid = every[every >= first]  # where every run has begun
    if len(grid) > POINTS:
        grid = np.linspace(grid[0], grid[-1], POINTS)
    table = np.stack([sample(place, run.y(y), grid) for place, run in zip(places, traces, strict=True)])
    return len(traces), grid, [quantile(table, share) for share in (0.25, 0.5, 0.75)]


def sample(places: Array, losses: Array, grid: Array) -> Array:
    """The last loss recorded at or before each grid position; the grid begins at the first record or later.

    >>> sample(np.array([1.0, 3.0]), np.array([5.0, 2.0]), np.array([1.0, 2.0, 3.0, 9.0])).tolist()
    [5.0, 5.0, 2.0, 2.0]
    """
    return losses[np.searchsorted(places, grid, side="right") - 1]


def quantile(table: Array, share: float) -> Array:
    """The quantile of each column of (n, m), interpolated linearly, with NaN as larger than every number.

    A quantile that falls among the failures is NaN. (NumPy's gives NaN for every column that has one.)

    >>> quantile(np.array([[1.0, np.nan], [2.0, 4.0], [3.0, np.nan]]), 0.5).tolist()
    [2.0, nan]
    """
    ordered = np.sort(table, axis=0)  # NaN goes last
    place = share * (len(ordered) - 1)
    below = int(place)
    if place == below:
        return ordered[below]
    return ordered[below] + (place - below) * (ordered[below + 1] - ordered[below])


def _line(ax: Axes, x: Array, y: Array, color: str, dashes: str, label: str, kind: YAxis) -> Line2D:
    """One run; what is best so far keeps its value until the next record, so it is drawn as steps."""
    (line,) = ax.plot(
        x,
        y,
        color=color,
        linestyle=dashes,
        linewidth=1.6,
        marker="o" if len(x) <= DOTTED else "",
        markersize=3.5,
        drawstyle="steps-post" if kind == "best" else "default",
        label=label,
        zorder=3,
    )
    return line


def _finish(ax: Axes, handles: list[Artist], x: XAxis, y: YAxis, target: float | None, *, above: bool) -> None:
    """Names of the axes, the target, and the legend."""
    if target is not None:
        if not np.isfinite(target):
            raise InvalidValue(f"target={target!r} is no height; write a finite number")
        handles.append(
            ax.axhline(target, color=INK, linestyle=(0, (4, 3)), linewidth=1, label=f"target {target:g}", zorder=1)
        )
    ax.xaxis.set_major_locator(MaxNLocator(7, integer=x != "seconds"))
    ax.set_xlabel(x)
    ax.set_ylabel("best loss so far" if y == "best" else "loss")
    add_legend(ax, handles, above=above)
