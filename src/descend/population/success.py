"""Where the weights F and crossover rates CR of differential evolution come from, and what they learn from success.

`Fixed`: Storn, Price (1997). `JADE`: Zhang, Sanderson (2009), "JADE: adaptive differential evolution with optional
external archive". `SHADE`: Tanabe, Fukunaga (2013), "Success-history based parameter adaptation for
differential evolution", with the Lehmer mean and the final value of CR of L-SHADE: Tanabe, Fukunaga (2014), "Improving
the search performance of SHADE using linear population size reduction".
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.population.base import whole

__all__ = ["JADE", "SHADE", "Adaptation", "Fixed"]

_FLOAT = torch.float64


class Adaptation(ABC):
    """A memory (2, h) float64 on the CPU, of weights and of crossover rates; how to draw from it, what it learns."""

    @abstractmethod
    def init(self) -> Tensor:
        """The memory before anything was learned."""

    @abstractmethod
    def draw(self, memory: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """F (n,) and CR (n,) for n trials, float64 on the CPU."""

    @abstractmethod
    def learn(self, memory: Tensor, turn: int, weights: Tensor, rates: Tensor, gains: Tensor) -> Tensor:
        """The memory after k >= 1 successes.

        Args:
            memory: (2, h), consumed.
            turn: how often it has learned before.
            weights, rates: (k,), the F and CR of trials that were better than their parents.
            gains: (k,) > 0, by how much.
        """


@dataclass(frozen=True)
class Fixed(Adaptation):
    """The same for all, and for ever.

    Args:
        weight: F in (0, 2], or (low, high), between which it is drawn for each trial; default 0.5.
        rate: CR in [0, 1], the share of coordinates that a trial takes from its mutant; default 0.9, which suits
            coordinates that depend on each other; 0.1 suits those that do not.

    Raises:
        InvalidValue: a number outside its range.

    >>> Fixed(weight=(0.5, 1.0)).draw(Fixed().init(), 2, torch.Generator().manual_seed(0))[1].tolist()
    [0.9, 0.9]
    """

    weight: float | tuple[float, float] = 0.5
    rate: float = 0.9

    def __post_init__(self) -> None:
        low, high = self._range()
        if not 0 < low <= high <= 2:
            raise InvalidValue(
                f"Fixed needs a weight in (0, 2], or two of them that ascend, got {self.weight!r}; write "
                "Fixed(weight=0.5) or Fixed(weight=(0.5, 1.0))"
            )
        if not 0 <= self.rate <= 1:
            raise InvalidValue(f"Fixed needs a rate in [0, 1], got {self.rate!r}; write Fixed(rate=0.9)")

    def _range(self) -> tuple[float, float]:
        return self.weight if isinstance(self.weight, tuple) else (self.weight, self.weight)

    def init(self) -> Tensor:
        return torch.zeros(2, 0, dtype=_FLOAT)

    def draw(self, memory: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        low, high = self._range()
        weights = torch.full((n,), low, dtype=_FLOAT)
        if high > low:
            weights.uniform_(low, high, generator=generator)
        return weights, torch.full((n,), self.rate, dtype=_FLOAT)

    def learn(self, memory: Tensor, turn: int, weights: Tensor, rates: Tensor, gains: Tensor) -> Tensor:
        return memory


@dataclass(frozen=True)
class JADE(Adaptation):
    """Two means follow what succeeded lately.

    Args:
        pace: c in (0, 1], how fast; default 0.1.

    Raises:
        InvalidValue: a number outside its range.

    >>> memory = JADE(pace=0.5).init()
    >>> learned = JADE(pace=0.5).learn(memory, 0, *torch.tensor([[1.0], [0.9], [3.0]], dtype=torch.float64))
    >>> learned.flatten().tolist()
    [0.75, 0.7]
    """

    pace: float = 0.1

    def __post_init__(self) -> None:
        if not 0 < self.pace <= 1:
            raise InvalidValue(f"JADE needs a pace in (0, 1], got {self.pace!r}; write JADE(pace=0.1)")

    def init(self) -> Tensor:
        return torch.full((2, 1), 0.5, dtype=_FLOAT)

    def draw(self, memory: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return _around(memory.expand(2, n), generator)

    def learn(self, memory: Tensor, turn: int, weights: Tensor, rates: Tensor, gains: Tensor) -> Tensor:
        now = torch.stack((weights.square().sum() / weights.sum(), rates.mean()))  # Lehmer's mean favours large F
        return memory.lerp_(now[:, None], self.pace)


@dataclass(frozen=True)
class SHADE(Adaptation):
    """A history of what succeeded in each of the last generations, of which every trial draws one.

    Args:
        history: H >= 1, how many generations; default 100. L-SHADE has 6.

    Raises:
        InvalidValue: a number outside its range.

    >>> SHADE(history=2).init().tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    history: int = 100

    def __post_init__(self) -> None:
        whole(self, "history", self.history, 1, 100)

    def init(self) -> Tensor:
        return torch.full((2, self.history), 0.5, dtype=_FLOAT)

    def draw(self, memory: Tensor, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return _around(memory[:, torch.randint(self.history, (n,), generator=generator)], generator)

    def learn(self, memory: Tensor, turn: int, weights: Tensor, rates: Tensor, gains: Tensor) -> Tensor:
        k = turn % self.history
        memory[0, k] = (gains * weights.square()).sum() / (gains * weights).sum()
        if float(memory[1, k]) < 0 or float(rates.max()) == 0:
            memory[1, k] = -1.0  # the final value: crossover rates of zero for ever
        else:
            memory[1, k] = (gains * rates.square()).sum() / (gains * rates).sum()
        return memory


def _around(means: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """F from a Cauchy law around means[0] (n,) on (0, inf), cut at 1; CR from a normal law around means[1], in [0, 1].

    Instead of drawing again while F <= 0, the law is inverted on the rest of its range.
    """
    centre, scale = means[0], 0.1
    below = 0.5 - torch.atan(centre / scale) / math.pi  # the chance of F <= 0
    u = below + (1 - below) * torch.rand(len(centre), generator=generator, dtype=_FLOAT)
    weights = (centre + scale * torch.tan(math.pi * (u - 0.5))).clamp(1e-3, 1.0)
    rates = means[1] + scale * torch.randn(len(centre), generator=generator, dtype=_FLOAT)
    return weights, torch.where(means[1] < 0, 0.0, rates).clamp(0.0, 1.0)
