"""Convolutions with a moved kernel: a low-rank direction is a convolution with few filters, spread over the channels.

With the kernel seen as a matrix of output channels by everything else, (A B^T) * x = A (B * x); a transposed
convolution has its input channels first, so there x is thinned out before the filters of B.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from descend.direction import Factors
from descend.oracle.intercept.move import Move

__all__ = ["HANDLERS"]


def _forward(
    move: Move,
    call: Callable[..., Any],
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """F.conv1d, conv2d and conv3d."""
    return _moved(move, call, _thin, input, weight, bias, (stride, padding, dilation, groups), groups)


def _transposed(
    move: Move,
    call: Callable[..., Any],
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """F.conv_transpose1d and its kind."""
    rest = (stride, padding, output_padding, groups, dilation)
    return _moved(move, call, _thin_transposed, input, weight, bias, rest, groups)


HANDLERS: dict[Any, Callable[..., Any]] = {
    F.conv1d: _forward, F.conv2d: _forward, F.conv3d: _forward,
    F.conv_transpose1d: _transposed, F.conv_transpose2d: _transposed, F.conv_transpose3d: _transposed,
}  # fmt: skip


def _moved(
    move: Move,
    call: Callable[..., Any],
    thin: Callable[..., Tensor],
    x: Tensor,
    weight: Tensor,
    bias: Any,
    rest: tuple[Any, ...],
    groups: int,
) -> Any:
    place = move.place(weight)
    narrow = torch.is_autocast_enabled(weight.device.type) or weight.dtype.itemsize < 4
    if place is None or narrow or x.dim() != weight.dim() or weight.shape[0] == 1:
        return None
    found = move.factors(place[0], weight)
    if found is None:
        return None
    move.seen.add(place[0])

    def build(shared: tuple[bool, bool], x: Tensor, bias: Tensor | None) -> Tensor:
        n, moving = len(move.rows), move.place(bias) is not None
        base = None if moving or not shared[1] else bias
        out = call(x if shared[0] else x.flatten(0, 1), weight.detach(), base, *rest)
        out = out.expand(n, *out.shape).clone() if shared[0] else out.view(n, -1, *out.shape[1:])
        for i in range(n):
            out[i] += thin(call, x if shared[0] else x[i], weight, found, i, rest, groups)
        if bias is not None and base is None:
            own = move.physical(bias) if moving else bias
            out += own.view(n, 1, -1, *(1,) * (out.dim() - 3))
        return out

    return move.lift(build, x, bias)


def _thin(
    call: Callable[..., Any], x: Tensor, weight: Tensor, found: Factors, i: int, rest: Any, groups: int
) -> Tensor:
    """gain * A (B * x) of one member; with groups the filters are the same for every group of input channels."""
    j = found.index[i]
    left, right = found.left[j] * found.gains[i], found.right[j]
    r = right.shape[1]
    filters = right.t().reshape(r, *weight.shape[1:]).repeat(groups, *(1,) * (weight.dim() - 1))
    few = call(x, filters, None, *rest)  # (b, groups * r, ...)
    few = few.view(few.shape[0], groups, r, *few.shape[2:])
    spread = torch.einsum("gor,bgr...->bgo...", left.view(groups, -1, r), few)
    return spread.flatten(1, 2)


def _thin_transposed(
    call: Callable[..., Any], x: Tensor, weight: Tensor, found: Factors, i: int, rest: Any, groups: int
) -> Tensor:
    """gain * B^T * (A^T x) of one member."""
    j = found.index[i]
    left, right = found.left[j] * found.gains[i], found.right[j]
    r = right.shape[1]
    parted = x.view(x.shape[0], groups, -1, *x.shape[2:])
    few = torch.einsum("gir,bgi...->bgr...", left.view(groups, -1, r), parted).flatten(1, 2)
    filters = right.t().reshape(r, *weight.shape[1:]).repeat(groups, *(1,) * (weight.dim() - 1))
    return call(few, filters, None, *rest)  # type: ignore[no-any-return]
