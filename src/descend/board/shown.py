"""What the page shows of one study, as plain data: its summary, its pictures, pages of its trials, and its failures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from descend.board.pack import plain_scalar
from descend.errors import DescendError, InvalidValue
from descend.log.row import Worker
from descend.plot.study import history
from descend.plot.study.figure import Figure
from descend.plot.study.objectives import front_rows
from descend.plot.study.plots import check_figure, figure_of, figures_of
from descend.plot.study.spec import spec
from descend.plot.study.view import View
from descend.study.record import Record
from descend.study.table import STATES

__all__ = ["COMPARISONS", "PAGE", "Asked", "Shown", "flat", "plotted"]

PAGE = 50
COMPARISONS = {"compare": history.compare, "distribution": history.distribution}
"""The pictures of several studies by their names."""

_LONGEST = 200  # letters of an attribute
_FAILURES = 100


@dataclass(frozen=True)
class Asked:
    """Which trials are wanted, in which order.

    Args:
        sort: "number", "state", "seconds", "value 0", "value 1", ..., or "param " and the name of a parameter.
        down: whether the greatest come first; trials that have no such thing are last either way.
        state: one of the states, "" for all.
        first: place of the first row.
        count: how many rows, at most 500.

    Raises:
        InvalidValue: there is no such state, or the numbers are negative.
    """

    sort: str = "number"
    down: bool = True
    state: str = ""
    first: int = 0
    count: int = PAGE

    def __post_init__(self) -> None:
        if self.state and self.state not in STATES:
            raise InvalidValue(f"state={self.state!r}; write one of {', '.join(STATES)}")
        if not (self.first >= 0 and 0 <= self.count <= 500):
            raise InvalidValue(f"first={self.first}, count={self.count}; write first >= 0 and count from 0 to 500")


@dataclass(frozen=True, eq=False)
class Shown:
    """One study as it is now.

    Args:
        view: its trials.
        record: a trial in full, by its number.
        workers: who evaluates.
        method: what proposes, in words.
        version: a number that grows when anything changes.
    """

    view: View
    record: Callable[[int], Record]
    workers: Sequence[Worker] = ()
    method: str = ""
    version: int = 0
    now: float = field(default_factory=time.time)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many trials are in each state."""
        found = np.bincount(self.view.table.states, minlength=len(STATES))
        return {state: int(count) for state, count in zip(STATES, found, strict=True)}

    def summary(self) -> dict[str, Any]:
        """What stands at the top of the page."""
        view, table = self.view, self.view.table
        times = np.concatenate([table.began, table.ended])
        times = times[np.isfinite(times)]
        return {
            "name": view.name, "directions": list(view.directions), "labels": self._labels(), "method": self.method,
            "counts": self.counts, "trials": view.n, "version": self.version, "best": self._best(),
            "began": float(times.min()) if len(times) else None, "last": float(times.max()) if len(times) else None,
            "figures": figures_of(view),
            "front": len(front_rows(view)) if len(view.directions) > 1 else None,
            "workers": self._workers(), "now": self.now,
            "parameters": list(table.columns),
        }  # fmt: skip

    def _labels(self) -> list[str]:
        return [self.view.label(objective) for objective in range(len(self.view.directions))]

    def _best(self) -> list[dict[str, Any]]:
        """The best trial of each objective."""
        rows = [self.view.best(objective) for objective in range(len(self.view.directions))]
        return [self.trial(int(self.view.table.numbers[row])) for row in rows if row is not None]

    def _workers(self) -> list[dict[str, Any]]:
        table = self.view.table
        finished = np.bincount(table.owner[(table.owner >= 0) & (table.states >= 2)], minlength=len(table.owners))
        made = {name: int(count) for name, count in zip(table.owners, finished, strict=True)}
        alive = {worker.owner: worker for worker in self.workers}
        return [
            {
                "name": name, "finished": made.get(name, 0),
                "heard": alive[name].seen if name in alive else None,
                "running": list(alive[name].running) if name in alive else [],
            }
            for name in dict.fromkeys([*alive, *table.owners[-200:]])
        ]  # fmt: skip

    def figure(self, name: str, *, objective: int = 0) -> dict[str, Any]:
        """A picture for plotly, with its title, or a sentence in its place.

        Raises:
            InvalidValue: there is no such picture.
        """
        check_figure(name)
        try:
            figure = figure_of(self.view, name, objective)
        except DescendError as error:
            return {"title": name, "sentence": str(error)}
        return plotted(figure)

    def trial(self, number: int) -> dict[str, Any]:
        """A trial in full."""
        return _full(self.record(number))

    def failures(self) -> dict[str, Any]:
        """The last trials that failed, each with its text, and how many there are."""
        numbers = self.view.table.numbers[self.view.within("failed")][::-1]
        rows = [(int(number), self.record(int(number))) for number in numbers[:_FAILURES]]
        shown = [{"number": at, "error": record.error or "", "params": flat(record.params)} for at, record in rows]
        return {"total": len(numbers), "rows": shown}

    def trials(self, asked: Asked) -> dict[str, Any]:
        """A page of the table: its rows, how many there are in all, and the names of its columns."""
        table = self.view.table
        rows = self._order(asked)
        page = rows[asked.first : asked.first + asked.count]
        return {
            "total": len(rows), "first": asked.first, "parameters": list(table.columns), "labels": self._labels(),
            "rows": [self._row(int(row)) for row in page],
        }  # fmt: skip

    def _row(self, row: int) -> dict[str, Any]:
        table = self.view.table
        params = []
        for column in table.columns.values():
            value = float(column.numbers[row])
            known = value == value and column.labels is not None
            params.append(column.labels[int(value)] if known and column.labels else plain_scalar(value))
        return {
            "number": int(table.numbers[row]), "state": STATES[table.states[row]],
            "values": [plain_scalar(float(value)) for value in table.values[row]],
            "seconds": plain_scalar(float(table.ended[row] - table.began[row])),
            "feasible": not table.violation[row] > 0, "params": params,
        }  # fmt: skip

    def _order(self, asked: Asked) -> NDArray[np.int64]:
        table = self.view.table
        kind, _, name = asked.sort.partition(" ")
        if kind == "param" and name in table.columns:
            key = table.columns[name].numbers
        elif kind == "value" and name.isdigit() and int(name) < len(self.view.directions):
            key = table.values[:, int(name)]
        elif asked.sort in ("number", "state", "seconds"):
            key = {"number": table.numbers, "state": table.states, "seconds": table.ended - table.began}[asked.sort]
        else:
            raise InvalidValue(f"trials cannot be sorted by {asked.sort!r}")
        key = np.asarray(key, dtype=np.float64)
        rows = np.arange(len(key)) if not asked.state else np.flatnonzero(self.view.within(asked.state))
        order = np.argsort(-key[rows] if asked.down else key[rows], kind="stable")  # NaN last
        return rows[order]


def plotted(figure: Figure) -> dict[str, Any]:
    """A picture for plotly, with its title."""
    return {"title": figure.title, **spec(figure)}


def flat(params: Any, prefix: str = "") -> dict[str, Any]:
    """Parameters by flat names, as texts where JSON has nothing like them.

    >>> flat({"model": {"depth": 3}, "x": 0.5})
    {'model.depth': 3, 'x': 0.5}
    """
    if not isinstance(params, Mapping):
        return {prefix or "x": _plain(params)}
    found: dict[str, Any] = {}
    for name, value in params.items():
        nested = isinstance(value, Mapping)
        found |= flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": _plain(value)}
    return found


def _plain(value: Any) -> Any:
    value = plain_scalar(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _full(record: Record) -> dict[str, Any]:
    return {
        "number": record.number, "state": record.state, "params": flat(record.params),
        "values": None if record.values is None else [plain_scalar(value) for value in record.values],
        "violations": [plain_scalar(value) for value in record.violations], "error": record.error,
        "attributes": {str(name): _plain(value) for name, value in list(record.attributes.items())[:100]},
        "reports": [[step, _plain(value)] for step, value in list(record.reports.items())[-20:]],
        "began": record.began, "ended": record.ended, "owner": record.owner, "attempts": record.attempts,
        "origin": record.origin,
    }  # fmt: skip
