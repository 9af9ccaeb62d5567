"""Give up a trial as soon as a report leaves an interval: a loss that has exploded, an accuracy that has collapsed."""

import math
from dataclasses import dataclass

import numpy as np

from descend.errors import InvalidValue
from descend.key import Key
from descend.study.pruners.base import due, natural
from descend.study.reports import Reports

__all__ = ["ThresholdPruner"]


@dataclass(frozen=True)
class ThresholdPruner:
    """Keeps a trial while its last report lies in [lower, upper], in the user's own sign; what is not finite does not.

    Args:
        lower, upper: a number for all objectives, or a tuple of one for each; default no limit. One must be given.
        warmup: the first step at which a trial may be pruned; default 0.
        interval: steps from one decision to the next, counted from `warmup`; default 1.

    With several objectives a trial is pruned when any of them has left its interval.

    Raises:
        InvalidValue: a setting that cannot mean anything, or, at a report, limits for another number of objectives.

    >>> from descend.study.reports import Reports
    >>> reports = Reports()
    >>> reports.report(0, 0, [1e6])
    >>> ThresholdPruner(upper=100.0)(0, reports, Key(0))
    True
    """

    lower: float | tuple[float, ...] = -math.inf
    upper: float | tuple[float, ...] = math.inf
    warmup: int = 0
    interval: int = 1

    def __post_init__(self) -> None:
        natural(self, "warmup", self.warmup, 0, 0)
        natural(self, "interval", self.interval, 1, 1)
        if (self.lower, self.upper) == (-math.inf, math.inf):
            raise InvalidValue("ThresholdPruner() would keep everything; write ThresholdPruner(upper=100.0)")
        try:
            fits = bool((np.asarray(self.lower, dtype=float) <= np.asarray(self.upper, dtype=float)).all())
        except (TypeError, ValueError):
            fits = False
        if not fits:
            raise InvalidValue(
                f"ThresholdPruner needs lower <= upper, got lower={self.lower!r} and upper={self.upper!r}; "
                "write ThresholdPruner(lower=0.0, upper=100.0)"
            )

    def __call__(self, number: int, reports: Reports, key: Key) -> bool:
        """As `Pruner`."""
        curve = reports.curve(number)
        if not due(curve.steps, self.warmup, self.interval):
            return False
        for name, limit in (("lower", self.lower), ("upper", self.upper)):
            if isinstance(limit, tuple) and len(limit) != reports.objectives:
                raise InvalidValue(
                    f"ThresholdPruner has {name}={limit!r} for {reports.objectives} objectives; write a number for each"
                )
        values = curve.values[-1] * np.array(reports.signs)
        inside = np.isfinite(values) & (values >= np.array(self.lower)) & (values <= np.array(self.upper))
        return not bool(inside.all())
