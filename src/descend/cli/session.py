"""A run from the command line: everything is checked first, then it is driven, and what it found is shown."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from descend.cli.objective import FileFunction
from descend.cli.screen import Screen
from descend.cli.show import INTERRUPTED, say, summary
from descend.errors import DescendError, InvalidValue, StateMismatch
from descend.key import Key
from descend.log import Log, Store
from descend.log.heart import Heart
from descend.log.owner import here
from descend.oracle.command import Command
from descend.oracle.reading import ExitCode, Json, LastLine, Reading, Regex
from descend.run.ask_tell import AskTell
from descend.run.drive import Limits, Numbered, drive
from descend.run.execute import Processes, Serial, Threads
from descend.run.named import from_text
from descend.run.recorded import LEASE, Recorded
from descend.space import Space

__all__ = ["Job", "Outside", "reading", "run"]


@dataclass(frozen=True)
class Outside:
    """What concerns programs only: where the loss is, variables, standard input, and folders to work in."""

    read: Reading = LastLine()
    environment: Mapping[str, str] = field(default_factory=dict)
    stdin: str | None = None
    directory: str | None = None
    keep: bool = False


def reading(json: str | None, regex: str | None, exit_code: bool) -> Reading:
    """Where the loss is, which one option at most says: in the last line if none does.

    Raises:
        InvalidValue: several say it.
    """
    found: list[Reading] = []
    if json is not None:
        found.append(Json(json))
    if regex is not None:
        found.append(Regex(regex))
    if exit_code:
        found.append(ExitCode())
    if len(found) > 1:
        raise InvalidValue("--json, --regex and --exit-code each say where the loss is; write one of them")
    return found[0] if found else LastLine()


@dataclass(frozen=True)
class Job:
    """What is to be done.

    Fields: objective, a command or ``file.py:function``; space; limits; method, as text; seed; outside, for programs;
    workers; time_limit of one evaluation in seconds; study, a path; maximize; quiet; chosen, whether
    nobody named the method.
    """

    objective: str
    space: Space
    limits: Limits
    method: str
    seed: int = 0
    outside: Outside = Outside()
    workers: int = 1
    time_limit: float | None = None
    study: str | None = None
    maximize: bool = False
    quiet: bool = False
    chosen: bool = False

    def header(self) -> dict[str, Any]:
        """By what a run is known in a study: all that its evaluations depend on."""
        outside = self.outside
        return {
            "objective": self.objective,
            "space": self.space.to_plain(),
            "method": self.method,
            "chosen": self.chosen,
            "seed": self.seed,
            "maximize": self.maximize,
            "read": repr(outside.read),
            "environment": dict(outside.environment),
            "stdin": outside.stdin,
        }


def run(job: Job) -> int:
    """Do it; the exit status: 0, or 1 if no evaluation succeeded, or 130 after Ctrl-C.

    Raises:
        DescendError: a sentence about what is wrong with the job. No study is left that was not there before.
    """
    f, executor = _objective(job)
    search = AskTell(from_text(job.method), job.space, key=Key(job.seed))
    if job.study is None:
        return _drive(job, f, executor, Recorded(search))
    with Store(job.study) as store:
        begun, log = _begin(job, store)
        if begun.method != job.method:
            search = AskTell(from_text(begun.method), job.space, key=Key(job.seed))
        recorded = Recorded(search, log)
        if recorded.replayed or recorded.unfinished:
            say(f"{recorded.replayed} evaluations are in {job.study} already, the run goes on from there")
        with _nothing_half_written(store, log, recorded), Heart(log, here(), LEASE):
            return _drive(job, f, executor, recorded)


def _begin(job: Job, store: Store) -> tuple[Job, Log]:
    """The job and the log of its run, which is known by its header and continued if it is there.

    A method that nobody named may have been chosen for another number of workers; the one of the run counts.
    """
    mine = json.loads(json.dumps(job.header()))
    names = store.names()
    for log in map(store.open, names):
        if log.header == mine or (job.chosen and log.header == {**mine, "method": log.header.get("method")}):
            return replace(job, method=log.header["method"]), log
    for name in (f"run {number}" for number in count(1)):
        if name not in names:
            with suppress(StateMismatch):  # another process has just begun another run by this name
                return job, store.open(name, mine)
    raise AssertionError("there are numbers enough")


def _objective(job: Job) -> tuple[Numbered, Serial | Threads | Processes]:
    """The objective, and where it is evaluated."""
    function = FileFunction.of(job.objective)
    if function is None:
        outside = job.outside
        command = Command(
            job.objective, job.space, outside.read, job.time_limit, outside.environment, outside.stdin,
            outside.directory, outside.keep,
        )  # fmt: skip
        return Numbered(command, seeded=False, negated=job.maximize), Threads(job.workers)
    if job.outside != Outside():
        raise InvalidValue(
            "where the output is, --env, --stdin and --directory are for programs; a function returns its loss"
        )
    here = job.workers == 1 and job.time_limit is None
    executor = Serial() if here else Processes(job.workers, job.time_limit)
    function.load()
    return Numbered(function, negated=job.maximize), executor


@contextmanager
def _nothing_half_written(store: Store, log: Log, search: Recorded) -> Iterator[None]:
    """If the objective turns out to be wrong before anything was learned, the study is as it was before."""
    try:
        yield
    except DescendError:
        if search.answered == 0:
            store.discard(log.name)
        raise


def _drive(job: Job, f: Numbered, executor: Serial | Threads | Processes, search: Recorded) -> int:
    began, interrupted = time.monotonic(), False
    try:
        with Screen(search, job.limits.evaluations, job.maximize, job.quiet):
            reason = drive(search, f, executor, job.limits)
    except KeyboardInterrupt:
        again = ", the same line again goes on" if job.study is not None else ""
        reason, interrupted = f"interrupted{again}", True
    finally:
        executor.close()
    summary(search, reason, job.maximize, time.monotonic() - began)
    if interrupted:
        return INTERRUPTED
    return 1 if search.answered and search.search.failures == search.search.evaluations else 0
