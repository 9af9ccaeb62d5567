"""Fronts and crowding beside naive versions and pymoo's."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from descend.key import Key
from descend.pareto.sorting import crowding, dominates, front, ranks, settled

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from fronts import dominates_by_hand, ranks_by_hand

LIKE = torch.zeros((), dtype=torch.float64)


def points(n: int, m: int, key: int, ties: bool = False) -> torch.Tensor:
    values = Key(key).uniform(n, m, like=LIKE)
    return (values * 5).round() if ties else values


@pytest.mark.parametrize("m", [1, 2, 3, 5])
@pytest.mark.parametrize("ties", [False, True])
def test_ranks_are_those_of_the_definition(m: int, ties: bool) -> None:
    values = points(60, m, m, ties)
    assert ranks(values).tolist() == ranks_by_hand(values.tolist(), [0.0] * 60)


def test_failures_and_violations_rank_as_stated() -> None:
    values = points(60, 2, 7)
    values[::7] = math.nan
    broken = (Key(8).uniform(60, like=LIKE) - 0.5).clamp(min=0)
    by_hand = ranks_by_hand(values.tolist(), broken.tolist())
    assert ranks(settled(values), broken).tolist() == by_hand
    matrix = dominates(settled(values), broken)
    rows, sizes = values.tolist(), broken.tolist()
    for i in range(60):
        for j in range(60):
            assert bool(matrix[i, j]) == dominates_by_hand(rows[i], rows[j], sizes[i], sizes[j])
    failed = values.isnan().any(1) & (broken == 0)
    assert int(ranks(settled(values), broken)[failed].min()) == max(by_hand)  # behind all that violate something


def test_enough_ranks_leaves_the_rest_behind() -> None:
    values = points(100, 2, 1)
    whole, part = ranks(values), ranks(values, enough=30)
    known = part < part.max()
    assert int(known.sum()) >= 30 or int(part.max()) == int(whole.max())
    assert torch.equal(part[known], whole[known])


def test_the_front_holds_no_failures_and_nothing_infeasible() -> None:
    values = torch.tensor([[0.0, 2.0], [1.0, 1.0], [2.0, 2.0], [math.nan, 0.0], [-1.0, -1.0]], dtype=torch.float64)
    broken = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.1], dtype=torch.float64)
    assert front(values, broken).tolist() == [0, 1]


def test_crowding_is_the_mean_side_of_the_box_around_a_point() -> None:
    values = torch.tensor([[0.0, 4.0], [1.0, 3.0], [3.0, 1.0], [4.0, 0.0]], dtype=torch.float64)
    assert crowding(values).tolist() == [math.inf, 0.75, 0.75, math.inf]
    assert crowding(values[:2]).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("m", [2, 3])
def test_ranks_and_crowding_are_those_of_pymoo(m: int) -> None:
    nds = pytest.importorskip("pymoo.util.nds.non_dominated_sorting")
    metrics = pytest.importorskip("pymoo.operators.survival.rank_and_crowding.metrics")
    values = points(150, m, m)
    theirs = np.empty(150, dtype=np.int64)
    for level, places in enumerate(nds.NonDominatedSorting().do(values.numpy())):
        theirs[places] = level
    assert ranks(values).tolist() == theirs.tolist()
    first = values[front(values)]
    np.testing.assert_allclose(crowding(first).numpy(), metrics.calc_crowding_distance(first.numpy()))
