"""The parameters of a model as one indexed point.

A layout names every parameter and gives its shape and global flat offset. The index of an element is its logical
(row-major) one, so a direction is the same for a transposed or channels-last parameter as for a contiguous one.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch

__all__ = ["Layout", "Parameters", "add_all", "copy_all"]


def copy_all(targets: list[Tensor], sources: list[Tensor]) -> None:
    """targets[i] <- sources[i], in one call: many small parameters cost no more than their bytes."""
    torch._foreach_copy_(targets, sources)  # pyright: ignore[reportPrivateImportUsage]


def add_all(targets: list[Tensor], sources: list[Tensor], scale: float) -> None:
    """targets[i] += scale * sources[i], in one call."""
    torch._foreach_add_(targets, sources, alpha=scale)  # pyright: ignore[reportPrivateImportUsage]


@dataclass(frozen=True)
class Layout:
    """Name, shape and flat offset of every parameter.

    Args:
        names: one per parameter.
        shapes: one per parameter.

    >>> layout = Layout(("weight", "bias"), ((2, 3), (2,)))
    >>> layout.size, layout.offsets
    (8, (0, 6))
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of elements of every parameter."""
        return tuple(math.prod(shape) for shape in self.shapes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """Where every parameter begins in the flat point."""
        starts, at = [], 0
        for size in self.sizes:
            starts.append(at)
            at += size
        return tuple(starts)

    @cached_property
    def size(self) -> int:
        """The dimension d of the point."""
        return sum(self.sizes)

    def overlaps(self, start: int, stop: int) -> list[tuple[int, int, int]]:
        """The parameters that elements start..stop lie in, each with its stretch of them: (place, low, high).

        >>> Layout(("weight", "bias"), ((2, 3), (2,))).overlaps(4, 7)
        [(0, 4, 6), (1, 6, 7)]
        """
        found = []
        for place in range(max(0, bisect_right(self.offsets, start) - 1), len(self.offsets)):
            if self.offsets[place] >= stop:
                break
            low, high = max(start, self.offsets[place]), min(stop, self.offsets[place] + self.sizes[place])
            if low < high:
                found.append((place, low, high))
        return found

    def unflatten(self, x: Tensor) -> list[Tensor]:
        """Views of a flat point (..., d), one per parameter, shaped (..., *shape)."""
        if x.shape[-1] != self.size:
            raise ShapeMismatch(f"the layout has {self.size} elements, got a point of shape {tuple(x.shape)}")
        lead = x.shape[:-1]
        return [
            x[..., start : start + size].view((*lead, *shape))
            for start, size, shape in zip(self.offsets, self.sizes, self.shapes, strict=True)
        ]


class Parameters:
    """Live parameter tensors as a point: gathered into a flat tensor, and written back.

    Args:
        tensors: the parameters, all on one device. Other dtypes are gathered in the widest of them.
        names: for messages, default "0", "1", ...

    Raises:
        InvalidValue: there are none, one stands twice, two share memory, or they lie on several devices.
    """

    def __init__(self, tensors: Iterable[Tensor], names: Iterable[str] | None = None) -> None:
        self.tensors = list(tensors)
        labels = [str(i) for i in range(len(self.tensors))] if names is None else list(names)
        _check(self.tensors, labels)
        self.layout = Layout(tuple(labels), tuple(tuple(p.shape) for p in self.tensors))
        self.size = self.layout.size
        self.device = self.tensors[0].device
        self.dtype = self.tensors[0].dtype
        for p in self.tensors:
            self.dtype = torch.promote_types(self.dtype, p.dtype)
        self._aliases: list[Tensor] = []
        self._pointers: list[int] = []
        self._alone: Tensor | None = None

    def live(self) -> list[Tensor]:
        """The parameters as detached tensors that share their memory: writing to them needs no graph.

        They are made anew where a parameter has been given other memory (``p.data = ...``, ``model.to(...)``).
        """
        pointers = [p.data_ptr() for p in self.tensors]
        if pointers != self._pointers:
            self._aliases, self._pointers = [p.detach() for p in self.tensors], pointers
            whole = len(pointers) == 1 and self._aliases[0].is_contiguous()
            self._alone = self._aliases[0].view(-1) if whole else None
        return self._aliases

    def alone(self) -> Tensor | None:
        """The live point itself as a flat tensor where it is one contiguous parameter, else None."""
        self.live()
        return self._alone

    def gather(self) -> Tensor:
        """A new flat (d,) tensor with the parameters' values."""
        alone = self.alone()
        if alone is not None:
            return alone.clone()
        out = torch.empty(self.size, dtype=self.dtype, device=self.device)
        copy_all(self.layout.unflatten(out), self._aliases)
        return out

    def scatter(self, x: Tensor) -> None:
        """Write a flat point (d,) into the parameters."""
        alone = self.alone()
        if alone is not None:
            alone.copy_(x)
        else:
            copy_all(self._aliases, self.layout.unflatten(x))

    def gather_gradients(self) -> Tensor:
        """A new flat (d,) tensor with the parameters' .grad; zero where there is none."""
        out = torch.zeros(self.size, dtype=self.dtype, device=self.device)
        pairs = [
            (v, p.grad) for v, p in zip(self.layout.unflatten(out), self.tensors, strict=True) if p.grad is not None
        ]
        if pairs:
            copy_all([v for v, _ in pairs], [g for _, g in pairs])
        return out


def _check(tensors: list[Tensor], names: list[str]) -> None:
    if not tensors:
        raise InvalidValue("there are no parameters to optimize: the list is empty; write model.parameters()")
    seen: dict[int, str] = {}
    memory: dict[int, str] = {}
    for p, name in zip(tensors, names, strict=True):
        if not isinstance(p, Tensor):
            raise InvalidValue(f"parameter {name} is {type(p).__name__}, not a tensor")
        if not p.is_floating_point():
            raise InvalidValue(f"parameter {name} is {p.dtype}; only floating point parameters can be optimized")
        if id(p) in seen:
            raise InvalidValue(f"parameters {seen[id(p)]} and {name} are the same tensor; list it once")
        if p.numel() and p.data_ptr() in memory:
            raise InvalidValue(f"parameters {memory[p.data_ptr()]} and {name} share their memory; list one of them")
        seen[id(p)], memory[p.data_ptr()] = name, name
    devices = sorted({str(p.device) for p in tensors})
    if len(devices) > 1:
        raise InvalidValue(f"the parameters lie on several devices, {', '.join(devices)}; move them to one")
