"""What the header of a log states as it stands there: nothing is made of it, no method, no space and no key."""

from collections.abc import Mapping, Sequence
from typing import Any

from descend.errors import InvalidValue

__all__ = ["DIRECTIONS", "OWN", "as_directions", "is_study"]

DIRECTIONS = {"minimize": 1.0, "maximize": -1.0}
"""The signs with which values are minimized."""

OWN = "own "
"""What the text of a method begins with that is none of descend's."""


def is_study(header: Mapping[str, Any]) -> bool:
    """Whether it is the header of a study, and not of another kind of run."""
    return header.get("kind") == "study"


def as_directions(given: Any) -> tuple[str, ...]:
    """A direction or several as a tuple.

    Raises:
        InvalidValue: it is none.
    """
    found = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Sequence) else ()
    if not found or any(direction not in DIRECTIONS for direction in found):
        raise InvalidValue(f'directions is "minimize", "maximize" or a tuple of these, got {given!r}')
    return found
