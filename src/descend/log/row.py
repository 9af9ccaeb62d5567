"""What a log holds of a trial, a worker and a clock: plain values, which any method, space or face may read."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, NamedTuple, get_args

from descend.errors import InvalidValue

__all__ = ["FINISHED", "STATES", "Clock", "Durability", "Report", "Row", "Worker", "check_durability", "workers_of"]

STATES = ("queued", "running", "done", "pruned", "failed")
"""In the order in which a trial goes through them."""

FINISHED = STATES[2:]
"""Those in which nothing but the attributes changes any more."""


Durability = Literal["process", "power"]


class Row(NamedTuple):
    """A trial as the log has it: one evaluation of the objective.

    Fields: number, counted from 0 in the order of creation; state, one of `STATES`; origin, "asked", "queued" by a
    user, or "added" with its answer; proposal, what the method proposed by the name of the parameter, or for a queued
    one what the user fixed; params, what the objective really used, {} until known; after, how many answers were known
    to whoever asked; place, its own rank among the answers, without gaps; values, one for each objective; violations;
    error, as text; attributes; owner, who evaluates it or did; lease, the unix time until which it is the owner's;
    attempts, how many have begun it; began, ended, unix times; version, the number of the change that made it so.
    A named tuple, since a hundred thousand of them are to be made in no time.
    """

    number: int = -1
    state: str = "done"
    origin: str = "added"
    proposal: dict[str, Any] | None = None
    params: dict[str, Any] = {}  # noqa: RUF012 - nobody writes into a row
    after: int = 0
    place: int | None = None
    values: tuple[float, ...] | None = None
    violations: tuple[float, ...] = ()
    error: str | None = None
    attributes: dict[str, Any] = {}  # noqa: RUF012
    owner: str | None = None
    lease: float | None = None
    attempts: int = 0
    began: float | None = None
    ended: float | None = None
    version: int = 0


class Report(NamedTuple):
    """An intermediate value: the trial's number, the step, a value for each objective, and when (unix time)."""

    number: int
    step: int
    values: tuple[float, ...]
    at: float


class Worker(NamedTuple):
    """Who is evaluating: owner, when it was last heard of (unix time), and the numbers of its trials."""

    owner: str
    seen: float
    running: tuple[int, ...]


def check_durability(durability: Any) -> None:
    """Refuse what is no `Durability`.

    Raises:
        InvalidValue: a sentence with what to write.
    """
    if durability not in get_args(Durability):
        raise InvalidValue(f'durability is {durability!r}; write "process" or "power"')


def workers_of(running: Iterable[tuple[str, float, int]]) -> list[Worker]:
    """The workers of trials that are running: owner, seen and number of each, in the order of owners and numbers."""
    groups = [(owner, list(group)) for owner, group in groupby(running, key=lambda trial: trial[0])]
    return [Worker(owner, max(t[1] for t in g), tuple(t[2] for t in g)) for owner, g in groups]


@dataclass(frozen=True)
class Clock:
    """The two clocks of a log: `wall` is compared among processes and may be set, `steady` only goes on."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = time.monotonic
