"""The default method of a study: which model is asked next, as rows of data, by what is known so far.

A Gaussian process finds most with fewest answers where losses are smooth. Parzen estimators (TPE) cost next to nothing,
stand noise and steps, and look farther around. Both are functions of the history only, so any question may be either's.
So every third question is TPE's: whoever finds something good, the other one goes on from there, and where one is of no
use the other one still moves (Hoffman, Brochu and de Freitas 2011, "Portfolio allocation for Bayesian optimization").
Under noise every question is the process's: TPE goes where losses were lucky.

Tried and given up: the process alone, which is worse where there are several hollows and no better on smooth bowls;
every second question, with which it is late on smooth ones; and TPE only while there is no progress.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.key import Key
from descend.model.bayes import Bayes
from descend.model.modelled import History, Modelled, Told
from descend.model.noise import looks_noisy, pieces
from descend.model.tpe import TPE
from descend.population.base import whole

__all__ = ["ROWS", "Automatic", "Row", "Situation", "choose"]

_FIRST = 10
"""Answers before TPE has its turns."""
_CROWD = 16
"""Questions without an answer from which on another one is not worth a process's time."""


@dataclass(frozen=True)
class Situation:
    """Where a search stands when it asks.

    Fields: dim, coordinates; answers, those that did not fail; objectives; waiting, the questions without an answer;
    turn, the number of the question; limit, of `Automatic`; noisy, whether the one loss looks noisy.
    """

    dim: int
    answers: int
    objectives: int
    waiting: int
    turn: int
    limit: int
    noisy: bool = False

    @staticmethod
    def of(history: History, limit: int) -> "Situation":
        """That of a history."""
        answers, objectives = int(history.fine.sum()), max(1, history.values.shape[1])
        noisy = _FIRST <= answers < limit and objectives == 1 and not history.violations.shape[1] and _noisy(history)
        return Situation(history.dim, answers, objectives, len(history.waiting), history.asked, limit, noisy)


@dataclass(frozen=True)
class Row:
    """A condition, the method for the situations that meet it, and a sentence that says why, which may name them."""

    when: Callable[[Situation], bool]
    method: Modelled
    why: str


ROWS: tuple[Row, ...] = (
    Row(lambda at: at.answers < _FIRST, Bayes(), "points that fill the space, and soon a Gaussian process"),
    Row(
        lambda at: at.answers >= 4 * at.limit,
        TPE(),
        "TPE, since a Gaussian process of {answers} answers costs more than it finds",
    ),
    Row(lambda at: at.waiting >= _CROWD, TPE(), "TPE, since {waiting} workers are busy and this one should not wait"),
    Row(
        lambda at: at.objectives > 3 or (at.objectives > 1 and at.answers >= at.limit),
        TPE(),
        "TPE, since the front of {objectives} objectives and {answers} answers is large",
    ),
    Row(
        lambda at: at.answers >= at.limit and at.turn % 4 > 0,
        TPE(),
        "TPE, since after {answers} answers a Gaussian process is asked every fourth time only",
    ),
    Row(lambda at: at.noisy, Bayes(), "a Gaussian process, since losses look noisy, and of luck it makes nothing"),
    Row(
        lambda at: at.turn % 3 == 2,
        TPE(),
        "TPE, since every third question is for what a Gaussian process does not see",
    ),
    Row(lambda at: True, Bayes(), "a Gaussian process, which has {answers} answers in {dim} dimensions to learn from"),
)
"""The first row whose condition holds is taken; the last one always does."""


def _noisy(history: History) -> bool:
    """Whether the losses looked noisy some answers ago, at a number of them where a process is made anyway."""
    good = history.fine.nonzero()[:, 0]
    return looks_noisy(pieces(history, good[: len(good) // 3 * 3]))


def choose(at: Situation) -> tuple[Modelled, str]:
    """The method for the next question, and a sentence that says why.

    >>> choose(Situation(dim=3, answers=5000, objectives=1, waiting=0, turn=5000, limit=300))[1]
    'TPE, since a Gaussian process of 5000 answers costs more than it finds'
    """
    row = next(row for row in ROWS if row.when(at))
    return row.method, row.why.format(**vars(at))


@dataclass(frozen=True)
class Automatic(Modelled):
    """A Gaussian process, Parzen estimators, or both in turn: what `ROWS` name for where the search stands.

    Args:
        limit: >= 10, answers up to which any question may be a Gaussian process's; up to four times as many it is
            every fourth. Default 300, when an ask of ten floats takes a tenth of a second.

    Raises:
        InvalidValue: limit is no whole number >= 10.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: float((x[0] - 1.5) ** 2 + 10 * (x[1] - x[0]) ** 2)
    >>> result = minimize(f, [0.0, 1.0], method=Automatic(), bounds=(-4, 5), until=Evaluations(30), key=0)
    >>> result.fun < 0.01
    True
    """

    limit: int = 300

    def __post_init__(self) -> None:
        whole(self, "limit", self.limit, 10, 300)

    def propose(self, history: History, n: int, key: Key) -> Tensor:
        found: list[Tensor] = []
        first = Situation.of(history, self.limit)
        for i in range(n):
            waiting = torch.cat([history.waiting, *found])
            here = replace(history, waiting=waiting, asked=history.asked + i)
            method, _ = choose(replace(first, waiting=len(waiting), turn=here.asked))
            found.append(method.propose(here, 1, key.fold("point", i)))
        return torch.cat(found)

    def described(self, state: Told) -> str:
        return choose(Situation.of(self.history(state), self.limit))[1]
