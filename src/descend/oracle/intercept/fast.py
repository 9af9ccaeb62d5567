"""The thin products of a population: y += (x B) A^T + e, member by member, at memory speed where numba is installed.

Two passes over the activations are all that a rank-one direction costs, so how they are made decides whether a
population runs at the speed of inference. The compiled kernel takes float32 on a CPU at rank one; everything else is
two batched matrix products.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from descend.direction import Factors

__all__ = ["add_thin"]


def add_thin(out: Tensor, x: Tensor, factors: Factors, shift: Tensor | None = None) -> None:
    """out[i] += x[i] Z_i^T + shift[i], in place.

    Args:
        out: (k, l, m), contiguous.
        x: (k, l, n), or (l, n) if all members share it.
        factors: k directions Z_i of (m, n).
        shift: (k, m), or None.
    """
    kernels = _compiled() if _suits(out, x, factors.right) else None
    if kernels is not None:
        kernels.add_rank_one(out, x, factors, shift)
        return
    left, right = factors.spread()
    scales = torch.tensor(factors.gains, dtype=right.dtype, device=right.device)[:, None, None]
    thin = torch.matmul(x, (right * scales).to(x.dtype)).to(out.dtype)
    left = left.to(out.dtype).transpose(1, 2)
    if left.shape[1] == 1:
        out.addcmul_(thin, left)
    else:
        out.baddbmm_(thin, left)
    if shift is not None:  # folded into the product as one more column it would be slower
        out += shift[:, None]


def _suits(out: Tensor, x: Tensor, right: Tensor) -> bool:
    return (
        out.is_cpu
        and right.shape[2] == 1
        and out.dtype == x.dtype == torch.float32
        and out.is_contiguous()
        and x.is_contiguous()
    )


@cache
def _compiled() -> Any:
    """The numba kernels, where numba is installed."""
    if find_spec("numba") is None:
        return None
    from descend.oracle.intercept import compiled

    return compiled
