"""The hyperparameters of a Gaussian process, and the scale of its values, that are most probable given what was seen.

They are sought from the same places each time, and only when the observations have become a tenth more: so they are a
function of the history, and a search that is resumed finds the same ones without having to repeat its fits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.key import Key
from descend.model.gp.bend import NOWHERE
from descend.model.gp.chain import chain
from descend.model.gp.descend_many import descend_many
from descend.model.gp.likelihood import LOG_NOISE, Prior, log_evidence
from descend.model.gp.warp import Warp

__all__ = ["Fit", "bent", "fit", "milestone"]

_ALWAYS = 50
"""Observations up to which every one of them is reason for a new fit."""
_GROWTH = 1.1
_COST = 1.0
"""How much evidence each further bend of the scale, or of a coordinate, costs."""
_LENGTHS = (math.log(0.02), math.log(100.0))
_CURLS = (-3.0, 3.0)
"""The box of log a and log b, see `bend`."""
_CLEARLY = 3.0
"""How much evidence has to be gained by bends, besides `_COST` for each coordinate: less is found by chance."""
_GLANCE = 10
"""Questions after which half of that gain has to be there, lest most fits take longer for nothing."""
_LOUD = 1e-4
"""The noise share from which on noise is an explanation beside others."""


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
    """What a fit says.

    Fields: thetas (k, q + 1 + 2 m), likely hyperparameters; part, the c of the warp; places (m,), of what is bent.
    """

    thetas: Tensor
    part: float
    places: Tensor = NOWHERE


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
    found: list[tuple[float, float, Tensor]] = []
    for part in parts:
        warp = Warp.of(values, part)
        if found and warp.unit == math.inf:
            break
        z = warp(values)
        theta, density = _likeliest(_density(phi, owner, z, prior, NOWHERE), starts, q)
        evidence = density - float(warp.slope(z).log().sum()) - _COST * len(found)
        if found and evidence < found[-1][0]:
            break
        found.append((evidence, part, theta))
        starts = theta[None]
    _, part, theta = found[-1]
    return _drawn(Fit(theta[None], part), phi, owner, values, prior, draws, key)


def bent(
    straight: Fit, phi: Tensor, owner: Tensor, values: Tensor, prior: Prior, places: Tensor, draws: int, key: Key
) -> Fit:
    """The fit with features bent, where that explains values (n,) clearly better; else with the straight ones.

    Args:
        straight: the most likely fit to the same values, on whose scale they stay.
        phi, owner, values, prior, draws, key: as of `fit`.
        places: (m,), the features that may be bent.
    """
    q = int(owner.max()) + 1
    density = _density(phi, owner, Warp.of(values, straight.part)(values), prior, places)
    start = torch.cat([straight.thetas[0], phi.new_zeros(2 * len(places))])
    gain = _CLEARLY + _COST * len(places)
    goal = float(density(start)[0]) + gain
    starts = start[None]
    if float(start[q]) > math.log(_LOUD):  # what looks like noise may be steep at one end: from there no slope tells
        starts = start.repeat(3, 1)
        starts[1:, :q], starts[1:, q] = prior.length, math.log(1e-5)
        starts[1:, q + 1 :] = torch.tensor([[-1.0, 0.0], [0.0, -1.0]]).repeat_interleave(len(places), 1)
    theta, reached = _likeliest(density, starts, q, _GLANCE)
    if reached > goal - 0.5 * gain:
        theta, reached = _likeliest(density, theta[None], q)
    found = Fit(theta[None], straight.part, places) if reached > goal else straight
    return _drawn(found, phi, owner, values, prior, draws, key)


def _density(
    phi: Tensor, owner: Tensor, z: Tensor, prior: Prior, places: Tensor
) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """Hyperparameters -> the logarithm of their density, and its gradient."""
    return lambda theta: log_evidence(theta, phi, owner, z, prior, places)


def _box(k: int, q: int) -> tuple[Tensor, Tensor]:
    """The sides (k,) of the box of hyperparameters with q length scales."""
    sides = torch.tensor([_LENGTHS] * q + [LOG_NOISE] + [_CURLS] * (k - q - 1), dtype=torch.float64)
    return sides[:, 0], sides[:, 1]


def _likeliest(
    density: Callable[[Tensor], tuple[Tensor, Tensor]], starts: Tensor, q: int, turns: int = 40
) -> tuple[Tensor, float]:
    """The hyperparameters (k,) of the highest density to which some of starts (s, k) lead, and its logarithm."""

    def loss(thetas: Tensor) -> tuple[Tensor, Tensor]:
        both = [density(theta) for theta in thetas]
        return -torch.stack([value for value, _ in both]), -torch.stack([slope for _, slope in both])

    thetas, losses = descend_many(loss, starts, *_box(starts.shape[1], q), turns, 1.0, 1e-4)
    best = int(losses.argmin())
    return thetas[best], -float(losses[best])


def _drawn(fit: Fit, phi: Tensor, owner: Tensor, values: Tensor, prior: Prior, draws: int, key: Key) -> Fit:
    """The fit with a number of hyperparameters that are likely instead of the likeliest ones, if it is not 0."""
    if not draws:
        return fit
    density = _density(phi, owner, Warp.of(values, fit.part)(values), prior, fit.places)
    theta = fit.thetas[0]
    lower, upper = _box(len(theta), int(owner.max()) + 1)
    return replace(fit, thetas=chain(density, theta, lower, upper, draws, key))
