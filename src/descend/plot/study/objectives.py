"""Pictures of several objectives: the front among all trials, and how the volume that it dominates has grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from descend.errors import InvalidValue, ShapeMismatch
from descend.pareto.indicators import hypervolume as volume
from descend.plot.study.figure import Array, Axis, Dots, Figure, Line, Mark, Panel
from descend.plot.study.view import View, evenly, value_axis

__all__ = ["front_rows", "hypervolume", "pareto"]

DOTS = 2000
_CHECKPOINTS = 300  # at which a hypervolume is computed


def _rows(view: View) -> NDArray[np.int64]:
    """The trials that are done, with finite values."""
    return np.flatnonzero(view.within("done") & np.isfinite(view.table.values).all(1))


def _feasible(view: View) -> NDArray[np.int64]:
    """Those of them that keep the constraints."""
    rows = _rows(view)
    return rows[view.feasible[rows]]


def _signs(view: View) -> Array:
    return np.array([view.sign(objective) for objective in range(len(view.directions))])


def _losses(view: View) -> Array:
    return view.table.values * _signs(view)


def _unbeaten(losses: Array) -> NDArray[np.bool_]:
    """(n,) whether no other row is at least as good in everything and better in something."""
    n = len(losses)
    if losses.shape[1] == 2:  # along the first objective, the second has to fall
        order = np.lexsort((losses[:, 1], losses[:, 0]))
        second = losses[order, 1]
        lowest = np.minimum.accumulate(np.concatenate([[np.inf], second[:-1]]))
        same = np.concatenate([[False], (losses[order][1:] == losses[order][:-1]).all(1)])
        keep = second < lowest
        for place in np.flatnonzero(same):  # a copy of a point stands where that stands
            keep[place] = keep[place - 1]
        found = np.zeros(n, dtype=bool)
        found[order] = keep
        return found
    found = np.ones(n, dtype=bool)
    for row in np.lexsort(losses.T[::-1]):
        if found[row]:
            found &= ~((losses >= losses[row]).all(1) & (losses > losses[row]).any(1))
    return found


def front_rows(view: View) -> NDArray[np.int64]:
    """The rows of the trials of the front: feasible, and beaten in everything by none.

    Raises:
        ShapeMismatch: the study has one objective.
    """
    _several(view)
    rows = _feasible(view)
    return rows[_unbeaten(_losses(view)[rows])]


def _several(view: View) -> None:
    if len(view.directions) < 2:
        raise ShapeMismatch(f"the study {view.name!r} has one objective, and a front needs two; draw its history")


def pareto(view: View, *, objectives: Sequence[int] | None = None) -> Figure:
    """The values of all trials, a panel for each pair of objectives; the front of all objectives stands out.

    Args:
        objectives: which ones, by number; default all, but no more than the first four.
    """
    _several(view)
    chosen = list(range(min(len(view.directions), 4))) if objectives is None else list(objectives)
    if len(set(chosen)) < 2 or len(set(chosen)) < len(chosen):
        raise InvalidValue(f"objectives={chosen!r} makes no pair; write two or more different numbers, such as [0, 1]")
    rows, best = _rows(view), front_rows(view)
    outside = rows[~view.feasible[rows]]
    beaten = np.setdiff1d(_feasible(view), best)
    beaten = beaten[evenly(len(beaten), DOTS)]
    panels = []
    for i, j in combinations(chosen, 2):
        x, y = view.value(i), view.value(j)
        ring = Dots(x[outside], y[outside], "violates a constraint", "infeasible", symbol="ring")
        dots = Dots(x[beaten], y[beaten], "trial")
        front = Dots(x[best], y[best], "front", "best", size=7.0)
        parts = ((ring, outside), (dots, beaten), (front, best))
        marks: list[Mark] = [replace(mark, numbers=view.numbers[part]) for mark, part in parts if len(part)]
        if len(view.directions) == 2 and len(best):
            order = best[np.lexsort((view.loss(j)[best], view.loss(i)[best]))]
            marks.append(Line(x[order], y[order], role="best", step=True, width=1.2))
        axes = [value_axis(view.value(k)[rows], view.sign(k), view.label(k))[0] for k in (i, j)]
        panels.append(Panel(axes[0], axes[1], marks))
    height = 380 if len(panels) == 1 else 300
    return Figure(f"Front of {view.name}", panels, min(len(panels), 3), height=height)


def hypervolume(view: View, *, reference: Sequence[float] | None = None) -> Figure:
    """The volume that the front dominates within a reference point, after every trial.

    Args:
        reference: a point (m,) in the user's signs that is worse than what matters; default the worst of each objective
            among all trials, but no more than three quartile ranges beyond the quartile, and a tenth worse still.

    Raises:
        ShapeMismatch: the study has one objective, or the point another number of them.
        MissingExtra: m >= 3 and moocore is not installed.
    """
    _several(view)
    m, signs = len(view.directions), _signs(view)
    rows = _feasible(view)
    losses = _losses(view)[rows]
    if reference is not None and len(reference) != m:
        raise ShapeMismatch(f"reference={tuple(reference)!r} must have a number for each of the {m} objectives")
    if reference is not None:
        corner = signs * np.asarray(reference, dtype=np.float64)
    elif len(losses):
        corner = _corner(losses)
    else:
        corner = np.zeros(m)
    places = np.linspace(1, len(rows), min(len(rows), _CHECKPOINTS)).round().astype(np.int64)
    heights, front, seen = [], np.empty((0, m)), 0
    for place in places:
        front = np.concatenate([front, losses[seen:place]])
        front, seen = front[_unbeaten(front)], place
        heights.append(volume(torch.from_numpy(front), torch.from_numpy(corner)))
    steps, ys = view.numbers[rows[places - 1]], np.array(heights, dtype=np.float64)
    line = Line(steps, ys, "hypervolume", "best", step=True, width=2.0)
    point = ", ".join(f"{value:.4g}" for value in (signs * corner).tolist())
    return Figure(
        f"Hypervolume of {view.name}", [Panel(Axis("trial", whole=True), Axis("hypervolume"), [line])],
        note=f"Within the point ({point}).", legend=False,
    )  # fmt: skip


def _corner(losses: Array) -> Array:
    quarter, most = np.quantile(losses, [0.25, 0.75], axis=0)
    worst = np.where(most > quarter, np.minimum(losses.max(0), most + 3 * (most - quarter)), losses.max(0))
    reach = worst - losses.min(0)
    return worst + 0.1 * np.where(reach > 0, reach, 1.0)
