"""A relay of searches: the quickest that may do begins, and each hands on the best point when it has stopped paying.

1. Quasi-Newton descent (`secant`) from the better of the start and the middle of the box: for what is smooth.
2. If the effects of coordinates add up (`axes`), a global search along every axis.
3. CMA-ES with a quadratic model (`surrogate`) from the best point, then restarts without one and with twice as many
   points each time (IPOP), some of them small with smaller steps (BIPOP), and between them descents from random points.

The order is that of HCMA (Loshchilov, Schoenauer and Sebag 2013, "Bi-population CMA-ES algorithms with surrogate
models and line searches"), which has NEWUOA where we have differences. A loss that answers the same point differently
is noisy: from then on CMA-ES with uncertainty handling goes on alone, and recommends a mean.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.model.archive import Archive
from descend.model.axes import search_axes, separable
from descend.model.secant import Secant
from descend.model.surrogate import SurrogateSearch
from descend.population.cma import CMAES
from descend.population.cma_rates import default_popsize
from descend.population.conversation import Conversation, Question, Turns
from descend.population.uncertainty import Uncertainty
from descend.space.domain import Domain

__all__ = ["Relay"]

_SIGMA = 0.2
"""The first standard deviation of a run, in typical lengths."""
_WIDER = 2
"""Points of the first run's generations, in terms of the usual number: what comes to it is no smooth bowl."""
POINTS_UNDER_NOISE = 2
"""Points of a generation where losses are noisy, in terms of the usual number. Three times as many gain no more."""
STEADY = Uncertainty(growth=1.0)
"""Points are asked twice and ranked by both losses, but steps do not grow: as generations are large and recombination
averages, growth costs more than it gains. Measured on BBOB functions 1, 8, 10, 14, 17 and 21, d = 5 and 10, with
g exp(N), Cauchy and additive noise: more targets are met in all of them but the last, where it is a draw."""
_SMALL = 3
"""Large runs get so many times the evaluations of small ones."""


@dataclass(frozen=True)
class Relay(Conversation):
    """The default for continuous problems: descent, axes, surrogate-assisted CMA-ES with restarts, each in its turn.

    Args:
        descents: in [0, 1), the part of the evaluations that descents from random points get once restarts have
            begun; default 1/3. They find the best of a few wide basins.

    It never ends by itself. A first gradient takes d evaluations, so it wants a budget of 5 d at least.

    Raises:
        InvalidValue: descents is no such fraction.

    >>> import torch
    >>> from descend.oracle import Function
    >>> method, f = Relay(), Function(lambda x: (x**2 - 10 * torch.cos(2 * torch.pi * x) + 10).sum())
    >>> x = torch.tensor([2.2, -1.7], dtype=torch.float64)
    >>> state = method.init(x, Key(0), Domain.box(x - 6, x + 7))
    >>> for _ in range(150):
    ...     state = method.advance(f, state)
    >>> state.value < 1e-8
    True
    """

    descents: float = 1 / 3

    def __post_init__(self) -> None:
        if not 0 <= self.descents < 1:
            raise InvalidValue(f"descents is a fraction in [0, 1), got {self.descents!r}; write Relay(descents=1/3)")

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        archive = Archive(x, domain)
        descent = yield from self._first(archive)
        smooth = descent is not None and descent.steps > 0
        if archive.best < math.inf:
            if (yield from _answers_twice(archive)):
                return (yield from _noisy(archive, domain, key.fold("noisy")))
            if (yield from separable(archive, archive.at_best, archive.best, key.fold("separable"))):
                yield from search_axes(archive, archive.at_best, archive.best)
        return (yield from self._restarts(archive, key, smooth))

    def _first(self, archive: Archive) -> Generator[Tensor, Tensor, Secant | None]:
        """The first descent, unless every evaluation to begin at has failed."""
        yield from archive.ask(archive.at_best[None])
        if archive.bounded:
            yield from archive.ask((archive.lower + archive.upper)[None] / 2)
        if archive.best == math.inf:
            return None
        descent = Secant(archive, archive.at_best, archive.best)
        yield from descent.turns()
        return descent

    def _restarts(self, archive: Archive, key: Key, smooth: bool) -> Turns:
        """Runs of CMA-ES, and descents from random points where the first one has found slopes."""
        usual = _WIDER * default_popsize(archive.dim)
        large = usual
        spent = {"large": 0, "small": 0, "descents": archive.n}
        k = 0
        while True:
            run, before = key.fold("run", k), archive.n
            kind = "large" if k == 0 or spent["large"] <= _SMALL * spent["small"] else "small"
            popsize, sigma = large, _SIGMA
            if kind == "large":
                large *= 2
            else:
                u, v = run.fold("small").uniform(2, like=archive.lower).tolist()
                popsize, sigma = max(4, int(usual / 2 * (large / usual / 2) ** u**2)), _SIGMA * 10 ** (-2 * v)
            begin = archive.at_best if k == 0 else self._somewhere(archive, run)
            modelled = smooth and k == 0
            yield from SurrogateSearch(archive, begin, sigma, popsize, run.fold("search"), modelled).turns()
            spent[kind] += archive.n - before
            i = 0
            while smooth and spent["descents"] < self.descents * archive.n:
                before = archive.n
                _, losses = yield from archive.ask(self._somewhere(archive, run.fold("descent", i))[None])
                if losses[0] < math.inf:
                    yield from Secant(archive, archive.points[-1].clone(), float(losses[0])).turns()
                spent["descents"] += archive.n - before
                i += 1
            k += 1

    @staticmethod
    def _somewhere(archive: Archive, key: Key) -> Tensor:
        return archive.inner(key.fold("start").uniform(archive.dim, like=archive.lower))


def _answers_twice(archive: Archive) -> Generator[Tensor, Tensor, bool]:
    """Whether the loss of the best point is another one the second time."""
    best = archive.best
    _, losses = yield from archive.ask(archive.at_best[None])
    return not abs(float(losses[0]) - best) <= math.sqrt(archive.eps) * abs(best)


def _noisy(archive: Archive, domain: Domain, key: Key) -> Turns:
    """CMA-ES that asks some points twice, begun again with twice as many points whenever it ends."""
    popsize = POINTS_UNDER_NOISE * default_popsize(archive.dim)
    x, k = archive.outside(archive.at_best), 0
    while True:
        method = CMAES(popsize=popsize, noise=STEADY)
        state = method.init(x, key.fold(k), domain)
        while not state.done:
            state, xs = method.ask(state)
            losses = yield Question(xs, state.x, state.value)
            state = method.tell(state, xs, losses)
        popsize, k, x = 2 * popsize, k + 1, state.x
