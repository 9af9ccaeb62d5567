"""The questions one may ask of the noise, checked once, and who answers them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from operator import index
from types import ModuleType

import torch
from torch import Tensor

from . import reference
from .law import Law

_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
_DOT_ELEMENTS = 2**17  # float64 numbers `dot` holds at a time: 1 MB


def fill(out: Tensor, seed: int, law: Law, *, start: int = 0, member: int = 0) -> Tensor:
    """Write directions into `out` and return it.

    Args:
        out: (len,) or (n, len); float64, float32, bfloat16 or float16; any device; rows contiguous. Row r receives
            z[start : start + len] of member `member + r`, rounded to the type of `out`.
        seed: 64 bits, 0 <= seed < 2**64.
        law: the distribution of the entries.
        start: global index of the first column, so that any cut of a long vector gives the same numbers.
        member: which direction of a block of directions that share a seed, 0 <= member, member + n <= 2**32.

    Raises:
        TypeError: wrong dtype, a law that is no `Law`, a seed, start or member that is no integer.
        ValueError: wrong shape or strides; seed, start or member out of range.

    >>> fill(torch.empty(4), 0, Law.SIGN)
    """
    _check(out, seed, law, start, member)
    if out.dim() == 1:
        _answerer(out).fill(out.unsqueeze(0), seed, law, start, member)
    else:
        _answerer(out).fill(out, seed, law, start, member)
    return out


def add(out: Tensor, seed: int, law: Law, scale: float, *, start: int = 0, member: int = 0) -> Tensor:
    _check(out, seed, law, start, member)
    _answerer(out).add(out, seed, law, scale, start, member)
    return out


def combine(out: Tensor, seed: int, law: Law, weights: Sequence[float] | Tensor, *, start: int = 0, member: int = 0) -> Tensor:
    _check(out, seed, law, start, member)
    w = weights.tolist() if isinstance(weights, Tensor) else list(weights)
    _answerer(out).combine(out, seed, law, w, start, member)
    return out


def dot(x: Tensor, seed: int, law: Law, *, n: int, start: int = 0, member: int = 0) -> Tensor:
    result = torch.zeros(n, dtype=torch.float64, device=x.device)
    width = min(len(x), _DOT_ELEMENTS)
    for r in range(n):
        for c in range(0, len(x), max(1, width)):
            part = x[c : c + width].double()
            result[r] += fill(torch.empty_like(part), seed, law, start=start + c, member=member + r) @ part
    return result


def _check(*args): ...


def _answerer(out):
    return reference
