"""Give up a trial whose best so far is worse than what most finished ones had at the same step.

Golovin, Solnik, Moitra, Kochanski, Karro, Sculley (2017), "Google Vizier", section 3.2, the median stopping rule, with
the reports themselves in place of their running averages.
"""

from dataclasses import dataclass

import numpy as np

from descend.errors import InvalidValue
from descend.key import Key
from descend.study.pruners.base import due, natural
from descend.study.pruners.ranking import fronts
from descend.study.reports import Reports

__all__ = ["MedianPruner", "PercentilePruner"]


@dataclass(frozen=True)
class PercentilePruner:
    """Keeps a trial while its best report is within the best share of finished trials at its step.

    Args:
        percentile: in [0, 100]: with 25, the best report must be as good as the best quarter's reports at this step.
        startup: how many trials must be done before one is pruned; default 5.
        warmup: the first step at which one may be pruned; default 0.
        interval: steps from one decision to the next, counted from `warmup`; default 1.
        least: how many of the finished trials must have reported at this step; default 1.

    With several objectives the number of the front takes the value's place: the trial's best report is the one on the
    first of the fronts of its own and the others' reports, and it is pruned if that front is behind the percentile of
    theirs. So a trial with a report that no finished one dominates goes on.

    A trial none of whose reports is finite is pruned; failures of others do not count.

    Raises:
        InvalidValue: a setting that cannot mean anything.

    >>> from descend.study.reports import Reports
    >>> reports = Reports()
    >>> for number, loss in enumerate([1.0, 2.0, 3.0, 4.0, 2.5]):
    ...     reports.report(number, 0, [loss])
    ...     if number < 4:
    ...         reports.close(number, "done", [loss])
    >>> PercentilePruner(50.0, startup=4)(4, reports, Key(0)), PercentilePruner(25.0, startup=4)(4, reports, Key(0))
    (False, True)
    """

    percentile: float
    startup: int = 5
    warmup: int = 0
    interval: int = 1
    least: int = 1

    def __post_init__(self) -> None:
        number = isinstance(self.percentile, int | float) and not isinstance(self.percentile, bool)
        if not number or not 0 <= self.percentile <= 100:
            raise InvalidValue(
                f"PercentilePruner needs a percentile in [0, 100], got {self.percentile!r}; write PercentilePruner(50)"
            )
        natural(self, "startup", self.startup, 0, 5)
        natural(self, "warmup", self.warmup, 0, 0)
        natural(self, "interval", self.interval, 1, 1)
        natural(self, "least", self.least, 1, 1)

    def __call__(self, number: int, reports: Reports, key: Key) -> bool:
        """As `Pruner`."""
        curve = reports.curve(number)
        if reports.done < max(self.startup, 1) or not due(curve.steps, self.warmup, self.interval):
            return False
        own = curve.values[np.isfinite(curve.values[:, 0])]
        if not len(own):
            return True
        others = reports.at(int(curve.steps[-1]))
        if len(others) < self.least:
            return False
        ranked = fronts(np.concatenate([others, own]))
        return bool(ranked[len(others) :].min() > np.percentile(ranked[: len(others)], self.percentile))


def MedianPruner(startup: int = 5, warmup: int = 0, interval: int = 1, least: int = 1) -> PercentilePruner:
    """Keeps a trial while its best report is as good as the median of finished trials at its step.

    Args:
        startup, warmup, interval, least: as those of `PercentilePruner`, whose percentile is 50.

    >>> MedianPruner(warmup=3)
    PercentilePruner(percentile=50.0, startup=5, warmup=3, interval=1, least=1)
    """
    return PercentilePruner(50.0, startup, warmup, interval, least)
