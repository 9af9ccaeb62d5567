"""Parameters under names, some of which are there only when another one has a certain value.

Conditions make a tree: whether a parameter is there depends on a discrete one beside it, which may depend on another.
Every parameter keeps its coordinates all the time. Those of one that is not there mean nothing, and are canonically
in the middle.
"""

import keyword
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.space.leaf import Axes, Discrete, Leaf, Misfit, Node, Rule, as_leaf, short, writable
from descend.space.text import to_plain, written

__all__ = ["Record", "When"]

_ABSENT = object()


@writable
@dataclass(frozen=True, repr=False, eq=False)
class When:
    """A parameter that is there only when another one of the same space has one of some values.

    Args:
        parent: the name of the other, a `Choice`, `Ordinal`, `Bool` or `Int`.
        values: one of its values, or a tuple of several. A value that is itself a tuple is written in a tuple of one.
        leaf: any parameter or space; another `When`, for a second condition.

    Where the condition does not hold, the name is missing from the point. A condition on a parameter which is itself
    missing does not hold.

    Raises:
        InvalidValue: the leaf is no parameter, or there are no values. That the parent exists, is discrete and takes
            these values is checked by the space.

    >>> from descend.space import Choice, Int, Space
    >>> space = Space(kernel=Choice("rbf", "poly"), degree=When("kernel", "poly", Int(2, 5)))
    >>> {"kernel": "rbf"} in space, {"kernel": "rbf", "degree": 3} in space
    (True, False)
    """

    parent: str
    values: Any
    leaf: "Node | When"

    def __post_init__(self) -> None:
        if not isinstance(self.parent, str) or not self.parent:
            raise InvalidValue(f"When needs the name of another parameter first, got {self.parent!r}")
        if self.values == ():
            raise InvalidValue(f"When({self.parent!r}, ()) never holds; write the values of {self.parent} for it")
        if not isinstance(self.leaf, When):
            object.__setattr__(self, "leaf", as_leaf(self.leaf, "When"))

    @property
    def several(self) -> tuple[Any, ...]:
        """The values as a tuple."""
        return self.values if isinstance(self.values, tuple) else (self.values,)

    def to_plain(self) -> dict[str, Any]:
        """As data for JSON."""
        return {"type": "When", "arguments": [to_plain(part) for part in (self.parent, self.values, self.leaf)]}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, When) and self.to_plain() == other.to_plain()

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return written("When", (self.parent, self.values, self.leaf), {})


@dataclass(frozen=True, eq=False)
class _Field:
    """A parameter of a record: its conditions, each a parent and places of its values; span says where its axes are."""

    name: str
    leaf: Leaf
    conditions: tuple[tuple[str, np.ndarray], ...]
    span: slice


class Record(Leaf):
    """A dict of parameters: what `Space` holds, and what it is within another.

    Args:
        nodes: parameters, spaces and `When`, by name.
    """

    nodes: dict[str, Leaf | When]

    def __init__(self, nodes: Mapping[str, Node | When]) -> None:
        if not nodes:
            raise InvalidValue("a space needs at least one parameter; write for example Space(x=Float(0, 1))")
        for name in nodes:
            if not isinstance(name, str) or not name:
                raise InvalidValue(f"the name of a parameter is a text that is not empty, got {name!r}")
        named = {
            name: node if isinstance(node, When) else as_leaf(node, f"the parameter {name!r}")
            for name, node in nodes.items()
        }
        self.nodes = named
        _ = self._fields, self._order  # made here, so that a wrong condition is found here

    @cached_property
    def _fields(self) -> dict[str, _Field]:
        leaves: dict[str, Leaf] = {}
        conditions: dict[str, list[When]] = {}
        for name, node in self.nodes.items():
            conditions[name] = []
            while isinstance(node, When):
                conditions[name].append(node)
                node = node.leaf
            leaves[name] = as_leaf(node, name)
        fields, first = {}, 0
        for name, leaf in leaves.items():
            held = tuple(_condition(name, when, leaves) for when in conditions[name])
            fields[name] = _Field(name, leaf, held, slice(first, first + leaf.dim))
            first += leaf.dim
        return fields

    @cached_property
    def _order(self) -> list[_Field]:
        """The fields, each after those on which it depends."""
        graph = {name: [parent for parent, _ in field.conditions] for name, field in self._fields.items()}
        try:
            return [self._fields[name] for name in TopologicalSorter(graph).static_order()]
        except CycleError as found:
            circle = " -> ".join(found.args[1])
            raise InvalidValue(f"the conditions go in a circle, {circle}; one of them must always be there") from None

    @cached_property
    def axes(self) -> Axes:
        axes = Axes.joined([(f".{name}", field.leaf.axes) for name, field in self._fields.items()])
        return replace(axes, rules=tuple(self._rules()) + axes.rules)

    def _rules(self) -> Iterator[Rule]:
        for field in self._order:
            for name, places in field.conditions:
                parent = self._fields[name]
                assert isinstance(parent.leaf, Discrete)
                if parent.leaf.dim and field.leaf.dim:  # a parameter with a single value has no coordinate
                    yield Rule(field.span.start, field.span.stop, parent.span.start, parent.leaf.intervals(places))

    def _active(self, u: np.ndarray, field: _Field, active: Mapping[str, np.ndarray]) -> np.ndarray:
        """In which points (n,) with coordinates u (n, d) a field with conditions is there; `active` is the same of
        those on which it depends, if they have conditions."""
        there = np.ones(len(u), dtype=np.bool_)
        for name, places in field.conditions:
            parent = self._fields[name]
            assert isinstance(parent.leaf, Discrete)
            there &= np.isin(parent.leaf.cell(u[:, parent.span]), places)
            if name in active:
                there &= active[name]
        return there

    def column(self, values: list[Any]) -> np.ndarray:
        if any(not isinstance(point, dict) for point in values):
            raise Misfit
        u = np.tile(self.axes.middle, (len(values), 1))
        active: dict[str, np.ndarray] = {}
        count = np.zeros(len(values), dtype=np.int64)
        try:
            for field in self._order:
                if not field.conditions:
                    u[:, field.span] = field.leaf.column([point[field.name] for point in values])
                    count += 1
                    continue
                there = active[field.name] = self._active(u, field, active)
                rows = np.flatnonzero(there)
                if len(rows):
                    u[rows, field.span] = field.leaf.column([values[i][field.name] for i in rows.tolist()])
                count += there
        except KeyError:
            raise Misfit from None
        if bool((count != [len(point) for point in values]).any()):
            raise Misfit
        return u

    def values(self, u: np.ndarray) -> list[Any]:
        columns: dict[str, list[Any]] = {}
        active: dict[str, np.ndarray] = {}
        for field in self._order:
            if not field.conditions:
                columns[field.name] = field.leaf.values(u[:, field.span])
                continue
            there = active[field.name] = self._active(u, field, active)
            rows = np.flatnonzero(there)
            columns[field.name] = found = [_ABSENT] * len(u)
            for i, value in zip(rows.tolist(), field.leaf.values(u[rows, field.span]), strict=True):
                found[i] = value
        names = list(self._fields)
        rows = zip(*(columns[name] for name in names), strict=True)
        if all(not field.conditions for field in self._order):
            return [dict(zip(names, row, strict=True)) for row in rows]
        return [{name: v for name, v in zip(names, row, strict=True) if v is not _ABSENT} for row in rows]

    def wrong(self, value: Any, name: str) -> str:
        if not isinstance(value, dict):
            return f"{name or 'a point'} must be a dict of {', '.join(self._fields)}, got {short(value)}"
        unknown = [key for key in value if key not in self._fields]
        if unknown:
            return f"{name or 'the space'} has no parameter {unknown[0]!r}; there are {', '.join(self._fields)}"
        there: set[str] = set()
        for field in self._order:
            path = f"{name}.{field.name}" if name else field.name
            unmet = [held for held in field.conditions if not (held[0] in there and self._meets(value, *held))]
            if unmet and field.name in value:
                return f"{path} must be left out: it is there only when {self._asked(*unmet[0], value)}"
            if not unmet and field.name not in value:
                return f"{path} is missing in {short(value)}"
            if not unmet:
                there.add(field.name)
                if sentence := field.leaf.wrong(value[field.name], path):
                    return sentence
        return ""

    def _meets(self, point: dict[str, Any], parent: str, places: np.ndarray) -> bool:
        leaf = self._fields[parent].leaf
        assert isinstance(leaf, Discrete)
        return bool(np.isin(leaf.index([point[parent]]), places).all())

    def _asked(self, parent: str, places: np.ndarray, point: dict[str, Any]) -> str:
        leaf = self._fields[parent].leaf
        assert isinstance(leaf, Discrete)
        values = " or ".join(map(repr, leaf.at(places)))
        return f"{parent} is {values}, got " + (f"{parent}={point[parent]!r}" if parent in point else f"no {parent}")

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.nodes,), {}

    def to_plain(self) -> dict[str, Any]:
        return super().to_plain() | {"type": "Space"}

    def __repr__(self) -> str:
        if all(name.isidentifier() and not keyword.iskeyword(name) for name in self.nodes):
            return written("Space", (), self.nodes)
        return written("Space", (self.nodes,), {})


def _condition(name: str, when: When, leaves: Mapping[str, Leaf]) -> tuple[str, np.ndarray]:
    """The parent's name and the places of its values."""
    parent = leaves.get(when.parent)
    if parent is None:
        raise InvalidValue(
            f"{name} is there only when {when.parent!r} has a value, but there is no such parameter beside it; "
            f"there are {', '.join(leaves)}"
        )
    if not isinstance(parent, Discrete):
        raise InvalidValue(
            f"{name} cannot depend on {when.parent}, which is {parent!r}; it can on a Choice, Ordinal, Bool or Int"
        )
    for value in when.several:
        if sentence := parent.wrong(value, when.parent):
            one = isinstance(when.values, tuple) and not parent.wrong(when.values, when.parent)
            advice = f"; a tuple stands for several values, write ({when.values!r},) for the one" if one else ""
            raise InvalidValue(f"{name} is there only when {when.parent} is {value!r}, but {sentence}{advice}")
    return when.parent, np.unique(parent.index(list(when.several)))
