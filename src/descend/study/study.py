"""A study: a named log of trials, who proposes them, and what is learned from them.

Everything it does is a function of what stands in its log. So it may be ended at any time, opened again, and worked on
by any number of processes at once.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Literal, Self

from descend.errors import InvalidValue, StateMismatch
from descend.key import Key
from descend.log import Log, Memory, Row, Store
from descend.log.row import check_durability
from descend.study.definitions import as_name
from descend.study.evaluate import as_outcome
from descend.study.header import LEFT, Given, Left
from descend.study.looking import Looking
from descend.study.moving import moved
from descend.study.opening import opened, pruner_of
from descend.study.plain import plain
from descend.study.pruners.base import Pruner
from descend.study.running import Callback, Running
from descend.study.search import Exhausted
from descend.study.session import Session
from descend.study.table import Table
from descend.study.transfer import add_trials, queue_best
from descend.study.trial import Trial
from descend.study.work import Catch, finish

__all__ = ["Study"]


class Study(Looking):
    """Trials of an objective, in memory or in a file, and the method that proposes them.

    Args:
        path: of an SQLite file, or the URL of a PostgreSQL database; None keeps it in memory.
        name: of the study in the file; default "study", or the only one that there is.
        space: what is searched, a `Space` or what `as_space` makes one of. None: objectives define it as they run.
        method: what proposes points: any method that asks for values, such as ``TPE()``. Default `Automatic`.
        key: randomness, a `Key` or an integer; default 0. None draws fresh entropy, which is written down.
        directions: "minimize", "maximize", or a tuple with one of these for every objective.
        constraints: how many violations each trial has, see `Trial.constraint`; default 0.
        pruner: which trials are given up early; default none.
        batch: so many trials are proposed on the same answers, those of the batches before. Then the trials are the
            same however many workers there are. Default: each is proposed on all answers that there are.
        repeats: whether a point may be evaluated again: "allow" (default), "avoid", or "average", which takes the mean
            of all values of a point for its value.
        durability: "process" (default) survives whatever happens to processes; "power" has every answer on the disk.
        lease: seconds without a sign of life after which a trial of another machine is anybody's; default 30. Of
            processes on the same machine it is known at once that they have ended.
        readonly: nothing is written.

    What a study was begun with stands in its file. Arguments that are left out are read from there, others must agree.

    Raises:
        CompositionError: the method cannot be asked for points, or not with so many objectives.
        InvalidValue: an argument that cannot mean anything; no such study in a file that has others, unless something
            of a new one is said; or a file that is none of descend's.
        StateMismatch: the study was begun with something else.

    >>> study = Study()
    >>> reason = study.run(lambda trial: (trial.float("x", -4, 4) - 1) ** 2, trials=30)
    >>> len(study.trials), study.best.value < 0.5
    (30, True)
    """

    def __init__(
        self,
        path: str | Path | None = None,
        name: str | None = None,
        *,
        space: Any = LEFT,
        method: Any = LEFT,
        key: Key | int | Left | None = LEFT,
        directions: str | Sequence[str] | Left = LEFT,
        constraints: int | Left = LEFT,
        pruner: Pruner | None = None,
        batch: int | Left | None = LEFT,
        repeats: Literal["allow", "avoid", "average"] | Left = LEFT,
        durability: Literal["process", "power"] = "process",
        lease: float = 30.0,
        readonly: bool = False,
    ) -> None:
        if isinstance(lease, bool) or not isinstance(lease, int | float) or not 0 < lease < 1e9:
            raise InvalidValue(f"a lease is a number of seconds > 0, got lease={lease!r}; write lease=30")
        if path is not None and (not isinstance(path, str | Path) or not str(path)):
            raise InvalidValue(f'path={path!r} is no file; write "tune.db"')
        if pruner is not None and not callable(pruner):
            raise InvalidValue(f"pruner={pruner!r} gives no trial up; write pruner=MedianPruner()")
        check_durability(durability)
        given = Given(space, method, key, directions, constraints, batch, repeats)
        self.path, self._place, self._readonly = path, path, readonly
        self._durability: Literal["process", "power"] = durability
        self._lease = float(lease)
        self._store = None if path is None else Store(path, durability=durability, readonly=readonly)
        try:
            log, self.settings = opened(self._store, path, name, given, said=pruner is not None)
            self._begin(log, pruner_of(log, pruner, readonly))
        except BaseException:
            if self._store is not None:
                self._store.close()
            raise

    def _begin(self, log: Log | Memory, pruner: Pruner | None) -> None:
        self.log, self.session = log, Session(log, self.settings, pruner, self._lease)
        self.stopping = False
        self._table: Table | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        self.session.mirror.sync()
        return f"Study({self.name!r}): {len(self.session.mirror.rows)} trials, {self.settings.text}"

    def close(self) -> None:
        """Let go of the file. Trials that were asked for and not told are given back, for others to take."""
        self.session.close()
        if self._store is not None:
            self._store.close()

    def set(self, name: str, value: Any) -> None:
        """Note something of the study: text, numbers, True, False, None, or lists and dicts of these."""
        self.log.set_attributes({name: plain(value)})

    def run(
        self,
        objective: Any,
        trials: int | None = None,
        seconds: float | None = None,
        executor: Any = None,
        until: Any = None,
        callbacks: Sequence[Callback] = (),
        catch: Catch = True,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        progress: bool | None = None,
    ) -> str:
        """Evaluate an objective at one trial after the other; why it stopped, a sentence.

        Args:
            objective: takes a `Trial` and returns a number, or a tuple of numbers if there are several objectives.
            trials: so many in this run, queued ones included; default no limit.
            seconds: no more are begun after so many; default no limit.
            executor: where they run: ``Processes(4)``, ``Threads(4)``; default here, one after the other.
            until: a stopping rule such as ``Target(0.1) | NoImprovement(50)``, in the user's sign.
            callbacks: called with the study and the `Record` of every trial that ends.
            catch: which exceptions of the objective only fail its trial: True (default) all, False none, or a tuple.
            time_limit: seconds after which an evaluation is ended and fails; it is then made in another process.
            memory_limit: bytes of memory likewise.
            progress: a line on the standard error; default where that is a terminal.

        Raises:
            InvalidValue: an argument that cannot mean anything.
            EvaluationFailed: the first ten trials of the study all failed.
            Exception: of the objective, if it is not to be caught.
        """
        self._check_writable()
        self.stopping = False
        limits = trials, seconds, until, time_limit, memory_limit
        return Running(self, objective, executor, limits, callbacks, catch, progress).go()

    def ask(self, fixed: Mapping[str, Any] | None = None) -> Trial:
        """The next trial, to be evaluated by the caller: one that is queued, or was left by somebody who died, or new.

        Args:
            fixed: values of parameters that are given, by flat names; then it is always new.

        Raises:
            InvalidValue: there is nothing left to ask, a batch waits for answers, or `fixed` does not fit.
        """
        self._check_writable()
        given = {} if fixed is None else {name: plain(value) for name, value in fixed.items()}
        try:
            trial = self.session.ask(given) if given else self.session.take()
        except Exhausted as reason:
            raise InvalidValue(f"there is nothing left to ask: {reason}") from None
        if trial is None:
            raise InvalidValue(
                f"all {self.settings.batch} trials of the batch are asked for, and the next one waits for their "
                "answers; tell these first, or begin the study with a larger batch"
            )
        return trial

    def tell(self, trial: Trial | int, outcome: Any) -> None:
        """What came of a trial that was asked for.

        Args:
            trial: itself, or its number.
            outcome: a number, a tuple of numbers if there are several objectives, an exception, which says that it
                failed, or ``Pruned()``. NaN and infinities are failures.

        Raises:
            StateMismatch: the trial has ended, or was taken over by somebody else, or is none of this process.
            ShapeMismatch: there are more or fewer values than objectives.
        """
        number = trial if isinstance(trial, int) else trial.number
        asked = self.session.trials.get(number)
        if asked is None:
            known = 0 <= number < len(self._rows())
            why = f"is {self._rows()[number].state}" if known else "does not exist"
            raise StateMismatch(f"trial {number} {why}, and was not asked for here or has been told")
        found = as_outcome(outcome, asked, len(self.directions))
        if not finish(self.session, asked, found):
            raise StateMismatch(f"trial {number} was taken over by somebody else, whose answer counts")

    def enqueue(self, point: Any, attributes: Mapping[str, Any] | None = None) -> int:
        """Have a point evaluated before others; its number.

        Args:
            point: of the space, or some of its parameters by flat name; the others are drawn at random.
            attributes: noted with it.

        Raises:
            InvalidValue: it does not fit into the space.
        """
        self._check_writable()
        noted = {name: plain(value) for name, value in (attributes or {}).items()}
        return self.log.enqueue(self._flat(point), noted)

    def add(self, params: Any, value: Any, attributes: Mapping[str, Any] | None = None) -> int:
        """Add a trial that was made elsewhere; its number.

        Args:
            params: the point of the space, or parameters by name. Of a define-by-run study those count that were asked
                for in it before, and the others from then on.
            value: a number, or a tuple of numbers; an exception for one that failed.

        Raises:
            InvalidValue: it does not fit into the space.
        """
        self._check_writable()
        flat = self._flat(params)
        found = as_outcome(value, Trial(0, flat, self.key, None), len(self.directions))
        noted = {name: plain(each) for name, each in (attributes or {}).items()}
        row = Row(state=found.state, params=flat, values=found.values, error=found.error, attributes=noted)
        return self.log.add(row)

    def warm_start(self, other: "Study", trials: int = 5, values: bool = False) -> int:
        """Begin with what another study has found; how many trials were taken over.

        Args:
            other: whose points fit into this one.
            trials: so many of its best points are queued, to be evaluated here.
            values: True takes over all its trials with their values instead: it has the same objective.

        Points that do not fit are left out.

        Raises:
            StateMismatch: values are to be taken over, and the other study has other directions.
        """
        self._check_writable()
        if values and other.directions != self.directions:
            raise StateMismatch(
                f"the values of {other.name!r} are those of {' and '.join(other.directions)}, and this study is to "
                f"{' and '.join(self.directions)}; leave out values=True, and its best points are evaluated here"
            )
        log, frame, rows = self.log, self.session.frame, other._rows()
        if values:
            return add_trials(log, frame, rows, other.name)
        return queue_best(log, frame, rows, other.settings.signs, other.name, trials)

    def copy(self, path: str | Path, name: str | None = None) -> None:
        """Copy the study into another file or database, or into this one by another name.

        Raises:
            InvalidValue: it is in memory, or the name is taken there.
        """
        if self._store is None:
            raise InvalidValue("a study in memory has no file to copy from; write other.warm_start(study, values=True)")
        with Store(path) as other:
            self._store.copy(self.name, other, name)

    def stop(self) -> None:
        """Begin no more trials in the run that is under way; for callbacks."""
        self.stopping = True

    def again(self) -> "Callable[[], Study]":
        """A function that opens the same study in another process. One in memory moves into a file for that, which
        lives as long as this object does."""
        s = self.settings
        if isinstance(self.log, Memory):
            self._folder = TemporaryDirectory(prefix="descend-")
            self._place = Path(self._folder.name) / "study.db"
            self._store = Store(self._place)
            log = self._store.open(self.name, s.header())
            moved(self.log, log)
            self._begin(log, self.session.pruner)
        given = Given(s.space, s.given or LEFT, s.key, s.directions, s.constraints, s.batch, s.repeats)
        return partial(_again, self._place, self.name, given, self.session.pruner, self._durability, self._lease)

    def _flat(self, point: Any) -> dict[str, Any]:
        """A point, or some parameters by flat name, as the log holds it."""
        if self.session.frame is not None:
            return self.session.frame.given(point)
        return {as_name(name): plain(value) for name, value in dict(point).items()}

    def _check_writable(self) -> None:
        if self._readonly:
            raise InvalidValue("this study was opened with readonly=True; open it without")
        if self.settings.foreign:
            raise InvalidValue(f"{self.name!r} is no study but a run of another kind, which goes on where it was begun")


def _again(
    path: str | Path | None, name: str, given: Given, pruner: Pruner | None,
    durability: Literal["process", "power"], lease: float,
) -> Study:  # fmt: skip
    return Study(
        path, name, space=given.space, method=given.method, key=given.key, directions=given.directions,
        constraints=given.constraints, batch=given.batch, repeats=given.repeats, pruner=pruner,
        durability=durability, lease=lease,
    )  # fmt: skip
