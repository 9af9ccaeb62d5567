"""Coordinate search: minimize along one coordinate after the other.

The oldest method there is (Southwell's relaxation; Wright 2015, "Coordinate descent algorithms", is a survey). It is
the right one where the loss is nearly a sum of functions of one coordinate each.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from descend.direct.line import Brent, Line, check_line
from descend.direct.powell import along
from descend.direct.questions import Questions, negligible
from descend.key import Key
from descend.population.base import positive
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["CoordinateSearch"]


@dataclass(frozen=True)
class CoordinateSearch(Conversation):
    """One coordinate after the other, each minimized while the others are held.

    Args:
        line: how to minimize along a coordinate; default `Brent()`; `Golden()` where the loss is not smooth.
        size: > 0, the first step, in typical lengths; default 0.1.
        accuracy: > 0, the length of steps that is done, in typical lengths; default 1e-10.

    A coordinate without an order tries all its other values, as one batch.

    Raises:
        InvalidValue: size or accuracy is not positive and finite.

    >>> from descend.oracle import Function
    >>> method, f = CoordinateSearch(), Function(lambda x: (x[0] - 3) ** 2 + 10 * (x[1] + 1) ** 2)
    >>> state = method.init(torch.tensor([0.0, 1.0], dtype=torch.float64), Key(0))
    >>> for _ in range(30):
    ...     state = method.advance(f, state)
    >>> [round(x, 4) for x in state.x.tolist()]
    [3.0, -1.0]
    """

    line: Line = field(default_factory=Brent)
    size: float = 0.1
    accuracy: float = 1e-10

    def __post_init__(self) -> None:
        check_line(self, self.line)
        positive(self, "size", self.size, 0.1)
        positive(self, "accuracy", self.accuracy, 1e-10)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        ask = Questions(domain)
        loss = yield from ask.one(x)
        axes, steps = torch.diag(domain.scale), [self.size] * x.numel()
        loose = domain.unordered.tolist()
        while True:
            begin = x
            for i, axis in enumerate(axes):
                if loose[i]:
                    x, loss = yield from _every_value(ask, x, loss, i)
                    continue
                x, loss, t = yield from along(self.line, ask, x, loss, axis, steps[i])
                steps[i] = max(abs(t), 0.01 * steps[i])
            least = negligible(x, domain, self.accuracy)
            small = (torch.tensor(steps).to(x) * domain.scale <= least) | domain.unordered
            if bool(small.all()) and bool(((x - begin).abs() <= least).all()):
                return f"steps of {self.accuracy:g} typical lengths along the axes gain nothing"


def _every_value(ask: Questions, x: Tensor, loss: float, i: int) -> Generator[Tensor, Tensor, tuple[Tensor, float]]:
    """The best value of a coordinate that has cells, at x (d,) otherwise."""
    domain, k = ask.domain, int(ask.domain.cells[i])
    others = x.repeat(k, 1)
    width = (domain.upper[i] - domain.lower[i]) / k
    others[:, i] = domain.lower[i] + (torch.arange(k, device=x.device) + 0.5) * width
    losses = yield from ask.many(others)
    best = min(range(k), key=losses.__getitem__)
    return (others[best], losses[best]) if losses[best] < loss else (x, loss)
