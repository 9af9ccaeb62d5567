"""A trial as its user sees it: values in the sign of the objective, parameters in the shape of the space."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from descend.log.row import Row
from descend.study.plain import unplain

if TYPE_CHECKING:
    from descend.study.frame import Frame

__all__ = ["Record", "broken", "feasible", "noted", "record_of", "unplained"]


@dataclass(frozen=True, slots=True)
class Record:
    """One trial of a study.

    Fields:
        number: counted from 0 in the order of creation.
        state: "queued", "running", "done", "pruned" or "failed".
        params: the point of the space, or of a define-by-run study the parameters by name; of a trial that has not
            ended, what was proposed.
        values: one for each objective, in the user's sign; None where there are none.
        violations: one for each constraint, which holds where it is not positive.
        reports: step -> value, or tuple of values if there are several objectives; in the user's sign.
        attributes: what was noted.
        error: why it failed, with the traceback.
        began, ended: unix times; None while they are not known.
        owner: who evaluates it, or did.
        attempts: how many have begun it.
        origin: "asked", "queued" by the user, or "added" with its answer.
    """

    number: int
    state: str
    params: Any
    values: tuple[float, ...] | None
    violations: tuple[float, ...] = ()
    reports: Mapping[int, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    began: float | None = None
    ended: float | None = None
    owner: str | None = None
    attempts: int = 1
    origin: str = "asked"

    @property
    def value(self) -> float:
        """The value of the only objective, or of the first; NaN where there is none."""
        return self.values[0] if self.values else float("nan")

    @property
    def seconds(self) -> float | None:
        """How long it took."""
        return None if self.began is None or self.ended is None else self.ended - self.began

    @property
    def feasible(self) -> bool:
        """Whether it keeps all constraints."""
        return feasible(self.violations)


def feasible(violations: Iterable[float]) -> bool:
    """Whether all constraints hold."""
    return not any(violation > 0 for violation in violations)


def broken(violations: Iterable[float]) -> float:
    """By how much constraints are broken, all together."""
    return sum(max(0.0, violation) for violation in violations)


def unplained(held: Mapping[str, Any]) -> dict[str, Any]:
    """Values as their user has them, of those that a log holds."""
    return {name: unplain(value) for name, value in held.items()}


def noted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The same of attributes without the study's own, whose names have a dot in front."""
    return unplained({name: value for name, value in attributes.items() if not name.startswith(".")})


def record_of(row: Row, frame: "Frame | None", reports: Mapping[int, tuple[float, ...]]) -> Record:
    """A row of the log as a record; frame is of the study's space, None if it has none."""
    held = row.params or row.proposal or {}
    complete = frame is not None and (row.state != "queued" or not set(frame.leaves) - set(held))
    params = frame.point(held) if frame is not None and complete and held else unplained(held)
    shown = noted(row.attributes)
    curve = {step: values[0] if len(values) == 1 else values for step, values in sorted(reports.items())}
    return Record(
        row.number, row.state, params, row.values, row.violations, curve, shown, row.error, row.began, row.ended,
        row.owner, row.attempts, row.origin,
    )  # fmt: skip
