"""A normal distribution is fitted again and again to the best of its own samples.

Rubinstein (1999), "The cross-entropy method for combinatorial and continuous optimization"; the smoothed update is
that of de Boer, Kroese, Mannor, Rubinstein (2005), "A tutorial on the cross-entropy method"; added noise:
Szita, Lőrincz (2006), "Learning Tetris using the noisy cross-entropy method". Symbols: mu = `mean`, sigma = `sigma`,
rho = `elite`, alpha = `rate`.

Deviations are measured from the old mean, as in CMA-ES (Hansen 2016, "The CMA evolution strategy: a tutorial", figure
3). With those from the mean of the best themselves, as in the papers, sigma also shrinks on a slope: with the defaults
here that method ended early on ellipsoids in 10 dimensions more often than not.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import check_point
from descend.population.sampling import (
    Cloud,
    Sampler,
    check_popsize,
    check_spread,
    collapsed,
    drawn,
    first_spread,
    put,
    spread_limits,
    unmoved,
)
from descend.population.shaping import order, settled
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["CrossEntropy", "CrossEntropyState"]


@state
class CrossEntropyState(Cloud):
    """sigma (d,): the standard deviations; limits (2, d): between which they stay."""

    sigma: Tensor
    limits: Tensor


@dataclass(frozen=True)
class CrossEntropy(Sampler[CrossEntropyState]):
    """The cross-entropy method with independent normal coordinates: simple, sturdy, for planning and policies.

    Args:
        popsize: n >= 2 points a generation; default 5 d between 50 and 400.
        elite: in (0, 1), the part of the points that counts; default 0.2.
        rate: in (0, 1], how much of the old mean and deviation is replaced; default 0.7. Smaller is slower and
            steadier.
        sigma: > 0, the first standard deviation in typical lengths of the domain; default 0.2 between two sides,
            else 0.3.
        noise: >= 0, added to sigma in typical lengths of the domain, so that it does not shrink too early, or a
            schedule (as `Power`) of the number of generations; default 0.
        noisy: whether losses are noisy: then the mean is recommended instead of the best point seen.

    Told fewer than n answers at once, it learns the slower in proportion.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: ((x - 3) ** 2 * torch.arange(1, 11)).sum()
    >>> minimize(f, torch.zeros(10), method=CrossEntropy(sigma=3.0), until=Evaluations(8000), key=0).fun < 1e-6
    True
    """

    popsize: int | None = None
    elite: float = 0.2
    rate: float = 0.7
    sigma: float | None = None
    noise: float | Callable[[int], float] = 0.0
    noisy: bool = False

    def __post_init__(self) -> None:
        check_popsize(self, self.popsize)
        check_spread(self, self.sigma)
        if not 0 < self.elite < 1:
            raise InvalidValue(f"CrossEntropy needs elite in (0, 1), got {self.elite!r}; write CrossEntropy(elite=0.2)")
        if not 0 < self.rate <= 1:
            raise InvalidValue(f"CrossEntropy needs a rate in (0, 1], got {self.rate!r}; write CrossEntropy(rate=0.7)")
        if not callable(self.noise) and not 0 <= self.noise < math.inf:
            raise InvalidValue(f"CrossEntropy needs a noise >= 0, got {self.noise!r}; write CrossEntropy(noise=0.0)")

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> CrossEntropyState:
        domain, nan = check_point(x, domain), math.nan
        limits = spread_limits(domain)
        sigma = first_spread(domain, self.sigma).clamp(*limits)
        return CrossEntropyState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", x.clone(), None, 0, None, sigma, limits
        )

    def batch(self, state: CrossEntropyState) -> int:
        return self.popsize or min(max(50, 5 * state.mean.numel()), 400)

    def ask(self, state: CrossEntropyState, n: int | None = None) -> tuple[CrossEntropyState, Tensor]:
        n = self.batch(state) if n is None else n
        z = drawn(state.key.fold("ask", state.asked), state.noise, n, state.mean)
        return put(state, z, torch.addcmul(state.mean, state.sigma, z), self.batch(state))

    def tell(
        self, state: CrossEntropyState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None
    ) -> CrossEntropyState:
        mean, sigma = state.mean, state.sigma
        few, full = (max(2, round(self.elite * n)) for n in (len(xs), self.batch(state)))
        fine = settled(losses)
        if float(fine.min()) < float(fine.max()) and len(xs) > 1:  # a constant objective says nothing
            ranked = order(losses)[:few]
            best = unmoved(state, xs, tickets)[ranked[fine[ranked].isfinite()].to(xs.device)]
            rate = self.rate * min(1.0, few / full)
            mean = state.domain.clip(mean.lerp(best.mean(0), rate))
            # about the old mean, not about their own: along a slope they are far from it, and sigma does not shrink
            sigma = sigma.lerp((best - state.mean).square_().mean(0).sqrt_(), rate)
            extra = self.noise(state.t) if callable(self.noise) else self.noise
            sigma = torch.hypot(sigma, extra * state.domain.scale).clamp(*state.limits)
        at = self.concluded(state, xs, losses, mean)
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, mean=mean, fresh=0,
            sigma=sigma, done=collapsed(mean, sigma, state.domain.scale),
        )  # fmt: skip
