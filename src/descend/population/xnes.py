"""A normal distribution with full covariance follows the natural gradient, in coordinates where that is exponential.

Glasmachers, Schaul, Sun, Wierstra, Schmidhuber (2010), "Exponential natural evolution strategies";
constants of Wierstra et al. (2014), "Natural evolution strategies", table 1. Symbols: mu = `mean`, sigma = `sigma`,
B = `shape` with det B = 1, s_i = rows of `z`, u = `u`, G = `pull`, eta = `rate`.
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
    limited,
    put,
    shared_by_rank,
    shortened,
    spread_limits,
    unmoved,
    utilities,
)
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["XNES", "XNESState"]


@state
class XNESState(Cloud):
    """sigma: the overall length; shape (d, d): B, so that x = mean + sigma B z; limits (2, d): of the deviations."""

    sigma: float
    shape: Tensor
    limits: Tensor


@dataclass(frozen=True)
class XNES(Sampler[XNESState]):
    """Exponential natural evolution strategies: rotated valleys in up to some tens of dimensions.

    One update costs a matrix exponential, O(d^3). It knows no evolution path, so `CMAES` needs fewer evaluations on
    most problems; its whole theory is one gradient.

    Args:
        popsize: n >= 2 points a generation; default 4 + floor(3 log d). More against noise and local minima.
        sigma: > 0, the first standard deviation in typical lengths of the domain; default 0.2 between two sides,
            else 0.3.
        rate: > 0, how fast size and shape learn; default 3 (3 + log d) / (5 d sqrt d). Smaller is slower and steadier.
        noisy: whether losses are noisy: then the mean is recommended instead of the best point seen.

    Told fewer than n answers at once, it learns the slower in proportion.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
    >>> minimize(f, torch.tensor([-1.1, 2.5]), method=XNES(), until=Evaluations(2000), key=0).fun < 1e-6
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

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> XNESState:
        domain = check_point(x, domain)
        limits = spread_limits(domain)
        spread = first_spread(domain, self.sigma).clamp(*limits)
        sigma = float(spread.log().mean().exp())
        nan, shape = math.nan, torch.diag(spread / sigma)
        return XNESState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", x.clone(), None, 0, None, sigma, shape, limits
        )

    def batch(self, state: XNESState) -> int:
        return self.popsize or default_popsize(state.mean.numel())

    def ask(self, state: XNESState, n: int | None = None) -> tuple[XNESState, Tensor]:
        n = self.batch(state) if n is None else n
        z = drawn(state.key.fold("ask", state.asked), state.noise, n, state.mean)
        xs = torch.addmm(state.mean, z, state.shape.T, alpha=state.sigma)
        return put(state, z, xs, self.batch(state))

    def tell(self, state: XNESState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> XNESState:
        n, d, z = len(xs), state.mean.numel(), state.noise
        if z is None or not kept(state, n, tickets):
            away = (unmoved(state, xs, tickets) - state.mean) / state.sigma
            z = torch.linalg.solve_ex(state.shape, away.T)[0].T
            z = shortened(state, z, tickets)
        u = shared_by_rank(utilities(n), losses).to(z)
        part = min(1.0, n / self.batch(state))
        rate = part * (self.rate or 0.6 * (3 + math.log(d)) / (d * math.sqrt(d)))
        step = state.shape @ (u @ z)
        mean = state.domain.clip(torch.add(state.mean, step, alpha=part * state.sigma))
        # G_M = sum u_i (s_i s_i^T - I), and the utilities sum to zero
        pull = (z * u[:, None]).T @ z
        size = float(pull.diagonal().sum()) / d
        pull.diagonal().sub_(size)
        sigma = state.sigma * math.exp(max(-2.0, min(2.0, rate / 2 * size)))
        shape = state.shape @ torch.linalg.matrix_exp(pull.mul_(rate / 2).clamp_(-2, 2))
        spread = sigma * torch.linalg.vector_norm(shape, dim=1)
        sigma, factors, within = limited(sigma, spread, state.limits)
        if factors is not None:
            shape = shape * factors[:, None]
        at = self.concluded(state, xs, losses, mean)
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, mean=mean, fresh=0,
            done=collapsed(mean, within, state.domain.scale), sigma=sigma, shape=shape,
        )  # fmt: skip
