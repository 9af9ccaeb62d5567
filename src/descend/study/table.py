"""All trials of a study as columns of numbers: what pictures, statistics and lists are made of."""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from descend.log.row import STATES, Row
from descend.space import Float, Int, Leaf
from descend.study.plain import unplain
from descend.study.quick import options_of
from descend.study.record import broken
from descend.study.rows import Rows

__all__ = ["STATES", "Column", "Table", "table_of"]


@dataclass(frozen=True, eq=False, slots=True)
class Column:
    """A parameter in all trials.

    Fields: numbers (n,) float64, NaN where it is not there; for choices codes, the places of their labels; labels, of
    choices, else None; log, whether it lives on a logarithmic scale.
    """

    numbers: np.ndarray
    labels: tuple[str, ...] | None
    log: bool


@dataclass(frozen=True, eq=False, slots=True)
class Table:
    """The n trials of a study with m objectives.

    Fields:
        directions: "minimize" or "maximize", m times.
        numbers (n,) int64: of the trials, in order.
        states (n,) int8: places in `STATES`.
        values (n, m) float64: in the user's sign, NaN where there are none.
        violation (n,) float64: the sum of the violations that are positive, 0 where all constraints hold.
        began, ended (n,) float64: unix times, NaN where they are not known.
        owners: who has evaluated; owner (n,) int32: places in it, -1 is nobody.
        columns: the parameters by name.
        version: changes whenever anything does.
    """

    directions: tuple[str, ...]
    numbers: np.ndarray
    states: np.ndarray
    values: np.ndarray
    violation: np.ndarray
    began: np.ndarray
    ended: np.ndarray
    owners: tuple[str, ...]
    owner: np.ndarray
    columns: Mapping[str, Column]
    version: int

    def __len__(self) -> int:
        return len(self.numbers)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters."""
        return tuple(self.columns)

    @property
    def done(self) -> np.ndarray:
        """(n,) bool: the trials that were evaluated to their end."""
        return self.states == STATES.index("done")


class _Columns(Mapping[str, Column]):
    """The columns of parameters, each made when somebody wants it: many a question is about values alone."""

    def __init__(self, rows: Rows, leaves: Mapping[str, Leaf]) -> None:
        self._rows, self._leaves = rows, dict(leaves)
        self._params: list[Mapping[str, Any]] | None = None
        self._made: dict[str, Column] = {}

    def __getitem__(self, name: str) -> Column:
        if name not in self._made:
            leaf = self._leaves[name]
            if self._params is None:
                self._params = [row.params or row.proposal or {} for row in self._rows]
            self._made[name] = _column(name, self._params, leaf)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)


def table_of(rows: Sequence[Row], leaves: Mapping[str, Leaf], directions: tuple[str, ...], version: int) -> Table:
    """The table of rows in the order of their numbers, which nobody changes; leaves are the parameters by flat name.

    >>> row = Row(number=0, params={"x": 0.5}, values=(2.0,))
    >>> table_of([row], {"x": Float(0, 1)}, ("minimize",), 1).columns["x"].numbers
    array([0.5])
    """
    m = len(directions)
    nothing = (math.nan,) * m
    states = {state: place for place, state in enumerate(STATES)}
    rows = rows if isinstance(rows, Rows) else Rows(rows)
    owned = rows.column("owner")
    known = tuple(dict.fromkeys(owner for owner in owned if owner is not None))
    owners: dict[str | None, int] = {None: -1, **{owner: place for place, owner in enumerate(known)}}
    violated = rows.column("violations")
    return Table(
        directions,
        np.array(rows.column("number"), dtype=np.int64),
        np.array([states[state] for state in rows.column("state")], dtype=np.int8),
        np.array([values or nothing for values in rows.column("values")], dtype=np.float64).reshape(len(rows), m),
        np.array([broken(parts or ()) for parts in violated], dtype=np.float64),
        np.array(rows.column("began"), dtype=np.float64),
        np.array(rows.column("ended"), dtype=np.float64),
        known,
        np.array([owners[owner] for owner in owned], dtype=np.int32),
        _Columns(rows, leaves),
        version,
    )


def _column(name: str, params: Sequence[Mapping[str, Any]], leaf: Leaf) -> Column:
    if isinstance(leaf, Float | Int):
        return Column(np.array([each.get(name) for each in params], dtype=np.float64), None, leaf.log)
    options = options_of(leaf)
    shown = [_label(option) for option in options]
    if len({*shown}) < len(shown):  # the text "1" beside the number
        shown = [repr(option) for option in options]
    labels = {label: code for code, label in enumerate(shown)}
    codes: dict[Any, float] = {_ABSENT: math.nan}
    codes |= {(type(o), o): float(code) for code, o in enumerate(options) if isinstance(o, Hashable)}
    numbers = np.empty(len(params))
    for place, each in enumerate(params):
        value = each.get(name, _ABSENT)
        key = value if value is _ABSENT else (type(value), value)
        try:
            numbers[place] = codes[key]
        except (KeyError, TypeError):  # a value that is no scalar
            numbers[place] = labels.setdefault(_label(unplain(value)), len(labels))
    return Column(numbers, tuple(labels), False)


_ABSENT = object()


def _label(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)
