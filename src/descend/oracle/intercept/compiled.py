"""The thin products of rank one as one pass over the activations, compiled by numba.

A row of y takes up (x b) a + e while it is in the cache, so a member costs one reading of x and one sweep over y. The
sum x b is made in whatever order the processor likes best: it is an activation, and no promise about bits is made.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import carray, njit  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor

from descend.direction import Factors
from descend.noise.threads import share
from descend.noise.vector import pointer

__all__ = ["add_rank_one"]

_SMALL = 2**18  # numbers below which waking another thread costs more than it saves


def _kernel(function: Any) -> Any:
    try:
        return njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})(function)
    except RuntimeError:  # no directory for the cache can be written: compile in every process
        return njit(nogil=True, fastmath={"reassoc", "contract", "nsz"})(function)


@_kernel
def _rows(y, x, right, left, index, gains, shift, begin, end, rows, k, m, shared, shifted):
    """Rows begin..end of y, counted over all members; `rows` of them belong to each."""
    for r in range(begin, end):
        i = r // rows
        pair = carray(pointer(index + 8 * i), 1, np.int64)[0]
        b = carray(pointer(right + 4 * pair * k), k, np.float32)
        a = carray(pointer(left + 4 * pair * m), m, np.float32)
        u = carray(pointer(x + 4 * k * (r - i * rows if shared else r)), k, np.float32)
        v = carray(pointer(y + 4 * m * r), m, np.float32)
        thin = np.float32(0.0)
        for j in range(k):
            thin += u[j] * b[j]
        thin *= carray(pointer(gains + 4 * i), 1, np.float32)[0]
        if shifted:
            e = carray(pointer(shift + 4 * i * m), m, np.float32)
            for j in range(m):
                v[j] += thin * a[j] + e[j]
        else:
            for j in range(m):
                v[j] += thin * a[j]


def add_rank_one(out: Tensor, x: Tensor, factors: Factors, shift: Tensor | None) -> None:
    """As `fast.add_thin`, of rank one; everything float32, contiguous and on the CPU."""
    n, rows, m = out.shape
    gains = torch.tensor(factors.gains, dtype=torch.float32, device="cpu")
    held = [out, x, factors.right.contiguous(), factors.left.contiguous(), factors.index, gains]
    held += [gains if shift is None else shift.contiguous()]
    places = [t.data_ptr() for t in held]
    sizes = (rows, x.shape[-1], m, x.dim() == 2, shift is not None)

    def work(begin: int, end: int) -> None:
        _rows(*places, begin, end, *sizes)

    if out.numel() + x.numel() < _SMALL:
        work(0, n * rows)
    else:
        share(work, n * rows)
