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

__all__ = ["add_thin", "layer_norm"]


def add_thin(out: Tensor, x: Tensor, factors: Factors, shift: Tensor | None = None) -> None:
    """out[i] += x[i] Z_i^T + shift[i], in place.

    Args:
        out: (k, l, m), contiguous.
        x: (k, l, n), or (l, n) if all members share it.
        factors: k directions Z_i of (m, n).
        shift: (k, m), or None.
    """
    kernels = _compiled() if _suits(out, x, factors, shift) else None
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


def _suits(out: Tensor, x: Tensor, factors: Factors, shift: Tensor | None) -> bool:
    return (
        out.is_cpu
        and factors.right.shape[2] == 1
        and out.dtype == x.dtype == torch.float32
        and x.is_contiguous()
        and factors.left.stride()[1:] == factors.right.stride()[1:] == (1, 1)
        and (shift is None or shift.stride(1) == 1)
    )


def layer_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor | None:
    """The layer norm of x (k, ..., m) over its last axis with the members' own weights and biases (k, m), or None."""
    suits = x.is_cpu and x.dtype == weight.dtype == bias.dtype == torch.float32 and x.is_contiguous()
    suits = suits and weight.dim() == bias.dim() == 2 and weight.stride(1) == bias.stride(1) == 1
    kernels = _compiled() if suits else None
    return None if kernels is None else kernels.layer_norm(x, weight, bias, eps)


@cache
def _compiled() -> Any:
    """The numba kernels, where numba is installed."""
    if find_spec("numba") is None:
        return None
    from descend.oracle.intercept import compiled

    return compiled
