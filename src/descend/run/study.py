"""The log of runs in one SQLite file: what was asked and what came back, written before it is acted upon.

Rows are added and completed, never changed. A run is known by its header: method, key, space, objective. Whoever begins
a run that is in the file already continues it.
"""

import json
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from descend.errors import InvalidValue, StateMismatch

__all__ = ["Entry", "Run", "Study"]

_APPLICATION = 0x64736364
"""By which SQLite files of descend are recognized ("dscd")."""

_TABLES = """
CREATE TABLE runs (run INTEGER PRIMARY KEY, header TEXT NOT NULL UNIQUE, began REAL NOT NULL);
CREATE TABLE evaluations (
    run INTEGER NOT NULL REFERENCES runs, number INTEGER NOT NULL, point TEXT NOT NULL, after INTEGER NOT NULL,
    started REAL NOT NULL, state TEXT NOT NULL, place INTEGER, loss REAL, error TEXT, seconds REAL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Entry:
    """One evaluation in the log.

    Fields: number, counted from 0 in the order of asking; point, as JSON; after, how many answers had been told when it
    was asked for; state, "asked", "ok" or "failed"; place, its own among the answers; loss, None where it failed;
    error, why it did; seconds, how long it took.
    """

    number: int
    point: str
    after: int
    state: str
    place: int | None
    loss: float | None
    error: str | None
    seconds: float | None


class Study:
    """A file of runs, open in one process at a time.

    Args:
        path: of the file, which is made if it is not there.

    Raises:
        InvalidValue: there can be no such file, it is something else, or another process is using it.

    >>> import tempfile
    >>> with Study(f"{tempfile.mkdtemp()}/runs.db") as study:
    ...     run = study.run({"method": "CMAES()"})
    ...     run.ask(0, '{"a": 0.5}', after=0)
    ...     run.answer(0, place=0, loss=1.5, error=None, seconds=0.1)
    ...     study.run({"method": "CMAES()"}).entries[0].loss
    1.5
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._is_new = not self.path.exists()
        # a file of its own for the lock, so that others may read the log meanwhile; it is let go whatever ends this
        # process, and it stays, since a lock on a file that somebody removes is no lock
        self._lock = self.path.with_name(self.path.name + "-lock")
        lock_is_new = not self._lock.exists()
        self._guard = _opened(self._lock, timeout=0.0)
        try:
            self._take()
            self._log = _opened(self.path, timeout=60.0)
            self._prepare()
        except BaseException:
            if lock_is_new:
                self._lock.unlink(missing_ok=True)
            self._guard.close()
            raise

    def __enter__(self) -> "Study":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, header: Mapping[str, Any]) -> "Run":
        """The run with this header, which is continued; a new one if there is none."""
        text = json.dumps(header, sort_keys=True)
        found = self._log.execute("SELECT run FROM runs WHERE header = ?", (text,)).fetchone()
        if found is None:
            with self._log:
                made = self._log.execute("INSERT INTO runs (header, began) VALUES (?, ?)", (text, time.time()))
            return Run(self._log, int(made.lastrowid or 0))
        return Run(self._log, found[0])

    @property
    def headers(self) -> list[dict[str, Any]]:
        """Those of all runs, in the order in which these were begun."""
        return [json.loads(text) for (text,) in self._log.execute("SELECT header FROM runs ORDER BY run")]

    def discard(self, run: "Run") -> None:
        """Remove a run; and the file, if it was made for nothing else."""
        with self._log:
            self._log.execute("DELETE FROM evaluations WHERE run = ?", (run.number,))
            self._log.execute("DELETE FROM runs WHERE run = ?", (run.number,))
        if self._is_new and self._log.execute("SELECT count(*) FROM runs").fetchone() == (0,):
            self._log.close()
            self.path.unlink(missing_ok=True)
            self._lock.unlink(missing_ok=True)
            self._guard.close()

    def close(self) -> None:
        """Let go of the file."""
        self._log.close()
        self._guard.close()

    def _take(self) -> None:
        try:
            self._guard.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise InvalidValue(f"{self.path} cannot be opened: {error}; does its folder exist?") from None
            raise InvalidValue(
                f"{self.path} is being used by another process; wait for it to end, or name another file"
            ) from None

    def _prepare(self) -> None:
        try:
            (application,) = self._log.execute("PRAGMA application_id").fetchone()
            (tables,) = self._log.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlite3.DatabaseError as error:
            self._log.close()
            raise InvalidValue(f"{self.path} is not a study: {error}; name another file") from None
        if tables and application != _APPLICATION:
            self._log.close()
            raise InvalidValue(f"{self.path} is an SQLite file of another program; name another file")
        self._log.execute("PRAGMA journal_mode = WAL")
        # a process that is killed loses nothing; if the machine loses its power, the last few evaluations may be
        # missing, and are made again
        self._log.execute("PRAGMA synchronous = NORMAL")
        if not tables:
            self._log.executescript(f"BEGIN; PRAGMA application_id = {_APPLICATION}; {_TABLES} COMMIT;")


def _opened(path: Path, timeout: float) -> sqlite3.Connection:
    try:
        return sqlite3.connect(path, timeout=timeout)
    except sqlite3.Error as error:
        raise InvalidValue(f"{path} cannot be opened: {error}; does its folder exist?") from None


class Run:
    """One run of a study, to which evaluations are added."""

    def __init__(self, log: sqlite3.Connection, number: int) -> None:
        self._log, self.number = log, number

    @property
    def entries(self) -> list[Entry]:
        """All evaluations in the order in which they were asked for."""
        columns = "number, point, after, state, place, loss, error, seconds"
        rows = self._log.execute(f"SELECT {columns} FROM evaluations WHERE run = ? ORDER BY number", (self.number,))
        return [Entry(*row) for row in rows]

    def ask(self, number: int, point: str, after: int) -> None:
        """Note an evaluation that is about to be made."""
        with self._log:
            self._log.execute(
                "INSERT INTO evaluations (run, number, point, after, started, state) VALUES (?, ?, ?, ?, ?, 'asked')",
                (self.number, number, point, after, time.time()),
            )

    def answer(self, number: int, place: int, loss: float | None, error: str | None, seconds: float) -> None:
        """Note what came of it; no loss says that it failed.

        Raises:
            StateMismatch: it was never asked for, or answered already.
        """
        state = "failed" if loss is None else "ok"
        with self._log:
            done = self._log.execute(
                "UPDATE evaluations SET state = ?, place = ?, loss = ?, error = ?, seconds = ? "
                "WHERE run = ? AND number = ? AND state = 'asked'",
                (state, place, loss, error, seconds, self.number, number),
            )
        if done.rowcount != 1:
            raise StateMismatch(f"evaluation {number} is not waiting for an answer in this study")
