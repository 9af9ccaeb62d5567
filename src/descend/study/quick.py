"""One value at a time: quick ways between a value and its coordinate, for parameters that have only one.

Parameters themselves work on many values at once, and a study has one point at a time, for which that takes ten times
as long. The values of floats may differ from theirs in the last digits; each method goes one way.
"""

import math
from collections.abc import Callable
from typing import Any

from descend.space import Bool, Choice, Float, Int, Leaf, Ordinal
from descend.space.leaf import Discrete
from descend.study.plain import SCALARS

__all__ = ["coordinate_of", "is_plain", "options_of", "value_of"]


def coordinate_of(leaf: Leaf) -> Callable[[Any], float] | None:
    """From a value to its coordinate; None if there is no quick way.

    >>> coordinate_of(Float(1, 100, log=True))(10.0)
    0.5
    """
    if isinstance(leaf, Float):
        sides = _sides(leaf)
        if sides is None:
            return None
        low, high = sides
        if leaf.log:
            width = math.log(high / low)
            return lambda value: _unit(math.log(value / low) / width)
        width = high - low
        return lambda value: u if 0.0 <= (u := (value - low) / width) <= 1.0 else _unit(u)
    if not isinstance(leaf, Discrete) or not leaf.dim or not is_plain(leaf):
        return None
    known: dict[tuple[type, Any], float] = {}

    def looked_up(value: Any) -> float:
        place = known.get((type(value), value))
        if place is None:
            place = known[type(value), value] = float(leaf.column([value])[0, 0])
        return place

    return looked_up


def value_of(leaf: Leaf) -> Callable[[float], Any] | None:
    """From a coordinate in [0, 1] to its value; None if there is no quick way.

    >>> value_of(Int(1, 4))(0.99)
    4
    """
    if isinstance(leaf, Float):
        sides = _sides(leaf)
        if sides is None:
            return None
        low, high = sides
        if leaf.log:
            width = math.log(high / low)
            return lambda u: min(high, max(low, low * math.exp(u * width))) if u < 1 else high
        width = high - low
        return lambda u: x if u < 1 and low <= (x := low + u * width) <= high else high if u > 0.5 else low
    if not isinstance(leaf, Discrete) or not leaf.dim:
        return None
    last = leaf.count - 1
    if isinstance(leaf, Int) and not leaf.log:
        first, step = leaf.low, leaf.step
        return lambda u: first + step * min(last, max(0, math.floor(u * (last + 1))))
    options = options_of(leaf)
    if not options or not is_plain(leaf):
        return None
    return lambda u: options[min(last, max(0, math.floor(u * (last + 1))))]


def _unit(u: float) -> float:
    return min(1.0, max(0.0, u))


def _sides(leaf: Float) -> tuple[float, float] | None:
    """Where a float lies that is a line or a logarithm between two finite sides."""
    low, high = leaf.low, leaf.high
    if low is None or high is None or leaf.logit or leaf.open or leaf.step or not math.isfinite(high - low):
        return None
    return (low, high) if not leaf.log or math.isfinite(high / low) else None


def options_of(leaf: Leaf) -> tuple[Any, ...]:
    """The values of a parameter that has a name for each; none of others."""
    return leaf.options if isinstance(leaf, Choice | Ordinal) else (False, True) if isinstance(leaf, Bool) else ()


def is_plain(leaf: Leaf) -> bool:
    """Whether the log holds all its options, if it has any, as they are."""
    return all(type(option) in SCALARS for option in options_of(leaf))
