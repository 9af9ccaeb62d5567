"""Oracles answer questions about an objective; `oracle | estimator` answers more of them."""

from descend.oracle.bounded import Bounded
from descend.oracle.check import ForwardReport, check_forward
from descend.oracle.closure import Closure
from descend.oracle.command import Command
from descend.oracle.constrained import FeasibleFirst
from descend.oracle.core import Asks, Oracle, Slope, check_answers, probes
from descend.oracle.differentiable import Differentiable
from descend.oracle.encode import Encoded
from descend.oracle.failure import OnFailure, Penalize, Raise, Reject, Retry
from descend.oracle.function import Function
from descend.oracle.ledger import Ledger
from descend.oracle.module import Module, trainable
from descend.oracle.reading import ExitCode, Json, LastLine, Regex
from descend.oracle.residual import Residuals
from descend.oracle.wrap import Averaged, Cached, Clipped, Negated, Penalized, Wrapped

__all__ = [
    "Asks",
    "Averaged",
    "Bounded",
    "Cached",
    "Clipped",
    "Closure",
    "Command",
    "Differentiable",
    "Encoded",
    "ExitCode",
    "FeasibleFirst",
    "ForwardReport",
    "Function",
    "Json",
    "LastLine",
    "Ledger",
    "Module",
    "Negated",
    "OnFailure",
    "Oracle",
    "Penalize",
    "Penalized",
    "Raise",
    "Regex",
    "Reject",
    "Residuals",
    "Retry",
    "Slope",
    "Wrapped",
    "check_answers",
    "check_forward",
    "probes",
    "trainable",
]
