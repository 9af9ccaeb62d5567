"""Matrix products with a moved weight: linear layers, x @ W and addmm, of any leading dimensions.

A low-rank direction costs y + s (x B) A^T, two thin products; a dense one is made in tiles of rows of the weight, so
that only a tile of the moved weight ever exists. Weights narrower than float32 are moved, and multiplied, in float32:
a perturbation is far smaller than the spacing of their own numbers.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from descend.direction import Factors
from descend.oracle.intercept import fast
from descend.oracle.intercept.move import Move

__all__ = ["HANDLERS"]


def _linear(move: Move, call: Callable[..., Any], input: Any, weight: Any, bias: Any = None) -> Any:
    """F.linear: x (..., n), weight (m, n), bias (m,) -> (..., m)."""
    return _weighted(move, input, weight, bias, transposed=False)


def _matmul(move: Move, call: Callable[..., Any], input: Any, other: Any) -> Any:
    """x @ W with W (n, m) the parameter, or the transpose of one."""
    return None if input.dim() < 2 else _weighted(move, input, other, None, transposed=True)


def _rmatmul(move: Move, call: Callable[..., Any], other: Any, input: Any) -> Any:
    return _matmul(move, call, input, other)


def _mm(move: Move, call: Callable[..., Any], input: Any, mat2: Any) -> Any:
    return _matmul(move, call, input, mat2)


def _addmm(move: Move, call: Callable[..., Any], input: Any, mat1: Any, mat2: Any) -> Any:
    """bias + x @ W, without the factors of addmm."""
    return None if input.dim() != 1 else _weighted(move, mat1, mat2, input, transposed=True)


def _weighted(move: Move, x: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor | None:
    """x W^T + b, or x W + b if `transposed`; None where the weight is no matrix of the point, or x is another."""
    origin = move.origin(weight)
    if origin is None or origin.dim() != 2 or move.origin(x) is not None:
        return None
    return _product(move, x, origin, bias, transposed != (origin is not weight))


HANDLERS: dict[Any, Callable[..., Any]] = {
    F.linear: _linear,
    torch.matmul: _matmul,
    Tensor.matmul: _matmul,
    Tensor.__matmul__: _matmul,
    Tensor.__rmatmul__: _rmatmul,
    torch.mm: _mm,
    Tensor.mm: _mm,
    torch.addmm: _addmm,
}


def _product(move: Move, x: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
    """x W'^T + b', or x W' + b' if `transposed`, in the dtype that the call would have answered."""
    index, _ = move.place(weight)  # type: ignore[misc]  # a handler has asked
    move.seen.add(index)
    device = weight.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            return _moved(move, index, x, weight, bias, dtype, transposed)
    return _moved(move, index, x, weight, bias, torch.promote_types(x.dtype, weight.dtype), transposed)


def _moved(
    move: Move, index: int, x: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, transposed: bool
) -> Tensor:
    found = move.factors(index, weight)
    if found is not None or move.directions.multiplies(index):
        out = move.lift(lambda *given: _thin(move, found, weight, transposed, *given), x, bias)
    elif weight.is_contiguous():
        out = move.lift(lambda *given: _tiled(move, weight, transposed, *given), x, bias)
    else:
        out = move.lift(lambda *given: _materialised(move, weight, transposed, *given), x, bias)
    return out if out.dtype == dtype else out.to(dtype)


def _tiled(
    move: Move, weight: Tensor, transposed: bool, shared: tuple[bool, bool], x: Tensor, bias: Tensor | None
) -> Tensor:
    """Dense directions: (n, ..., m). The weight is read once for all members, a tile of it moved for each in turn."""
    n, wide = len(move.rows), torch.promote_types(weight.dtype, torch.float32)
    lead = x.shape[:-1] if shared[0] else x.shape[1:-1]
    flat = x.detach().to(wide).reshape(1 if shared[0] else n, -1, x.shape[-1]).expand(n, -1, -1)
    own = move.physical(bias) if move.place(bias) else None if bias is None else bias.to(wide).expand(n, -1)  # type: ignore[arg-type]
    m = weight.shape[1] if transposed else weight.shape[0]
    out = flat.new_empty(n, flat.shape[1], m)
    if transposed:
        out.zero_() if own is None else out.copy_(own[:, None].expand_as(out))
    step = weight.shape[0] if move.tile is None else max(1, move.tile // max(1, weight.shape[1]))
    for low in range(0, weight.shape[0], step):
        high = min(weight.shape[0], low + step)
        for i in range(n):
            tile = move.part(weight, low, high, i)
            if transposed:
                out[i].addmm_(flat[i, :, low:high], tile)
            elif own is None:
                torch.mm(flat[i], tile.t(), out=out[i, :, low:high])
            else:
                torch.addmm(own[i, low:high], flat[i], tile.t(), out=out[i, :, low:high])
    return out.view(n, *lead, m)


def _materialised(
    move: Move, weight: Tensor, transposed: bool, shared: tuple[bool, bool], x: Tensor, bias: Tensor | None
) -> Tensor:
    """A moved copy of a weight that lies scattered in memory, for each member: (n, ..., m)."""
    moved = move.physical(weight)
    n = len(moved)
    flat = x.to(moved.dtype).reshape(*(() if shared[0] else (n,)), -1, x.shape[-1])
    out = torch.matmul(flat, moved if transposed else moved.transpose(1, 2))
    if move.place(bias):
        out += move.physical(bias)[:, None]  # type: ignore[arg-type]
    elif bias is not None:
        out += bias if shared[1] else bias[:, None]
    return out.view(n, *x.shape[0 if shared[0] else 1 : -1], out.shape[-1])


def _unmoved(move: Move, flat: Tensor, weight: Tensor, bias: Tensor | None, transposed: bool) -> Tensor:
    """The product with the weight as it is, in float32 or wider: a narrower grid would swallow the move."""
    if weight.dtype == flat.dtype:
        weight = weight if transposed else weight.t()
        return torch.mm(flat, weight) if bias is None else torch.addmm(bias, flat, weight)
    step = weight.shape[0] if move.tile is None else max(1, move.tile // max(1, weight.shape[1]))
    tiles = [slice(low, min(low + step, weight.shape[0])) for low in range(0, weight.shape[0], step)]
    if not transposed:
        out = torch.cat([F.linear(flat, weight[rows].to(flat.dtype)) for rows in tiles], -1)
    else:
        out = torch.stack([flat[..., rows] @ weight[rows].to(flat.dtype) for rows in tiles]).sum(0)
    return out if bias is None else out.add_(bias)


def _thin(
    move: Move,
    found: Factors | None,
    weight: Tensor,
    transposed: bool,
    shared: tuple[bool, bool],
    x: Tensor,
    bias: Tensor | None,
) -> Tensor:
    """One product with the weight for all members, and two thin ones for each, or one that they share: (n, ..., m)."""
    n, wide = len(move.rows), torch.promote_types(weight.dtype, torch.float32)
    shape = x.shape if shared[0] else x.shape[1:]
    flat = (x if x.dtype == wide else x.to(wide)).reshape(-1, shape[-1])
    # what is added to every row of a member is added with its thin product, in the same sweep
    moving = bias is not None and move.place(bias) is not None
    shift = move.physical(bias) if moving else None if shared[1] else bias  # type: ignore[arg-type]
    base = bias.to(wide) if bias is not None and shift is None else None
    out = _unmoved(move, flat, weight, base, transposed)
    if shared[0]:  # a single probe needs no copy
        out = out[None] if n == 1 else out.expand(n, *out.shape).clone()
    else:
        out, flat = out.view(n, -1, out.shape[-1]), flat.view(n, -1, shape[-1])
    if found is None:
        index, _ = move.place(weight)  # type: ignore[misc]  # a handler has asked
        move.directions.add_product(index, move.rows, move.scales, flat, out, transposed, move.tile)
        if shift is not None:
            out += shift[:, None]
    else:
        found = Factors(found.right, found.left, found.index, found.gains) if transposed else found
        fast.add_thin(out, flat, found, shift)
    return out.view(n, *shape[:-1], out.shape[-1])
