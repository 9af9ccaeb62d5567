"""The space of a define-by-run study, discovered from its trials: which parameters were there, and when.

A parameter that some trials have and others have not is there if and only if an earlier parameter without which it was
never seen, a discrete one, has one of the values with which it was seen. If several parameters explain it, it is the
first of them; if none does, it counts as always there, and its coordinates mean nothing in trials without it. Trials
can only refute such rules. So the rules of n trials are made of those trials alone, whatever was believed before.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from descend.space import Leaf, Space, When
from descend.space.leaf import Discrete
from descend.space.text import identity

__all__ = ["Discovered"]

_MANY = 64
"""A parameter with more values than this is a number, on which nothing is likely to depend."""

Params = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Discovered:
    """What is known of a space.

    Fields: leaves, the parameters that were there in some trial, in the order of their first use; rules, of those
    that were not always there, the parent and the values of it with which they were; unruled, those that were not
    always there, and no rule says when.

    >>> from descend.space import Choice, Float, Int
    >>> leaves = {"kernel": Choice("rbf", "poly"), "degree": Int(2, 5), "unused": Float(0, 1)}
    >>> Discovered.of(leaves, [{"kernel": "rbf"}, {"kernel": "poly", "degree": 3}]).space
    Space(kernel=Choice('rbf', 'poly'), degree=When('kernel', ('poly',), Int(2, 5)))
    """

    leaves: Mapping[str, Leaf]
    rules: Mapping[str, tuple[str, tuple[Any, ...]]]
    unruled: frozenset[str]

    @staticmethod
    def of(leaves: Mapping[str, Leaf], trials: Sequence[Params]) -> "Discovered":
        """What trials, flat dicts, say about parameters."""
        there = {name: leaves[name] for params in trials for name in params}  # in the order of their first use
        rules: dict[str, tuple[str, tuple[Any, ...]]] = {}
        unruled: set[str] = set()
        earlier: list[str] = []
        for name, leaf in there.items():
            if any(name not in params for params in trials):
                found = ((parent, _explaining(parent, name, trials)) for parent in earlier)
                rule = next(((parent, values) for parent, values in found if values), None)
                if rule is None:
                    unruled.add(name)
                else:
                    rules[name] = rule
            if isinstance(leaf, Discrete) and leaf.count <= _MANY:
                earlier.append(name)
        return Discovered(there, rules, frozenset(unruled))

    def explains(self, leaves: Mapping[str, Leaf], params: Params) -> bool:
        """Whether `of` would give the same with this trial added."""
        if not params.keys() <= self.leaves.keys():
            return False
        for name, leaf in self.leaves.items():
            if leaves[name] is not leaf:
                return False
            rule = self.rules.get(name)
            if rule is not None:
                if (name in params) != _holds(rule, params):
                    return False
            elif name not in params and name not in self.unruled:
                return False
        return True

    @cached_property
    def space(self) -> Space | None:
        """As a space; None if there is nothing in it to search."""
        if not any(leaf.dim for leaf in self.leaves.values()):
            return None
        nodes = {
            name: When(*self.rules[name], leaf) if name in self.rules else leaf for name, leaf in self.leaves.items()
        }
        return Space(nodes)


def _explaining(parent: str, name: str, trials: Iterable[Params]) -> tuple[Any, ...]:
    """The values of the parent with which the parameter is there; none if they do not say when it is."""
    present: dict[Any, Any] = {}
    absent: set[Any] = set()
    for params in trials:
        if parent not in params:
            if name in params:
                return ()
        elif name in params:
            present[identity(params[parent])] = params[parent]
        else:
            absent.add(identity(params[parent]))
    return () if absent & present.keys() else tuple(present.values())


def _holds(rule: tuple[str, tuple[Any, ...]], params: Params) -> bool:
    parent, values = rule
    return parent in params and identity(params[parent]) in {identity(value) for value in values}
