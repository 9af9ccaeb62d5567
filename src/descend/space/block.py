"""Several parameters under one name: the same one in the shape of an array, or different ones in a row."""

from functools import cached_property
from itertools import chain, product
from math import prod
from typing import Any

import numpy as np
from torch import Tensor

from descend.errors import InvalidValue
from descend.space.leaf import Axes, Leaf, Misfit, Node, as_leaf, short, writable

__all__ = ["Array", "Row"]


@writable
class Array(Leaf):
    """One parameter many times over, given to the objective as a list, or as lists within lists.

    Args:
        leaf: any parameter, or a space, for a list of dicts.
        shape: how many, or a tuple of lengths, each at least 1, the outermost first.

    NumPy arrays and tensors are taken for lists where a value is given. ``numpy.array(value)`` makes an array of one.

    Raises:
        InvalidValue: the leaf is no parameter, or a length is no whole number >= 1.

    >>> from descend.space import Int
    >>> Array(Int(0, 9), (2, 3)).values(np.linspace(0, 1, 6)[None])
    [[[0, 2, 4], [6, 8, 9]]]
    """

    leaf: Leaf
    shape: tuple[int, ...]

    def __init__(self, leaf: Node, shape: int | tuple[int, ...] | list[int]) -> None:
        lengths = tuple(shape) if isinstance(shape, list | tuple) else (shape,)
        if not lengths or any(
            isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1 for length in lengths
        ):
            raise InvalidValue(f"the shape of an Array is a number >= 1 or a tuple of them, got shape={shape!r}")
        self.leaf = as_leaf(leaf, "Array")
        self.shape = tuple(map(int, lengths))

    @cached_property
    def axes(self) -> Axes:
        places = product(*map(range, self.shape))
        return Axes.joined([(f"[{', '.join(map(str, place))}]", self.leaf.axes) for place in places])

    def column(self, values: list[Any]) -> np.ndarray:
        flat = values
        for length in self.shape:
            flat = [_as_list(value) for value in flat]
            if any(not isinstance(value, list | tuple) or len(value) != length for value in flat):
                raise Misfit
            flat = list(chain.from_iterable(flat))
        return self.leaf.column(flat).reshape(len(values), self.dim)

    def values(self, u: np.ndarray) -> list[Any]:
        found = self.leaf.values(u.reshape(len(u) * prod(self.shape), self.leaf.dim))
        for length in reversed(self.shape):
            found = [found[first : first + length] for first in range(0, len(found), length)]
        return found

    def wrong(self, value: Any, name: str) -> str:
        return self._wrong(value, name, self.shape)

    def _wrong(self, value: Any, name: str, shape: tuple[int, ...]) -> str:
        if not shape:
            return self.leaf.wrong(value, name)
        value = _as_list(value)
        if not isinstance(value, list | tuple) or len(value) != shape[0]:
            return f"{name} must be a list of {shape[0]}, got {short(value)}"
        sentences = (self._wrong(item, f"{name}[{place}]", shape[1:]) for place, item in enumerate(value))
        return next(filter(None, sentences), "")

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.leaf, self.shape[0] if len(self.shape) == 1 else self.shape), {}


@writable
class Row(Leaf):
    """Some parameters without names, given to the objective as a list of their values.

    Args:
        *leaves: at least one, any parameters or spaces.

    Raises:
        InvalidValue: there is none, or one is no parameter.

    >>> from descend.space import Bool, Float
    >>> Row(Float(0, 1), Bool()).values(np.array([[0.5, 0.9]]))
    [[0.5, True]]
    """

    leaves: tuple[Leaf, ...]

    def __init__(self, *leaves: Node) -> None:
        if not leaves:
            raise InvalidValue("Row() has no parameters; write for example Row(Float(0, 1), Int(1, 9))")
        self.leaves = tuple(as_leaf(leaf, "Row") for leaf in leaves)

    @cached_property
    def axes(self) -> Axes:
        return Axes.joined([(f"[{place}]", leaf.axes) for place, leaf in enumerate(self.leaves)])

    def column(self, values: list[Any]) -> np.ndarray:
        rows = [_as_list(value) for value in values]
        if any(not isinstance(row, list | tuple) or len(row) != len(self.leaves) for row in rows):
            raise Misfit
        parts = [leaf.column([row[place] for row in rows]) for place, leaf in enumerate(self.leaves)]
        return np.concatenate(parts, axis=1)

    def values(self, u: np.ndarray) -> list[Any]:
        columns, first = [], 0
        for leaf in self.leaves:
            columns.append(leaf.values(u[:, first : first + leaf.dim]))
            first += leaf.dim
        return [list(row) for row in zip(*columns, strict=True)]

    def wrong(self, value: Any, name: str) -> str:
        value = _as_list(value)
        if not isinstance(value, list | tuple) or len(value) != len(self.leaves):
            return f"{name} must be a list of {len(self.leaves)}, got {short(value)}"
        both = zip(self.leaves, value, strict=True)
        sentences = (leaf.wrong(item, f"{name}[{place}]") for place, (leaf, item) in enumerate(both))
        return next(filter(None, sentences), "")

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return self.leaves, {}


def _as_list(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | Tensor) else value
