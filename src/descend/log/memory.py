"""A log that lives in memory, for studies without a file: the same methods as `Log`, and nothing is written down."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from descend.errors import StateMismatch
from descend.log.lease import Held, Watch
from descend.log.row import Clock, Report, Row, Worker, workers_of
from descend.log.sentences import died, refusal, unknown

__all__ = ["Memory"]


class Memory:
    """A study that is gone with its process. May be used by several threads.

    Attributes:
        name: of the study.
        header: all that its trials depend on.
        where: "memory".

    >>> log = Memory()
    >>> log.ask(0, after=0, proposal={"lr": 0.1}, owner="me", lease_seconds=30.0)
    True
    >>> log.tell(0, "me", "done", [1.5]).place
    0
    """

    def __init__(self, name: str = "study", header: Mapping[str, Any] | None = None, clock: Clock = Clock()) -> None:
        self.name, self.header = name, header or {}
        self.where = "memory"
        self._clock, self._watch = clock, Watch(clock)
        self._guard = threading.RLock()
        self._rows: list[Row] = []
        self._changed: list[int] = []  # version - 1 -> number
        self._open: dict[int, float] = {}  # queued or running -> when the owner was last heard of
        self._answers = 0
        self._attributes: dict[str, Any] = {}
        self._reports: dict[tuple[int, int], tuple[int, Report]] = {}  # the version with it
        self._reported: list[tuple[int, int]] = []  # version - 1 -> number, step
        self._definitions: list[tuple[str, str]] = []

    def __repr__(self) -> str:
        return f"Memory({self.name!r})"

    def sync(self, since: int = 0) -> tuple[list[Row], int]:
        """The trials that have changed after version `since`, in the order of their changes, and the newest version."""
        with self._guard:
            newest = len(self._changed)
            latest = ((version, self._rows[self._changed[version - 1]]) for version in range(since + 1, newest + 1))
            return [row for version, row in latest if row.version == version], max(newest, since)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The exclusive right to ask."""
        with self._guard:
            yield

    def ask(
        self, number: int, after: int, proposal: Mapping[str, Any] | None, owner: str, lease_seconds: float,
        attributes: Mapping[str, Any] | None = None,
    ) -> bool:  # fmt: skip
        """Add a trial that `owner` begins now; False if `number` is not the next one."""
        with self._guard:
            if number != len(self._rows):
                return False
            now = self._clock.wall()
            self._changed.append(number)
            self._open[number] = now
            self._rows.append(
                Row(
                    number, "running", "asked", None if proposal is None else dict(proposal), {}, after, None, None, (),
                    None, dict(attributes) if attributes else {}, owner, now + lease_seconds, 1, now, None,
                    len(self._changed),
                )
            )  # fmt: skip
            return True

    def claim(self, owner: str, lease_seconds: float, limit: int = 3) -> Row | None:
        """Begin the oldest trial that is queued or whose owner has died; None if there is none."""
        with self._guard:
            if not self._open:
                return None
            left = {held.number: held for held in self._held() if held.owner != owner and self._watch.ended(held)}
            for number in sorted(self._open):
                row = self._rows[number]
                if number in left and row.attempts >= limit:
                    self._finish(row._replace(state="failed", params=row.proposal or {}, error=died(row.attempts)))
                elif number in left or row.state == "queued":
                    now = self._clock.wall()
                    self._open[number] = now
                    return self._change(
                        row._replace(
                            state="running", owner=owner, lease=now + lease_seconds, began=now,
                            attempts=row.attempts + 1,
                        )
                    )  # fmt: skip
            return None

    def tell(
        self, number: int, owner: str, state: str, values: Sequence[float] | None, violations: Sequence[float] = (),
        params: Mapping[str, Any] | None = None, error: str | None = None, attributes: Mapping[str, Any] | None = None,
    ) -> Row:  # fmt: skip
        """Finish a trial: "done", "pruned" or "failed"; as `Log.tell`.

        Raises:
            StateMismatch: it is finished, or somebody else's.
        """
        with self._guard:
            row = self._mine(number, owner)
            return self._finish(
                Row(
                    number, state, row.origin, row.proposal, (row.proposal or {}) if params is None else dict(params),
                    row.after, None, None if values is None else tuple(map(float, values)),
                    tuple(map(float, violations)), error,
                    {**row.attributes, **attributes} if attributes else row.attributes, owner, None, row.attempts,
                    row.began,
                )
            )  # fmt: skip

    def release(self, number: int, owner: str) -> Row:
        """Give a running trial back: it is queued again, with its proposal, as if it had not been begun.

        Raises:
            StateMismatch: it is finished, or somebody else's.
        """
        with self._guard:
            row = self._mine(number, owner)
            return self._change(
                row._replace(state="queued", owner=None, lease=None, began=None, attempts=row.attempts - 1)
            )

    def enqueue(self, params: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> int:
        """Add a trial that whoever claims it next is to make, with these parameters fixed; its number."""
        with self._guard:
            number = len(self._rows)
            self._open[number] = 0.0
            self._rows.append(Row())
            noted = dict(attributes or {})
            self._change(Row(number, "queued", "queued", dict(params), after=self._answers, attributes=noted))
            return number

    def add(self, row: Row) -> int:
        """Add a trial with its answer, which somebody has made elsewhere; its number."""
        with self._guard:
            number = len(self._rows)
            self._rows.append(Row())
            self._answers += 1
            self._change(
                row._replace(
                    number=number, origin="added", after=self._answers - 1, place=self._answers - 1, owner=None,
                    lease=None, attempts=0,
                )
            )  # fmt: skip
            return number

    def renew(self, owner: str, lease_seconds: float) -> None:
        """Say that an owner is alive: all its trials are its own for so many seconds from now."""
        with self._guard:
            now = self._clock.wall()
            for number in self._open:
                if self._rows[number].owner == owner:
                    self._rows[number] = self._rows[number]._replace(lease=now + lease_seconds)
                    self._open[number] = now

    def note(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Add attributes to a trial, whatever its state."""
        with self._guard:
            row = self._row(number)
            self._change(row._replace(attributes={**row.attributes, **attributes}))

    def attributes(self) -> dict[str, Any]:
        """Those of the study."""
        with self._guard:
            return dict(self._attributes)

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes to the study."""
        with self._guard:
            self._attributes.update(attributes)

    def report(self, number: int, step: int, values: Sequence[float]) -> None:
        """Note intermediate values of a trial; those of the same step are replaced."""
        with self._guard:
            self._row(number)
            self._reported.append((number, step))
            made = Report(number, step, tuple(map(float, values)), self._clock.wall())
            self._reports[number, step] = (len(self._reported), made)

    def reports(self, since: int = 0) -> tuple[list[Report], int]:
        """The reports that were made after the report of that version, in their order, and the newest version."""
        with self._guard:
            newest = len(self._reported)
            latest = ((version, self._reports[self._reported[version - 1]]) for version in range(since + 1, newest + 1))
            return [report for version, (mine, report) in latest if mine == version], max(newest, since)

    def define(self, name: str, leaf: str) -> None:
        """Record a parameter's definition (JSON), if it is not what is known of that name."""
        with self._guard:
            if dict(self._definitions).get(name) != leaf:
                self._definitions.append((name, leaf))

    def definitions(self) -> list[tuple[str, str]]:
        """Names and definitions of parameters in the order in which they were made; the last of a name counts."""
        with self._guard:
            return list(self._definitions)

    def workers(self) -> list[Worker]:
        """Who is evaluating, and when it was last heard of."""
        with self._guard:
            held = sorted(self._held(), key=lambda one: (one.owner, one.number))
        return workers_of((one.owner, one.seen, one.number) for one in held)

    def _held(self) -> list[Held]:
        running = (self._rows[number] for number in self._open)
        held = [
            Held(r.number, r.owner or "", r.lease or 0.0, self._open[r.number], r.attempts) for r in running if r.owner
        ]
        self._watch.keep({one.number for one in held})
        return held

    def _change(self, row: Row) -> Row:
        self._changed.append(row.number)
        row = self._rows[row.number] = row._replace(version=len(self._changed))
        return row

    def _finish(self, row: Row) -> Row:
        self._open.pop(row.number, None)
        self._answers += 1
        return self._change(row._replace(place=self._answers - 1, lease=None, ended=self._clock.wall()))

    def _row(self, number: int) -> Row:
        if not 0 <= number < len(self._rows):
            raise StateMismatch(unknown(number, self.name))
        return self._rows[number]

    def _mine(self, number: int, owner: str) -> Row:
        """The trial, if it is running and the owner's."""
        row = self._row(number)
        if row.state != "running" or row.owner != owner:
            raise StateMismatch(refusal(number, owner, row.state, row.owner))
        return row
