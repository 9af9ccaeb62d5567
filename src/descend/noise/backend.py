"""The questions one may ask of the noise: checked here, once, and passed to the fastest back end that can answer.

Where the tensor is on a CPU and numba is installed (the extra `fast`), `cpu.py` answers, but for float16; on a GPU,
where Triton is installed (torch brings it along on Linux), `cuda.py`; everywhere else `reference.py`.  All give the
same bits.  The environment variable DESCEND_NOISE=reference, read at the first question, keeps to the reference.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from operator import index
from typing import Protocol

import torch
from torch import Tensor

from . import reference
from .law import Law

__all__ = ["add", "combine", "dot", "fill", "shift"]

_DTYPES = frozenset((torch.float64, torch.float32, torch.bfloat16, torch.float16))
_DOT = 2**17  # float64 numbers that `dot` holds at a time: 1 MB


class _Engine(Protocol):
    def fill(self, out: Tensor, seed: int, law: Law, start: int, member: int) -> None: ...
    def add(self, out: Tensor, seed: int, law: Law, scale: float, start: int, member: int) -> None: ...
    def shift(
        self, out: Tensor, source: Tensor, seed: int, law: Law, scale: float, start: int, member: int
    ) -> None: ...
    def combine(self, out: Tensor, seed: int, law: Law, weights: Tensor, start: int, member: int) -> None: ...


def fill(out: Tensor, seed: int, law: Law, *, start: int = 0, member: int = 0) -> Tensor:
    """Write directions into `out`: out[r, c] = z[member + r, start + c], rounded to the type of `out`.

    Args:
        out: (len,) or (n, len), float64, float32, bfloat16 or float16, on any device; each row contiguous in memory.
        seed: 64 bits: 0 <= seed < 2**64. A `Key` has one.
        law: the distribution of the entries.
        start: global index of the first column; however a vector is cut into calls, its numbers are the same.
        member: which of the directions that share the seed is the first row; 0 <= member, member + n <= 2**32.

    Returns:
        `out`.

    Raises:
        TypeError: `out` has another dtype, `law` is no `Law`, or a seed, start or member is no integer.
        ValueError: `out` has another shape or scattered rows; seed, start or member is out of range.

    >>> fill(torch.empty(2, 3), seed=7, law=Law.SIGN)
    tensor([[-1.,  1.,  1.],
            [ 1., -1.,  1.]])
    >>> fill(torch.empty(2), seed=7, law=Law.SIGN, start=1, member=1)
    tensor([-1.,  1.])
    """
    seed, start, member = _check(out, 2, seed, law, start, member)
    if out.numel():
        _engine(out).fill(out, seed, law, start, member)
    return out


def add(out: Tensor, seed: int, law: Law, scale: float, *, start: int = 0, member: int = 0) -> Tensor:
    """Step along a direction that is never held: out[c] += scale * z[member, start + c], in place.

    The product is rounded once and the sum once: both in float64 for a float64 `out`; otherwise in float32, where
    bfloat16 and float16 round the float32 sum to the nearest, ties to even. Autograd does not record it.

    Args:
        out: (len,), contiguous; dtypes, devices and the other arguments as in `fill`.
        scale: how far; rounded to float32 first unless `out` is float64.

    Returns:
        `out`.

    Raises:
        TypeError, ValueError: as `fill`.

    >>> add(torch.ones(3), 7, Law.SIGN, 0.5)
    tensor([0.5000, 1.5000, 1.5000])
    """
    seed, start, member = _check(out, 1, seed, law, start, member)
    if out.numel():
        _engine(out).add(out, seed, law, float(scale), start, member)
    return out


def shift(out: Tensor, source: Tensor, seed: int, law: Law, scale: float, *, start: int = 0, member: int = 0) -> Tensor:
    """A copy moved along a direction, made in one pass: out[c] = source[c] + scale * z[member, start + c].

    The numbers are those of a copy followed by `add`, bit for bit.

    Args:
        out: (len,), contiguous; dtypes, devices and the other arguments as in `add`.
        source: (len,), contiguous, on the same device; of a narrower dtype than `out`, or the same.

    Returns:
        `out`.

    Raises:
        TypeError, ValueError: as `add`; ValueError also where `source` is not a vector as long as `out`.

    >>> shift(torch.empty(3), torch.ones(3), 7, Law.SIGN, 0.5)
    tensor([0.5000, 1.5000, 1.5000])
    """
    if source.shape != out.shape or not source.is_contiguous():
        raise ValueError(f"source must be a contiguous vector of {len(out)} numbers, got shape {tuple(source.shape)}")
    seed, start, member = _check(out, 1, seed, law, start, member)
    if out.numel():
        _engine(out).shift(out, source, seed, law, float(scale), start, member)
    return out


def combine(
    out: Tensor, seed: int, law: Law, weights: Sequence[float] | Tensor, *, start: int = 0, member: int = 0
) -> Tensor:
    """Add a combination of directions: out[c] += sum over r of weights[r] * z[member + r, start + c], in place.

    The sum starts at zero and takes the members in order, each product and each sum rounded once, in float32 (in
    float64 for a float64 `out`), and is added to `out` with one rounding: the same bits on every back end.

    Args:
        out: (len,), contiguous; dtypes, devices and the other arguments as in `fill`.
        weights: (n,) numbers, taken as float64 and rounded to float32 unless `out` is float64.

    Returns:
        `out`.

    Raises:
        TypeError, ValueError: as `fill`; ValueError also where `weights` is not one-dimensional.

    >>> combine(torch.zeros(3), 7, Law.SIGN, [1.0, 0.25])
    tensor([-0.7500,  0.7500,  1.2500])
    """
    coefficients = torch.as_tensor(weights, dtype=torch.float64, device="cpu").contiguous()
    if coefficients.dim() != 1:
        raise ValueError(f"weights must be (n,), one number for each member, got shape {tuple(coefficients.shape)}")
    seed, start, member = _check(out, 1, seed, law, start, member, len(coefficients))
    if out.numel() and len(coefficients):
        _engine(out).combine(out, seed, law, coefficients, start, member)
    return out


def dot(x: Tensor, seed: int, law: Law, *, n: int, start: int = 0, member: int = 0) -> Tensor:
    """Inner products with directions that are never held: the sums over c of x[c] * z[member + r, start + c].

    Products and sums are float64, made in pieces of 1 MB; the order of a sum is the matrix product's, so the last bits
    may depend on the device.

    Args:
        x: (len,); dtypes, devices and the other arguments as in `fill`.
        n: how many members.

    Returns:
        (n,) float64, on the device of `x`.

    Raises:
        TypeError, ValueError: as `fill`; ValueError also for a negative `n`.

    >>> dot(torch.tensor([1.0, 2.0, 3.0]), 7, Law.SIGN, n=2)
    tensor([4., 2.], dtype=torch.float64)
    """
    n = _integer("n", n)
    if n < 0:
        raise ValueError(f"n must be the number of members, 0 or more, got {n}")
    seed, start, member = _check(x, 1, seed, law, start, member, n)
    result = torch.zeros(n, dtype=torch.float64, device=x.device)
    if not (n and len(x)):
        return result
    columns = min(len(x), _DOT)
    rows = min(n, _DOT // columns)
    z = torch.empty(rows * columns, dtype=torch.float64, device=x.device)
    with torch.no_grad():
        for c in range(0, len(x), columns):
            part = x[c : c + columns].double()
            for r in range(0, n, rows):
                some = z[: min(rows, n - r) * len(part)].view(-1, len(part))
                result[r : r + rows] += fill(some, seed, law, start=start + c, member=member + r) @ part
    return result


def _engine(out: Tensor) -> _Engine:
    """Who answers for this tensor."""
    fast = None
    if out.is_cpu:
        fast = _compiled() if out.dtype != torch.float16 else None
    elif out.is_cuda:
        fast = _triton()
    return reference if fast is None else fast


@cache
def _compiled() -> _Engine | None:
    """The numba back end, where it is installed and wanted."""
    if os.environ.get("DESCEND_NOISE") == "reference":
        return None
    try:
        from . import cpu
    except (ImportError, AttributeError):
        return None  # not installed, or an interrupted first import left half of numba behind
    return cpu


@cache
def _triton() -> _Engine | None:
    """The Triton back end, where it is installed and wanted."""
    if os.environ.get("DESCEND_NOISE") == "reference":
        return None
    try:
        from . import cuda
    except (ImportError, AttributeError):
        return None
    return cuda


def _check(
    out: Tensor, dims: int, seed: int, law: Law, start: int, member: int, members: int = 1
) -> tuple[int, int, int]:
    """Refuse what cannot be answered; the integers as plain integers. `out` may have 1 to `dims` dimensions."""
    if out.dtype not in _DTYPES:
        raise TypeError(f"directions are float64, float32, bfloat16 or float16 tensors, got {out.dtype}")
    if type(law) is not Law:
        raise TypeError(f"law must be Law.SIGN, Law.NORMAL or Law.UNIFORM, got {law!r}")
    seed, start, member = _integer("seed", seed), _integer("start", start), _integer("member", member)
    shape = out.shape
    if not 1 <= len(shape) <= dims:
        wanted = "(len,)" if dims == 1 else "(len,) or (n, len)"
        raise ValueError(f"expected a tensor of shape {wanted}, got shape {tuple(shape)}")
    length = shape[-1]
    if not out.is_contiguous():
        _check_rows(out)
    if len(shape) == 2:
        members = shape[0]
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed must be 64 bits, 0 <= seed < 2**64, got {seed}; write seed % 2**64")
    if start < 0 or start + length >= 2**63:
        raise ValueError(f"start must be an index, 0 <= start and start + {length} < 2**63, got {start}")
    if member < 0 or member + members > 2**32:
        raise ValueError(f"member must keep member + {members} within 2**32 and not be negative, got {member}")
    return seed, start, member


def _check_rows(out: Tensor) -> None:
    length, strides = out.shape[-1], out.stride()
    if (length > 1 and strides[-1] != 1) or (out.dim() == 2 and out.shape[0] > 1 and strides[0] < length):
        raise ValueError(
            f"the rows of a {tuple(out.shape)} tensor with strides {strides} are scattered or overlap in memory; "
            "pass a contiguous tensor and copy from it"
        )


def _integer(name: str, value: int) -> int:
    if type(value) is int:
        return value
    try:
        return int(index(value))
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
