"""How noisy the losses are, measured by asking some points twice: steps stay long while ranks change.

Hansen, Niederberger, Guzzella and Koumoutsakos 2009, "A method for handling uncertainty in evolutionary optimization
with an application to feedback control of combustion" (UH-CMA-ES), section III, algorithm 1.
Symbols: lambda = n, L_i and L_i^new = the two losses of a point, theta = `tolerance`, s = what `measured` returns.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.population.cma_update import Gaussian
from descend.population.covariance import Covariance
from descend.population.repair import ranking, spread
from descend.space.domain import Domain

__all__ = ["Uncertainty"]


@dataclass(frozen=True)
class Uncertainty:
    """Some points of every generation are asked twice; sigma grows while their ranks change more than chance has it.

    Args:
        share: in (0, 1], of the points that are asked twice; at least two are. Default 0.1.
        tolerance: theta in [0, 1], the rank change that counts as none; smaller is more cautious. Default 0.2.
        growth: >= 1, what sigma is multiplied by where losses are uncertain; default 1 + 2 / (d + 10).

    Raises:
        InvalidValue: a number outside its range.
    """

    share: float = 0.1
    tolerance: float = 0.2
    growth: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InvalidValue(f"share is a fraction in (0, 1], got share={self.share!r}; write share=0.1")
        if not 0 <= self.tolerance <= 1:
            raise InvalidValue(f"tolerance lies in [0, 1], got tolerance={self.tolerance!r}; write tolerance=0.2")
        if self.growth is not None and not 1 <= self.growth < math.inf:
            raise InvalidValue(f"growth is finite and >= 1, got growth={self.growth!r}; write growth=1.1")

    def again(self, n: int) -> int:
        """How many of n points are asked twice."""
        return min(n, max(2, math.ceil(self.share * n)))

    def factor(self, d: int, s: float) -> float:
        """What sigma is multiplied by after s was measured."""
        return 1.0 if s <= 0 else self.growth or 1 + 2 / (d + 10)

    def repeated(self, drawn: Tensor, fresh: int, asked: int, n: int) -> None:
        """Turn the last `fresh` rows of drawn points (m, d), the questions from number `asked` on, into those of a
        stream in which n new points are followed by the first of them once more, in place."""
        period, m = n + self.again(n), len(drawn)
        for row in range(m - fresh, m):
            if (asked + row - m + fresh) % period >= n and row >= n:
                drawn[row] = drawn[row - n]

    def paired(self, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """The rows (n,) int64 of points (k, d) at which each distinct point comes first, and at which it comes last."""
        _, group = torch.unique(drawn, dim=0, return_inverse=True)
        groups = group.tolist()
        last = {g: i for i, g in enumerate(groups)}
        first = {g: i for i, g in reversed(list(enumerate(groups)))}
        rows = sorted(first.values())
        return torch.tensor(rows), torch.tensor([last[groups[i]] for i in rows])

    def order(
        self, gauss: Gaussian, family: Covariance[Any], domain: Domain, drawn: Tensor, losses: Tensor
    ) -> tuple[Tensor, float]:
        """The rows (n,) of the distinct ones of points (k, d), best first, and what sigma is to be multiplied by."""
        first, last = self.paired(drawn)
        old, new = losses[first], losses[last]
        s, ranks = self.measured(old.numpy(), new.numpy(), (first != last).numpy())
        spreads = spread((), sorted(ranks.tolist()), 0)
        order = ranking(gauss, family, domain, drawn[first.to(drawn.device)], torch.from_numpy(ranks), spreads)
        return first[torch.from_numpy(order)], self.factor(drawn.shape[1], s)

    def measured(self, old: np.ndarray, new: np.ndarray, twice: np.ndarray) -> tuple[float, np.ndarray]:
        """s, positive where losses are too uncertain, and the mean ranks (n,) of the points by both losses.

        Args:
            old, new: (n,), the two losses of each point, equal where there was one.
            twice: (n,) bool, which points have two.
        """
        n = len(old)
        union = np.concatenate((old, new))
        ranks = np.empty(2 * n, dtype=np.int64)
        ranks[np.lexsort((np.arange(2 * n), union))] = np.arange(1, 2 * n + 1)
        rank_old, rank_new = ranks[:n], ranks[n:]
        total = 0.0
        for i in np.flatnonzero(twice):
            a, b = int(rank_old[i]), int(rank_new[i])
            change = abs(b - a) - 1
            total += 2 * change - self._limit(b - (b > a), n) - self._limit(a - (a > b), n)
        return total / max(1, int(twice.sum())), (rank_old + rank_new) / 2

    def _limit(self, rank: int, n: int) -> float:
        """The theta / 2 quantile of the rank changes that a random new rank would make."""
        return float(np.quantile(np.abs(np.arange(1, 2 * n) - rank), self.tolerance / 2))
