"""Values as a log holds them: scalars as they are, and what JSON has no word for, such as tuples, marked as in the JSON
of a space."""

from typing import Any

from descend.space.text import from_plain, to_plain

__all__ = ["SCALARS", "plain", "unplain"]

SCALARS = frozenset((str, int, float, bool, type(None)))
"""The types of values that the log holds as they are."""


def plain(value: Any) -> Any:
    """A value as the log holds it: a scalar as it is, a list as a tuple, a tuple as a dict that says so.

    Raises:
        InvalidValue: JSON cannot hold it.

    >>> plain((1, [2])), unplain(plain((1, [2])))
    ({'tuple': (1, (2,))}, (1, [2]))
    """
    return value if type(value) in SCALARS else _tuples(to_plain(value))


def unplain(value: Any) -> Any:
    """The inverse of `plain`."""
    return value if type(value) in SCALARS else from_plain(_lists(value), {})


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_tuples, value))
    return {name: _tuples(part) for name, part in value.items()} if isinstance(value, dict) else value


def _lists(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(map(_lists, value))
    return {name: _lists(part) for name, part in value.items()} if isinstance(value, dict) else value
