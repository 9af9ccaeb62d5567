"""A transposed weight is still the weight: it is moved where it is multiplied, not where it is turned."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from descend.oracle.intercept.move import Move

__all__ = ["HANDLERS"]


def _t(move: Move, call: Callable[..., Any], input: Tensor) -> Any:
    return move.turned(input) if move.place(input) is not None and input.dim() == 2 else None


def _transpose(move: Move, call: Callable[..., Any], input: Tensor, dim0: int, dim1: int) -> Any:
    swaps = {dim0 % 2, dim1 % 2} == {0, 1} if isinstance(dim0, int) and isinstance(dim1, int) else False
    return _t(move, call, input) if swaps else None


HANDLERS: dict[Any, Callable[..., Any]] = {
    Tensor.t: _t,
    Tensor.T.__get__: _t,  # type: ignore[attr-defined]
    Tensor.mT.__get__: _t,  # type: ignore[attr-defined]
    Tensor.transpose: _transpose,
}
