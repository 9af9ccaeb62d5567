"""(1+1)-ES: one point tries a random step, takes it if it is not worse, and steps farther after successes.

Rechenberg 1973, "Evolutionsstrategie"; the one-fifth rule in the form of Kern et al. 2004, "Learning probability
distributions in continuous evolutionary algorithms", section 2. With `covariance` the (1+1)-CMA-ES of Igel, Suttorp and
Hansen 2006, "A computational efficient covariance matrix update and a (1+1)-CMA for evolution strategies": a smoothed
success rate, and a factor A of the covariance, C = A A^T.
Symbols: p_succ = `rate`, p_target = 2/11, c_p = 1/12, the damping is 1 + d/2, c_c = 2/(d+2), c_cov = 2/(d^2+6),
p_thresh = 0.44.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, positive
from descend.population.normals import normals
from descend.population.shaping import settled
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = ["OnePlusOne", "OnePlusOneState"]

_PATIENCE = 100
"""Evaluations, times d + 1, without a better point, after which there is nothing more to find."""
_TARGET, _SMOOTHING, _THRESHOLD = 2 / 11, 1 / 12, 0.44


@as_state
class OnePlusOneState(Searching):
    """The fields of `Search`, and those that follow.

    Fields: sigma, the step in units of the typical lengths; rate, the smoothed rate of successes; idle, the answers
    since the last better point; factor A (d, d) and path (d,) of the covariance, empty where it is not learned.
    """

    sigma: float
    rate: float
    idle: int
    factor: Tensor
    path: Tensor


@dataclass(frozen=True)
class OnePlusOne(AskTell[OnePlusOneState]):
    """One parent, one child at a time. Quick on few evaluations, and it needs no generations: ideal for single answers.

    Its first question is the first point itself. Points outside are mirrored into the domain, and discrete coordinates
    step at least half a cell, in the middle of which they are asked.

    Args:
        sigma: > 0, the first step in units of the domain's typical lengths; default 0.2 where it is bounded, else 0.3.
        covariance: whether the shape of the steps is learned too (default): for ill-conditioned functions.

    Raises:
        InvalidValue: sigma is not positive and finite.

    >>> method = OnePlusOne()
    >>> state = method.init(torch.tensor([3.0, -1.0], dtype=torch.float64), Key(0))
    >>> for _ in range(300):
    ...     state, xs = method.ask(state)
    ...     state = method.tell(state, xs, (xs**2).sum(1))
    >>> state.value < 1e-9
    True
    """

    sigma: float | None = None
    covariance: bool = True

    def __post_init__(self) -> None:
        if self.sigma is not None:
            positive(self, "sigma", self.sigma, 0.3)

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> OnePlusOneState:
        domain = check_point(x, domain)
        sigma = self.sigma or (0.2 if domain.bounded else 0.3)
        size = x.shape[0] if self.covariance else 0
        factor = torch.eye(size, dtype=x.dtype, device=x.device)
        nan = math.nan
        return OnePlusOneState(x, nan, nan, 0, 0, 0, key, domain, "", sigma, _TARGET, 0, factor, x.new_zeros(size))

    def ask(self, state: OnePlusOneState, n: int | None = None) -> tuple[OnePlusOneState, Tensor]:
        n, domain, first = 1 if n is None else n, state.domain, state.asked
        z = normals(state.key, first, n, state.x)
        if first == 0 and n:
            z = torch.cat((torch.zeros_like(z[:1]), z[1:]))
        y = z @ state.factor.T if self.covariance else z
        steps = y * (domain.scale * state.sigma)
        if domain.discrete:
            cell = (domain.upper - domain.lower) / domain.cells.clamp(min=1)
            steps = torch.where(domain.cells > 0, y * (domain.scale * state.sigma).maximum(cell / 2), steps)
        xs = domain.centre(domain.mirror(state.x + steps))
        after = OnePlusOneState(
            state.x, state.value, state.loss, state.rejected, state.t, first + n, state.key, domain, state.done,
            state.sigma, state.rate, state.idle, state.factor, state.path,
        )  # fmt: skip
        return after, xs

    def tell(
        self, state: OnePlusOneState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None
    ) -> OnePlusOneState:
        told = settled(losses).tolist()
        n, d = len(told), state.x.shape[0]
        numbers = range(state.asked - n, state.asked) if tickets is None else tickets.tolist()
        x, value, sigma, rate, path = state.x, state.value, state.sigma, state.rate, state.path
        factor, idle = state.factor, state.idle
        for i, (loss, ticket) in enumerate(zip(told, numbers, strict=True)):
            begins = math.isnan(value)
            success = loss < math.inf and (begins or loss <= value)
            idle = 0 if success and loss != value else idle + 1
            if success:
                x, value = xs[i], loss
            if ticket < 0 or begins:  # no step of ours: it says nothing about their length
                continue
            if not self.covariance:
                sigma *= math.exp((0.8 if success else -0.2) / (1 + d / 2))
                continue
            rate += _SMOOTHING * (success - rate)
            sigma *= math.exp((rate - _TARGET) / (1 - _TARGET) / (1 + d / 2))
            if success:
                z = normals(state.key, ticket, 1, x)[0]
                factor, path = _learned(factor, path, z, rate)
        sigma = max(min(sigma, 1e100), 1e-200)
        least, done = min(told), state.done
        if idle >= _PATIENCE * (d + 1):
            done = done or f"stagnation: {idle} evaluations brought no better point"
        return OnePlusOneState(
            x.clone(), value, math.nan if least == math.inf else least, state.rejected + (least == math.inf),
            state.t + 1, state.asked, state.key, state.domain, done, sigma, rate, idle, factor, path,
        )  # fmt: skip


def _learned(factor: Tensor, path: Tensor, z: Tensor, rate: float) -> tuple[Tensor, Tensor]:
    """A (d, d) and the path (d,) after a successful step A z: C <- alpha C + beta v v^T, v being the path.

    The factor is multiplied by sqrt(alpha) and by I + b w w^T, w = A^-1 v, which keeps C = A A^T; a solve gives w.
    """
    d = z.shape[0]
    cc, ccov = 2 / (d + 2), 2 / (d * d + 6)
    if rate < _THRESHOLD:
        path = path * (1 - cc) + math.sqrt(cc * (2 - cc)) * (factor @ z)
        alpha = 1 - ccov
    else:  # the step size is far too small: the path would grow along with it
        path = path * (1 - cc)
        alpha = 1 - ccov + ccov * cc * (2 - cc)
    w = torch.linalg.solve(factor, path)
    square = float(w @ w)
    if square < 1e-300:
        return factor * math.sqrt(alpha), path
    b = math.sqrt(alpha) / square * (math.sqrt(1 + ccov / alpha * square) - 1)
    return (factor * math.sqrt(alpha)).addr_(path, w, alpha=b), path
