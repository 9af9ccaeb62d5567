"""Step rules decide how far to go along a direction; schedules make a fixed step change with time."""

from descend.step.backtracking import Backtracking
from descend.step.base import Moved, Step
from descend.step.fixed import Fixed
from descend.step.schedule import Cosine, Exponential, PiecewiseConstant, Polynomial, Power, WarmUp
from descend.step.trust_region import LevenbergMarquardt, TrustRegion
from descend.step.wolfe import StrongWolfe

__all__ = [
    "Backtracking",
    "Cosine",
    "Exponential",
    "Fixed",
    "LevenbergMarquardt",
    "Moved",
    "PiecewiseConstant",
    "Polynomial",
    "Power",
    "Step",
    "StrongWolfe",
    "TrustRegion",
    "WarmUp",
]
