"""Stochastic rounding of float32 numbers to bfloat16 or float16, with random bits that belong to a global index.

A number s lies between two neighbours of the narrow type that are `spacing` apart.  With t = s / spacing and
f = t - floor(t), which float32 holds exactly, it becomes (floor(t) + 1) * spacing if u < f, else floor(t) * spacing.
u is uniform on 2^24 numbers symmetric in (0, 1): with w the upper 24 bits, as a signed number, of the word that UNIFORM
uses for the index (`law.py`), u = (w + 2^23 + 1/2) / 2^24.  All of it is exact arithmetic, so every back end gives the
same bits however a vector is cut, and the mean is kept exactly where f is a multiple of 2^-24, as for bfloat16 it is.
Forsythe (1950), "Round-off errors in numerical integration on automatic machinery".
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

from . import backend
from .law import Law

__all__ = ["reference", "round_stochastically"]

_PIECE = 2**15  # numbers whose temporaries stay in cache
_EXPONENT = 0x7F800000  # the exponent bits of a float32; alone, they are the power of two below it
_NARROW = frozenset((torch.bfloat16, torch.float16))


def round_stochastically(s: Tensor, dtype: torch.dtype, seed: int, *, start: int = 0) -> Tensor:
    """Replace every number by a neighbour that `dtype` holds, such that the mean is kept.

    A number that `dtype` holds stays; so does one beyond its largest finite number, an infinity or NaN, which a later
    conversion rounds to nearest as always.

    Args:
        s: (len,) float32, contiguous, overwritten; on any device.
        dtype: bfloat16 or float16.
        seed: 64 bits: 0 <= seed < 2**64. A `Key` has one.
        start: global index of the first number; however a vector is cut into calls, its numbers are the same.

    Returns:
        `s`.

    Raises:
        TypeError: `s` is not float32, or `dtype` is neither of the two.
        ValueError: `s` has another shape or scattered elements; seed or start is out of range.

    >>> round_stochastically(torch.full((4,), 1.0039), torch.bfloat16, 3)
    tensor([1.0000, 1.0000, 1.0078, 1.0078])
    """
    if s.dtype != torch.float32 or dtype not in _NARROW:
        raise TypeError(f"float32 numbers are rounded to bfloat16 or float16, got {s.dtype} and {dtype}")
    seed, start, _ = backend._check(s, 1, seed, Law.UNIFORM, start, 0)
    fast = _compiled() if s.is_cpu else None
    if s.numel():
        (reference if fast is None else fast)(s, dtype, seed, start)
    return s


def reference(s: Tensor, dtype: torch.dtype, seed: int, start: int) -> None:
    """As `round_stochastically`, in plain torch on any device."""
    limits = torch.finfo(dtype)
    with torch.no_grad():
        for low in range(0, s.numel(), _PIECE):
            x = s[low : low + _PIECE]
            # 2^e <= |x| < 2^(e + 1), or the range of subnormal numbers, whose spacing is that of the smallest normal
            scale = (x.view(torch.int32) & _EXPONENT).view(torch.float32).clamp_(min=limits.smallest_normal)
            t = x.div(scale).mul_(1 / limits.eps)
            floor = t.floor()
            up = t.sub_(floor).sub_(0.5).sub_(_centred_uniform(x, seed, start + low)).ceil_()  # 1 if u < f, else 0
            rounded = floor.add_(up).mul_(limits.eps).mul_(scale)
            x.copy_(torch.where(x.abs() <= limits.max, rounded, x))


def _centred_uniform(like: Tensor, seed: int, start: int) -> Tensor:
    """u - 1/2 = (w + 1/2) / 2^24, float32 (len,).

    UNIFORM gives round(k * unit) with the odd integer k = 2 w + 1.  The rounding is off by less than half of k's
    spacing, so z / (2 unit) lies strictly between w and w + 1, and in float64 its floor is w.
    """
    z = torch.empty(like.numel(), dtype=torch.float64, device=like.device)
    w = backend.fill(z, seed, Law.UNIFORM, start=start).mul_(0.5 / Law.UNIFORM.unit).floor_()
    return w.add_(0.5).mul_(2**-24).float()


@cache
def _compiled() -> Callable[[Tensor, torch.dtype, int, int], None] | None:
    """The numba kernel, where it is installed and wanted."""
    if backend._compiled() is None:
        return None
    from .cpu_rounding import round_all

    return round_all
