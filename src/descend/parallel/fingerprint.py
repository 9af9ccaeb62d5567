"""A 64-bit hash of parameters, made on their device: one number leaves it.

h = sum_c P^(C - c) sum_i w_i b_ci  mod 2^64, with b the bit patterns of the elements as integers, cut into chunks c,
w fixed odd numbers and P an odd number. Odd numbers have an inverse mod 2^64, so a change of one element always changes
h; other changes go unseen once in about 2^64 (Carter and Wegman 1979, "Universal classes of hash functions"). A
cryptographic hash was not taken: it would need the parameters on the CPU, and nobody attacks.
"""

from collections.abc import Iterable
from functools import lru_cache

import torch
from torch import Tensor

from descend.key import Key

__all__ = ["fingerprint"]

_CHUNK = 2**16  # elements; three chunks of 64-bit integers stay in cache
_P = 0x9E3779B97F4A7C15 - 2**64
_WORDS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


@lru_cache(maxsize=16)
def _multipliers(device: torch.device) -> Tensor:
    """The odd numbers w: (_CHUNK,) int64."""
    drawn = Key(0).fold("fingerprint").integers(0, 2**63 - 1, _CHUNK)
    return (drawn * 2 + 1).to(device)


def fingerprint(tensors: Iterable[Tensor]) -> int:
    """The hash of the bits of these tensors, in order, an integer in [0, 2**64).

    Args:
        tensors: floating point, any shapes, all on one device. They are only read.

    >>> a, b = torch.zeros(3), torch.tensor([0.0, 0.0, -0.0])
    >>> fingerprint([a]) == fingerprint([a.clone()]), fingerprint([a]) == fingerprint([b])
    (True, False)
    """
    total: Tensor | None = None
    for tensor in tensors:
        bits = tensor.detach().reshape(-1).view(_WORDS[tensor.element_size()])
        multipliers = _multipliers(bits.device)
        for start in range(0, bits.numel(), _CHUNK):
            piece = bits[start : start + _CHUNK].to(torch.int64)  # integers wrap around, on every device
            part = (piece * multipliers[: piece.numel()]).sum()  # not in place: 64-bit elements are not copied above
            total = part if total is None else total * _P + part
    return 0 if total is None else int(total) % 2**64
