"""Pictures of several objectives: the front itself for two or three of them, parallel coordinates for any number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from descend.errors import InvalidValue, ShapeMismatch
from descend.plot._mpl import Axes, Figure, FigureCanvasAgg
from descend.plot._style import INK, add_legend, dress
from descend.plot.canvas import Picture, axes_for, colors
from descend.run.front import Front

__all__ = ["front", "parallel"]

Array = NDArray[np.float64]


def front(
    found: Any,
    *,
    truth: Any = None,
    mark: Mapping[str, int] | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """The points of a front in the space of their two or three objectives.

    Args:
        found: what `minimize_many` returned, or values (n, m); or several of them by name, m = 2 or 3.
        truth: values (k, m) of the true front, drawn behind the others; default none.
        mark: places of points to be marked, by what they are called, such as ``{"knee": front.knee().place}``; of the
            first front.
        names: what the objectives are called, m texts; default f1, f2, ...
        ax: where to draw; for three objectives axes with ``projection="3d"``. Default a new figure.

    Returns:
        The figure.

    Raises:
        ShapeMismatch: values that are not rows of two or three numbers, or fronts of different m.
        InvalidValue: there is no front, or a mark is on no point of it.

    >>> figure = front([[0.0, 1.0], [0.2, 0.4], [1.0, 0.0]], mark={"knee": 1})
    >>> figure.axes[0].get_xlabel(), len(figure.axes[0].texts)
    ('f1', 1)
    """
    fronts = _fronts(found)
    m = next(iter(fronts.values())).shape[1]
    if m not in (2, 3):
        raise ShapeMismatch(f"a front of {m} objectives cannot be drawn in space; write parallel(found)")
    behind = np.empty((0, m)) if truth is None else _values(truth)
    if behind.shape[1] != m:
        raise ShapeMismatch(f"the true front has {behind.shape[1]} objectives, and the found one {m}")
    axes_names = _names(names, m)
    figure, axes = _space(ax) if m == 3 else axes_for(ax)
    handles = []
    if len(behind):
        kind: dict[str, Any] = {"s": 7, "color": "#BBBBBB", "zorder": 1, "linewidths": 0, "label": "true front"}
        handles.append(axes.scatter(*behind.T, **kind))
    for (name, values), color in zip(fronts.items(), colors(fronts).values(), strict=True):
        style: dict[str, Any] = {"s": 22, "color": color, "edgecolors": "white", "linewidths": 0.5, "zorder": 3}
        handles.append(axes.scatter(*values.T, label=name, **style))
    for name, point in _marked(mark, next(iter(fronts.values()))).items():
        ring: dict[str, Any] = {"s": 90, "facecolors": "none", "edgecolors": INK, "linewidths": 1.4, "zorder": 4}
        axes.scatter(*([number] for number in point), **ring)
        if m == 2:
            axes.annotate(name, tuple(point), (8, 8), textcoords="offset points", fontsize=9, color=INK)
        else:
            axes.text(*point, f"  {name}", fontsize=9, color=INK)  # type: ignore[call-arg]
    axes.set(xlabel=axes_names[0], ylabel=axes_names[1])
    if m == 3:
        axes.set(zlabel=axes_names[2])
    if len(handles) > 1:
        add_legend(axes, handles, above=ax is None and m == 2)
    return figure


def parallel(
    found: Any,
    *,
    mark: Mapping[str, int] | None = None,
    names: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Every point as a line over its objectives, each scaled to its least and greatest value in the front.

    Lines that cross between two objectives show that one is paid with the other.

    Args:
        found: what `minimize_many` returned, or values (n, m), m >= 2.
        mark, names, ax: as for `front`. Marked points have a strong line each, the others a faint one.

    Returns:
        The figure.

    Raises:
        ShapeMismatch: values that are not rows of at least two numbers.
        InvalidValue: there are no points, or a mark is on none of them.

    >>> figure = parallel([[0.0, 1.0, 5.0], [0.2, 0.4, 6.0], [1.0, 0.0, 7.0]])
    >>> len(figure.axes[0].lines)
    3
    """
    values = _values(found)
    n, m = values.shape
    marked = _marked(mark, values)
    low, high = values.min(0), values.max(0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0)
    figure, axes = axes_for(ax)
    strong = colors(marked)
    places = dict(mark or {})
    for row in np.delete(scaled, list(places.values()), 0) if places else scaled:
        axes.plot(range(m), row, color="#0072B2", alpha=max(0.12, min(0.6, 12 / n)), linewidth=0.9, zorder=2)
    handles = [
        axes.plot(range(m), scaled[place], color=strong[name], linewidth=2.2, label=name, zorder=3)[0]
        for name, place in places.items()
    ]
    labels = [
        f"{name}\n{a:.3g} to {b:.3g}" for name, a, b in zip(_names(names, m), low.tolist(), high.tolist(), strict=True)
    ]
    axes.set_xticks(range(m), labels)
    axes.set(xlim=(-0.1, m - 0.9), ylim=(-0.03, 1.03), ylabel="least to greatest in the front")
    add_legend(axes, handles, above=ax is None)
    return figure


def _space(ax: Axes | None) -> tuple[Figure, Axes]:
    """Axes of three dimensions."""
    if ax is not None:
        return ax.figure.figure, ax
    figure = Picture(figsize=(6.0, 5.2), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    own = figure.add_subplot(projection="3d")
    own.view_init(elev=25, azim=45)
    dress(own)
    return figure, own


def _fronts(found: Any) -> dict[str, Array]:
    named = found if isinstance(found, Mapping) else {"found": found}
    if not named:
        raise InvalidValue("there is no front to draw; pass what minimize_many returned, or values (n, m)")
    fronts = {str(name): _values(one) for name, one in named.items()}
    if len({values.shape[1] for values in fronts.values()}) > 1:
        raise ShapeMismatch(f"fronts of one picture have one m, got {[v.shape[1] for v in fronts.values()]}")
    return fronts


def _values(found: Any) -> Array:
    """Values (n, m) of a front, or of what can be made an array."""
    values = np.asarray(found.values if isinstance(found, Front) else found, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] < 2:
        raise ShapeMismatch(f"a front is rows of m >= 2 objectives, got shape {values.shape}")
    if not len(values):
        raise InvalidValue("the front has no points, there is nothing to draw")
    return values


def _names(names: Sequence[str] | None, m: int) -> list[str]:
    if names is not None and len(names) != m:
        raise ShapeMismatch(f"there are {m} objectives, and names={list(names)!r} are {len(names)}")
    return [f"f{j + 1}" for j in range(m)] if names is None else list(names)


def _marked(mark: Mapping[str, int] | None, values: Array) -> dict[str, Array]:
    for name, place in (mark or {}).items():
        if not 0 <= place < len(values):
            raise InvalidValue(f"mark={{{name!r}: {place!r}}} is on no point of a front of {len(values)}")
    return {name: values[place] for name, place in (mark or {}).items()}
