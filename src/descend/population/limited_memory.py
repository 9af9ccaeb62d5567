"""A covariance of few directions, for dimensions in which a matrix is too large: m vectors, each with its own memory.

Loshchilov, Glasmachers and Beyer 2019, "Large scale black-box optimization by limited-memory matrix adaptation"
(LM-MA-ES, arXiv:1705.06693), algorithm 1. A step is y = A z, A the product of factors (1 - c_j) I + c_j m_j m_j^T, so
it is undone factor by factor (Sherman and Morrison), and points may be told that were never drawn.
Symbols: m_j = a row of `vectors`; c_{d,j}, c_{c,j} = what `_speeds` gives.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.cma_rates import Rates, rates
from descend.population.covariance import Covariance, check_covariance
from descend.tree import state

__all__ = ["Directions", "LimitedMemory"]


@state
class Directions:
    """vectors (m, d), of which the first `used` are in use."""

    vectors: Tensor
    used: int


@dataclass(frozen=True)
class LimitedMemory(Covariance[Directions]):
    """A covariance of m directions: m d numbers, and m d operations a point.

    Args:
        directions: m >= 1; default 4 + 3 ln d.

    Raises:
        InvalidValue: directions is no whole number >= 1.
    """

    directions: int | None = None

    def __post_init__(self) -> None:
        if self.directions is not None and (type(self.directions) is not int or self.directions < 1):
            raise InvalidValue(
                f"directions is a whole number >= 1, got directions={self.directions!r}; write LimitedMemory(20)"
            )

    def begin(self, like: Tensor, covariance: Tensor | None = None) -> Directions:
        d = like.shape[0]
        if covariance is not None:
            check_covariance(covariance, d)  # what of it can be held is nothing: directions are learned from steps
        m = self.directions or 4 + math.floor(3 * math.log(d))
        return Directions(like.new_zeros(m, d), 0)

    def rates(self, n: int, like: Tensor, active: bool) -> Rates:
        d = like.shape[0]
        usual = rates(n, d, False, 1.0, like.dtype, like.device)
        return replace(usual, cs=min(0.5, 2 * n / d), damping=1.0)

    def draw(self, held: Directions, z: Tensor) -> Tensor:
        y = z
        for c, vector in zip(_speeds(*held.vectors.shape), held.vectors[: held.used].unbind(), strict=False):
            y = (y * (1 - c)).addr_(y.mv(vector), vector, alpha=c)
        return y

    def whiten(self, held: Directions, y: Tensor) -> Tensor:
        used = held.vectors[: held.used]
        lengths = (used * used).sum(1).tolist()
        factors = list(zip(_speeds(*held.vectors.shape), used.unbind(), lengths, strict=False))
        z = y
        for c, vector, length in reversed(factors):
            along = z.mv(vector)
            z = (z / (1 - c)).addr_(along, vector, alpha=-c / (1 - c) / (1 - c + c * length))
        return z

    def prolong(self, held: Directions, path: Tensor, fading: float, z: Tensor, gain: float) -> Tensor:
        return path.mul_(fading).add_(z, alpha=gain)

    def learn(
        self,
        held: Directions,
        rates: Rates,
        path: Tensor,
        stalled: float,
        y: Tensor,
        z: Tensor,
        zw: Tensor,
        sigma: float,
    ) -> Directions:
        m, d = held.vectors.shape
        fading = [min(1.0, rates.n / (4.0**j * d)) for j in range(m)]
        kept = torch.tensor([1 - c for c in fading], dtype=zw.dtype, device=zw.device)
        gained = torch.tensor(
            [math.sqrt(rates.mass * c * (2 - c)) / sigma for c in fading], dtype=zw.dtype, device=zw.device
        )
        return Directions(held.vectors.mul_(kept[:, None]).addr_(gained, zw), min(m, held.used + 1))

    def deviations(self, held: Directions) -> Tensor:
        """Estimated from 16 steps, to about a fifth; the directions do not say it without the matrix."""
        z = Key(0).normal(16, held.vectors.shape[1], like=held.vectors)
        return self.draw(held, z).square_().mean(0).sqrt_()

    def axes(self, held: Directions) -> tuple[float, float]:
        least, most = self.deviations(held).aminmax()
        return float(least), float(most)


@lru_cache(maxsize=64)
def _speeds(m: int, d: int) -> tuple[float, ...]:
    """c_{d,j} of the m factors."""
    return tuple(min(0.5, 1 / (1.5**j * d)) for j in range(m))
