"""Search by models: of the gradient and the curvature, or of the loss itself."""

from descend.model.automatic import Automatic
from descend.model.axes import AxisSearch
from descend.model.bayes import Bayes
from descend.model.forest import Forest
from descend.model.modelled import Cube, History, Modelled
from descend.model.relay import Relay
from descend.model.secant import QuasiNewton
from descend.model.surrogate import SurrogateCMAES
from descend.model.tpe import TPE

__all__ = [
    "TPE",
    "Automatic",
    "AxisSearch",
    "Bayes",
    "Cube",
    "Forest",
    "History",
    "Modelled",
    "QuasiNewton",
    "Relay",
    "SurrogateCMAES",
]
