"""The pictures of the report, all in the style and the colours of `descend.plot`."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from descend import plot

from .memory import KINDS
from .summary import Row

__all__ = ["CAPTIONS", "draw_all"]

CAPTIONS = {
    "accuracy": "Share of the validation snippets that are right, against forward passes; a backward pass counts as "
    "two. The median of the keys as a line, all of them within the band. Dashed: the encoder as it came. Dotted: a "
    "linear classifier of its embeddings.",
    "loss": "The same for the loss: solid on the snippets that are learnt from, dashed on the validation snippets. "
    "Lower is better.",
    "test": "Share of the test snippets that are right at the end: a dot for each key, a line at the median.",
    "memory": "Memory that a training step takes above the loaded model, on 64 snippets of 32 tokens, as the operating "
    "system counts it. The pale part is what inference takes.",
}
"""Names of the pictures in the order of the report, each with its caption."""

_GREY, _INK = "#8c959f", "#333333"


def draw_all(table: Sequence[Row], memory: Mapping[str, int], folder: Path) -> dict[str, Path]:
    """Draw and write every picture that there is something to draw for; returns where, by the names in `CAPTIONS`."""
    colors = {row.title: color for row, color in zip(table[2:], plot.colors(map(str, range(7))).values(), strict=False)}
    figures = {
        "accuracy": _accuracy(table, colors),
        "loss": _loss(table[2:], colors),
        "test": _test(table, colors),
        "memory": _memory(memory, colors) if memory else None,
    }
    return {
        name: plot.save(figure, folder / f"{name}.png", dpi=160)
        for name, figure in figures.items()
        if figure is not None
    }


def _accuracy(table: Sequence[Row], colors: dict[str, str]) -> Figure:
    figure, (ax,) = plot.panels(size=(6.4, 4.6))
    for row in table[2:]:
        _curve(ax, row, "validation", colors[row.title], scale=100, label=row.title)
    for row, dashes in zip(table[:2], ("--", ":"), strict=True):
        ax.axhline(100 * row.validation, color=_GREY, linestyle=dashes, linewidth=1.4, label=row.title)
    ax.set_ylabel("validation accuracy, %")
    _finish(ax)
    return figure


def _loss(table: Sequence[Row], colors: dict[str, str]) -> Figure:
    figure, (ax,) = plot.panels(size=(6.4, 4.6))
    for row in table:
        if row.slug != "accuracy":  # its loss is a share of mistakes
            _curve(ax, row, "loss", colors[row.title], label=row.title)
        _curve(ax, row, "validation_loss", colors[row.title], dashes="--", band=False)
    ax.set_ylabel("cross-entropy")
    _finish(ax)
    return figure


def _curve(
    ax: Axes,
    row: Row,
    what: str,
    color: str,
    scale: float = 1.0,
    label: str | None = None,
    dashes: str = "-",
    band: bool = True,
) -> None:
    """A column of the learning curves against forward-equivalents."""
    length = min(len(run.spent) for run in row.runs)
    spent = np.array(row.runs[0].spent[:length])
    curves = scale * np.array([getattr(run, what)[:length] for run in row.runs])
    ax.plot(spent, np.median(curves, axis=0), dashes, color=color, linewidth=1.8, label=label)
    if band:
        ax.fill_between(spent, curves.min(0), curves.max(0), color=color, alpha=0.15, linewidth=0)


def _finish(ax: Axes) -> None:
    """The axis of the work, and the legend above the axes, where it hides nothing."""
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_xlabel("forward passes of one mini-batch")
    ax.set_xlim(left=0)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, frameon=False, fontsize=9, borderaxespad=0.2)


def _test(table: Sequence[Row], colors: dict[str, str]) -> Figure:
    """Dots, since the axis does not begin at 0."""
    figure, (ax,) = plot.panels(size=(6.4, 0.55 * len(table) + 0.9))
    for y, row in enumerate(table):
        color = colors.get(row.title, _GREY)
        ax.plot([100 * row.accuracy] * 2, [y - 0.3, y + 0.3], color=color, linewidth=3)
        if row.runs:
            ax.plot([100 * a for a in row.accuracies], [y] * len(row.accuracies), "o", color=color, alpha=0.6)
        ax.annotate(
            f"{100 * row.accuracy:.1f}",
            (100 * max(row.accuracies), y),
            (10, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=_INK,
        )
    ax.set_yticks(range(len(table)), [row.title for row in table])
    ax.set_xlabel("test accuracy, %")
    ax.margins(x=0.12)
    _bars(ax)
    return figure


def _memory(memory: Mapping[str, int], colors: dict[str, str]) -> Figure:
    figure, (ax,) = plot.panels(size=(6.4, 3.3))
    by_slug: dict[str, str] = dict(zip(("forward-only", "backpropagation"), colors.values(), strict=False))
    least = memory["inference"] / 2**20
    for y, kind in enumerate(KINDS):
        size = memory[kind] / 2**20
        color = by_slug.get(kind.removesuffix("-all"), _GREY)
        ax.barh(y, size, color=color, height=0.62, alpha=0.85)
        ax.barh(y, min(least, size), color="white", height=0.62, alpha=0.45)
        above = f"  (+{max(0, size - least):,.0f})" if kind != "inference" else ""
        ax.annotate(f"{size:,.0f}{above}", (size, y), (4, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(range(len(KINDS)), [title for _, title in KINDS.values()])
    ax.set_xlabel("MiB above the loaded model")
    ax.set_xlim(right=1.25 * max(memory.values()) / 2**20)
    _bars(ax)
    return figure


def _bars(ax: Axes) -> None:
    ax.invert_yaxis()
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
