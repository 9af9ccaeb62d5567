"""Filling a space with points that wait for no answers: at random, in strata, or along an even sequence.

Points come in blocks, and each is a function of the key and of its number only, whoever asks for how many at a time.
McKay, Beckman, Conover (1979), "A comparison of three methods for selecting values of input variables ..." (Latin
hypercubes); Sobol (1967), scrambled by Owen's nested permutations restricted to linear ones (Matousek 1998); Halton
(1960) with digits permuted at random (Owen 2017, "A randomized Halton algorithm in R").
"""

import math
from abc import abstractmethod
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.base import AskTell, Searching, check_point, found, whole
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["Filling", "FillingState", "Halton", "LatinHypercube", "Sobol", "Uniform", "spread"]


@state
class FillingState(Searching):
    """Where a design stands: the fields of `Search`; start (d,), about which unbounded coordinates spread; block (m,
    d), the points that come next, the first of which has the number `first`."""

    start: Tensor
    block: Tensor
    first: int


class Filling(AskTell[FillingState]):
    """Base of the endless designs: a subclass says where the points of a block lie in the unit cube.

    Attributes:
        size: how many points are asked at once by default.
    """

    size: int

    @property
    def rows(self) -> int:
        """How many points a block has."""
        return 256

    @abstractmethod
    def cube(self, block: int, key: Key, d: int) -> Tensor:
        """The points (rows, d) float64 on the CPU of a block, in the unit cube."""

    def check(self, d: int) -> None:
        """Refuse a dimension that cannot be filled so."""

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> FillingState:
        domain = check_point(x, domain)
        self.check(x.numel())
        return FillingState(x, math.nan, math.nan, 0, 0, 0, key, domain, "", x, x.new_zeros(0, x.numel()), 0)

    def ask(self, state: FillingState, n: int | None = None) -> tuple[FillingState, Tensor]:
        n = self.size if n is None else n
        parts, taken, block, first = [], 0, state.block, state.first
        while taken < n:
            place = state.asked + taken - first
            if place >= len(block):
                number, place = divmod(state.asked + taken, self.rows)
                first = number * self.rows
                block = spread(self.cube(number, state.key, state.domain.dim), state.start, state.domain)
            parts.append(block[place : place + n - taken])
            taken += len(parts[-1])
        xs = torch.cat(parts) if parts else block[:0]
        return _after(state, state.t, state.asked + n, block, first), xs

    def tell(self, state: FillingState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> FillingState:
        at = found(state, xs, losses)
        return FillingState(
            at.x, at.value, at.loss, at.rejected, state.t + 1, state.asked, state.key, state.domain, "",
            state.start, state.block, state.first,
        )  # fmt: skip


def _after(state: FillingState, t: int, asked: int, block: Tensor, first: int) -> FillingState:
    return FillingState(
        state.x,
        state.value,
        state.loss,
        state.rejected,
        t,
        asked,
        state.key,
        state.domain,
        "",
        state.start,
        block,
        first,
    )


def spread(cube: Tensor, about: Tensor, domain: Domain) -> Tensor:
    """Points (n, d) of the unit cube as points of a domain: uniform between two sides, and in the middle of cells;
    where a side is missing normal about `about` (d,) with the typical length, and mirrored."""
    narrow = torch.finfo(about.dtype).eps
    cube = cube.to(about)
    between = domain.lower + (domain.upper - domain.lower) * cube
    if not bool(domain.upper.sub(domain.lower).isfinite().all()):
        normal = torch.special.ndtri(cube.clamp(narrow, 1 - narrow))
        outside = domain.mirror(about + domain.scale * normal)
        between = torch.where((domain.upper - domain.lower).isfinite(), between, outside)
    return domain.centre(domain.clip(between))


@dataclass(frozen=True)
class Uniform(Filling):
    """Independent points, uniform in the domain: what every method has to beat.

    Args:
        size: at least 1, how many are asked at once by default; default 32.

    Coordinates without two sides are normal about the start, with the typical length.

    Raises:
        InvalidValue: size is not a whole number >= 1.

    >>> method, x = Uniform(), torch.zeros(2)
    >>> state = method.init(x, Key(0), Domain.box(x, x + 1))
    >>> state, xs = method.ask(state, 3)
    >>> xs.shape, bool((xs >= 0).all()), bool((xs <= 1).all())
    (torch.Size([3, 2]), True, True)
    """

    size: int = 32

    def __post_init__(self) -> None:
        whole(self, "size", self.size, 1, 32)

    def cube(self, block: int, key: Key, d: int) -> Tensor:
        return key.fold("uniform", block).uniform(self.rows, d, like=torch.empty(0, dtype=torch.float64))


@dataclass(frozen=True)
class LatinHypercube(Filling):
    """Latin hypercubes: of every `size` points each coordinate has exactly one in each of `size` equal parts.

    Args:
        size: at least 1, the points of one hypercube, best the whole budget; another one follows. Default 32.

    Raises:
        InvalidValue: size is not a whole number >= 1.

    >>> method, x = LatinHypercube(4), torch.zeros(2)
    >>> state = method.init(x, Key(0), Domain.box(x, x + 4))
    >>> state, xs = method.ask(state)
    >>> xs.floor().sort(0).values.T
    tensor([[0., 1., 2., 3.],
            [0., 1., 2., 3.]])
    """

    size: int = 32

    def __post_init__(self) -> None:
        whole(self, "size", self.size, 1, 32)

    @property
    def rows(self) -> int:
        """A block is a hypercube."""
        return self.size

    def cube(self, block: int, key: Key, d: int) -> Tensor:
        key = key.fold("hypercube", block)
        within = key.fold("within").uniform(self.size, d, like=torch.empty(0, dtype=torch.float64))
        part = key.fold("part").uniform(self.size, d, like=within).argsort(0)
        return (part + within) / self.size


@dataclass(frozen=True)
class Sobol(Filling):
    """The scrambled Sobol sequence: every 2^k points are spread evenly, also in most pairs of coordinates.

    Args:
        size: a power of two, how many are asked at once by default; default 32.

    Raises:
        InvalidValue: size is no power of two, or the point has more than 21201 coordinates.

    >>> method, x = Sobol(), torch.zeros(2)
    >>> state = method.init(x, Key(0), Domain.box(x, x + 4))
    >>> state, xs = method.ask(state, 16)
    >>> (4 * xs[:, 0].floor() + xs[:, 1].floor()).sort().values.tolist() == list(range(16))
    True
    """

    size: int = 32

    def __post_init__(self) -> None:
        whole(self, "size", self.size, 1, 32)
        if self.size & (self.size - 1):
            raise InvalidValue(f"Sobol needs a size that is a power of two, got {self.size!r}; write Sobol(size=32)")

    def check(self, d: int) -> None:
        """At most 21201 coordinates have direction numbers.

        Raises:
            InvalidValue: there are more.
        """
        if d > SobolEngine.MAXDIM:
            raise InvalidValue(
                f"the Sobol sequence has at most {SobolEngine.MAXDIM} coordinates, got {d}; write LatinHypercube()"
            )

    def cube(self, block: int, key: Key, d: int) -> Tensor:
        engine = SobolEngine(d, scramble=True, seed=key.fold("sobol").seed & (2**63 - 1))
        return engine.fast_forward(block * self.rows).draw(self.rows, dtype=torch.float64)


@dataclass(frozen=True)
class Halton(Filling):
    """The scrambled Halton sequence: coordinate j is its number written backwards in base p_j, the j-th prime.

    Args:
        size: at least 1, how many are asked at once by default; default 32.

    For up to some 20 coordinates; in more, Sobol's is more even.

    Raises:
        InvalidValue: size is not a whole number >= 1.

    >>> method, x = Halton(), torch.zeros(2)
    >>> state = method.init(x, Key(0), Domain.box(x, x + 9))
    >>> state, xs = method.ask(state, 9)
    >>> xs[:, 1].floor().sort().values.tolist() == list(range(9))
    True
    """

    size: int = 32

    def __post_init__(self) -> None:
        whole(self, "size", self.size, 1, 32)

    def cube(self, block: int, key: Key, d: int) -> Tensor:
        numbers = torch.arange(block * self.rows, (block + 1) * self.rows)
        columns = [_backwards(numbers, p, key.fold("halton", p)) for p in _primes(d)]
        return torch.stack(columns, 1)


def _backwards(numbers: Tensor, base: int, key: Key) -> Tensor:
    """The numbers (n,) int64 with their digits in reverse behind the point, every digit permuted: (n,) float64.

    All 53 bits get digits, also the leading zeros, so that a point is uniform in its last cell.
    """
    result, share, rest = torch.zeros(len(numbers), dtype=torch.float64), 1.0, numbers
    for digits in _permutations(base, key):
        share /= base
        result += digits[rest % base] * share
        rest = rest // base
    return result.clamp(max=1 - 2**-53)


@lru_cache(maxsize=1024)
def _permutations(base: int, key: Key) -> tuple[Tensor, ...]:
    """For each digit behind the point, from the first on, what stands for 0, 1, ..., base - 1."""
    return tuple(key.fold(i).permutation(base).double() for i in range(math.ceil(53 / math.log2(base))))


def _primes(n: int) -> list[int]:
    """The first n primes."""
    limit = max(16, math.ceil(n * (math.log(n + 1) + math.log(math.log(n + 2) + 1)) * 1.2) + 16)
    sieve = bytearray([1]) * limit
    primes = []
    for p in range(2, limit):
        if sieve[p]:
            primes.append(p)
            sieve[p * p :: p] = bytes(len(range(p * p, limit, p)))
    return primes[:n]
