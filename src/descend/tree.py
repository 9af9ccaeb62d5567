"""States are frozen dataclasses of tensors, numbers, text, keys and tuples of these; here they are walked and saved.

`to_plain` turns a state into nested dicts, lists, numbers and tensors, which ``torch.save`` writes and
``torch.load(weights_only=True)`` reads without running code; `from_plain` turns it back.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import torch
from torch import Tensor

from descend.errors import StateMismatch
from descend.key import Key

__all__ = ["from_plain", "map_tensors", "same", "state", "tensors", "to_plain"]

T = TypeVar("T")
_KINDS: dict[str, type] = {}


@dataclass_transform(frozen_default=True)
def state(cls: type[T]) -> type[T]:
    """Class decorator: a frozen dataclass that can be mapped, saved and restored by its name."""
    made = dataclasses.dataclass(frozen=True)(cls)
    name = f"{made.__module__.removeprefix('descend.')}.{made.__qualname__}"
    _KINDS[name] = made
    made._kind = name  # type: ignore[attr-defined]  # how a saved state finds its class again
    return made


def map_tensors(f: Callable[[Tensor], Any], tree: T) -> T:
    """The same tree with every tensor replaced by f(tensor)."""
    if isinstance(tree, Tensor):
        return f(tree)
    if isinstance(tree, tuple | list):
        return type(tree)(map_tensors(f, leaf) for leaf in tree)  # type: ignore[return-value]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type | Key):
        values = {field.name: map_tensors(f, getattr(tree, field.name)) for field in dataclasses.fields(tree)}
        return dataclasses.replace(tree, **values)  # type: ignore[type-var]
    return tree


def tensors(tree: Any) -> list[Tensor]:
    """Every tensor of a tree, in a fixed order."""
    found: list[Tensor] = []

    def keep(leaf: Tensor) -> Tensor:
        found.append(leaf)
        return leaf

    map_tensors(keep, tree)
    return found


def to_plain(tree: Any) -> Any:
    """A tree as nested dicts, lists, tensors, numbers and text; tensors are shared, not copied.

    >>> to_plain((Key(3), 1.5, None))
    {'tuple': [{'key': 3}, 1.5, None]}
    """
    if isinstance(tree, Key):
        return {"key": tree.seed}
    if isinstance(tree, tuple):
        return {"tuple": [to_plain(leaf) for leaf in tree]}
    if isinstance(tree, list):
        return [to_plain(leaf) for leaf in tree]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        fields = {field.name: to_plain(getattr(tree, field.name)) for field in dataclasses.fields(tree)}
        return {"state": type(tree)._kind, "fields": fields}  # type: ignore[attr-defined]
    if tree is None or isinstance(tree, Tensor | bool | int | float | str):
        return tree
    raise StateMismatch(f"a state may hold tensors, numbers, text, keys, tuples and states, not {type(tree).__name__}")


def from_plain(plain: Any) -> Any:
    """The inverse of `to_plain`; tensors are cloned, so the loaded state owns its memory.

    Raises:
        StateMismatch: the data name a kind of state this version does not know, or lack a field.
    """
    if isinstance(plain, Tensor):
        return plain.clone()
    if isinstance(plain, list):
        return [from_plain(leaf) for leaf in plain]
    if not isinstance(plain, dict):
        return plain
    if "key" in plain:
        return Key(plain["key"])
    if "tuple" in plain:
        return tuple(from_plain(leaf) for leaf in plain["tuple"])
    kind = _KINDS.get(plain.get("state", ""))
    if kind is None:
        raise StateMismatch(f"unknown kind of state {plain.get('state')!r}; it was saved by another version of descend")
    fields = {name: from_plain(value) for name, value in plain["fields"].items()}
    expected = {field.name for field in dataclasses.fields(kind)}
    if set(fields) != expected:
        raise StateMismatch(f"{kind.__name__} has fields {sorted(expected)}, the saved one has {sorted(fields)}")
    return kind(**fields)


def same(a: Any, b: Any) -> bool:
    """Whether two trees hold the same numbers bit for bit (NaN equals NaN)."""
    left, right = tensors(a), tensors(b)
    return len(left) == len(right) and all(
        p.dtype == q.dtype and p.shape == q.shape and torch.equal(_bits(p), _bits(q))
        for p, q in zip(left, right, strict=True)
    )


def _bits(x: Tensor) -> Tensor:
    return x.contiguous().view(torch.uint8) if x.dim() else x.reshape(1).view(torch.uint8)
