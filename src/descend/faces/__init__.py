"""Methods of other libraries under the same roof, so that one word switches between them: each needs its extra."""

from descend.faces.botorch import BoTorch
from descend.faces.nevergrad import Nevergrad
from descend.faces.nlopt import NLopt
from descend.faces.optuna import Optuna
from descend.faces.pycma import PyCMA
from descend.faces.pymoo import Pymoo
from descend.faces.scipy import SciPy

__all__ = ["BoTorch", "NLopt", "Nevergrad", "Optuna", "PyCMA", "Pymoo", "SciPy"]
