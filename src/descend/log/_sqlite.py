"""Logs in a file: SQLite with a write-ahead log, in which readers and a writer do not wait for each other.

Nothing of the file is opened but by SQLite: a process that closes any handle of its own to a file loses the locks that
SQLite holds on it.
"""

import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from descend.errors import DescendError, InvalidValue, StoreFailed
from descend.log._sql import Database, Engine, new_engine
from descend.log.row import Durability
from descend.log.schema import APPLICATION

__all__ = ["Sqlite"]


_wait_for_disk = getattr(os, "fdatasync", os.fsync)  # not everywhere there is the one that leaves times out

_SMALLEST = 512
"""Bytes of a file of SQLite; what is smaller SQLite takes for empty and overwrites."""


# in one statement: between two, somebody else may make the tables
_MARKS = """
SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master)
FROM pragma_application_id, pragma_user_version
"""


class Sqlite(Database):
    """A file, which is made if it is not there."""

    serial = "INTEGER PRIMARY KEY AUTOINCREMENT"
    clustered = "WITHOUT ROWID"

    def __init__(self, path: str | Path, durability: Durability, readonly: bool) -> None:
        super().__init__(str(path), durability, readonly)
        self.path = Path(path).absolute()
        self.is_new = not self.path.exists()
        self._due = False  # whether an answer of this transaction is to be on the disk
        if self.path.is_dir():
            raise InvalidValue(f"{self.shown} is a folder; write the path of a file in it")
        size = 0 if self.is_new else self.path.stat().st_size
        if 0 < size < _SMALLEST and not self._beside("-journal").exists():
            raise InvalidValue(f"{self.shown} is not a study: it has only {size} bytes; name another file")
        self._mode = self._way_to_read() if readonly or self._journal() else "mode=rwc"

    def _beside(self, end: str) -> Path:
        """A file that SQLite has beside this one."""
        return self.path.with_name(self.path.name + end)

    def _journal(self) -> bool:
        """Whether there is something in the write-ahead log: somebody is writing, or was killed."""
        journal = self._beside("-wal")
        return journal.exists() and journal.stat().st_size > 0

    def _way_to_read(self) -> str:
        """Without a trace, if there is nothing to be made whole; else as one who cannot write."""
        if self._journal() or not self.path.exists():
            return "mode=ro"
        if not os.access(self.path.parent, os.W_OK):
            return "immutable=1"  # no place for the files by which readers and writers find each other
        return "mode=rw" if os.access(self.path, os.W_OK) else "mode=ro"

    def _new_engine(self) -> Engine:
        def connect() -> sqlite3.Connection:
            uri = f"{self.path.as_uri()}?{self._mode}"
            return sqlite3.connect(uri, uri=True, timeout=0.0, isolation_level=None, check_same_thread=False)

        return new_engine("sqlite://", connect)

    def _settle(self) -> None:
        self.run("PRAGMA foreign_keys = ON")
        if self.readonly:
            self.run("PRAGMA query_only = ON")
        else:
            # the file survives a power cut, the last moments may not; what is to last is waited for afterwards
            self.run("PRAGMA synchronous = NORMAL")

    def _make_durable(self, durable: bool) -> None:
        """Nothing, see `_flush`."""

    def write(self, study: int, sql: str, values: Mapping[str, Any], durable: bool = False) -> list[Any]:
        """One statement is alone by itself."""
        self._refuse_to_write()
        durable = durable and self._durability == "power"
        with self._guard:
            found = self.run(sql, values)
            if self._inside:
                self._due |= durable
                return found
        if durable:
            self._flush()
        return found

    def _committed(self) -> None:
        if self._due:
            self._due = False
            self._flush()

    def _flush(self) -> None:
        """Wait until what was committed is on the disk.

        SQLite would wait (``synchronous = FULL``) with the file locked, and all others with it. A commit is whole once
        the write-ahead log is on the disk, whoever has it written; before the log is begun anew SQLite does so itself.
        On this file of the three SQLite holds no locks, so it may be opened beside it.
        """
        try:
            log = os.open(self._beside("-wal"), os.O_RDWR)
        except FileNotFoundError:  # the file system has no shared memory for it: each commit was waited for
            return
        except OSError as error:
            raise self._failure(error) from None
        try:
            _wait_for_disk(log)
        except OSError as error:
            raise self._failure(error) from None
        finally:
            os.close(log)

    def _stand_still(self) -> None:
        self._due = False
        self.run("BEGIN")

    def _alone(self, study: int | None) -> None:
        self._due = False
        self.run("BEGIN IMMEDIATE")

    def version(self) -> int:
        """Of the tables, 0 if there are none.

        Raises:
            InvalidValue: the file is something else than a log.
        """
        ((application, version, tables),) = self.run(_MARKS)
        if application != APPLICATION and (tables or application or version):
            raise InvalidValue(f"{self.shown} is an SQLite file of another program; name another file")
        self._check_size()
        return 0 if not tables else max(version, 1)  # the first version did not say so

    def _check_size(self) -> None:
        """SQLite itself misses a last page that is there in part."""
        ((pages,),) = self.run("PRAGMA page_count")
        ((page,),) = self.run("PRAGMA page_size")
        if self.path.stat().st_size < pages * page and not self._journal():
            raise InvalidValue(f"{self.shown} is damaged or cut short: its last page is not whole; restore a copy")

    def set_version(self, version: int) -> None:
        """Note it, within a transaction."""
        self.run(f"PRAGMA application_id = {APPLICATION}")
        self.run(f"PRAGMA user_version = {version}")

    def recognized(self) -> None:
        """Open it for writing if it was only looked at so far, and set the kind of journal, which it remembers."""
        if self._mode != "mode=rwc":
            self._lay_down()
            self._mode = "mode=rwc"
        self.run("PRAGMA journal_mode = WAL")

    def make_room(self) -> None:
        """Nothing is needed."""

    def remove(self) -> None:
        """Close and unlink the file."""
        self.close()
        for name in ("", "-wal", "-shm"):
            self._beside(name).unlink(missing_ok=True)

    def _is_busy(self, error: BaseException) -> bool:
        return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    def _failure(self, error: BaseException) -> DescendError:
        match _code(error):
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return StoreFailed(
                    f"{self.shown} was locked by another process for {self.patience:g} seconds; try again, or see who "
                    "holds it"
                )
            case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
                return StoreFailed(
                    f"{self.shown} cannot be written or read: {error}; make room on the disk and try again, nothing "
                    "that was acknowledged is lost"
                )
            case sqlite3.SQLITE_CORRUPT:
                return InvalidValue(
                    f"{self.shown} is damaged or cut short: {error}; restore a copy, or see "
                    "what `sqlite3 FILE .recover` finds"
                )
            case sqlite3.SQLITE_NOTADB:
                return InvalidValue(f"{self.shown} is not a study: {error}; name another file")
            case sqlite3.SQLITE_READONLY:
                return InvalidValue(
                    f"{self.shown} cannot be written: {error}; open it with readonly=True to look at it"
                )
            case sqlite3.SQLITE_CANTOPEN:
                if self.path.parent.is_dir() and not self.path.exists():
                    return InvalidValue(f"there is no file {self.shown}; see how it is written")
                return InvalidValue(f"{self.shown} cannot be opened: {error}; does its folder exist?")
        return StoreFailed(f"{self.shown}: {error}")


def _code(error: BaseException) -> int:
    return error.sqlite_errorcode & 0xFF if isinstance(error, sqlite3.Error) and error.sqlite_errorcode else 0
