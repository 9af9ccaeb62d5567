"""Pictures of what the parameters do: slices, pairs of them, maps of pairs, and all of them as parallel coordinates.

Without names the most relevant parameters are drawn. A category is a place of its own: nothing is joined or smoothed
from one to the next. A trial that has no such parameter, since a condition did not hold, is not in its panel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from descend.errors import InvalidValue
from descend.plot.study.figure import (
    Array,
    Axis,
    Band,
    Bundle,
    Dots,
    Figure,
    Heat,
    Line,
    Mark,
    Panel,
    Rug,
    Shade,
    Texts,
    clipped,
    short,
)  # fmt: skip
from descend.plot.study.view import View, evenly, few, parameter_axis, rank_shade, to_unit, value_axis
from descend.study.table import Column

__all__ = ["contour", "parallel", "rank", "slices"]

DOTS = 800  # of a panel of several
LINES = 400
_SMOOTHED = 3000  # trials of a map
_CELLS = 32  # of a map along a continuous axis
_WIDTH = 0.09  # of the kernel, in units of the axis, for a few trials
_ABSENT = -0.14  # where the lines of parallel coordinates go if a parameter is not there


def slices(view: View, *, names: Sequence[str] | None = None, objective: int = 0) -> Figure:
    """The value against every parameter, a panel for each; the shade is the number of the trial, dark is late.

    With 40 trials or more a band shows the middle half of the values around the median, in tenths of the trials.
    """
    columns = view.columns(names, 12, objective)
    rows = np.flatnonzero(view.finished(objective))
    values = view.value(objective)
    axis, _ = value_axis(values[rows], view.sign(objective), view.label(objective))
    lost = np.flatnonzero(view.within("failed", "pruned"))
    lost = few(lost, np.zeros(len(lost)), DOTS // 4)
    panels = []
    for place, (name, column) in enumerate(columns.items()):
        there = rows[np.isfinite(column.numbers[rows])]
        shown = few(there, view.loss(objective)[there], DOTS)
        across = _apart(column, shown)
        shade = view.numbers[shown] / max(view.n - 1, 1)
        dots = Dots(across, values[shown], shade=shade, symbol="dot", size=4.5, numbers=view.numbers[shown])
        marks: list[Mark] = [dots, *_trend(column, there, values)]
        missed = lost[np.isfinite(column.numbers[lost])]
        marks.append(Rug(column.numbers[missed], "pruned or failed", "failed", view.numbers[missed]))
        left = axis if place % 4 == 0 else replace(axis, label="")
        panels.append(Panel(parameter_axis(name, column), left, marks))
    ticks = tuple((at / 4, short(round(at / 4 * max(view.n - 1, 1)))) for at in range(5))
    shade = Shade("trial", ticks)
    return Figure(f"Slices of {view.name}", panels, min(len(panels), 4), shade, height=260, legend=False)


def _apart(column: Column, rows: NDArray[np.int64]) -> Array:
    """Where dots are drawn: those of one category a little beside each other, always in the same way."""
    values = column.numbers[rows]
    if column.labels is None:
        return values
    beside = 0.5 * ((np.arange(len(rows)) * 0.6180339887) % 1.0 - 0.5)
    return np.asarray(values + beside, dtype=np.float64)


def _trend(column: Column, rows: NDArray[np.int64], values: Array) -> list[Mark]:
    if column.labels is not None:
        places = [code for code in range(len(column.labels)) if (column.numbers[rows] == code).any()]
        middle = [float(np.median(values[rows][column.numbers[rows] == code])) for code in places]
        return [
            Line(np.array([at - 0.33, at + 0.33]), np.array([height, height]), role="best", width=2.2)
            for at, height in zip(places, middle, strict=True)
        ]
    if len(rows) < 40 or len(np.unique(column.numbers[rows])) < 10:
        return []
    order = rows[np.argsort(column.numbers[rows], kind="stable")]
    tenths = np.array_split(order, 10)
    x = np.array([np.median(column.numbers[part]) for part in tenths])
    low, middle, high = np.array([np.quantile(values[part], [0.25, 0.5, 0.75]) for part in tenths]).T
    return [Band(x, low, high, "best"), Line(x, middle, "median", "best")]


def rank(view: View, *, names: Sequence[str] | None = None, objective: int = 0) -> Figure:
    """Pairs of parameters, a panel for each; the shade is the rank of the trial's value, dark is good."""
    columns = view.columns(names, 4, objective)
    rows = np.flatnonzero(view.finished(objective))
    shade, meaning = rank_shade(view, rows, objective)
    of = np.full(view.n, np.nan)  # the shades of all trials, by row
    of[rows] = shade
    panels = []
    for a, b in _pairs(columns, view):
        both = rows[np.isfinite(columns[a].numbers[rows]) & np.isfinite(columns[b].numbers[rows])]
        shown = few(both, view.loss(objective)[both], DOTS)
        shown = shown[np.argsort(of[shown], kind="stable")]  # the best on top
        x, y = _apart(columns[a], shown), _apart(columns[b], shown)
        dots = Dots(x, y, shade=of[shown], numbers=view.numbers[shown])
        panels.append(Panel(parameter_axis(a, columns[a]), parameter_axis(b, columns[b]), [dots]))
    return Figure(f"Ranks of {view.name}", panels, min(len(panels), 3), meaning, height=300, legend=False)


def contour(view: View, *, names: Sequence[str] | None = None, objective: int = 0) -> Figure:
    """Maps of pairs of parameters, by default of the three most relevant ones: how good trials are that lie nearby.

    Each cell is shaded by the mean rank of the trials around it, by a Gaussian kernel whose width falls with the number
    of trials (Nadaraya 1964, Watson 1964), and left blank where there are none. Over a category only its own trials
    count. The best trial is a star.
    """
    columns = view.columns(names, 3, objective)
    rows = np.flatnonzero(view.finished(objective))
    shade, meaning = rank_shade(view, rows, objective)
    best = view.best(objective)
    panels = []
    for a, b in _pairs(columns, view):
        both = np.isfinite(columns[a].numbers[rows]) & np.isfinite(columns[b].numbers[rows])
        there = rows[both]
        edges = [_edges(columns[name]) for name in (a, b)]
        marks: list[Mark] = []
        if len(there):
            z = _smooth(columns[a], columns[b], there, shade[both])
            marks.append(Heat(edges[0], edges[1], z))
        shown = few(there, view.loss(objective)[there], DOTS // 2)
        x, y = _apart(columns[a], shown), _apart(columns[b], shown)
        marks.append(Dots(x, y, role="faint", size=3.5, numbers=view.numbers[shown]))
        if best is not None and best in there:
            at = np.array([best])
            marks.append(Dots(columns[a].numbers[at], columns[b].numbers[at], "best", "best", symbol="star", size=12))
        panels.append(Panel(parameter_axis(a, columns[a]), parameter_axis(b, columns[b]), marks))
    return Figure(f"Map of {view.name}", panels, min(len(panels), 3), meaning, height=320, legend=False)


def _pairs(columns: dict[str, Column], view: View) -> list[tuple[str, str]]:
    if len(columns) < 2:
        raise InvalidValue(
            f"a pair needs two parameters, and {view.name!r} draws {list(columns)!r}; name two, or draw slices"
        )
    return list(combinations(columns, 2))


def _edges(column: Column) -> Array:
    """The edges of the cells of a map along this parameter, in its own units."""
    if column.labels is not None:
        return np.arange(len(column.labels) + 1, dtype=np.float64) - 0.5
    values = column.numbers[np.isfinite(column.numbers)]
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    if column.log and low > 0:
        return np.geomspace(low, high, _CELLS + 1) if high > low else np.array([low / 1.1, low * 1.1])
    return np.linspace(low, high, _CELLS + 1) if high > low else np.array([low - 0.5, low + 0.5])


def _smooth(a: Column, b: Column, rows: NDArray[np.int64], shade: Array) -> Array:
    """Means (l, k) of shades around the middles of the cells, NaN far from all trials."""
    kept = evenly(len(rows), _SMOOTHED)
    rows, shade = rows[kept], shade[kept]
    width = max(_WIDTH * (len(rows) / 20) ** (-1 / 6), 0.025)
    near = [_kernel(column, rows, width) for column in (a, b)]  # (cells, trials) each
    weight = near[1] @ near[0].T
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = (near[1] * shade) @ near[0].T / weight
    return np.where(weight > np.exp(-4.0), mean, np.nan)


def _kernel(column: Column, rows: NDArray[np.int64], width: float) -> Array:
    if column.labels is not None:
        return (column.numbers[rows] == np.arange(len(column.labels))[:, None]).astype(np.float64)
    cells = len(_edges(column)) - 1
    middles = (np.arange(cells) + 0.5) / cells
    return np.exp(-0.5 * ((to_unit(column)[rows] - middles[:, None]) / width) ** 2)


def parallel(view: View, *, names: Sequence[str] | None = None, objective: int = 0) -> Figure:
    """Every trial as a line over the value and its parameters; the shade is the rank of its value, dark is good.

    A line goes through the dash below an axis where the trial has no such parameter.
    """
    columns = view.columns(names, 8, objective)
    rows = np.flatnonzero(view.finished(objective))
    rows = few(rows, view.loss(objective)[rows], LINES)
    shade, meaning = rank_shade(view, rows, objective)
    order = np.argsort(shade, kind="stable")  # the best on top
    rows, shade = rows[order], shade[order]
    value = view.value(objective)[rows]
    axis, _ = value_axis(value, view.sign(objective), view.label(objective))
    shown = Column(numbers=np.clip(value, *(axis.range or (-np.inf, np.inf))), labels=None, log=axis.log)
    axes = [(view.label(objective), shown, to_unit(shown))]
    axes += [(name, column, to_unit(column)[rows]) for name, column in columns.items()]
    ys = np.stack([unit for _, _, unit in axes], 1) if len(rows) else np.empty((0, len(axes)))
    absent = bool(np.isnan(ys).any())
    bundle = Bundle(
        np.arange(len(axes), dtype=np.float64), np.where(np.isnan(ys), _ABSENT, ys), shade, view.numbers[rows]
    )
    marks: list[Mark] = [bundle]
    for place, (_, column, unit) in enumerate(axes):
        marks.append(_upright(place))
        ticks = _ticks(column)
        if np.isnan(unit).any():
            ticks = [(_ABSENT, "–"), *ticks]
        if ticks:
            heights = np.array([at for at, _ in ticks])
            marks.append(Texts(np.full(len(ticks), float(place)), heights, tuple(text for _, text in ticks)))
    across = Axis("", labels=tuple(clipped(name, 16) for name, _, _ in axes), range=(-0.15, len(axes) - 0.45))
    up = Axis("", range=(_ABSENT - 0.06 if absent else -0.05, 1.05), hidden=True)
    return Figure(f"All trials of {view.name}", [Panel(across, up, marks)], 1, meaning, height=400, legend=False)


def _upright(place: int) -> Line:
    return Line(np.array([place, place], dtype=np.float64), np.array([0.0, 1.0]), role="faint", width=1.0)


def _ticks(column: Column) -> list[tuple[float, str]]:
    """Heights in [0, 1] and what they mean, of a parameter drawn upright."""
    if column.labels is not None:
        k = len(column.labels)
        return [((code + 0.5) / k, clipped(label, 12)) for code, label in enumerate(column.labels)]
    values = column.numbers[np.isfinite(column.numbers)]
    if not len(values):
        return []
    low, high = float(values.min()), float(values.max())
    if not high > low:
        return [(0.5, short(low))]
    log = column.log and low > 0
    middle = float(np.sqrt(low * high)) if log else (low + high) / 2
    return [(0.0, short(low)), (0.5, short(middle)), (1.0, short(high))]
