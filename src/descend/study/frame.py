"""A space by the flat names of its parameters: dicts of plain values on one side, points (d,) on the other.

A study writes down every trial as a flat dict, "opt.lr" being lr in the record opt. Values that JSON has no word for,
such as tuples, are marked as in the JSON of a space. Coordinates of parameters that are not there are in the middle.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.space import Bool, Choice, Float, Int, Leaf, Ordinal, Space, When
from descend.space.leaf import Misfit, Node
from descend.space.record import Record
from descend.space.text import identity
from descend.study.plain import plain, unplain
from descend.study.quick import coordinate_of, is_plain, value_of

__all__ = ["Frame"]

_TRIES = 1000
"""Random points that are drawn to find one in which given values can stand."""


@dataclass(frozen=True, eq=False)
class _Part:
    """A parameter: its flat name, the keys that lead to it in a point, where its coordinates are, the quick ways to
    and from them, and its conditions, each a name beside it and the identities of values."""

    name: str
    path: tuple[str, ...]
    leaf: Leaf
    span: slice
    coordinate: Callable[[Any], float] | None
    value: Callable[[float], Any] | None
    conditions: "Conditions"


class Frame:
    """A space seen by flat names.

    Args:
        space: any.

    Attributes:
        space, domain: the space, and what a method may search.
        leaves: every parameter by its flat name.
        start: (d,) float64, the middle.
        flat: whether points are such flat dicts already.

    >>> from descend.space import Choice
    >>> frame = Frame(Space(lr=Float(0, 1), opt=Space(kind=Choice("a", "b"))))
    >>> frame.flattened({"lr": 0.5, "opt": {"kind": "b"}})
    {'lr': 0.5, 'opt.kind': 'b'}
    >>> frame.encode({"lr": 0.5, "opt.kind": "b"}).tolist()
    [0.5, 0.75]
    """

    def __init__(self, space: Space) -> None:
        self.space, self.domain = space, space.domain
        self._parts = _parts(space.root)
        self.leaves: dict[str, Leaf] = {part.name: part.leaf for part in self._parts}
        self.start = space.middle
        self._middle = self.start.tolist()
        self._ways = [(part.name, part.span.start, part.coordinate, part.value, part) for part in self._parts]
        self._single = not isinstance(space.root, Record)
        self.flat = not self._single and all(len(part.path) == 1 and _is_scalar(part.leaf) for part in self._parts)
        self._ordered = _ordered(self._parts) if self.flat else []
        self._is_quick = self.flat and all(
            part.value is not None or part.span.start == part.span.stop for part in self._parts
        )

    def flattened(self, point: Any) -> dict[str, Any]:
        """A point of the space as a flat dict."""
        if self.flat:
            return point
        if self._single:
            return {"x": plain(point)}
        found = {}
        for part in self._parts:
            value = _at(point, part.path)
            if value is not _ABSENT:
                found[part.name] = plain(value)
        return found

    def point(self, params: Mapping[str, Any]) -> Any:
        """The point of the space that a flat dict stands for, a new object."""
        if self.flat:
            return dict(params)
        if self._single:
            return unplain(params["x"])
        found: dict[str, Any] = {}
        for part in self._parts:
            if part.name in params:
                inner = found
                for key in part.path[:-1]:
                    inner = inner.setdefault(key, {})
                inner[part.path[-1]] = unplain(params[part.name])
        return found

    def given(self, point: Any) -> dict[str, Any]:
        """A point of the space, or some parameters by flat name, as a flat dict.

        Raises:
            InvalidValue: it does not fit into the space.
        """
        if self.space.contains(point):
            return dict(self.flattened(point))
        if not isinstance(point, Mapping):
            raise InvalidValue(self.space.check(point))
        flat = {name: plain(value) for name, value in point.items()}
        self.completed(flat, Key(0))
        return flat

    def decode(self, xs: Tensor) -> list[dict[str, Any]]:
        """The flat dicts that points xs (n, d) stand for."""
        points = self.space.decode(xs)
        return points if self.flat else [self.flattened(point) for point in points]

    def decode_one(self, x: list[float]) -> dict[str, Any]:
        """The flat dict that a point (d,) stands for."""
        if not self._is_quick:
            return self.decode(torch.tensor([x], dtype=torch.float64))[0]
        found = {}
        for name, place, _, value, part in self._ways:
            found[name] = part.leaf.values(_NONE)[0] if value is None else value(x[place])
        for part in self._ordered:
            for parent, values in part.conditions:
                if parent not in found or identity(found[parent]) not in values:
                    del found[part.name]
                    break
        return found

    def encode(self, params: Mapping[str, Any]) -> np.ndarray:
        """The coordinates (d,) float64 of a flat dict, in which parameters may be missing, or be something else."""
        x = self._middle.copy()
        for name, place, coordinate, _, part in self._ways:
            if name not in params:
                continue
            try:
                if coordinate is not None:
                    x[place] = coordinate(params[name])
                elif part.leaf.dim:
                    x[part.span] = part.leaf.column([unplain(params[name])])[0].tolist()
            except (Misfit, TypeError, ValueError):  # somebody has added it before the parameter was defined
                x[part.span] = self._middle[part.span]
        return np.array(x)

    def completed(self, fixed: Mapping[str, Any], key: Key, about: Tensor | None = None) -> dict[str, Any]:
        """A flat dict with given values and the others at random, or as in `about` (d,) where that is possible.

        Raises:
            InvalidValue: a name or a value that the space does not have, or a parameter that cannot be there.
        """
        for name, value in fixed.items():
            if name not in self.leaves:
                raise InvalidValue(f"the space has no parameter {name!r}; there are {', '.join(self.leaves)}")
            if sentence := self.leaves[name].wrong(unplain(value), name):
                raise InvalidValue(sentence)
        given = self.encode(fixed)
        held = [part.span for part in self._parts if part.name in fixed]
        for turn in range(_TRIES):
            drawn = self.domain.uniform(1, key.fold("complete", turn), self.start) if turn or about is None else about
            x = drawn.reshape(-1).numpy().copy()
            for span in held:
                x[span] = given[span]
            found = self.decode(torch.from_numpy(x)[None])[0]
            there = all(name in found for name in fixed)
            if there and not self.space.check(self.point({**found, **fixed})):
                return {name: fixed.get(name, value) for name, value in found.items()}
        raise InvalidValue(
            f"{dict(fixed)} cannot be completed to a point of the space: a parameter of it is not there with these "
            "values; leave it out, or give the one on which it depends too"
        )


_ABSENT = object()
_NONE = np.empty((1, 0))
Conditions = tuple[tuple[str, frozenset[Any]], ...]


def _at(point: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(point, Mapping) or key not in point:
            return _ABSENT
        point = point[key]
    return point


def _parts(root: Leaf) -> list[_Part]:
    found: list[_Part] = []

    def walk(leaf: Leaf, path: tuple[str, ...], first: int, conditions: Conditions) -> int:
        if isinstance(leaf, Record):
            for name, node in leaf.nodes.items():
                held: Conditions = ()
                inner: Node | When = node
                while isinstance(inner, When):
                    held = (*held, (inner.parent, frozenset(map(identity, inner.several))))
                    inner = inner.leaf
                first = walk(inner.as_leaf(), (*path, name), first, held)
            return first
        span = slice(first, first + leaf.dim)
        name = ".".join(path) or "x"
        found.append(_Part(name, path, leaf, span, coordinate_of(leaf), value_of(leaf), conditions))
        return span.stop

    walk(root, (), 0, ())
    return found


def _ordered(parts: list[_Part]) -> list[_Part]:
    """The parts with conditions, each after those on which it depends."""
    graph = {part.name: [parent for parent, _ in part.conditions] for part in parts}
    named = {part.name: part for part in parts}
    return [named[name] for name in TopologicalSorter(graph).static_order() if graph[name]]


def _is_scalar(leaf: Leaf) -> bool:
    """Whether the log holds its values as they are."""
    return isinstance(leaf, Float | Int | Bool | Choice | Ordinal) and is_plain(leaf)
