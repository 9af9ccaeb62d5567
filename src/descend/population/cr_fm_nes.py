"""A normal distribution whose covariance is a diagonal and one direction follows the natural gradient in linear time.

Nomura, Ono (2022), "Fast moving natural evolution strategy for high-dimensional problems", CEC (arXiv:2201.11422);
the natural gradient of the restricted covariance is that of VD-CMA: Akimoto, Auger, Hansen (2014),
"Comparison-based natural gradient optimization in high dimension". The model is x = m + sigma D (I + v v^T)^(1/2) z.
Symbols: m = `mean`, D = `scales`, v = `direction`, p_sigma = `path_sigma`, p_c = `path`, y = (I + v v^T)^(1/2) z,
lambda = n, lambda_F = `fine`, the number of answers that did not fail.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from descend.key import Key
from descend.population.base import check_point
from descend.population.cma_rates import default_popsize
from descend.population.sampling import (
    Cloud,
    Sampler,
    check_popsize,
    check_spread,
    collapsed,
    first_spread,
    kept,
    limited,
    mirrored_noise,
    put,
    shared_by_rank,
    shortened,
    spread_limits,
    unmoved,
    utilities,
)
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["CRFMNES", "CRFMNESState", "stretched", "unstretched"]


@state
class CRFMNESState(Cloud):
    """The model: sigma, scales (d,), direction (d,); path_sigma, path (d,); limits (2, d) of the deviations."""

    sigma: float
    scales: Tensor
    direction: Tensor
    path_sigma: Tensor
    path: Tensor
    limits: Tensor


@dataclass(frozen=True)
class CRFMNES(Sampler[CRFMNESState]):
    """Cost-reduced fast-moving natural evolution strategy: hundreds of dimensions, scaled differently and one valley.

    Where `SNES` sees coordinates only, this one also learns one long direction that crosses them, at the same cost
    O(n d); and while it still travels it moves fast, weighing samples by how far they are. It cannot learn a direction
    across the coordinates that is short among long ones, as full covariances do.

    Args:
        popsize: n >= 4 points a generation, an even number is best; default 4 + floor(3 log d), made even.
        sigma: > 0, the first standard deviation in typical lengths of the domain; default 0.2 between two sides,
            else 0.3.
        noisy: whether losses are noisy: then the mean is recommended instead of the best point seen.

    Points asked a few at a time are mirrored within each ask. Told fewer than n answers at once, it learns the slower
    in proportion.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.run import Evaluations, minimize
    >>> f = lambda x: 1000 * ((x - x.mean()) ** 2).sum() + ((x - 1) ** 2).sum()
    >>> minimize(f, torch.arange(20.0), method=CRFMNES(), until=Evaluations(6000), key=0).fun < 1e-6
    True
    """

    popsize: int | None = None
    sigma: float | None = None
    noisy: bool = False

    def __post_init__(self) -> None:
        check_popsize(self, self.popsize, 4)
        check_spread(self, self.sigma)

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> CRFMNESState:
        domain, nan, d = check_point(x, domain), math.nan, x.numel()
        limits = spread_limits(domain)
        spread = first_spread(domain, self.sigma).clamp(*limits)
        sigma = float(spread.log().mean().exp())
        v = key.fold("direction").normal(d, like=x) / math.sqrt(d)
        return CRFMNESState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", x.clone(), None, 0, None, sigma, spread / sigma, v,
            torch.zeros_like(x), torch.zeros_like(x), limits,
        )  # fmt: skip

    def batch(self, state: CRFMNESState) -> int:
        n = self.popsize or default_popsize(state.mean.numel())
        return n if self.popsize else n + n % 2

    def ask(self, state: CRFMNESState, n: int | None = None) -> tuple[CRFMNESState, Tensor]:
        n = self.batch(state) if n is None else n
        z = mirrored_noise(state, n)
        xs = torch.addcmul(state.mean, stretched(z, state.direction), state.scales, value=state.sigma)
        return put(state, z, xs, self.batch(state))

    def tell(self, state: CRFMNESState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> CRFMNESState:
        n, d, z, v = len(xs), state.mean.numel(), state.noise, state.direction
        if z is None or not kept(state, n, tickets):
            y = (unmoved(state, xs, tickets) - state.mean) / (state.sigma * state.scales)
            z = shortened(state, unstretched(y, v), tickets)
        y = stretched(z, v)
        fine, part = int(losses.isfinite().sum()), min(1.0, n / self.batch(state))
        u = shared_by_rank(utilities(n), losses)
        w, mass = u.to(z), 1 / float((utilities(n) + 1 / n).square().sum())
        c_sigma = part * (mass + 2) / (d + mass + 5)
        c_path = part * (4 + mass / d) / (d + 4 + 2 * mass / d)
        path_sigma = (1 - c_sigma) * state.path_sigma + math.sqrt(c_sigma * (2 - c_sigma) * mass) * (w @ z)
        speed = float(path_sigma.norm()) / (math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d)))
        if speed >= 1:  # it moves: the distant ones of the good samples weigh more
            reach = _reach(d) * min(1.0, math.sqrt(n / d)) * math.sqrt(fine / n)
            lengths = torch.linalg.vector_norm(z, dim=1)
            far = (w + 1 / n) * (reach * (lengths - lengths.max())).exp()
            w = far / far.sum() - 1 / n
        step = (w @ y) * state.scales
        path = (1 - c_path) * state.path + math.sqrt(c_path * (2 - c_path) * mass) * step
        mean = state.domain.clip(torch.add(state.mean, step, alpha=part * state.sigma))
        c_one = part * max(0.0, 2 / ((d + 1.3) ** 2 + mass) * (d - 5) / 6) * fine / n
        eta = part * math.tanh((min(0.02 * fine, 3 * math.log(d)) + 5) / (0.23 * d + 25))
        v, scales = _shaped(
            v, state.scales, torch.cat((y, (path / state.scales)[None])), torch.cat((w * eta, w.new_tensor([c_one])))
        )
        pull = float(w @ z.square_().sum(1)) / d  # the weights sum to zero
        sigma = state.sigma * math.exp(max(-2.0, min(2.0, part * _pace(speed, d, fine) / 2 * pull)))
        sigma, factors, within = limited(sigma, sigma * scales * (1 + v * v).sqrt(), state.limits)
        if factors is not None:
            scales = scales * factors
        at = self.concluded(state, xs, losses, mean)
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, mean=mean, fresh=0,
            done=collapsed(mean, within, state.domain.scale), sigma=sigma, scales=scales, direction=v,
            path_sigma=path_sigma, path=path,
        )  # fmt: skip


def stretched(z: Tensor, v: Tensor) -> Tensor:
    """(I + v v^T)^(1/2) z for rows z (n, d), v (d,)."""
    square = float(v @ v)
    return torch.addr(z, z @ v, v, alpha=(math.sqrt(1 + square) - 1) / square) if square > 0 else z


def unstretched(y: Tensor, v: Tensor) -> Tensor:
    """The inverse of `stretched`."""
    square = float(v @ v)
    return torch.addr(y, y @ v, v, alpha=(1 / math.sqrt(1 + square) - 1) / square) if square > 0 else y


def _shaped(v: Tensor, scales: Tensor, y: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """v and D (d,) after a step along the natural gradient of samples y (m, d) of weights w (m,).

    The natural gradient of Akimoto et al. (2014); the determinant of the shape stays one.
    """
    square = float(v @ v)
    length, gamma = math.sqrt(square), 1 + square
    unit = v / length
    u2 = unit * unit
    alpha = min(1.0, math.sqrt(square**2 + (2 * gamma - math.sqrt(gamma)) / float(u2.max())) / (2 + square))
    along = (y @ unit)[:, None]
    t = y * along - unit * ((along * along + gamma) / 2)
    b = -(1 - alpha**2) * square**2 / gamma + 2 * alpha**2
    s = y * y - square / gamma * (y * unit * along) - 1
    s -= alpha / gamma * ((2 + square) * (t * unit) - square * torch.outer(t @ unit, u2))
    # the Fisher information of D is a diagonal H and one direction: inverted by Sherman and Morrison
    inverse = 1 / (2 - (b + 2 * alpha**2) * u2)
    turned = inverse * u2
    s = s * inverse - b / (1 + b * float(u2 @ turned)) * torch.outer(s @ turned, turned)
    t = t - alpha * ((2 + square) * (s * unit) - torch.outer(s @ u2, unit))
    v = v + (w @ t) / length
    scales = scales * (1 + w @ s).clamp(min=0.1)
    volume = math.exp(float(scales.log().mean()) + math.log1p(float(v @ v)) / (2 * len(v)))
    return v, scales / volume


def _pace(speed: float, d: int, fine: int) -> float:
    """How fast sigma learns: eta_sigma of moving, stagnating, converging, by how long p_sigma is over chance."""
    if speed >= 1:
        return 1.0
    if speed >= 0.1:
        return math.tanh((0.024 * fine + 0.7 * d + 20) / (d + 12))
    return 2 * math.tanh((0.025 * fine + 0.75 * d + 10) / (d + 4))


@lru_cache(maxsize=64)
def _reach(d: int) -> float:
    """The root a of (1 + a^2) exp(a^2 / 2) / 0.24 = 10 + d, by bisection."""
    low, high = 0.0, 20.0
    for _ in range(100):
        a = (low + high) / 2
        low, high = (a, high) if (1 + a * a) * math.exp(a * a / 2) / 0.24 < 10 + d else (low, a)
    return low
