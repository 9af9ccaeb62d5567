"""Randomness as a value: a key is an immutable 64-bit seed, and folding a tag into it gives an independent one.

Mixing is the SplitMix64 finalizer (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators");
text is hashed with BLAKE2b first, so ``fold(1)`` and ``fold("1")`` differ.
"""

import secrets
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

import torch
from torch import Tensor

from descend.errors import InvalidValue

__all__ = ["Key", "as_key"]

_MASK = 2**64 - 1


def _mix(z: int) -> int:
    """SplitMix64's finalizer: a bijection of 64-bit integers that scatters neighbours."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


@lru_cache(maxsize=4096)
def _digest(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True)
class Key:
    """An immutable 64-bit seed, the only source of randomness in descend.

    Args:
        seed: an integer in [0, 2**64).

    Raises:
        InvalidValue: the seed is not such an integer.

    >>> key = Key(0)
    >>> key.fold("noise") == key.fold("noise"), key.fold(1) == key.fold(2)
    (True, False)
    """

    seed: int

    def __post_init__(self) -> None:
        if type(self.seed) is not int or not 0 <= self.seed <= _MASK:
            raise InvalidValue(
                f"a Key needs an integer seed in [0, 2**64), got {self.seed!r}; write Key(0), or Key.fresh()"
            )

    @staticmethod
    def fresh() -> "Key":
        """A key from the operating system's entropy; keep it to repeat the run."""
        return Key(secrets.randbits(63))

    def fold(self, *tags: int | str) -> "Key":
        """An independent key for these tags; the same tags give the same key.

        >>> Key(7).fold("a", 3) == Key(7).fold("a").fold(3)
        True
        """
        seed = self.seed
        for tag in tags:
            # text and integers live in two disjoint halves: + 1 keeps fold(0) away from the identity
            word = _digest(tag) if isinstance(tag, str) else (tag * 0x9E3779B97F4A7C15 + 1) & _MASK
            seed = _mix(((seed ^ word) + 0x9E3779B97F4A7C15) & _MASK)
        return Key(seed)

    def generator(self, device: torch.device | str = "cpu") -> torch.Generator:
        """A torch generator of its own, seeded with this key, on the given device."""
        return torch.Generator(device).manual_seed(self.seed & (2**63 - 1))

    def normal(self, *shape: int, like: Tensor) -> Tensor:
        """Standard normal numbers of this shape, in the dtype and on the device of `like`."""
        return torch.randn(shape, generator=self.generator(like.device), dtype=like.dtype, device=like.device)

    def uniform(self, *shape: int, like: Tensor) -> Tensor:
        """Uniform numbers on [0, 1) of this shape, in the dtype and on the device of `like`."""
        return torch.rand(shape, generator=self.generator(like.device), dtype=like.dtype, device=like.device)

    def permutation(self, n: int) -> Tensor:
        """A random permutation of 0..n-1, an int64 tensor on the CPU."""
        return torch.randperm(n, generator=self.generator())

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Integers uniform on [low, high) of this shape, an int64 tensor on the CPU."""
        return torch.randint(low, high, shape, generator=self.generator())


def as_key(key: Key | int | None) -> Key:
    """What a user may write for a key: a `Key`, an integer, or None for fresh entropy.

    >>> as_key(3)
    Key(seed=3)
    """
    if key is None:
        return Key.fresh()
    return key if isinstance(key, Key) else Key(key)
