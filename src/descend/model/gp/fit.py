"""The hyperparameters of a Gaussian process, and the scale of its values, that are most probable given what was seen.

They are sought from the same places each time, and only when the observations have become a tenth more: so they are a
function of the history, and a search that is resumed finds the same ones without having to repeat its fits.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.key import Key
from descend.model.gp.chain import chain
from descend.model.gp.descend_many import descend_many
from descend.model.gp.likelihood import LOG_NOISE, Prior, log_evidence
from descend.model.gp.warp import Warp

__all__ = ["Fit", "fit", "milestone"]

_ALWAYS = 50
"""Observations up to which every one of them is reason for a new fit."""
_GROWTH = 1.1
_COST = 1.0
"""How much evidence each further bend of the scale costs."""
_LENGTHS = (math.log(0.02), math.log(100.0))


def milestone(n: int) -> int:
    """How many of n observations the last fit was made from.

    >>> [milestone(n) for n in (3, 50, 54, 55, 60, 61)]
    [3, 50, 50, 55, 55, 61]
    """
    if n <= _ALWAYS:
        return n
    last = following = _ALWAYS
    while following <= n:
        last, following = following, math.ceil(following * _GROWTH - 1e-9)
    return last


@dataclass(frozen=True, eq=False)
class Fit:
    """What a fit says. Fields: thetas (k, q + 1), likely hyperparameters; part, the c of the warp."""

    thetas: Tensor
    part: float


def fit(
    phi: Tensor, owner: Tensor, values: Tensor, prior: Prior, parts: tuple[float, ...], draws: int, key: Key
) -> Fit:
    """The fit to finite values (n,) at features phi (n, p).

    Args:
        phi, owner: the features, and which length scale each of them has.
        values: (n,).
        prior: of the hyperparameters.
        parts: the c that may be chosen, in the order in which they are tried: as long as the evidence grows.
        draws: how many hyperparameters to draw from what is likely; 0 for the single most likely ones.
        key: of the draws.
    """
    q = int(owner.max()) + 1
    starts = torch.full((2, q + 1), prior.length, dtype=values.dtype)
    starts[1, :q] = math.log(0.5) + 0.5 * math.log(q)
    # what is rough may be so by itself or by noise: two explanations, of which each may hide the other
    starts[:, q] = torch.tensor([math.log(1e-5), math.log(0.2)], dtype=values.dtype)
    lower, upper = torch.full_like(starts[0], _LENGTHS[0]), torch.full_like(starts[0], _LENGTHS[1])
    lower[q], upper[q] = LOG_NOISE
    found: list[tuple[float, float, Tensor]] = []
    for part in parts:
        warp = Warp.of(values, part)
        if found and warp.unit == math.inf:
            break
        z = warp(values)

        def loss(thetas: Tensor, z: Tensor = z) -> tuple[Tensor, Tensor]:
            both = [log_evidence(theta, phi, owner, z, prior) for theta in thetas]
            return -torch.stack([value for value, _ in both]), -torch.stack([slope for _, slope in both])

        thetas, losses = descend_many(loss, starts, lower, upper, 40, 1.0, 1e-4)
        best = int(losses.argmin())
        evidence = -float(losses[best]) - float(warp.slope(z).log().sum()) - _COST * len(found)
        if found and evidence < found[-1][0]:
            break
        found.append((evidence, part, thetas[best]))
        starts = thetas[best][None]
    _, part, theta = found[-1]
    if not draws:
        return Fit(theta[None], part)
    z = Warp.of(values, part)(values)
    return Fit(chain(lambda t: log_evidence(t, phi, owner, z, prior), theta, lower, upper, draws, key), part)
