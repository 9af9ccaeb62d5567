"""What can be seen of a study: its trials, the best of them, and all of them as a table."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from descend.errors import InvalidValue
from descend.key import Key
from descend.log import Log, Memory, Row, Worker
from descend.log.export import frame, to_csv, to_json, to_parquet
from descend.space import Leaf, Space
from descend.study.choosing import Recommended, best_of, front_of, recommended_of
from descend.study.foreign import leaves_of, spread
from descend.study.header import Settings
from descend.study.record import Record, noted, record_of, unplained
from descend.study.reports import Reports
from descend.study.rows import Rows
from descend.study.session import Session
from descend.study.table import Table, table_of

if TYPE_CHECKING:
    import pandas

__all__ = ["Looking"]


class Looking:
    """Base of `Study`: what needs no method, and changes nothing.

    Attributes:
        log: where trials are written down.
        settings: what the study depends on.
        session: at work in this process.
    """

    log: Log | Memory
    settings: Settings
    session: Session
    _table: Table | None

    @property
    def name(self) -> str:
        """Of the study."""
        return self.log.name

    @property
    def directions(self) -> tuple[str, ...]:
        """ "minimize" or "maximize", for every objective."""
        return self.settings.directions

    @property
    def space(self) -> Space | None:
        """What is searched; None where objectives define it."""
        return self.settings.space

    @property
    def method(self) -> Any:
        """What proposes points."""
        return self.settings.method

    @property
    def key(self) -> Key:
        """Of everything random."""
        return self.settings.key

    @property
    def parameters(self) -> dict[str, Leaf]:
        """All parameters by flat name, "opt.lr" being lr in the record opt."""
        if self.session.frame is not None:
            return dict(self.session.frame.leaves)
        if self.settings.foreign:
            return leaves_of(row.params for row in spread(self._rows()))
        self.session.mirror.learn()
        return dict(self.session.mirror.definitions.latest)

    @property
    def attributes(self) -> dict[str, Any]:
        """What was noted of the study, see `set`."""
        return noted(self.log.attributes())

    @property
    def trials(self) -> list[Record]:
        """All trials, in the order of their numbers."""
        reports = self._curves()
        return [self._record(row, reports) for row in self._rows()]

    def record(self, number: int) -> Record:
        """One trial.

        Raises:
            InvalidValue: there is none of this number.
        """
        rows = self._rows()
        if not 0 <= number < len(rows):
            raise InvalidValue(f"there is no trial {number!r}; the study has {len(rows)}")
        return self._record(rows[number], self._curves())

    @property
    def reports(self) -> Reports:
        """What trials have reported, less being better."""
        return self.session.mirror.reports()

    @property
    def best(self) -> Record:
        """The best trial that is done: one that keeps the constraints if there is one, and of the best the first.

        Raises:
            InvalidValue: there are several objectives, or no trial is done.
        """
        return self.record(best_of(self._rows(), self.settings))

    @property
    def front(self) -> list[Record]:
        """The trials that are done and that no other one dominates, in the order of their numbers."""
        reports, rows = self._curves(), self._rows()
        return [self._record(rows[number], reports) for number in front_of(rows, self.settings)]

    def recommended(self) -> Recommended:
        """The trial whose point is best when noise is taken into account: see `descend.study.choosing.Recommended`.

        Raises:
            InvalidValue: as of `best`.
        """
        self._rows()
        number, mean, low, high = recommended_of(self.session.mirror, self.settings, self.session.engine)
        return Recommended(self.record(number), mean, low, high)

    def table(self) -> Table:
        """All trials as columns of numbers."""
        version = self.version
        if self._table is None or self._table.version != version:
            rows = Rows(spread(self._rows())) if self.settings.foreign else self._rows().copy()
            self._table = table_of(rows, self.parameters, self.directions, version)
        return self._table

    @property
    def version(self) -> int:
        """A number that changes whenever a trial does."""
        self.session.mirror.sync()
        return self.session.mirror.version

    def workers(self) -> list[Worker]:
        """Who is evaluating, and when it was last heard of."""
        return self.log.workers()

    def export(self, path: str | Path) -> None:
        """Write all trials into a file, in the format that its name ends in: .csv, .json or .parquet.

        Raises:
            InvalidValue: it ends in something else.
            MissingExtra: pyarrow, which writes Parquet, is not installed.
        """
        write = {".csv": to_csv, ".json": to_json, ".parquet": to_parquet}.get(Path(path).suffix.lower())
        if write is None:
            raise InvalidValue(f'{str(path)!r} ends in none of .csv, .json and .parquet; write study.export("t.csv")')
        write(self._exported(), path)

    def frame(self) -> "pandas.DataFrame":
        """All trials as a pandas data frame, a row each, whose index is their number.

        Raises:
            MissingExtra: pandas is not installed.
        """
        return frame(self._exported())

    def _exported(self) -> list[Row]:
        """The trials with the values that their user has set, and not as the log spells them."""
        return [
            row._replace(params=unplained(row.params or row.proposal or {}), attributes=noted(row.attributes))
            for row in self._rows()
        ]

    @property
    def plot(self) -> Any:
        """Pictures: ``study.plot.history()``, see `descend.plot.study.Plots`."""
        return importlib.import_module("descend.plot.study").Plots(self)

    def _rows(self) -> Rows:
        self.session.mirror.sync()
        return self.session.mirror.rows

    def _curves(self) -> Reports:
        return self.session.mirror.curves()

    def _record(self, row: Row, reports: Reports) -> Record:
        curve = reports.curve(row.number)
        steps = {
            int(step): self.session.mirror.losses(values.tolist())
            for step, values in zip(curve.steps, curve.values, strict=True)
        }
        return record_of(row, self.session.frame, steps)
