"""What one process knows of a study's log: its rows by number, its answers in their order, its definitions and reports.

It is brought up to date by reading what changed since, so it costs what is new.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from descend.log import Log
from descend.log.row import FINISHED, Row
from descend.log.text import uncollected
from descend.study.definitions import Definitions
from descend.study.record import feasible
from descend.study.reports import Reports
from descend.study.rows import Rows

__all__ = ["DEFINITIONS", "Mirror", "Source"]

DEFINITIONS = ".definitions"
"""The attribute of a trial that says how many definitions it needs; names with a dot in front are the study's own."""

_NUMBER, _PLACE, _ATTRIBUTES = map(Row._fields.index, ("number", "place", "attributes"))  # read or not


class Source(Protocol):
    """The part of a log that is read."""

    def sync(self, since: int) -> tuple[list[Row], int]:
        """The rows that changed since a version, in the order of their changes, and the latest version."""
        ...

    def reports(self, since: int) -> tuple[Sequence[tuple[int, int, tuple[float, ...], float]], int]:
        """Likewise for reports: number, step, values, time."""
        ...

    def definitions(self) -> Sequence[tuple[str, str]]:
        """All definitions of parameters: name and JSON."""
        ...


class Mirror:
    """A copy of a log that is kept up to date.

    Args:
        log: which.
        signs: 1 for every objective that is minimized, -1 for one that is maximized.
        by_number: whether answers count in the order of their trials and not in that in which they came.

    Attributes:
        rows: by number.
        order: the numbers of the answers, by place.
        answers: the same in the order in which they count.
        open: the numbers of trials that wait or run, in order.
        version: of the last change that was read.
        definitions: those that were read.
        recorded: the most definitions that any trial is known to need.
    """

    def __init__(self, log: Source, signs: Sequence[float], by_number: bool = False) -> None:
        self._log, self.signs = log, tuple(signs)
        self.rows = Rows()
        self.order: list[int] = []
        self.answers: Sequence[int] = range(2**62) if by_number else self.order
        self.open: dict[int, None] = {}
        self.version = 0
        self.definitions = Definitions()
        self.recorded = 0
        self._needed = [0]  # how many definitions the first k answers need, by k
        self._reports = Reports(self.signs)
        self._reported = self._closed = 0

    def sync(self) -> None:
        """Read what is new."""
        if not self.version:  # a hundred thousand rows at once are no garbage, and looking for some among them is slow
            with uncollected():
                self._read()
        else:
            self._read()

    def _read(self) -> None:
        log = self._log
        changes: Callable[[int], tuple[list[Any], int]] = log.unread if isinstance(log, Log) else log.sync
        found, self.version = changes(self.version)
        row: Any  # a tuple or a row
        for row in found:
            number, place = row[_NUMBER], row[_PLACE]
            self.rows.put(number, row)
            if DEFINITIONS in (row[_ATTRIBUTES] or ""):
                self.recorded = max(self.recorded, self.rows[number].attributes.get(DEFINITIONS, 0))
            if place is None:
                self.open[number] = None
            else:
                self.open.pop(number, None)
                if place == len(self.order):
                    self.order.append(number)
                else:
                    if place > len(self.order):
                        self.order += [-1] * (place + 1 - len(self.order))
                    self.order[place] = number

    def needed(self, after: int) -> int:
        """How many definitions the first `after` answers need."""
        for number in self.answers[len(self._needed) - 1 : after]:
            count = self.rows[number].attributes.get(DEFINITIONS, 0)
            self._needed.append(max(self._needed[-1], count))
        if self._needed[after] > len(self.definitions):
            self.learn()
        return self._needed[after]

    def learn(self) -> None:
        """Read the definitions that are new."""
        self.definitions.extend(list(self._log.definitions())[len(self.definitions) :])

    def reports(self) -> Reports:
        """All reports so far, in the sense that less is better."""
        self.sync()
        self.curves()
        for number in self.order[self._closed :]:
            row = self.rows[number]
            values = None if row.values is None else self.losses(row.values)
            self._reports.close(number, row.state, values, feasible(row.violations))
        self._closed = len(self.order)
        return self._reports

    def curves(self) -> Reports:
        """The same for who does not care what became of the trials, which takes less."""
        found, self._reported = self._log.reports(self._reported)
        for number, step, values, _ in found:
            self._reports.report(number, step, self.losses(values))
        return self._reports

    def losses(self, values: Sequence[float]) -> tuple[float, ...]:
        """Values in the user's sign as what is minimized, and back: the only place where signs are changed."""
        return tuple(sign * value for sign, value in zip(self.signs, values, strict=True))

    def finished(self, number: int) -> bool:
        """Whether this trial has ended."""
        return self.rows.state(number) in FINISHED
