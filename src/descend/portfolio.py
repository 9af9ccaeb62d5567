"""Which method for which problem, as rows of data: the first row whose condition holds is taken, and says why.

The rows look at what is known before the first evaluation: dimensions, types, budget, workers, noise, and what an
evaluation costs, if somebody says so. It is not measured, or a run that is taken up again might choose another method.
What the losses are like is found out by the method of the last row, `Relay`, which goes on with another one where one
does not pay.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from descend.direct.grid import Grid
from descend.errors import InvalidValue
from descend.key import Key
from descend.model.bayes import Bayes
from descend.model.relay import POINTS_UNDER_NOISE, STEADY, Relay
from descend.population.base import Around, AskTell, check_point, whole
from descend.population.cma import CMAES
from descend.population.cma_rates import default_popsize
from descend.population.differential import DifferentialEvolution
from descend.population.genetic import Genetic
from descend.population.local_search import LocalSearch
from descend.population.restarts import Restarts
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = ["ROWS", "Chosen", "Facts", "Portfolio", "Row", "choose"]

_DEAR = 1.0
"""Seconds from which on an evaluation is dear: a Gaussian process thinks some 0.1 s about each of the first hundred."""
_FEW = 300
"""Evaluations up to which it may: the time grows with the cube of them."""
_COUNTED = 10**6
"""Points beyond which they are countless."""
_MODELLED = 20
"""Dimensions up to which so few evaluations are enough to model a loss."""


@as_state
class Facts:
    """What is known of a problem before anything is evaluated.

    Fields: dim, coordinates; discrete, how many of them have cells, and unordered, how many of these have no order;
    keys, how many of them are keys of a permutation's items, and permutations, how many permutations there are; budget,
    evaluations, or None; workers, how many evaluations run at once; noisy, whether the same point may have another loss
    each time; cost, seconds that an evaluation takes, 0 where nobody says so; points, how many different ones there
    are, 0 if they are countless.
    """

    dim: int
    discrete: int = 0
    unordered: int = 0
    keys: int = 0
    permutations: int = 0
    budget: int | None = None
    workers: int = 1
    noisy: bool = False
    cost: float = 0.0
    points: int = 0

    @staticmethod
    def of(
        domain: Domain, budget: int | None = None, workers: int = 1, noisy: bool = False, cost: float = 0.0
    ) -> "Facts":
        """The facts of a domain."""
        discrete = int((domain.cells > 0).sum())
        keys, permutations = int((domain.orders >= 0).sum()), int(domain.orders.max()) + 1
        unordered, points = int(domain.unordered.sum()), 0 if keys else math.prod(domain.cells.tolist())
        points = points if points <= _COUNTED else 0
        return Facts(domain.dim, discrete, unordered, keys, permutations, budget, workers, noisy, cost, points)

    @property
    def popsize(self) -> int:
        """Points that CMA-ES has in a generation, at least as many as there are workers."""
        return max(default_popsize(self.dim), self.workers)


@dataclass(frozen=True)
class Row:
    """A condition, the method for the problems that meet it, and a sentence that says why.

    The sentence may name the facts: "{discrete} of {dim} coordinates".
    """

    when: Callable[[Facts], bool]
    method: Callable[[Facts], AskTell[Any]]
    why: str


ROWS: tuple[Row, ...] = (
    Row(
        lambda facts: facts.noisy,
        lambda facts: CMAES(popsize=POINTS_UNDER_NOISE * facts.popsize, noise=STEADY),
        "CMA-ES with uncertainty handling and large generations, since the same point may have another loss each time",
    ),
    Row(
        lambda facts: facts.permutations == 1 and facts.keys == facts.dim,
        lambda facts: LocalSearch(),
        "local search by 2-opt and Or-opt with kicks, since a point is one permutation of {keys} items",
    ),
    Row(
        lambda facts: facts.permutations > 0,
        lambda facts: Genetic(),
        "a genetic algorithm, since {keys} of {dim} coordinates belong to permutations",
    ),
    Row(
        lambda facts: 0 < facts.points <= (facts.budget or 0),
        lambda facts: Grid(),
        "every point once, since there are no more than {points} of them for {budget} evaluations",
    ),
    Row(
        lambda facts: (
            facts.cost >= _DEAR and facts.budget is not None and facts.budget <= _FEW and facts.dim <= _MODELLED
        ),
        lambda facts: Bayes(),
        "a Gaussian process, since each of {budget} evaluations takes {cost:g} s, far longer than to think about it",
    ),
    Row(
        lambda facts: facts.unordered > 0,
        lambda facts: DifferentialEvolution(),
        "differential evolution, since {unordered} of {dim} coordinates are choices without an order",
    ),
    Row(
        lambda facts: facts.discrete > 0,
        lambda facts: Restarts(CMAES(popsize=facts.popsize)),
        "CMA-ES with a margin and restarts, since {discrete} of {dim} coordinates are discrete",
    ),
    Row(
        lambda facts: facts.budget is not None and facts.budget < 2 * facts.dim,
        lambda facts: Restarts(CMAES(popsize=facts.popsize)),
        "CMA-ES, since {budget} evaluations are too few for one gradient by differences in {dim} dimensions",
    ),
    Row(
        lambda facts: facts.workers > facts.dim,
        lambda facts: Restarts(CMAES(popsize=facts.popsize)),
        "CMA-ES with restarts, whose generations keep {workers} workers busy",
    ),
    Row(
        lambda facts: True,
        lambda facts: Relay(),
        "quasi-Newton descent, a search along the axes if the function is separable, then surrogate-assisted CMA-ES "
        "with restarts, each from the best point of the one before",
    ),
)
"""The first row whose condition holds is taken; the last one always does."""


def choose(facts: Facts) -> tuple[AskTell[Any], str]:
    """The method for a problem, and a sentence that says why.

    >>> method, why = choose(Facts(dim=3, discrete=2))
    >>> why
    'CMA-ES with a margin and restarts, since 2 of 3 coordinates are discrete'
    """
    row = next(row for row in ROWS if row.when(facts))
    return row.method(facts), row.why.format(**vars(facts))


@as_state
class Chosen(Around):
    """The facts by which a method was chosen, why, and the state of that method, whose fields it shows."""

    facts: Facts
    why: str
    inner: Any

    @property
    def x(self) -> Tensor:
        """The best point (d,), or the recommended one."""
        return self.inner.x

    @property
    def value(self) -> float:
        """Its loss."""
        return self.inner.value

    @property
    def loss(self) -> float:
        """The best of the last answers."""
        return self.inner.loss

    @property
    def rejected(self) -> int:
        """How often all answers were failures."""
        return self.inner.rejected

    @property
    def t(self) -> int:
        """How often it was told."""
        return self.inner.t


@dataclass(frozen=True)
class Portfolio(AskTell[Chosen]):
    """The method that `ROWS` name for a problem; the default of `minimize`.

    Args:
        budget: evaluations, if known; default None. It is no limit, only a fact to choose by.
        workers: >= 1, how many evaluations run at once; default 1.
        noisy: whether the same point may have another loss each time; default no. `Relay` notices by itself, but not
            before its first descent.
        cost: >= 0, the seconds that an evaluation takes, if they are many; default 0, as most take less than a
            millisecond. Where it is a second or more, and the budget at most 300 in at most 20 dimensions, a Gaussian
            process goes through what it has seen before each question. It comes lower than the default on rugged
            functions and in curved valleys, and not as low on smooth bowls.

    The state's `why` says what was chosen, and why.

    Raises:
        InvalidValue: a number outside its range.

    >>> import torch
    >>> state = Portfolio(workers=64).init(torch.zeros(3), Key(0))
    >>> state.why
    'CMA-ES with restarts, whose generations keep 64 workers busy'
    """

    budget: int | None = None
    workers: int = 1
    noisy: bool = False
    cost: float = 0.0

    def __post_init__(self) -> None:
        if self.budget is not None:
            whole(self, "budget", self.budget, 1, 1000)
        whole(self, "workers", self.workers, 1, 4)
        if not isinstance(self.noisy, bool):
            raise InvalidValue(f"noisy is True or False, got {self.noisy!r}; write Portfolio(noisy=True)")
        number = isinstance(self.cost, int | float) and not isinstance(self.cost, bool)
        if not number or not 0 <= self.cost < math.inf:
            raise InvalidValue(f"cost is a number of seconds >= 0, got {self.cost!r}; write Portfolio(cost=60)")

    @property
    def recommends(self) -> bool:
        return self.noisy

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> Chosen:
        domain = check_point(x, domain)
        facts = Facts.of(domain, self.budget, self.workers, self.noisy, float(self.cost))
        method, why = choose(facts)
        return Chosen(facts, why, method.init(x, key, domain))

    def ask(self, state: Chosen, n: int | None = None) -> tuple[Chosen, Tensor]:
        inner, xs = _chosen(state.facts).ask(state.inner, n)
        return Chosen(state.facts, state.why, inner), xs

    def tell(self, state: Chosen, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> Chosen:
        inner = _chosen(state.facts).tell(state.inner, xs, losses, tickets)
        return Chosen(state.facts, state.why, inner)

    def trusts(self, state: Chosen) -> bool:
        return _chosen(state.facts).trusts(state.inner)

    def described(self, state: Chosen) -> str:
        return state.why

    def batch(self, state: Chosen) -> int:
        return _chosen(state.facts).batch(state.inner)


@lru_cache(maxsize=64)
def _chosen(facts: Facts) -> AskTell[Any]:
    return choose(facts)[0]
