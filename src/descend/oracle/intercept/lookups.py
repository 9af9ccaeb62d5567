"""Embeddings with a moved table: only the rows that are looked up are moved."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from descend.direction import Factors
from descend.oracle.intercept import fast
from descend.oracle.intercept.move import Move

__all__ = ["HANDLERS"]


def _embedding(
    move: Move,
    call: Callable[..., Any],
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """F.embedding: indices (...), table (m, n) -> (..., n)."""
    place = move.place(weight)
    if place is None or max_norm is not None or not weight.is_contiguous():
        return None
    move.seen.add(place[0])
    found = move.factors(place[0], weight)
    if found is None:
        return move.lift(lambda shared, i: _rows(move, i, weight, place[1], *shared), input)
    return move.lift(lambda shared, i: _thin(move, found, weight, i, *shared), input)


HANDLERS: dict[Any, Callable[..., Any]] = {F.embedding: _embedding}


def _rows(move: Move, indices: Tensor, table: Tensor, start: int, shared: bool) -> Tensor:
    """Dense directions: the rows that are needed, each moved once for every member."""
    needed, back = torch.unique(indices, return_inverse=True)
    wide = torch.promote_types(table.dtype, torch.float32)
    rows = table.detach()[needed].to(wide)
    n = len(move.rows)
    out = rows.new_empty(n, *(indices.shape if shared else indices.shape[1:]), table.shape[1])
    for i, (row, scale) in enumerate(zip(move.rows, move.scales, strict=True)):
        moved = rows
        if scale and needed.numel():
            z = move.directions.lookup(row, start, table.shape[1], needed, rows.new_empty(0))
            moved = torch.add(rows, z, alpha=scale)
        out[i] = moved[back if shared else back[i]]
    return out.to(table.dtype)


def _gathered(found: Factors, indices: Tensor, shared: bool) -> Tensor:
    """The rows of A that indices (k, ...), or (...) if shared, look up for every direction: (k, l, r)."""
    k = len(found.index)
    flat = indices.reshape(1 if shared else k, -1)
    return found.left[found.index[:, None], flat]


def _thin(move: Move, found: Factors, table: Tensor, indices: Tensor, shared: bool) -> Tensor:
    """All members by their factors: table[i] + gain * A[i] B^T."""
    n, wide, r = len(move.rows), torch.promote_types(table.dtype, torch.float32), found.left.shape[2]
    base = F.embedding(indices, table.detach()).to(wide)
    out = base.expand(n, *base.shape).clone() if shared else base
    thin = _gathered(found, indices, shared)
    same = torch.eye(r, dtype=found.right.dtype, device=thin.device).expand(len(found.right), r, r)
    fast.add_thin(out.view(n, -1, table.shape[1]), thin, Factors(found.right, same, found.index, found.gains))
    return out.to(table.dtype)
