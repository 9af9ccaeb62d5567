"""A batch as the examples it is made of, whatever it is made of: tensors in tuples, lists, mappings and dataclasses.

The first axis of every tensor counts the examples. Numbers, text, None and tensors without axes are the same for all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor, nn

from descend.errors import InvalidValue, ShapeMismatch

__all__ = ["Examples", "Over"]


class Over:
    """loss(model, batch) as a closure that knows its batch, so that it can be asked over another one."""

    def __init__(self, loss: Callable[[nn.Module, Any], Any], model: nn.Module, batch: Any) -> None:
        self.loss, self.model, self.batch = loss, model, batch

    def __call__(self) -> Any:
        return self.loss(self.model, self.batch)


class Examples:
    """A batch taken apart.

    Args:
        batch: a tensor, or tuples, lists, mappings and dataclasses of tensors.

    Attributes:
        leaves: its tensors with an axis of examples, (b, ...) each.
        count: b.

    Raises:
        ShapeMismatch: the tensors do not agree on the number of examples, or there is none.
        InvalidValue: something in it cannot be taken apart; the sentence says what and where.

    >>> import torch
    >>> batch = {"x": torch.arange(6).view(3, 2), "y": torch.arange(3), "scale": 2.0}
    >>> examples = Examples(batch)
    >>> examples.count, examples.one(1)
    (3, {'x': tensor([[2, 3]]), 'y': tensor([1]), 'scale': 2.0})
    """

    def __init__(self, batch: Any) -> None:
        self._places: list[str] = []
        self.leaves: list[Tensor] = []
        self._build = self._take_apart(batch, "batch")
        if not self.leaves:
            raise ShapeMismatch("the batch holds no tensor with an axis of examples; give it tensors of shape (b, ...)")
        self.count = len(self.leaves[0])
        for place, leaf in zip(self._places, self.leaves, strict=True):
            if len(leaf) != self.count:
                raise ShapeMismatch(
                    f"{self._places[0]} has {self.count} examples and {place} has {len(leaf)}; the first axis of every "
                    "tensor in a batch counts its examples. What is the same for all of them belongs in the loss"
                )

    def batch(self, leaves: list[Tensor]) -> Any:
        """These tensors in the place of `leaves`, in the form of the batch."""
        return self._build(iter(leaves))

    def one(self, i: int) -> Any:
        """Example i as a batch of one."""
        return self.batch([leaf[i : i + 1] for leaf in self.leaves])

    def _take_apart(self, value: Any, place: str) -> Callable[[Iterator[Tensor]], Any]:
        """Note the tensors of a value, and return how it is put together again."""
        if isinstance(value, Tensor) and value.dim() > 0:
            self._places.append(place)
            self.leaves.append(value)
            return next
        if isinstance(value, Mapping):
            parts = {name: self._take_apart(item, f"{place}[{name!r}]") for name, item in value.items()}
            return lambda leaves: _mapping(value, {name: part(leaves) for name, part in parts.items()})
        if isinstance(value, tuple | list):
            items = [self._take_apart(item, f"{place}[{i}]") for i, item in enumerate(value)]
            return lambda leaves: _sequence(value, [item(leaves) for item in items])
        if is_dataclass(value) and not isinstance(value, type):
            named = {f.name: self._take_apart(getattr(value, f.name), f"{place}.{f.name}") for f in fields(value)}
            return lambda leaves: replace(value, **{name: part(leaves) for name, part in named.items()})
        if value is None or isinstance(value, Tensor | bool | int | float | str):
            return lambda _: value
        raise InvalidValue(
            f"{place} is a {type(value).__name__}, which cannot be taken apart into examples; put tensors into tuples, "
            "lists, dicts or dataclasses"
        )


def _mapping(like: Mapping[Any, Any], items: dict[Any, Any]) -> Any:
    return items if type(like) is dict else type(like)(items)  # type: ignore[call-arg]  # as mappings are made


def _sequence(like: tuple[Any, ...] | list[Any], items: list[Any]) -> Any:
    named = getattr(type(like), "_make", None)  # a named tuple
    return type(like)(items) if named is None else named(items)
