"""What is believed of a column of values after a history: its Gaussian process, in a scale in which values are about 1.

A failed evaluation counts as the worst value seen. Hyperparameters are those of the last milestone, see `fit`.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import torch
from torch import Tensor

from descend.key import Key
from descend.model.gp.bend import NOWHERE
from descend.model.gp.features import Features
from descend.model.gp.fit import Fit, bent, fit, milestone
from descend.model.gp.likelihood import Prior
from descend.model.gp.process import Process, condition
from descend.model.gp.warp import PARTS, Warp
from descend.model.modelled import Cube, History

__all__ = ["Belief", "Posterior", "believe", "features_of", "posterior", "sides_of"]

_KEPT = 32
_FITS: OrderedDict[bytes, Fit] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Belief:
    """Gaussian processes of warped values. Fields: processes, j likely ones; warp; means (j, n), at what was seen."""

    processes: tuple[Process, ...]
    warp: Warp
    means: Tensor

    @property
    def pairs(self) -> list[tuple[Process, Tensor]]:
        """Every process with its means (n,)."""
        return list(zip(self.processes, self.means, strict=True))


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is believed of a value: call it with points of the cube. Fields: features; belief."""

    features: Features
    belief: Belief

    def __call__(self, us: Tensor) -> tuple[Tensor, Tensor]:
        """The median (k,) of the value at points (k, d) of the cube, and a deviation (k,), that of its scale there."""
        mean, deviation = self.belief.processes[0](self.features.at(us))
        return self.belief.warp.back(mean), self.belief.warp.slope(mean) * deviation

    def noise(self, us: Tensor) -> Tensor:
        """The standard deviation (k,) of repeated evaluations at points (k, d)."""
        process = self.belief.processes[0]
        mean, _ = process(self.features.at(us))
        return self.belief.warp.slope(mean) * process.noise**0.5


def posterior(history: History) -> Posterior:
    """What is believed of the first value of a history with at least one answer that did not fail."""
    features = features_of(history.cube)
    return Posterior(features, believe(features, history, history.values[:, 0]))


@lru_cache(maxsize=8)
def features_of(cube: Cube) -> Features:
    """The features of a cube, which is the same one in the whole of a search."""
    return Features(cube)


def believe(
    features: Features,
    history: History,
    values: Tensor,
    parts: tuple[float, ...] = PARTS,
    draws: int = 0,
    limit: int = 1000,
    shorter: float = 1.0,
    bend: bool = False,
) -> Belief:
    """The belief from values (n,) at the points of a history, NaN where an evaluation failed.

    Args:
        parts: the scales to choose from, see `Warp`.
        draws: how many hyperparameters to draw, 0 for the likeliest ones.
        limit: the most answers of the last milestone that a model is made from: the best and the latest ones.
        shorter: by what length scales are divided.
        bend: whether smooth numbers that are always there may be bent, see `Bend`.
    """
    phi = features(history.cube.centre(history.us), history.active)
    values = _filled(values)
    m = milestone(len(values))
    old = _worth_keeping(values[:m], limit)
    prior = Prior.of(features.scales)
    fitted = _fitted(features, phi[old], values[old], prior, parts, draws, features.bendable if bend else NOWHERE)
    warp = Warp.of(values, fitted.part)
    kept = torch.cat([old, torch.arange(m, len(values))])
    z = warp(values[kept])
    thetas = fitted.thetas.clone()
    thetas[:, : features.scales] -= math.log(shorter)
    processes = tuple(condition(theta, phi[kept], features.owner, z, prior.strength, fitted.places) for theta in thetas)
    return Belief(processes, warp, torch.stack([process.means(phi) for process in processes]))


def sides_of(violations: Tensor) -> Tensor:
    """Columns (n, c) that are positive where constraints are broken, on a scale that does not run away.

    Args:
        violations: (n, c).
    """
    columns = [violations[:, :0]]
    for column in violations.T:
        size = column.abs()[(column != 0) & column.isfinite()]
        unit = float(size.median()) if len(size) else 1.0
        scaled = column.sign() * torch.log1p(column.abs() / unit)
        # who says no more than "it holds" lies as far on this side of the limit as others beyond it
        mute = not bool((column < 0).any())
        columns.append((torch.where(column == 0, -0.7, scaled) if mute else scaled)[:, None])
    return torch.cat(columns, 1)


def _worth_keeping(values: Tensor, limit: int) -> Tensor:
    """The places, in order, of the best half and of the latest half of at most `limit` of values (n,)."""
    n = len(values)
    if n <= limit:
        return torch.arange(n)
    latest = torch.arange(n - limit // 2, n)
    best = values[: n - limit // 2].argsort(stable=True)[: limit - limit // 2]
    return torch.cat([best.sort().values, latest])


def _filled(values: Tensor) -> Tensor:
    """Values (n,) in which failures are as bad as the worst."""
    fine = values.isfinite()
    if bool(fine.all()):
        return values
    return torch.where(fine, values, values[fine].max() if bool(fine.any()) else 0.0)


def _fitted(
    features: Features,
    phi: Tensor,
    values: Tensor,
    prior: Prior,
    parts: tuple[float, ...],
    draws: int,
    places: Tensor = NOWHERE,
) -> Fit:
    """The hyperparameters, with features at some places (m,) bent if need be, found before or now: the same bits."""
    digest = blake2b(repr((parts, draws, places.tolist())).encode(), digest_size=16)
    for part in (phi, values, features.owner):
        digest.update(part.contiguous().numpy().tobytes())
    name = digest.digest()
    if name not in _FITS:
        key = Key(int.from_bytes(name[:8], "little"))
        if len(places):
            straight = _fitted(features, phi, values, prior, parts, 0)
            _FITS[name] = bent(straight, phi, features.owner, values, prior, places, draws, key)
        else:
            _FITS[name] = fit(phi, features.owner, values, prior, parts, draws, key)
        while len(_FITS) > _KEPT:
            _FITS.popitem(last=False)
    return _FITS[name]
