"""A function of the members' own numbers, called from within a model that runs under vmap.

The public way is an autograd function with a rule for vmap. What it does beside calling the rule takes a few hundred
microseconds, as long as a small layer, so where torch has the functions it is made of, they are called directly.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

__all__ = ["Build", "is_inside_another", "lifted"]

Build = Callable[..., Tensor]
"""Takes one flag per tensor, True where all members share it, then the tensors; see `Move.lift`."""

_NEEDED = {
    "_add_batch_dim", "current_level", "get_unwrapped", "is_batchedtensor", "is_functorch_wrapped_tensor",
    "maybe_current_level", "maybe_get_bdim", "maybe_get_level", "pop_dynamic_layer_stack", "push_dynamic_layer_stack",
}  # fmt: skip
_layers: Any = getattr(torch._C, "_functorch", None)
_DIRECT = set(dir(_layers)) >= _NEEDED  # they are no public part of torch


def lifted(build: Build, member: Tensor, tensors: tuple[Tensor | None, ...], widest: int) -> tuple[Tensor, int]:
    """build(shared, *tensors), batched over the members; and the larger of `widest` and the result's size per member.

    Args:
        member: the member's number, as vmap gives it.
        tensors: as the model has them, batched or not.
    """
    if _DIRECT:
        held = _held(member, tensors)
        if held is not None:
            return _directly(build, *held, widest)
    sizes = [widest]

    def counted(shared: tuple[bool, ...], *given: Tensor) -> Tensor:
        made = build(shared, *given)
        sizes.append(made.numel() // made.shape[0])
        return made

    return _Lift.apply(counted, member, *tensors), max(sizes)  # type: ignore[return-value]


def is_inside_another(member: Tensor | None) -> bool:
    """Whether the model is within a transform of torch.func of its own, where numbers are not the members'."""
    if not _DIRECT:
        return False
    level = _layers.maybe_current_level()
    return level is not None and (member is None or level != _layers.maybe_get_level(member))


def _held(
    member: Tensor, tensors: tuple[Tensor | None, ...]
) -> tuple[int, tuple[bool, ...], list[Tensor | None]] | None:
    """The level, which tensors the members share, and what the tensors hold with the members in front.

    None where the model has called a transform of torch.func of its own around this call.
    """
    level, shared, physical = _layers.current_level(), [], []
    if level != _layers.maybe_get_level(member):
        return None
    for t in tensors:
        alike = t is None or not _layers.is_functorch_wrapped_tensor(t)
        if not alike:
            if not _layers.is_batchedtensor(t) or _layers.maybe_get_level(t) != level:
                return None
            at = _layers.maybe_get_bdim(t)
            t = _layers.get_unwrapped(t)
            t = t.movedim(at, 0) if at else t
        shared.append(alike)
        physical.append(t)
    return level, tuple(shared), physical


def _directly(
    build: Build, level: int, shared: tuple[bool, ...], physical: list[Tensor | None], widest: int
) -> tuple[Tensor, int]:
    layer = _layers.pop_dynamic_layer_stack()
    try:
        out = build(shared, *physical)
    finally:
        _layers.push_dynamic_layer_stack(layer)
    return _layers._add_batch_dim(out, 0, level), max(widest, out.numel() // out.shape[0])


class _Lift(torch.autograd.Function):
    """A function whose rule under vmap is all there is of it."""

    @staticmethod
    def forward(build: Build, member: Tensor, *tensors: Tensor) -> Tensor:  # pyright: ignore
        raise AssertionError("the members are always batched")

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        raise AssertionError("a probe has no graph")

    @staticmethod
    def vmap(info: Any, in_dims: Any, build: Build, member: Tensor, *tensors: Any) -> tuple[Tensor, int]:  # pyright: ignore
        dims = in_dims[2:]
        first = [t if d is None else t.movedim(d, 0) for t, d in zip(tensors, dims, strict=True)]
        return build(tuple(d is None for d in dims), *first), 0
