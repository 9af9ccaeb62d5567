"""Inner products of flat vectors as Python floats, and what follows from them, safe in every dtype.

A sum of squares overflows in float32 from 1e19 on and vanishes below 1e-23; where that happens it is taken again in
float64. 16-bit vectors are multiplied in float32.
"""

import math

import torch
from torch import Tensor

__all__ = ["cautious", "dot", "last_gain", "norm", "wide"]


def wide(x: Tensor) -> Tensor:
    """x in a dtype to do linear algebra in: float32 for 16-bit tensors, else x itself."""
    return x.float() if x.element_size() < 4 else x


def dot(a: Tensor, b: Tensor) -> float:
    """The inner product of two (d,) vectors.

    >>> dot(torch.tensor([1e30, 0.0]), torch.tensor([1e30, 1.0])) > 9e59
    True
    """
    total = float(torch.dot(wide(a), wide(b)))
    if total == 0.0 or not math.isfinite(total):
        total = float(torch.dot(a.to("cpu", torch.float64), b.to("cpu", torch.float64)))
    return total


def norm(a: Tensor) -> float:
    """The Euclidean length of a (d,) vector."""
    return math.sqrt(dot(a, a))


def cautious(gradient: Tensor) -> Tensor:
    """A new vector along the gradient and at most 1 long: the step of a method that knows no curvature yet."""
    return gradient / max(1.0, norm(gradient))


def last_gain(s: Tensor, gradient: Tensor, before: Tensor) -> float:
    """Twice the decrease of f along the last step s, from the gradients at its two ends; 0 where they show none.

    On a quadratic, a direction that leads to the minimum promises, to first order, twice what it gains. So a direction
    whose promise equals this is of the length that gains as much as the last step did (Nocedal and Wright 2006, eq.
    3.60, with the trapezoidal rule for the difference of values, so that none need be known).
    """
    promised = -dot(before, s)
    gained = promised - dot(gradient, s)
    return max(gained if gained > 0 else promised, 0.0)
