"""Nonlinear conjugate gradients: the new direction keeps what is left to gain along the last one.

Chapter 5.2 of Nocedal and Wright (2006), "Numerical Optimization"; the formulas are those of Fletcher and Reeves
(1964), Polak and Ribiere (1969), Hestenes and Stiefel (1952), and Dai and Yuan (1999).

Symbols: g the gradient, p the direction (subtracted), p = g + beta p_before, y = g - g_before.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.transform.chain import At, Transform
from descend.transform.inner import dot, last_gain, norm, wide
from descend.tree import state

__all__ = ["Beta", "ConjugateGradient", "ConjugateState", "Products"]

_STEEP = 1e-2
"""The cosine between gradient and direction that a direction must have to count as one of descent."""


class Products(NamedTuple):
    """The inner products that the formulas need: g.g, g.y, g_before.g_before and -p_before.y."""

    gg: float
    gy: float
    before: float
    py: float


class Beta(Enum):
    """A formula for beta; they agree on a quadratic under exact line searches."""

    FLETCHER_REEVES = "Fletcher-Reeves"
    POLAK_RIBIERE = "Polak-Ribiere+"
    HESTENES_STIEFEL = "Hestenes-Stiefel+"
    DAI_YUAN = "Dai-Yuan"

    def __repr__(self) -> str:
        return f"Beta.{self.name}"

    def __call__(self, products: Products) -> float:
        """beta, or NaN where a denominator is zero."""
        try:
            return _FORMULAS[self](products)
        except ZeroDivisionError:
            return math.nan


_FORMULAS: dict[Beta, Callable[[Products], float]] = {
    Beta.FLETCHER_REEVES: lambda p: p.gg / p.before,  # eq. 5.41a
    Beta.POLAK_RIBIERE: lambda p: max(0.0, p.gy / p.before),  # eq. 5.45
    Beta.HESTENES_STIEFEL: lambda p: max(0.0, p.gy / p.py),  # eq. 5.46
    Beta.DAI_YUAN: lambda p: p.gg / p.py,  # eq. 5.49
}


@state
class ConjugateState:
    """Where conjugate gradients stand.

    Fields: x, gradient and direction, all (d,), of the last step; steps, how many gradients were seen.
    """

    x: Tensor
    gradient: Tensor
    direction: Tensor
    steps: int


@dataclass(frozen=True)
class ConjugateGradient(Transform[ConjugateState]):
    """p = g + beta p_before: four vectors of memory, and no matrix.

    It needs a step rule that searches nearly exactly, ``StrongWolfe(c2=0.1)``; without, it is hardly better than the
    gradient. What it returns is p at the length at which it
    promises what the last step gained, so that the unit step is the one to try first.

    It starts over with p = g where the last step stayed at x, where p would hardly descend, and where the gradient
    has not become nearly orthogonal to the one before (Powell 1977, "Restart procedures for the conjugate gradient
    method"): f is then not like a quadratic, and the past is of no use.

    Args:
        beta: the formula, default ``Beta.POLAK_RIBIERE``.
        restart: the overlap |g.g_before| / g.g from which on it starts over, > 0; default 0.2, infinity for never.

    Raises:
        InvalidValue: a restart that is not positive.

    >>> from descend.descent import Descent
    >>> from descend.key import Key
    >>> from descend.oracle import Differentiable
    >>> from descend.step import StrongWolfe
    >>> bowl = Differentiable(lambda x: (x[0] - 1) ** 2 + 100 * (x[1] + 2) ** 2)
    >>> descent = Descent(ConjugateGradient(), StrongWolfe(c2=0.1))
    >>> state = descent.init(torch.zeros(2), Key(0))
    >>> for _ in range(15):
    ...     state = descent.advance(bowl, state)
    >>> bool((state.x - torch.tensor([1.0, -2.0])).norm() < 1e-3)
    True
    """

    beta: Beta = Beta.POLAK_RIBIERE
    restart: float = 0.2

    separable: ClassVar[bool] = False
    reads_point: ClassVar[bool] = True
    natural_length: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.restart > 0:
            raise InvalidValue(f"the overlap must be > 0, got restart={self.restart!r}; write restart=0.2, or math.inf")

    def init(self, x: Tensor) -> ConjugateState:
        like = wide(x)
        return ConjugateState(like.clone(), torch.zeros_like(like), torch.zeros_like(like), 0)

    def __call__(self, gradient: Tensor, state: ConjugateState, at: At) -> tuple[Tensor, ConjugateState]:
        g, x = wide(gradient).clone(), wide(at.x).clone()
        direction, length = g, 1.0
        s = x - state.x
        if state.steps > 0 and s.any():
            direction = self._direction(g, state)
            gain, promise = last_gain(s, g, state.gradient), dot(g, direction)
            if gain > 0 and promise > 0:
                # no more than tenfold: gradients fall suddenly where a valley turns
                length = min(gain / promise, 10 * norm(s) / norm(state.direction))
        return (length * direction).to(at.x.dtype), ConjugateState(x, g, direction, state.steps + 1)

    def _direction(self, g: Tensor, state: ConjugateState) -> Tensor:
        y = g - state.gradient
        gg, before = dot(g, g), dot(state.gradient, state.gradient)
        beta = self.beta(Products(gg, dot(g, y), before, -dot(state.direction, y)))
        if not math.isfinite(beta) or abs(dot(g, state.gradient)) >= self.restart * gg:
            return g
        direction = g + beta * state.direction
        descends = dot(g, direction) > _STEEP * norm(g) * norm(direction)
        return direction if descends else g
