"""The look that all pictures share: quiet axes, a legend that hides nothing, and when a scale is logarithmic.

The colours of lines are those of Okabe and Ito (2008), "Color Universal Design", without the yellow, which is too pale
for a line on white, and in an order in which the first few differ in lightness too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from descend.errors import InvalidValue
from descend.plot._mpl import Artist, Axes, Axis, Legend, LogFormatterSciNotation, LogLocator, NullFormatter

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
DASHES = ("-", "--", "-.", ":")
INK = "#333333"
FAINT = "#E4E4E4"
LEFT = 0.8  # inches left of the axes, for the numbers and the name of the vertical one
DECADES = 1.5  # a logarithmic axis is chosen for losses that span more


def dress(ax: Axes) -> None:
    """No frame at the top and on the right, a light grid behind the data, readable letters of two sizes."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#888888")
    ax.tick_params(which="both", labelsize=9, color="#888888", labelcolor=INK)
    ax.set_axisbelow(True)
    ax.grid(True, which="major", color=FAINT, linewidth=0.7)
    for text, size in ((ax.xaxis.label, 10), (ax.yaxis.label, 10), (ax.title, 11)):
        text.set(size=size, color=INK)


def add_legend(ax: Axes, artists: Sequence[Artist], *, above: bool, title: str = "") -> None:
    """A legend of the artists that have a label, one for each label.

    Above the axes it hides nothing, whatever is drawn; in axes of the caller, whose title may stand there, it goes
    where there is most room inside.
    """
    named = {str(artist.get_label()): artist for artist in artists}
    named = {
        label: artist for label, artist in named.items() if label and not label.startswith("_")
    }  # as in matplotlib
    if not named:
        if title and above:
            ax.set_title(title, loc="left", fontsize=11, color=INK)
        return
    if not above:
        _legend(ax, named, columns=1, framed=True)
        return
    for columns in range(len(named), 0, -1):  # the most that fit, measured
        legend = _legend(ax, named, columns=columns, framed=False, title=title)
        if legend.get_window_extent().width <= ax.figure.figure.bbox.width - LEFT * ax.figure.figure.dpi:
            return


def _legend(ax: Axes, named: dict[str, Artist], *, columns: int, framed: bool, title: str = "") -> Legend:
    return ax.legend(
        list(named.values()),
        list(named),
        loc="best" if framed else "lower left",
        bbox_to_anchor=None if framed else (0.0, 1.0),
        ncols=columns,
        title=title,
        title_fontsize=11,
        alignment="left",
        fontsize=9,
        labelcolor=INK,
        handlelength=2.2,
        markerscale=0.7,
        columnspacing=1.5,
        borderaxespad=0.3,
        frameon=framed,
        framealpha=0.9,
        edgecolor=FAINT,
    )


def set_loss_scale(ax: Axes, losses: Sequence[NDArray[np.float64]], log: bool | None, target: float | None) -> bool:
    """Make the vertical axis logarithmic if asked to, or if the losses are positive and span more than 1.5 decades.

    Returns:
        whether it is. On such an axis losses that are not positive have to be gaps.

    Raises:
        InvalidValue: log=True without a positive loss, or with a target that is not positive.
    """
    shown = np.concatenate([*losses, [] if target is None else [target]])
    shown = shown[np.isfinite(shown)]
    if log and not (shown > 0).any():
        raise InvalidValue(
            "log=True, but no loss is positive and finite; write log=False, or subtract the minimum first"
        )
    if log and target is not None and target <= 0:
        raise InvalidValue(f"log=True, but target={target} is not positive; write log=False, or leave the target out")
    if log is None:
        log = bool(len(shown)) and shown.min() > 0 and math.log10(shown.max() / shown.min()) > DECADES
    if log:
        shown = shown[shown > 0]
        ax.set_yscale("log")
        label_powers(ax.yaxis, shown.min(), shown.max())
    return bool(log)


def label_powers(axis: Axis, low: float, high: float) -> None:
    """Labels at powers of ten, or at 1, 2 and 5 times them where there would be hardly any.

    matplotlib would label every tick of a short axis, where there is no room.
    """
    short = math.log10(high / low) < 2
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,), numticks=9))
    plain = short and low >= 1e-3 and high < 1e5
    axis.set_major_formatter("{x:g}" if plain else LogFormatterSciNotation(labelOnlyBase=False))
    axis.set_minor_formatter(NullFormatter())


def positive(numbers: NDArray[np.float64], log: bool) -> NDArray[np.float64]:
    """The numbers with NaN, a gap, where they cannot be drawn."""
    return np.where(np.isfinite(numbers) & ((numbers > 0) | (not log)), numbers, np.nan)
