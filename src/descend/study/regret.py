"""Stop when little is left to gain: a bound on how far the best trial can be from the best point.

Makarova et al. (2022), "Automatic termination for hyperparameter optimization": with confidence bounds ucb and lcb of a
Gaussian process, the regret is at most r = min ucb over the points evaluated - min lcb over all points. It stops when r
falls below what does not matter, such as the standard error of a cross-validated score. beta_t =
2 log(d t^2 pi^2 / (6 delta)) / 5 with delta = 0.1, as they take it from Srinivas et al. (2010).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch

from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.model.gp.belief import posterior
from descend.model.modelled import History
from descend.run.until import Progress, Until
from descend.study.stopping import Standpoint

__all__ = ["Regret", "regret_bound"]

_DELTA = 0.1
_ANYWHERE, _NEARBY = 2000, 500
"""Points at which the lower bound is looked at: uniform ones, and others around the best one."""


@dataclass(frozen=True)
class Regret(Until):
    """Stop a study when the best trial is believed to be within `tolerance` of the best point that there is.

    Args:
        tolerance: in the unit of the values, > 0: a difference that does not matter, such as the standard error of a
            cross-validated score.
        least: trials before it is asked for the first time, at least 2; default 20.
        every: trials from one time to the next, at least 1; default 5.

    Only for studies with one objective: ``study.run(f, until=Regret(0.001))``.

    Raises:
        InvalidValue: a number outside its range.
        CompositionError: it is used where there is no study.
    """

    tolerance: float
    least: int = 20
    every: int = 5

    def __post_init__(self) -> None:
        number = isinstance(self.tolerance, int | float) and not isinstance(self.tolerance, bool)
        if not number or not 0 < self.tolerance < math.inf:
            raise InvalidValue(f"Regret needs a tolerance > 0, got {self.tolerance!r}; write Regret(0.001)")
        for name, value, low in (("least", self.least, 2), ("every", self.every, 1)):
            if type(value) is not int or value < low:
                raise InvalidValue(f"Regret needs a whole number {name} >= {low}, got {value!r}; write {name}=20")

    def __call__(self, progress: Progress, memory: Any) -> tuple[str, Any]:
        if not isinstance(progress, Standpoint):
            raise CompositionError("Regret looks at the trials of a study; write study.run(f, until=Regret(...))")
        if progress.steps < self.least or progress.steps % self.every:
            return "", None
        history = progress.history()
        if history is None or int((history.fine & history.feasible).sum()) < 2:
            return "", None
        bound = regret_bound(history)
        reached = f"the best trial is within {bound:.3g} of the best point, at most {self.tolerance:g}"
        return (reached if bound <= self.tolerance else ""), None


def regret_bound(history: History) -> float:
    """How far the best of the points evaluated is from the best point, at most, as far as is believed.

    >>> from descend.model.modelled import Cube
    >>> from descend.space.domain import Domain
    >>> cube = Cube(Domain.box(torch.zeros(1), torch.ones(1)), torch.full((1,), 0.5))
    >>> us = torch.linspace(0, 1, 20, dtype=torch.float64)[:, None]
    >>> history = History(cube, cube.start, us, (us - 0.4) ** 2, torch.zeros(20, 0), us[:0], 20)
    >>> 0 <= regret_bound(history) < 0.01
    True
    """
    believed = posterior(history)
    good = history.us[history.fine & history.feasible]
    t, d = len(history.us), history.dim
    width = math.sqrt(2 * math.log(d * t**2 * math.pi**2 / (6 * _DELTA)) / 5)
    mean, deviation = believed(good)
    upper = float((mean + width * deviation).min())
    key = Key(0).fold("regret", t)
    best = good[int(mean.argmin())]
    nearby = best + 0.05 * key.fold("near").normal(_NEARBY, d, like=good)
    anywhere = torch.cat([key.uniform(_ANYWHERE, d, like=good), nearby.clamp(0, 1)])
    every = torch.cat([good, history.cube.centre(anywhere)])
    mean, deviation = believed(every)
    return max(0.0, upper - float((mean - width * deviation).min()))
