"""Estimators lift an oracle: they ask what it answers, and give what it could not, such as gradients from values."""

from descend.estimate.base import Estimator, Lifted
from descend.estimate.draw import Coupling, RandomLaw
from descend.estimate.finite_difference import FiniteDifference
from descend.estimate.gains import Gains, GainStep, calibrate
from descend.estimate.hybrid import Hybrid
from descend.estimate.random_directions import (
    RDSA,
    SPSA,
    GaussianSmoothing,
    MeZO,
    RandomDirections,
    SphereSmoothing,
)
from descend.estimate.stencil import STENCILS, Stencil, stencil

__all__ = [
    "RDSA",
    "SPSA",
    "STENCILS",
    "Coupling",
    "Estimator",
    "FiniteDifference",
    "GainStep",
    "Gains",
    "GaussianSmoothing",
    "Hybrid",
    "Lifted",
    "MeZO",
    "RandomDirections",
    "RandomLaw",
    "SphereSmoothing",
    "Stencil",
    "calibrate",
    "stencil",
]
