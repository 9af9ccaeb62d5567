"""Racing: of a generation under noise, only those points are evaluated again whose selection is still open.

After Heidrich-Meisner and Igel (2009), "Hoeffding and Bernstein races for selecting policies in evolutionary direct
policy search". Their bounds need to know the range of the losses; here an interval is the mean plus and minus
`width` standard errors, with one standard deviation of the noise, pooled over the points of a generation and averaged
over generations.

xs (n, d) is the generation; a table of it holds the sums of losses, their squares and counts (n,). The most evaluations
of a point, `limit`, grow when a race ends undecided and fall when one is decided sooner (t_limit and alpha there).
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.key import Key
from descend.population.base import AskTell, asks_for_values, positive, whole
from descend.population.conversation import Conversation, Question, Turns
from descend.population.shaping import best
from descend.space.domain import Domain

__all__ = ["Racing"]

_MEMORY = 0.8
"""How much of the noise's variance is what former generations said."""

_ALPHA = 1.5
"""By what the limit changes from one generation to the next."""


class _Means:
    """The mean losses of points (n, d), of which some are evaluated more often than others."""

    def __init__(self, points: Tensor) -> None:
        self.points = points
        self.sums, self.squares, self.counts = torch.zeros(3, len(points), dtype=torch.float64)

    def add(self, places: Tensor, losses: Tensor) -> None:
        """Losses (m,) of the points at these places (m,); a failure is one for good."""
        self.sums[places] += losses
        self.squares[places] += losses.square()
        self.counts[places] += 1

    @property
    def means(self) -> Tensor:
        """(n,), +inf where an evaluation failed."""
        return self.sums / self.counts

    @property
    def mean(self) -> float:
        """That of the first point, NaN if it failed."""
        mean = float(self.means[0])
        return mean if math.isfinite(mean) else math.nan

    def variance(self) -> float:
        """Of the noise, pooled over the points that were evaluated more than once; NaN if there is none."""
        many = (self.counts > 1) & self.sums.isfinite()
        if not bool(many.any()):
            return math.nan
        within = self.squares[many] - self.sums[many].square() / self.counts[many]
        return max(0.0, float(within.sum() / (self.counts[many] - 1).sum()))


@dataclass(frozen=True)
class Racing(Conversation):
    """A population method under noise.

    The points of a generation are evaluated once, those of the first one twice so that the noise is known; then those
    again whose interval contains the border between the better and the worse half, until the border is clear or they
    have had as many evaluations as races needed lately. The method is told means. The recommended point is the one
    with the least mean, too, and has another evaluation in every generation, so that a lucky value does not last.

    Args:
        method: any `AskTell` method that asks for generations.
        most: evaluations of one point in one generation at most, default 10; more pays only where budgets are large.
        width: of an interval, standard errors to either side of the mean, default 1.0, so that two neighbours of equal
            mean are not told apart for long.

    Raises:
        InvalidValue: most < 2, or width <= 0.

    >>> from descend.population.snes import SNES
    >>> Racing(SNES(), most=30).most
    30
    """

    method: AskTell[Any]
    most: int = 10
    width: float = 1.0

    def __post_init__(self) -> None:
        asks_for_values(self, "method", self.method)
        whole(self, "most", self.most, 2, 10)
        positive(self, "width", self.width, 1.0)

    @property
    def recommends(self) -> bool:
        return True

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        state = self.method.init(x, key, domain)
        noise, limit = math.nan, 2.0
        top = _Means(x[None])
        while not state.done:
            state, xs = self.method.ask(state)
            if not len(xs):
                break
            race = _Means(xs)
            everybody, rounds = torch.arange(len(xs)), 1
            # the recommended point comes along in the first round
            losses = yield Question(torch.cat([xs, top.points]), top.points[0], top.mean)
            race.add(everybody, losses[:-1])
            top.add(torch.zeros(1, dtype=torch.int64), losses[-1:])
            contested = everybody if math.isnan(noise) else self._open(race, noise)
            while len(contested) and rounds < max(2, round(limit)):
                losses = yield Question(xs[contested], top.points[0], top.mean)
                race.add(contested, losses)
                seen, rounds = race.variance(), rounds + 1
                contested = self._open(race, seen if math.isnan(noise) else _blend(noise, seen))
            limit = min(limit * _ALPHA, self.most) if len(contested) else max(limit / _ALPHA, 2.0)
            noise = _blend(noise, race.variance())
            state = self.method.tell(state, xs, race.means)
            top = _better(top, race, noise, self.width)
        return state.done or "the method has nothing more to ask"

    def _open(self, race: _Means, noise: float) -> Tensor:
        """The places of the points that may belong to the other half than their means say."""
        means, n = race.means, len(race.means)
        if n < 2 or math.isnan(noise):
            return torch.zeros(0, dtype=torch.int64)
        ranked = means.sort().values
        border = (ranked[n // 2 - 1] + ranked[n // 2]) / 2
        near = (means - border).abs() < self.width * (noise / race.counts).sqrt()
        return (near & means.isfinite()).nonzero()[:, 0]


def _blend(noise: float, seen: float) -> float:
    if math.isnan(noise) or math.isnan(seen):
        return seen if math.isnan(noise) else noise
    return _MEMORY * noise + (1 - _MEMORY) * seen


def _better(top: _Means, race: _Means, noise: float, width: float) -> _Means:
    """The recommendation: the best of the race if it is better beyond doubt, else what it was."""
    i = best(race.means)
    sigma2 = 0.0 if math.isnan(noise) else noise
    doubt = width * math.sqrt(sigma2 / float(top.counts[0]) + sigma2 / float(race.counts[i]))
    mean, other = float(top.means[0]), float(race.means[i])
    if not (other < mean - doubt or (not math.isfinite(mean) and math.isfinite(other))):
        return top
    mine = _Means(race.points[i : i + 1].clone())
    mine.sums[0], mine.squares[0], mine.counts[0] = race.sums[i], race.squares[i], race.counts[i]
    return mine
