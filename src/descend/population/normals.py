"""Standard normal numbers by running number: row i of a stream is a function of the stream's key and i alone.

Rows are made a block at a time, because a generator costs more than a small generation's numbers, and the last blocks
are remembered. Nothing depends on what is remembered, so a state need not hold it: a resumed run makes them again.
They are drawn in float32 whatever the dtype: torch takes six times as long for float64, and no search needs its tails.
"""

from functools import lru_cache

import torch
from torch import Tensor

from descend.key import Key

__all__ = ["normals"]

_BLOCK = 2**14
"""Numbers in a block; 64 blocks of float64 take 8 MB."""


def normals(key: Key, first: int, n: int, like: Tensor) -> Tensor:
    """Rows first .. first + n - 1 of a key's stream, (n, d) for points like `like` (d,). They are not to be written to.

    >>> x, key = torch.zeros(3), Key(0)
    >>> torch.equal(normals(key, 0, 8, x)[5:], normals(key, 5, 3, x))
    True
    """
    d = like.shape[0]
    rows = _BLOCK // d
    if rows < 1:  # a row of its own is nothing to remember
        single = like.new_empty(0, dtype=torch.float32)
        return torch.stack([key.fold(i).normal(d, like=single).to(like.dtype) for i in range(first, first + n)])
    block, offset = divmod(first, rows)
    stop = offset + n
    if stop <= rows:
        return _block(key.seed, block, rows, d, like.dtype, like.device)[offset:stop]
    pieces = []
    while n > 0:
        made = _block(key.seed, block, rows, d, like.dtype, like.device)[offset : offset + n]
        pieces.append(made)
        block, offset, n = block + 1, 0, n - len(made)
    return torch.cat(pieces)


@lru_cache(maxsize=64)
def _block(seed: int, block: int, rows: int, d: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    generator = Key(seed).fold(block).generator(device)
    return torch.randn(rows, d, generator=generator, dtype=torch.float32, device=device).to(dtype)
