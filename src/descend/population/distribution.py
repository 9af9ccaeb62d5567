"""The best of a population are counted, and the next one is drawn from what they have in common.

Estimation of distribution: Mühlenbein, Paaß (1996), "From recombination of genes to the estimation of distributions"
(UMDA: every coordinate by itself); Larrañaga, Lozano (2002), "Estimation of distribution algorithms" (EMNA: one normal
distribution of all continuous coordinates). Symbols: tau = `elite`, p_j(k) = `chances`, mu = `mean`, Sigma = A A^T with
A = `factor`.

As in `cross_entropy`, deviations are measured from the old mean, so that they do not vanish on a slope.
"""

import math
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

__all__ = ["EstimationOfDistribution", "EstimationOfDistributionState"]

MOST_CELLS = 64
"""A coordinate with more ordered values than these is drawn from a normal distribution and moved to the nearest one."""


@state
class EstimationOfDistributionState(Cloud):
    """What was counted.

    Fields: those of `Cloud`; factor (d, d), A, or its diagonal (d,); limits (2, d) of the standard deviations; counted
    (m,) int64, the coordinates whose values are counted; chances (m, k), how likely each value of them is.
    """

    factor: Tensor
    limits: Tensor
    counted: Tensor
    chances: Tensor


@dataclass(frozen=True)
class EstimationOfDistribution(Sampler[EstimationOfDistributionState]):
    """UMDA and EMNA: choices and small integers by how often the best have a value, the rest by a normal distribution.

    For mixed and discrete problems with more evaluations than a model-based search could think through, where values
    matter each for itself.

    Args:
        popsize: n >= 4 points a generation; default 10 d between 50 and 400, or up to 1000 if joint.
        elite: tau in (0, 1), the part of the points that is counted; default 0.2.
        rate: in (0, 1], how much of the old distribution is replaced; default 0.3. Smaller is slower and steadier.
        joint: whether continuous coordinates are estimated with their covariances (EMNA) or each by itself (UMDA,
            default). The former costs O(d^3) and needs more points; it follows rotated valleys, if they are straight.
        sigma: > 0, the first standard deviation in typical lengths of the domain; default 0.2 between two sides,
            else 0.3.
        noisy: whether losses are noisy: then the most likely point is recommended instead of the best one seen.

    No value of a discrete coordinate becomes rarer than one in k n. Told fewer than n answers at once, it learns the
    slower in proportion.

    Raises:
        InvalidValue: a number outside its range.

    >>> box = Domain.box(torch.zeros(12), torch.ones(12), cells=torch.full((12,), 2))
    >>> method = EstimationOfDistribution()
    >>> state = method.init(torch.full((12,), 0.25), Key(0), box)
    >>> for _ in range(20):
    ...     state, xs = method.ask(state)
    ...     state = method.tell(state, xs, -(xs > 0.5).sum(1).double())
    >>> state.value
    -12.0
    """

    popsize: int | None = None
    elite: float = 0.2
    rate: float = 0.3
    joint: bool = False
    sigma: float | None = None
    noisy: bool = False

    def __post_init__(self) -> None:
        check_popsize(self, self.popsize, 4)
        check_spread(self, self.sigma)
        for name, value, most in (("elite", self.elite, 1 - 1e-9), ("rate", self.rate, 1.0)):
            if not 0 < value <= most:
                sides = "(0, 1)" if name == "elite" else "(0, 1]"
                raise InvalidValue(f"EstimationOfDistribution needs {name} in {sides}, got {value!r}; write {name}=0.3")

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> EstimationOfDistributionState:
        domain, nan = check_point(x, domain), math.nan
        limits = spread_limits(domain)
        spread = first_spread(domain, self.sigma).clamp(*limits)
        counted = ((domain.cells > 0) & ((domain.cells <= MOST_CELLS) | domain.unordered)).nonzero()[:, 0]
        k = domain.cells[counted, None]
        chances = (torch.arange(int(k.max()) if len(k) else 0, device=x.device) < k).to(x) / k
        return EstimationOfDistributionState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", x.clone(), None, 0, None,
            torch.diag(spread) if self.joint else spread, limits, counted, chances,
        )  # fmt: skip

    def batch(self, state: EstimationOfDistributionState) -> int:
        return self.popsize or min(max(50, 10 * state.mean.numel()), 1000 if self.joint else 400)

    def ask(
        self, state: EstimationOfDistributionState, n: int | None = None
    ) -> tuple[EstimationOfDistributionState, Tensor]:
        n, key = self.batch(state) if n is None else n, state.key.fold("ask", state.asked)
        z = drawn(key, state.noise, n, state.mean)
        xs = torch.addmm(state.mean, z, state.factor.T) if self.joint else torch.addcmul(state.mean, state.factor, z)
        if len(state.counted):
            u = key.fold("values").uniform(len(state.counted), n, like=xs)
            # the largest may round to less than the last of the sums
            values = torch.searchsorted(state.chances.cumsum(1), u, right=True)
            xs[:, state.counted] = _middles(state, values.minimum(self._last(state)).T)
        return put(state, z, xs, self.batch(state))

    @staticmethod
    def _last(state: EstimationOfDistributionState) -> Tensor:
        """The last value (m, 1) of each counted coordinate."""
        return state.domain.cells[state.counted, None] - 1

    def tell(
        self, state: EstimationOfDistributionState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None
    ) -> EstimationOfDistributionState:
        fine = settled(losses)
        few, full = (max(2, round(self.elite * n)) for n in (len(xs), self.batch(state)))
        mean, factor, chances = state.mean, state.factor, state.chances
        if len(xs) > 1 and float(fine.min()) < float(fine.max()):  # a constant objective says nothing
            ranked = order(losses)[:few]
            best = unmoved(state, xs, tickets)[ranked[fine[ranked].isfinite()].to(xs.device)]
            rate = self.rate * min(1.0, few / full)
            chances = self._counts(state, best, rate)
            factor = self._spread(state, best - mean, rate)
            mean = state.domain.clip(mean.lerp(best.mean(0), rate))
        likeliest = self._likeliest(state, mean, chances) if self.noisy else mean
        at = self.concluded(state, xs, losses, likeliest)
        spread = torch.linalg.vector_norm(factor, dim=1) if self.joint else factor
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, mean=mean, fresh=0,
            done=collapsed(mean, spread, state.domain.scale), factor=factor, chances=chances,
        )  # fmt: skip

    def _counts(self, state: EstimationOfDistributionState, best: Tensor, rate: float) -> Tensor:
        """The chances (m, k) after the best (few, d) were counted."""
        if not len(state.counted):
            return state.chances
        values = state.domain.index(best)[:, state.counted].T
        share = torch.zeros_like(state.chances).scatter_add_(1, values, torch.ones_like(values).to(best))
        k = state.domain.cells[state.counted, None]
        chances = state.chances.lerp(share / len(best), rate).clamp(min=1 / (self.batch(state) * k))
        chances = chances * (torch.arange(chances.shape[1], device=k.device) < k)
        return chances / chances.sum(1, keepdim=True)

    def _spread(self, state: EstimationOfDistributionState, away: Tensor, rate: float) -> Tensor:
        """The factor after the best were found `away` (few, d) from the mean."""
        if not self.joint:
            return state.factor.lerp(away.square().mean(0).sqrt(), rate).clamp(*state.limits)
        old = state.factor @ state.factor.T
        new = old.lerp(away.T @ away / len(away), rate)
        spread = new.diagonal().sqrt()
        new = new * torch.outer(spread.clamp(*state.limits) / spread, spread.clamp(*state.limits) / spread)
        factor, wrong = torch.linalg.cholesky_ex(new)
        return factor if int(wrong) == 0 else state.factor  # too flat for its numbers: keep the old one

    def _likeliest(self, state: EstimationOfDistributionState, mean: Tensor, chances: Tensor) -> Tensor:
        x = mean.clone()
        if len(state.counted):
            x[state.counted] = _middles(state, chances.argmax(1)[None])[0]
        return state.domain.centre(x)


def _middles(state: EstimationOfDistributionState, values: Tensor) -> Tensor:
    """The middles of the cells of these values (n, m) of the counted coordinates."""
    lower, upper = state.domain.lower[state.counted], state.domain.upper[state.counted]
    return lower + (values.to(lower.dtype) + 0.5) * (upper - lower) / state.domain.cells[state.counted]
