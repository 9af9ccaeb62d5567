"""A study at work in one process: trials are asked for, claimed and told, and the log is written before it is acted on.

Who asks first gets the number; whoever was slower reads what is new and asks again with the exclusive right to ask. A
thread renews the leases of the trials under way, so that nobody else takes them for left behind.
"""

import math
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from descend.errors import DescendError
from descend.log import Log, Memory, Row
from descend.log.heart import Heart
from descend.log.owner import here
from descend.log.statements import AHEAD
from descend.space import Leaf
from descend.study.definitions import merged
from descend.study.engine import FIXED, Engine
from descend.study.frame import Frame
from descend.study.header import Settings
from descend.study.mirror import DEFINITIONS, Mirror
from descend.study.pruners.base import Pruner
from descend.study.search import Exhausted
from descend.study.trial import Trial

__all__ = ["Session"]

_ATTEMPTS = 3
"""Owners who may begin a trial and leave it."""

_LOOK = 0.05
"""Seconds between two looks whether somebody has died."""


class Session:
    """Trials of one log.

    Args:
        log: where they are written down.
        settings: what the study depends on.
        pruner: which trials are given up; None gives up none.
        lease: seconds without a sign of life after which a trial is anybody's.

    Attributes:
        mirror: what is known of the log.
        frame: of the space; None where objectives define it.
        trials: those of this process that are under way, by number.
        tags: attributes that every trial gets, for whoever watches over this process.
    """

    def __init__(self, log: Log | Memory, settings: Settings, pruner: Pruner | None, lease: float) -> None:
        self.log, self.settings, self.pruner = log, settings, pruner
        self.owner, self._lease = here(), lease
        self.mirror = Mirror(log, settings.signs, by_number=settings.batch is not None)
        self.frame = None if settings.space is None else Frame(settings.space)
        self.trials: dict[int, Trial] = {}
        self.tags: dict[str, Any] = {}
        self._engine: Engine | None = None
        self._known: dict[str, tuple[Leaf, int]] = {}
        self._key = settings.key
        self._lock = threading.RLock()
        self._heart: Heart | None = None
        self._looked = self._read = -math.inf

    @property
    def engine(self) -> Engine:
        """Who asks; made when it is needed first, since looking at a study needs none."""
        if self._engine is None:
            s = self.settings
            self._engine = Engine(
                self.mirror, s.method, s.key, s.space, constraints=s.constraints, repeats=s.repeats, batch=s.batch
            )
        return self._engine

    def ask(self, fixed: Mapping[str, Any] | None = None) -> Trial | None:
        """Begin the next trial; None if it has to wait for others of the batch before.

        Args:
            fixed: plain values that are given, by flat names.

        Raises:
            Exhausted: there is nothing left to ask.
        """
        with self._lock:
            return self._next(lambda: self._ask(fixed))

    def _at_once(self) -> Trial | None:
        """Begin the next trial without reading what others have done, if its point does not depend on it; else None.

        Nor is there any that is queued. Whether one was left is looked for now and then.
        """
        if not isinstance(self.log, Log) or time.monotonic() - self._read >= _LOOK:
            return None
        first, points = self.engine.foreseen(AHEAD)
        if not points:
            return None
        texts, after = [text for _, text in points], len(self.mirror.order)
        number = self.log.ask_ahead(first, after, texts, self.owner, self._lease, self.tags or None)
        if number is None:
            return None
        self.engine.took(number)
        return self._begun(number, points[number - first][0], None, 1)

    def take(self) -> Trial | None:
        """Begin a trial that waits or was left, as `claim`, else the next one, as `ask`."""
        with self._lock:
            try:
                return self._at_once() or self._next(lambda: self._left() or self._ask(None))
            except Exhausted:
                if (trial := self.claim()) is not None:
                    return trial
                raise

    def _next(self, ask: Callable[[], Trial | bool | None]) -> Trial | None:
        """Ask; if somebody is quicker once more, with the exclusive right to."""
        self.mirror.sync()
        self._read = time.monotonic()
        trial = ask()
        if isinstance(trial, bool):
            with self.log.turn():
                self.mirror.sync()
                trial = ask()
            assert not isinstance(trial, bool), "nobody else may ask during a turn"
        if trial is not None:
            self.engine.asked(trial.number)
        return trial

    def _ask(self, fixed: Mapping[str, Any] | None) -> Trial | bool | None:
        number = len(self.mirror.rows)
        after = self.engine.after(number)
        if after is None:
            return None
        proposal = self.engine.propose(number, after, fixed)
        attributes = {FIXED: dict(fixed), **self.tags} if fixed else self.tags
        if not self.log.ask(number, after, proposal, self.owner, self._lease, attributes or None):
            return False
        trial = self._begun(number, proposal, None, 1)
        trial.given = frozenset(fixed or ())
        return trial

    def claim(self) -> Trial | None:
        """Begin the oldest trial that is queued, or that somebody who died has left; None if there is none."""
        with self._lock:
            self.mirror.sync()
            self._looked = -math.inf
            return self._left()

    def _left(self) -> Trial | None:
        """The same of what was read; whether others have died is looked for now and then, since it takes a while."""
        others = [number for number in self.mirror.open if number not in self.trials]
        if not others:
            return None
        now = time.monotonic()
        if now - self._looked < _LOOK and not any(self.mirror.rows.state(number) == "queued" for number in others):
            return None
        self._looked = now
        row = self.log.claim(self.owner, self._lease, _ATTEMPTS)
        if row is None:
            return None
        if self.tags:
            self.log.note(row.number, self.tags)
        return self._resumed(row)

    def _resumed(self, row: Row) -> Trial:
        proposal = row.proposal
        if self.frame is None or row.origin == "asked":
            trial = self._begun(row.number, proposal, None, row.attempts)
            trial.given = frozenset((proposal if row.origin == "queued" else row.attributes.get(FIXED)) or ())
            return trial
        whole = self.frame.completed(proposal or {}, self._key.fold("trial", row.number))
        return self._begun(row.number, whole, whole if whole != proposal else None, row.attempts)

    def _begun(
        self, number: int, proposal: Mapping[str, Any] | None, params: Mapping[str, Any] | None, attempts: int
    ) -> Trial:
        frame = self.frame
        point = None if frame is None else frame.point(proposal or {})
        key = self._key.fold("trial", number)
        trial = Trial(number, proposal, key, self, point=point, objectives=len(self.settings.signs), attempts=attempts)
        trial.differs, trial.constraints = params, self.settings.constraints
        self.trials[number] = trial
        if self._heart is None and isinstance(self.log, Log):
            self._heart = Heart(self.log, self.owner, self._lease).__enter__()
            weakref.finalize(self, self._heart.__exit__, None, None, None)
        return trial

    def tell(self, trial: Trial, state: str, values: Sequence[float] | None, error: str | None = None) -> Row:
        """Finish a trial of this process.

        Raises:
            StateMismatch: it was finished, or taken over by somebody else.
        """
        with self._lock:
            attributes = dict(trial.noted)
            params = trial.differs
            if self.frame is None:
                params = trial.used
                self.mirror.sync()
                if trial.needed > self.mirror.recorded:
                    attributes[DEFINITIONS] = trial.needed
            try:
                row = self.log.tell(
                    trial.number, self.owner, state, values, trial.violations, params, error, attributes or None
                )
            except DescendError as failed:
                if isinstance(failed, ValueError):  # it is not ours any more
                    self.trials.pop(trial.number, None)
                raise
            self.trials.pop(trial.number, None)
            return row

    def release(self, trial: Trial) -> None:
        """Give a trial back, for somebody else to begin it."""
        with self._lock:
            self.trials.pop(trial.number, None)
            self.log.release(trial.number, self.owner)

    def known(self, name: str, leaf: Leaf) -> int:
        """As `descend.study.trial.Host.known`."""
        known = self._known.get(name)
        if known is not None and known[0] is leaf:
            return known[1]
        with self._lock:
            definitions = self.mirror.definitions
            for turn in range(2):
                before = definitions.latest.get(name)
                whole = leaf if before is None else merged(name, before, leaf)
                if whole is before:
                    break
                if turn == 0:  # others may have defined it meanwhile
                    self.mirror.learn()
                    continue
                self.log.define(name, whole.text)
                self.mirror.learn()
            needed = definitions.needed(name)
            self._known[name] = leaf, needed
            return needed

    def report(self, number: int, step: int, values: tuple[float, ...]) -> None:
        """As `descend.study.trial.Host.report`."""
        self.log.report(number, step, values)

    def should_stop(self, number: int) -> bool:
        """As `descend.study.trial.Host.should_stop`."""
        if self.pruner is None:
            return False
        with self._lock:
            return bool(self.pruner(number, self.mirror.reports(), self._key))

    def close(self) -> None:
        """Give back what is under way, and be quiet."""
        if self._heart is not None:
            self._heart.__exit__(None, None, None)
            self._heart = None
        for trial in list(self.trials.values()):
            try:
                self.release(trial)
            except DescendError:
                continue  # it is finished, or somebody else's, or cannot be written: its lease will run out
