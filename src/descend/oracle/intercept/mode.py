"""The perturbed forward: while it runs, every torch function that receives a parameter sees it moved along a direction.

The parameters themselves are never written to, so they are bit-exact whatever happens in the loss. What has a rule of
its own (products, lookups, convolutions, norms) makes less than a weight; any other function gets a moved copy of the
one parameter it was given, for the length of that call.
"""

from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from descend.oracle.intercept import attention, convolutions, lookups, norms, products, views
from descend.oracle.intercept.lift import is_inside_another
from descend.oracle.intercept.move import Move

__all__ = ["Intercept"]

# what only asks about a parameter, not for its numbers
_ABOUT = {
    Tensor.size, Tensor.dim, Tensor.numel, Tensor.stride, Tensor.is_contiguous, Tensor.element_size, Tensor.data_ptr,
    Tensor.is_floating_point, Tensor.is_complex, Tensor.storage_offset, Tensor.ndimension, Tensor.nelement,
    Tensor.get_device, Tensor.__hash__, Tensor.__len__, Tensor.requires_grad_, Tensor.untyped_storage,
    torch.is_floating_point, torch.is_complex, torch.numel,
} | {
    getattr(Tensor, name).__get__
    for name in (
        "shape", "dtype", "device", "layout", "ndim", "requires_grad", "is_leaf", "is_cuda", "is_cpu", "is_meta",
        "is_sparse", "is_quantized", "is_mps", "is_mkldnn", "is_nested", "grad", "grad_fn", "itemsize",
        "nbytes", "_version", "output_nr", "retains_grad",
    )
}  # fmt: skip


_RULES = (
    products.HANDLERS | lookups.HANDLERS | convolutions.HANDLERS | norms.HANDLERS | attention.HANDLERS | views.HANDLERS
)  # function -> rule(move, function, its arguments), which answers None where it does not apply

_NESTED = (tuple, list, dict)

_CONVERSIONS = {Tensor.float, Tensor.double, Tensor.to, Tensor.type, Tensor.type_as}

_UNKNOWN = {"out", "alpha", "beta"}  # what the rules do not know

# A function written in Python over others, without the line that hands it over as a whole.
_BODIES = {
    whole: FunctionType(
        whole.__code__, whole.__globals__ | {"has_torch_function": lambda _: False}, None, whole.__defaults__
    )
    for whole in (F.multi_head_attention_forward,)
}


class Intercept(TorchFunctionMode):
    """While it is entered, functions see the parameters where a `Move` puts them."""

    def __init__(self, move: Move) -> None:
        super().__init__()
        self.move = move

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _ABOUT or (func is Tensor.type and len(args) == 1):
            return func(*args, **kwargs)
        rule = _RULES.get(func)
        if rule is not None and not (kwargs and _UNKNOWN & kwargs.keys()) and not is_inside_another(self.move.member):
            answer = rule(self.move, func, *args, **kwargs)
            if answer is not None:
                return answer
        body = _BODIES.get(func)
        if body is not None:
            with self:  # its parts are intercepted instead
                return body(*args, **kwargs)
        if not (_hold_parameter(self.move, args) or (kwargs and _hold_parameter(self.move, kwargs.values()))):
            return func(*args, **kwargs)
        swap = _Swap(self.move)
        args, kwargs = swap((args, kwargs))
        answer = func(*args, **kwargs)
        if isinstance(answer, Tensor):
            self.move.widest = max(self.move.widest, answer.numel())
        # torch's own answer is wider than the parameter if what stands beside it is, or if it was asked for
        wide = swap.beside or func in _CONVERSIONS or "dtype" in kwargs
        return answer if swap.dtype is None or wide else _narrowed(answer, swap.dtype)


class _Swap:
    """The same arguments with moved copies in the place of parameters.

    A copy of a parameter narrower than float32 is float32, and so are then all floating point arguments beside it.
    """

    def __init__(self, move: Move) -> None:
        self.move = move
        self.dtype: torch.dtype | None = None
        self.beside = False

    def __call__(self, value: Any) -> Any:
        made = _mapped(value, self._swapped)
        return made if self.dtype is None else _widened(made, self.dtype)

    def _swapped(self, value: Tensor) -> Tensor:
        origin = self.move.origin(value)
        if origin is None:
            self.beside |= value.is_floating_point() and value.dim() > 0 and value.dtype.itemsize > 2
            return value
        made = self.move.copy(origin) if origin is value else self.move.copy(origin).transpose(0, 1)
        if made.dtype != value.dtype:
            self.dtype = value.dtype
        return made


def _hold_parameter(move: Move, values: Iterable[Any]) -> bool:
    """Whether a parameter is among some values, or within those that are nested."""
    for value in values:
        if move.origin(value) is not None:
            return True
        if isinstance(value, _NESTED) and _hold_parameter(move, value.values() if isinstance(value, dict) else value):
            return True
    return False


def _mapped(value: Any, f: Callable[[Tensor], Any]) -> Any:
    """f of every tensor in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return f(value)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(v, f) for v in value)
    return {name: _mapped(v, f) for name, v in value.items()} if isinstance(value, dict) else value


def _widened(value: Any, dtype: torch.dtype) -> Any:
    """Tensors of a narrow dtype as float32."""
    return _mapped(value, lambda t: t.float() if t.dtype == dtype else t)


def _narrowed(value: Any, dtype: torch.dtype) -> Any:
    """What was computed in float32 in the dtype that the function would have answered."""
    return _mapped(value, lambda t: t.to(dtype) if t.dtype == torch.float32 else t)
