"""x0 as people write it, and the flat point (d,) that everything inside works with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.space import Space

__all__ = ["Start"]


@dataclass(frozen=True)
class _Shaped:
    """f as a function of flat points."""

    f: Callable[..., Any]
    shape: tuple[int, ...]

    @property
    def __name__(self) -> str:
        return getattr(self.f, "__name__", type(self.f).__name__)

    def __call__(self, x: Any) -> Any:
        return self.f(x.reshape(self.shape))


@dataclass(frozen=True, eq=False)
class Start:
    """Where a run starts.

    Fields: x, the flat point (d,), a copy; shape, that of x0; takes, what kind of array f is given and the result
    comes back as; space, which says what flat points mean if the user named one instead of x0.
    """

    x: Tensor
    shape: tuple[int, ...]
    takes: Literal["torch", "numpy"]
    space: Space | None = None

    @staticmethod
    def of(x0: Any) -> "Start":
        """A tensor, a NumPy array, or anything that NumPy makes an array of numbers from.

        Raises:
            InvalidValue: it is none of these, is empty, complex, or holds a number that is not finite.
        """
        if isinstance(x0, Tensor):
            x, takes = x0.detach().clone(), "torch"
        else:
            x, takes = torch.from_numpy(_as_array(x0)), "numpy"
        if x.is_complex():
            raise InvalidValue("x0 is complex; stack its real and imaginary parts into one real array")
        if not x.is_floating_point():
            x = x.double()
        if x.numel() == 0:
            raise InvalidValue(f"x0 is empty, its shape is {tuple(x.shape)}; there is nothing to minimize over")
        finite = torch.isfinite(x).reshape(-1)
        if not bool(finite.all()):
            i = int((~finite).nonzero()[0])
            raise InvalidValue(f"x0 must be finite, but element {i} is {float(x.reshape(-1)[i])}")
        return Start(x.reshape(-1).contiguous(), tuple(x.shape), "torch" if takes == "torch" else "numpy")

    @staticmethod
    def within(space: Space, point: Any = None) -> "Start":
        """At a point of a space, by default its middle.

        Raises:
            InvalidValue: the point does not lie in the space.
        """
        if point is None:
            return Start(space.middle, (space.dim,), "torch", space)
        if sentence := space.check(point):
            raise InvalidValue(f"the run cannot start there: {sentence}")
        return Start(space.encode([point])[0], (space.dim,), "torch", space)

    def shaped(self, x: Tensor) -> Any:
        """A copy of a flat point in the type and shape of x0, or the point of the space that it means."""
        if self.space is not None:
            return self.space.decode(x[None])[0]
        own = x.detach().clone().reshape(self.shape)
        return own if self.takes == "torch" else own.numpy()

    def of_flat_points(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """f, which takes what looks like x0, as a function of flat points."""
        return f if len(self.shape) == 1 else _Shaped(f, self.shape)


def _as_array(x0: Any) -> np.ndarray:
    """A copy of x0 as an array that torch can hold."""
    try:
        array = np.array(x0)
    except ValueError:  # rows of different lengths
        array = np.array(None)
    if array.dtype.kind not in "fiubc":
        raise InvalidValue(
            f"x0 must be numbers (a list, a NumPy array or a tensor), got {type(x0).__name__}; "
            "write x0=[0.0, 0.0] for two parameters"
        )
    if array.dtype.kind in "iub":
        return array.astype(np.float64)
    if array.dtype.itemsize > (16 if array.dtype.kind == "c" else 8):
        raise InvalidValue(f"x0 is {array.dtype}, which torch cannot hold; write x0.astype(float)")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="))).reshape(array.shape)
