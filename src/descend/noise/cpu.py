"""The numbers at memory speed on a CPU: numba kernels that reproduce `reference.py` bit for bit.

Layout and laws stand in `law.py`.  A *row* is 64 consecutive elements: one bit, or one word, of the 64 lanes of a tile.
A kernel makes a tile's words, then row by row its float32 numbers, applied to the output while they are warm.  There is
no fastmath, so every product and sum is one IEEE operation and nothing is fused.

Kernels take addresses and integers, not arrays: making an array of a tensor costs more than filling a short one.
They are module-level and serial, since only such are cached on disk, and hold no interpreter lock, so that threads of
our own can share a long vector.  numba recompiles a cached kernel when this file changes and only then: every constant
a kernel uses stands here, in `vector.py` (see there) or is an argument.  Scratch lives on the kernel's stack: arrays
that count references would double the time, and the compiler knows that nothing else points there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numba import carray, float32, int32, njit, uint32, uint64  # pyright: ignore[reportPrivateImportUsage]
from torch import Tensor
from torch.autograd.graph import increment_version

from .law import Law
from .threads import share
from .vector import AHEAD, address_of, bits_of, float_of, pointer, popcount, prefetch, scratch, shift_signs, sweeper

__all__ = ["add", "combine", "fill", "shift"]

_FLOAT, _DOUBLE, _BFLOAT = 0, 1, 2
KINDS = {torch.float32: _FLOAT, torch.float64: _DOUBLE, torch.bfloat16: _BFLOAT}
_SIGN, _NORMAL = 0, 1  # tags
_TILE = 8192  # elements of the largest tile
_SHARE = 2_000_000  # numbers below which waking another thread costs more than it saves

_sweep_sign, _sweep_normal, _sweep_uniform = (sweeper(law.value, False) for law in Law)
_sweep_narrow_sign, _sweep_narrow_normal, _sweep_narrow_uniform = (sweeper(law.value, True) for law in Law)

_inline: Callable[[Callable[..., Any]], Callable[..., Any]] = njit(inline="always")


def _kernel(function: Callable[..., None]) -> Callable[..., None]:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no directory for the cache can be written: compile in every process
        return njit(nogil=True)(function)


@_inline
def _bfloat(number):
    """The 16 bits of the bfloat16 nearest to a float32, ties to even.

    NaN stays NaN: one that came from a bfloat16 or from arithmetic has no low bits that could carry into the sign.
    """
    bits = bits_of(number)
    return np.uint16(uint32(bits + uint32(0x7FFF) + ((bits >> uint32(16)) & uint32(1))) >> uint32(16))


@_inline
def _philox(w, tile, first, last, member, tag, k0, k1):
    """Philox4x32-10 of the lanes first..last of a tile: word j of lane i goes to w[j * 64 + i]."""
    low, high = uint32(uint64(tile) << uint64(6)), uint32(uint64(tile) >> uint64(26))
    for i in range(uint64(first), uint64(last)):
        c0, c1, c2, c3 = uint32(low + uint32(i)), high, uint32(member), uint32(tag)
        a, b = uint32(k0), uint32(k1)
        for _ in range(10):
            p0, p1 = uint64(0xD2511F53) * uint64(c0), uint64(0xCD9E8D57) * uint64(c2)
            c0, c1 = uint32(uint32(p1 >> uint64(32)) ^ c1 ^ a), uint32(p1)
            c2, c3 = uint32(uint32(p0 >> uint64(32)) ^ c3 ^ b), uint32(p0)
            a, b = uint32(a + uint32(0x9E3779B9)), uint32(b + uint32(0xBB67AE85))
        w[i] = c0
        w[i + uint64(64)] = c1
        w[i + uint64(128)] = c2
        w[i + uint64(192)] = c3


@_inline
def _words(w, tile, begin, end, member, tag, k0, k1):
    """The words of a tile that elements begin..end need."""
    first, last = 0, 64
    if (
        begin >> 6 == (end - 1) >> 6
    ):  # within one row: only its lanes, which is what a population of short vectors costs
        first, last = begin & 63, ((end - 1) & 63) + 1
    _philox(w, tile, first, last, member, tag, k0, k1)


@_inline
def _draw(z, w, row, tag, unit):
    """z[:64] = the numbers of a row."""
    row = uint64(row)
    if tag == _SIGN:
        v, shift = ((row >> uint64(5)) & uint64(3)) << uint64(6), uint32(row & uint64(31))
        for i in range(uint64(64)):
            z[i] = float_of(uint32((uint32(w[v + i] << shift) & uint32(0x80000000)) | uint32(0x3F800000)))
        return
    v = (row & uint64(3)) << uint64(6)
    if tag == _NORMAL:
        for i in range(uint64(64)):
            word = w[v + i]
            k = uint32(popcount(word & uint32(0xFFFFFF)) << uint32(9)) + ((word >> uint32(23)) & uint32(0x1FE))
            z[i] = float32(int32(int32(k) - int32(6399))) * unit
    else:
        for i in range(uint64(64)):
            z[i] = float32(int32((int32(w[v + i]) >> int32(7)) | int32(1))) * unit


@_inline
def _store(address, kind, z, first, count):
    """Write z[first : first + count] at an address."""
    if kind == _FLOAT:
        out = carray(pointer(address), count, np.float32)
        for i in range(uint64(count)):
            out[i] = z[uint64(first) + i]
    elif kind == _DOUBLE:
        out = carray(pointer(address), count, np.float64)
        for i in range(uint64(count)):
            out[i] = z[uint64(first) + i]
    else:
        out = carray(pointer(address), count, np.uint16)
        for i in range(uint64(count)):
            out[i] = _bfloat(z[uint64(first) + i])


@_inline
def _increase(address, kind, z, first, count, scale):
    """Add scale * z[first : first + count] to what stands at an address."""
    if kind == _DOUBLE:
        out = carray(pointer(address), count, np.float64)
        for i in range(uint64(count)):
            out[i] = out[i] + scale * z[uint64(first) + i]
        return
    scale = float32(scale)
    if kind == _FLOAT:
        out = carray(pointer(address), count, np.float32)
        for i in range(uint64(count)):
            out[i] = out[i] + scale * z[uint64(first) + i]
    else:
        out = carray(pointer(address), count, np.uint16)
        for i in range(uint64(count)):
            out[i] = _bfloat(float_of(uint32(out[i]) << uint32(16)) + scale * z[uint64(first) + i])


@_inline
def _shift(tag):
    """A tile has two to this power of rows."""
    return 7 if tag == _SIGN else 2


@_inline
def _copy(target, source, size):
    """Copy some bytes, an even number of them."""
    target, source = carray(pointer(target), size >> 1, np.uint16), carray(pointer(source), size >> 1, np.uint16)
    for i in range(uint64(size >> 1)):
        target[i] = source[i]


@_inline
def _stop(row, stop, tag):
    """The end of the rows that one sweep from `row` may take: those of one word (sign) or one tile."""
    per = 32 if tag == _SIGN else 4
    return min(stop, row + per - (row & (per - 1)))


@_inline
def _sweep(at, kind, words, row, rows, tag, unit, scale):
    """Add scale * z to the whole rows row..row + rows, see `_stop`, in float32 or bfloat16."""
    scale, source, first = float32(scale), address_of(words), row & 3
    if tag == _SIGN:
        source, first = source + 256 * ((row >> 5) & 3), row & 31
        if kind == _BFLOAT:
            _sweep_narrow_sign(at, source, first, first + rows, scale, unit)
        elif rows == 32:  # constants, which the compiler makes something of
            _sweep_sign(at, source, 0, 32, scale, unit)
        else:
            _sweep_sign(at, source, first, first + rows, scale, unit)
    elif tag == _NORMAL:
        if kind == _FLOAT:
            _sweep_normal(at, source, first, first + rows, scale, unit)
        else:
            _sweep_narrow_normal(at, source, first, first + rows, scale, unit)
    elif kind == _FLOAT:
        _sweep_uniform(at, source, first, first + rows, scale, unit)
    else:
        _sweep_narrow_uniform(at, source, first, first + rows, scale, unit)


@_inline
def _size(kind):
    """Bytes of one number."""
    return 8 if kind == _DOUBLE else (4 if kind == _FLOAT else 2)


@_inline
def _rows(tile, shift, begin, end):
    """The rows of a tile that hold elements begin..end."""
    return range(max(begin >> 6, tile << shift), min((end + 63) >> 6, (tile + 1) << shift))


@_kernel
def _fill(address, kind, n, stride, start, lo, hi, member, tag, unit, k0, k1):
    """out[r, lo:hi] = z of member + r, for r in 0..n."""
    w, z, unit = carray(scratch(), 256, np.uint32), carray(scratch(), 64, np.float32), float32(unit)
    begin, end, size, shift = start + lo, start + hi, _size(kind), _shift(tag)
    for r in range(n):
        base = address + size * (r * stride - start)
        for tile in range(begin >> 6 >> shift, ((end - 1) >> 6 >> shift) + 1):
            _words(w, tile, begin, end, member + r, tag, k0, k1)
            for row in _rows(tile, shift, begin, end):
                first, last = max(begin - (row << 6), 0), min(end - (row << 6), 64)
                at = base + size * ((row << 6) + first)
                for i in range(4):
                    prefetch(at + AHEAD + 64 * i)
                if last - first < 64:
                    _draw(z, w, row, tag, unit)
                    _store(at, kind, z, first, last - first)
                elif kind == _FLOAT:
                    _draw(carray(pointer(at), 64, np.float32), w, row, tag, unit)
                else:
                    _draw(z, w, row, tag, unit)
                    _store(at, kind, z, 0, 64)


@_kernel
def _add(address, kind, start, lo, hi, member, tag, unit, k0, k1, scale):
    """out[lo:hi] += scale * z of member, for float32 and bfloat16."""
    words, room, unit = scratch(), address_of(scratch()), float32(unit)
    w, begin, end, size, shift = carray(words, 256, np.uint32), start + lo, start + hi, _size(kind), _shift(tag)
    for tile in range(begin >> 6 >> shift, ((end - 1) >> 6 >> shift) + 1):
        _words(w, tile, begin, end, member, tag, k0, k1)
        rows = _rows(tile, shift, begin, end)
        row = rows.start
        while row < rows.stop:
            first, last = max(begin - (row << 6), 0), min(end - (row << 6), 64)
            at = address + size * ((row << 6) + first - start)
            target, count = at, min(end >> 6, _stop(row, rows.stop, tag)) - row
            if first > 0 or count < 1:  # part of a row is moved as a whole one, elsewhere
                target, count = room, 1
                _copy(room + size * first, at, size * (last - first))
            _sweep(target, kind, words, row, count, tag, unit, scale)
            if target == room:
                _copy(at, room + size * first, size * (last - first))
            row += count


@_kernel
def _shift_by_signs(address, origin, start, lo, hi, member, k0, k1, scale):
    """out[lo:hi] = source[lo:hi] + scale * z of member, for signs and float32."""
    words, room, scale = scratch(), address_of(scratch()), float32(scale)
    w, begin, end = carray(words, 256, np.uint32), start + lo, start + hi
    for tile in range(begin >> 13, ((end - 1) >> 13) + 1):
        _words(w, tile, begin, end, member, _SIGN, k0, k1)
        rows = _rows(tile, 7, begin, end)
        row = rows.start
        while row < rows.stop:
            first, last = max(begin - (row << 6), 0), min(end - (row << 6), 64)
            at = 4 * ((row << 6) + first - start)
            count, source = (
                min(end >> 6, _stop(row, rows.stop, _SIGN)) - row,
                address_of(words) + 256 * ((row >> 5) & 3),
            )
            if first > 0 or count < 1:  # part of a row is moved as a whole one, elsewhere
                count = 1
                _copy(room + 4 * first, origin + at, 4 * (last - first))
                shift_signs(room, room, source, row & 31, (row & 31) + 1, scale)
                _copy(address + at, room + 4 * first, 4 * (last - first))
            else:
                shift_signs(address + at, origin + at, source, row & 31, (row & 31) + count, scale)
            row += count


@_kernel
def _add_double(address, start, lo, hi, member, tag, unit, k0, k1, scale):
    """As `_add`, for float64."""
    w, z, unit = carray(scratch(), 256, np.uint32), carray(scratch(), 64, np.float32), float32(unit)
    begin, end, shift = start + lo, start + hi, _shift(tag)
    for tile in range(begin >> 6 >> shift, ((end - 1) >> 6 >> shift) + 1):
        _words(w, tile, begin, end, member, tag, k0, k1)
        for row in _rows(tile, shift, begin, end):
            first, last = max(begin - (row << 6), 0), min(end - (row << 6), 64)
            _draw(z, w, row, tag, unit)
            _increase(address + 8 * ((row << 6) + first - start), _DOUBLE, z, first, last - first, scale)


@_kernel
def _combine(address, kind, start, lo, hi, member, tag, unit, k0, k1, weights, n, sums):
    """out[lo:hi] += sum over r of weights[r] * z of member + r; `sums` is the address of room for a tile of float32."""
    words, unit, weight = scratch(), float32(unit), carray(pointer(weights), n, np.float64)
    w, begin, end, size, shift = carray(words, 256, np.uint32), start + lo, start + hi, _size(kind), _shift(tag)
    for tile in range(begin >> 6 >> shift, ((end - 1) >> 6 >> shift) + 1):
        rows = _rows(tile, shift, begin, end)
        origin = sums - 4 * (rows.start << 6)  # where the sum of element 0 would stand
        total = carray(pointer(sums), (rows.stop - rows.start) << 6, np.float32)
        for i in range(uint64((rows.stop - rows.start) << 6)):
            total[i] = 0.0
        for r in range(n):
            _words(w, tile, begin, end, member + r, tag, k0, k1)
            row = rows.start
            while row < rows.stop:
                stop = _stop(row, rows.stop, tag)
                _sweep(origin + 4 * (row << 6), _FLOAT, words, row, stop - row, tag, unit, weight[r])
                row = stop
        low, high = max(begin, rows.start << 6), min(end, rows.stop << 6)
        _increase(address + size * (low - start), kind, total, low - (rows.start << 6), high - low, 1.0)


@_kernel
def _combine_double(address, start, lo, hi, member, tag, unit, k0, k1, weights, n, sums):
    """As `_combine`, for float64; `sums` has room for a tile of float64."""
    w, z, unit = carray(scratch(), 256, np.uint32), carray(scratch(), 64, np.float32), float32(unit)
    begin, end, shift, weight = start + lo, start + hi, _shift(tag), carray(pointer(weights), n, np.float64)
    for tile in range(begin >> 6 >> shift, ((end - 1) >> 6 >> shift) + 1):
        rows = _rows(tile, shift, begin, end)
        total = carray(pointer(sums), (rows.stop - rows.start) << 6, np.float64)
        for i in range(uint64((rows.stop - rows.start) << 6)):
            total[i] = 0.0
        for r in range(n):
            _words(w, tile, begin, end, member + r, tag, k0, k1)
            for row in rows:
                _draw(z, w, row, tag, unit)
                _increase(sums + 8 * ((row - rows.start) << 6), _DOUBLE, z, 0, 64, weight[r])
        low, high = max(begin, rows.start << 6), min(end, rows.stop << 6)
        _increase(address + 8 * (low - start), _DOUBLE, total, low - (rows.start << 6), high - low, 1.0)


def _stream(seed: int, law: Law) -> tuple[int, float, int, int]:
    return law.tag, law.unit, seed & 0xFFFFFFFF, seed >> 32


def fill(out: Tensor, seed: int, law: Law, start: int, member: int) -> None:
    """As `reference.fill`."""
    shape, kind, at, stream = out.shape, KINDS[out.dtype], out.data_ptr(), _stream(seed, law)
    n, length, stride = (1, shape[0], 0) if len(shape) == 1 else (*shape, out.stride(0))
    if n * length < _SHARE:
        _fill(at, kind, n, stride, start, 0, length, member, *stream)
    elif n < length:
        share(lambda a, b: _fill(at, kind, n, stride, start, a, b, member, *stream), length)
    else:
        share(lambda a, b: _fill(out[a].data_ptr(), kind, b - a, stride, start, 0, length, member + a, *stream), n)
    increment_version(out)


def add(out: Tensor, seed: int, law: Law, scale: float, start: int, member: int) -> None:
    """As `reference.add`."""
    length, kind, at, stream = out.shape[0], KINDS[out.dtype], out.data_ptr(), _stream(seed, law)

    def work(a: int, b: int) -> None:
        if kind == _DOUBLE:
            _add_double(at, start, a, b, member, *stream, scale)
        else:
            _add(at, kind, start, a, b, member, *stream, scale)

    if length < _SHARE:
        work(0, length)
    else:
        share(work, length)
    increment_version(out)


def shift(out: Tensor, source: Tensor, seed: int, law: Law, scale: float, start: int, member: int) -> None:
    """As `reference.shift`."""
    if law is not Law.SIGN or out.dtype != torch.float32 or source.dtype != torch.float32:
        out.copy_(source)
        add(out, seed, law, scale, start, member)
        return
    length, at, origin, (_, _, k0, k1) = out.shape[0], out.data_ptr(), source.data_ptr(), _stream(seed, law)

    def work(a: int, b: int) -> None:
        _shift_by_signs(at, origin, start, a, b, member, k0, k1, scale)

    if length < _SHARE:
        work(0, length)
    else:
        share(work, length)
    increment_version(out)


def combine(out: Tensor, seed: int, law: Law, weights: Tensor, start: int, member: int) -> None:
    """As `reference.combine`."""
    length, kind, at, stream = out.shape[0], KINDS[out.dtype], out.data_ptr(), _stream(seed, law)
    n, coefficients = len(weights), weights.data_ptr()

    def work(a: int, b: int) -> None:
        sums = torch.empty(_TILE, dtype=torch.float64, device="cpu")
        if kind == _DOUBLE:
            _combine_double(at, start, a, b, member, *stream, coefficients, n, sums.data_ptr())
        else:
            _combine(at, kind, start, a, b, member, *stream, coefficients, n, sums.data_ptr())

    if n * length < _SHARE or length < _TILE:
        work(0, length)
    else:
        share(work, length)
    increment_version(out)
