"""Logs that are no studies, such as those of `minimize`: they can be looked at like one, and not gone on with here.

Nothing is known of their parameters but what stands in their trials. Lists, the points of array-like functions, are
spread: x[0], x[1], ...
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from descend.log.row import Row
from descend.space import Choice, Float, Int, Leaf
from descend.study.plain import unplain

__all__ = ["leaves_of", "spread"]

_MOST = 64
"""Coordinates of a list that are shown."""


def spread(rows: Sequence[Row]) -> list[Row]:
    """The rows with a name for every item of a list.

    >>> spread([Row(params={"x": (1.0, 2.0)})])[0].params
    {'x[0]': 1.0, 'x[1]': 2.0}
    """
    return [row._replace(params=_spread(row.params or row.proposal or {}), proposal=None) for row in rows]


def _spread(params: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in params.items():
        if isinstance(value, tuple | list):
            found |= {f"{name}[{place}]": item for place, item in enumerate(value[:_MOST])}
        else:
            found[name] = value
    return found


def leaves_of(trials: Iterable[Mapping[str, Any]]) -> dict[str, Leaf]:
    """Parameters that can have the values that trials have, by name.

    >>> leaves_of([{"a": 1.5, "k": "x"}, {"a": 2.0, "k": "y"}])
    {'a': Float(1.5, 2.0), 'k': Choice('x', 'y')}
    """
    seen: dict[str, dict[str, Any]] = {}
    for params in trials:
        for name, value in params.items():
            seen.setdefault(name, {}).setdefault(repr(value), unplain(value))
    return {name: _leaf([*values.values()]) for name, values in seen.items()}


def _leaf(values: list[Any]) -> Leaf:
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
    if not numbers or min(values) == max(values):
        return Choice(*values)
    return Int(min(values), max(values)) if all(isinstance(v, int) for v in values) else Float(min(values), max(values))
