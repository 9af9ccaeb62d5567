"""Mirrored pairs around a mean estimate where to go and how far to look; steps have a length of their own (ClipUp).

Sehnke, Osendorfer, Rückstieß, Graves, Peters, Schmidhuber (2010), "Parameter-exploring policy gradients", symmetric
sampling; Toklu, Liskowski, Srivastava (2020), "ClipUp: a simple and powerful optimizer for distribution-based policy
evolution". Symbols: mu = `mean`, sigma = `sigma`, epsilon = sigma * `z`, v = `velocity`.

ClipUp has a largest speed v_max and a step alpha = v_max / 2; its authors begin with a radius |sigma| = 15 v_max. Here
v_max stays a fixed part of the present radius, so that the steps become shorter as the distribution does.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import check_point, positive
from descend.population.sampling import (
    Cloud,
    Sampler,
    check_popsize,
    check_spread,
    collapsed,
    first_spread,
    kept,
    mirrored,
    pairs_of,
    put,
    shared_by_rank,
    shortened,
    spread_limits,
    unmoved,
)
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["PGPE", "PGPEState"]


@state
class PGPEState(Cloud):
    """sigma (d,): the standard deviations; limits (2, d): between which they stay; velocity (d,): of the mean."""

    sigma: Tensor
    limits: Tensor
    velocity: Tensor


@dataclass(frozen=True)
class PGPE(Sampler[PGPEState]):
    """Parameter-exploring policy gradients with ClipUp: large and noisy problems, such as policies with many weights.

    Losses count by their centred ranks. The mean moves by a step of a fixed length with momentum, so a gradient's
    direction matters and its size does not. Where `SNES` jumps to where the best samples are, this one keeps going:
    in 100 dimensions it needed about 0.6 of the evaluations.

    Args:
        popsize: n >= 2 points a generation, n / 2 mirrored pairs; default max(20, 4 + 3 log d), an even number.
        sigma: > 0, the first standard deviation in typical lengths of the domain; default 0.2 between two sides,
            else 0.3.
        speed: > 0, the largest step of the mean as a part of the length of sigma; default 0.1, which was quicker
            than 1/15 on ellipsoids in 10 and 100 dimensions.
        momentum: in [0, 1), how much of the velocity is kept; default 0.9.
        rate: > 0, how fast sigma learns; default 0.2. No standard deviation changes by more than a fifth at once.
        noisy: whether losses are noisy: then the mean is recommended instead of the best point seen.

    Points asked a few at a time are mirrored within each ask. Told fewer than n answers at once, it moves and learns
    the less in proportion.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: ((x - 3) ** 2 * torch.arange(1, 11)).sum()
    >>> minimize(f, torch.zeros(10), method=PGPE(), until=Evaluations(8000), key=0).fun < 1e-6
    True
    """

    popsize: int | None = None
    sigma: float | None = None
    speed: float = 0.1
    momentum: float = 0.9
    rate: float = 0.2
    noisy: bool = False

    def __post_init__(self) -> None:
        check_popsize(self, self.popsize)
        check_spread(self, self.sigma)
        positive(self, "speed", self.speed, 0.1)
        positive(self, "rate", self.rate, 0.2)
        if not 0 <= self.momentum < 1:
            raise InvalidValue(f"PGPE needs a momentum in [0, 1), got {self.momentum!r}; write PGPE(momentum=0.9)")

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> PGPEState:
        domain = check_point(x, domain)
        limits = spread_limits(domain)
        sigma = first_spread(domain, self.sigma).clamp(*limits)
        nan, still = math.nan, torch.zeros_like(x)
        return PGPEState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", x.clone(), None, 0, None, sigma, limits, still
        )

    def batch(self, state: PGPEState) -> int:
        return self.popsize or max(20, 4 + 2 * int(1.5 * math.log(state.mean.numel())))

    def ask(self, state: PGPEState, n: int | None = None) -> tuple[PGPEState, Tensor]:
        n = self.batch(state) if n is None else n
        z, xs = mirrored(state, n, state.sigma)
        return put(state, z, xs, self.batch(state))

    def tell(self, state: PGPEState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> PGPEState:
        n, z = len(xs), state.noise
        w = shared_by_rank(torch.linspace(0.5, -0.5, n, dtype=torch.float64), losses).mul_(4 / n).to(xs)
        if z is None or not kept(state, n, tickets):
            z = (unmoved(state, xs, tickets) - state.mean) / state.sigma
            z = shortened(state, z, tickets)
            odd = even = w
        else:
            odd, even = pairs_of(w)
        part = min(1.0, n / self.batch(state))
        scale = state.domain.scale
        most = self.speed * float((state.sigma / scale).norm())
        g = (odd @ z).mul_(state.sigma)
        length = float((g / scale).norm())
        v = state.velocity * self.momentum**part
        if length > 0:
            v.add_(g, alpha=part * most / 2 / length)
        speed = float((v / scale).norm())
        if speed > most:
            v.mul_(most / speed)
        mean = state.domain.clip(state.mean + part * v)
        change = (even @ z.square_()).mul_(self.rate * part).clamp_(-0.2, 0.2)
        sigma = (state.sigma * change.exp_()).clamp_(*state.limits)
        at = self.concluded(state, xs, losses, mean)
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, mean=mean, fresh=0,
            done=collapsed(mean, sigma, scale), sigma=sigma, velocity=v,
        )  # fmt: skip
