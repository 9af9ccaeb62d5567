"""Spaces of typed parameters, and the flat domains that methods search. Each file is imported at the first use of a
name of it, since parameters and their values need no torch, and spaces do."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_FILES = {
    "block": ["Array", "Row"],
    "category": ["Bool", "Choice", "Ordinal"],
    "combination": ["Permutation", "Subset"],
    "constraint": ["Constraint", "Linear", "linear"],
    "core": ["Space", "as_space"],
    "domain": ["Domain"],
    "integer": ["Int"],
    "leaf": ["Leaf"],
    "real": ["Float"],
    "record": ["When"],
    "simplex": ["Simplex"],
}
_FILE_OF = {name: file for file, names in _FILES.items() for name in names}

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


def __getattr__(name: str) -> Any:
    if name not in _FILE_OF:
        raise AttributeError(f"module 'descend.space' has no attribute {name!r}")
    value = getattr(import_module(f"descend.space.{_FILE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
