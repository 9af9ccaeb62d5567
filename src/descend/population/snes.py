"""A normal distribution with one length per coordinate follows the natural gradient of its expected rank utility.

Schaul, Glasmachers, Schmidhuber (2011), "High dimensions and heavy tails for natural evolution
strategies"; constants of Wierstra et al. (2014), "Natural evolution strategies", table 1. Symbols: mu = `mean`,
sigma = `sigma`, s_i = rows of `z`, u = `u`, eta_sigma = `rate`.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.key import Key
from descend.population.base import check_point, positive
from descend.population.cma_rates import default_popsize
from descend.population.sampling import (
    Cloud,
    Sampler,
    check_popsize,
    check_spread,
    collapsed,
    drawn,
    first_spread,
    kept,
    put,
    shared_by_rank,
    shortened,
    spread_limits,
    unmoved,
    utilities,
)
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["SNES", "SNESState"]


@state
class SNESState(Cloud):
    """sigma (d,): the standard deviations; limits (2, d): between which they stay."""

    sigma: Tensor
    limits: Tensor


@dataclass(frozen=True)
class SNES(Sampler[SNESState]):
    """Separable natural evolution strategies, for many dimensions that are scaled differently but not rotated.

    A generation costs O(n d), with no d x d matrix: a thousand coordinates are nothing. On a rotated valley `XNES`
    or `CRFMNES` are much quicker.

    Args:
        popsize: n >= 2 points a generation; default 4 + floor(3 log d), which suits smooth functions. More against
            noise and local minima.
        sigma: > 0, the first standard deviation in typical lengths of the domain; default 0.2 between two sides,
            else 0.3.
        rate: > 0, how fast sigma learns; default (3 + log d) / (5 sqrt d). Smaller is slower and steadier.
        noisy: whether losses are noisy: then the mean is recommended instead of the best point seen.

    Told fewer than n answers at once, it learns the slower in proportion.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.oracle import Function
    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: ((x - 3) ** 2 * torch.arange(1, 11)).sum()
    >>> minimize(f, torch.zeros(10), method=SNES(), until=Evaluations(3000), key=0).fun < 1e-6
    True
    """

    popsize: int | None = None
    sigma: float | None = None
    rate: float | None = None
    noisy: bool = False

    def __post_init__(self) -> None:
        check_popsize(self, self.popsize)
        check_spread(self, self.sigma)
        if self.rate is not None:
            positive(self, "rate", self.rate, 0.1)

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> SNESState:
        domain = check_point(x, domain)
        limits = spread_limits(domain)
        sigma = first_spread(domain, self.sigma).clamp(*limits)
        nan = math.nan
        return SNESState(domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", x.clone(), None, 0, None, sigma, limits)

    def batch(self, state: SNESState) -> int:
        return self.popsize or default_popsize(state.mean.numel())

    def ask(self, state: SNESState, n: int | None = None) -> tuple[SNESState, Tensor]:
        n = self.batch(state) if n is None else n
        z = drawn(state.key.fold("ask", state.asked), state.noise, n, state.mean)
        xs = torch.addcmul(state.mean, state.sigma, z)
        return put(state, z, xs, self.batch(state))

    def tell(self, state: SNESState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> SNESState:
        n, d, z = len(xs), state.mean.numel(), state.noise
        if z is None or not kept(state, n, tickets):
            z = (unmoved(state, xs, tickets) - state.mean) / state.sigma
            z = shortened(state, z, tickets)
        u = shared_by_rank(utilities(n), losses).to(z)
        part = min(1.0, n / self.batch(state))
        rate = part * (self.rate or (3 + math.log(d)) / (5 * math.sqrt(d)))
        mean = state.domain.clip(torch.addcmul(state.mean, state.sigma, u @ z, value=part))
        # the utilities sum to zero, so the -1 of s^2 - 1 drops out
        sigma = (state.sigma * (u @ z.square_()).mul_(rate / 2).clamp_(-2, 2).exp_()).clamp_(*state.limits)
        at = self.concluded(state, xs, losses, mean)
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, mean=mean, fresh=0,
            done=collapsed(mean, sigma, state.domain.scale), sigma=sigma,
        )  # fmt: skip
