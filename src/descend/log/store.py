"""A file or a database that holds the logs of studies by their names."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from descend.errors import InvalidValue, StateMismatch
from descend.log import statements
from descend.log.log import Log
from descend.log.migrate import prepare
from descend.log.row import Clock, Durability, check_durability
from descend.log.text import encoded

if TYPE_CHECKING:  # with it comes SQLAlchemy, which is needed when a store is opened
    from descend.log._sql import Database

__all__ = ["Store"]


class Store:
    """Studies in one place, for any number of processes at once.

    Args:
        path: of an SQLite file, which is made if it is not there, or the URL of a PostgreSQL database,
            ``postgresql://user:password@host/database`` (which needs the extra ``postgres``).
        durability: "process", the default, survives whatever happens to processes; if the machine loses its power the
            last moments may be missing, the file is whole. "power" has every answer on the disk before `Log.tell`
            returns.
        readonly: nothing is written, not even by accident; works where the file cannot be written.
        clock: another one, for tests.

    Raises:
        InvalidValue: it is no log, damaged, of a newer version of descend, or cannot be opened; it is left as it is.
        MissingExtra: for PostgreSQL.

    >>> import tempfile
    >>> with Store(f"{tempfile.mkdtemp()}/tune.db") as store:
    ...     log = store.open("first", {"method": "TPE()"})
    ...     log.ask(0, after=0, proposal={"lr": 0.1}, owner="me", lease_seconds=30.0)
    ...     log.tell(0, "me", "done", [1.5]).params
    ...     [row.values for row in store.open("first").sync()[0]]
    True
    {'lr': 0.1}
    [(1.5,)]
    """

    def __init__(
        self, path: str | Path, *, durability: Durability = "process", readonly: bool = False, clock: Clock = Clock()
    ) -> None:
        check_durability(durability)
        self._database, self._clock = _database(path, durability, readonly), clock
        try:
            prepare(self._database)
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self._database.shown!r})"

    def names(self) -> list[str]:
        """Of the studies, in the order in which they were begun."""
        return [name for (name,) in self._database.run("SELECT name FROM studies ORDER BY id")]

    def open(self, name: str, header: Mapping[str, Any] | None = None) -> Log:
        """The log of a study.

        Args:
            name: of the study.
            header: all that its trials depend on, as plain values; the study is begun if it is not there. None: it
                must be there.

        Raises:
            InvalidValue: it is not there.
            StateMismatch: it was begun with another header.
        """
        _check_name(name)
        text = encoded(header, "the header", sort=True)
        found = self._find(name)
        if found is None and text is not None:
            with self._database.exclusive():
                found = self._find(name) or self._begin(name, text)
        if found is None:
            raise InvalidValue(f"{self._database.shown} has no study {name!r}; {_listed(self.names())}")
        study, known = found
        begun = json.loads(known)
        if text is not None and text != known:
            raise StateMismatch(_difference(name, begun, json.loads(text)))
        return Log(self._database, study, name, begun, self._clock)

    def delete(self, name: str) -> None:
        """Remove a study and all its trials.

        Raises:
            InvalidValue: it is not there.
        """
        with self._database.exclusive():
            log = self.open(name)
            for statement in statements.FORGET:
                self._database.run(statement, log.id_)

    def copy(self, name: str, other: "Store", new_name: str | None = None) -> Log:
        """Copy a study into another store, or into this one by another name; its log there.

        Everything is as it is here at one moment, numbers and times included. Trials that are running here are
        running there too, and may be taken over there once their leases are over.

        Raises:
            InvalidValue: it is not there, or the name is taken.
        """
        new_name = name if new_name is None else new_name
        with other._database.exclusive(), self._database.snapshot():
            source = self.open(name)
            if other._find(new_name) is not None:
                raise InvalidValue(f"{other._database.shown} has a study {new_name!r} already; write another new_name")
            target = other.open(new_name, source.header)
            target.set_attributes(source.attributes())
            for table, columns in statements.COPIED.items():
                found = self._database.run(f"SELECT {columns} FROM {table} WHERE study = :study", source.id_)
                names = columns.split(", ")
                into = f"INSERT INTO {table} (study, {columns}) VALUES (:study, :{', :'.join(names)})"
                for row in found:
                    other._database.run(into, {**target.id_, **dict(zip(names, row, strict=True))})
        return target

    def discard(self, name: str) -> None:
        """Remove a study; and the file, if it was made for nothing else."""
        self.delete(name)
        if self._database.is_new and not self.names():
            self._database.remove()

    def close(self) -> None:
        """Let go of it."""
        self._database.close()

    def _find(self, name: str) -> tuple[int, str] | None:
        found = self._database.run("SELECT id, header FROM studies WHERE name = :name", {"name": name})
        return found[0] if found else None

    def _begin(self, name: str, header: str) -> tuple[int, str]:
        values = {"name": name, "header": header, "now": time.time()}
        sql = "INSERT INTO studies (name, header, began) VALUES (:name, :header, :now) RETURNING id, header"
        return self._database.run(sql, values)[0]


def _database(path: str | Path, durability: Durability, readonly: bool) -> "Database":
    from descend.log._postgres import Postgres
    from descend.log._sqlite import Sqlite

    scheme, found, rest = str(path).partition("://")
    if not found:
        return Sqlite(path, durability, readonly)
    if scheme.partition("+")[0] in ("postgresql", "postgres"):
        return Postgres(str(path), durability, readonly)
    if scheme == "sqlite":
        return Sqlite(rest.removeprefix("/"), durability, readonly)
    raise InvalidValue(f"{scheme}:// is no place for studies; write the path of a file, or postgresql://host/database")


def _check_name(name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise InvalidValue(f'the name of a study is {name!r}; write letters that can be read, such as "first"')


def _listed(names: list[str]) -> str:
    return f"write one of {', '.join(map(repr, names))}" if names else "it is empty"


def _difference(name: str, begun: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    field = next(key for key in (*begun, *wanted) if begun.get(key, _ABSENT) != wanted.get(key, _ABSENT))
    here, there = (str(side.get(field, _ABSENT)) for side in (begun, wanted))
    return (
        f"the study {name!r} was begun with another {field}: {here}, and now it is {there}; give the study "
        "another name, or go on with the first"
    )


_ABSENT = "nothing"
