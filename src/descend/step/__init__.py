"""Step rules decide how far to go along a direction; schedules make a fixed step change with time."""

from descend.step.base import Moved, Step
from descend.step.fixed import Fixed
from descend.step.schedule import Cosine, Exponential, PiecewiseConstant, Polynomial, Power, WarmUp

__all__ = [
    "Cosine",
    "Exponential",
    "Fixed",
    "Moved",
    "PiecewiseConstant",
    "Polynomial",
    "Power",
    "Step",
    "WarmUp",
]
