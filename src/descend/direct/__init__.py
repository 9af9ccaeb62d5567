"""Direct search: methods that go from point to point, and ways to fill a space with points."""

from descend.direct.coordinate import CoordinateSearch
from descend.direct.filling import Halton, LatinHypercube, Sobol, Uniform
from descend.direct.grid import Grid
from descend.direct.halving import SuccessiveHalving
from descend.direct.line import Brent, Golden
from descend.direct.nelder_mead import NelderMead
from descend.direct.pattern import PatternSearch
from descend.direct.powell import Powell
from descend.direct.rosenbrock import RotatingCoordinates

__all__ = [
    "Brent",
    "CoordinateSearch",
    "Golden",
    "Grid",
    "Halton",
    "LatinHypercube",
    "NelderMead",
    "PatternSearch",
    "Powell",
    "RotatingCoordinates",
    "Sobol",
    "SuccessiveHalving",
    "Uniform",
]
