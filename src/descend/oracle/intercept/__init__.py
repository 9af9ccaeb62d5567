"""The perturbed forward: a model runs as if its parameters lay elsewhere, and they are never written to."""

from descend.oracle.intercept.mode import Intercept
from descend.oracle.intercept.move import Move

__all__ = ["Intercept", "Move"]
