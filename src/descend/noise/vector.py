"""What the compiler has instructions for and Python no words: the intrinsics of `cpu.py`.

The important one is a sweep: rows of random numbers, times a scale, are added to memory in vectors of 16 lanes, and
the numbers never leave the registers.  Written as loops, the same takes twice as long and is at the mercy of the
compiler's vectorizer.  Where a processor has narrower registers, the compiler cuts the vectors.

numba caches the kernels of a file until that file changes: after an edit here, touch the files that import this one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = [
    "address_of",
    "bits_of",
    "float_of",
    "floor",
    "pointer",
    "popcount",
    "prefetch",
    "scratch",
    "shift_signs",
    "sweeper",
]

AHEAD = 8192  # bytes ahead of the row at work that memory is asked for, lest a long sweep wait for it a fifth longer
_LANES = 16
_BYTE, _HALF, _WORD, _FLOAT = ir.IntType(8), ir.IntType(16), ir.IntType(32), ir.FloatType()
_BYTES = _BYTE.as_pointer()
_HALVES, _WORDS, _FLOATS = (ir.VectorType(kind, _LANES) for kind in (_HALF, _WORD, _FLOAT))


def _intrinsic(generator: Callable[..., Any]) -> Callable[..., Any]:
    return intrinsic(generator)


@_intrinsic
def pointer(_typing: Any, _address: Any) -> Any:
    """An address as something `carray` takes."""
    return types.voidptr(types.int64), lambda _, b, __, args: b.inttoptr(args[0], _BYTES)


@_intrinsic
def address_of(_typing: Any, _pointer: Any) -> Any:
    return types.int64(types.voidptr), lambda _, b, __, args: b.ptrtoint(args[0], ir.IntType(64))


@_intrinsic
def scratch(_typing: Any) -> Any:
    """A kilobyte of the kernel's own stack."""

    def generate(_: Any, b: Any, __: Any, ___: Any) -> Any:
        with b.goto_entry_block():
            place = b.alloca(ir.ArrayType(_BYTE, 1024))
            place.align = 64
        return b.bitcast(place, _BYTES)

    return types.voidptr(), generate


@_intrinsic
def prefetch(_typing: Any, _address: Any) -> Any:
    """Ask memory for the cache line at an address, to write it; an address outside the tensor does no harm."""

    def generate(context: Any, b: Any, _: Any, args: Any) -> Any:
        _ask(b, b.inttoptr(args[0], _BYTES))
        return context.get_dummy_value()

    return types.void(types.int64), generate


@_intrinsic
def popcount(_typing: Any, _word: Any) -> Any:
    return types.uint32(types.uint32), lambda _, b, __, args: b.ctpop(args[0])


@_intrinsic
def float_of(_typing: Any, _bits: Any) -> Any:
    return types.float32(types.uint32), lambda _, b, __, args: b.bitcast(args[0], _FLOAT)


@_intrinsic
def bits_of(_typing: Any, _number: Any) -> Any:
    return types.uint32(types.float32), lambda _, b, __, args: b.bitcast(args[0], _WORD)


@_intrinsic
def floor(_typing: Any, _number: Any) -> Any:
    def generate(_: Any, b: Any, __: Any, args: Any) -> Any:
        call = b.module.declare_intrinsic("llvm.floor", [_FLOAT], ir.FunctionType(_FLOAT, [_FLOAT]))
        return b.call(call, args)

    return types.float32(types.float32), generate


def sweeper(law: str, narrow: bool) -> Callable[..., None]:
    """An intrinsic that adds scale * z to whole rows: sweep(address, words, first, last, scale, unit).

    address: of the first row's first number, float32, or bfloat16 if `narrow`.
    words: address of the 64 words whose bits first..last (sign) are the rows, or of the 64 words of row 0.
    """

    @_intrinsic
    def sweep(_typing: Any, _address: Any, _words: Any, _first: Any, _last: Any, _scale: Any, _unit: Any) -> Any:
        def generate(context: Any, b: Any, _: Any, args: Any) -> Any:
            address, words, first, last, scale, unit = args
            at, source, size = b.inttoptr(address, _BYTES), b.inttoptr(words, _BYTES), 2 if narrow else 4
            first, last = b.trunc(first, _WORD), b.trunc(last, _WORD)
            by_scale, by_unit = _splat(b, scale, _FLOATS), _splat(b, unit, _FLOATS)
            shared = [_load(b, source, g, _WORDS) for g in range(4)] if law == "sign" else []
            with cgutils.for_range_slice(b, first, last, _WORD(1)) as (row, _):
                place = b.gep(at, [b.mul(b.sub(row, first), _WORD(64 * size))])
                for line in range(size):
                    _ask(b, b.gep(place, [_WORD(AHEAD + 64 * line)]))
                for g in range(4):
                    if law == "sign":
                        signs = b.and_(b.shl(shared[g], _splat(b, row, _WORDS)), _all(1 << 31))
                        step = b.bitcast(b.xor(signs, b.bitcast(by_scale, _WORDS)), _FLOATS)
                    else:
                        word = _load(b, b.gep(source, [b.mul(row, _WORD(256))]), g, _WORDS)
                        step = b.fmul(by_scale, b.fmul(b.sitofp(_integers(b, word, law), _FLOATS), by_unit))
                    (_increase_narrow if narrow else _increase)(b, place, g, step)
            return context.get_dummy_value()

        index = types.int64
        return types.void(index, index, index, index, types.float32, types.float32), generate

    return sweep


@_intrinsic
def shift_signs(_typing: Any, _address: Any, _source: Any, _words: Any, _first: Any, _last: Any, _scale: Any) -> Any:
    """As a sweep of signs over float32, of the sum of what stands at a source and scale * z, written to an address."""

    def generate(context: Any, b: Any, _: Any, args: Any) -> Any:
        at, source, words = (b.inttoptr(place, _BYTES) for place in args[:3])
        first, last = b.trunc(args[3], _WORD), b.trunc(args[4], _WORD)
        scale = b.bitcast(_splat(b, args[5], _FLOATS), _WORDS)
        shared = [_load(b, words, g, _WORDS) for g in range(4)]
        with cgutils.for_range_slice(b, first, last, _WORD(1)) as (row, _):
            offset = b.mul(b.sub(row, first), _WORD(256))
            for line in range(4):
                _ask(b, b.gep(source, [b.add(offset, _WORD(AHEAD + 64 * line))]), write=0)
            for g in range(4):
                signs = b.and_(b.shl(shared[g], _splat(b, row, _WORDS)), _all(1 << 31))
                moved = b.fadd(_load(b, b.gep(source, [offset]), g, _FLOATS), b.bitcast(b.xor(signs, scale), _FLOATS))
                _store(b, moved, b.gep(at, [offset]), g, _FLOATS)
        return context.get_dummy_value()

    index = types.int64
    return types.void(index, index, index, index, index, types.float32), generate


def _integers(b: Any, word: Any, law: str) -> Any:
    """The integers k of `law.py`."""
    if law == "uniform":
        return b.or_(b.ashr(word, _all(7)), _all(1))
    kind = ir.FunctionType(_WORDS, [_WORDS])
    ctpop = cgutils.get_or_insert_function(b.module, kind, f"llvm.ctpop.v{_LANES}i32")
    count = b.call(ctpop, [b.and_(word, _all(0xFFFFFF))])
    return b.sub(b.add(b.shl(count, _all(9)), b.and_(b.lshr(word, _all(23)), _all(0x1FE))), _all(6399))


def _increase(b: Any, place: Any, group: int, step: Any) -> None:
    _store(b, b.fadd(_load(b, place, group, _FLOATS), step), place, group, _FLOATS)


def _increase_narrow(b: Any, place: Any, group: int, step: Any) -> None:
    """As `cpu._bfloat` rounds."""
    x = b.bitcast(b.shl(b.zext(_load(b, place, group, _HALVES), _WORDS), _all(16)), _FLOATS)
    x = b.bitcast(b.fadd(x, step), _WORDS)
    x = b.add(x, b.add(_all(0x7FFF), b.and_(b.lshr(x, _all(16)), _all(1))))
    _store(b, b.trunc(b.lshr(x, _all(16)), _HALVES), place, group, _HALVES)


def _ask(b: Any, place: Any, write: int = 1) -> None:
    call = b.module.declare_intrinsic("llvm.prefetch", [_BYTES], ir.FunctionType(ir.VoidType(), [_BYTES, *[_WORD] * 3]))
    b.call(call, [place, _WORD(write), _WORD(3), _WORD(1)])  # to write or read, to keep, data


def _all(value: int) -> Any:
    return _WORDS([value] * _LANES)


def _splat(b: Any, value: Any, kind: Any) -> Any:
    one = b.insert_element(kind(ir.Undefined), value, _WORD(0))
    return b.shuffle_vector(one, kind(ir.Undefined), _all(0))


def _place(b: Any, base: Any, group: int, kind: Any) -> tuple[Any, int]:
    """Where the vector number `group` stands, and the bytes of one of its elements."""
    size = 2 if kind == _HALVES else 4
    return b.bitcast(b.gep(base, [_WORD(group * _LANES * size)]), kind.as_pointer()), size


def _load(b: Any, base: Any, group: int, kind: Any) -> Any:
    place, align = _place(b, base, group, kind)
    return b.load(place, align=align)


def _store(b: Any, value: Any, base: Any, group: int, kind: Any) -> None:
    place, align = _place(b, base, group, kind)
    b.store(value, place, align=align)
