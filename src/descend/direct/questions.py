"""How a sequential method puts a question: a point inside of the domain goes out, a loss comes back as a number.

Where coordinates are discrete many points mean the same values; each is asked for once.
"""

from collections.abc import Generator

import torch
from torch import Tensor

from descend.space.domain import Domain

__all__ = ["Questions", "negligible"]


class Questions:
    """The questions of one conversation, used with ``yield from``.

    Failures come back as +inf, which is greater than every loss.
    """

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self._known: dict[tuple[float, ...], float] = {}

    def place(self, xs: Tensor) -> Tensor:
        """What is asked for xs (..., d): the nearest points inside, in the middle of their cells."""
        return self.domain.centre(self.domain.clip(xs))

    def one(self, x: Tensor) -> Generator[Tensor, Tensor, float]:
        """The loss at x (d,)."""
        if self.domain.discrete:
            return (yield from self.many(x[None]))[0]
        return float((yield self.domain.clip(x)[None])[0])

    def many(self, xs: Tensor) -> Generator[Tensor, Tensor, list[float]]:
        """The losses at xs (m, d), m >= 1, as one batch."""
        xs = self.place(xs)
        if not self.domain.discrete:
            return (yield xs).tolist()
        names = [tuple(x) for x in xs.tolist()]
        new = {name: i for i, name in enumerate(names) if name not in self._known}
        if new:
            losses = yield xs[list(new.values())]
            self._known |= dict(zip(new, losses.tolist(), strict=True))
        return [self._known[name] for name in names]


def negligible(x: Tensor, domain: Domain, accuracy: float) -> Tensor:
    """Lengths (d,) that no longer matter at x (d,): `accuracy` typical lengths, half a cell, or the rounding of x."""
    least = torch.maximum(accuracy * domain.scale, 4 * torch.finfo(x.dtype).eps * x.abs())
    if not domain.discrete:
        return least
    return torch.where(domain.cells > 0, 0.5 * (domain.upper - domain.lower) / domain.cells.clamp(min=1), least)
