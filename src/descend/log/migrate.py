"""A log that is new or older is brought to the present version, in one transaction."""

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from descend.errors import InvalidValue
from descend.log.schema import FROM_RUNS, TRIALS, VERSION

if TYPE_CHECKING:
    from descend.log._sql import Database

__all__ = ["prepare"]


def prepare(database: "Database") -> None:
    """See that the tables are there and of the present version.

    Raises:
        InvalidValue: it is something else than a log, of a newer version, or must be changed but may only be read.
    """
    version = database.version()
    if version > VERSION:
        raise InvalidValue(
            f"{database.shown} was made by a newer descend (version {version} of the log, this one knows {VERSION}); "
            "update descend"
        )
    if not database.readonly:
        database.recognized()
    if version == VERSION:
        return
    if database.readonly:
        raise InvalidValue(
            f"{database.shown} " + ("is empty" if version == 0 else "was made by an older descend and is to be changed")
            + "; open it once without readonly=True"
        )  # fmt: skip
    with database.exclusive():
        database.make_room()
        version = database.version()  # somebody else may have been quicker
        if version < VERSION:
            _STEPS[version](database)
            database.set_version(VERSION)


def _make(database: "Database") -> None:
    _script(database, TRIALS)


def _from_runs(database: "Database") -> None:
    """Version 1: runs, known by their headers, and evaluations of one loss."""
    _script(database, TRIALS)
    _script(database, FROM_RUNS)
    for study, number, loss in database.run("SELECT run, number, loss FROM evaluations WHERE loss IS NOT NULL"):
        database.run(
            "UPDATE trials SET answer = :answer WHERE study = :study AND number = :number",
            {"study": study, "number": number, "answer": json.dumps([loss])},
        )
    _script(database, "DROP TABLE evaluations; DROP TABLE runs")


_STEPS: dict[int, Callable[["Database"], None]] = {0: _make, 1: _from_runs}


def _script(database: "Database", text: str) -> None:
    text = re.sub(r"--[^\n]*", "", text).replace("{serial}", database.serial)
    for statement in text.replace("{clustered}", database.clustered).split(";"):
        if statement.strip():
            database.run(statement)
