"""How annealing cools, and how far it steps meanwhile: temperatures as functions of time, and laws of steps.

Geometric: Kirkpatrick, Gelatt and Vecchi 1983, "Optimization by simulated annealing". Logarithmic, which finds the
minimum with certainty and never in time: Geman and Geman 1984. Reciprocal, with Cauchy steps: Szu and Hartley 1987,
"Fast simulated annealing". Adaptive: Lam and Delosme 1988, in the simple form of Swartz 1993: the temperature follows a
wanted share of accepted moves. Steps that keep half of the moves acceptable: Corana et al. 1987.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from descend.errors import InvalidValue

__all__ = [
    "LAWS",
    "Adaptive",
    "Clock",
    "Constant",
    "Geometric",
    "Linear",
    "Logarithmic",
    "Reciprocal",
    "Schedule",
    "Visiting",
]


class Clock(NamedTuple):
    """What schedules read, (n,) float64 each, one number for every chain.

    Fields: share, of its moves that are made, in [0, 1]; sweeps, moves made, divided by the number of coordinates;
    last, the relative temperature of the move before; rate, the share of moves accepted of late.
    """

    share: Tensor
    sweeps: Tensor
    last: Tensor
    rate: Tensor


class Schedule(ABC):
    """Base of the schedules: frozen dataclasses that are called with a `Clock`."""

    @abstractmethod
    def __call__(self, clock: Clock) -> Tensor:
        """The temperature (n,) of the next move, relative to the first."""


@dataclass(frozen=True)
class Constant(Schedule):
    """Always the first temperature: samples from exp(-f / T)."""

    def __call__(self, clock: Clock) -> Tensor:
        return torch.ones_like(clock.last)


@dataclass(frozen=True)
class Linear(Schedule):
    """From 1 to 0."""

    def __call__(self, clock: Clock) -> Tensor:
        return 1 - clock.share


@dataclass(frozen=True)
class Geometric(Schedule):
    """From 1 to `end`, the same factor every time.

    Args:
        end: in (0, 1), default 1e-3.

    Raises:
        InvalidValue: end is outside.

    >>> half = torch.tensor([0.5], dtype=torch.float64)
    >>> Geometric(0.01)(Clock(half, half, half, half))
    tensor([0.1000], dtype=torch.float64)
    """

    end: float = 1e-3

    def __post_init__(self) -> None:
        if not 0 < self.end < 1:
            raise InvalidValue(f"Geometric needs an end in (0, 1), got {self.end!r}; write Geometric(1e-3)")

    def __call__(self, clock: Clock) -> Tensor:
        return self.end**clock.share


@dataclass(frozen=True)
class Logarithmic(Schedule):
    """ln 2 / ln(2 + sweeps): Boltzmann annealing."""

    def __call__(self, clock: Clock) -> Tensor:
        return math.log(2) / (2 + clock.sweeps).log()


@dataclass(frozen=True)
class Reciprocal(Schedule):
    """1 / (1 + sweeps): fast annealing."""

    def __call__(self, clock: Clock) -> Tensor:
        return 1 / (1 + clock.sweeps)


@dataclass(frozen=True)
class Adaptive(Schedule):
    """Warmer where fewer moves are accepted than wanted, else cooler: 44 % from 0.15 to 0.65 of the time, then fewer.

    Args:
        factor: in (0, 1), of one move, default 0.99.

    Raises:
        InvalidValue: factor is outside.
    """

    factor: float = 0.99

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise InvalidValue(f"Adaptive needs a factor in (0, 1), got {self.factor!r}; write Adaptive(0.99)")

    def __call__(self, clock: Clock) -> Tensor:
        early = 0.44 + 0.56 * 560 ** -(clock.share / 0.15)
        late = 0.44 * 440 ** -((clock.share - 0.65).clamp(min=0) / 0.35)
        wanted = torch.where(clock.share < 0.15, early, late)
        after = torch.where(clock.rate > wanted, clock.last * self.factor, clock.last / self.factor)
        return after.clamp(1e-12, 1e3)


def _normal(shape: tuple[int, int], draw: torch.Generator, like: Tensor) -> Tensor:
    return torch.randn(shape, generator=draw, dtype=like.dtype, device=like.device)


def _uniform(shape: tuple[int, int], draw: torch.Generator, like: Tensor) -> Tensor:
    return 2 * torch.rand(shape, generator=draw, dtype=like.dtype, device=like.device) - 1


def _cauchy(shape: tuple[int, int], draw: torch.Generator, like: Tensor) -> Tensor:
    """One divisor for a row: a Cauchy law in as many dimensions, alike in all directions."""
    divisor = _normal((shape[0], 1), draw, like).abs().clamp(min=1e-6)
    return _normal(shape, draw, like) / divisor


LAWS: dict[str, Callable[[tuple[int, int], torch.Generator, Tensor], Tensor]] = {
    "normal": _normal,
    "uniform": _uniform,
    "cauchy": _cauchy,
}
"""Steps (n, d) of unit size, by name; all are symmetric."""


@dataclass(frozen=True)
class Visiting:
    """How numbers step.

    Args:
        law: one of `LAWS`, default "normal".
        width: > 0, the first length of a step in units of the typical lengths, default 0.2.
        power: >= 0; steps are (T / T0)^power as long, default 0.
        single: whether one coordinate is moved at a time (default), or all of them.
        adapts: whether each coordinate's steps become longer where moves are accepted and shorter where not, so that
            about 44 % are; default yes. Only without it is the stationary law exactly that of Boltzmann.

    Raises:
        InvalidValue: a number outside its range, or an unknown law.

    >>> Visiting("cauchy", power=1).power
    1
    """

    law: str = "normal"
    width: float = 0.2
    power: float = 0.0
    single: bool = True
    adapts: bool = True

    def __post_init__(self) -> None:
        if self.law not in LAWS:
            there = ", ".join(map(repr, LAWS))
            raise InvalidValue(f"Visiting knows no law {self.law!r}; write one of {there}")
        if not 0 < self.width < math.inf:
            raise InvalidValue(f"Visiting needs a finite width > 0, got {self.width!r}; write width=0.2")
        if not 0 <= self.power < math.inf:
            raise InvalidValue(f"Visiting needs a finite power >= 0, got {self.power!r}; write power=0.5")
