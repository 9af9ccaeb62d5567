"""CMA-ES: a normal distribution that learns where better points lie, how far to step, and in which directions.

Hansen 2016, "The CMA Evolution Strategy: A Tutorial" (arXiv:1604.00772); the mathematics is in `cma_update`, the constants
in `cma_rates`, and the covariance, whole, diagonal or of few directions, in `covariance` and `limited_memory`.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import AskTell, check_point, positive, whole
from descend.population.cma_rates import default_popsize
from descend.population.cma_update import Gaussian, begin, draw, learn, shortened
from descend.population.covariance import Covariance, Full, Separable
from descend.population.normals import normals
from descend.population.shaping import settled
from descend.population.termination import Stops, Trace
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = ["CMAES", "CMAState"]

FAMILIES: dict[str, Covariance[Any]] = {"full": Full(), "separable": Separable()}


@as_state
class CMAState:
    """Where CMA-ES stands: the fields of `Search`, and those that follow.

    Fields: gauss, the search distribution; trace, the losses of late; waiting_xs (k, d) and waiting_losses (k,), answers
    that are not yet a generation.
    """

    x: Tensor
    value: float
    loss: float
    rejected: int
    t: int
    asked: int
    key: Key
    domain: Domain
    done: str
    gauss: Gaussian
    trace: Trace
    waiting_xs: Tensor
    waiting_losses: Tensor


@dataclass(frozen=True)
class CMAES(AskTell[CMAState]):
    """Covariance matrix adaptation. The method of choice for rugged, ill-conditioned, non-separable functions.

    Args:
        sigma: > 0, the first standard deviation in units of the domain's typical lengths; default 0.2 where the domain
            is bounded, so that a box is about 5 of them wide, and 0.3 elsewhere.
        popsize: points of a generation, >= 2; default 4 + 3 ln d. More of them make the search more global and slower.
        covariance: "full", "separable", or a `Covariance`.
        active: whether the worse half of a generation teaches too, by negative weights; default yes.
        elitist: whether the best point so far takes part in every generation; default no.
        stops: when there is nothing more to find.
    """

    sigma: float | None = None
    popsize: int | None = None
    covariance: str | Covariance[Any] = "full"
    active: bool = True
    elitist: bool = False
    stops: Stops = field(default_factory=Stops)

    def __post_init__(self) -> None:
        if self.sigma is not None:
            positive(self, "sigma", self.sigma, 0.3)
        if self.popsize is not None:
            whole(self, "popsize", self.popsize, 2, 20)
        if not isinstance(self.covariance, Covariance) and self.covariance not in FAMILIES:
            names = ", ".join(map(repr, FAMILIES))
            raise InvalidValue(f"covariance is one of {names}, or a Covariance, got {self.covariance!r}")

    @property
    def family(self) -> Covariance[Any]:
        """The covariance as an object."""
        return FAMILIES[self.covariance] if isinstance(self.covariance, str) else self.covariance

    def batch(self, state: CMAState) -> int:
        return self.popsize or default_popsize(state.x.shape[0])

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> CMAState:
        return self.start(x, key, domain)

    def start(
        self,
        x: Tensor,
        key: Key,
        domain: Domain | None = None,
        sigma: float | None = None,
        covariance: Tensor | None = None,
    ) -> CMAState:
        """As `init`, with what is known of the distribution.

        Args:
            x: (d,), the first mean.
            key: of everything random.
            domain: where points may lie.
            sigma: > 0, in units of the domain's typical lengths; default the method's.
            covariance: (d, d), of the coordinates in units of these lengths; default the identity.
        """
        domain = check_point(x, domain)
        if sigma is None:
            sigma = self.sigma or (0.2 if domain.bounded else 0.3)
        gauss = begin(x.clone(), sigma, domain.scale.clone(), self.family, covariance)
        trace = Trace((), (), (), sigma)
        nothing = torch.empty(0, dtype=torch.float64)
        nan = math.nan
        return CMAState(x, nan, nan, 0, 0, 0, key, domain, "", gauss, trace, x[None][:0], nothing)

    def ask(self, state: CMAState, n: int | None = None) -> tuple[CMAState, Tensor]:
        n = self.batch(state) if n is None else n
        z = normals(state.key, state.asked, n, state.gauss.mean)
        xs = draw(state.gauss, self.family, z)
        domain = state.domain
        if domain.bounded:
            inside = domain.clip(xs)
            if not torch.equal(inside, xs):
                xs = domain.mirror(xs)
        state = CMAState(
            state.x,
            state.value,
            state.loss,
            state.rejected,
            state.t,
            state.asked + n,
            state.key,
            domain,
            state.done,
            state.gauss,
            state.trace,
            state.waiting_xs,
            state.waiting_losses,
        )
        return state, xs

    def tell(self, state: CMAState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> CMAState:
        losses = settled(losses)
        told = losses.tolist()
        least = min(told)
        if least < state.value or (math.isnan(state.value) and least < math.inf):
            x, value = xs[told.index(least)].clone(), least
        else:
            x, value = state.x, state.value
        rejected = state.rejected + (least == math.inf)
        if tickets is not None and bool((tickets < 0).any()):
            away = (tickets < 0).nonzero()[:, 0].to(xs.device)
            xs = xs.index_copy(0, away, shortened(state.gauss, self.family, xs[away]))
        if len(state.waiting_losses):
            xs, losses = torch.cat((state.waiting_xs, xs)), torch.cat((state.waiting_losses, losses))
            told = losses.tolist()
        gauss, trace, done = state.gauss, state.trace, state.done
        waiting_xs, waiting_losses = xs, losses
        if len(told) >= self.batch(state):
            gauss, trace, done = self._learn(state, xs, losses, told)
            waiting_xs, waiting_losses = xs[:0], losses[:0]
        return CMAState(
            x,
            value,
            least if least < math.inf else math.nan,
            rejected,
            state.t + 1,
            state.asked,
            state.key,
            state.domain,
            done,
            gauss,
            trace,
            waiting_xs,
            waiting_losses,
        )

    def _learn(self, state: CMAState, xs: Tensor, losses: Tensor, told: list[float]) -> tuple[Gaussian, Trace, str]:
        family, gauss, n = self.family, state.gauss, len(told)
        # NumPy's sort: losses are on the CPU, and it is the quicker one for so few
        order = torch.from_numpy(losses.numpy().argsort(kind="stable"))
        ranked = sorted(told)
        if ranked[0] < math.inf:
            best_first = xs.index_select(0, order if xs.is_cpu else order.to(xs.device))
            if self.elitist and state.value < ranked[0]:
                best_first = torch.cat((shortened(gauss, family, state.x[None]), best_first[:-1]))
            gauss = learn(gauss, family, family.rates(n, gauss.mean, self.active), best_first)
        trace, why = self.stops.watch(state.trace, ranked, gauss, family)
        return gauss, trace, state.done or why
