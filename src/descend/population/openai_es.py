"""Mirrored pairs of a fixed length around a mean estimate the gradient of their ranks, and an optimizer follows it.

Salimans, Ho, Chen, Sidor, Sutskever (2017), "Evolution strategies as a scalable alternative to reinforcement learning",
algorithm 1 with mirrored sampling and fitness shaping by centred ranks (section 2.1). Symbols: theta = `mean`,
sigma = `sigma`, epsilon_i = rows of `z`, F_i = -`w`, alpha = `lr`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from descend.key import Key
from descend.oracle import Oracle
from descend.population.base import check_point, positive
from descend.population.sampling import (
    Cloud,
    Sampler,
    check_popsize,
    kept,
    mirrored,
    pairs_of,
    put,
    shortened,
    spread_limits,
    unmoved,
)
from descend.population.shaping import centred_ranks
from descend.space.domain import Domain
from descend.transform import Adam, At, Transform
from descend.tree import state

__all__ = ["OpenAIES", "OpenAIESState"]


@state
class OpenAIESState(Cloud):
    """limits (2, d): of the standard deviations; memory: of the transform, in typical lengths of the domain."""

    limits: Tensor
    memory: Any


@dataclass(frozen=True)
class OpenAIES(Sampler[OpenAIESState]):
    """The evolution strategy for very many dimensions and very many noisy evaluations at once.

    The distribution never changes its size, so it ends a distance of some lr from the optimum, unless
    schedules make both smaller. Where the size should adapt, `PGPE` or `SNES` do that.

    Args:
        popsize: n >= 2 points a generation, n / 2 mirrored pairs; default max(20, 4 + 3 log d), an even number.
        sigma: > 0, the standard deviation in typical lengths of the domain, or a schedule of the number of generations
            (as `Exponential`); default 0.05.
        lr: > 0, the length of a step in the same units, or a schedule; default 0.02.
        transform: what makes a step of the gradient of the ranks; default `Adam()`, as in the paper.
        noisy: whether losses are noisy: then the mean is recommended instead of the best point seen.

    Points asked a few at a time are mirrored within each ask. Told fewer than n answers at once, it steps the less in
    proportion.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.run import Evaluations, minimize
    >>> from descend.step import Exponential
    >>> f = lambda x: ((x - 1) ** 2).sum()
    >>> method = OpenAIES(sigma=Exponential(0.1, gamma=0.98), lr=Exponential(0.1, gamma=0.98))
    >>> minimize(f, torch.zeros(10), method=method, until=Evaluations(8000), key=0).fun < 1e-4
    True
    """

    popsize: int | None = None
    sigma: float | Callable[[int], float] = 0.05
    lr: float | Callable[[int], float] = 0.02
    transform: Transform[Any] = field(default_factory=Adam)
    noisy: bool = False

    def __post_init__(self) -> None:
        check_popsize(self, self.popsize)
        for name, gain in (("sigma", self.sigma), ("lr", self.lr)):
            if not callable(gain):
                positive(self, name, gain, 0.05)

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> OpenAIESState:
        domain, nan = check_point(x, domain), math.nan
        return OpenAIESState(
            domain.centre(x), nan, nan, 0, 0, 0, key, domain, "", x.clone(), None, 0, None,
            spread_limits(domain), self.transform.init(x),
        )  # fmt: skip

    def batch(self, state: OpenAIESState) -> int:
        return self.popsize or max(20, 4 + 2 * int(1.5 * math.log(state.mean.numel())))

    def ask(self, state: OpenAIESState, n: int | None = None) -> tuple[OpenAIESState, Tensor]:
        n = self.batch(state) if n is None else n
        z, xs = mirrored(state, n, self._spread(state))
        return put(state, z, xs, self.batch(state))

    def tell(self, state: OpenAIESState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> OpenAIESState:
        n, z = len(xs), state.noise
        w = centred_ranks(losses).to(xs)
        if z is None or not kept(state, n, tickets):
            z = (unmoved(state, xs, tickets) - state.mean) / self._spread(state)
            z = shortened(state, z, tickets)
        else:
            w, _ = pairs_of(w)
        # in typical lengths; Adam does not mind the 1 / (n sigma), other transforms do
        gradient = (w @ z).div_(n * max(_at(self.sigma, state.t), 1e-30))
        at = At(state.mean, Oracle(), state.key.fold("step", state.t), math.nan, state.t)
        direction, memory = self.transform(gradient, state.memory, at)
        length = _at(self.lr, state.t) * min(1.0, n / self.batch(state))
        mean = state.domain.clip(torch.addcmul(state.mean, state.domain.scale, direction, value=-length))
        at = self.concluded(state, xs, losses, mean)
        return replace(
            state, x=at.x, value=at.value, loss=at.loss, rejected=at.rejected, t=state.t + 1, mean=mean,
            fresh=0, memory=memory,
        )  # fmt: skip

    def _spread(self, state: OpenAIESState) -> Tensor:
        return (state.domain.scale * _at(self.sigma, state.t)).clamp(*state.limits)


def _at(gain: float | Callable[[int], float], t: int) -> float:
    return gain(t) if callable(gain) else gain
