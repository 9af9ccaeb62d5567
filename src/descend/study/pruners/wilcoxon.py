"""Give up a trial that is worse than the best one on the same folds or instances, when chance cannot explain it.

Wilcoxon (1945), "Individual comparisons by ranking methods". For reports that are many measurements of one quality
(folds, seeds, problem instances), not a learning curve: the step names the instance, and instances are paired.
"""

import math
from dataclasses import dataclass

import numpy as np

from descend.errors import InvalidValue
from descend.key import Key
from descend.study.pruners.base import natural
from descend.study.pruners.ranking import fronts
from descend.study.reports import Reports

__all__ = ["WilcoxonPruner", "signed_rank"]

_EXACT = 60
"""Up to so many differences the distribution is counted out; beyond, the normal one is as good."""


@dataclass(frozen=True)
class WilcoxonPruner:
    """Prunes when a one-sided signed-rank test says that a trial is worse than the best finished one.

    Args:
        p: the level in (0, 1) of each test; default 0.1. A trial is tested after every report, so the chance that one
            which is as good as the best is pruned at some time is larger.
        least: how many steps both must have reported; default 2. With n steps no p below 2^-n is possible, so that at
            the default level none is pruned before its fourth.

    Steps that only one of the two has do not count, and a trial is kept while its mean over the common steps is no
    worse. With several objectives a trial is pruned when one trial of the front of finished ones is better in every
    objective (the largest p counts: Berger 1982, the intersection-union test), at the level p over the size of the
    front (Bonferroni).

    Raises:
        InvalidValue: a setting that cannot mean anything.

    >>> from descend.study.reports import Reports
    >>> reports = Reports()
    >>> for fold in range(4):
    ...     reports.report(0, fold, [fold / 10])
    ...     reports.report(1, fold, [fold / 9 + 0.1])
    >>> reports.close(0, "done", [0.15])
    >>> WilcoxonPruner()(1, reports, Key(0)), WilcoxonPruner(p=0.05)(1, reports, Key(0))
    (True, False)
    """

    p: float = 0.1
    least: int = 2

    def __post_init__(self) -> None:
        if not isinstance(self.p, float) or not 0 < self.p < 1:
            raise InvalidValue(f"WilcoxonPruner needs a level p in (0, 1), got {self.p!r}; write WilcoxonPruner(p=0.1)")
        natural(self, "least", self.least, 2, 2)

    def __call__(self, number: int, reports: Reports, key: Key) -> bool:
        """As `Pruner`."""
        numbers, results = reports.results()
        if not len(numbers):
            return False
        rank = fronts(results)
        best = numbers[rank == rank.min()]
        if reports.objectives == 1:
            best = best[:1]
        return any(self._worse(number, other, reports, self.p / len(best)) for other in best.tolist())

    def _worse(self, number: int, other: int, reports: Reports, level: float) -> bool:
        one, two = reports.curve(number), reports.curve(other)
        _, i, j = np.intersect1d(one.steps, two.steps, assume_unique=True, return_indices=True)
        differences = one.values[i] - two.values[j]
        if len(differences) < self.least or not np.isfinite(one.values).all() or not np.isfinite(differences).all():
            return False
        if bool((differences.mean(0) <= 0).any()):
            return False
        return max(signed_rank(column) for column in differences.T) < level


def signed_rank(differences: np.ndarray) -> float:
    """The p-value of Wilcoxon's test that differences (n,) tend to be positive.

    Under the hypothesis that every sign is a fair coin, given the absolute values, ties and all; a difference of zero
    adds half of its rank whatever the coin says. Exact up to 60 differences, the normal approximation with continuity
    correction beyond.

    >>> signed_rank(np.array([1.0, 2.0, 3.0])), signed_rank(np.array([1.0, 1.0, 1.0, -1.0]))
    (0.125, 0.3125)
    """
    size = np.abs(differences)
    _, place, count = np.unique(size, return_inverse=True, return_counts=True)
    twice = (2 * np.cumsum(count) - count + 1)[place]  # twice the mean rank of each, a whole number
    moving = twice[differences != 0]
    seen = int(moving[differences[differences != 0] > 0].sum())  # zeros add the same on both sides
    if len(differences) > _EXACT:
        spread = math.sqrt(float((moving.astype(float) ** 2).sum()))
        z = (2 * seen - float(moving.sum()) - 2) / spread if spread else -math.inf
        return 0.5 * math.erfc(z / math.sqrt(2))
    chance = np.zeros(int(moving.sum()) + 1)
    chance[0] = 1.0
    for rank in moving.tolist():
        chance[rank:] = (chance[rank:] + chance[: len(chance) - rank]) / 2
        chance[:rank] /= 2
    return min(float(chance[seen:].sum()), 1.0)
