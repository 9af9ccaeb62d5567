"""The thin products of a population: y += (x B) A^T + e, member by member, at memory speed where numba is installed.

Two passes over the activations are all that a rank-one direction costs, so how they are made decides whether a
population runs at the speed of inference. The compiled kernels take float32 on a CPU at rank one; everything else is
two batched matrix products.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

__all__ = ["add_thin"]


def add_thin(
    out: Tensor, x: Tensor, right: Tensor, left: Tensor, gains: list[float], shift: Tensor | None = None
) -> None:
    """out[i] += gains[i] * (x[i] @ right[i]) @ left[i].T + shift[i], in place.

    Args:
        out: (n, l, m), contiguous.
        x: (n, l, k), or (l, k) if all members share it.
        right: (n, k, r).
        left: (n, m, r).
        gains: n numbers.
        shift: (n, m), or None.
    """
    scales = torch.tensor(gains, dtype=right.dtype, device=right.device)[:, None, None]
    kernels = _compiled() if _suits(out, x, right) else None
    if kernels is not None:
        kernels.add_rank_one(out, x, (right * scales).squeeze(2), left.squeeze(2), shift)
        return
    thin, left = torch.matmul(x, (right * scales).to(x.dtype)), left.to(out.dtype)
    if shift is not None:  # the shift is one more column, so that `out` is gone through once
        thin = torch.cat([thin, thin.new_ones(*thin.shape[:2], 1)], 2)
        left = torch.cat([left, shift[:, :, None].to(left.dtype)], 2)
    out.baddbmm_(thin.to(out.dtype), left.transpose(1, 2))


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
    try:
        from descend.noise import thin
    except (ImportError, AttributeError):
        return None
    return thin
