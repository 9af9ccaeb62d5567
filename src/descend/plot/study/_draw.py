"""A figure drawn by matplotlib, in the style of all pictures of this package."""

from __future__ import annotations

import numpy as np

from descend.plot._mpl import (
    Artist,
    Axes,
    LinearSegmentedColormap,
    LineCollection,
    MaxNLocator,
    Normalize,
    NullLocator,
    ScalarMappable,
)
from descend.plot._mpl import Figure as Picture
from descend.plot._style import INK, add_legend, label_powers
from descend.plot.canvas import panels
from descend.plot.study.figure import (
    SCALE,
    Band,
    Bars,
    Bundle,
    Dots,
    Figure,
    Heat,
    Line,
    Mark,
    Panel,
    Rug,
    Shade,
    Spans,
    Texts,
)  # fmt: skip
from descend.plot.study.look import COLORS, color_of

__all__ = ["draw"]

_SYMBOLS = {"dot": "o", "cross": "x", "ring": "o", "star": "*"}
_EDGED = 150  # spans up to which each has an edge
_INCH = 80  # pixels of a figure
_COLORS = LinearSegmentedColormap.from_list("descend", list(SCALE))


def draw(figure: Figure) -> Picture:
    """The figure as one of matplotlib's."""
    width = {1: 7.2, 2: 8.4, 3: 10.2}.get(figure.columns, 11.2)
    height = figure.rows * figure.height / _INCH + 0.4
    picture, every = panels(figure.columns, figure.rows, size=(width, height))
    for axes in every[len(figure.panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(every, figure.panels, strict=False):
        handles = [handle for mark in panel.marks for handle in _mark(axes, mark)]
        _finish(axes, panel)
        if figure.legend:
            add_legend(axes, handles, above=True)
    picture.suptitle(_plain(figure.title), x=0.01, ha="left", fontsize=12, color=INK)
    if figure.shade is not None:
        _bar(picture, every[: len(figure.panels)], figure.shade)
    if figure.note:
        picture.supxlabel(_plain(figure.note), fontsize=8.5, color="#777777", x=0.99, ha="right")
    return picture


def _plain(text: str) -> str:
    """The text as it is: what stands between two dollars would be read as mathematics, and control characters make no
    SVG."""
    return "".join(letter if letter.isprintable() else "·" for letter in text).replace("$", r"\$")


def _finish(axes: Axes, panel: Panel) -> None:
    for axis, which, other in ((axes.xaxis, panel.x, axes.get_xlim), (axes.yaxis, panel.y, axes.get_ylim)):
        axis.set_label_text(_plain(which.label))
        named = which.named
        if which.log:
            axis._set_axes_scale("log")  # type: ignore[attr-defined]
            low, high = other()
            label_powers(axis, low, high)
        elif named is not None:
            many = which is panel.x and sum(len(text) for _, text in named) > 40
            axis.set_ticks([at for at, _ in named], [_plain(text) for _, text in named])
            for text in axis.get_ticklabels() if many else ():
                text.set(rotation=20, ha="right")
        else:
            axis.set_major_locator(MaxNLocator(6, integer=which.whole))
        if which.hidden:
            axis.set_major_locator(NullLocator())
    for axis, setter in ((panel.x, axes.set_xlim), (panel.y, axes.set_ylim)):
        if axis.ends is not None:
            setter(*axis.ends)
    if panel.y.hidden:
        axes.spines["left"].set_visible(False)


def _mark(axes: Axes, mark: Mark) -> list[Artist]:
    """Draw it; what stands in the legend."""
    match mark:
        case Dots():
            return _dots(axes, mark)
        case Line():
            color = mark.color or (COLORS[mark.role] if mark.shade is None else color_of(mark.shade))
            style = "steps-post" if mark.step else "default"
            (line,) = axes.plot(
                mark.x, mark.y, color=color, linewidth=mark.width, linestyle=":" if mark.dash else "-",
                drawstyle=style, label=_plain(mark.name) or "_", zorder=4 if mark.role == "best" else 3,
            )  # fmt: skip
            return [line]
        case Band():
            color = COLORS[mark.role]
            axes.fill_between(mark.x, mark.low, mark.high, color=color, alpha=0.18, linewidth=0, zorder=2)
            return []
        case Bars():
            axes.barh(mark.y, mark.length, height=0.62, color=COLORS[mark.role], zorder=2)
            some = np.isfinite(mark.low)
            axes.hlines(mark.y[some], mark.low[some], mark.high[some], color=INK, linewidth=1.2, zorder=3)
            return []
        case Spans():
            color, edge = COLORS[mark.role], 0.4 if len(mark.y) < _EDGED else 0.0
            return [axes.barh(
                mark.y, mark.end - mark.begin, height=0.7, left=mark.begin, color=color, edgecolor="white",
                linewidth=edge, label=_plain(mark.name) or "_", zorder=2,
            )]  # fmt: skip  # type: ignore[list-item]
        case Rug():
            if not len(mark.x):
                return []
            (line,) = axes.plot(
                mark.x, np.full(len(mark.x), 0.015), "|", color=COLORS[mark.role], markersize=6, clip_on=False,
                transform=axes.get_xaxis_transform(), label=_plain(mark.name) or "_", zorder=3,
            )  # fmt: skip
            return [line]
        case Bundle():
            _bundle(axes, mark)
            return []
        case Heat():
            axes.pcolormesh(mark.x, mark.y, np.ma.masked_invalid(mark.z), cmap=_COLORS, vmin=0, vmax=1, zorder=1)
            axes.grid(False)
            return []
        case Texts():
            for x, y, word in zip(mark.x, mark.y, mark.words, strict=True):
                text = axes.text(x + 0.03, y, _plain(word), fontsize=8, color=INK, va="center", zorder=6)
                text.set_bbox({"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.8})
            return []


def _dots(axes: Axes, mark: Dots) -> list[Artist]:
    ring = mark.symbol == "ring"
    color = COLORS[mark.role] if mark.shade is None else _COLORS(mark.shade)
    dots = axes.scatter(
        mark.x, mark.y, s=mark.size**2, marker=_SYMBOLS[mark.symbol], label=_plain(mark.name) or "_",
        facecolors="none" if ring else color, edgecolors=COLORS[mark.role] if ring else None,
        linewidths=1.2 if mark.symbol in ("ring", "cross") else 0,
        alpha=0.85, zorder=5 if mark.role == "best" else 3,
    )  # fmt: skip
    return [dots]


def _bundle(axes: Axes, mark: Bundle) -> None:
    if not len(mark.ys):
        return
    lines = np.stack([np.broadcast_to(mark.x, mark.ys.shape), mark.ys], 2)
    colors = [(*_COLORS(shade)[:3], 0.35 + 0.6 * shade) for shade in mark.shade.tolist()]
    axes.add_collection(LineCollection(list(lines), colors=colors, linewidths=1.0 + mark.shade, zorder=2))


def _bar(picture: Picture, axes: list[Axes], shade: Shade) -> None:
    bar = picture.colorbar(ScalarMappable(Normalize(0, 1), _COLORS), ax=axes, aspect=35, pad=0.015)
    bar.outline.set_visible(False)  # type: ignore[operator]
    bar.set_ticks([at for at, _ in shade.ticks], labels=[text for _, text in shade.ticks])
    bar.ax.tick_params(labelsize=8.5, labelcolor=INK, length=0)
    bar.set_label(_plain(shade.label), fontsize=9, color=INK)
