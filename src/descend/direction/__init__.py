"""Directions in parameter space, held lazily: dense, seeded, coordinate, scaled, and their linear combinations."""

from descend.direction.base import BLOCK, Directions, Factors
from descend.direction.combination import Combination, Scaled, Stretch, as_dense, as_directions
from descend.direction.coordinate import Coordinate
from descend.direction.dense import Dense
from descend.direction.flipout import Flipout
from descend.direction.low_rank import LowRank
from descend.direction.masked import Mask, Masked
from descend.direction.pieces import Pieces
from descend.direction.rows import Rows, mirrored
from descend.direction.scratch import Scratch
from descend.direction.seeded import Seeded

__all__ = [
    "BLOCK",
    "Combination",
    "Coordinate",
    "Dense",
    "Directions",
    "Factors",
    "Flipout",
    "LowRank",
    "Mask",
    "Masked",
    "Pieces",
    "Rows",
    "Scaled",
    "Scratch",
    "Seeded",
    "Stretch",
    "as_dense",
    "as_directions",
    "mirrored",
]
