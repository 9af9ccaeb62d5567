"""Many small minimizations within a box at once: BFGS with its matrices side by side, one batched question a turn.

Nocedal and Wright 2006, chapter 6 for BFGS with backtracking; coordinates that lie on a side of the box and want to
leave it are held (Bertsekas 1982, "Projected Newton methods").

Symbols: x (s, d) the points, g (s, d) gradients, b (s, d, d) inverse curvatures, t (s,) step lengths.
"""

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["descend_many"]

_ENOUGH = 1e-4
"""Armijo's share of the decrease that the slope promises."""


def descend_many(
    f: Callable[[Tensor], tuple[Tensor, Tensor]],
    x: Tensor,
    lower: Tensor,
    upper: Tensor,
    turns: int,
    first: float,
    tolerance: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """Where minimizations of f from points x (s, d) come to in a number of questions, and the values (s,) there.

    Args:
        f: points (s, d) -> values (s,) and gradients (s, d); where a value is not finite is no way to go.
        x: (s, d), inside.
        lower, upper: (d,) or (s, d), the box.
        turns: how often f is asked.
        first: the longest first step, in the largest coordinate.
        tolerance: a minimization rests when it promises less than this times 1 + |f|.

    >>> def f(x: Tensor) -> tuple[Tensor, Tensor]:
    ...     return (x - 3).square().sum(1), 2 * (x - 3)
    >>> descend_many(f, torch.zeros(1, 2), torch.tensor(-1.0), torch.tensor(1.0), 9, 1.0)
    (tensor([[1., 1.]]), tensor([8.]))
    """
    value, g = f(x)
    s, d = x.shape
    b = torch.eye(d, dtype=x.dtype).expand(s, d, d).clone()
    fresh = torch.ones(s, dtype=torch.bool)
    p, t, promise = _direction(x, g, b, fresh, lower, upper, first)
    for _ in range(turns - 1):
        if not bool((promise > tolerance * (1 + value.abs())).any()):
            break
        there = (x + t[:, None] * p).clamp(lower, upper)
        move = there - x
        new, slope = f(there)
        along = (g * move).sum(1)
        good = (new <= value + _ENOUGH * along) & new.isfinite()
        b, fresh = _learn(b, fresh, move, slope - g, good)
        # where the step was too long, the minimum of a parabola through what is known
        shorter = (-along / (2 * (new - value - along))).nan_to_num(0.1, 0.1, 0.1).clamp(0.1, 0.5)
        x, value = torch.where(good[:, None], there, x), torch.where(good, new, value)
        g = torch.where(good[:, None], slope, g)
        p_new, t_new, promised = _direction(x, g, b, fresh, lower, upper, first)
        p, t = torch.where(good[:, None], p_new, p), torch.where(good, t_new, t * shorter)
        promise = torch.where(good, promised, promise * (t > 1e-9))
    return x, value


def _direction(
    x: Tensor, g: Tensor, b: Tensor, fresh: Tensor, lower: Tensor, upper: Tensor, first: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Where to go (s, d), how far (s,), and the decrease (s,) that this promises."""
    free = ~(((x <= lower) & (g > 0)) | ((x >= upper) & (g < 0)))
    held = g * free
    p = -(b @ held[:, :, None])[:, :, 0] * free
    uphill = (p * held).sum(1) > 0
    p = torch.where(uphill[:, None], -held, p)
    largest = p.abs().amax(1)
    t = torch.where(fresh | uphill, first / largest.clamp(min=first), 1.0)
    return p, t, -(p * held).sum(1) * t


def _learn(b: Tensor, fresh: Tensor, move: Tensor, bend: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
    """BFGS, equation 6.17, and 6.20 for its first matrix, where the curvature along the move is positive."""
    product = (move * bend).sum(1)
    square = bend.square().sum(1)
    use = good & (product > 1e-12 * square) & (product > 0)
    rho = torch.where(use, 1 / product, 0.0)
    first = torch.where(use & fresh, product / square, 1.0)
    b = b * first[:, None, None]
    by = (b @ bend[:, :, None])[:, :, 0]
    twice = rho * (1 + rho * (bend * by).sum(1))
    cross = rho[:, None, None] * (by[:, :, None] * move[:, None, :])
    new = b - cross - cross.mT + twice[:, None, None] * (move[:, :, None] * move[:, None, :])
    return torch.where(use[:, None, None], new, b), fresh & ~use
