"""What users of scikit-learn write for a search space, as a `Space`, and its points as parameters of an estimator.

Lists, SciPy's distributions, descend's own parameters and `When` may stand side by side. A list of dicts is a union of
spaces, as for `GridSearchCV`. Points of a space within a space are parameters of a part: {"svc": {"C": 1}} is svc__C=1.
"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.space import Choice, Float, Int, Leaf, Ordinal, Space, When
from descend.space.leaf import Discrete, short
from descend.space.record import Record

__all__ = ["Translation", "translated"]

_BRANCH = "space"
"""The name of the parameter that says which of several spaces a point is of."""


@dataclass(frozen=True, eq=False)
class Translation:
    """A space, and what its points mean to an estimator.

    Fields: space; meanings, of a parameter by its name in the space, the value for the estimator; branches, how many
    spaces it is the union of, 0 if it is one.
    """

    space: Space
    meanings: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    branches: int = 0

    def params(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters to be set on an estimator."""
        prefix = f"{point[_BRANCH]}." if self.branches else ""
        found: dict[str, Any] = {}
        for name, value in point.items():
            if name == _BRANCH and self.branches:
                continue
            own, meaning = name.removeprefix(prefix), self.meanings.get(name)
            found |= _flat(own, value) if meaning is None else {own: meaning(value)}  # a listed dict is one value
        return found


def translated(given: Any) -> Translation:
    """What a user wrote as a space.

    Args:
        given: a `Space`; a dict of lists, distributions of SciPy, parameters and `When`; or a list of such dicts.

    Raises:
        InvalidValue: it is something else.

    >>> space = translated({"C": [0.1, 1, 10], "kernel": ["rbf", "poly"], "degree": When("kernel", "poly", Int(2, 5))})
    >>> space.space
    Space(C=Ordinal(0.1, 1, 10), degree=When('kernel', 'poly', Int(2, 5)), kernel=Choice('rbf', 'poly'))
    """
    if isinstance(given, Space):
        if not isinstance(given.root, Record):
            raise InvalidValue(f"a search needs named parameters, got {given!r}; write Space(C=Float(...))")
        return Translation(deepcopy(given))  # what parameters keep for speed is no change to the user's own
    if isinstance(given, Mapping):
        nodes, meanings = _nodes(given, "")
        return Translation(Space(nodes), meanings)
    if isinstance(given, Sequence) and given and all(isinstance(part, Mapping) for part in given):
        names = [str(i) for i in range(len(given))]
        nodes, meanings = {_BRANCH: Choice(*names)}, {}
        for name, part in zip(names, given, strict=True):
            of_part, mean = _nodes(part, f"{name}.")
            nodes |= {each: When(_BRANCH, name, node) for each, node in of_part.items()}
            meanings |= mean
        return Translation(Space(nodes), meanings, len(given))
    raise InvalidValue(
        "a search space is a Space, a dict of lists, distributions and parameters, or a list of dicts, got "
        + short(given)
    )


def _nodes(given: Mapping[str, Any], prefix: str) -> tuple[dict[str, Any], dict[str, Callable[[Any], Any]]]:
    """The parameters of a dict, with a prefix, in the order of a `ParameterGrid`; and their meanings."""
    nodes: dict[str, Any] = {}
    meanings: dict[str, Callable[[Any], Any]] = {}
    lists: dict[str, _Listed] = {}
    for name, entry in given.items():
        if not isinstance(entry, When | Leaf | Space):
            node, meaning = _node(name, entry)
            if isinstance(meaning, _Listed):
                lists[name] = meaning
            nodes[prefix + name] = node
            meanings[prefix + name] = meaning
    for name, entry in given.items():
        if isinstance(entry, When):
            nodes[prefix + name] = _conditional(entry, prefix, lists)
        elif isinstance(entry, Leaf | Space):
            nodes[prefix + name] = deepcopy(entry)
    return {prefix + name: nodes[prefix + name] for name in sorted(given)}, meanings


def _conditional(when: When, prefix: str, lists: Mapping[str, "_Listed"]) -> When:
    """A condition, whose values may be objects that are listed for the parent."""
    inner = _conditional(when.leaf, prefix, lists) if isinstance(when.leaf, When) else deepcopy(when.leaf)
    parent = lists.get(when.parent)
    values = when.values if parent is None else tuple(map(parent.stands_for, when.several))
    if len(when.several) == 1 and isinstance(values, tuple) and not isinstance(when.values, tuple):
        values = values[0]
    return When(prefix + when.parent, values, inner)


def _node(name: str, entry: Any) -> tuple[Leaf, Callable[[Any], Any]]:
    if isinstance(entry, np.ndarray):
        entry = entry.tolist() if entry.ndim == 1 else list(entry)
    if isinstance(entry, Sequence) and not isinstance(entry, str):
        listed = _Listed.of(name, list(entry))
        return listed.leaf, listed
    if callable(getattr(entry, "ppf", None)) and callable(getattr(entry, "support", None)):
        return _of_distribution(entry)
    raise InvalidValue(
        f"the space of {name} is a list of values, a frozen distribution of SciPy, or a parameter such as Float(0, 1), "
        f"got {short(entry)}"
    )


@dataclass(frozen=True, eq=False)
class _Listed:
    """Values that were listed, whatever they are, and the parameter whose values stand for them."""

    leaf: Discrete
    options: tuple[Any, ...]

    @staticmethod
    def of(name: str, values: list[Any]) -> "_Listed":
        if not values:
            raise InvalidValue(f"{name} has no value to take; write at least one in its list")
        plain = [value.item() if isinstance(value, np.generic) else value for value in values]
        numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in plain)
        rising = numbers and all(a < b for a, b in pairwise(plain))
        try:
            return _Listed(Ordinal(*plain) if rising and len(plain) > 1 else Choice(*plain), tuple(values))
        except InvalidValue:  # objects, or values that are there twice, are known by their places
            names = [f"{i}: {type(value).__name__}" for i, value in enumerate(values)]
            return _Listed(Choice(*names), tuple(values))

    def __call__(self, value: Any) -> Any:
        return self.options[int(self.leaf.index([value])[0])]

    def stands_for(self, value: Any) -> Any:
        """The value of the parameter for an object that is listed."""
        for place, option in enumerate(self.options):
            if option is value or (
                type(option) is type(value) and not isinstance(option, np.ndarray) and option == value
            ):
                return self.leaf.at(np.array([place]))[0]
        return value


def _of_distribution(entry: Any) -> tuple[Leaf, Callable[[Any], Any]]:
    """A number with its scale where SciPy's distribution is uniform on it; else a quantile."""
    low, high = map(float, entry.support())
    kind = getattr(getattr(entry, "dist", None), "name", "")
    if kind == "randint":
        return (Int(int(low), int(high)) if low < high else Choice(int(low))), _same
    if kind in ("uniform", "loguniform", "reciprocal") and low < high:
        return Float(low, high, log=kind != "uniform"), _same
    whole = callable(getattr(entry, "pmf", None))
    return Float(0, 1, open=True), lambda share: (int if whole else float)(entry.ppf(share))


def _same(value: Any) -> Any:
    return value


def _flat(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {name: value}
    found: dict[str, Any] = {}
    for inner, part in value.items():
        found |= _flat(f"{name}__{inner}", part)
    return found
