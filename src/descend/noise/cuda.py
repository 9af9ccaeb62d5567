"""The numbers on a GPU at memory speed: Triton kernels that reproduce `reference.py` bit for bit.

Layout and laws stand in `law.py`.  A program makes one word of `LANES` lanes (sign), or all four of them, and from
these a block of rows by lanes of numbers, which lie in memory as the rows do, so that accesses are coalesced.  All is
integer arithmetic up to one product, and products and sums are not fused (`enable_fp_fusion=False`), so the bits are
those of IEEE arithmetic.  Tested in Triton's interpreter, which runs the same kernels on a CPU.

Integers travel as signed 32- or 64-bit numbers that are not specialized on, and scales as the bits of a float64: a
kernel is compiled for each law and dtype, not for each seed, and Triton would round a Python float to float32.
"""

import struct
from collections.abc import Callable
from typing import Any

import torch
import triton  # pyright: ignore[reportMissingImports]
import triton.language as tl  # pyright: ignore[reportMissingImports]
from torch import Tensor
from torch.autograd.graph import increment_version

from .law import Law

__all__ = ["add", "combine", "fill", "shift"]

_LANES = {Law.SIGN: 64, Law.NORMAL: 256, Law.UNIFORM: 256}  # 2048, or 1024, numbers for 128 threads
_VARIABLE = ["n", "stride", "length", "start", "member", "k0", "k1", "first", "scale"]

_jit: Callable[..., Any] = triton.jit
_kernel: Callable[..., Any] = triton.jit(do_not_specialize=_VARIABLE)


@_jit
def _words(lane, member, k0, k1, TAG: tl.constexpr):
    """Philox4x32-10 of the lanes."""
    seed = (k1.to(tl.uint32).to(tl.uint64) << 32) | k0.to(tl.uint32).to(tl.uint64)
    zero = (lane * 0).to(tl.uint32)
    high = (lane >> 32).to(tl.uint32)
    c2, c3 = zero + member.to(tl.uint32), zero + TAG
    return tl.philox(seed, lane.to(tl.uint32), high, c2, c3, n_rounds=10)  # pyright: ignore[reportArgumentType]


@_jit
def _pick(w0, w1, w2, w3, j):
    """Word number j."""
    return tl.where(j == 0, w0, tl.where(j == 1, w1, tl.where(j == 2, w2, w3)))


@_jit
def _integers(word, TAG: tl.constexpr):
    """The integers k of `law.py`."""
    if TAG == 1:  # the population count of 24 bits: of pairs, of fours, of bytes, of all three bytes
        x = word & 0xFFFFFF
        x = x - ((x >> 1) & 0x555555)
        x = (x & 0x333333) + ((x >> 2) & 0x333333)
        x = (x + (x >> 4)) & 0x0F0F0F
        x = (x + (x >> 8) + (x >> 16)) & 0x1F
        k = (x << 9).to(tl.int32) + ((word >> 23) & 0x1FE).to(tl.int32) - 6399
    else:
        k = (word.to(tl.int32, bitcast=True) >> 7) | 1
    return k


@_jit
def _numbers(lane, part, member, k0, k1, TAG: tl.constexpr, UNIT: tl.constexpr):
    """float32 numbers (rows, lanes); `part` is the word they are made of (sign)."""
    w0, w1, w2, w3 = _words(lane, member, k0, k1, TAG)
    if TAG == 0:
        word = _pick(w0, w1, w2, w3, part)[None, :]
        sign = (word << tl.arange(0, 32).to(tl.uint32)[:, None]) & 0x80000000
        z = (sign | 0x3F800000).to(tl.uint32).to(tl.float32, bitcast=True)
    else:
        word = _pick(w0[None, :], w1[None, :], w2[None, :], w3[None, :], tl.arange(0, 4)[:, None])
        z = _integers(word, TAG).to(tl.float32) * UNIT
    return z


@_jit
def _place(program, first, start, length, TAG: tl.constexpr, LANES: tl.constexpr):
    """The lanes (LANES,) of a program, its word, and where its numbers (rows, LANES) go: columns and which exist."""
    if TAG == 0:
        part, group = program % 4, program // 4
        row = part * 32 + tl.arange(0, 32)
        tile = 8192
    else:
        part, group = program * 0, program
        row = tl.arange(0, 4)
        tile = 256
    lane = first.to(tl.int64) + group.to(tl.int64) * LANES + tl.arange(0, LANES)
    index = ((lane // 64) * tile + lane % 64)[None, :] + (row * 64)[:, None]
    column = index - start
    return lane, part, column, (column >= 0) & (column < length)


@_jit
def _store(place, x, exists):
    """Write numbers, rounded to the nearest, ties to even."""
    kind: tl.constexpr = place.dtype.element_ty
    if kind == tl.bfloat16:  # by hand, since the interpreter's conversion rounds otherwise
        bits = x.to(tl.uint32, bitcast=True)
        bits = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        bits = tl.where(x == x, bits, 0x7FC0)  # a GPU's NaN has low bits, which would carry into the sign
        tl.store(place, bits.to(tl.uint16).to(tl.bfloat16, bitcast=True), mask=exists)
    else:
        tl.store(place, x.to(kind), mask=exists)


@_kernel
def _fill(
    out, n, stride, length, start, member, k0, k1, first, each,
    TAG: tl.constexpr, UNIT: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """out[r, c] = z[member + r, start + c]; `each` programs to a row."""
    r = tl.program_id(0) // each
    lane, part, column, exists = _place(tl.program_id(0) % each, first, start, length, TAG, LANES)
    z = _numbers(lane, part, member + r, k0, k1, TAG, UNIT)
    _store(out + r.to(tl.int64) * stride + column, z, exists)


@_kernel
def _add(
    out, length, start, member, k0, k1, first, scale,
    TAG: tl.constexpr, UNIT: tl.constexpr, LANES: tl.constexpr, WORK: tl.constexpr,
):  # fmt: skip
    """out[c] += scale * z[member, start + c], computed in the type WORK."""
    lane, part, column, exists = _place(tl.program_id(0), first, start, length, TAG, LANES)
    by = scale.to(tl.int64).to(tl.float64, bitcast=True).to(WORK)
    step = _numbers(lane, part, member, k0, k1, TAG, UNIT).to(WORK) * by
    x = tl.load(out + column, mask=exists).to(WORK)
    _store(out + column, x + step, exists)


@_kernel
def _combine(
    out, weights, n, length, start, member, k0, k1, first,
    TAG: tl.constexpr, UNIT: tl.constexpr, LANES: tl.constexpr, WORK: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """out[c] += sum over r, in order and from zero, of weights[r] * z[member + r, start + c]."""
    lane, part, column, exists = _place(tl.program_id(0), first, start, length, TAG, LANES)
    total = tl.zeros((ROWS, LANES), dtype=WORK)
    for r in range(n):
        z = _numbers(lane, part, member + r, k0, k1, TAG, UNIT)
        total += z.to(WORK) * tl.load(weights + r).to(WORK)
    x = tl.load(out + column, mask=exists).to(WORK)
    _store(out + column, x + total, exists)


def fill(out: Tensor, seed: int, law: Law, start: int, member: int) -> None:
    """As `reference.fill`."""
    n, stride = (1, 0) if out.dim() == 1 else (out.shape[0], out.stride(0))
    first, programs = _cover(law, start, out.shape[-1])
    place = (n, stride, out.shape[-1], start, _signed(member), *_halves(seed), first, programs)
    with _on(out):
        _fill[(programs * n,)](out, *place, law.tag, law.unit, _LANES[law], enable_fp_fusion=False)  # pyright: ignore[reportIndexIssue]
    increment_version(out)


def add(out: Tensor, seed: int, law: Law, scale: float, start: int, member: int) -> None:
    """As `reference.add`."""
    first, programs = _cover(law, start, out.shape[0])
    bits = struct.unpack("<q", struct.pack("<d", scale))[0]
    place = (out.shape[0], start, _signed(member), *_halves(seed), first, bits)
    with _on(out):
        _add[(programs,)](out, *place, law.tag, law.unit, _LANES[law], _work(out), enable_fp_fusion=False)  # pyright: ignore[reportIndexIssue]
    increment_version(out)


def shift(out: Tensor, source: Tensor, seed: int, law: Law, scale: float, start: int, member: int) -> None:
    """As `reference.shift`."""
    out.copy_(source)
    add(out, seed, law, scale, start, member)


def combine(out: Tensor, seed: int, law: Law, weights: Tensor, start: int, member: int) -> None:
    """As `reference.combine`."""
    first, programs = _cover(law, start, out.shape[0])
    place = (len(weights), out.shape[0], start, _signed(member), *_halves(seed), first)
    constants = (law.tag, law.unit, _LANES[law], _work(out), min(law.per_word * 4, 32))
    with _on(out):
        _combine[(programs,)](out, weights.to(out.device), *place, *constants, enable_fp_fusion=False)  # pyright: ignore[reportIndexIssue]
    increment_version(out)


def _cover(law: Law, start: int, length: int) -> tuple[int, int]:
    """The first lane of the tiles that hold these elements, and how many programs serve them."""
    tile = 64 * 4 * law.per_word
    lanes = ((start + length - 1) // tile - start // tile + 1) * 64
    return start // tile * 64, -(-lanes // _LANES[law]) * (4 if law is Law.SIGN else 1)


def _signed(word: int) -> int:
    """32 bits as a signed number, which Triton takes for an int32 whatever its value."""
    return (word ^ 2**31) - 2**31


def _halves(seed: int) -> tuple[int, int]:
    return _signed(seed & 0xFFFFFFFF), _signed(seed >> 32)


def _work(out: Tensor) -> Any:
    return tl.float64 if out.dtype == torch.float64 else tl.float32


def _on(out: Tensor) -> Any:
    """Triton launches on the current device, which need not be the tensor's."""
    return torch.cuda.device_of(out)
