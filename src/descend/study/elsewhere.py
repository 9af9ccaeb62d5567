"""Work in other processes, each with a connection of its own to the study's file.

A worker that dies leaves its trial in the log, where the next one finds it: whose process has ended is known at once.
Every trial carries the permit on which it is made. So whoever gets the same permit again knows what became of it.
"""

import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from descend.errors import EvaluationFailed, StateMismatch
from descend.key import Key
from descend.log.row import FINISHED, Row
from descend.study.evaluate import Outcome
from descend.study.mirror import Mirror
from descend.study.work import Catch, Work, finish

if TYPE_CHECKING:
    from descend.study.study import Study

__all__ = ["Elsewhere"]

_PERMIT = ".permit"
"""The attribute of a trial that says on which permit it is made."""

_RECENT = 100
"""Answers among which a trial is looked for that has just ended."""

_LOOK = 0.05
"""Seconds between two looks at how much memory a worker has."""


class Elsewhere:
    """A function of a permit, as `Work`, that is shipped to other processes.

    Args:
        study: in a file.
        objective, catch, memory_limit: as of `Study.run`.
        run: a text that no other run has.
    """

    def __init__(self, study: "Study", objective: Any, catch: Catch, memory_limit: float | None, run: str) -> None:
        self._study: Study | None = study
        self._again, self._objective, self._catch = study.again(), objective, catch
        self._memory_limit, self._run = memory_limit, run
        self._work: Work | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_study": None, "_work": None}

    def __call__(self, permit: int, key: Key) -> float:
        """Make a trial; its number."""
        if self._work is None:
            self._study = self._again()
            self._work = Work(self._study.session, self._objective, self._catch, seeded=True)
            if self._memory_limit is not None:
                self._watch(self._memory_limit)
        session, tag = self._work.session, f"{self._run}-{permit}"
        session.mirror.sync()
        left = self._made_on(permit, session.mirror)
        session.tags = {_PERMIT: tag}
        trial = None
        if left is not None:  # the worker before has ended in the middle of it
            trial = None if left.state in FINISHED else session.claim()
            session.mirror.sync()
            if trial is None and session.mirror.finished(left.number):
                return float(left.number)
        return self._work.made(trial or self._work.taken())

    def failed(self, permit: int, error: Exception) -> None:
        """Here, where the permits come from: a worker did not come to its end.

        Raises:
            Exception: the error, unless it is about the evaluation, which has failed then.
        """
        if not isinstance(error, EvaluationFailed):
            raise error
        assert self._study is not None
        session = self._study.session
        session.mirror.sync()
        row = self._made_on(permit, session.mirror)
        if row is not None and row.state == "running" and row.owner is not None:
            try:
                session.log.tell(row.number, row.owner, "failed", None, error=str(error))
            except StateMismatch:
                return  # its answer was on its way

    def _made_on(self, permit: int, mirror: Mirror) -> Row | None:
        """The trial that was made on a permit. One that has ended is looked for among the last ones only: whoever began
        it has died since then."""
        tag = f"{self._run}-{permit}"
        numbers = (*mirror.open, *mirror.order[-_RECENT:])
        return next((mirror.rows[n] for n in numbers if mirror.rows[n].attributes.get(_PERMIT) == tag), None)

    def _watch(self, limit: float) -> None:
        """Have a thread end this process when it needs more memory, and have the trial fail that needed it."""
        work = self._work
        assert work is not None

        def look() -> None:
            while not waited.wait(_LOOK):
                if _memory() > limit:
                    for trial in list(work.session.trials.values()):
                        why = f"the evaluation needed more than {limit:,.0f} bytes of memory and was ended"
                        finish(work.session, trial, Outcome("failed", None, why))
                    os.kill(os.getpid(), signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)

        waited = threading.Event()
        threading.Thread(target=look, name="descend-memory", daemon=True).start()


def _memory() -> int:
    """Bytes of memory that this process has; where the system does not say, the most that it ever had."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
