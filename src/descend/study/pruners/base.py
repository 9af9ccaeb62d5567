"""A pruner says from reports alone whether to give up a trial: a pure function, so that a replay decides alike."""

from typing import Protocol

import numpy as np

from descend.errors import InvalidValue
from descend.key import Key
from descend.study.reports import Reports

__all__ = ["Pruner", "due", "natural"]


class Pruner(Protocol):
    """Whether to give up a trial. A pruner is a frozen dataclass of settings, and remembers nothing."""

    def __call__(self, number: int, reports: Reports, key: Key) -> bool:
        """Whether trial `number` is to end here.

        Args:
            number: of the trial that asks, just after its last report.
            reports: all that was reported so far, by it and by all others.
            key: of the study, the same for all trials.
        """
        ...


def due(steps: np.ndarray, warmup: int, interval: int) -> bool:
    """Whether the last of a trial's steps (k,) is the first in its interval warmup + i * interval, ...; i >= 0.

    >>> [due(np.arange(k + 1), warmup=2, interval=3) for k in range(7)]
    [False, False, True, False, False, True, False]
    """
    if not len(steps) or steps[-1] < warmup:
        return False
    begins = warmup + (int(steps[-1]) - warmup) // interval * interval
    return len(steps) == 1 or int(steps[-2]) < begins


def natural(owner: object, name: str, value: object, least: int, suggestion: int) -> None:
    """Refuse a setting that is no whole number >= least.

    Raises:
        InvalidValue: a sentence with the name, the value, and what to write.
    """
    if type(value) is not int or value < least:
        kind = type(owner).__name__
        raise InvalidValue(f"{kind} needs a whole number {name} >= {least}, got {value!r}; write {name}={suggestion}")
