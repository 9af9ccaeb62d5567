"""Estimators and transforms as text and back: a recorded run is rebuilt from it, and no code is run for that.

The text of a part is the call that makes it, ``Adam(betas=(0.9, 0.999), eps=1e-08, amsgrad=False)``, with every field
written out, so that another default in a later version changes nothing. Reading it walks a syntax tree: only the
classes that `descend.estimate`, `descend.transform` and `descend.step` publish, and the roundings, can be named, and
only numbers, text, tuples, enums, keys and dtypes can be given to them.
"""

import ast
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

import torch

from descend import estimate, step, transform
from descend.errors import CompositionError
from descend.estimate.base import Estimator
from descend.key import Key
from descend.torch_optim import rounding

__all__ = ["from_text", "to_text"]


@cache
def _registry() -> dict[str, type]:
    """Every class that may stand in a text, by its name."""
    found: dict[str, type] = {"Key": Key}
    for room in (estimate, transform, step, rounding):
        for name in room.__all__:
            kind = getattr(room, name)
            if isinstance(kind, type) and (is_dataclass(kind) or issubclass(kind, Enum)):
                found[name] = kind
    return found


def to_text(part: Any) -> str:
    """The call that makes this part.

    A function in place of an estimator's radius is written as ``...``: a replay does not need it, since the radius
    decides where values are asked and is in the recorded weights already.

    Raises:
        CompositionError: the part holds something that cannot be written down, such as a function, or is of a class
            that descend does not publish.

    >>> from descend.transform import HeavyBall
    >>> to_text(HeavyBall(0.9))
    'HeavyBall(momentum=0.9, dampening=0.0, nesterov=False)'
    """
    if part is None or isinstance(part, bool | int | str):
        return repr(part)
    if isinstance(part, float):
        return repr(float(part))
    if isinstance(part, tuple):
        return f"({', '.join(map(to_text, part))}{',' if len(part) == 1 else ''})"
    if isinstance(part, torch.dtype):
        return str(part)
    name = type(part).__name__
    if _registry().get(name) is not type(part):
        raise CompositionError(
            f"a recorded run writes its parts as text, and {part!r} cannot be written: {name} is not a class of "
            "descend.estimate, descend.transform or descend.step; record a run of those, with numbers for settings"
        )
    if isinstance(part, Enum):
        return f"{name}({part.value!r})"
    written = (f"{field.name}={_field_text(part, field)}" for field in fields(part) if field.init)
    return f"{name}({', '.join(written)})"


def _field_text(part: Any, field: Field[Any]) -> str:
    value = getattr(part, field.name)
    if field.name == "radius" and isinstance(part, Estimator) and callable(value) and not is_dataclass(value):
        return "..."
    try:
        return to_text(value)
    except CompositionError as error:
        raise CompositionError(f"{field.name} of {type(part).__name__}: {error}") from None


def from_text(text: str) -> Any:
    """The part that a text describes; the inverse of `to_text`.

    Raises:
        CompositionError: the text names a class that this version of descend does not have or a field that the class
            does not take, or it is anything else than calls, numbers, text and tuples.

    >>> from_text("HeavyBall(momentum=0.9, dampening=0.0, nesterov=False)")
    HeavyBall(momentum=0.9, dampening=0.0, nesterov=False)
    """
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise CompositionError(f"the recorded part {text[:80]!r} is no expression: {error}") from None
    return _read(tree.body, text)


def _read(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.Constant) and not isinstance(node.value, complex | bytes):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(_read(item, text) for item in node.elts)
    if isinstance(node, ast.Name) and node.id in ("inf", "nan"):
        return float(node.id)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _read(node.operand, text)
        if isinstance(value, int | float):
            return -value
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "torch":
        dtype = getattr(torch, node.attr, None)
        if isinstance(dtype, torch.dtype):
            return dtype
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node, node.func.id, text)
    raise CompositionError(
        f"the recorded part {text!r} holds {ast.unparse(node)!r}; only calls, numbers, text and tuples are read"
    )


def _call(node: ast.Call, name: str, text: str) -> Any:
    kind = _registry().get(name)
    if kind is None:
        raise CompositionError(
            f"the run was recorded with {text}, and this version of descend has no {name}; install the one that made it"
        )
    positional = [_read(argument, text) for argument in node.args]
    named = {word.arg or "**": _read(word.value, text) for word in node.keywords}
    if issubclass(kind, Enum) or kind is Key:
        try:
            return kind(*positional, **named)
        except (TypeError, ValueError) as error:
            raise CompositionError(f"the recorded part {text!r} cannot be made: {error}") from None
    known = {field.name: field for field in fields(kind) if field.init}  # type: ignore[arg-type]  # see the registry
    unknown = sorted(named.keys() - known.keys())
    if unknown or positional:
        raise CompositionError(f"the run was recorded with {text}, but {name} takes {sorted(known)}, not {unknown}")
    for field in known.values():
        if named.get(field.name) is Ellipsis:  # a function, see to_text
            if field.default is MISSING:
                raise CompositionError(
                    f"{name} cannot be rebuilt from {text!r}: its {field.name} was a function, and it has no default; "
                    "resume with the optimizer that recorded it, or record with a number"
                )
            named[field.name] = field.default
    return kind(**named)
