"""Pictures of trials under way: what they reported between, and who was at work when."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from descend.errors import InvalidValue
from descend.plot.study.figure import Array, Axis, Dots, Figure, Line, Mark, Panel, Role, Spans, clipped
from descend.plot.study.view import View, evenly, few, rank_shade, value_axis
from descend.study.table import STATES

__all__ = ["intermediate", "timeline"]

LINES = 60
_POINTS = 200  # of a line
_SPANS = 1500
_LANES = 40
_UNITS = ((1.0, "seconds"), (60.0, "minutes"), (3600.0, "hours"), (86400.0, "days"))


def intermediate(view: View, *, objective: int = 0) -> Figure:
    """What trials reported at their steps, a line for each; the shade is the rank of the final value, dark is good.

    Pruned trials are dashed and end in a cross, those that run are green. Of more than 60 trials the best, and others
    evenly from all, are drawn.

    Raises:
        InvalidValue: no trial has reported anything.
    """
    if not len(view.reports):
        raise InvalidValue(
            f"no trial of {view.name!r} reported a value on its way; write trial.report(step, value) in the objective"
        )
    row_of = {int(number): row for row, number in enumerate(view.table.numbers)}
    rows = np.array(sorted(row_of[number] for number in view.reports if number in row_of), dtype=np.int64)
    losses = np.where(np.isfinite(view.loss(objective)[rows]), view.loss(objective)[rows], np.inf)
    rows = few(rows, losses, LINES)
    done = rows[view.finished(objective)[rows]]
    shade, meaning = rank_shade(view, done, objective)
    shades = dict(zip(done.tolist(), shade.tolist(), strict=True))
    best = view.best()
    lines: list[tuple[float, Line]] = []
    ends: dict[Role, list[tuple[float, float, float]]] = {"pruned": [], "failed": []}
    for row in rows.tolist():
        steps, values = _curve(view, row, objective)
        lines.append((shades.get(row, -1.0), _line(view, row, steps, values, shades.get(row), row == best)))
        state: Role | None = {"pruned": "pruned", "failed": "failed"}.get(STATES[view.table.states[row]])  # type: ignore[assignment]
        if state is not None and len(steps):
            ends[state].append((float(steps[-1]), float(values[-1]), float(view.numbers[row])))
    marks: list[Mark] = [line for _, line in sorted(lines, key=lambda pair: pair[0])]  # the best on top
    for state, found in ends.items():
        if found:
            x, y, numbers = np.array(found).T
            marks.append(Dots(x, y, state, state, symbol="cross", size=6.0, numbers=numbers))
    every = np.concatenate([line.y for _, line in lines])
    axis, _ = value_axis(every, view.sign(objective), view.label(objective))
    note = f"{len(rows)} of {len(view.reports)} trials are drawn." if len(rows) < len(view.reports) else ""
    title = f"On the way, {view.name}"
    return Figure(
        title, [Panel(Axis("step", whole=True), axis, marks)], 1, meaning if len(done) else None, note, height=380
    )


def _curve(view: View, row: int, objective: int) -> tuple[Array, Array]:
    steps, values = view.reports[int(view.table.numbers[row])]
    values = values if values.ndim == 1 else values[:, objective]
    kept = evenly(len(steps), _POINTS)
    return np.asarray(steps, dtype=np.float64)[kept], np.asarray(values, dtype=np.float64)[kept]


def _line(view: View, row: int, steps: Array, values: Array, shade: float | None, best: bool) -> Line:
    state = STATES[view.table.states[row]]
    if shade is not None:
        return Line(steps, values, shade=shade, width=2.4 if best else 1.2)
    role: Role = {"running": "running", "failed": "failed"}.get(state, "faint")  # type: ignore[assignment]
    return Line(steps, values, role=role, dash=state == "pruned", width=1.0)


def timeline(view: View) -> Figure:
    """When every trial was under way, and which worker had it: a lane for each worker, in the colour of the state.

    Trials of nobody in particular fill as many lanes as there were at once. Beyond 40 workers the lanes are those of
    the last ones at work; of more than 1500 trials the last ones are drawn.
    """
    rows = np.flatnonzero(np.isfinite(view.table.began))
    if not len(rows):
        raise InvalidValue(f"no trial of {view.name!r} has begun yet; run one first")
    rows = rows[np.argsort(view.table.began[rows], kind="stable")]
    total, rows = len(rows), rows[-_SPANS:]
    began, ended = view.table.began[rows], view.table.ended[rows]
    now = float(np.nanmax(np.concatenate([began, ended])))
    ended = np.where(np.isfinite(ended), ended, now)  # still running
    start = float(began.min())
    unit, unit_name = [one for one in _UNITS if now - start >= 2 * one[0] or one[0] == 1.0][-1]
    lanes, names = _lanes(view, rows, began, ended)
    marks: list[Mark] = []
    for state in ("done", "pruned", "failed", "running"):
        mine = (view.table.states[rows] == STATES.index(state)) & (lanes >= 0)
        if mine.any():
            x = [(times[mine] - start) / unit for times in (began, ended)]
            y = lanes[mine].astype(np.float64)
            marks.append(Spans(y, x[0], x[1], state, state, view.numbers[rows][mine]))
    note = f"The last {len(rows)} of {total} trials are drawn." if total > len(rows) else ""
    left = Axis("", labels=tuple(clipped(name, 18) for name in names))
    height = int(min(max(120 + 24 * len(names), 180), 640))
    return Figure(f"Timeline of {view.name}", [Panel(Axis(unit_name), left, marks)], note=note, height=height)


def _lanes(view: View, rows: NDArray[np.int64], began: Array, ended: Array) -> tuple[NDArray[np.int64], list[str]]:
    """The lane (k,) of each trial, -1 for one too many, and what lanes are called."""
    owner = view.table.owner[rows]
    if (owner >= 0).all():
        latest = np.unique(owner[::-1], return_index=True)
        known = latest[0][np.argsort(latest[1], kind="stable")][:_LANES]
        place = {int(code): lane for lane, code in enumerate(sorted(known.tolist()))}
        lanes = np.array([place.get(int(code), -1) for code in owner], dtype=np.int64)
        return lanes, [view.table.owners[code] for code in place]
    free: list[float] = []
    lanes = np.empty(len(rows), dtype=np.int64)
    for at, (begin, end) in enumerate(zip(began.tolist(), ended.tolist(), strict=True)):
        lane = next((lane for lane, until in enumerate(free) if until <= begin), len(free))
        if lane == len(free):
            free.append(end)
        free[lane] = end
        lanes[at] = lane if lane < _LANES else -1
    return lanes, [f"{lane + 1} at once" if lane else "1" for lane in range(min(len(free), _LANES))]
