"""Methods by name and as text: what a command line, a saved search and the header of a study call them.

The text of a method is the call that makes it, with every setting, ``CMAES(sigma=0.3, popsize=None)``. Reading it walks
a syntax tree: only methods that descend publishes, and transforms and step rules as settings of theirs, can be named,
and only numbers, text and tuples can be given to them, so no code of a file is run.
"""

import ast
import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from descend.errors import InvalidValue
from descend.population.base import AskTell

__all__ = ["from_text", "method_names", "part_from_text", "to_text"]

_ROOMS = ("population", "pareto", "direct", "model", "transform", "step")
"""Packages of methods and of what their settings may be; imported where a text is read or written."""


@cache
def _registry() -> dict[str, type]:
    """Every class that may stand in a text, by its name: the hyperparameters that the files of the rooms publish."""
    modules = [importlib.import_module("descend.portfolio")]
    for name in _ROOMS:
        room = importlib.import_module(f"descend.{name}")
        files = pkgutil.iter_modules(room.__path__)
        modules += [importlib.import_module(f"{room.__name__}.{file.name}") for file in files if not file.ispkg]
    found: dict[str, type] = {}
    for module in modules:
        for name in module.__all__:
            kind = getattr(module, name)
            if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__:
                found[name] = kind
    return found


def method_names() -> list[str]:
    """The names of all methods that can be asked for points.

    >>> "SNES" in method_names()
    True
    """
    return sorted(name for name, kind in _registry().items() if issubclass(kind, AskTell))


def to_text(part: Any, kinds: Mapping[str, type] | None = None) -> str:
    """The call that makes this method.

    Args:
        part: the method, or a setting.
        kinds: the classes that may be called, by name; default descend's methods and what their settings may be.

    Raises:
        InvalidValue: it is none of descend's, or one of its settings is something that cannot be written, a function
            for example.

    >>> from descend.population.snes import SNES
    >>> from_text(to_text(SNES())) == SNES()
    True
    """
    if part is None or isinstance(part, bool | int | float | str):
        return repr(part)
    if isinstance(part, tuple):
        return f"({', '.join(to_text(each, kinds) for each in part)}{',' if len(part) == 1 else ''})"
    name = type(part).__name__
    if (_registry() if kinds is None else kinds).get(name) is not type(part):
        raise InvalidValue(f"{part!r} cannot be written down: only descend's own methods, numbers, text and tuples can")
    settings = (f"{field.name}={to_text(getattr(part, field.name), kinds)}" for field in fields(part) if field.init)
    return f"{name}({', '.join(settings)})"


def from_text(text: str) -> Any:
    """The method of this name, or that this call makes; the inverse of `to_text`.

    Raises:
        InvalidValue: a sentence about what cannot be read, or what the method says to its settings.
    """
    method = part_from_text(text, _registry(), _known())
    if not isinstance(method, AskTell):
        raise InvalidValue(f"{text!r} is not a method that can be asked for points; write one of {_known()}")
    return method


def part_from_text(text: str, kinds: Mapping[str, type] | None = None, known: str = "") -> Any:
    """What a name or a call stands for.

    Args:
        text: the name or the call.
        kinds: as of `to_text`.
        known: the names to suggest, default those of the kinds.

    Raises:
        InvalidValue: as `from_text`.
    """
    kinds = _registry() if kinds is None else kinds
    known = known or ", ".join(sorted(kinds))
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise InvalidValue(f"{text[:80]!r} is not the name of a method; write one of {known}") from None
    return _call(tree.id, [], {}, kinds, known) if isinstance(tree, ast.Name) else _read(tree, kinds, known)


def _read(node: ast.expr, kinds: Mapping[str, type], known: str) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bool | int | float | None):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(_read(item, kinds, known) for item in node.elts)
    if isinstance(node, ast.Name) and node.id in ("inf", "nan"):
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _read(node.operand, kinds, known)
        if isinstance(value, int | float):
            return -value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and all(word.arg for word in node.keywords):
        by_name = {str(word.arg): _read(word.value, kinds, known) for word in node.keywords}
        by_position = [_read(argument, kinds, known) for argument in node.args]
        return _call(node.func.id, by_position, by_name, kinds, known)
    raise InvalidValue(
        f"{ast.unparse(node)!r} cannot stand in a method; write numbers, text, tuples and methods, "
        "for example CMAES(popsize=20)"
    )


def _call(name: str, by_position: list[Any], by_name: dict[str, Any], kinds: Mapping[str, type], known: str) -> Any:
    kind = kinds.get(name)
    if kind is None:
        near = get_close_matches(name, known.split(", "), 1)
        raise InvalidValue(f"there is no method {name!r}; write {f'{near[0]}, or ' if near else ''}one of {known}")
    try:
        return kind(*by_position, **by_name)
    except TypeError:
        settings = ", ".join(field.name for field in fields(kind) if field.init)
        raise InvalidValue(f"{name} takes the settings {settings or 'none'}, got {by_position} {by_name}") from None


def _known() -> str:
    return ", ".join(method_names())
