"""A run that is written down as it goes: every evaluation before and after it is made, and none is made twice.

A method is a function of its key and of the answers, so a run that was ended at any moment goes on by beginning again:
it asks the same questions in the same order, and those that the log can answer are not evaluated.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from descend.errors import EvaluationFailed, InvalidValue, StateMismatch
from descend.key import Key, as_key
from descend.log.log import Log
from descend.log.owner import here
from descend.log.row import FINISHED, Row
from descend.log.store import Store
from descend.oracle.function import Executor, Outcome
from descend.oracle.wrap import Wrapped
from descend.run.drive import Streaming
from descend.run.execute import Serial
from descend.run.outer import by_name
from descend.run.point import Start
from descend.run.recorded import take_over
from descend.run.worker import Objective
from descend.space.leaf import short

__all__ = ["Alone", "Place", "Remembering", "Written", "written"]

Place = str | Path | tuple[str | Path, str]
"""Where a run is written down: a file, or a file and the name that it has there."""

_NAME, _FINAL = "minimize", "final"
_ANOTHER = 'give this run a name of its own, study=("runs.db", "second")'
_LEASE = 3600.0
"""Seconds for which an evaluation is this process's own; nobody else takes part in such a run."""


class Remembering:
    """An executor that looks into a log before it evaluates.

    Args:
        inner: where evaluations run that are not in the log.
        log: of this run alone.
        start: what points look like, by which they are written down.
        last: the key of the questions that a run asks when it has ended.

    Attributes:
        replayed: how many answers came from the log.

    Raises:
        InvalidValue: another process goes on with this run.
    """

    def __init__(self, inner: Executor, log: Log, start: Start, last: Key) -> None:
        self.inner, self.replayed = inner, 0
        self._log, self._start, self._last = log, start, last
        take_over(log, _LEASE)
        rows, _ = log.sync()
        rows.sort(key=lambda row: row.number)
        # the questions at the end of a run, which a longer one asks elsewhere, are no part of the order
        self._ordinary = [row for row in rows if not row.attributes.get(_FINAL)]
        self._final = {_text(row.proposal): row for row in rows if row.attributes.get(_FINAL)}
        self._asked, self._rows = 0, len(rows)
        self._answers = sum(row.state in FINISHED for row in rows)

    def __repr__(self) -> str:
        return repr(self.inner)

    @property
    def workers(self) -> int:
        """How many evaluations run at once."""
        return self.inner.workers

    def values(self, f: Objective, xs: Tensor, key: Key) -> list[Outcome]:
        """As `Executor.values`.

        Raises:
            StateMismatch: the log is not of this run; the sentence names the first evaluation that differs.
        """
        outcomes: list[Outcome] = [0.0] * len(xs)
        missing: list[tuple[int, int]] = []  # places in the batch, with their numbers in the log
        for i, point in enumerate(self._plain(xs)):
            row = self._final.get(_text(point)) if key == self._last else self._next(point)
            if row is not None and row.state in FINISHED:
                outcomes[i] = _outcome(row)
                self.replayed += 1
            elif row is not None:  # begun, and never ended
                missing.append((i, row.number))
            else:
                missing.append((i, self._ask(point, key == self._last)))
        for j, outcome in self._evaluated(f, xs[[i for i, _ in missing]], key):
            i, number = missing[j]
            outcomes[i] = outcome
            self._tell(number, outcome)
        return outcomes

    def close(self) -> None:
        """Let go of what evaluates."""
        self.inner.close()

    def _next(self, point: Mapping[str, Any]) -> Row | None:
        """What the log has of the next evaluation in order, None if it ends here."""
        self._asked += 1
        if self._asked > len(self._ordinary):
            return None
        row = self._ordinary[self._asked - 1]
        if _text(row.proposal) != _text(point):
            raise StateMismatch(
                f"the study {self._log.name!r} is not of this run: evaluation {row.number} was made at "
                f"{short(row.proposal)}, and now {short(point)} is asked for; {_ANOTHER}"
            )
        return row

    def _ask(self, point: Mapping[str, Any], final: bool) -> int:
        """Note that a point is about to be evaluated; the number of the evaluation."""
        number = self._rows
        noted = {_FINAL: True} if final else None
        if not self._log.ask(number, self._answers, point, here(), _LEASE, noted):
            raise StateMismatch(
                f"another process is writing the study {self._log.name!r} too; wait for it to end, or {_ANOTHER}"
            )
        self._rows += 1
        return number

    def _tell(self, number: int, outcome: Outcome) -> None:
        if isinstance(outcome, Exception):
            self._log.tell(number, here(), "failed", None, error=f"{type(outcome).__name__}: {outcome}")
        else:
            self._log.tell(number, here(), "done", [outcome])
        self._answers += 1

    def _evaluated(self, f: Objective, xs: Tensor, key: Key) -> Iterator[tuple[int, Outcome]]:
        if isinstance(self.inner, Streaming):
            yield from self.inner.stream(f, xs, key)
        elif len(xs):
            yield from enumerate(self.inner.values(f, xs, key))

    def _plain(self, xs: Tensor) -> list[dict[str, Any]]:
        """Points as they are written down: numbers by the names of parameters; an array has the name x."""
        space = self._start.space
        points = map(self._start.shaped, xs) if space is None else space.decode(xs)
        return [by_name(point, "x") for point in points]


@dataclass(frozen=True, eq=False)
class Alone(Wrapped):
    """Asks about single points as about many, so that an executor hears of all."""

    def value(self, x: Tensor, key: Key) -> float:
        return float(self.base.values(x[None], key)[0])


@dataclass(frozen=True, eq=False)
class Written:
    """A run that is written down: its log, and its key, which the log knows. A context manager, which lets go of it.

    A run that ends with an error before anything was learned leaves nothing behind.
    """

    store: Store
    log: Log
    key: Key

    def executor(self, inner: Executor | None, start: Start) -> Remembering:
        """What evaluates with this log beside it."""
        return Remembering(Serial() if inner is None else inner, self.log, start, self.key.fold("final"))

    def __enter__(self) -> "Written":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            rows, _ = self.log.sync()
            theirs = any(row.state == "running" and row.owner != here() for row in rows)
            if not theirs and not any(row.state == "done" for row in rows):
                self.store.delete(self.log.name)
        self.store.close()


def written(place: Any, key: Key | int | None, header: Mapping[str, Any]) -> Written:
    """Open the log of a run.

    Args:
        place: a file, or a file and the name that the run has there.
        key: of the run; None goes on with that of the log, or begins with fresh entropy.
        header: all else that its evaluations depend on.

    Raises:
        InvalidValue: there can be no such log.
        StateMismatch: what the log was begun with is another run.
    """
    path, name = place if isinstance(place, tuple) and len(place) == 2 else (place, _NAME)
    if not isinstance(path, str | Path) or not isinstance(name, str):
        raise InvalidValue(f'study={place!r} is no file; write study="runs.db", or study=("runs.db", "a name")')
    store = Store(path)
    try:
        if key is None and name in store.names():
            key = int(store.open(name).header.get("key", 0))
        known = as_key(key)
        return Written(store, store.open(name, {"kind": "minimize", **header, "key": known.seed}), known)
    except BaseException:
        store.close()
        raise


def _outcome(row: Row) -> Outcome:
    return row.values[0] if row.values else EvaluationFailed(row.error or "it failed before")


def _text(point: Mapping[str, Any] | None) -> str:
    return json.dumps(point)
