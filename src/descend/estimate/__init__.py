"""Estimators lift an oracle: they ask what it answers, and give what it could not, such as gradients from values."""

from descend.estimate.base import Estimator, Lifted
from descend.estimate.by_example import ByExample
from descend.estimate.coordinate import RandomCoordinates
from descend.estimate.draw import Coupling, RandomLaw
from descend.estimate.evolution import EGGROLL, SHAPINGS, Evolution
from descend.estimate.finite_difference import FiniteDifference
from descend.estimate.forward_gradient import ForwardGradient
from descend.estimate.gains import Gains, GainStep, calibrate
from descend.estimate.guided import Guided
from descend.estimate.hessian import DifferencedHvp, DifferencedJacobian, hutchinson_diagonal
from descend.estimate.hybrid import Hybrid, span
from descend.estimate.mask import Magnitude
from descend.estimate.noise_level import noise_level
from descend.estimate.per_example import PerExample
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
    "EGGROLL",
    "RDSA",
    "SHAPINGS",
    "SPSA",
    "STENCILS",
    "ByExample",
    "Coupling",
    "DifferencedHvp",
    "DifferencedJacobian",
    "Estimator",
    "Evolution",
    "FiniteDifference",
    "ForwardGradient",
    "GainStep",
    "Gains",
    "GaussianSmoothing",
    "Guided",
    "Hybrid",
    "Lifted",
    "Magnitude",
    "MeZO",
    "PerExample",
    "RandomCoordinates",
    "RandomDirections",
    "RandomLaw",
    "SphereSmoothing",
    "Stencil",
    "calibrate",
    "hutchinson_diagonal",
    "noise_level",
    "span",
    "stencil",
]
