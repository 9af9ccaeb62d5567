"""Norms: the normalisation is the same for all members, its weight and bias are moved for each.

A batch norm that is training computes its statistics and keeps none of them: buffers are no business of a probe.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from descend.oracle.intercept import fast
from descend.oracle.intercept.move import Move

__all__ = ["HANDLERS"]


def _layer_norm(
    move: Move,
    call: Callable[..., Any],
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    return _normalised(move, lambda x: call(x, normalized_shape, None, None, eps), input, weight, bias, eps)


def _rms_norm(
    move: Move,
    call: Callable[..., Any],
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Any = None,
    eps: float | None = None,
) -> Any:
    return _normalised(move, lambda x: call(x, normalized_shape, None, eps), input, weight, None)


def _normalised(
    move: Move, norm: Callable[[Tensor], Tensor], x: Tensor, weight: Any, bias: Any, eps: float | None = None
) -> Any:
    """norm(x) * w + b where both are parameters or missing; a single probe is the generic case.

    With `eps` it is a layer norm, which a kernel may do in one pass.
    """
    if move.member is None or move.place(weight) is None or (bias is not None and move.place(bias) is None):
        return None

    def build(shared: tuple[bool], x: Tensor) -> Tensor:
        w = move.physical(weight)
        b = torch.zeros_like(w) if bias is None else move.physical(bias)
        lead = x.shape[: x.dim() - weight.dim()] if shared[0] else x.shape[1 : x.dim() - weight.dim()]
        whole = None if shared[0] or eps is None else fast.layer_norm(x, w, b, eps)
        if whole is not None:
            return whole
        out = norm(x).to(w.dtype)
        out = out.expand(len(w), *out.shape).clone() if shared[0] else out
        flat = out.view(len(w), -1, weight.numel())
        # in place: the norm's own result is nobody else's
        torch.addcmul(b.view(len(w), 1, -1), flat, w.view(len(w), 1, -1), out=flat)
        return out.view(len(w), *lead, *weight.shape).to(x.dtype)

    return move.lift(build, x)


def _batch_norm(
    move: Move,
    call: Callable[..., Any],
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """The running statistics are read where they are used, and hidden where they would be written."""
    if not training or running_mean is None:
        return None
    hidden = call(input, None, None, None, None, True, momentum, eps)
    if weight is None:
        return hidden
    shape = (1, -1, *(1,) * (input.dim() - 2))
    w = move.copy(weight) if move.place(weight) else weight
    b = move.copy(bias) if move.place(bias) else bias
    return (hidden * w.view(shape) + b.view(shape)).to(input.dtype)


HANDLERS: dict[Any, Callable[..., Any]] = {
    F.layer_norm: _layer_norm,
    F.rms_norm: _rms_norm,
    F.batch_norm: _batch_norm,
}
