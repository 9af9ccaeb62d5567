"""Coordinates that are bent until a loss changes equally fast everywhere along them: input warping.

A loss may be steep near one end of a coordinate and flat in the rest of it, as where the order of magnitude counts and
a space says so nowhere. A kernel with one length scale for each coordinate fits no such loss. So a number u in [0, 1]
goes through Kumaraswamy's distribution function w(u) = 1 - (1 - u^a)^b, which can stretch either end, both or the
middle, and is the identity where a = b = 1 (Snoek, Swersky, Zemel and Adams 2014, "Input warping for Bayesian
optimization of non-stationary functions").

Symbols: phi (n, p) features, u - 1/2 where they are numbers; places (m,) those that are bent; a, b (m,).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["NOWHERE", "STRAIGHT", "Bend"]

_EDGE = 1e-6
"""How far from 0 and 1 a number is kept, where slopes may be infinite."""
NOWHERE = torch.zeros(0, dtype=torch.int64)
"""No places."""


@dataclass(frozen=True, eq=False)
class Bend:
    """Bent features. Fields: places (m,) int64; a, b (m,)."""

    places: Tensor
    a: Tensor
    b: Tensor

    @staticmethod
    def of(logs: Tensor, places: Tensor) -> "Bend":
        """That of the logarithms (2 m,) of a, then of b; none of them: nothing is bent.

        >>> bend = Bend.of(torch.log(torch.tensor([0.5, 1.0])), torch.tensor([0]))
        >>> bend(torch.tensor([[0.25 - 0.5, 7.0]])).round(decimals=4)
        tensor([[0., 7.]])
        """
        a, b = logs.exp().reshape(2, -1)
        return Bend(places[: len(a)], a, b)

    def __call__(self, phi: Tensor) -> Tensor:
        """Bent features (n, p) of features (n, p)."""
        if not len(self.places):
            return phi
        _, _, s = self._logs(phi)
        return phi.index_copy(1, self.places, 0.5 - (self.b * s).exp())

    def slope(self, phi: Tensor) -> Tensor:
        """The derivatives (n, p) of the bent features by the features, each by its own."""
        if not len(self.places):
            return torch.ones_like(phi)
        t, v, s = self._logs(phi)
        steep = (1 - 2 * _EDGE) * self.a * self.b * v * (-t).exp() * ((self.b - 1) * s).exp()
        return torch.ones_like(phi).index_copy(1, self.places, steep)

    def by_logs(self, phi: Tensor, slopes: Tensor) -> Tensor:
        """By the chain rule: from derivatives (n, p) by the bent features those (2 m,) by log a and log b."""
        t, v, s = self._logs(phi)
        by_a = self.a * self.b * t * v * ((self.b - 1) * s).exp()
        by_b = -self.b * s * (self.b * s).exp()
        slopes = slopes[:, self.places]
        return torch.cat([(slopes * by_a).sum(0), (slopes * by_b).sum(0)])

    def _logs(self, phi: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log u, u^a and log(1 - u^a), all (n, m)."""
        t = (_EDGE + (1 - 2 * _EDGE) * (phi[:, self.places] + 0.5)).log()
        at = self.a * t
        return t, at.exp(), (-at.expm1()).log()


STRAIGHT = Bend.of(torch.zeros(0, dtype=torch.float64), NOWHERE)
"""Nothing is bent."""
