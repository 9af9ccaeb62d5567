"""The perturbed forward: while it runs, every torch function that receives a parameter sees it moved along a direction.

The parameters themselves are never written to, so they are bit-exact whatever happens in the loss, and nothing of
their size is made: a large linear layer is answered row tile by row tile, any other function gets a perturbed copy of
the one parameter it was given, for the length of that call.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from descend.direction import BLOCK, Directions
from descend.layout import Parameters

__all__ = ["Intercept"]

# what only asks about a parameter, not for its numbers
_ABOUT = {
    Tensor.size, Tensor.dim, Tensor.numel, Tensor.stride, Tensor.is_contiguous, Tensor.element_size, Tensor.data_ptr,
    Tensor.is_floating_point, Tensor.is_complex, Tensor.storage_offset, Tensor.ndimension, Tensor.nelement,
    Tensor.get_device, Tensor.__hash__, Tensor.__len__, Tensor.requires_grad_, Tensor.type, Tensor.untyped_storage,
    torch.is_floating_point, torch.is_complex, torch.numel,
} | {
    getattr(Tensor, name).__get__
    for name in (
        "shape", "dtype", "device", "layout", "ndim", "requires_grad", "is_leaf", "is_cuda", "is_cpu", "is_meta",
        "is_sparse", "is_quantized", "is_mps", "is_mkldnn", "is_nested", "grad", "grad_fn", "itemsize",
        "nbytes", "_version", "output_nr", "retains_grad",
    )
}  # fmt: skip


class Intercept(TorchFunctionMode):
    """Parameters at x + scale * z_row while it is entered, x being where they are.

    Args:
        parameters: the point.
        directions: a block of directions of the point's size.
        row, scale: which one, and how far.

    Attributes:
        seen: indices of the parameters that some function has received. One that is never seen was reached in a way
            that no torch function shows (NumPy, compiled code), or is not used at all.
    """

    def __init__(self, parameters: Parameters, directions: Directions, row: int, scale: float) -> None:
        super().__init__()
        self.directions, self.row, self.scale = directions, row, scale
        self.seen: set[int] = set()
        pairs = zip(parameters.tensors, parameters.layout.offsets, strict=True)
        self._places = {id(p): (i, start) for i, (p, start) in enumerate(pairs)}

    def __enter__(self) -> "Intercept":
        super().__enter__()
        return self

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _ABOUT:
            return func(*args, **kwargs)
        if func is torch.nn.functional.linear and not kwargs and self._is_large(args[1]):
            return self._linear(func, *args)
        return func(*self._swap(args), **self._swap(kwargs))

    def _is_large(self, weight: Tensor) -> bool:
        return id(weight) in self._places and weight.numel() > BLOCK and weight.is_contiguous()

    def _swap(self, value: Any) -> Any:
        """The same arguments with perturbed copies in the place of parameters."""
        if isinstance(value, Tensor):
            place = self._places.get(id(value))
            return value if place is None else self._moved(value, *place)
        if isinstance(value, tuple | list):
            return type(value)(self._swap(v) for v in value) if any(_holds_tensors(v) for v in value) else value
        if isinstance(value, dict):
            return {name: self._swap(v) for name, v in value.items()}
        return value

    def _moved(self, p: Tensor, index: int, start: int) -> Tensor:
        """A perturbed copy of a parameter."""
        self.seen.add(index)
        copy = p.detach().clone(memory_format=torch.contiguous_format)
        self._move(copy.view(-1), start)
        return copy

    def _move(self, flat: Tensor, start: int) -> None:
        """flat += scale * z[start:], block by block."""
        if self.scale == 0.0:
            return
        scale = torch.tensor([self.scale], dtype=flat.dtype, device=flat.device)
        for low in range(0, flat.numel(), BLOCK):
            self.directions.perturb(flat[None, low : low + BLOCK], [self.row], scale, start + low)

    def _linear(self, linear: Callable[..., Tensor], x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """x W' + b' with W' made in tiles of rows, so that only a tile of it ever exists."""
        index, start = self._places[id(weight)]
        self.seen.add(index)
        bias = self._swap(bias)
        width = weight.shape[1]
        rows = max(1, BLOCK // width)
        out = x.new_empty(*x.shape[:-1], weight.shape[0], dtype=torch.result_type(x, weight))
        for low in range(0, weight.shape[0], rows):
            high = min(weight.shape[0], low + rows)
            tile = weight.detach()[low:high].clone()
            self._move(tile.view(-1), start + low * width)
            out[..., low:high] = linear(x, tile, None if bias is None else bias[low:high])
        return out


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, Tensor | tuple | list)
