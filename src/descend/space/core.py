"""A space of typed parameters: points as people write them on one side, flat points for methods on the other."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key, as_key
from descend.space.block import Row
from descend.space.domain import Domain, Rule
from descend.space.leaf import Leaf, Misfit, Node, leaf_from_plain, short, writable
from descend.space.real import Float
from descend.space.record import Record, When

__all__ = ["Space", "as_space"]

_PATIENCE = 100_000
"""Random points after which conditions that hold for fewer than one in 10 000 are given up."""


@writable
class Space:
    """Typed parameters by name; a point is a dict of their values.

    Args:
        parameters: by name, where the names are no identifiers.
        **named: the others: `Float`, `Int`, `Choice`, ..., `When`, or another space, whose points are dicts within.

    Two spaces are equal if they were written alike. ``repr`` is what one would type, and `to_json` gives a text that
    `from_json` reads.

    Raises:
        InvalidValue: there are no parameters, or a name, a parameter or a condition that cannot mean anything.

    >>> from descend.space import Choice, Int
    >>> space = Space(
    ...     lr=Float(1e-5, 1, log=True), kernel=Choice("rbf", "poly"), degree=When("kernel", "poly", Int(2, 5))
    ... )
    >>> space.decode([[0.4, 0.9, 0.5], [1.0, 0.1, 0.5]])
    [{'lr': 0.001, 'kernel': 'poly', 'degree': 4}, {'lr': 1.0, 'kernel': 'rbf'}]
    >>> space.check({"lr": 2.0, "kernel": "rbf"})
    'lr must lie in [1e-05, 1.0], got 2.0'
    """

    root: Leaf
    conditions: tuple[Callable[[Any], Any], ...]

    def __init__(self, parameters: Mapping[str, Node | When] | None = None, /, **named: Node | When) -> None:
        if parameters is not None and not isinstance(parameters, Mapping):
            raise InvalidValue(
                f"Space takes parameters by name, Space(x=Float(0, 1)), got {short(parameters)}; "
                "as_space takes a single parameter, and a list of pairs"
            )
        twice = [name for name in parameters or () if name in named]
        if twice:
            raise InvalidValue(f"the parameter {twice[0]!r} is there twice; leave one out")
        self._hold(Record({**(parameters or {}), **named}), ())

    def _hold(self, root: Leaf, conditions: tuple[Callable[[Any], Any], ...]) -> None:
        self.root, self.conditions = root, conditions

    @staticmethod
    def of(root: Leaf, conditions: tuple[Callable[[Any], Any], ...] = ()) -> "Space":
        """The space of a single parameter, whose points are its values."""
        space = Space.__new__(Space)
        space._hold(root, conditions)
        return space

    def as_leaf(self) -> Leaf:
        """Its parameters as one, within another space.

        Raises:
            InvalidValue: it has conditions, which belong to the outermost space.
        """
        if self.conditions:
            raise InvalidValue(f"where() belongs to the outermost space, got it on {self!r} within another")
        return self.root

    @property
    def dim(self) -> int:
        """d, the number of coordinates."""
        return self.root.dim

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the d coordinates, such as "opt.beta" and "w[0, 1]"; of a single parameter, "x"."""
        return tuple(name[1:] if name.startswith(".") else f"x{name}" for name in self.root.axes.names)

    @cached_property
    def domain(self) -> Domain:
        """What a method sees, in float64 on the CPU."""
        axes = self.root.axes
        if not axes.names:
            raise InvalidValue(f"every parameter has a single value, so there is nothing to search in {self!r}")
        sides = torch.from_numpy(axes.lower.copy()), torch.from_numpy(axes.upper.copy())
        cells, unordered = torch.from_numpy(axes.cells.copy()), torch.from_numpy(axes.unordered.copy())
        orders = torch.from_numpy(axes.orders.copy())
        rules = tuple(
            Rule(rule.first, rule.end, rule.parent, torch.from_numpy(rule.intervals.copy())) for rule in axes.rules
        )
        return Domain.box(*sides, cells=cells, unordered=unordered, orders=orders, rules=rules)

    @property
    def middle(self) -> Tensor:
        """(d,) float64: the point in the middle, from which to start."""
        return torch.from_numpy(self.root.axes.middle.copy())

    def sample(self, n: int, key: Key | int | None = None) -> list[Any]:
        """n random points: uniform coordinates, standard normal ones where they are unbounded, and conditions met.

        Args:
            n: how many, at least 0.
            key: randomness; default fresh entropy.

        Raises:
            InvalidValue: n is no such number, or the conditions of `where` hold too rarely.
        """
        if isinstance(n, bool) or not isinstance(n, int) or n < 0:
            raise InvalidValue(f"sample needs a whole number n >= 0 of points, got n={n!r}")
        key, found, drawn = as_key(key), [], 0
        while len(found) < n:
            block = min(n if not drawn else max(n, 1000), 10_000)
            points = self.decode(self.domain.uniform(block, key.fold(drawn), self.middle))
            found += [point for point in points if self._meets(point)]
            drawn += block
            if drawn >= _PATIENCE and len(found) < min(n, drawn / 10_000):
                raise InvalidValue(
                    f"the conditions of where() held for {len(found)} of {drawn} random points, fewer than the {n} "
                    "asked for; narrow the bounds, or make a Constraint of a condition, which may be broken on the way"
                )
        return found[:n]

    def encode(self, points: Sequence[Any]) -> Tensor:
        """The coordinates (n, d) of n points, float64 on the CPU.

        Raises:
            InvalidValue: a point does not fit; `check` says why.
        """
        if isinstance(points, str | Mapping) or not isinstance(points, Sequence):
            raise InvalidValue(f"encode takes a list of points, got {short(points)}; write encode([point])")
        try:
            return torch.from_numpy(self.root.column(list(points)))
        except Misfit:
            for k, point in enumerate(points):
                if sentence := self._wrong(point):
                    of_many = f", in point {k} of {len(points)}" if len(points) > 1 else ""
                    raise InvalidValue(sentence + of_many) from None
            raise

    def decode(self, xs: Tensor | np.ndarray | Sequence[Sequence[float]]) -> list[Any]:
        """The n points that coordinates xs (n, d) mean; those outside of the domain mean the nearest inside.

        Raises:
            ShapeMismatch: xs has another shape.
            InvalidValue: a coordinate is not finite.
        """
        try:
            u = torch.as_tensor(xs, dtype=torch.float64, device="cpu").detach().numpy()
        except (TypeError, ValueError):  # text, or rows of different lengths
            raise ShapeMismatch(f"decode takes numbers of shape (n, {self.dim}), got {short(xs)}") from None
        if u.ndim != 2 or u.shape[1] != self.dim:
            raise ShapeMismatch(f"decode takes points of shape (n, {self.dim}), got {u.shape}")
        if not bool(np.isfinite(u).all()):
            i, j = np.argwhere(~np.isfinite(u))[0].tolist()
            raise InvalidValue(f"coordinates must be finite, got {float(u[i, j])} for {self.names[j]} in point {i}")
        return self.root.values(np.minimum(np.maximum(u, self.root.axes.lower), self.root.axes.upper))

    def where(self, *conditions: Callable[[Any], Any]) -> "Space":
        """The same space of the points for which all conditions hold, and those it had before.

        Args:
            *conditions: functions of a point that return True or False, cheap ones: `sample` tries until they hold.

        `encode` and `decode` do not look at conditions, `sample`, `check` and `violations` do.

        Raises:
            InvalidValue: a condition cannot be called.

        >>> space = Space(a=Float(0, 1), b=Float(0, 1)).where(lambda p: p["a"] + p["b"] <= 1)
        >>> all(p["a"] + p["b"] <= 1 for p in space.sample(100, Key(0)))
        True
        """
        for condition in conditions:
            if not callable(condition):
                raise InvalidValue(f"where takes functions of a point, got {condition!r}; write lambda p: ...")
        return Space.of(self.root, self.conditions + conditions)

    def violations(self, points: Sequence[Any]) -> Tensor:
        """(n, m) float64: 1 where the j-th of the m conditions does not hold for the i-th point, else 0."""
        rows = [[0.0 if condition(point) else 1.0 for condition in self.conditions] for point in points]
        return torch.tensor(rows, dtype=torch.float64).reshape(len(points), len(self.conditions))

    def check(self, point: Any) -> str:
        """A sentence that names what is wrong with a point, its value and what is allowed; empty if nothing is."""
        sentence = self._wrong(point)
        if sentence:
            return sentence
        broken = [condition for condition in self.conditions if not condition(point)]
        if not broken:
            return ""
        return f"the condition {getattr(broken[0], '__name__', broken[0])} of where() does not hold for {short(point)}"

    def contains(self, point: Any) -> bool:
        """Whether a point lies in the space."""
        return not self.check(point)

    def __contains__(self, point: Any) -> bool:
        return self.contains(point)

    def _wrong(self, point: Any) -> str:
        return self.root.wrong(point, "" if isinstance(self.root, Record) else "x")

    def _meets(self, point: Any) -> bool:
        return all(condition(point) for condition in self.conditions)

    def to_json(self) -> str:
        """The parameters as a text.

        Raises:
            InvalidValue: there are conditions of `where`, which are functions.
        """
        if self.conditions:
            raise InvalidValue(
                "the conditions of where() are functions, which JSON cannot hold; write as_space(space.root).to_json() "
                "and where(...) again after reading"
            )
        return self.root.text

    @staticmethod
    def from_json(text: str) -> "Space":
        """The space that `to_json` wrote.

        Raises:
            InvalidValue: the text is not from `to_json`.
        """
        try:
            plain = json.loads(text)
        except (TypeError, ValueError) as error:
            raise InvalidValue(f"the space is no JSON: {error}") from None
        found = leaf_from_plain(plain)
        if not isinstance(found, Space | Leaf):
            raise InvalidValue(f"the JSON of a space holds {short(plain)} where the space should be")
        return as_space(found)

    def to_plain(self) -> dict[str, Any]:
        """As data for JSON."""
        return json.loads(self.to_json())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and (self.root, self.conditions) == (other.root, other.conditions)

    def __hash__(self) -> int:
        return hash((self.root, self.conditions))

    def __repr__(self) -> str:
        text = repr(self.root) if isinstance(self.root, Record) else f"as_space({self.root!r})"
        return f"{text}.where({', '.join(map(repr, self.conditions))})" if self.conditions else text


def as_space(parameters: Any) -> Space:
    """What a user may write for a space.

    Args:
        parameters: a space; a dict of parameters, or a list of pairs (name, parameter); one parameter, whose values
            are the points then; or a list of pairs of numbers (low, high), for which a point is a list of floats.

    Raises:
        InvalidValue: it is none of these.

    >>> as_space([(0, 1), (-5, 5)])
    as_space(Row(Float(0.0, 1.0), Float(-5.0, 5.0)))
    """
    if isinstance(parameters, Space):
        return parameters
    if isinstance(parameters, Leaf):
        return Space.of(parameters)
    if isinstance(parameters, Mapping):
        return Space(parameters)
    if isinstance(parameters, np.ndarray | Tensor):
        parameters = parameters.tolist()
    if isinstance(parameters, list | tuple) and all(isinstance(p, list | tuple) and len(p) == 2 for p in parameters):
        named = [isinstance(first, str) for first, _ in parameters]
        if named and not any(named):
            return Space.of(Row(*(Float(low, high) for low, high in parameters)))
        if all(named) and len({first for first, _ in parameters}) == len(parameters):
            return Space(dict(parameters))
    raise InvalidValue(
        "a space is a Space, a dict of parameters, a single parameter, or a list of pairs (low, high) or "
        f"(name, parameter), got {short(parameters)}"
    )
