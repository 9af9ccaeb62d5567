"""Embeddings with a moved table: only the rows that are looked up are moved."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from descend.direction import Factors
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


def _gathered(tables: Tensor, indices: Tensor, shared: bool) -> Tensor:
    """tables (n, m, r) looked up by indices (n, ...), or (...) if shared: (n, l, r)."""
    n, _, r = tables.shape
    flat = indices.reshape(1 if shared else n, -1).expand(n, -1)
    return tables.gather(1, flat[:, :, None].expand(-1, -1, r))


def _thin(move: Move, found: Factors, table: Tensor, indices: Tensor, shared: bool) -> Tensor:
    """All members by their factors: table[i] + gain * A[i] B^T."""
    base = F.embedding(indices, table.detach())
    base = base.expand(len(move.rows), *base.shape) if shared else base
    left, right = found.spread()
    gains = torch.tensor(found.gains, dtype=right.dtype, device=right.device)[:, None, None]
    change = torch.bmm(_gathered(left, indices, shared), (right * gains).transpose(1, 2))
    return change.view(base.shape).add_(base).to(table.dtype)
