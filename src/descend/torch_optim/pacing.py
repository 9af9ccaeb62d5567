"""Radius, number of probes and learning rate that nobody has set: settled at the first step, and paced from then on.

See `descend.estimate.settings`. Each decision is logged in words to the logger "descend", and kept in
``optimizer.settings.words``; what is doubtful about a setting that was given is a warning.
"""

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from descend.direction import Combination, Seeded, Stretch
from descend.estimate.base import Estimator
from descend.estimate.draw import Coupling, RandomLaw
from descend.estimate.evolution import Evolution
from descend.estimate.random_directions import RandomDirections
from descend.estimate.settings import Pace, Settings, settle_settings, typical_size
from descend.key import Key
from descend.noise import Law
from descend.oracle import Slope
from descend.torch_optim.groups import with_radii
from descend.transform.chain import Transform

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["paceable", "paced", "settle", "with_settings"]

_LOG = logging.getLogger("descend")


def paceable(estimators: Sequence[Estimator], chain: Sequence[Transform[Any]]) -> bool:
    """Whether settings can be found by asking: one random-direction estimator, steps of its length or of unit ones."""
    if len(estimators) != 1 or not isinstance(estimators[0], RandomDirections | Evolution):
        return False
    by_stretch = isinstance(estimators[0].radius, tuple)
    return not by_stretch and (not chain or (chain[-1].unit_steps and all(part.separable for part in chain)))


def settle(optimizer: "Optimizer") -> tuple[Settings, Pace]:
    """Ask some twenty values around the live parameters, and decide."""
    estimator: Any = with_radii(optimizer.estimators[0], None, optimizer.param_groups, optimizer._stretches)  # type: ignore[arg-type]
    parameters, key = optimizer.parameters, optimizer.key.fold("settings")
    held = isinstance(estimator, RandomDirections) and (
        estimator.law is RandomLaw.SPHERE or estimator.coupling in (Coupling.ORTHOGONAL, Coupling.QUASI)
    )
    here = torch.empty(parameters.size, dtype=parameters.dtype, device="meta")
    home = parameters.gather() if held else here
    try:
        settings = settle_settings(
            optimizer._base,
            estimator.at(0),
            home,
            key,
            size=typical_size(parameters.live(), _units(optimizer, estimator)),
            unit_steps=bool(optimizer.chain),
        )
    finally:
        if held:
            optimizer._closure.restore(home)
    for sentence in settings.words:
        _LOG.info(sentence)
    for sentence in settings.doubts:
        warnings.warn(sentence, RuntimeWarning, stacklevel=5)
    return settings, settings.start()


def _units(optimizer: "Optimizer", estimator: Any) -> list[float]:
    """What each parameter is measured in: the radius of its group over that of the first."""
    radii: tuple[Stretch, ...] = estimator.radius if isinstance(estimator.radius, tuple) else ()
    offsets, first = optimizer.parameters.layout.offsets, radii[0][2] if radii else 1.0
    return [h / first for offset in offsets for a, b, h in radii if a <= offset < b]


def with_settings(estimator: Any, settings: Settings) -> Any:
    """The estimator with what was settled for it."""
    if isinstance(estimator, Evolution):
        return replace(estimator, radius=_radius(estimator, settings), pairs=settings.samples)
    samples = settings.samples + settings.samples % 2 if estimator.coupling is Coupling.ANTITHETIC else settings.samples
    if settings.stretches:
        return replace(estimator, radius=settings.stretches, samples=samples, scaled=True)
    return replace(estimator, radius=_radius(estimator, settings), samples=samples)


def _radius(estimator: Any, settings: Settings) -> Any:
    return estimator.radius if callable(estimator.radius) else settings.radius


def paced(optimizer: "Optimizer", slope: Slope, key: Key) -> float:
    """The learning rate of a step, by what its estimate says; the pace goes on.

    Groups with radii of their own have each its own, and what is told is that of the scaled estimate.
    """
    settings, pace = optimizer.settings, optimizer._pace
    assert settings is not None
    assert pace is not None
    squares = 1.0
    if isinstance(slope.gradient, Combination) and not optimizer.chain:
        unit = settings.radius if settings.stretches else 1.0
        squares = (slope.gradient.length() / unit) ** 2 / slope.gradient.size
    centre = math.nan
    symmetric = math.isnan(slope.value)  # a one-sided formula has asked the centre
    if symmetric and settings.looks(pace):
        size = optimizer.parameters.size
        here = torch.empty(size, dtype=optimizer.parameters.dtype, device="meta")
        home = torch.zeros(1, 1, dtype=torch.float64)  # not moved at all, whatever the direction
        centre = float(optimizer._base.along(here, Seeded(key, Law.SIGN, 1, size), home, key))
    optimizer._pace, rate = settings.advance(pace, squares, slope.loss, centre)
    if not settings.stretches:
        for group in optimizer.param_groups:
            group["lr"] = rate
        return rate
    for group, (*_, radius) in zip(optimizer.param_groups, settings.stretches, strict=True):
        group["lr"] = rate * (radius / settings.radius) ** 2
    return rate / settings.radius**2
