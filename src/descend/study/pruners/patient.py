"""Give up a trial that has not improved for some steps, at once or if another pruner agrees."""

from dataclasses import dataclass

import numpy as np

from descend.errors import InvalidValue
from descend.key import Key
from descend.study.pruners.base import Pruner, natural
from descend.study.reports import Reports

__all__ = ["PatientPruner"]


@dataclass(frozen=True)
class PatientPruner:
    """Leaves a trial alone until its last reports are no better than those before.

    Args:
        pruner: who is asked then; None: the trial is pruned.
        patience: how many reports after the best one are waited for, at least 0.
        delta: how much worse than before the last ones must be, at least 0; default 0.

    With several objectives, the last patience + 1 reports are no better if an earlier report dominates each of them by
    `delta` in every objective. Reports that are not finite count neither before nor after.

    Raises:
        InvalidValue: a setting that cannot mean anything.

    >>> from descend.study.reports import Reports
    >>> reports = Reports()
    >>> for step, loss in enumerate([3.0, 2.0, 2.5, 2.5]):
    ...     reports.report(0, step, [loss])
    ...     print(PatientPruner(None, patience=1)(0, reports, Key(0)), end=" ")
    False False False True
    """

    pruner: Pruner | None
    patience: int
    delta: float = 0.0

    def __post_init__(self) -> None:
        natural(self, "patience", self.patience, 0, 3)
        number = isinstance(self.delta, int | float) and not isinstance(self.delta, bool)
        if not number or not 0 <= self.delta < np.inf:
            raise InvalidValue(f"PatientPruner needs a finite delta >= 0, got {self.delta!r}; write delta=0.0")

    def __call__(self, number: int, reports: Reports, key: Key) -> bool:
        """As `Pruner`."""
        values = reports.curve(number).values
        fine = np.isfinite(values[:, 0])
        since = len(values) - self.patience - 1
        before, after = values[:since][fine[:since]], values[max(since, 0) :][fine[max(since, 0) :]]
        if since < 1 or not len(before) or not len(after):
            return False
        older, newer = before[:, None] + self.delta, after[None]
        beaten = (older <= newer).all(2) & (older < newer).any(2)
        if not bool(beaten.any(0).all()):
            return False
        return self.pruner is None or self.pruner(number, reports, key)
