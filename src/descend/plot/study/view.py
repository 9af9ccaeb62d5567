"""What the pictures read of a study: one snapshot of its table, directions and reports, and what follows from these.

Losses here are always to be minimized, `loss` is the value with the sign turned where the study maximizes; what is
drawn is the value as the user knows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from descend.errors import InvalidValue
from descend.plot.study.figure import Array, Axis, Shade, clipped, short
from descend.study.reports import Reports
from descend.study.table import STATES, Column, Table

__all__ = [
    "Curve", "View", "evenly", "few", "parameter_axis", "rank_shade", "relevance", "to_unit", "value_axis", "wide",
]  # fmt: skip

Mask = NDArray[np.bool_]
Curve = tuple[Array, Array]
"""The steps (k,) and the values (k,) or (k, m) that a trial reported."""

_DECADES = 1.5  # a logarithmic axis is chosen for values that span more
_FENCE = 3.0  # quartile ranges beyond the quartile, from where on a bad value is out of the frame
_BINS = 8


class _Curves(Mapping[int, Curve]):
    """The reports of a study by number of the trial, in the user's sign, each made when it is asked for."""

    def __init__(self, reports: Reports) -> None:
        self._reports, self._numbers = reports, dict.fromkeys(reports)

    def __getitem__(self, number: int) -> Curve:
        if number not in self._numbers:
            raise KeyError(number)
        curve = self._reports.curve(number)
        values = np.where(np.isfinite(curve.values), curve.values * np.array(self._reports.signs), np.nan)
        return curve.steps.astype(np.float64), values

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


@dataclass(frozen=True, eq=False)
class View:
    """A snapshot of a study.

    Args:
        table: of all trials.
        name: of the study.
        reports: the intermediate values by number of the trial, in the user's sign.

    Raises:
        InvalidValue: there is nothing yet that could be drawn.
    """

    table: Table
    name: str = "study"
    reports: Mapping[int, Curve] = field(default_factory=dict)

    @staticmethod
    def of(study: Any) -> View:
        """The present state of a `Study`."""
        return View(study.table(), study.name, _Curves(study.reports))

    @property
    def directions(self) -> tuple[str, ...]:
        """ "minimize" or "maximize", one for each objective."""
        return self.table.directions

    @property
    def n(self) -> int:
        """How many trials there are, in any state."""
        return len(self.table.numbers)

    @cached_property
    def numbers(self) -> Array:
        return self.table.numbers.astype(np.float64)

    def within(self, *states: str) -> Mask:
        """(n,) whether a trial is in one of these states."""
        return np.isin(self.table.states, [STATES.index(state) for state in states])

    def value(self, objective: int = 0) -> Array:
        """(n,) values of an objective in the user's sign, NaN where there is none.

        Raises:
            InvalidValue: there is no such objective.
        """
        m = len(self.directions)
        if not 0 <= objective < m:
            raise InvalidValue(f"objective={objective!r}: this study has {m}; write a number from 0 to {m - 1}")
        if not self.table.values.shape[1]:
            return np.full(self.n, np.nan)
        return self.table.values[:, objective]

    def sign(self, objective: int = 0) -> float:
        return -1.0 if self.directions[objective] == "maximize" else 1.0

    def loss(self, objective: int = 0) -> Array:
        """(n,) what is to be minimized, NaN where there is none."""
        return self.sign(objective) * self.value(objective)

    @cached_property
    def feasible(self) -> Mask:
        """(n,) whether no constraint is violated."""
        return ~(self.table.violation > 0)

    def finished(self, objective: int = 0) -> Mask:
        """(n,) done, with a finite value."""
        return self.within("done") & np.isfinite(self.value(objective))

    def label(self, objective: int = 0) -> str:
        """What an objective is called on an axis."""
        return "value" if len(self.directions) == 1 else f"value {objective}"

    def best(self, objective: int = 0) -> int | None:
        """The row of the best trial that is done and feasible; None if there is none."""
        able = np.flatnonzero(self.finished(objective) & self.feasible)
        return None if not len(able) else int(able[self.loss(objective)[able].argmin()])

    def columns(self, names: Sequence[str] | None, most: int, objective: int = 0) -> dict[str, Column]:
        """The parameters of these names; without names the most relevant ones, in order of relevance.

        Raises:
            InvalidValue: there is no such parameter, or no parameter at all.
        """
        known = self.table.columns
        if names is None:
            names = relevance(self, objective)[:most]
        if isinstance(names, str):
            raise InvalidValue(f"names={names!r} is one text; write a list of names, names=[{names!r}]")
        for name in names:
            if name not in known:
                raise InvalidValue(f"there is no parameter {name!r}; there are {', '.join(known) or 'none yet'}")
        if not names:
            raise InvalidValue(f"the study {self.name!r} has no parameters yet; run a trial first")
        return {name: known[name] for name in names}


def relevance(view: View, objective: int = 0) -> list[str]:
    """All parameters, those first that say most about the loss.

    Quick and without a model: the share of the variance of the losses' ranks that lies between up to eight bins of
    equally many values, or between categories (the correlation ratio), less what it would be by chance.
    """
    rows = np.flatnonzero(view.finished(objective))
    ranks = np.empty(len(rows))
    ranks[np.argsort(view.loss(objective)[rows], kind="stable")] = np.arange(len(rows))
    found: dict[str, float] = {}
    for name, column in view.table.columns.items():
        values = column.numbers[rows]
        there = np.isfinite(values)
        bins = values.astype(np.int64, copy=False) if column.labels is not None and there.all() else None
        found[name] = _between(ranks[there], values[there] if bins is None else bins[there], column.labels is None)
    return sorted(found, key=lambda name: -found[name])  # stable: in the order of their definition where equal


def _between(ranks: Array, values: NDArray[Any], continuous: bool) -> float:
    if len(ranks) < 4 or ranks.var() == 0 or values.min() == values.max():
        return -1.0
    if continuous:
        edges = np.unique(np.quantile(values, np.linspace(0, 1, _BINS + 1)[1:-1]))
        values = np.searchsorted(edges, values, side="right")
    _, groups = np.unique(values, return_inverse=True)
    counts = np.bincount(groups)
    means = np.bincount(groups, ranks) / counts
    share = float((counts * (means - ranks.mean()) ** 2).sum() / (len(ranks) * ranks.var()))
    return share - (len(counts) - 1) / max(len(ranks) - 1, 1)


def parameter_axis(name: str, column: Column) -> Axis:
    """The axis on which a parameter is drawn."""
    if column.labels is not None:
        return Axis(clipped(name), labels=tuple(clipped(label, 14) for label in column.labels))
    there = column.numbers[np.isfinite(column.numbers)]
    log = bool(column.log and len(there) and there.min() > 0)
    return Axis(clipped(name), log=log, whole=bool((there == np.round(there)).all()))


def to_unit(column: Column) -> Array:
    """(n,) values of a parameter in [0, 1] between its least and greatest, logarithmic where it is; NaN where absent.

    Categories lie in the middle of equal cells.
    """
    values = column.numbers
    if column.labels is not None:
        return (values + 0.5) / max(len(column.labels), 1)
    there = np.isfinite(values)
    if not there.any():
        return np.full(len(values), np.nan)
    if column.log and values[there].min() > 0:
        values = np.log(values)
    low, high = values[there].min(), values[there].max()
    return np.where(there, (values - low) / (high - low) if high > low else 0.5, np.nan)


def rank_shade(view: View, rows: NDArray[np.int64], objective: int = 0) -> tuple[Array, Shade]:
    """Shades (k,) of trials by the rank of their losses, 1 for the best, and what they mean in values."""
    loss = view.loss(objective)[rows]
    order = np.argsort(loss, kind="stable")
    shade = np.empty(len(rows))
    shade[order] = np.linspace(1.0, 0.0, len(rows)) if len(rows) > 1 else 1.0
    values = view.value(objective)[rows][order]
    places = np.linspace(0, len(rows) - 1, 5).round().astype(int) if len(rows) else []
    ticks = tuple((1 - at / 4, short(float(values[place]))) for at, place in enumerate(places))
    return shade, Shade(f"{view.label(objective)}, by rank", tuple(sorted(ticks)))


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most so many of the places 0, ..., count - 1, evenly from all.

    >>> evenly(3, 5).tolist(), evenly(9, 5).tolist()
    ([0, 1, 2], [0, 2, 4, 6, 8])
    """
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def few(rows: NDArray[np.int64], losses: Array, most: int) -> NDArray[np.int64]:
    """At most so many of the rows, in order: a quarter of them the best ones, the rest evenly from all.

    >>> few(np.arange(100), np.arange(100.0)[::-1], 8).tolist()
    [0, 19, 39, 58, 78, 97, 98, 99]
    """
    if len(rows) <= most:
        return rows
    top = np.argsort(losses, kind="stable")[: most // 4]
    rest = np.setdiff1d(np.arange(len(rows)), top)
    return rows[np.sort(np.concatenate([top, rest[evenly(len(rest), most - len(top))]]))]


def wide(values: Array, sign: float = 1.0) -> bool:
    """Whether a logarithmic axis is the better one: all positive, and more than 1.5 decades without the worst tenth."""
    shown = sign * np.sort(sign * values[np.isfinite(values)])  # the best first
    if not len(shown) or not shown.min() > 0:
        return False
    kept = shown[: max(1, int(np.ceil(0.9 * len(shown))))]
    return bool(np.log10(kept.max() / kept.min()) > _DECADES)


def value_axis(values: Array, sign: float, label: str) -> tuple[Axis, int]:
    """The axis of values (k,), from the best to the worst that is not far from all others, and how many are beyond."""
    shown = values[np.isfinite(values)]
    log = wide(shown, sign)
    if not len(shown):
        return Axis(label), 0
    ends, beyond = _frame(sign * (np.log10(shown) if log else shown))
    ends = sorted(sign * end for end in ends)
    return Axis(label, log=log, range=(10 ** ends[0], 10 ** ends[1]) if log else (ends[0], ends[1])), beyond


def _frame(loss: Array) -> tuple[tuple[float, float], int]:
    """The ends of an axis of losses, a few very bad ones left out, and how many these are."""
    low, quarter, half, most, high = (float(at) for at in np.quantile(loss, [0, 0.25, 0.5, 0.75, 1]))
    fence = most + _FENCE * max(most - quarter, 1e-12 * abs(half))
    top = min(fence, high) if len(loss) >= 8 and fence > low else high
    room = 0.04 * (top - low) or 0.04 * abs(low) or 0.5
    return (low - room, top + room), int((loss > top + room).sum())
