"""The laws a direction may follow, and how a law's numbers are laid over counters: the frozen number format.

Every number is a pure function of (seed, member, global index i).  One call of Philox4x32-10 (Salmon, Moraes, Dror
and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011) gives four 32-bit words, and one *lane* is one call:

    key      k0 = seed mod 2^32        k1 = seed div 2^32
    counter  c0 = lane mod 2^32        c1 = lane div 2^32        c2 = member        c3 = the law's tag

Indices are cut into tiles, and a tile has 64 lanes (t * 64 + l is lane l of tile t).  A word serves `per_word`
elements, so a tile holds 64 * 4 * per_word of them:

    element (j * per_word + b) * 64 + l of tile t  uses word j of lane t * 64 + l

    SIGN     per_word = 32, tiles of 8192:  bit 31 - b of that word; set means -1, clear means +1
    NORMAL   per_word =  1, tiles of 256:   k * unit,  k = 512 * popcount(low 24 bits) + 2 * (high 8 bits) - 6399
    UNIFORM  per_word =  1, tiles of 256:   k * unit,  k = (the word read as a signed number, shifted right by 7) | 1

k is an odd integer that float32 holds exactly, and `unit` is one float32, so a value costs one rounding that IEEE
arithmetic defines: no logarithm, cosine or square root, which is why every back end can give the same bits.
Changing anything on this page changes every recorded run.
"""

from __future__ import annotations

import struct
from enum import Enum
from fractions import Fraction
from math import sqrt

__all__ = ["Law"]

LANES = 64
PHILOX_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
PHILOX_WEYL = (0x9E3779B9, 0xBB67AE85)
PHILOX_ROUNDS = 10


def _float32(value: float) -> float:
    """The float32 nearest to `value`, as a Python float."""
    return struct.unpack("<f", struct.pack("<f", value))[0]


# NORMAL: a binomial of 24 fair bits in steps of 512 (variance 24/4) plus a dither uniform on 256 levels in steps of 2
# (variance (256^2 - 1)/12), independent of each other; odd moments vanish by symmetry.
_BITS2, _BITS4 = 512**2 * Fraction(24, 4), 512**4 * Fraction(24 + 3 * 24 * 23, 16)
_DITHER2, _DITHER4 = Fraction(4 * (256**2 - 1), 12), Fraction(16 * (256**2 - 1) * (3 * 256**2 - 7), 240)
_NORMAL2 = _BITS2 + _DITHER2
_NORMAL4 = _BITS4 + 6 * _BITS2 * _DITHER2 + _DITHER4

# UNIFORM: the 2^24 odd integers between -2^24 and 2^24, equally likely.
_UNIFORM2 = Fraction(2**48 - 1, 3)
_UNIFORM4 = Fraction((2**48 - 1) * (3 * 2**48 - 7), 15)


class Law(Enum):
    """The distribution of the independent entries of a direction: mean 0, variance 1, symmetric.

    All odd moments are 0; `unit` is rounded to float32, which moves the others by less than one part in 10^6.

    ======= ======== ============= ======= =========================================================================
    law     variance fourth moment largest when
    ======= ======== ============= ======= =========================================================================
    SIGN    1        1             1       the default: one random bit an entry, and the least variance that
                                           independent entries can give an estimate along a random direction
    NORMAL  1        2.9187089...  5.067   where theory wants a Gaussian (whose fourth moment is 3); 6400 levels
    UNIFORM 1        9/5           1.732   bounded, with many levels: 2^24 on [-sqrt(3), sqrt(3)]
    ======= ======== ============= ======= =========================================================================

    `tag` is the counter word that keeps the laws' streams apart, `fourth_moment` is E z^4, `unit` the float32 constant
    that multiplies the integer of NORMAL and UNIFORM, `per_word` how many entries one 32-bit word serves.

    >>> [round(law.fourth_moment, 6) for law in Law], Law("sign") is Law.SIGN
    ([1.0, 2.918709, 1.8], True)
    """

    tag: int
    fourth_moment: float
    unit: float
    per_word: int

    SIGN = "sign", 0, Fraction(1), 1.0, 32
    NORMAL = "normal", 1, _NORMAL4 / _NORMAL2**2, _float32(1 / sqrt(_NORMAL2)), 1
    UNIFORM = "uniform", 2, _UNIFORM4 / _UNIFORM2**2, _float32(1 / sqrt(_UNIFORM2)), 1

    def __new__(cls, name: str, tag: int, fourth_moment: Fraction, unit: float, per_word: int) -> Law:
        law = object.__new__(cls)
        law._value_ = name
        # Plain attributes, not properties: a draw of two numbers reads them and should take microseconds.
        law.tag, law.fourth_moment, law.unit, law.per_word = tag, float(fourth_moment), unit, per_word
        return law
