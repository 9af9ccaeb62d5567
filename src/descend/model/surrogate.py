"""CMA-ES in which a quadratic model stands in for most evaluations, as long as it ranks points as the loss does.

lq-CMA-ES, Hansen 2019, "A global surrogate assisted CMA-ES" (GECCO): of every generation the points that the model
likes best are evaluated, one, then more, until the model ranks the last evaluated points as their losses do (Kendall's
tau >= 0.85); the others get the model's losses. The minimum of the model takes part in the next generation.

What is ours: where generations have had to be evaluated wholly for long, the model is asked in every eighth one only,
and where many losses are equal, as on plateaus, not at all. Beyond an edge the nearest point inside is asked; the
distribution learns from the points as they were drawn, ranked with a penalty (`_repaired`).
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.key import Key
from descend.model.archive import Archive, Phase
from descend.model.quadratic import QuadraticModel, agreement
from descend.population.base import positive, whole
from descend.population.cma import CMAES
from descend.population.cma_rates import default_popsize
from descend.population.cma_update import draw, learn, shortened
from descend.population.conversation import Conversation, Turns
from descend.population.covariance import Covariance, Full, Separable, Whole
from descend.population.normals import normals
from descend.population.shaping import order
from descend.population.termination import Stops
from descend.space.domain import Domain

__all__ = ["SurrogateCMAES", "SurrogateSearch"]

_TRUSTED = 0.85
"""Kendall's tau from which on the model is believed."""
_USELESS = 0.92
"""The evaluated part of the generations of late from which on the model is rarely asked."""
_PAUSE = 8
_LARGEST_FULL = 200
"""The dimension up to which the covariance is whole, and a model is tried; beyond, it is a diagonal."""
_STOPS = Stops()


class SurrogateSearch:
    """One run of CMA-ES, as a phase of a search.

    Args:
        archive: that of the search.
        mean: (d,), where it begins, in the archive's coordinates.
        sigma: > 0, the first standard deviation, in typical lengths.
        popsize: points of a generation, >= 2.
        key: of everything random.
        modelled: whether a model stands in for evaluations.

    Fields: gauss, the distribution; evaluated, the part of the points that were evaluated of late.
    """

    def __init__(
        self, archive: Archive, mean: Tensor, sigma: float, popsize: int, key: Key, modelled: bool = True
    ) -> None:
        self.archive, self._n, self._key = archive, popsize, key
        small = archive.dim <= _LARGEST_FULL
        self._family: Covariance[Any] = Full() if small else Separable()
        begun = CMAES(sigma, popsize, self._family).init(
            archive.clip(mean), key, Domain.box(archive.lower, archive.upper, archive.unit)
        )
        self.gauss, self._trace = begun.gauss, begun.trace
        self._rates = self._family.rates(popsize, mean, True)
        self._model = QuadraticModel(archive.dim) if modelled and small else None
        self._level, self.evaluated, self._t = 0, 0.3, 0
        self._guest: Tensor | None = None

    def turns(self) -> Phase:
        """Go on until nothing is left to find."""
        asked = 0
        while True:
            xs = draw(self.gauss, self._family, normals(self._key, asked, self._n, self.gauss.mean))
            asked += self._n
            if self._guest is not None:
                xs = torch.cat((shortened(self.gauss, self._family, self._guest[None]), xs[1:]))
                self._guest = None
            losses = yield from self._losses(self.archive.clip(xs))
            ranked = sorted(losses.tolist())
            if ranked[0] < math.inf:
                places = order(self._repaired(xs, losses))
                self.gauss = learn(self.gauss, self._family, self._rates, xs[places])
            self._t += 1
            self._trace, why = _STOPS.watch(self._trace, ranked, self.gauss, self._family)
            if why:
                return why

    def _repaired(self, xs: Tensor, losses: Tensor) -> Tensor:
        """What the points (n, d) as they were drawn are ranked by: the ranks of their losses at the nearest points
        inside, from 0 to 1, and half the mean square of how far outside they lie, in standard deviations."""
        outside = xs - self.archive.clip(xs) if self.archive.boxed else None
        if outside is None or not bool(outside.any()):
            return losses
        deviations = self._family.deviations(self.gauss.held) * self.gauss.sigma
        ranks = (losses[:, None] > losses).double().mean(1)
        return torch.where(losses.isfinite(), ranks + 0.5 * (outside / deviations).square().mean(1), math.inf)

    def _losses(self, us: Tensor) -> Generator[Tensor, Tensor, Tensor]:
        """The losses (n,) of a generation (n, d), some of them the model's."""
        model, n = self._model, self._n
        if model is None:
            return (yield from self.archive.ask(us))[1]
        losses = torch.full((n,), math.nan, dtype=torch.float64)
        whitening = self._whitening()
        wanted = self._first(model)
        likes = order(model(us)) if model.ready else torch.arange(n)
        while True:
            waiting = likes[losses[likes].isnan()]
            chosen = waiting[: wanted - (n - len(waiting))]
            asked, answers = yield from self.archive.ask(us[chosen])
            losses[chosen] = answers
            model.tell(asked, answers)
            done = n - len(waiting) + len(chosen)
            if done >= n:
                break
            model.fit(self.gauss.mean, whitening)
            if self._believes(model, done):
                break
            likes = order(model(us)) if model.ready else likes
            wanted = min(n, done + math.ceil(done / 2))
        self.evaluated += 0.1 * (done / n - self.evaluated)
        if done < n:
            guessed, known = model(us), float(losses[~losses.isnan()].min())
            losses = guessed - guessed.min() + known
            self._guest = model.minimum()
        return losses

    def _first(self, model: QuadraticModel) -> int:
        """How many points to evaluate before the model is asked."""
        n, d = self._n, self.archive.dim
        if model.level != self._level:  # a richer model deserves a new chance
            self._level, self.evaluated = model.level, 0.3
        late = model.losses[-2 * d :]
        flat = len(model.losses) > 2 * d and len(late.unique()) < 1.8 * d
        if flat or (self.evaluated > _USELESS and self._t % _PAUSE):
            return n
        least = 1 + max(int(0.02 * n), 4 - len(model.losses), 0)
        usual = int(0.5 * self.evaluated * n) if self.evaluated > 0.3 else 1
        return min(n, max(least, usual))

    def _believes(self, model: QuadraticModel, done: int) -> bool:
        m = min(len(model.losses), max(15, int(min(1.2 * done, 0.75 * self._n))))
        return m >= 3 and agreement(model.losses[-m:], model(model.points[-m:])) >= _TRUSTED

    def _whitening(self) -> Tensor:
        """(d, d): white coordinates are this times the distance from the mean."""
        held: Whole = self.gauss.held
        return (held.vectors / (held.roots * self.gauss.sigma)).T


@dataclass(frozen=True)
class SurrogateCMAES(Conversation):
    """lq-CMA-ES: far fewer evaluations than CMA-ES where the loss is nearly quadratic, about as many where it is not.

    Args:
        sigma: > 0, the first standard deviation in typical lengths of the domain; default 0.2.
        popsize: points of a generation, >= 2; default 4 + 3 ln d.

    It asks for a few points at a time, since the model learns from each. For d > 45 the model is diagonal. As long as
    it is used it takes most of a millisecond an evaluation, so this is for losses that take longer.

    Raises:
        InvalidValue: a hyperparameter that cannot mean anything.

    >>> from descend.oracle import Function
    >>> method, f = SurrogateCMAES(), Function(lambda x: (x[0] - 3) ** 2 + 100 * (x[1] - x[0]) ** 2)
    >>> state = method.init(torch.tensor([0.0, 1.0], dtype=torch.float64), Key(0))
    >>> for _ in range(60):
    ...     state = method.advance(f, state)
    >>> state.value < 1e-8
    True
    """

    sigma: float = 0.2
    popsize: int | None = None

    def __post_init__(self) -> None:
        positive(self, "sigma", self.sigma, 0.2)
        if self.popsize is not None:
            whole(self, "popsize", self.popsize, 2, 20)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        archive = Archive(x, domain)
        popsize = self.popsize or default_popsize(x.numel())
        search = SurrogateSearch(archive, archive.at_best, self.sigma, popsize, key)
        return (yield from search.turns())
