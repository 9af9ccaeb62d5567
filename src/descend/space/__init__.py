"""Spaces of typed parameters, and the flat domains that methods search."""

from descend.space.block import Array, Row
from descend.space.category import Bool, Choice, Ordinal
from descend.space.combination import Permutation, Subset
from descend.space.constraint import Constraint, Linear, linear
from descend.space.core import Space, as_space
from descend.space.domain import Domain
from descend.space.integer import Int
from descend.space.leaf import Leaf
from descend.space.real import Float
from descend.space.record import When
from descend.space.simplex import Simplex

__all__ = [
    "Array",
    "Bool",
    "Choice",
    "Constraint",
    "Domain",
    "Float",
    "Int",
    "Leaf",
    "Linear",
    "Ordinal",
    "Permutation",
    "Row",
    "Simplex",
    "Space",
    "Subset",
    "When",
    "as_space",
    "linear",
]
