"""The pictures of the report, all in the style and the colours of `descend.plot`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from descend import plot

from .summary import Row
from .task import Digits

__all__ = ["CAPTIONS", "draw_all"]

CAPTIONS = {
    "loss": "Loss over all training images against the work done, both axes logarithmic: the median of the seeds as a "
    "line, all of them within the band. Lower is better, further left is cheaper.",
    "accuracy": "Share of the test images that are recognised, against the same work. A curve twice as far right needs "
    "twice the work.",
    "bars": "Above: the accuracy at the end, a dot for each seed and a line at the mean. Below: the most memory that a "
    "step takes above inference, as a multiple of the memory of the parameters.",
    "digits": "The test images on which the methods disagree most (first seed). Above each image stands the right "
    "answer, below it what each method says; mistakes are red.",
    "filters": "What the first layer looks for: sixteen of its 32 filters of 4 × 4 pixels (first seed). Blue is "
    "negative, red is positive. All methods begin with the same random filters, and the control keeps them.",
}
"""Names of the pictures in the order of the report, each with its caption."""

_RIGHT, _WRONG, _INK = "#00735a", "#c0392b", "#333333"


def draw_all(table: Sequence[Row], data: Digits, folder: Path) -> dict[str, Path]:
    """Draw and write every picture; returns where, by the names in `CAPTIONS`."""
    colors = plot.colors([row.method.title for row in table])
    figures = {
        "loss": _curves(table, colors, "loss"),
        "accuracy": _curves(table, colors, "accuracy"),
        "bars": _bars(table, colors),
        "digits": _digits(table, data),
        "filters": _filters(table),
    }
    return {name: plot.save(figure, folder / f"{name}.png", dpi=160) for name, figure in figures.items()}


def _curves(table: Sequence[Row], colors: dict[str, str], what: str) -> Figure:
    """A column of the learning curves against forward-equivalents."""
    figure, (ax,) = plot.panels(size=(6.4, 4.6))
    for row in table:
        color = colors[row.method.title]
        length = min(len(run.spent) for run in row.runs)
        spent = np.array(row.runs[0].spent[:length])
        curves = np.array([getattr(run, what)[:length] for run in row.runs])
        shown = spent > 0  # the start has no place on a logarithmic axis
        spent, curves = spent[shown], curves[:, shown] * (100 if what == "accuracy" else 1)
        ax.plot(spent, np.median(curves, axis=0), color=color, linewidth=1.8, label=row.method.title)
        ax.fill_between(spent, curves.min(0), curves.max(0), color=color, alpha=0.15, linewidth=0)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("forward-equivalents")
    if what == "loss":
        ax.set_yscale("log")
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.set_ylabel("training loss")
    else:
        ax.set_ylabel("test accuracy, %")
        ax.set_ylim(0, 101)
    _legend(ax)
    return figure


def _legend(ax: Axes) -> None:
    """Above the axes, where it hides nothing."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9, borderaxespad=0.2)


def _bars(table: Sequence[Row], colors: dict[str, str]) -> Figure:
    """Accuracies as dots, since their axis does not begin at 0, and memory as bars, since theirs does."""
    figure, (above, below) = plot.panels(1, 2, size=(6.4, 0.7 * len(table) + 1.6))
    places = np.arange(len(table))
    lowest = min(min(row.accuracies) for row in table)
    for y, row in zip(places, table, strict=True):
        color = colors[row.method.title]
        above.plot([100 * row.accuracy] * 2, [y - 0.32, y + 0.32], color=color, linewidth=3)
        above.plot([100 * a for a in row.accuracies], [y] * len(row.runs), "o", color=color, markersize=6, alpha=0.6)
        below.barh(y, row.memory, color=color, height=0.6)
        below.annotate(
            f"{row.memory:.1f}", (row.memory, y), (4, 0), textcoords="offset points", va="center", fontsize=9
        )
    above.set_xlim(max(0, 100 * lowest - 2), 100.2)
    above.set_xlabel("test accuracy, %")
    below.set_xlabel("extra memory, multiples of the parameters")
    below.margins(x=0.1)
    for ax in (above, below):
        ax.set_yticks(places, [row.method.title for row in table])
        ax.invert_yaxis()
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
    return figure


def _digits(table: Sequence[Row], data: Digits, count: int = 12) -> Figure:
    """The test images to which right and wrong answers are most evenly given, and what each method says."""
    firsts, truth = [row.runs[0] for row in table], data.test_labels
    wrong = torch.stack([run.answers != truth for run in firsts]).sum(0)
    hardest = wrong.minimum(len(firsts) - wrong).argsort(descending=True, stable=True)[:count].tolist()
    line = 17  # points
    height = 1.0 + line * len(firsts) / 72
    figure, axes = plot.panels(count, size=(8.2, height))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.19, right=0.99, top=1 - 0.3 / height, bottom=(line * len(firsts) / 72 + 0.1) / height)
    for ax, index in zip(axes, hardest, strict=True):
        ax.imshow(data.test_images[index, 0].numpy(), cmap="gray_r", interpolation="nearest")
        ax.set_axis_off()
        ax.set_title(str(int(truth[index])), fontsize=12, color=_INK)
        for i, run in enumerate(firsts):
            right = bool(run.answers[index] == truth[index])
            _beside(
                ax, str(int(run.answers[index])), (0.5, 0), (0, -12 - line * i), "center", _RIGHT if right else _WRONG
            )
    for i, run in enumerate(firsts):
        _beside(axes[0], run.method.title, (0, 0), (-6, -12 - line * i), "right")
    return figure


def _filters(table: Sequence[Row]) -> Figure:
    """A line of filters per method, all lines on one scale."""
    firsts = [row.runs[0] for row in table]
    count = 16
    figure, axes = plot.panels(count, len(firsts), size=(8.2, 0.46 * len(firsts)))
    figure.set_layout_engine(None)
    figure.subplots_adjust(left=0.19, right=0.995, top=0.98, bottom=0.02, wspace=0.12, hspace=0.12)
    reach = max(float(run.filters[:count].abs().max()) for run in firsts)
    for i, run in enumerate(firsts):
        for ax, pixels in zip(axes[i * count : (i + 1) * count], run.filters[:count].numpy(), strict=True):
            ax.imshow(pixels, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
            ax.set_axis_off()
        _beside(axes[i * count], run.method.title, (0, 0.5), (-6, 0), "right")
    return figure


def _beside(
    ax: Axes, text: str, place: tuple[float, float], points: tuple[float, float], side: str, color: str = _INK
) -> None:
    """Text so many points away from a place in the axes."""
    bold = "bold" if color == _WRONG else "normal"
    ax.annotate(
        text,
        place,
        points,
        xycoords="axes fraction",
        textcoords="offset points",
        ha=side,
        va="center",
        fontsize=10,
        color=color,
        fontweight=bold,
    )
