"""The numbers in plain torch integers, on any device: this file defines them, every other back end reproduces it.

Layout and laws stand in `law.py`, Philox in Salmon et al. 2011, section 3.3: the counter words c0 and c2, which are
multiplied, are the two rows of `hi`; c1 and c3 are the two rows of `lo`; k0 and k1 are the two rows of a key.  torch
has no unsigned arithmetic, so 32-bit words travel in int64.

Small calls cost what the number of torch calls costs, large ones what memory costs; so Philox runs on up to 2^14 lanes
at a time, its words become numbers in pieces of up to 2^17, and all temporaries together stay within about 2 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from math import copysign

import torch
from torch import Tensor

from .law import LANES, PHILOX_MULTIPLIERS, PHILOX_ROUNDS, PHILOX_WEYL, Law

__all__ = ["add", "combine", "fill", "shift"]

_BLOCK = 2**14  # lanes that one run of Philox serves
_PIECE = 2**17  # numbers made at a time

# Scalar tensors, because torch wraps a Python number anew in every call; on other devices they act as numbers.
_M0, _M1 = (torch.tensor(m, dtype=torch.int64, device="cpu") for m in PHILOX_MULTIPLIERS)
_MASK = torch.tensor(0xFFFFFFFF, dtype=torch.int64, device="cpu")
_HALF = torch.tensor(32, dtype=torch.int64, device="cpu")


def fill(out: Tensor, seed: int, law: Law, start: int, member: int) -> None:
    """out[r, c] = z[member + r, start + c]; `out` is (n, len), or (len,) for one member."""
    with torch.no_grad():
        out = out if out.dim() == 2 else out.unsqueeze(0)
        for columns in _blocks(start, out.shape[1], _BLOCK * 4 * law.per_word):
            for rows, part, z in _pieces(out.shape[0], columns, seed, law, member, out.device):
                out[rows, part.start - start : part.stop - start] = z


def add(out: Tensor, seed: int, law: Law, scale: float, start: int, member: int) -> None:
    """out[c] += scale * z[member, start + c]; `out` is (len,)."""
    with torch.no_grad():
        for columns in _blocks(start, out.shape[0], _BLOCK * 4 * law.per_word):
            if law is Law.SIGN and out.dtype != torch.float64:  # a product with a sign is exact
                for _, part, step in _pieces(1, columns, seed, law, member, out.device, scale):
                    _increase(out[part.start - start : part.stop - start], step[0])
                continue
            for _, part, z in _pieces(1, columns, seed, law, member, out.device):
                _increase(out[part.start - start : part.stop - start], _working(z[0], out).mul_(scale))


def shift(out: Tensor, source: Tensor, seed: int, law: Law, scale: float, start: int, member: int) -> None:
    """out[c] = source[c] + scale * z[member, start + c]; both are (len,)."""
    out.copy_(source)
    add(out, seed, law, scale, start, member)


def combine(out: Tensor, seed: int, law: Law, weights: Tensor, start: int, member: int) -> None:
    """out[c] += sum over r, in order and from zero, of weights[r] * z[member + r, start + c]; `out` is (len,)."""
    with torch.no_grad():
        for columns in _blocks(start, out.shape[0], min(_PIECE, _BLOCK * 4 * law.per_word)):
            total = _working(torch.zeros(len(columns), dtype=torch.float32, device=out.device), out)
            for rows, part, z in _pieces(len(weights), columns, seed, law, member, out.device):
                target = total[part.start - columns.start : part.stop - columns.start]
                for weight, row in zip(weights[rows].tolist(), _working(z, out).unbind(0), strict=True):
                    target.add_(row.mul_(weight))  # not add_(row, alpha=weight), which may round once for both
            _increase(out[columns.start - start : columns.stop - start], total)


def _working(z: Tensor, out: Tensor) -> Tensor:
    """`z` in the type sums are made in: float64 for float64, float32 for everything narrower."""
    return z.double() if out.dtype == torch.float64 else z


def _increase(target: Tensor, increment: Tensor) -> None:
    """target += increment, computed in the increment's type and rounded to the target's type once."""
    if target.dtype == increment.dtype:
        target.add_(increment)
    else:
        target.copy_(increment.add_(target))


def _blocks(start: int, length: int, size: int) -> Iterator[range]:
    """The indices [start, start + length), cut at the multiples of `size`."""
    cuts = range(start - start % size + size, start + length, size)
    if length:
        yield from (range(a, b) for a, b in pairwise((start, *cuts, start + length)))


def _pieces(
    n: int, columns: range, seed: int, law: Law, member: int, device: torch.device, scale: float = 1.0
) -> Iterator[tuple[slice, range, Tensor]]:
    """The float32 numbers of members member..member + n at `columns`: (rows, columns, z of that shape).

    `columns` lie in one block.  Each member's columns come in order, and so do a column's members.  What is yielded is
    void when the next comes.  Signs come times `scale`, the other laws are not scaled.
    """
    first, last = columns.start // LANES, (columns.stop - 1) // LANES  # rows of 64: one bit, or word, of all lanes
    word, words = first // law.per_word, last // law.per_word - first // law.per_word + 1
    tile, tiles = word // 4, last // (4 * law.per_word) - word // 4 + 1
    lanes, origin = range(tile * LANES, (tile + tiles) * LANES), word * law.per_word * LANES
    shifts = range(law.per_word)
    if words == 1:  # a short vector: only the bits it needs
        shifts, origin = range(first % law.per_word, last % law.per_word + 1), first * LANES
    if first == last:  # a very short one: only the lanes it needs
        lanes = range(lanes.start + columns.start % LANES, lanes.start + (columns.stop - 1) % LANES + 1)
        origin = columns.start
    per_word = len(shifts) * min(len(lanes), LANES)  # numbers made from a word of every lane
    group = max(1, _BLOCK // len(lanes))
    rows_step, words_step = max(1, _PIECE // (words * per_word)), max(1, _PIECE // per_word)
    make = _signs(shifts, scale, device) if law is Law.SIGN else lambda bits: _numbers(bits, law)
    for a in range(0, n, group):
        bits = _words(seed, law, range(member + a, member + min(n, a + group)), lanes, word % 4, words, device)
        for r in range(0, bits.shape[0], rows_step):
            for q in range(0, words, words_step):
                z = make(bits[r : r + rows_step, q : q + words_step])
                base = origin + q * per_word
                part = range(max(base, columns.start), min(base + z.shape[1], columns.stop))
                yield slice(a + r, a + r + z.shape[0]), part, z[:, part.start - base : part.stop - base]


def _signs(shifts: range, scale: float, device: torch.device) -> Callable[[Tensor], Tensor]:
    """What makes `scale` times the signs at `shifts` of int32 words (members, words, lanes): (members, rest) float32.

    It takes two passes, over memory that is used again: page faults of new memory would cost as much as a pass.
    """
    by = torch.arange(shifts.start, shifts.stop, dtype=torch.int32, device=device).unsqueeze(1)
    size = torch.tensor(abs(scale), dtype=torch.float32, device=device)
    room = torch.empty(0, dtype=torch.int32, device=device)

    def make(bits: Tensor) -> Tensor:
        nonlocal room
        n, words, lanes = bits.shape
        count = bits.numel() * len(by)
        room = room if room.numel() >= count else room.new_empty(count)
        out = room[:count].view(n, words, len(by), lanes)
        bits = bits.bitwise_not() if copysign(1.0, scale) < 0 else bits
        signed = torch.bitwise_left_shift(bits.unsqueeze(2), by, out=out).view(torch.float32)
        return torch.copysign(size, signed, out=signed).view(n, -1)

    return make


def _numbers(bits: Tensor, law: Law) -> Tensor:
    """float32 numbers (members, words * lanes) of int32 words (members, words, lanes)."""
    bits = bits.reshape(bits.shape[0], -1)
    if law is Law.UNIFORM:
        return ((bits >> 7) | 1).float().mul_(law.unit)
    x = bits & 0xFFFFFF  # the population count of 24 bits: of pairs, of fours, of bytes, of all three bytes
    x -= (x >> 1) & 0x555555
    x = (x & 0x333333).add_((x >> 2) & 0x333333)
    x = (x + (x >> 4)) & 0x0F0F0F
    x = (x * 0x01010100) >> 24
    return (x << 9).add_((bits >> 23) & 0x1FE).sub_(6399).float().mul_(law.unit)


def _words(seed: int, law: Law, members: range, lanes: range, word: int, words: int, device: torch.device) -> Tensor:
    """Words word..word + words, counted over the tiles of `lanes`: int32 (members, words, lanes of a tile)."""
    n, width = len(members), min(len(lanes), LANES)
    hi = torch.empty((2, n, len(lanes)), dtype=torch.int64, device=device)
    hi[0] = torch.arange(lanes.start % 2**32, lanes.start % 2**32 + len(lanes), device=device)
    hi[1] = torch.arange(members.start, members.stop, device=device).unsqueeze(1)
    # c1 and c3 are the same for all lanes of a block, since 2^32 is a multiple of it, and enter as c1 ^ k0, c3 ^ k1.
    hi, lo = _philox(hi, seed % 2**32, seed >> 32, lanes.start >> 32, law.tag)
    four = hi[0], lo[0], hi[1], lo[1]
    if words == 1:
        return four[word].to(torch.int32).unsqueeze(1)
    all_words = torch.empty((n, len(lanes) // width, 4, width), dtype=torch.int32, device=device)
    for j in range(4):
        all_words[:, :, j] = four[j].view(n, -1, width)
    return all_words.flatten(1, 2)[:, word : word + words]


def _philox(hi: Tensor, k0: int, k1: int, c1: int, c3: int) -> tuple[Tensor, Tensor]:
    """Philox4x32-10 of the counters (hi[0], c1, hi[1], c3), int64 (2, members, lanes): `hi` (consumed) and `lo`.

    Only the low 32 bits of the `lo` that comes out mean anything.
    """
    (w0, w1), rounds = PHILOX_WEYL, range(PHILOX_ROUNDS)
    keys = [((k0 + r * w0) % 2**32, (k1 + r * w1) % 2**32) for r in rounds]
    keys[0] = keys[0][0] ^ c1, keys[0][1] ^ c3
    c0, c2 = hi.unbind(0)
    halves = [torch.empty_like(hi) for _ in range(2)]  # in turn: the products of one round hold the lo of the next
    products = [(half, *half.unbind(0)) for half in halves]
    lo = halves[1]
    for r, key in enumerate(torch.tensor(keys, device=hi.device).view(-1, 2, 1, 1).unbind(0)):
        product, p1, p0 = products[r % 2]
        # c0' = high(p1) ^ c1 ^ k0,  c1' = low(p1),  c2' = high(p0) ^ c3 ^ k1,  c3' = low(p0)
        torch.mul(c2, _M1, out=p1)
        torch.mul(c0, _M0, out=p0)
        torch.bitwise_right_shift(product, _HALF, out=hi)
        if r:  # the first round's lo is in its key
            hi.bitwise_xor_(lo)
        hi.bitwise_xor_(key).bitwise_and_(_MASK)
        lo = product
    return hi, lo
