"""Figures without global state: nothing has to be closed, nothing opens a window, no setting of matplotlib changes.

They do not come from pyplot, which keeps a list of every figure that it makes. Saving, showing in a notebook and
everything else that a figure can do works as usual.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

from descend.errors import InvalidValue
from descend.plot._mpl import Axes, Figure, FigureCanvasAgg, rc_context
from descend.plot._style import DASHES, PALETTE, dress

__all__ = ["Picture", "axes_for", "colors", "line_styles", "panels", "save"]


class Picture(Figure):
    """A matplotlib figure that a notebook shows when it is the last line of a cell."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=120)
        return buffer.getvalue()


def panels(columns: int = 1, rows: int = 1, *, size: tuple[float, float] | None = None) -> tuple[Figure, list[Axes]]:
    """An empty figure in the style of this package, and its axes row by row, to be passed on as `ax`.

    Args:
        columns: how many axes beside each other.
        rows: how many below each other.
        size: width and height of the figure in inches; default 6.4 x 4.4 for one panel, 3.6 x 3.3 for each of several.

    Raises:
        InvalidValue: no columns, no rows, or a size that is not positive.

    >>> figure, (left, right) = panels(2)
    >>> left.set_title("too small").get_text()
    'too small'
    """
    if columns < 1 or rows < 1:
        raise InvalidValue(f"a figure of columns={columns} and rows={rows} is empty; write at least 1 of each")
    if size is None:
        size = (6.4, 4.4) if columns == rows == 1 else (3.6 * columns, 3.3 * rows)
    if not min(size) > 0:
        raise InvalidValue(f"size={size} is not the size of a figure; write two positive numbers of inches")
    figure = Picture(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes:
        dress(ax)
    return figure, axes


def axes_for(ax: Axes | None, size: tuple[float, float] | None = None) -> tuple[Figure, Axes]:
    """The axes to draw on, the caller's or those of a new figure of this size, and the figure that holds them."""
    if ax is None:
        figure, (own,) = panels(size=size)
        return figure, own
    dress(ax)
    return ax.figure.figure, ax  # the root, where the axes stand in a subfigure


def colors(labels: Iterable[str]) -> dict[str, str]:
    """A colour for each label in the order given, starting again after seven.

    Pass the result as `colors` to several pictures, and a method looks the same in all of them.

    >>> colors(["Adam", "SPSA", "Adam"])
    {'Adam': '#0072B2', 'SPSA': '#D55E00'}
    """
    return {label: PALETTE[i % len(PALETTE)] for i, label in enumerate(dict.fromkeys(labels))}


def line_styles(labels: Sequence[str], given: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    """The colour and the dashes of each label: its own colour if one is given, and dashes where a colour returns."""
    own = colors(labels)
    turn = {label: i // len(PALETTE) for i, label in enumerate(own)}
    return [((given or own).get(label, own[label]), DASHES[turn[label] % len(DASHES)]) for label in labels]


def save(figure: Figure, file: str | PathLike[str], *, dpi: int = 200) -> Path:
    """Write a figure as PNG, SVG, PDF or whatever else the name of the file says; the same figure gives the same bytes.

    Args:
        dpi: dots per inch, where the format is made of dots.

    Raises:
        InvalidValue: a suffix that matplotlib does not write, or no dots.
    """
    path = Path(file)
    kind = path.suffix.removeprefix(".").lower()
    known = figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise InvalidValue(
            f"a figure cannot be written as {path.name!r}; end the name with one of .{', .'.join(known)}"
        )
    if not dpi > 0:
        raise InvalidValue(f"dpi={dpi} makes no dots; write dpi=200")
    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    with rc_context({"svg.hashsalt": "descend"}):  # names inside an SVG are drawn at random otherwise
        figure.savefig(path, dpi=dpi, metadata=undated.get(kind))
    return path
