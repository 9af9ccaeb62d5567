"""Floats with and without steps, and integers: their values, their cells, their distribution."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from descend.key import Key
from descend.space import Float, Int, as_space
from descend.space.leaf import Leaf

SAMPLES = 20_000


def draws(leaf: Leaf, n: int = SAMPLES) -> np.ndarray:
    return np.array(as_space(leaf).sample(n, Key(7)))


def exactly_uniform(values: np.ndarray) -> bool:
    """Kolmogorov and Smirnov do not object at one in a thousand."""
    return bool(stats.kstest(values, "uniform").pvalue > 1e-3)


@pytest.mark.parametrize(
    ("leaf", "to_uniform"),
    [
        (Float(-2, 6), lambda p: (p + 2) / 8),
        (Float(-2, 6, open=True), lambda p: (p + 2) / 8),
        (Float(1e-5, 10, log=True), lambda p: np.log(p / 1e-5) / math.log(1e6)),
        (
            Float(0.1, 0.999, logit=True),
            lambda p: stats.uniform(np.log(1 / 9), np.log(999 * 9)).cdf(np.log(p / (1 - p))),
        ),
        (Float(location=3, scale=0.5), stats.norm(3, 0.5).cdf),
    ],
    ids=["linear", "open", "log", "logit", "unbounded"],
)
def test_samples_are_uniform_on_their_scale(leaf: Float, to_uniform) -> None:
    p = draws(leaf)
    assert exactly_uniform(to_uniform(p))
    assert not exactly_uniform(to_uniform(p) ** 1.05)  # the test can fail


def test_an_infinite_logit_scale_is_nearly_uniform_in_p() -> None:
    p = draws(Float(0, 1, logit=True))
    counts = np.histogram(p, 10, (0, 1))[0]
    assert counts.min() > 0.85 * SAMPLES / 10
    assert counts.max() < 1.15 * SAMPLES / 10


STEPS = {
    Float(0.1, 0.7, step=0.1): [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
    Float(-1, 1, step=0.25): [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0],
    Float(1e-7, 5e-7, step=1e-7): [1e-7, 2e-7, 3e-7, 4e-7, 5e-7],
    Float(0, 1, step=1 / 3): [0.0, 1 / 3, 2 / 3, 1.0],
    Float(1e20, 3e20, step=1e20): [1e20, 2e20, 3e20],
    Float(0.5, 2, step=1.5): [0.5, 2.0],
    Int(0, 100, step=25): [0, 25, 50, 75, 100],
    Int(-2, 2): [-2, -1, 0, 1, 2],
}


@pytest.mark.parametrize(("leaf", "levels"), STEPS.items(), ids=lambda part: repr(part)[:30])
def test_steps_include_both_ends_and_are_the_numbers_that_people_write(leaf: Leaf, levels: list[float]) -> None:
    space = as_space(leaf)
    k = len(levels)
    assert space.domain.cells.tolist() == [k]
    cells = (torch.arange(k, dtype=torch.float64)[:, None] + 0.5) / k
    assert space.decode(cells) == levels
    assert torch.equal(space.encode(levels), cells)
    # the sides of the cells, from both sides
    sides = torch.arange(1, k, dtype=torch.float64)[:, None] / k
    assert space.decode(sides + 1e-9) == levels[1:]
    assert space.decode(sides - 1e-9) == levels[:-1]
    assert space.decode([[-5.0], [0.0], [1.0], [5.0]]) == [levels[0]] * 2 + [levels[-1]] * 2
    assert {type(value) for value in space.sample(10, Key(0))} == {type(levels[0])}


def test_a_sum_of_steps_counts_as_the_step_and_nothing_else_does() -> None:
    space = as_space(Float(0.1, 0.7, step=0.1))
    assert 0.1 + 0.2 != 0.3
    assert space.decode(space.encode([0.1 + 0.2])) == [0.3]
    assert 0.1 + 0.2 in space
    assert space.check(0.35) == "x must be one of 0.1, 0.2, ..., 0.7, got 0.35"
    assert 0.8 not in space


def test_many_steps_of_many_kinds_come_back() -> None:
    for low, step, n in [(0.1, 0.1, 99_999), (-7.3, 0.001, 10_000), (2.0, 1 / 7, 1000), (1e-12, 1e-15, 5000)]:
        space = as_space(Float(low, low + n * step, step=step))
        values = space.sample(2000, Key(3))
        assert space.decode(space.encode(values)) == values
        assert all(low <= value <= low + n * step for value in values)


def test_logarithmic_integers_share_the_scale_by_their_size() -> None:
    """n gets log((n + 1/2) / (n - 1/2)), the first and the last too."""
    n = draws(Int(1, 64, log=True))
    observed = np.bincount(n, minlength=65)[1:]
    values = np.arange(1, 65)
    shares = np.log((values + 0.5) / (values - 0.5)) / math.log(64.5 / 0.5)
    assert stats.chisquare(observed, SAMPLES * shares).pvalue > 1e-3
    without_halves = np.log((values + 1) / values) / math.log(65)
    assert stats.chisquare(observed, SAMPLES * without_halves).pvalue < 1e-6  # the test can fail


def test_integers_are_uniform() -> None:
    counts = np.bincount(draws(Int(0, 9)), minlength=10)
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("log", [False, True])
def test_the_largest_integers_have_coordinates_of_their_own(log: bool) -> None:
    most = 10**13
    space = as_space(Int(1, most, log=log))
    values = [1, 2, 3, 10**6, most // 2, *range(most - 500, most + 1)]
    assert space.decode(space.encode(values)) == values
    drawn = space.sample(1000, Key(1))
    assert space.decode(space.encode(drawn)) == drawn


def test_every_coordinate_means_the_middle_of_its_cell_again() -> None:
    for leaf in (Int(3, 1000, log=True), Int(-5, 5), Float(0, 1, step=0.01)):
        space = as_space(leaf)
        u = torch.rand(500, 1, generator=Key(2).generator(), dtype=torch.float64)
        values = space.decode(u)
        again = space.encode(values)
        assert space.decode(again) == values
        assert torch.equal(space.encode(space.decode(again)), again)


def test_an_open_interval_leaves_out_its_ends() -> None:
    space = as_space(Float(0, 1, open=True))
    low, high = space.decode([[0.0], [1.0]])
    assert (low, high) == (math.nextafter(0, 1), math.nextafter(1, 0))
    assert space.check(0.0) == "x must lie inside of [0.0, 1.0], got 0.0"
    assert 1.0 not in space
    assert low in space
    unit = as_space(Float(0, 1, logit=True))
    assert 0.0 not in unit
    assert 1.0 not in unit
    assert unit.decode(unit.encode([1e-12, 0.5, 0.999])) == [1e-12, 0.5, 0.999]


def test_domains_of_floats() -> None:
    assert as_space(Float(2, 5)).domain.upper.tolist() == [1.0]
    free = as_space(Float(location=10, scale=2))
    assert free.encode([10.0, 14.0]).tolist() == [[0.0], [2.0]]
    assert free.domain.lower.tolist() == [-math.inf]
    half = as_space(Float(0.5, 1, logit=True)).domain
    assert (half.lower.tolist(), half.upper.tolist()) == ([0.0], [math.inf])
    half = as_space(Float(0, 0.5, logit=True)).domain
    assert (half.lower.tolist(), half.upper.tolist()) == ([-math.inf], [0.0])


def test_numbers_of_other_kinds_are_taken_for_what_they_are() -> None:
    space = as_space(Float(0, 10))
    assert space.decode(space.encode([np.float32(2.5), 3, np.int64(4)])) == [2.5, 3.0, 4.0]
    whole = as_space(Int(0, 10))
    assert whole.decode(whole.encode([np.int32(3), 4.0])) == [3, 4]
    assert {type(value) for value in whole.decode(whole.encode([np.int32(3), 4.0]))} == {int}
