"""What a figure is before anybody draws it: panels of marks, with axes and labels, as plain frozen data.

Each picture of a study is made once, as a `Figure`, and then drawn by matplotlib, by plotly or in a browser. Positions
are in the units of the data; a categorical axis has its labels at 0, 1, ..., k - 1. Shades lie in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SCALE", "Array", "Axis", "Band", "Bars", "Bundle", "Dots", "Figure", "Heat", "Line", "Mark", "Panel", "Role",
    "Rug", "Shade", "Spans", "Texts", "clipped", "short",
]  # fmt: skip

Array = NDArray[np.float64]
Role = Literal["done", "best", "pruned", "failed", "running", "queued", "infeasible", "faint"]
"""What a mark stands for; whoever draws it knows the colour."""

SCALE = ("#A9C4DD", "#6C8EC4", "#7A5DB0", "#A13A8E", "#C2185B")
"""Colours of the shades 0, 1/4, ..., 1: ever darker and warmer, and all visible on white and on black."""

_LONGEST_LABEL = 24


@dataclass(frozen=True)
class Axis:
    """One axis.

    Fields: label; log, whether it is logarithmic; labels, of the categories at 0, 1, ... if it is categorical; range,
    its two ends, None: all that is drawn; hidden, whether it has no ticks and no line; whole, whether all numbers on it
    are whole ones.
    """

    label: str = ""
    log: bool = False
    labels: tuple[str, ...] | None = None
    range: tuple[float, float] | None = None
    hidden: bool = False
    whole: bool = False

    @property
    def named(self) -> tuple[tuple[float, str], ...] | None:
        """Ticks that have texts: the categories, None if there are none."""
        if self.labels is None:
            return None
        return tuple((float(place), label) for place, label in enumerate(self.labels))

    @property
    def ends(self) -> tuple[float, float] | None:
        """The range, which of a categorical axis is half a category wider at both ends."""
        return (-0.5, len(self.labels) - 0.5) if self.labels is not None and self.range is None else self.range


@dataclass(frozen=True)
class Dots:
    """Points x, y (k,); shade (k,) in place of the colour of the role; numbers (k,) of the trials they are."""

    x: Array
    y: Array
    name: str = ""
    role: Role = "done"
    shade: Array | None = None
    symbol: Literal["dot", "cross", "ring", "star"] = "dot"
    size: float = 5.0
    numbers: Array | None = None


@dataclass(frozen=True)
class Line:
    """A line through x, y (k,), with gaps at NaN; step, whether it keeps its height until the next point."""

    x: Array
    y: Array
    name: str = ""
    role: Role = "done"
    shade: float | None = None
    step: bool = False
    dash: bool = False
    width: float = 1.6
    color: str | None = None


@dataclass(frozen=True)
class Band:
    """What lies between low and high (k,) over x (k,)."""

    x: Array
    low: Array
    high: Array
    role: Role = "done"


@dataclass(frozen=True)
class Bars:
    """Horizontal bars from 0 to length (k,) at y (k,), with whiskers from low to high (k,)."""

    y: Array
    length: Array
    low: Array
    high: Array
    role: Role = "done"


@dataclass(frozen=True)
class Spans:
    """Horizontal bars from begin to end (k,) at y (k,)."""

    y: Array
    begin: Array
    end: Array
    name: str = ""
    role: Role = "done"
    numbers: Array | None = None


@dataclass(frozen=True)
class Rug:
    """Short strokes at the lower edge, at x (k,): trials that have no height."""

    x: Array
    name: str = ""
    role: Role = "failed"
    numbers: Array | None = None


@dataclass(frozen=True)
class Bundle:
    """n lines over the same x (k,): ys (n, k), each with a shade (n,); numbers (n,) of the trials they are."""

    x: Array
    ys: Array
    shade: Array
    numbers: Array


@dataclass(frozen=True)
class Heat:
    """Cells between the edges x (k + 1,) and y (l + 1,) with shades z (l, k); NaN is left blank."""

    x: Array
    y: Array
    z: Array


@dataclass(frozen=True)
class Texts:
    """Words at x, y (k,), to the right of them."""

    x: Array
    y: Array
    words: tuple[str, ...]


Mark = Dots | Line | Band | Bars | Spans | Rug | Bundle | Heat | Texts


@dataclass(frozen=True)
class Panel:
    """One pair of axes and what is drawn between them, from the back to the front."""

    x: Axis
    y: Axis
    marks: Sequence[Mark]


@dataclass(frozen=True)
class Shade:
    """What the shades mean: label, and positions in [0, 1] with texts."""

    label: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Figure:
    """A picture: title; panels, row by row in so many columns; shade, what the shades mean if there are any; note, a
    sentence below it; height, of one panel in pixels; legend, whether names of marks are shown."""

    title: str
    panels: Sequence[Panel]
    columns: int = 1
    shade: Shade | None = None
    note: str = ""
    height: int = 320
    legend: bool = True

    @property
    def rows(self) -> int:
        return -(-len(self.panels) // self.columns)


def short(value: float) -> str:
    """A number in four digits.

    >>> short(0.000123456), short(1234567.0), short(12.0), short(float("nan"))
    ('0.0001235', '1.235e+06', '12', '–')
    """
    return "–" if value != value else f"{value:.4g}"


def clipped(text: str, longest: int = _LONGEST_LABEL) -> str:
    """A text in one line of at most so many letters.

    >>> clipped("a_name_that_nobody_would_ever_want_to_type")
    'a_name_that…want_to_type'
    """
    line = "".join(letter if letter.isprintable() else "·" for letter in " ".join(text.split())) or "·"
    if len(line) <= longest:
        return line
    head = (longest - 1) // 2
    return f"{line[:head]}…{line[len(line) - (longest - 1 - head) :]}"
