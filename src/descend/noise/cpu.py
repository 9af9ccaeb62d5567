"""The numbers at memory speed on a CPU: numba kernels that reproduce `reference.py` bit for bit.

Layout and laws stand in `law.py`.  A *row* is 64 consecutive elements, one bit (or one word) of the 64 lanes of a tile.
A kernel makes a tile's words, then row by row float32 numbers in a scratch of 256 bytes, applied while they are warm.
No fastmath: every product and sum is one IEEE operation, so nothing is fused.

Kernels take addresses and integers, not arrays: making an array of a tensor costs more than filling a short one.  They
are module-level, serial, and run without the interpreter lock, because only such are cached on disk and can be shared
among threads of our own.  A cached kernel is recompiled when this file changes and only then, so every constant it needs
stands here or is an argument.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import carray, float32, int32, int64, njit, types, uint32, uint64
from numba.extending import intrinsic
from torch import Tensor

from .law import Law

_FLOAT, _DOUBLE, _BFLOAT = 0, 1, 2
KINDS = {torch.float32: _FLOAT, torch.float64: _DOUBLE, torch.bfloat16: _BFLOAT}
_SIGN, _NORMAL = Law.SIGN.tag, Law.NORMAL.tag
_PARALLEL = 2_000_000  # numbers below which waking other threads costs more than it saves
_AHEAD = 8192  # bytes ahead of the row at work that are asked of memory: 1.0 to 1.1 times `mul_` instead of 1.3

_inline: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(inline="always")


def _kernel(function: Callable[..., None]) -> Callable[..., None]:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no directory for the cache can be written: compile in every process
        return njit(nogil=True)(function)


@intrinsic
def _pointer(_typing: Any, _address: Any) -> Any:
    """An address as something `carray` takes."""
    return types.voidptr(types.int64), lambda _, b, __, args: b.inttoptr(args[0], ir.IntType(8).as_pointer())


@intrinsic
def _prefetch(_typing: Any, _address: Any) -> Any:
    """Ask memory for the cache line at an address, for writing; an address outside the tensor is harmless."""

    def generate(context: Any, b: Any, _: Any, args: Any) -> Any:
        word, byte = ir.IntType(32), ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        call = b.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        b.call(call, [b.inttoptr(args[0], byte), word(1), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(types.int64), generate


@intrinsic
def _popcount(_typing: Any, _word: Any) -> Any:
    return types.uint32(types.uint32), lambda _, b, __, args: b.ctpop(args[0])


@_inline
def _words(w, tile, first, last, member, tag, k0, k1):
    """Philox4x32-10 of the lanes first..last of a tile: word j of lane i goes to w[j * 64 + i]."""
    low, high = uint32(uint64(tile) << uint64(6)), uint32(uint64(tile) >> uint64(26))
    for i in range(uint64(first), uint64(last)):
        c0, c1, c2, c3 = uint32(low + uint32(i)), high, uint32(member), uint32(tag)
        a, b = uint32(k0), uint32(k1)
        for _ in range(10):
            p0 = uint64(0xD2511F53) * uint64(c0)
            p1 = uint64(0xCD9E8D57) * uint64(c2)
            c0 = uint32(uint32(p1 >> uint64(32)) ^ c1 ^ a)
            c2 = uint32(uint32(p0 >> uint64(32)) ^ c3 ^ b)
            c1 = uint32(p1)
            c3 = uint32(p0)
            a = uint32(a + uint32(0x9E3779B9))
            b = uint32(b + uint32(0xBB67AE85))
        w[i] = c0
        w[i + uint64(64)] = c1
        w[i + uint64(128)] = c2
        w[i + uint64(192)] = c3


@_inline
def _draw(z, bits, w, row, tag, unit):
    """z[:64] = the numbers of a row; `bits` is the same memory as integers."""
    row = uint64(row)
    if tag == _SIGN:
        v, shift = ((row >> uint64(5)) & uint64(3)) << uint64(6), uint32(row & uint64(31))
        for i in range(uint64(64)):
            bits[i] = (uint32(w[v + i] << shift) & uint32(0x80000000)) | uint32(0x3F800000)
        return
    v = (row & uint64(3)) << uint64(6)
    if tag == _NORMAL:
        for i in range(uint64(64)):
            k = uint32(_popcount(w[v + i] & uint32(0xFFFFFF)) << uint32(9)) + ((w[v + i] >> uint32(23)) & uint32(0x1FE))
            z[i] = float32(int32(int32(k) - int32(6399))) * unit
    else:
        for i in range(uint64(64)):
            z[i] = float32(int32((int32(w[v + i]) >> int32(7)) | int32(1))) * unit


@_inline
def _rounded(x):
    """The bfloat16 nearest to the float32 with bits x, ties to even; NaN stays NaN."""
    nearest = uint32(x + uint32(0x7FFF) + ((x >> uint32(16)) & uint32(1))) >> uint32(16)
    return np.uint16(uint32(0x7FC0) if (x & uint32(0x7FFFFFFF)) > uint32(0x7F800000) else nearest)


@_inline
def _row_store(address, kind, z, bits, first, count):
    first = uint64(first)
    if kind == _FLOAT:
        out = carray(_pointer(address), count, np.float32)
        for i in range(uint64(count)):
            out[i] = z[first + i]
    elif kind == _DOUBLE:
        out = carray(_pointer(address), count, np.float64)
        for i in range(uint64(count)):
            out[i] = z[first + i]
    else:
        out = carray(_pointer(address), count, np.uint16)
        for i in range(uint64(count)):
            out[i] = _rounded(bits[first + i])


@_kernel
def fill_kernel(address, kind, n, stride, start, lo, hi, member, tag, unit, k0, k1):
    w, bits = np.empty(256, np.uint32), np.empty(64, np.uint32)
    z, unit = bits.view(np.float32), float32(unit)
    size = 4 << kind if kind < 2 else 2
    shift = 7 if tag == 0 else 2
    begin = start + lo; end = start + hi
    first, last = begin >> 6, (end - 1) >> 6
    for r in range(n):
        for tile in range(first >> shift, (last >> shift) + 1):
            if first == last:
                _words(w, tile, begin & 63, ((end - 1) & 63) + 1, member + r, tag, k0, k1)
            else:
                _words(w, tile, 0, 64, member + r, tag, k0, k1)
            for row in range(max(first, tile << shift), min(last + 1, (tile + 1) << shift)):
                _draw(z, bits, w, row, tag, unit)
                a = max(begin - (row << 6), 0); b = min(end - (row << 6), 64)
                at = address + size * (r * stride + (row << 6) + a - start)
                for i in range(size): _prefetch(at + _AHEAD + 64 * i)
                if b - a == 64:
                    _row_store(at, kind, z, bits, 0, 64)
                else:
                    _row_store(at, kind, z, bits, a, b - a)

@_inline
def _row_add(address, kind, z, first, count, scale):
    first = uint64(first)
    if kind == _FLOAT:
        out = carray(_pointer(address), count, np.float32)
        s = float32(scale)
        for i in range(uint64(count)):
            out[i] = out[i] + s * z[first + i]
    elif kind == _DOUBLE:
        out = carray(_pointer(address), count, np.float64)
        for i in range(uint64(count)):
            out[i] = out[i] + scale * z[first + i]

@_kernel
def add_kernel(address, kind, start, lo, hi, member, tag, unit, k0, k1, scale):
    w, bits = np.empty(256, np.uint32), np.empty(64, np.uint32)
    z, unit = bits.view(np.float32), float32(unit)
    size = 4 << kind if kind < 2 else 2
    shift = 7 if tag == 0 else 2
    begin = start + lo; end = start + hi
    first, last = begin >> 6, (end - 1) >> 6
    for tile in range(first >> shift, (last >> shift) + 1):
            if first == last:
                _words(w, tile, begin & 63, ((end - 1) & 63) + 1, member, tag, k0, k1)
            else:
                _words(w, tile, 0, 64, member, tag, k0, k1)
            for row in range(max(first, tile << shift), min(last + 1, (tile + 1) << shift)):
                _draw(z, bits, w, row, tag, unit)
                a = max(begin - (row << 6), 0); b = min(end - (row << 6), 64)
                at = address + size * ((row << 6) + a - start)
                for i in range(size): _prefetch(at + _AHEAD + 64 * i)
                if b - a == 64:
                    _row_add(at, kind, z, 0, 64, scale)
                else:
                    _row_add(at, kind, z, a, b - a, scale)
