"""Powell's method: minimize along one direction after the other, and let the way that was gone become a direction.

Powell (1964), "An efficient method for finding the minimum of a function of several variables without calculating
derivatives", with his criterion for which direction to give up (section 4), so that the directions stay independent.
On a quadratic function they become conjugate.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from descend.direct.line import Brent, Line, check_line, reach
from descend.direct.questions import Questions, negligible
from descend.key import Key
from descend.population.base import positive
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["Powell", "along"]


@dataclass(frozen=True)
class Powell(Conversation):
    """Conjugate directions without derivatives, for smooth losses that have little noise.

    Args:
        line: how to minimize along a direction; default `Brent()`.
        size: > 0, the first step of a line search, in typical lengths; default 0.1.
        accuracy: > 0, the length of steps that is done, in typical lengths; default 1e-10.

    Points are asked one by one. A line ends at the sides of the domain.

    Raises:
        InvalidValue: size or accuracy is not positive and finite.

    >>> from descend.oracle import Function
    >>> method, f = Powell(), Function(lambda x: (x[0] + x[1] - 3) ** 2 + 10 * (x[0] - x[1]) ** 2)
    >>> state = method.init(torch.tensor([0.0, 1.0], dtype=torch.float64), Key(0))
    >>> for _ in range(60):
    ...     state = method.advance(f, state)
    >>> [round(x, 4) for x in state.x.tolist()]
    [1.5, 1.5]
    """

    line: Line = field(default_factory=Brent)
    size: float = 0.1
    accuracy: float = 1e-10

    def __post_init__(self) -> None:
        check_line(self, self.line)
        positive(self, "size", self.size, 0.1)
        positive(self, "accuracy", self.accuracy, 1e-10)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        ask, axes = Questions(domain), torch.diag(domain.scale)
        loss = yield from ask.one(x)
        directions, steps = axes, [self.size] * x.numel()
        fresh = True
        while True:
            begin, at_begin = x, loss
            x, loss, steps, best = yield from self._sweep(ask, x, loss, directions, steps)
            least = negligible(x, domain, self.accuracy)
            reached = torch.tensor(steps).to(x)[:, None] * directions.abs()
            if bool((reached <= least).all()) and bool(((x - begin).abs() <= least).all()):
                if fresh:
                    return f"steps of {self.accuracy:g} typical lengths along the axes gain nothing"
                # directions that have become dependent may miss a slope: see what the axes find
                directions, steps, fresh = axes, [1e3 * self.accuracy] * x.numel(), True
                continue
            gained, largest = best
            beyond = domain.clip(2 * x - begin)
            at_beyond = yield from ask.one(beyond)
            if at_beyond >= at_begin:
                continue
            # Powell's criterion: is most of the gain along one direction, or the loss bent enough along the way?
            bend = 2 * (at_begin - 2 * loss + at_beyond) * (at_begin - loss - gained) ** 2
            if not bend < gained * (at_begin - at_beyond) ** 2:
                continue
            way = x - begin
            x, loss, t = yield from along(self.line, ask, x, loss, way, 1.0)
            directions = torch.cat((directions[:largest], directions[largest + 1 :], way[None]))
            steps = [*steps[:largest], *steps[largest + 1 :], max(abs(t), 0.01)]
            fresh = False

    def _sweep(
        self, ask: Questions, x: Tensor, loss: float, directions: Tensor, steps: list[float]
    ) -> Generator[Tensor, Tensor, tuple[Tensor, float, list[float], tuple[float, int]]]:
        """Minimize along every direction; the point, its loss, the steps, and the largest gain with its place."""
        after, best = [], (-1.0, 0)
        for i, (direction, step) in enumerate(zip(directions, steps, strict=True)):
            before = loss
            x, loss, t = yield from along(self.line, ask, x, loss, direction, step)
            best = max(best, (before - loss, -i)) if before > loss else best
            after.append(max(abs(t), 0.01 * step))
        return x, loss, after, (best[0], -best[1])


def along(
    line: Line, ask: Questions, x: Tensor, loss: float, direction: Tensor, step: float
) -> Generator[Tensor, Tensor, tuple[Tensor, float, float]]:
    """Minimize from x (d,) along a direction (d,), the first step being `step` of it: the point, its loss, and t."""

    def point(t: float) -> Tensor:
        return ask.domain.clip(x + t * direction)

    t, least = yield from line.search(lambda t: ask.one(point(t)), loss, step, *reach(x, direction, ask.domain))
    return (point(t), least, t) if least < loss else (x, loss, 0.0)
