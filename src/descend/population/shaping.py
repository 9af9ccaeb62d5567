"""From losses to ranks: the one place that says how failures are ordered.

NaN and infinities are failures; they rank last, in the order in which they came.
"""

import math

import torch
from torch import Tensor

__all__ = ["best", "centred_ranks", "order", "settled"]


def settled(losses: Tensor) -> Tensor:
    """The losses (n,) with every failure as +inf."""
    return losses.nan_to_num(nan=math.inf, posinf=math.inf, neginf=math.inf)


def order(losses: Tensor) -> Tensor:
    """The places (n,) int64 of the losses from the best to the worst; ties and failures in their order.

    >>> order(torch.tensor([2.0, math.nan, 1.0, -math.inf])).tolist()
    [2, 0, 1, 3]
    """
    return settled(losses).argsort(stable=True)


def best(losses: Tensor) -> int:
    """The place of the least loss, the first of equal ones; 0 if all failed."""
    return int(settled(losses).argmin())


def centred_ranks(losses: Tensor) -> Tensor:
    """The ranks (n,), the best -1/2 and the worst 1/2, equally far from each other; 0 for a single one.

    Equal losses share the mean of their ranks, so a constant objective pulls nowhere.

    >>> centred_ranks(torch.tensor([3.0, 1.0, 2.0])).tolist(), centred_ranks(torch.tensor([1.0, 1.0])).tolist()
    ([0.5, -0.5, 0.0], [0.0, 0.0])
    """
    n = len(losses)
    if n < 2:
        return torch.zeros_like(losses)
    _, place, count = settled(losses).unique(return_inverse=True, return_counts=True)
    last = count.cumsum(0)
    mean = (2 * last - count - 1).to(losses.dtype) / 2
    return mean[place] / (n - 1) - 0.5
