"""Points that were drawn outside of a domain: evaluated at the nearest point inside, and ranked with a penalty.

The distribution learns from the points as they were drawn, and a penalty on their distance from the box pulls it back.
After Hansen, Niederberger, Guzzella and Koumoutsakos 2009, "A method for handling uncertainty in evolutionary
optimization", IV.B, with one weight for all coordinates, which follows the losses up and down:

    loss(x) = f(nearest) + w |x - nearest|^2 / (d s^2),    s^2 = the mean variance of the coordinates,
    w = half the median, over the last 20 + d generations, of the interquartile range of f.

Measured on BBOB with the box as the domain, and on functions whose minimum is at the edge of a box, at d = 5, 10, 20:
a distribution that learns from mirrored points does not converge to an edge at all; one that learns from the points
that were mirrored takes two to five times as long; one that draws again until points lie inside is slower everywhere;
one that ranks all outside points last takes 2 to 15 times as long. Ranks in place of losses would keep the search
invariant under any increasing function of them, but it then crawls along the sides on ill-conditioned functions.
"""

import math
from bisect import bisect_left
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.population.cma_update import Gaussian
from descend.population.covariance import Covariance
from descend.space.domain import Domain

__all__ = ["ranking", "spread"]

_WEIGHT = 0.5
"""From 0.25 to 1 nothing else changes much; a larger one is slower to a minimum in a corner."""


def spread(spreads: tuple[float, ...], ranked: list[float], d: int) -> tuple[float, ...]:
    """The interquartile ranges of the last generations, after one with these losses, ascending, failures as inf."""
    finite = bisect_left(ranked, math.inf)
    if not finite:
        return spreads
    return (*spreads[-19 - d :], ranked[3 * finite // 4] - ranked[finite // 4])


def ranking(
    gauss: Gaussian,
    family: Covariance[Any],
    domain: Domain,
    drawn: Tensor,
    losses: Tensor,
    spreads: tuple[float, ...],
) -> np.ndarray:
    """The places (n,) of points from the best to the worst, ties in their order.

    Args:
        gauss: the distribution.
        family: of its covariance.
        domain: where the points were to lie.
        drawn: (n, d), as they were drawn.
        losses: (n,) float64 on the CPU, at the nearest points inside; +inf where the evaluation failed.
        spreads: what `spread` made of these losses.
    """
    values = losses.numpy()
    if not domain.bounded:
        return values.argsort(kind="stable")
    inside = domain.clip(drawn)
    if torch.equal(inside, drawn):
        return values.argsort(kind="stable")
    outside = (drawn - inside).div_(gauss.scale)
    if domain.discrete:  # beyond the last cell is still that cell
        outside.masked_fill_(domain.cells > 0, 0)
    variance = gauss.sigma**2 * float(family.deviations(gauss.held).square().mean())
    squares = (outside * outside).mean(1).double().cpu().numpy()
    return np.lexsort((squares, values + _WEIGHT * median(spreads) / variance * squares))
