"""What the parameters of a define-by-run study are: every definition that an objective made, merged by name.

An objective may widen the range of a number, or add to the options of a choice, as the study goes on. It may not call
two different things by one name.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from descend.errors import InvalidValue
from descend.space import Choice, Float, Int, Leaf
from descend.space.leaf import leaf_from_plain
from descend.space.text import identity

__all__ = ["Definitions", "as_definition", "as_name", "merged"]


def as_name(name: Any) -> str:
    """Refuse what cannot be the name of a parameter or of an attribute.

    Raises:
        InvalidValue: it is no text, or begins with a dot, as the study's own names do.
    """
    if not isinstance(name, str) or not name or name.startswith("."):
        raise InvalidValue(f"a name is a text that does not begin with a dot, got {name!r}")
    return name


def as_definition(name: str, leaf: Any) -> Leaf:
    """Refuse what cannot be a parameter of an objective that defines as it runs.

    Raises:
        InvalidValue: the name cannot be one, or the leaf is no parameter.
    """
    if not isinstance(leaf, Leaf):
        raise InvalidValue(f"the parameter {as_name(name)!r} is a Float, Int, Choice, ..., got {leaf!r}")
    as_name(name)
    return leaf


def merged(name: str, old: Leaf, new: Leaf) -> Leaf:
    """One parameter that has the values of both; the old one itself if it has them all.

    Raises:
        InvalidValue: they are of different kinds.

    >>> merged("n", Int(1, 4), Int(2, 8)), merged("k", Choice("a", "b"), Choice("b", "c"))
    (Int(1, 8), Choice('a', 'b', 'c'))
    """
    if old == new:
        return old
    found = old
    match old, new:
        case Float(), Float() if _style(old) == _style(new) and None not in (old.low, new.low) and old.step is None:
            assert old.low is not None
            assert old.high is not None
            assert new.low is not None
            assert new.high is not None
            low, high = min(old.low, new.low), max(old.high, new.high)
            found = Float(low, high, log=old.log, logit=old.logit, open=old.open)
        case Int(), Int() if (old.log, old.step) == (new.log, new.step) and (old.low - new.low) % old.step == 0:
            found = Int(min(old.low, new.low), max(old.high, new.high), log=old.log, step=old.step)
        case Choice(), Choice():
            known = {identity(option) for option in old.options}
            added = [option for option in new.options if identity(option) not in known]
            found = Choice(*old.options, *added) if added else old
        case _:
            raise InvalidValue(
                f"{name} was {old!r} in this study, and is now {new!r}; give what is something else another name"
            )
    return old if found == old else found


def _style(leaf: Float) -> tuple[Any, ...]:
    return leaf.log, leaf.logit, leaf.open, leaf.step


class Definitions:
    """The definitions of a log, in its order.

    A prefix of them is what the parameters were at some moment. So whoever asks says how many of them count.

    >>> known = Definitions()
    >>> known.extend([("x", Float(0, 1).text), ("k", Choice("a").text), ("k", Choice("b").text)])
    >>> known.leaves(2), known.leaves(3)["k"], known.needed("k")
    ({'x': Float(0.0, 1.0), 'k': Choice('a')}, Choice('a', 'b'), 3)
    """

    def __init__(self) -> None:
        self._leaves: list[Mapping[str, Leaf]] = [{}]
        self._needed: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._leaves) - 1

    def extend(self, definitions: Iterable[tuple[str, str]]) -> None:
        """Add those that follow, pairs of a name and the JSON of a parameter."""
        for name, text in definitions:
            before = self._leaves[-1]
            leaf = leaf_from_plain(json.loads(text))
            after = leaf if name not in before else merged(name, before[name], leaf)
            if after is not before.get(name):
                self._needed[name] = len(self._leaves)
            self._leaves.append({**before, name: after} if after is not before.get(name) else before)

    def leaves(self, count: int) -> Mapping[str, Leaf]:
        """The parameters by name, by the first `count` definitions."""
        return self._leaves[count]

    @property
    def latest(self) -> Mapping[str, Leaf]:
        """The parameters by name, by all definitions."""
        return self._leaves[-1]

    def needed(self, name: str) -> int:
        """How many definitions have to count for this parameter to be what it is now."""
        return self._needed[name]
