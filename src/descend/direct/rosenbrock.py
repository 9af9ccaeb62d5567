"""Rosenbrock's method: steps along orthogonal axes that turn into the direction in which they have made way.

Rosenbrock (1960), "An automatic method for finding the greatest or least value of a function". A step that gains is
followed by a longer one the same way (his alpha = 3), one that does not by a shorter one the other way (beta = 1/2).
When every axis has seen both, the axes are turned (Gram-Schmidt) so that the first points along the way since the last
turn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direct.questions import Questions, negligible
from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import positive
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["RotatingCoordinates"]


@dataclass(frozen=True)
class RotatingCoordinates(Conversation):
    """Rosenbrock's rotating coordinates, for few dimensions and curved valleys; it compares only.

    Args:
        size: > 0, the first steps, in typical lengths; default 0.1.
        grow: > 1, what a step is multiplied with after a gain; default 3.
        shrink: in (0, 1), what it is multiplied with, and turned round, otherwise; default 0.5.
        accuracy: > 0, the length of steps that is done, in typical lengths; default 1e-10.

    Points are asked one by one; those outside of the domain are moved to its sides.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.oracle import Function
    >>> method, f = RotatingCoordinates(), Function(lambda x: (x[0] + x[1] - 3) ** 2 + 10 * (x[0] - x[1]) ** 2)
    >>> state = method.init(torch.tensor([0.0, 1.0], dtype=torch.float64), Key(0))
    >>> for _ in range(200):
    ...     state = method.advance(f, state)
    >>> [round(x, 3) for x in state.x.tolist()]
    [1.5, 1.5]
    """

    size: float = 0.1
    grow: float = 3.0
    shrink: float = 0.5
    accuracy: float = 1e-10

    def __post_init__(self) -> None:
        positive(self, "size", self.size, 0.1)
        positive(self, "grow", self.grow, 3.0)
        positive(self, "shrink", self.shrink, 0.5)
        positive(self, "accuracy", self.accuracy, 1e-10)
        if not self.shrink < 1 < self.grow:
            raise InvalidValue(
                f"RotatingCoordinates needs shrink < 1 < grow, got shrink={self.shrink!r} and grow={self.grow!r}; "
                "write RotatingCoordinates(grow=3.0, shrink=0.5)"
            )

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        ask, d, scale = Questions(domain), x.numel(), domain.scale
        loss = yield from ask.one(x)
        axes = torch.eye(d, dtype=x.dtype, device=x.device)  # in typical lengths
        steps = [self.size] * d
        while True:
            way, gained, failed = [0.0] * d, [False] * d, [False] * d
            while not all(gained) or not all(failed):
                for i in range(d):
                    trial = domain.clip(x + steps[i] * scale * axes[i])
                    reached = yield from ask.one(trial)
                    if reached < loss:  # he took equal ones for gains too, and would walk on a plain for ever
                        x, loss, gained[i] = trial, reached, True
                        way[i] += steps[i]
                        steps[i] *= self.grow
                    else:
                        failed[i] = True
                        steps[i] *= -self.shrink
                longest = (torch.tensor(steps).to(x)[:, None] * scale * axes).abs().amax(0)
                if bool((longest <= negligible(x, domain, self.accuracy)).all()):
                    return f"steps of {self.accuracy:g} typical lengths gain nothing"
            axes = _turned(axes, way)


def _turned(axes: Tensor, way: list[float]) -> Tensor:
    """Orthogonal axes (d, d) of which the first points along the way, the second along what is left of it, and so on.

    His (way_i axes_i + ... + way_d axes_d) for i = 1..d, made orthogonal in this order by a QR decomposition.
    """
    # an axis along which nothing was gained in the end would be lost; a tiny share of it keeps the matrix regular
    amounts = torch.tensor([w if w != 0 else 1e-8 * max(map(abs, way), default=1.0) for w in way]).to(axes)
    spans = (amounts[:, None] * axes).flip(0).cumsum(0).flip(0)
    turned, upper = torch.linalg.qr(spans.T)
    return (turned * torch.where(upper.diagonal() < 0, -1.0, 1.0)).T
