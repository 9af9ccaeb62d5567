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

from descend.direction import Combination, Seeded
from descend.estimate.base import Estimator
from descend.estimate.draw import Coupling, RandomLaw
from descend.estimate.evolution import Evolution
from descend.estimate.random_directions import RandomDirections
from descend.estimate.settings import Pace, Settings, settle_settings, typical_size
from descend.key import Key
from descend.noise import Law
from descend.oracle import Slope
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
    estimator: Any = optimizer.estimators[0]
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
            size=typical_size(parameters.live()),
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


def with_settings(estimator: Any, settings: Settings) -> Any:
    """The estimator with what was settled for it."""
    radius = estimator.radius if callable(estimator.radius) else settings.radius
    if isinstance(estimator, Evolution):
        return replace(estimator, radius=radius, pairs=settings.samples)
    samples = settings.samples + settings.samples % 2 if estimator.coupling is Coupling.ANTITHETIC else settings.samples
    return replace(estimator, radius=radius, samples=samples)


def paced(optimizer: "Optimizer", slope: Slope, key: Key) -> float:
    """The learning rate of a step, by what its estimate says; the pace goes on."""
    settings, pace = optimizer.settings, optimizer._pace
    assert settings is not None
    assert pace is not None
    squares = 1.0
    if isinstance(slope.gradient, Combination) and not optimizer.chain:
        squares = slope.gradient.length() ** 2 / slope.gradient.size
    centre = math.nan
    symmetric = math.isnan(slope.value)  # a one-sided formula has asked the centre
    if symmetric and settings.looks(pace):
        size = optimizer.parameters.size
        here = torch.empty(size, dtype=optimizer.parameters.dtype, device="meta")
        home = torch.zeros(1, 1, dtype=torch.float64)  # not moved at all, whatever the direction
        centre = float(optimizer._base.along(here, Seeded(key, Law.SIGN, 1, size), home, key))
    optimizer._pace, rate = settings.advance(pace, squares, slope.loss, centre)
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate
