"""Attention between activations has no parameters; for a population its members are just more examples."""

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from descend.oracle.intercept.move import Move

__all__ = ["HANDLERS"]


def _attention(
    move: Move,
    call: Callable[..., Any],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """The fused kernels take four dimensions, (examples, heads, length, width), so the members join the examples."""
    if move.member is None or query.dim() != 4 or dropout_p:
        return None

    def build(shared: tuple[bool, ...], q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        n = len(move.rows)

        def join(x: Tensor, alike: bool) -> Tensor:
            return (x.expand(n, *x.shape) if alike else x).flatten(0, 1)

        q, k, v = (join(x, alike) for x, alike in zip((q, k, v), shared, strict=False))
        if mask is not None:
            mask = mask if not shared[3] else mask.expand(n, *mask.shape)
            mask = mask.reshape(n, *(1,) * (5 - mask.dim()), *mask.shape[1:])
            mask = mask.expand(n, q.shape[0] // n, *mask.shape[2:]).flatten(0, 1)
        out = call(q, k, v, mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa)
        return out.view(n, -1, *out.shape[1:])

    return move.lift(build, query, key, value, attn_mask)


HANDLERS: dict[Any, Callable[..., Any]] = {F.scaled_dot_product_attention: _attention}
