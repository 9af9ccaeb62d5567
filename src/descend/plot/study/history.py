"""Pictures of how a study went: values and the best so far, several studies side by side, and how values are spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from descend.errors import InvalidValue
from descend.plot.study.figure import Array, Axis, Dots, Figure, Line, Mark, Panel, Rug, short
from descend.plot.study.look import PALETTE
from descend.plot.study.view import View, evenly, few, value_axis

__all__ = ["best_so_far", "compare", "distribution", "history"]

DOTS = 2000
_POINTS = 500  # of a distribution


def best_so_far(view: View, objective: int = 0) -> tuple[Array, Array]:
    """The numbers of the trials that were better than all before, and their values; one more point at the end.

    Only trials that are done and feasible count.
    """
    rows = np.flatnonzero(view.finished(objective) & view.feasible)
    loss = view.loss(objective)[rows]
    running = np.minimum.accumulate(loss)
    better = np.concatenate([[True], running[1:] < running[:-1]]) if len(rows) else np.zeros(0, dtype=bool)
    steps, values = view.numbers[rows][better], view.value(objective)[rows][better]
    if len(steps):
        steps, values = np.append(steps, view.numbers.max()), np.append(values, values[-1])
    return steps, values


def history(view: View, *, objective: int = 0) -> Figure:
    """The value of every trial, and the best so far. Pruned and failed trials are strokes at the lower edge."""
    done = np.flatnonzero(view.finished(objective) & view.feasible)
    outside = np.flatnonzero(view.finished(objective) & ~view.feasible)
    values, loss = view.value(objective), view.loss(objective)
    shown, rings = few(done, loss[done], DOTS), few(outside, loss[outside], DOTS // 4)
    marks: list[Mark] = []
    if len(rings):
        at = view.numbers[rings]
        marks.append(Dots(at, values[rings], "violates a constraint", "infeasible", symbol="ring", numbers=at))
    if len(shown):
        marks.append(Dots(view.numbers[shown], values[shown], "trial", numbers=view.numbers[shown]))
    steps, best = best_so_far(view, objective)
    if len(steps):
        marks.append(Line(steps, best, "best so far", "best", step=True, width=2.0))
    marks += _strokes(view)
    axis, beyond = value_axis(values[np.union1d(done, outside)], view.sign(objective), view.label(objective))
    note = f"{beyond} worse ones are outside the frame." if beyond else ""
    return Figure(
        f"History of {view.name}",
        [Panel(Axis("trial", whole=True), axis, marks)],
        note=" ".join(filter(None, [_at_most(len(done)), note])),
    )


def _strokes(view: View) -> list[Mark]:
    marks: list[Mark] = []
    for state in ("pruned", "failed"):
        rows = np.flatnonzero(view.within(state))
        rows = few(rows, np.zeros(len(rows)), DOTS // 4)
        if len(rows):
            marks.append(Rug(view.numbers[rows], state, state, view.numbers[rows]))
    return marks


def _at_most(count: int) -> str:
    return f"{DOTS} of {count} trials are drawn." if count > DOTS else ""


def compare(views: Sequence[View], *, objective: int = 0) -> Figure:
    """The best so far of several studies, a line for each.

    Raises:
        InvalidValue: no study, or studies that are not all minimized or all maximized.
    """
    if not views:
        raise InvalidValue("there is no study to compare; give at least one")
    for view in views:
        view.value(objective)  # has that objective
    if len({view.sign(objective) for view in views}) > 1:
        raise InvalidValue(
            "one of these studies is minimized and another one maximized; compare those of one direction"
        )
    lines = [(view.name, *best_so_far(view, objective)) for view in views]
    marks = [
        Line(steps, best, f"{name} ({short(float(best[-1]))})", step=True, width=2.0, color=PALETTE[at % len(PALETTE)])
        for at, (name, steps, best) in enumerate(lines)
        if len(steps)
    ]
    # the very first value of a study is no measure of the others
    after = np.concatenate([best[1:] if len(best) > 2 else best for _, _, best in lines])
    axis, _ = value_axis(after, views[0].sign(objective), f"best {views[0].label(objective)} so far")
    return Figure("Best so far", [Panel(Axis("trial", whole=True), axis, marks)], height=380)


def distribution(views: View | Sequence[View], *, objective: int = 0) -> Figure:
    """The share of the trials of each study whose value is at least this good: the empirical distribution function.

    Trials that failed or were pruned have no value and count as worse than every number, so a curve may end below 1.
    """
    views = [views] if isinstance(views, View) else list(views)
    if not views:
        raise InvalidValue("there is no study to draw; give at least one")
    marks: list[Mark] = []
    every: list[Array] = []
    for place, view in enumerate(views):
        values = view.value(objective)[view.finished(objective) & view.feasible]
        total = int(view.within("done", "pruned", "failed").sum())
        if not len(values):
            continue
        ordered = np.sort(view.sign(objective) * values)
        shares = np.arange(1, len(ordered) + 1) / total
        kept = evenly(len(ordered), _POINTS)
        every.append(values)
        marks.append(
            Line(
                view.sign(objective) * ordered[kept], shares[kept], view.name,
                step=True, color=PALETTE[place % len(PALETTE)],
            )
        )  # fmt: skip
    found = np.concatenate([np.empty(0), *every])
    across, _ = value_axis(found, views[0].sign(objective), views[0].label(objective))
    return Figure(
        "Distribution of values",
        [Panel(across, Axis("share of trials at least as good", range=(0.0, 1.02)), marks)],
        legend=len(views) > 1,
    )
