"""One of a few values: without an order, in an order, or yes and no."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.space.leaf import Discrete, Misfit, short, writable
from descend.space.text import identity, to_plain

__all__ = ["Bool", "Choice", "Ordinal"]


class _Listed(Discrete):
    """Base of the parameters whose values are listed."""

    options: tuple[Any, ...]

    def __init__(self, options: tuple[Any, ...]) -> None:
        kind = type(self).__name__
        if not options:
            raise InvalidValue(f"{kind}() has no value to take; write for example {kind}('small', 'large')")
        if len(options) == 1 and isinstance(options[0], list | tuple | set | dict | range):
            raise InvalidValue(
                f"{kind} takes its values one by one, got the single value {short(options[0])}; write {kind}(*values)"
            )
        options = tuple(option.item() if isinstance(option, np.generic) else option for option in options)
        for option in options:
            to_plain(option)  # refuses what JSON cannot hold
        self.options = options
        if len(self._places) < len(options):
            seen: set[Any] = set()
            twice = next(o for o in options if identity(o) in seen or seen.add(identity(o)))
            raise InvalidValue(f"{kind} has the value {twice!r} twice; leave one out")

    @cached_property
    def count(self) -> int:  # type: ignore[override]
        return len(self.options)

    @cached_property
    def _places(self) -> dict[Any, int]:
        return {identity(option): place for place, option in enumerate(self.options)}

    @cached_property
    def _lookup(self) -> np.ndarray:
        """The options as an array of objects, so that many are looked up at once."""
        return _objects(self.options)

    def index(self, values: list[Any]) -> np.ndarray:
        try:
            return np.array([self._places[identity(value)] for value in values], dtype=np.int64)
        except (KeyError, TypeError):
            return np.array([self._place(value) for value in values], dtype=np.int64)

    def _place(self, value: Any) -> int:
        """The place of a value, which may also be a number of another type: NumPy's, or 2 for 2.0."""
        try:
            place = self._places.get(identity(value))
        except TypeError:  # it cannot be hashed, so it is none of them
            raise Misfit from None
        if place is not None:
            return place
        if isinstance(value, np.generic):
            return self._place(value.item())
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            for other in (int, float):
                if other(value) == value and (place := self._places.get((other.__name__, other(value)))) is not None:
                    return place
        raise Misfit

    def at(self, index: np.ndarray) -> list[Any]:
        return self._lookup[index].tolist()

    def wrong(self, value: Any, name: str) -> str:
        try:
            self._place(value)
        except Misfit:
            some = ", ".join(map(short, self.options[:8])) + (", ..." if len(self.options) > 8 else "")
            return f"{name} must be one of {some}, got {short(value)}"
        return ""

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return self.options, {}


@writable
class Choice(_Listed):
    """One of some values that have no order.

    Args:
        *options: at least one, all different; text, numbers, True, False, None, and lists, tuples and dicts of these.
            1, 1.0 and True are different values. A single one is a constant, which takes no coordinate.

    What JSON cannot hold, such as a function, is named by a text and looked up in the objective.

    Raises:
        InvalidValue: there is none, or the same one twice, or one that JSON cannot hold.

    >>> Choice("rbf", "poly", "linear").count
    3
    """

    unordered = True

    def __init__(self, *options: Any) -> None:
        super().__init__(options)


@writable
class Ordinal(_Listed):
    """One of some values in their order, such as sizes, of which neighbours are alike.

    Args:
        *levels: as the options of `Choice`.

    Raises:
        InvalidValue: as `Choice`.

    >>> Ordinal(16, 32, 64, 128)
    Ordinal(16, 32, 64, 128)
    """

    def __init__(self, *levels: Any) -> None:
        super().__init__(levels)


@writable
@dataclass(frozen=True, eq=False, repr=False)
class Bool(Discrete):
    """False or True.

    >>> Bool().at(np.array([0, 1]))
    [False, True]
    """

    @property
    def count(self) -> int:  # type: ignore[override]
        return 2

    def index(self, values: list[Any]) -> np.ndarray:
        if any(not isinstance(value, bool | np.bool_) for value in values):
            raise Misfit
        return np.array(values, dtype=np.int64)

    def at(self, index: np.ndarray) -> list[Any]:
        return (index > 0).tolist()

    def wrong(self, value: Any, name: str) -> str:
        return "" if isinstance(value, bool | np.bool_) else f"{name} must be True or False, got {short(value)}"

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {}


def _objects(values: tuple[Any, ...]) -> np.ndarray:
    """(n,) objects, also where the values are lists of one length."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
