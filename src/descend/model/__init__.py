"""Search by models: of the gradient and the curvature, or of the loss itself."""

from descend.model.axes import AxisSearch
from descend.model.relay import Relay
from descend.model.secant import QuasiNewton
from descend.model.surrogate import SurrogateCMAES

__all__ = ["AxisSearch", "QuasiNewton", "Relay", "SurrogateCMAES"]
