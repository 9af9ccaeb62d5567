"""Blocks of coordinates: which ones, how many evaluations, mean and second moment."""

import math

import pytest
import torch
from torch import Tensor

from descend.direction import Combination
from descend.errors import InvalidValue
from descend.estimate import RandomCoordinates
from descend.key import Key
from descend.oracle import Function

X = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.5, 0.25], dtype=torch.float64)


def f(x: Tensor) -> Tensor:
    return (x**2).sum() + x[0] * x[5]


GRADIENT = 2 * X + torch.stack([X[5], *[torch.zeros((), dtype=torch.float64)] * 4, X[0]])


def dense(estimator: RandomCoordinates, key: Key, t: int = 0) -> Tensor:
    slope = (Function(f, batched=False) | estimator).at(t).gradient(X, key)
    assert isinstance(slope.gradient, Combination)
    return slope.gradient.dense(X)


def test_a_block_has_the_derivatives_there_and_zero_elsewhere() -> None:
    for seed in range(20):
        g = dense(RandomCoordinates(2, unbiased=False), Key(seed))
        assert int((g != 0).sum()) == 2
        torch.testing.assert_close(g, GRADIENT.where(g != 0, torch.zeros(())), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("block", [1, 2, 5])
def test_mean_and_second_moment(block: int) -> None:
    d, n = len(X), 1200
    draws = torch.stack([dense(RandomCoordinates(block, radius=0.5), Key(i)) for i in range(n)])
    error = draws.mean(0) - GRADIENT
    deviation = draws.std(0) / math.sqrt(n)
    assert bool((error.abs() <= 3 * deviation + 1e-9).all())
    second = draws.square().sum(1).mean() / GRADIENT.square().sum()
    assert float(second) == pytest.approx(d / block, rel=0.1)


def test_cyclic_blocks_go_through_all_coordinates_in_order() -> None:
    estimator = RandomCoordinates(2, cyclic=True)
    seen = [dense(estimator, Key(9), t).nonzero()[:, 0].tolist() for t in range(4)]
    assert seen == [[0, 1], [2, 3], [4, 5], [0, 1]]
    mean = sum(dense(estimator, Key(9), t) for t in range(3)) / 3
    torch.testing.assert_close(mean, GRADIENT, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(
    ("estimator", "count"),
    [
        (RandomCoordinates(), 2),
        (RandomCoordinates(3, "forward"), 4),
        (RandomCoordinates(3, "central4"), 12),
        (RandomCoordinates(100), 12),
    ],
    ids=repr,
)
def test_evaluations(estimator: RandomCoordinates, count: int) -> None:
    oracle = Function(f, batched=False)
    slope = (oracle | estimator).gradient(X, Key(0))
    assert oracle.ledger.counts == {"value": count}
    assert math.isnan(slope.value) == (estimator.row.name != "forward2")


def test_a_whole_block_is_the_gradient() -> None:
    torch.testing.assert_close(dense(RandomCoordinates(6), Key(0)), GRADIENT, rtol=1e-8, atol=1e-8)


def test_a_draw_from_many_coordinates_is_uniform_and_without_repetition() -> None:
    d, b, n = 1000, 100, 300
    counts = torch.zeros(d)
    for i in range(n):
        indices = RandomCoordinates(b).indices(d, Key(i))
        assert len(set(indices.tolist())) == b
        counts[indices] += 1
    # each count is binomial(n, b / d): the sum of squared deviations over the variance is about chi-squared with d - 1
    chi = float(((counts - n * b / d) ** 2 / (n * b / d * (1 - b / d))).sum())
    assert abs(chi - (d - 1)) < 3 * math.sqrt(2 * (d - 1))


def test_the_step_follows_the_scale_of_the_point() -> None:
    for size in (1e-6, 1e6):
        x = size * X
        oracle = Function(lambda y, size=size: torch.exp(y / size).sum(), batched=False)
        g = (oracle | RandomCoordinates(6)).gradient(x, Key(0)).gradient
        assert isinstance(g, Combination)
        torch.testing.assert_close(g.dense(x), torch.exp(X) / size, rtol=1e-7, atol=0)


def test_a_failure_makes_the_slope_not_finite() -> None:
    oracle = Function(lambda x: math.nan, batched=False)
    oracle.ledger.charge("value")
    assert not (oracle | RandomCoordinates()).gradient(X, Key(0)).is_finite()


def test_wrong_arguments() -> None:
    with pytest.raises(InvalidValue, match="block=0"):
        RandomCoordinates(0)
    with pytest.raises(InvalidValue, match="radius must be finite"):
        RandomCoordinates(1, radius=-1.0)
    with pytest.raises(InvalidValue, match="unknown formula"):
        RandomCoordinates(1, "middle")
