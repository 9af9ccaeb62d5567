"""Stochastic rounding in one pass on a CPU, bit for bit as `rounding.reference`; conventions are those of `cpu.py`."""

from __future__ import annotations

import numpy as np
import torch
from numba import carray, float32, int32, uint32, uint64  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor
from torch.autograd.graph import increment_version

from .cpu import _SHARE, _inline, _kernel, _words
from .law import Law
from .threads import share
from .vector import bits_of, float_of, floor, pointer, scratch

__all__ = ["round_all"]

_TAG = 2  # of UNIFORM


@_inline
def _round(x, word, smallest, largest, per):
    """One number.

    `smallest` and `largest` are the bits of the narrow type's smallest normal and largest finite number, `per` is how
    many of its spacings lie between powers of two.
    """
    bits = bits_of(x)
    exponent = uint32(bits & uint32(0x7F800000))
    scale = float_of(exponent if exponent > smallest else smallest)
    t = float32(np.divide(x, scale) * per)  # x / scale would be checked for a division by zero
    below = floor(t)
    centred = float32(float32(float32(int32(word) >> int32(8)) + float32(0.5)) * float32(2.0**-24))
    near = float32(below + float32(1.0)) if centred < float32(float32(t - below) - float32(0.5)) else below
    rounded = float32(np.divide(near, per) * scale)
    return rounded if uint32(bits & uint32(0x7FFFFFFF)) <= largest else x


@_kernel
def _round_all(address, start, lo, hi, k0, k1, smallest, largest, per):
    """Round numbers lo..hi of the float32 vector at an address."""
    w, begin, end = carray(scratch(), 256, np.uint32), start + lo, start + hi
    smallest, largest, per = uint32(smallest), uint32(largest), float32(per)
    for tile in range(begin >> 8, ((end - 1) >> 8) + 1):
        _words(w, tile, begin, end, 0, _TAG, k0, k1)
        first, last = max(begin - (tile << 8), 0), min(end - (tile << 8), 256)
        x = carray(pointer(address + 4 * ((tile << 8) + first - start)), last - first, np.float32)
        for i in range(uint64(last - first)):
            x[i] = _round(x[i], w[uint64(first) + i], smallest, largest, per)


def round_all(s: Tensor, dtype: torch.dtype, seed: int, start: int) -> None:
    """As `rounding.reference`."""
    limits = torch.finfo(dtype)
    smallest, largest = torch.tensor([limits.smallest_normal, limits.max]).view(torch.int32).tolist()
    at, length = s.data_ptr(), s.numel()

    def work(a: int, b: int) -> None:
        _round_all(at, start, a, b, seed & 0xFFFFFFFF, seed >> 32, smallest, largest, 1 / limits.eps)

    if length < _SHARE:
        work(0, length)
    else:
        share(work, length)
    increment_version(s)


assert Law.UNIFORM.tag == _TAG
