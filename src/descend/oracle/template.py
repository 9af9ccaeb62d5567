"""Text with places for parameters: ``--rate={lr}``. Values are put in one place each, and are never read again.

So nothing that a value holds can become another argument, another place, or a command.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Any

from descend.errors import InvalidValue
from descend.space.core import Space
from descend.space.leaf import Leaf
from descend.space.record import Record, When

__all__ = ["EVERYTHING", "HERE", "Template", "as_text", "parameter_names"]

EVERYTHING = "*"
"""The place of the whole point as JSON."""

HERE = "."
"""The place of the folder in which the run was started."""


@dataclass(frozen=True)
class Template:
    """A text whose places are filled with values.

    Args:
        text: ``{name}`` is the value of a parameter and ``{name:.3f}`` its value in a Python format; ``{opt.beta}`` is
            one of a nested space, ``{*}`` are all of them as JSON, ``{.}`` is the folder in which the run was started.
            A brace of its own is written twice.

    Raises:
        InvalidValue: a brace without its partner, or a place without a name.

    >>> Template("--rate={lr:.2f}").filled({"lr": 0.125}, {})
    '--rate=0.12'
    """

    text: str

    def __post_init__(self) -> None:
        try:
            parts = list(Formatter().parse(self.text))
        except ValueError as error:
            raise InvalidValue(f"{self.text!r}: {error}; a brace of its own is written twice, {{{{ or }}}}") from None
        for _, name, form, conversion in parts:
            if name == "" or conversion is not None or (form and "{" in form):
                raise InvalidValue(
                    f"{self.text!r} has a place that is no parameter; write {{name}} or {{name:.3f}}, "
                    "and a brace of its own twice, {{ or }}"
                )

    @property
    def names(self) -> list[str]:
        """What stands in its places, from left to right."""
        return [name for _, name, _, _ in Formatter().parse(self.text) if name is not None]

    def filled(self, point: Any, others: Mapping[str, str]) -> str:
        """The text with the values of a point in its places; of a parameter that is not there, nothing.

        Args:
            point: a dict, perhaps nested; or the value of the single parameter x.
            others: what stands for names that are no parameters.

        Raises:
            InvalidValue: a format that the value does not take.
        """
        found: list[str] = []
        for before, name, form, _ in Formatter().parse(self.text):
            found.append(before)
            if name is None:
                continue
            if name in others:
                found.append(others[name])
                continue
            there, value = _looked_up(point, name)
            try:
                found.append((format(value, form) if form else as_text(value)) if there else "")
            except (ValueError, TypeError) as error:
                raise InvalidValue(f"{{{name}:{form}}} does not suit the value {value!r}: {error}") from None
        return "".join(found)


def as_text(value: Any) -> str:
    """A value as an argument: text as it is, all else as JSON, so True is true and a list [1, 2].

    >>> as_text(0.1), as_text("rbf"), as_text(True), as_text([1, 2])
    ('0.1', 'rbf', 'true', '[1, 2]')
    """
    return value if isinstance(value, str) else json.dumps(value, default=str)


def parameter_names(space: Space) -> list[str]:
    """The names of all parameters, those of nested spaces as "opt.beta"; of a single one, "x"."""
    return _names(space.root, "") if isinstance(space.root, Record) else ["x"]


def _names(record: Record, prefix: str) -> list[str]:
    found: list[str] = []
    for name, node in record.nodes.items():
        leaf: Any = node
        while isinstance(leaf, When):
            leaf = leaf.leaf
        if isinstance(leaf, Space):
            leaf = leaf.root
        assert isinstance(leaf, Leaf)
        found += _names(leaf, f"{prefix}{name}.") if isinstance(leaf, Record) else [prefix + name]
    return found


def _looked_up(point: Any, name: str) -> tuple[bool, Any]:
    """Whether the point has a value of this name, and which."""
    if name == EVERYTHING:
        return True, point
    if not isinstance(point, Mapping):
        return name == "x", point
    if name in point:
        return True, point[name]
    first, _, rest = name.partition(".")
    return _looked_up(point[first], rest) if rest and isinstance(point.get(first), Mapping) else (False, None)
