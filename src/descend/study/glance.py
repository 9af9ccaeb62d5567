"""A study at a glance: what its header and its database say of it, without its method, its space or its key.

That needs neither torch nor all of the trials' parameters, so a program that only looks is quick.
"""

import json
import math
from functools import cached_property
from typing import Any, NamedTuple

from descend.errors import InvalidValue
from descend.log.digest import Digest, answers, digest, row
from descend.log.log import Log
from descend.log.row import Worker
from descend.study.record import broken
from descend.study.shape import shaped
from descend.study.stated import DIRECTIONS, OWN, as_directions, is_study

__all__ = ["Best", "Glance"]


class Best(NamedTuple):
    """The best trial of an objective: its number, and its value in the user's sign."""

    number: int
    value: float


class Glance:
    """A study, or another kind of run.

    Args:
        log: where it is written down.

    Attributes:
        name: of the study.
        directions: "minimize" or "maximize", for every objective.
        method: the call that makes it, as the header has it; empty if that has none.

    Raises:
        InvalidValue: the log is damaged.

    >>> from descend.log import Row, Store
    >>> import tempfile
    >>> with Store(f"{tempfile.mkdtemp()}/tune.db") as store:
    ...     log = store.open("first", {"kind": "study", "method": "TPE()", "directions": ["maximize"]})
    ...     number = log.add(Row(params={"x": 1}, values=(0.5,))), log.add(Row(params={"x": 2}, values=(1.5,)))
    ...     seen = Glance(log)
    ...     seen.best, seen.params(1), seen.digest.counts
    ([Best(number=1, value=1.5)], {'x': 2}, {'done': 2})
    """

    def __init__(self, log: Log) -> None:
        header, self._log, self.name = log.header, log, log.name
        study = is_study(header)
        self.directions = as_directions(header.get("directions", "minimize") if study else "minimize")
        self.method = str(header.get("method", "")).removeprefix(OWN)
        self._space = header.get("space") if study else None

    @cached_property
    def digest(self) -> Digest:
        """How many trials there are, and when they were."""
        return digest(self._log)

    @cached_property
    def best(self) -> list[Best | None]:
        """For every objective the best of the trials that are done, of those that keep the constraints if there are
        any; of several the first. None where no value is finite."""
        try:
            done = answers(self._log)
            return [self._best_of(place, DIRECTIONS[way], done) for place, way in enumerate(self.directions)]
        except (TypeError, IndexError, OverflowError):
            raise InvalidValue(f"{self._log.where} is damaged: values of the study {self.name!r} are none") from None

    def _best_of(self, place: int, sign: float, done: list[Any]) -> Best | None:
        able = [
            (sign * values[place], number, violations)
            for number, values, violations in done
            if values is not None and math.isfinite(values[place])
        ]
        kept = [each for each in able if not each[2] or broken(each[2]) <= 0]
        if not able:
            return None
        loss, number, _ = min(kept or able)
        return Best(number, sign * loss)

    def params(self, number: int) -> Any:
        """The point of a trial."""
        found = row(self._log, number)
        return shaped(found.params or found.proposal or {}, None if self._space is None else json.loads(self._space))

    def error(self, number: int) -> str | None:
        """Why a trial failed."""
        return row(self._log, number).error

    def workers(self) -> list[Worker]:
        """Who is evaluating, and when it was last heard of."""
        return self._log.workers()
