"""The log of one study in a database: what was asked and what came back, written before it is acted upon.

Rows are added and completed. Every change has a number, so that whoever follows a log reads only what is new.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from descend.errors import StateMismatch
from descend.log import statements
from descend.log.lease import Held, Watch
from descend.log.row import Clock, Report, Row, Worker, workers_of
from descend.log.sentences import died, refusal, unknown
from descend.log.text import changed, decoded, encoded, numbers, readable, rows, told

if TYPE_CHECKING:
    from descend.log._sql import Database

__all__ = ["Log"]


class Log:
    """A study of a `Store`, which makes it. May be used by several threads; a forked process goes on with it.

    Attributes:
        name: of the study.
        header: all that its trials depend on, as it was begun.
        where: the file or the server, as sentences call it.
    """

    def __init__(self, database: "Database", study: int, name: str, header: Mapping[str, Any], clock: Clock) -> None:
        self.name, self.header = name, header
        self.where = database.shown
        self._database, self._study, self._clock = database, study, clock
        self._watch = Watch(clock)

    @property
    def id_(self) -> dict[str, int]:
        """By what statements know it."""
        return {"study": self._study}

    def __repr__(self) -> str:
        return f"Log({self.where!r}, {self.name!r})"

    def sync(self, since: int = 0) -> tuple[list[Row], int]:
        """The trials that have changed after version `since`, in the order of their changes, and the newest version."""
        found, version = self.unread(since)
        return rows(found), version

    def unread(self, since: int = 0) -> tuple[list[tuple[Any, ...]], int]:
        """The same with the fields of each `Row` as they are written down, for `descend.log.text.rows` to read."""
        found = self._read(statements.CHANGES, {"since": since})
        return found, found[-1][-1] if found else since

    @contextmanager
    def turn(self) -> Iterator[None]:
        """The exclusive right to ask: nobody else changes the study until it ends, so be quick.

        Example: ``with log.turn(): changes, version = log.sync(version); log.ask(...)``.
        """
        with self._database.exclusive(self._study, durable=True):
            yield

    def ask(
        self, number: int, after: int, proposal: Mapping[str, Any] | None, owner: str, lease_seconds: float,
        attributes: Mapping[str, Any] | None = None,
    ) -> bool:  # fmt: skip
        """Add a trial that `owner` begins now; False if `number` is not the next one, since somebody was quicker.

        Args:
            number: of the trial.
            after: how many answers were known when it was proposed.
            proposal: plain values by the names of the parameters, None if there is none.
            owner: who evaluates it.
            lease_seconds: for how long it is the owner's without `renew`.
            attributes: plain values.
        """
        values = {
            "number": number, "after": after, "proposal": encoded(proposal, "the proposal"),
            "attributes": encoded(attributes), **self._leased(owner, lease_seconds),
        }  # fmt: skip
        if self._write(statements.ASK, values):
            return True
        self._check_there()
        return False

    def ask_ahead(
        self, number: int, after: int, proposals: Sequence[str], owner: str, lease_seconds: float,
        attributes: Mapping[str, Any] | None = None,
    ) -> int | None:  # fmt: skip
        """Add the next trial, whichever of the numbers from `number` on it has, without looking first who was quicker.

        Args:
            number: of the trial that the first proposal is for.
            proposals: for it and for those after it, as `descend.log.text.encoded` writes them; at most
                `descend.log.statements.AHEAD`.
            after, owner, lease_seconds, attributes: as of `ask`.

        Returns:
            Its number; None if the next one is not among them, if trials from `number` on were not all asked for, or
            if one is queued.
        """
        texts = {f"p{i}": proposals[i] if i < len(proposals) else None for i in range(statements.AHEAD)}
        values = {
            "number": number, "count": len(proposals), "after": after, "attributes": encoded(attributes), **texts,
            **self._leased(owner, lease_seconds),
        }  # fmt: skip
        found = self._write(statements.ASK_AHEAD, values)
        return found[0][0] if found else None

    def claim(self, owner: str, lease_seconds: float, limit: int = 3) -> Row | None:
        """Begin the oldest trial that is queued or whose owner has died; None if there is none.

        A trial that `limit` owners have begun and left fails instead. Who is dead says `descend.log.lease`.
        """
        while True:
            waiting = [number for (number,) in self._read(statements.QUEUED, {}) if number is not None]
            left = [held for held in self._held() if held.owner != owner and self._watch.ended(held)]
            if left and (not waiting or left[0].number < waiting[0]):
                held = left[0]
                if held.attempts >= limit:
                    self._give_up(held)
                    continue
                taken = {"number": held.number, "state": "running", "attempts": held.attempts, "until": held.until}
            elif waiting:
                taken = {"number": waiting[0], "state": "queued", "attempts": 0, "until": -1.0}
            else:
                return None
            if found := self._write(statements.CLAIM, {**taken, **self._leased(owner, lease_seconds)}):
                return changed(found)

    def tell(
        self, number: int, owner: str, state: str, values: Sequence[float] | None, violations: Sequence[float] = (),
        params: Mapping[str, Any] | None = None, error: str | None = None, attributes: Mapping[str, Any] | None = None,
    ) -> Row:  # fmt: skip
        """Finish a trial: "done", "pruned" or "failed". In "power" mode it is on the disk when this returns.

        The answer is taken even if the lease has run out, unless somebody else has begun the trial meanwhile.

        Args:
            number, owner: as it was asked for or claimed.
            state: one of `descend.log.row.FINISHED`.
            values: one for each objective, or None.
            violations: one for each constraint.
            params: what was really used; None: as proposed.
            error: why it failed.
            attributes: are added to what it has.

        Raises:
            StateMismatch: it is finished, or somebody else's.
            StoreFailed: it could not be written, and may be told again.
        """
        answer = {
            "number": number, "owner": owner, "state": state, "answer": numbers(values),
            "violations": numbers(violations or None), "params": encoded(params, "params"), "error": readable(error),
            "attributes": encoded(attributes or None), "now": self._clock.wall(),
        }  # fmt: skip
        if not attributes:
            found = self._write(statements.TELL, answer, durable=True)
        else:
            with self._database.exclusive(self._study, durable=True):
                answer["attributes"] = encoded({**self._attributes_of(number), **attributes})
                found = self._write(statements.TELL, answer, durable=True)
        return changed(found) if found else self._refuse(number, owner)

    def release(self, number: int, owner: str) -> Row:
        """Give a running trial back: it is queued again, with its proposal, as if it had not been begun.

        Raises:
            StateMismatch: it is finished, or somebody else's.
        """
        found = self._write(statements.RELEASE, {"number": number, "owner": owner})
        return changed(found) if found else self._refuse(number, owner)

    def enqueue(self, params: Mapping[str, Any], attributes: Mapping[str, Any] | None = None) -> int:
        """Add a trial that whoever claims it next is to make, with these parameters fixed; its number."""
        values = {"proposal": encoded(params, "params"), "attributes": encoded(attributes)}
        return self._added(self._write(statements.ENQUEUE, values))

    def add(self, row: Row) -> int:
        """Add a trial with its answer, which somebody has made elsewhere; its number.

        What counts of the row: state, proposal, params, values, violations, error, attributes, began, ended.
        """
        values = {
            "state": row.state, "proposal": encoded(row.proposal, "the proposal"),
            "params": encoded(row.params, "params"), "answer": numbers(row.values),
            "violations": numbers(row.violations or None), "error": readable(row.error),
            "attributes": encoded(row.attributes or None), "began": row.began, "ended": row.ended,
        }  # fmt: skip
        return self._added(self._write(statements.ADD, values, durable=True))

    def renew(self, owner: str, lease_seconds: float) -> None:
        """Say that an owner is alive: all its trials are its own for so many seconds from now."""
        self._write(statements.RENEW, self._leased(owner, lease_seconds))

    def note(self, number: int, attributes: Mapping[str, Any]) -> None:
        """Add attributes to a trial, whatever its state."""
        with self._database.exclusive(self._study):
            noted = encoded({**self._attributes_of(number), **attributes})
            self._write(statements.NOTE, {"number": number, "attributes": noted})

    def attributes(self) -> dict[str, Any]:
        """Those of the study."""
        found = self._read("SELECT attributes FROM studies WHERE id = :study", {})
        return (decoded(found[0])[0] or {}) if found else {}

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Add attributes to the study."""
        with self._database.exclusive(self._study):
            text = encoded({**self.attributes(), **attributes})
            self._write("UPDATE studies SET attributes = :attributes WHERE id = :study", {"attributes": text})

    def report(self, number: int, step: int, values: Sequence[float]) -> None:
        """Note intermediate values of a trial; those of the same step are replaced."""
        made = {"number": number, "step": step, "answer": numbers(values), "now": self._clock.wall()}
        if not self._write(statements.REPORT, made):
            self._check_there()
            raise StateMismatch(unknown(number, self.name))

    def reports(self, since: int = 0) -> tuple[list[Report], int]:
        """The reports that were made after the report of that version, in their order, and the newest version."""
        found = self._read(statements.REPORTS, {"since": since})
        values = told([row[2] for row in found])
        made = [Report(row[0], row[1], value, row[3]) for row, value in zip(found, values, strict=True)]
        return made, found[-1][-1] if found else since

    def define(self, name: str, leaf: str) -> None:
        """Record a parameter's definition (JSON), if it is not what is known of that name."""
        self._write(statements.DEFINE, {"name": name, "leaf": leaf})

    def definitions(self) -> list[tuple[str, str]]:
        """Names and definitions of parameters in the order in which they were made; the last of a name counts."""
        return [(name, leaf) for name, leaf in self._read(statements.DEFINITIONS, {})]

    def workers(self) -> list[Worker]:
        """Who is evaluating, and when it was last heard of."""
        return workers_of(self._read(statements.WORKERS, {}))

    def _read(self, sql: str, values: Mapping[str, Any]) -> list[Any]:
        return self._database.run(sql, {"study": self._study, **values})

    def _write(self, sql: str, values: Mapping[str, Any], durable: bool = False) -> list[Any]:
        return self._database.write(self._study, sql, {"study": self._study, **values}, durable)

    def _leased(self, owner: str, seconds: float) -> dict[str, Any]:
        now = self._clock.wall()
        return {"owner": owner, "now": now, "lease": now + seconds}

    def _held(self) -> list[Held]:
        held = [Held(*row) for row in self._read(statements.HELD, {})]
        self._watch.keep({one.number for one in held})
        return held

    def _give_up(self, held: Held) -> None:
        values = {"number": held.number, "attempts": held.attempts, "until": held.until, "error": died(held.attempts)}
        self._write(statements.GIVE_UP, {**values, "now": self._clock.wall()}, durable=True)

    def _attributes_of(self, number: int) -> dict[str, Any]:
        found = self._read(
            "SELECT attributes FROM trials WHERE study = :study AND number = :number", {"number": number}
        )
        if not found:
            self._check_there()
            raise StateMismatch(unknown(number, self.name))
        return decoded(found[0])[0] or {}

    def _added(self, found: list[Any]) -> int:
        return found[0][0]

    def _check_there(self) -> None:
        if not self._read("SELECT id FROM studies WHERE id = :study", {}):
            raise StateMismatch(f"{self.where}: the study {self.name!r} was deleted meanwhile")

    def _refuse(self, number: int, owner: str) -> Row:
        """Say why a trial is not waiting for what was to be done."""
        self._check_there()
        found = self._read(
            "SELECT state, owner FROM trials WHERE study = :study AND number = :number", {"number": number}
        )
        if not found:
            raise StateMismatch(unknown(number, self.name))
        raise StateMismatch(refusal(number, owner, *found[0]))
