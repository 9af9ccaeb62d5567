"""A log at a glance: what its database can say of all trials, for those who do not need every row."""

from typing import NamedTuple

from descend.log.log import Log
from descend.log.row import STATES, Row
from descend.log.statements import TRIAL
from descend.log.text import rows, told, uncollected

__all__ = ["Digest", "answers", "digest", "row"]

_COUNTS = """
SELECT state, count(*), max(number), min(began), max(began), min(ended), max(ended)
FROM trials WHERE study = :study GROUP BY state
"""
_ANSWERS = "SELECT number, answer, violations FROM trials WHERE study = :study AND state = 'done' ORDER BY number"
_ROW = f"SELECT {TRIAL} FROM trials WHERE study = :study AND number = :number"


class Digest(NamedTuple):
    """The trials of a log.

    Fields: counts, how many there are in each state, in the order of `STATES`; failed, the number of the last one that
    failed; first and last, the unix times between which all have begun and ended; ended, when the last one has ended;
    None where there is none.
    """

    counts: dict[str, int]
    failed: int | None
    first: float | None
    last: float | None
    ended: float | None


def digest(log: Log) -> Digest:
    """What is in a log.

    >>> from descend.log.store import Store
    >>> import tempfile
    >>> with Store(f"{tempfile.mkdtemp()}/tune.db") as store:
    ...     log = store.open("first", {})
    ...     log.add(Row(values=(1.5,)))
    ...     digest(log).counts, answers(log), row(log, 0).state
    0
    ({'done': 1}, [(0, (1.5,), ())], 'done')
    """
    found = {state: rest for state, *rest in log._read(_COUNTS, {})}
    times = [time for _, _, *times in found.values() for time in times if time is not None]
    ended = [rest[-1] for rest in found.values() if rest[-1] is not None]
    counts = {state: found[state][0] for state in STATES if state in found}
    failed = found["failed"][1] if "failed" in found else None
    return Digest(counts, failed, min(times, default=None), max(times, default=None), max(ended, default=None))


def answers(log: Log) -> list[tuple[int, tuple[float, ...] | None, tuple[float, ...]]]:
    """Number, values and violations of the trials that are done, in the order of their numbers."""
    with uncollected():
        found = log._read(_ANSWERS, {})
        values, violations = told([values for _, values, _ in found]), told([broken for _, _, broken in found])
        return [(each[0], own, broken or ()) for each, own, broken in zip(found, values, violations, strict=True)]


def row(log: Log, number: int) -> Row:
    """One trial that is there."""
    return rows(log._read(_ROW, {"number": number}))[0]
