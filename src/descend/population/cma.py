"""CMA-ES: a normal distribution that learns where better points lie, how far to step, and in which directions.

Hansen 2016, "The CMA Evolution Strategy: A Tutorial" (arXiv:1604.00772); active: Jastrebski and Arnold 2006, "Improving
evolution strategies through active covariance matrix adaptation". The mathematics is in `cma_update`, the constants in
`cma_rates`, the covariance in `covariance`, `restricted` and `limited_memory`, the edges of the domain in `repair` and
`margin`.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, positive, whole
from descend.population.cma_rates import default_popsize
from descend.population.cma_update import Gaussian, begin, draw, learn, shortened
from descend.population.covariance import Covariance, Full, Separable
from descend.population.learning_rate import Signal, slowed
from descend.population.limited_memory import LimitedMemory
from descend.population.margin import keep_alive, read
from descend.population.normals import normals
from descend.population.repair import ranking, spread
from descend.population.restricted import Restricted
from descend.population.shaping import settled
from descend.population.termination import Stops, Trace
from descend.population.uncertainty import Uncertainty
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = ["CMAES", "CMAState"]

_FAMILIES: dict[str, Covariance[Any]] = {
    "full": Full(),
    "separable": Separable(),
    "restricted": Restricted(),
    "limited": LimitedMemory(),
}
_PENDING = 8
"""Generations for which a point is remembered as it was drawn; a later answer is learned from as it was evaluated."""


@as_state
class CMAState(Searching):
    """Where CMA-ES stands: the fields of `Search`, and those that follow.

    Fields:
        gauss: the search distribution. trace: the losses of late. stretch (d,): of discrete coordinates, see `margin`.
        spreads: how far losses lay apart of late, where the domain is bounded, see `repair`.
        drawn: (m, d), the last m questions as they were drawn, where that is not how they were asked.
        waiting_xs, waiting_losses: (k, d), (k,), answers that are not yet a generation. signal: that of `lr_adapt`.
    """

    gauss: Gaussian
    trace: Trace
    stretch: Tensor
    spreads: tuple[float, ...]
    drawn: Tensor
    waiting_xs: Tensor
    waiting_losses: Tensor
    signal: Signal | None


@dataclass(frozen=True)
class CMAES(AskTell[CMAState]):
    """Covariance matrix adaptation: the method of choice for rugged, ill-conditioned, non-separable functions.

    It compares losses only, so that any increasing function of them leads to the same points; but for a bounded domain,
    where the weight of a penalty on points beyond the edge follows the interquartile range of the losses.

    Args:
        sigma: > 0, the first standard deviation in units of the domain's typical lengths; default 0.2 where the domain
            is bounded, so that a box is five of them wide, and 0.3 elsewhere. Too small costs more than too large.
        popsize: points of a generation, >= 2; default 4 + 3 ln d. More make the search more global, and slower.
        covariance: "full", "separable", "restricted" (scales and a few directions, for hundreds of dimensions) or
            "limited" (for thousands), or a `Covariance`.
        active: whether the worse half of a generation teaches too, by negative weights; default yes.
        elitist: whether the best point so far takes part in every generation; default no: it finds worse minima.
        lr_adapt: whether learning rates adapt to the signal, for noisy or very rugged functions; it takes more
            evaluations of smooth ones. Full covariance only.
        noise: `Uncertainty()` where the same point has another loss each time: some points are asked twice, and the
            recommended point is the mean of the distribution, not the luckiest one.
        stops: when there is nothing more to find, see `Stops`.

    Discrete coordinates keep a margin by themselves (Hamano et al. 2022), see `margin`.

    Raises:
        InvalidValue: a hyperparameter that cannot mean anything.
        CompositionError: lr_adapt without a full covariance, or elitist with noise.

    >>> x = torch.tensor([3.0, -1.0], dtype=torch.float64)
    >>> method = CMAES()
    >>> state = method.init(x, Key(0))
    >>> for _ in range(80):
    ...     state, xs = method.ask(state)
    ...     state = method.tell(state, xs, (xs**2).sum(1))
    >>> state.value < 1e-8
    True
    """

    sigma: float | None = None
    popsize: int | None = None
    covariance: str | Covariance[Any] = "full"
    active: bool = True
    elitist: bool = False
    lr_adapt: bool = False
    noise: Uncertainty | None = None
    stops: Stops = field(default_factory=Stops)

    def __post_init__(self) -> None:
        if self.sigma is not None:
            positive(self, "sigma", self.sigma, 0.3)
        if self.popsize is not None:
            whole(self, "popsize", self.popsize, 2, 20)
        if not isinstance(self.covariance, Covariance) and self.covariance not in _FAMILIES:
            names = ", ".join(map(repr, _FAMILIES))
            raise InvalidValue(f"covariance is one of {names}, or a Covariance, got covariance={self.covariance!r}")
        if self.lr_adapt and self.covariance != "full" and not isinstance(self.covariance, Full):
            raise CompositionError(
                f"lr_adapt compares whole matrices, but covariance={self.covariance!r} has none; "
                "write covariance='full', or leave out lr_adapt"
            )
        if self.elitist and self.noise is not None:
            raise CompositionError("elitist keeps the luckiest point where losses are noisy; leave out one of the two")

    @property
    def family(self) -> Covariance[Any]:
        """The covariance as an object."""
        if self.lr_adapt:
            return Full(patience=0.0)
        return _FAMILIES[self.covariance] if isinstance(self.covariance, str) else self.covariance

    @property
    def recommends(self) -> bool:
        return self.noise is not None

    def batch(self, state: CMAState) -> int:
        n = self._points(state)
        return n if self.noise is None else n + self.noise.again(n)

    def _points(self, state: CMAState) -> int:
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
            domain: where points may lie; default everywhere, 1 being a typical length.
            sigma: > 0, in units of the domain's typical lengths; default the method's.
            covariance: (d, d), of the coordinates in units of these lengths; default the identity.

        Raises:
            ShapeMismatch, InvalidValue: x or the covariance has another shape, or cannot mean anything.
        """
        domain = check_point(x, domain)
        if sigma is None:
            sigma = self.sigma or (0.2 if domain.bounded else 0.3)
        gauss = begin(x.clone(), sigma, domain.scale.clone(), self.family, covariance)
        trace = Trace((), 0, (), (), sigma)
        none, signal = x[None][:0], Signal.begin(x) if self.lr_adapt else None
        waiting = torch.empty(0, dtype=torch.float64)
        stretch, nan = torch.ones_like(x), math.nan
        return CMAState(
            x, nan, nan, 0, 0, 0, key, domain, "", gauss, trace, stretch, (), none, none, waiting, signal
        )  # fmt: skip

    def ask(self, state: CMAState, n: int | None = None) -> tuple[CMAState, Tensor]:
        gauss, domain, drawn = state.gauss, state.domain, state.drawn
        n = self.batch(state) if n is None else n
        xs = draw(gauss, self.family, normals(state.key, state.asked, n, gauss.mean))
        if domain.bounded or self.noise is not None:
            drawn = torch.cat((drawn, xs)) if drawn.shape[0] else xs
            if self.noise is not None:
                self.noise.repeated(drawn, n, state.asked, self._points(state))
                xs = drawn[drawn.shape[0] - n :]
            pending = max(n, _PENDING * self.batch(state))
            drawn = drawn if drawn.shape[0] <= pending else drawn[-pending:]
            xs = read(gauss, domain, state.stretch, xs) if domain.bounded else xs.clone()
        after = CMAState(
            state.x, state.value, state.loss, state.rejected, state.t, state.asked + n, state.key, domain, state.done,
            gauss, state.trace, state.stretch, state.spreads, drawn, state.waiting_xs, state.waiting_losses,
            state.signal,
        )  # fmt: skip
        return after, xs

    def tell(self, state: CMAState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> CMAState:
        told = losses.tolist()
        if not all(map(math.isfinite, told)):
            losses = settled(losses)
            told = losses.tolist()
        least, x, value, rejected = min(told), state.x, state.value, state.rejected
        if least == math.inf:
            rejected += 1
        elif not least >= value and self.noise is None:
            x, value = xs[told.index(least)].clone(), least
        drawn = state.drawn
        xs = self._as_drawn(state, xs, tickets)
        if tickets is None and drawn.shape[0] == xs.shape[0]:
            drawn = drawn[:0]
        if state.waiting_losses.shape[0]:
            xs, losses = torch.cat((state.waiting_xs, xs)), torch.cat((state.waiting_losses, losses))
            told = losses.tolist()
        gauss, trace, done, stretch, signal = state.gauss, state.trace, state.done, state.stretch, state.signal
        spreads = state.spreads
        if len(told) >= self.batch(state):
            ranked = sorted(told)
            if state.domain.bounded:
                spreads = spread(spreads, ranked, xs.shape[1])
            gauss, trace, why, stretch, signal = self._learn(state, xs, losses, ranked, spreads)
            done = done or why
            if state.waiting_losses.shape[0]:
                xs, losses = xs.new_empty(0, xs.shape[1]), losses.new_empty(0)
            else:
                xs, losses = state.waiting_xs, state.waiting_losses
            if self.noise is not None:
                x = read(gauss, state.domain, stretch, gauss.mean)
        else:  # they wait, and the caller's memory is not ours
            xs, losses = xs.clone(), losses.clone()
        return CMAState(
            x, value, math.nan if least == math.inf else least, rejected, state.t + 1, state.asked, state.key,
            state.domain, done, gauss, trace, stretch, spreads, drawn, xs, losses, signal,
        )  # fmt: skip

    def _as_drawn(self, state: CMAState, xs: Tensor, tickets: Tensor | None) -> Tensor:
        """The points (n, d) as they were drawn; those that were not, as near as they can be learned from."""
        drawn, m = state.drawn, state.drawn.shape[0]
        if tickets is None:
            return drawn[m - xs.shape[0] :] if m >= xs.shape[0] else xs
        gauss = state.gauss
        tickets = tickets.to(xs.device)
        unread = torch.addcdiv(gauss.mean, xs - gauss.mean, state.stretch)
        places = tickets - (state.asked - m)
        known = (tickets >= 0) & (places >= 0)
        xs = torch.where(known[:, None], drawn[places.clamp(0, m - 1)], unread) if m else unread
        strange = tickets < 0
        old = strange | (tickets < state.asked - max(self.batch(state), xs.shape[0]))
        if not bool(old.any()):
            return xs
        xs = torch.where(old[:, None], shortened(gauss, self.family, xs), xs)
        late = (old & ~strange).nonzero()[:, 0]
        if self.noise is None and late.shape[0]:
            # Where they were drawn is far from a distribution that has moved on, and taking them for steps from there
            # blows it up. What they say of their direction still holds: they count as if they were drawn now.
            z = torch.cat([normals(state.key, ticket, 1, xs[0]) for ticket in tickets[late].tolist()])
            xs = xs.index_copy(0, late, draw(gauss, self.family, z))
        return xs

    def _learn(
        self, state: CMAState, xs: Tensor, losses: Tensor, ranked: list[float], spreads: tuple[float, ...]
    ) -> tuple[Gaussian, Trace, str, Tensor, Signal | None]:
        """What a generation of points (n, d), as they were drawn, teaches."""
        family, gauss, stretch, signal, d = self.family, state.gauss, state.stretch, state.signal, xs.shape[1]
        if ranked[0] < math.inf:
            growth = 1.0
            if self.noise is None:
                order = torch.from_numpy(ranking(gauss, family, state.domain, xs, losses, spreads))
            else:
                order, growth = self.noise.order(gauss, family, state.domain, xs, losses)
            best_first = xs.index_select(0, order if xs.is_cpu else order.to(xs.device))
            if self.elitist and state.value < ranked[0]:
                best_first = torch.cat((shortened(gauss, family, state.x[None]), best_first[:-1]))
            rates = family.rates(best_first.shape[0], gauss.mean, self.active)
            if signal is None:
                gauss = learn(gauss, family, rates, best_first)
            else:
                matrix = gauss.held.matrix.clone()
                gauss, signal = slowed(gauss, matrix, learn(gauss, family, rates, best_first), signal)
            if growth > 1:
                gauss = replace(gauss, sigma=gauss.sigma * growth)
            if state.domain.discrete:
                deviations = family.deviations(gauss.held)
                mean, stretch = keep_alive(gauss, deviations, state.domain, stretch, 1 / (d * rates.n))
                gauss = replace(gauss, mean=mean)
        slow = signal is not None or self.noise is not None
        trace, why = self.stops.watch(state.trace, ranked, gauss, family, slow, state.domain.discrete)
        return gauss, trace, why, stretch, signal
