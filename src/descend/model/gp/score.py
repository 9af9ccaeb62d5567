"""What is promised by points of a cube: beliefs about what would be seen there, and a promise made of them.

Symbols: u (k, d) points; a belief is a Gaussian process; m of them.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.model.acquire import Promise
from descend.model.gp.features import Features
from descend.model.gp.process import Process

__all__ = ["Score"]


@dataclass(frozen=True, eq=False)
class Score:
    """The promise of points.

    Fields: features; beliefs, m processes; promise.
    """

    features: Features
    beliefs: tuple[Process, ...]
    promise: Promise

    def __call__(self, us: Tensor) -> Tensor:
        """Values (k,) at points (k, d)."""
        phi = self.features.at(us)
        means, deviations = zip(*(belief(phi) for belief in self.beliefs), strict=True)
        return self.promise(torch.stack(means), torch.stack(deviations))[0]

    def with_slopes(self, us: Tensor) -> tuple[Tensor, Tensor]:
        """Values (k,) and gradients (k, d), 0 where a coordinate is not smooth."""
        active = self.features.cube.active(us)
        phi = self.features(us, active)
        there = [belief.with_slopes(phi) for belief in self.beliefs]
        value, by_mean, by_deviation = self.promise(
            torch.stack([local.mean for local in there]), torch.stack([local.deviation for local in there])
        )
        slopes = there[0].back(by_mean[0], by_deviation[0])
        for i, local in enumerate(there[1:], 1):
            slopes = slopes + local.back(by_mean[i], by_deviation[i])
        return value, self.features.back(us, active, slopes)
