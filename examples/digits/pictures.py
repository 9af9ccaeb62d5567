"""The pictures of the report, all in the style and the colours of `descend.plot`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from descend import plot
from examples.digits.summary import Row
from examples.digits.task import Digits
from examples.digits.train import Run

__all__ = ["CAPTIONS", "draw_all"]

CAPTIONS = {
    "loss": "Loss over all training images against the work done, both axes logarithmic: the median of the seeds as a "
    "line, all of them within the band. Lower is better, further left is cheaper.",
    "accuracy": "Share of the test images that are recognised against the same work. A method that is three times further "
    "right needs three times the work.",
    "bars": "Left: the accuracy at the end, a dot for each seed and a line at the mean. Right: the most memory that a step "
    "takes above inference, as a multiple of the memory of the parameters.",
    "digits": "The test images on which the methods disagree most (first seed). Above each the right answer, below it "
    "what each method says; mistakes are red.",
    "filters": "What the first layer looks for: its sixteen filters of 4 x 4 pixels (first seed). Blue is negative, red is "
    "positive. All methods begin with the same random filters, and the control keeps them.",
}
"""Names of the pictures in the order of the report, each with its caption."""

_RIGHT, _WRONG, _INK = "#00735a", "#c0392b", "#333333"


def draw_all(table: Sequence[Row], data: Digits, folder: Path) -> dict[str, Path]:
    """Draw and write every picture; returns where, by the names in `CAPTIONS`."""
    colors = plot.colors([row.method.name for row in table])
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
        color = colors[row.method.name]
        length = min(len(run.spent) for run in row.runs)
        spent = np.array(row.runs[0].spent[:length])
        curves = np.array([getattr(run, what)[:length] for run in row.runs])
        shown = spent > 0  # the start has no place on a logarithmic axis
        spent, curves = spent[shown], curves[:, shown] * (100 if what == "accuracy" else 1)
        ax.plot(spent, np.median(curves, axis=0), color=color, linewidth=1.8, label=row.method.name)
        ax.fill_between(spent, curves.min(0), curves.max(0), color=color, alpha=0.15, linewidth=0)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("forward-equivalents")
    if what == "loss":
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
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
    figure, (left, right) = plot.panels(2, size=(7.6, 0.5 * len(table) + 1.3))
    names = [row.method.name for row in table]
    places = np.arange(len(table))
    lowest = min(min(row.accuracies) for row in table)
    for y, row in zip(places, table, strict=True):
        color = colors[row.method.name]
        left.plot([100 * row.accuracy] * 2, [y - 0.32, y + 0.32], color=color, linewidth=3)
        left.plot([100 * a for a in row.accuracies], [y] * len(row.runs), "o", color=color, markersize=6, alpha=0.6)
        right.barh(y, row.memory, color=color, height=0.6)
        right.annotate(
            f"{row.memory:.1f}", (max(row.memory, 0), y), (4, 0), textcoords="offset points", va="center", fontsize=9
        )
    left.set_xlim(max(0, 100 * lowest - 3), 100.5)
    left.set_xlabel("test accuracy, %")
    right.set_xlabel("extra memory, multiples of the parameters")
    right.margins(x=0.15)
    for ax in (left, right):
        ax.set_yticks(places, names if ax is left else [])
        ax.invert_yaxis()
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
    return figure


def _digits(table: Sequence[Row], data: Digits, count: int = 12) -> Figure:
    """The test images with the most wrong answers, and what each method says to them."""
    truth = data.test_labels
    firsts = [row.runs[0] for row in table]
    wrong = sum((run.answers != truth).int() for run in firsts)
    assert isinstance(wrong, Tensor)
    hardest = wrong.argsort(descending=True, stable=True)[:count].tolist()
    figure, axes = plot.panels(count, size=(8.2, 1.25 + 0.27 * len(table)))
    lines = len(table)
    for ax, index in zip(axes, hardest, strict=True):
        ax.imshow(data.test_images[index, 0], cmap="gray_r", interpolation="nearest")
        ax.set_axis_off()
        ax.set_title(str(int(truth[index])), fontsize=12, color=_INK)
        for line, run in enumerate(firsts):
            answer = int(run.answers[index])
            right = answer == int(truth[index])
            ax.annotate(
                str(answer),
                (0.5, 0),
                (0, -10 - 17 * line),
                xycoords="axes fraction",
                textcoords="offset points",
                ha="center",
                va="center",
                fontsize=11,
                color=_RIGHT if right else _WRONG,
                fontweight="normal" if right else "bold",
            )
    for line, run in enumerate(firsts):
        axes[0].annotate(
            run.method.name,
            (0, 0),
            (-6, -10 - 17 * line),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
            color=_INK,
        )
    figure.set_layout_engine("none")
    figure.subplots_adjust(left=0.19, right=0.99, top=0.86, bottom=17 * lines / 72 / figure.get_size_inches()[1] + 0.02)
    return figure


def _filters(table: Sequence[Row]) -> Figure:
    """A line of filters per method, all lines on one scale."""
    firsts: list[Run] = [row.runs[0] for row in table]
    count = len(firsts[0].filters)
    figure, axes = plot.panels(count, len(firsts), size=(8.2, 0.5 * len(firsts) + 0.1))
    reach = max(float(run.filters.abs().max()) for run in firsts)
    for i, run in enumerate(firsts):
        for ax, pixels in zip(axes[i * count : (i + 1) * count], run.filters, strict=True):
            ax.imshow(pixels, cmap="RdBu_r", vmin=-reach, vmax=reach, interpolation="nearest")
            ax.set_axis_off()
        axes[i * count].annotate(
            run.method.name,
            (0, 0.5),
            (-6, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=9,
            color=_INK,
        )
    figure.set_layout_engine("none")
    figure.subplots_adjust(left=0.19, right=0.995, top=0.98, bottom=0.02, wspace=0.12, hspace=0.12)
    return figure
