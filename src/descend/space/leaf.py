"""A typed parameter: how its values become coordinates and back, what is wrong with one, and how it is written down.

Everything is done for many values at once: `column` makes (n, d) coordinates of n values, `values` makes n values of
them. Between two finite sides coordinates lie in [0, 1], and uniform ones give values as they should be drawn.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from itertools import accumulate
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from descend.errors import InvalidValue
from descend.space.text import from_plain, to_plain, written

__all__ = ["Axes", "Discrete", "Leaf", "Misfit", "Node", "Rule", "as_leaf", "leaf_from_plain", "short", "writable"]

_KINDS: dict[str, Callable[..., Any]] = {}
_FILES = ("block", "category", "combination", "core", "integer", "real", "record", "simplex")  # where they are
C = TypeVar("C", bound=type)


def writable(cls: C) -> C:
    """Class decorator: `Space.from_json` finds the class by its name."""
    _KINDS[cls.__name__] = cls
    return cls


class Misfit(Exception):
    """A column holds a value that does not fit; whoever knows its name says so in a sentence."""


@dataclass(frozen=True, eq=False)
class Axes:
    """The d coordinates of a parameter.

    Fields: names, d texts to be put behind the name of the parameter; lower, upper (d,) float64; cells (d,) int64 and
    unordered (d,) bool, as in `Domain`; middle (d,) float64, the coordinates of the value in the middle; orders (d,)
    int64, as in `Domain`; rules, when some of them are there, those on which others depend first.
    """

    names: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    cells: np.ndarray
    unordered: np.ndarray
    middle: np.ndarray
    orders: np.ndarray
    rules: "tuple[Rule, ...]" = ()

    @staticmethod
    def of(
        names: Sequence[str],
        middle: float | np.ndarray = 0.5,
        lower: float = 0.0,
        upper: float = 1.0,
        cells: int = 0,
        unordered: bool = False,
        order: bool = False,
    ) -> "Axes":
        """The same for all d coordinates."""
        d = len(names)
        return Axes(
            tuple(names),
            np.full(d, lower),
            np.full(d, upper),
            np.full(d, cells, dtype=np.int64),
            np.full(d, unordered),
            np.broadcast_to(np.asarray(middle, dtype=np.float64), (d,)).copy(),
            np.full(d, 0 if order else -1, dtype=np.int64),
        )

    @staticmethod
    def joined(parts: Sequence[tuple[str, "Axes"]]) -> "Axes":
        """Those of several parameters, one after the other, under their names."""
        axes = [part for _, part in parts]

        def all_of(arrays: list[np.ndarray], kind: Any) -> np.ndarray:
            return np.concatenate([np.empty(0, dtype=kind), *arrays]).astype(kind)

        return Axes(
            tuple(name + rest for name, part in parts for rest in part.names),
            all_of([part.lower for part in axes], np.float64),
            all_of([part.upper for part in axes], np.float64),
            all_of([part.cells for part in axes], np.int64),
            all_of([part.unordered for part in axes], np.bool_),
            all_of([part.middle for part in axes], np.float64),
            all_of(_apart([part.orders for part in axes]), np.int64),
            tuple(rule.behind(first) for part, first in zip(axes, _firsts(axes), strict=True) for rule in part.rules),
        )


@dataclass(frozen=True, eq=False)
class Rule:
    """Coordinates that are there only where another one lies in one of some intervals.

    Fields: first and end, the range of the coordinates; parent, the other one; intervals (k, 2) float64, of coordinates
    low <= u < high.
    """

    first: int
    end: int
    parent: int
    intervals: np.ndarray

    def behind(self, first: int) -> "Rule":
        """The same of a parameter whose first coordinate has this number."""
        return Rule(self.first + first, self.end + first, self.parent + first, self.intervals)


def _firsts(axes: list[Axes]) -> list[int]:
    """The number of the first coordinate of each of several parameters."""
    return list(accumulate((len(part.names) for part in axes[:-1]), initial=0)) if axes else []


def _apart(orders: list[np.ndarray]) -> list[np.ndarray]:
    """The numbers of several parameters' orders, so that no two have the same."""
    made, used = [], 0
    for part in orders:
        made.append(np.where(part < 0, part, part + used))
        used += int(part.max(initial=-1)) + 1
    return made


class Leaf(ABC):
    """Base of the typed parameters. They are compared, hashed and written down by the arguments that made them."""

    @cached_property
    @abstractmethod
    def axes(self) -> Axes:
        """Its coordinates."""

    @property
    def dim(self) -> int:
        """d, the number of its coordinates."""
        return len(self.axes.names)

    @abstractmethod
    def column(self, values: list[Any]) -> np.ndarray:
        """Coordinates (n, d) float64 of n values.

        Raises:
            Misfit: a value does not fit; `wrong` says why.
        """

    @abstractmethod
    def values(self, u: np.ndarray) -> list[Any]:
        """The n values that coordinates u (n, d) float64 mean; coordinates outside mean the nearest value."""

    @abstractmethod
    def wrong(self, value: Any, name: str) -> str:
        """A sentence that says what is wrong with a value of the parameter of this name, empty if nothing is."""

    @abstractmethod
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What it was made of, without what is left at its default: by position, and by name."""

    def as_leaf(self) -> "Leaf":
        """Itself; what `Node` asks for."""
        return self

    def to_plain(self) -> dict[str, Any]:
        """As data for JSON."""
        by_position, by_name = self.arguments()
        plain: dict[str, Any] = {"type": type(self).__name__}
        if by_position:
            plain["arguments"] = [to_plain(value) for value in by_position]
        return plain | {name: to_plain(value) for name, value in by_name.items()}

    @cached_property
    def text(self) -> str:
        """Its JSON, by which it is compared."""
        return json.dumps(self.to_plain())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Leaf) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return written(type(self).__name__, *self.arguments())


@runtime_checkable
class Node(Protocol):
    """What may stand where a parameter is asked for: a parameter, or a space."""

    def as_leaf(self) -> Leaf:
        """Itself as one parameter.

        Raises:
            InvalidValue: it can only stand alone.
        """
        ...


def as_leaf(node: Any, asker: str) -> Leaf:
    """A parameter or a space as a parameter.

    Raises:
        InvalidValue: it is neither.
    """
    if isinstance(node, Node) and not isinstance(node, type):
        return node.as_leaf()
    called = f"; write {node.__name__}(...)" if isinstance(node, type) else ", such as Float(0, 1), or a Space"
    raise InvalidValue(f"{asker} needs a parameter{called}, got {short(node)}")


class Discrete(Leaf):
    """Base of the parameters with k values on one coordinate, in equal cells; one of them needs no coordinate.

    Attributes:
        count: k, at least 1.
    """

    count: int
    unordered: bool = False

    @cached_property
    def axes(self) -> Axes:
        middle = (self.count // 2 + 0.5) / self.count
        names = ("",) if self.count > 1 else ()
        return Axes.of(names, middle, cells=self.count, unordered=self.unordered)

    @abstractmethod
    def index(self, values: list[Any]) -> np.ndarray:
        """Which of the k values each is: (n,) int64 from 0.

        Raises:
            Misfit: it is none of them.
        """

    @abstractmethod
    def at(self, index: np.ndarray) -> list[Any]:
        """The values of these indices (n,)."""

    def cell(self, u: np.ndarray) -> np.ndarray:
        """The index (n,) that coordinates u (n, d) mean."""
        if not self.dim:
            return np.zeros(len(u), dtype=np.int64)
        return np.clip(np.floor(u[:, 0] * self.count), 0, self.count - 1).astype(np.int64)

    def intervals(self, places: np.ndarray) -> np.ndarray:
        """Where the coordinate of each of some values lies: (k, 2) float64, low <= u < high."""
        return self._unending(np.stack([places, places + 1], axis=1) / self.count, places)

    def _unending(self, intervals: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The same with no end below the first value and above the last."""
        intervals = intervals.astype(np.float64)
        intervals[places == 0, 0] = -np.inf
        intervals[places == self.count - 1, 1] = np.inf
        return intervals

    def column(self, values: list[Any]) -> np.ndarray:
        return ((self.index(values)[:, None] + 0.5) / self.count)[:, : self.dim]

    def values(self, u: np.ndarray) -> list[Any]:
        return self.at(self.cell(u))


def leaf_from_plain(plain: Any) -> Any:
    """The inverse of `to_plain`.

    Raises:
        InvalidValue: the data name no parameter that there is, or arguments that it does not take.
    """
    for file in _FILES:
        import_module(f"descend.space.{file}")
    return from_plain(plain, _KINDS)


def short(value: Any) -> str:
    """A value for a message."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
