"""The thin products of rank one, and the members' layer norms, as one pass over the activations, compiled by numba.

A row of y takes up (x b) a + e while it is in the cache, so a member costs one reading of x and one sweep over y. The
sum x b is made in whatever order the processor likes best: it is an activation, and no promise about bits is made.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import torch
from numba import carray, njit  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor

from descend.direction import Factors
from descend.noise.threads import share
from descend.noise.vector import pointer

__all__ = ["add_rank_one", "layer_norm"]

_SMALL = 2**20  # numbers below which waking another thread costs more than it saves


def _kernel(function: Any) -> Any:
    try:
        return njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})(function)
    except RuntimeError:  # no directory for the cache can be written: compile in every process
        return njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})(function)


@_kernel
def _rows(y, x, right, left, index, gains, shift, apart, begin, end, rows, k, m, shared):
    """Rows begin..end of y, counted over all members; `rows` of them belong to each.

    apart: how many numbers lie between what belongs to one direction, or member, and the next: of right, left, shift.
    """
    for r in range(begin, end):
        i = r // rows
        pair = carray(pointer(index + 8 * i), 1, np.int64)[0]
        b = carray(pointer(right + 4 * pair * apart[0]), k, np.float32)
        a = carray(pointer(left + 4 * pair * apart[1]), m, np.float32)
        u = carray(pointer(x + 4 * k * (r - i * rows if shared else r)), k, np.float32)
        v = carray(pointer(y + 4 * m * r), m, np.float32)
        thin = np.float32(0.0)
        for j in range(k):
            thin += u[j] * b[j]
        thin *= carray(pointer(gains + 4 * i), 1, np.float32)[0]
        if shift:
            e = carray(pointer(shift + 4 * i * apart[2]), m, np.float32)
            for j in range(m):
                v[j] += thin * a[j] + e[j]
        else:
            for j in range(m):
                v[j] += thin * a[j]


@_kernel
def _norms(y, x, weight, bias, apart, begin, end, rows, m, eps):
    """Rows begin..end of a layer norm, counted over all members; `rows` of them share a weight and a bias."""
    for r in range(begin, end):
        w = carray(pointer(weight + 4 * (r // rows) * apart[0]), m, np.float32)
        e = carray(pointer(bias + 4 * (r // rows) * apart[1]), m, np.float32)
        u = carray(pointer(x + 4 * m * r), m, np.float32)
        v = carray(pointer(y + 4 * m * r), m, np.float32)
        mean, square = np.float32(0.0), np.float32(0.0)
        for j in range(m):
            mean += u[j]
        mean /= np.float32(m)
        for j in range(m):
            square += (u[j] - mean) * (u[j] - mean)
        factor = np.float32(1.0) / np.sqrt(square / np.float32(m) + np.float32(eps))
        for j in range(m):
            v[j] = (u[j] - mean) * factor * w[j] + e[j]


def add_rank_one(out: Tensor, x: Tensor, factors: Factors, shift: Tensor | None) -> None:
    """As `fast.add_thin`, of rank one; everything float32, with rows that are contiguous, and on the CPU."""
    n, rows, m = out.shape
    right, left = factors.right, factors.left
    gains = array("f", factors.gains)
    places = (
        *(out.data_ptr(), x.data_ptr(), right.data_ptr(), left.data_ptr(), factors.index.data_ptr()),
        *(gains.buffer_info()[0], 0 if shift is None else shift.data_ptr()),
        (right.stride(0), left.stride(0), 0 if shift is None else shift.stride(0)),
    )
    sizes = rows, x.shape[-1], m, x.dim() == 2
    if out.numel() + x.numel() < _SMALL or torch.get_num_threads() == 1:
        _rows(*places, 0, n * rows, *sizes)
    else:
        share(lambda begin, end: _rows(*places, begin, end, *sizes), n * rows)


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """As `fast.layer_norm`; everything float32, with rows that are contiguous, and on the CPU."""
    out, m = torch.empty_like(x), x.shape[-1]
    count = x.numel() // m
    places = x.data_ptr(), weight.data_ptr(), bias.data_ptr(), (weight.stride(0), bias.stride(0))
    rows = count // len(x)
    if 2 * x.numel() < _SMALL or torch.get_num_threads() == 1:
        _norms(out.data_ptr(), *places, 0, count, rows, m, eps)
    else:
        share(lambda begin, end: _norms(out.data_ptr(), *places, begin, end, rows, m, eps), count)
    return out
