"""The Matern kernel with nu = 5/2 of squared distances, and its slope.

k(r) = (1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r), Rasmussen and Williams 2006, equation 4.17; every length scale is
folded into r beforehand. Its derivative by r^2 is -5/6 (1 + sqrt(5) r) exp(-sqrt(5) r), which is finite at 0.
"""

import torch
from torch import Tensor

__all__ = ["matern", "matern_with_slope", "square_distances"]


def square_distances(a: Tensor, b: Tensor) -> Tensor:
    """(n, m): the squares of the distances of rows a (n, p) and b (m, p).

    >>> square_distances(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([[25.]])
    """
    products = torch.addmm(b.square().sum(1)[None], a, b.T, alpha=-2.0)
    return products.add_(a.square().sum(1)[:, None]).clamp_(min=0)


def matern(squares: Tensor) -> Tensor:
    """k of squared distances, of the same shape.

    >>> float(matern(torch.zeros(())))
    1.0
    """
    return matern_with_slope(squares)[0]


def matern_with_slope(squares: Tensor) -> tuple[Tensor, Tensor]:
    """k of squared distances, and its derivative by them."""
    r = (5 * squares).sqrt_()
    fall = torch.exp(-r)
    slope = r.add_(1).mul_(fall)
    return torch.addcmul(slope, squares, fall, value=5 / 3), slope.mul_(-5 / 6)
