"""Elementary functions whose derivatives stay right where autograd of the obvious formula says NaN or zero.

The square root has no slope at zero. Where a formula is smooth all the same, as cos(sqrt(z)) is, it is written by its
power series near zero; where it is not, the slope at zero is set to zero, which is a subgradient in most formulas here.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Below this the first term left out of either series, z^5 / 10!, is less than the rounding of float64.
SERIES = 0.01


def norm(*coordinates: Tensor) -> Tensor:
    """The Euclidean norm of the coordinates, element by element; its slope at zero is zero instead of NaN."""
    return torch.linalg.vector_norm(torch.stack(coordinates, dim=-1), dim=-1)


def root(x: Tensor) -> Tensor:
    """The square root of |x|; its slope at zero is zero instead of infinite."""
    return x.abs().clamp_min(torch.finfo(x.dtype).tiny).sqrt()


def cosine_of_root(z: Tensor) -> Tensor:
    """cos(sqrt(z)) for z >= 0, with all derivatives that matter at z = 0 too."""
    near = z < SERIES
    far = torch.where(near, 1.0, z)
    series = 1 - z / 2 * (1 - z / 12 * (1 - z / 30 * (1 - z / 56)))
    return torch.where(near, series, torch.cos(far.sqrt()))


def sinc(t: Tensor) -> Tensor:
    """sin(pi t) / (pi t), with all derivatives that matter at t = 0 too."""
    z = (math.pi * t) ** 2
    near = z < SERIES
    far = torch.where(near, 1.0, math.pi * t)
    series = 1 - z / 6 * (1 - z / 20 * (1 - z / 42 * (1 - z / 72)))
    return torch.where(near, series, torch.sin(far) / far)


def index(x: Tensor) -> Tensor:
    """(1, 2, ..., d) in the dtype and on the device of `x: (..., d)`."""
    return torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
