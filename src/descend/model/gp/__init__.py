"""Gaussian processes over mixed and conditional cubes: what is believed of a loss after a history."""

from descend.model.gp.belief import Posterior, posterior

__all__ = ["Posterior", "posterior"]
