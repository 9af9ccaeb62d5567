"""The one door to databases: SQLAlchemy gives the driver, its parameters and its errors; the statements are ours.

Every statement is compiled once for the database and handed to the driver as it is. One connection per process: it is
guarded by a lock among threads, and laid down before a fork and taken up after it, on both sides, since neither SQLite
nor PostgreSQL can share one. Who finds the database locked waits, a little longer each time, and nothing is lost.
"""

import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

import sqlalchemy
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from descend.errors import DescendError, InvalidValue, StateMismatch, StoreFailed
from descend.log.row import Durability

__all__ = ["Database", "Engine", "new_engine"]

PATIENCE = 60.0
"""Seconds for which a locked database is waited for: longer than anybody holds it, and shorter than a user waits."""

_SHORTEST, _LONGEST = 0.0001, 0.005  # seconds between two looks at a locked database

_OPEN: WeakSet["Database"] = WeakSet()
_NOTHING: Mapping[str, Any] = {}


def new_engine(url: str, creator: Callable[[], Any] | None = None) -> Engine:
    """An engine whose connections are not kept for others and commit by themselves.

    Raises:
        ModuleNotFoundError: the driver is not installed.
        sqlalchemy.exc.ArgumentError: the URL is none.
    """
    if creator is None:
        return sqlalchemy.create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    return sqlalchemy.create_engine(
        url, poolclass=NullPool, isolation_level="AUTOCOMMIT", creator=creator, paramstyle="named"
    )


class Database(ABC):
    """A connection to one database, made when it is needed and again after a failure.

    Args:
        shown: what sentences call it.
        durability: "power" has answers on the disk before anybody hears of them, "process" leaves that to the system.
        readonly: nothing is ever written.
    """

    serial: str
    clustered: str
    is_new: bool

    def __init__(self, shown: str, durability: Durability, readonly: bool) -> None:
        self.shown, self.readonly, self.patience = shown, readonly, PATIENCE
        self._durability: Durability = durability
        self._guard = threading.RLock()
        self._engine: Engine | None = None
        self._connection: Connection | None = None
        self._texts: dict[str, str] = {}
        self._errors: type[Exception] = SQLAlchemyError  # those of the driver, once it is known
        self._inside = self._closed = False
        _OPEN.add(self)

    @abstractmethod
    def _new_engine(self) -> Engine:
        """The engine, whose connections commit by themselves."""

    @abstractmethod
    def _settle(self) -> None:
        """What every new connection is told first."""

    @abstractmethod
    def _make_durable(self, durable: bool) -> None:
        """Whether the next commit is to be on the disk before it returns."""

    @abstractmethod
    def _committed(self) -> None:
        """What is due after a transaction."""

    @abstractmethod
    def _is_busy(self, error: BaseException) -> bool:
        """Whether it is worth while to wait."""

    @abstractmethod
    def _failure(self, error: BaseException) -> DescendError:
        """The error that says what has happened and what to do."""

    @abstractmethod
    def version(self) -> int:
        """Of the tables, 0 if there are none.

        Raises:
            InvalidValue: there is something else than a log.
        """

    @abstractmethod
    def recognized(self) -> None:
        """It is a log, or is to be one, and may be written."""

    @abstractmethod
    def make_room(self) -> None:
        """What tables need first, within a transaction."""

    @abstractmethod
    def set_version(self, version: int) -> None:
        """Note it, within a transaction."""

    @abstractmethod
    def remove(self) -> None:
        """Close it, and remove it if it is a file."""

    @abstractmethod
    def write(self, study: int, sql: str, values: Mapping[str, Any], durable: bool = False) -> list[Any]:
        """Run one statement that changes a study, as a transaction of its own unless within one."""

    @abstractmethod
    def _stand_still(self) -> None:
        """Begin a transaction in which everything is read as it is now."""

    @abstractmethod
    def _alone(self, study: int | None) -> None:
        """Begin a transaction in which nobody else changes a study; None: anything."""

    @contextmanager
    def exclusive(self, study: int | None = None, durable: bool = False) -> Iterator[None]:
        """A transaction in which nobody else changes a study (None: anything); within one it is a part of that one."""
        with self._guard:
            self._refuse_to_write()
            if self._inside:
                yield
                return
            self._make_durable(durable)
            self._alone(study)
            with self._transaction():
                yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """A transaction that reads everything at one moment; within one it is a part of that one."""
        with self._guard:
            if self._inside:
                yield
                return
            self._stand_still()
            with self._transaction():
                yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._inside = True
        try:
            yield
            self.run("COMMIT")
            self._committed()
        except BaseException:
            self._undo()
            raise
        finally:
            self._inside = False

    def _refuse_to_write(self) -> None:
        if self.readonly:
            raise InvalidValue(f"{self.shown} was opened with readonly=True and cannot be written; open it without")

    def run(self, sql: str, values: Mapping[str, Any] = _NOTHING) -> list[Any]:
        """Run one statement and return its rows.

        Raises:
            StoreFailed: it could not be run; nothing has changed, and it may be run again.
            StateMismatch: it belongs to a study that is there no more.
        """
        with self._guard:
            wait, until = _SHORTEST, time.monotonic() + self.patience
            while True:
                try:
                    return self._once(sql, values)
                except (self._errors, SQLAlchemyError, OSError) as error:
                    cause = (error.orig if isinstance(error, DBAPIError) else None) or error
                    if type(cause).__name__ == "IntegrityError":  # so it is called by every driver
                        raise StateMismatch(
                            f"{self.shown}: the study was deleted meanwhile, or is damaged ({cause})"
                        ) from None
                    if not self._is_busy(cause) or time.monotonic() > until:
                        self._drop_if_lost(error)
                        raise self._failure(cause) from None
                time.sleep(wait)
                wait = min(2 * wait, _LONGEST)

    def _once(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        connection = self._connection or self._connect()
        text = self._texts.get(sql)
        if text is None:
            text = self._texts[sql] = str(sqlalchemy.text(sql).compile(dialect=connection.dialect))
        # straight to the driver: a result of SQLAlchemy costs twice what the statement does
        cursor = connection.connection.cursor()
        try:
            cursor.execute(text, values)
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()

    def _connect(self) -> Connection:
        if self._closed:
            raise StoreFailed(f"{self.shown} is closed; open it again")
        if self._engine is None:
            self._engine = self._new_engine()
        self._errors = self._engine.dialect.loaded_dbapi.Error
        self._connection = self._engine.connect()
        self._settle()
        return self._connection

    def _undo(self) -> None:
        with suppress(Exception):  # it is undone already, or the connection is lost and with it the transaction
            self._once("ROLLBACK", _NOTHING)

    def _drop_if_lost(self, error: Any) -> None:
        connection = self._connection
        if connection is not None and connection.dialect.is_disconnect(error, connection.connection, None):
            connection.invalidate()
            self._lay_down()

    def _lay_down(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                connection.close()

    def close(self) -> None:
        """Let go of it."""
        with self._guard:
            self._lay_down()
            self._closed = True


_held: list[Database] = []


def _before_fork() -> None:
    for database in list(_OPEN):
        if database._guard.acquire(timeout=10):
            _held.append(database)
            if not database._inside:
                database._lay_down()


def _after_fork() -> None:
    while _held:
        _held.pop()._guard.release()


if os.name == "posix":  # elsewhere there are no forks
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
