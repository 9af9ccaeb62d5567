"""Which of the points that were evaluated is best, where the same point may have another loss each time.

The least of many noisy losses is a lucky one. So it is not the loss that is compared but the mean of a Gaussian process
over all of them, at the points that were evaluated (Frazier, Powell, Dayanik 2009, "The knowledge-gradient policy for
correlated normal beliefs"; Jalali, Van Nieuwenhuyse, Picheny 2017, "Comparison of kriging-based algorithms for
simulation optimization with heterogeneous noise", for choosing among visited points). Losses of one point that was
evaluated several times are pooled by the process.

Whether there is noise, `noise.looks_noisy` says.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.model.forest_near import canonical
from descend.model.modelled import History
from descend.model.noise import looks_noisy, pieces, plain_belief

__all__ = ["Recommendation", "noise_of", "recommend"]

_SIGMAS = 1.96
_CAUTION = 0.5
"""Deviations by which a mean is raised before means are compared: little is known of a point far from all others."""
_FEWEST = 5
"""Answers before noise can be told from anything else."""
_MOST = 1000
"""Of more answers, so many of the best ones and of the others are believed."""


@dataclass(frozen=True)
class Recommendation:
    """The answer to trust.

    Fields: index, which of the history's answers; mean, its loss without noise, as far as it is known; low, high,
    between which that lies with a chance of 95 %, NaN where too little is known to say; noise, the standard deviation
    of one evaluation, 0 if there seems to be none.
    """

    index: int
    mean: float
    low: float
    high: float
    noise: float


def recommend(history: History, noisy: bool | None = None) -> Recommendation:
    """The best of the points that were evaluated, whatever luck they had.

    Args:
        history: with one objective. Failures, and answers that break a constraint, are never recommended.
        noisy: whether the same point may have another loss each time; default found out, see the module. A
            deterministic loss that is rough may look noisy: then say False, and the least loss is recommended.

    Raises:
        InvalidValue: there are several objectives, or no answer that could be recommended.

    >>> from descend.model.modelled import Cube
    >>> from descend.space.domain import Domain
    >>> cube = Cube(Domain.box(torch.zeros(1), torch.ones(1)), torch.full((1,), 0.5))
    >>> us = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
    >>> losses, none = (us - 0.4) ** 2, torch.zeros(9, 0)
    >>> recommend(History(cube, cube.start, us, losses, none, us[:0], 9)).index
    3
    """
    if history.values.shape[1] != 1 and len(history.values):
        raise InvalidValue(
            f"with {history.values.shape[1]} objectives no point is best; look at the front of all of them"
        )
    good = (history.fine & history.feasible).nonzero()[:, 0]
    if not len(good):
        raise InvalidValue("no evaluation has succeeded within the constraints, so there is nothing to recommend yet")
    losses = history.values[:, 0]
    plain = int(good[losses[good].argmin()])
    exact = Recommendation(plain, float(losses[plain]), float(losses[plain]), float(losses[plain]), 0.0)
    if noisy is None and len(good) < _FEWEST:
        return replace(exact, low=math.nan, high=math.nan)
    if noisy is False or len(good) < _FEWEST:
        return exact
    some = _some(losses, history.fine)
    believed = pieces(history, some)
    if noisy is None and not looks_noisy(believed):
        return exact
    belief, us = plain_belief(believed), canonical(history.cube, history.us[good])
    mean, deviation = belief(us)
    best = int((mean + _CAUTION * deviation).argmin())
    middle, away = float(mean[best]), _SIGMAS * float(deviation[best])
    return Recommendation(int(good[best]), middle, middle - away, middle + away, float(belief.noise(us[:1])))


def noise_of(history: History) -> float:
    """The standard deviation of one evaluation, 0 where there seems to be no noise; of the first objective."""
    believed = pieces(history, _some(history.values[:, 0], history.fine))
    if int(history.fine.sum()) < _FEWEST or not looks_noisy(believed):
        return 0.0
    return float(plain_belief(believed).noise(believed.us[:1]))


def _some(losses: Tensor, fine: Tensor) -> Tensor:
    """The answers (k,) that are believed: all, or the better half of `_MOST` and as many from the others, evenly."""
    order = losses.nan_to_num(nan=math.inf).argsort(stable=True)[: int(fine.sum())]
    if len(order) > _MOST:
        rest = order[_MOST // 2 :]
        even = torch.linspace(0, len(rest) - 1, _MOST // 2, dtype=torch.float64).round().long()
        order = torch.cat([order[: _MOST // 2], rest[even]])
    return order.sort().values
