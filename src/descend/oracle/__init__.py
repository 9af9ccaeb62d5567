"""Oracles answer questions about an objective; `oracle | estimator` answers more of them."""

from descend.oracle.closure import Closure
from descend.oracle.core import Asks, Oracle, Slope, check_answers, probes
from descend.oracle.differentiable import Differentiable
from descend.oracle.failure import OnFailure, Penalize, Raise, Reject, Retry
from descend.oracle.function import Function
from descend.oracle.ledger import Ledger
from descend.oracle.module import Module, trainable
from descend.oracle.residual import Residuals

__all__ = [
    "Asks",
    "Closure",
    "Differentiable",
    "Function",
    "Ledger",
    "Module",
    "OnFailure",
    "Oracle",
    "Penalize",
    "Raise",
    "Reject",
    "Residuals",
    "Retry",
    "Slope",
    "check_answers",
    "probes",
    "trainable",
]
