"""A ladder of steps: who is not among the best 1/factor of those that came to a rung ends there.

Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar (2020), "A system for massively parallel
hyperparameter tuning" (ASHA, algorithm 2). Their trials wait at a rung for a later promotion; here a trial cannot be
taken up again, so it is decided at once, against those that have been there. r is `first`, eta is `factor`, s is
`early`.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from descend.errors import InvalidValue
from descend.key import Key
from descend.study.pruners.base import natural
from descend.study.pruners.ranking import places
from descend.study.reports import Reports

__all__ = ["HyperbandPruner", "SuccessiveHalvingPruner"]


@dataclass(frozen=True)
class SuccessiveHalvingPruner:
    """Asynchronous successive halving (ASHA): rungs at the steps first * factor^(early + i), i = 0, 1, ...

    Args:
        first: r >= 1, the step of the first rung; default 1.
        factor: eta >= 2, of how many one goes on at a rung, and how much further it then goes; default 4.
        early: s >= 0, the first rungs that are left out; default 0.
        startup: how many trials must have come to a rung before any goes on from it; default 0, and then the best of
            fewer than `factor` goes on.

    A trial's value at a rung is the first that it reports there or beyond, running and pruned trials compete too, and
    of equals all go on. With several objectives the order is that of fronts, and within a front of those that cover it
    first, so that the share is kept even where nobody dominates anybody.

    Raises:
        InvalidValue: a setting that cannot mean anything.

    >>> from descend.study.reports import Reports
    >>> reports, race = Reports(), SuccessiveHalvingPruner(factor=2)
    >>> for number, loss in enumerate([3.0, 1.0, 2.0, 0.5]):
    ...     reports.report(number, 1, [loss])
    ...     print(race(number, reports, Key(0)), end=" ")
    False False True False
    """

    first: int = 1
    factor: int = 4
    early: int = 0
    startup: int = 0

    def __post_init__(self) -> None:
        natural(self, "first", self.first, 1, 1)
        natural(self, "factor", self.factor, 2, 4)
        natural(self, "early", self.early, 0, 0)
        natural(self, "startup", self.startup, 0, 0)

    def __call__(self, number: int, reports: Reports, key: Key) -> bool:
        """As `Pruner`."""
        return self.race(number, reports, lambda other: True)

    def race(self, number: int, reports: Reports, competes: Callable[[int], bool]) -> bool:
        """The same among those trials, by their numbers, that compete with this one."""
        steps = reports.curve(number).steps
        if not len(steps):
            return False
        before = int(steps[-2]) if len(steps) > 1 else -1
        rung = self.first * self.factor**self.early
        while rung <= steps[-1]:
            if before < rung and not self._goes_on(number, reports, rung, competes):
                return True
            rung *= self.factor
        return False

    def _goes_on(self, number: int, reports: Reports, rung: int, competes: Callable[[int], bool]) -> bool:
        numbers, values = reports.reached(rung)
        here = np.array([other == number or competes(other) for other in numbers.tolist()])
        numbers, values = numbers[here], values[here]
        own = values[numbers == number][0]
        if not np.isfinite(own[0]) or len(values) <= self.startup:
            return False
        rank = places(values)
        k = max(len(rank) // self.factor, 1)
        return bool(rank[numbers == number][0] <= np.partition(rank, k - 1)[k - 1])


@dataclass(frozen=True)
class HyperbandPruner:
    """Successive halving with several first rungs, for curves whose order may change late.

    Every trial belongs to one of the brackets s = 0, 1, ..., floor(log_factor(last / first)), in which the first rung
    is at first * factor^s, and competes within it. Which one it is follows from the study's key and the trial's number
    alone, in the proportions of Hyperband (Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar 2018, algorithm 1, the n of
    each bracket), so a resumed study, or one under another name, has the same brackets.

    Args:
        last: R, the largest step that a trial reports.
        first: r >= 1, the step of the lowest rung; default 1.
        factor: eta >= 2; default 3.
        startup: as that of `SuccessiveHalvingPruner`, within a bracket.

    Raises:
        InvalidValue: a setting that cannot mean anything.

    >>> race = HyperbandPruner(last=81)
    >>> race.brackets, [race.bracket(number, Key(0)) for number in range(8)]
    ((81, 34, 15, 8, 5), [0, 1, 2, 1, 0, 4, 1, 2])
    """

    last: int
    first: int = 1
    factor: int = 3
    startup: int = 0

    def __post_init__(self) -> None:
        natural(self, "first", self.first, 1, 1)
        natural(self, "last", self.last, 1, 100)
        natural(self, "factor", self.factor, 2, 3)
        natural(self, "startup", self.startup, 0, 0)
        if self.last < self.first:
            raise InvalidValue(
                f"HyperbandPruner needs first <= last, got first={self.first!r} and last={self.last!r}; "
                "last is the number of steps of a trial that is not pruned"
            )

    @property
    def brackets(self) -> tuple[int, ...]:
        """The share of trials in each bracket, that with the lowest first rung first."""
        top = 0
        while self.first * self.factor ** (top + 1) <= self.last:
            top += 1
        return tuple(math.ceil((top + 1) * self.factor**s / (s + 1)) for s in range(top, -1, -1))

    def bracket(self, number: int, key: Key) -> int:
        """The bracket s of a trial."""
        return self._drawn(key)(number)

    def _drawn(self, key: Key) -> Callable[[int], int]:
        ends, key = list(accumulate(self.brackets)), key.fold("bracket")
        return lambda number: bisect_right(ends, key.fold(number).seed % ends[-1])

    def __call__(self, number: int, reports: Reports, key: Key) -> bool:
        """As `Pruner`."""
        bracket = self._drawn(key)
        own = bracket(number)
        race = SuccessiveHalvingPruner(self.first, self.factor, own, self.startup)
        return race.race(number, reports, lambda other: bracket(other) == own)
