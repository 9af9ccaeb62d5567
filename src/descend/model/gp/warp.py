"""A scale in which losses look like draws of a Gaussian process: as they are, or logarithmic from the best one upwards.

w(y) = log(1 + (y - low) / unit), with the unit a part c of the distance from the least to the median value: near the
least value it is a straight line, far above only orders of magnitude count. c is chosen by the evidence (Snelson,
Rasmussen and Ghahramani 2004, "Warped Gaussian processes"), to which belongs the log of w's slope at what was seen.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["PARTS", "Warp"]

PARTS = (math.inf, 1.0, 0.1, 0.01)
"""The c that are compared; infinity leaves values as they are."""


@dataclass(frozen=True, slots=True)
class Warp:
    """z = (w(y) - centre) / width. Fields: low, unit (infinite: w(y) = y), centre, width, floats."""

    low: float
    unit: float
    centre: float
    width: float

    @staticmethod
    def of(values: Tensor, part: float) -> "Warp":
        """That of finite values (n,), n >= 1, with c = part."""
        low = float(values.min())
        unit = part * (float(values.median()) - low)
        if not unit > 1e-12 * abs(low) or not math.isfinite(unit):
            unit = math.inf
        raised = Warp(low, unit, 0.0, 1.0)(values)
        centre, width = float(raised.mean()), float(raised.std(unbiased=False))
        steady = width > 1e-12 * abs(centre) and math.isfinite(width)
        return Warp(low, unit, centre, width if steady else 1.0)

    def __call__(self, values: Tensor) -> Tensor:
        """z of values, of the same shape.

        >>> Warp(1.0, 2.0, 0.0, 1.0)(torch.tensor([1.0, 3.0]))
        tensor([0.0000, 0.6931])
        """
        raised = values if self.unit == math.inf else torch.log1p((values - self.low) / self.unit)
        return (raised - self.centre) / self.width

    def back(self, z: Tensor) -> Tensor:
        """The values of z."""
        raised = z * self.width + self.centre
        return raised if self.unit == math.inf else self.low + self.unit * torch.expm1(raised)

    def slope(self, z: Tensor) -> Tensor:
        """How fast values grow with z."""
        if self.unit == math.inf:
            return torch.full_like(z, self.width)
        return self.width * self.unit * torch.exp(z * self.width + self.centre)
