"""The values of an objective, asked by several processes together: each evaluates its part, and all get all answers.

A question for n values is cut into contiguous parts, one per rank that holds the same part of the batch; the answers
travel as float64, or as float32 where that holds them exactly, and are put together in the order of the ranks, so
every rank goes on with the same bits. Over parts of the batch the values are averaged, sum_b w_b f_b / sum_b w_b in the
order of b. Whatever stands above, an estimator, a line search, a population, asks as if there were one process. (The
scheme is as old as evolution strategies on clusters: Salimans et al. 2017, "Evolution strategies as a scalable
alternative to reinforcement learning"; for values along seeds: Malladi et al. 2023, section 2.)

Where a rank is lost and the others may go on, they evaluate the values that it owed themselves, at once. So an
estimate always rests on all the probes it asked for, and no estimator needs to know.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from descend.direction import Directions, Rows
from descend.errors import BudgetExhausted
from descend.key import Key
from descend.oracle import Asks, Wrapped
from descend.oracle.core import probes
from descend.parallel.team import Team

__all__ = ["Shared", "parts"]

Ask = Callable[[list[int], Key], Tensor]
"""Some of the values of a question, by their indices: (k,) float64 on the CPU."""


@dataclass(frozen=True, eq=False)
class Shared(Wrapped):
    """An oracle whose evaluations are shared out among the ranks of a team.

    Args:
        base: answers values on this rank, for this rank's part of the batch.
        team: the ranks.

    It answers values, and directional derivatives where the base does: what is one number per direction. A gradient is
    not one; estimate it, ``oracle | Parallel() | SPSA()``. The ledger of every rank counts the evaluations of all, once
    per value, so a budget ends on all ranks at the same question.

    Raises:
        LostWorker, ReplicasDiffer, StateMismatch: when asked; see `Team`.

    >>> from torch.distributed import HashStore
    >>> from descend.oracle import Function
    >>> from descend.parallel import Parallel
    >>> alone = Parallel(store=HashStore(), rank=0, world_size=1)
    >>> (Function(lambda x: x.sum()) | alone).value(torch.ones(3), Key(0))
    3.0
    """

    team: Team

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return self.base.answers & (Asks.VALUE | Asks.VALUES | Asks.JVP)

    def value(self, x: Tensor, key: Key) -> float:
        def ask(some: list[int], k: Key) -> Tensor:
            return torch.tensor([self.base.value(x, k)], dtype=torch.float64)

        return float(self._share(1, 1, ask, key))

    def values(self, xs: Tensor, key: Key) -> Tensor:
        def ask(some: list[int], k: Key) -> Tensor:
            return self.base.values(xs if len(some) == len(xs) else xs[some], k)

        self._count_idle(len(xs))
        return self._share(len(xs), 1, ask, key)

    def along(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        rows, kept, back = probes(scales)

        def ask(some: list[int], k: Key) -> Tensor:
            if len(some) == len(kept):
                whole = torch.empty_like(kept)
                whole[back] = self.base.along(x, directions, scales, k)  # what is asked twice has one answer
                return whole
            block, matrix = _some(directions, rows[some], kept[some])
            return self.base.along(x, block, matrix, k).reshape(-1)

        _, lengths = rows.unique_consecutive(return_counts=True)
        unit = int(lengths[0]) if bool((lengths == lengths[0]).all()) else 1
        self._count_idle(len(kept))
        return self._share(len(kept), unit, ask, key)[back]

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        inside = self._inside(Asks.JVP)

        def ask(some: list[int], k: Key) -> Tensor:
            return inside.jvp(x, directions if len(some) == directions.count else _rows(directions, some), k)

        return self._share(directions.count, 1, ask, key)

    def _share(self, count: int, unit: int, ask: Ask, key: Key) -> Tensor:
        """All of `count` values, of which every `unit` should stay together."""
        ledger, team = self.ledger, self.team
        if ledger.limit is not None and ledger.total + count * self.cost > ledger.limit:
            raise BudgetExhausted(
                f"{count * self.cost} more would exceed the budget of {ledger.limit} evaluations ({ledger.total} made)"
            )
        before = ledger.total
        known = team.recall()
        if known is None:
            known = self._evaluate(count, unit, ask, key if team.shards == 1 else key.fold("shard", team.shard))
        others = count * self.cost - (ledger.total - before)
        if others > 0:
            ledger.charge("value", others)
        team.note(known)
        return known

    def _evaluate(self, count: int, unit: int, ask: Ask, key: Key) -> Tensor:
        """Evaluate this rank's part, exchange, and do so again with what is missing where ranks were lost."""
        team = self.team
        total, weight = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        answers = [torch.empty(count, dtype=torch.float64) for _ in range(team.shards)]
        weights = [torch.ones(count, dtype=torch.float64) for _ in range(team.shards)]
        owed = {rank % team.shards: list(range(count)) for rank in team.roll}
        while any(owed.values()):
            plan = self._plan(owed, unit)
            values = self._own(plan[team.rank], ask, key)
            for rank, got in team.gather(values, {rank: len(some) for rank, some in plan.items()}).items():
                shard, some = rank % team.shards, plan[rank]
                answers[shard][some] = got
                weights[shard][some] = team.weights.get(rank, 1.0)
                owed[shard] = [i for i in owed[shard] if i not in some] if len(some) < len(owed[shard]) else []
            there = {rank % team.shards for rank in team.roll}
            owed = {shard: some for shard, some in owed.items() if shard in there}  # nobody else has its examples
            unit = 1
        if len(owed) == 1:
            return answers[next(iter(owed))]
        for shard in sorted(owed):
            total += weights[shard] * answers[shard]
            weight += weights[shard]
        return total / weight

    def _plan(self, owed: dict[int, list[int]], unit: int) -> dict[int, list[int]]:
        """Which values each rank evaluates."""
        plan: dict[int, list[int]] = {}
        for shard, some in owed.items():
            ranks = [rank for rank in self.team.roll if rank % self.team.shards == shard]
            plan |= zip(ranks, parts(some, len(ranks), unit), strict=True)
        return plan

    def _own(self, some: list[int], ask: Ask, key: Key) -> Tensor:
        if not some:
            return torch.empty(0, dtype=torch.float64)
        try:
            return ask(some, key)
        except BaseException as error:
            self.team.leave(f"{type(error).__name__}: {error}")
            raise

    def _count_idle(self, count: int) -> None:
        """Say once that there are more ranks than work; a single value can only be asked of one."""
        team = self.team
        ranks = sum(rank % team.shards == team.shard for rank in team.roll)
        if 1 < count < ranks and not team.idle_was_told:
            team.idle_was_told = True
            everyone = len(team.roll)
            probes = max(n for n in range(1, count + 1) if everyone % n == 0)
            warnings.warn(
                f"a question for {count} values is shared by {ranks} ranks, so {ranks - count} of them wait idly; ask "
                "for more samples, or let the ranks share the batch as well: "
                f"Parallel(probes={probes}, batch={everyone // probes})",
                RuntimeWarning,
                stacklevel=2,
            )


def parts(items: list[int], count: int, unit: int = 1) -> list[list[int]]:
    """A list cut into contiguous parts of about one size, where there is enough in whole units.

    >>> parts([0, 1, 2, 3, 4, 5], 2, 2), parts([0, 1], 2, 2), parts([0], 2)
    ([[0, 1], [2, 3, 4, 5]], [[0], [1]], [[], [0]])
    """
    unit = unit if len(items) >= unit * count else 1
    units = len(items) // unit
    ends = [unit * (units * part // count) for part in range(count + 1)]
    return [items[low:high] for low, high in pairwise(ends)]


def _some(directions: Directions, rows: Tensor, scales: Tensor) -> tuple[Directions, Tensor]:
    """A question `along` for these pairs of a row and a scale: the directions, and the matrix of scales.

    The scales of one row stand in one line where all rows have as many, since a base may evaluate them together.
    """
    found, lengths = rows.unique_consecutive(return_counts=True)
    if bool((lengths == lengths[0]).all()):
        return _rows(directions, found.tolist()), scales.view(len(found), -1)
    return _rows(directions, rows.tolist()), scales[:, None]


def _rows(directions: Directions, index: list[int]) -> Directions:
    return Rows(directions, tuple(index), (1.0,) * len(index))
