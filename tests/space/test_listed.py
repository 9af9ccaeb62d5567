"""Choices, orders, selections and shares."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats

from descend.key import Key
from descend.space import Bool, Choice, Ordinal, Permutation, Simplex, Subset, as_space


def alike(values: list[object], kinds: int) -> bool:
    """Whether all kinds of values come equally often, as far as chi-square can tell."""
    counts = Counter(map(repr, values))
    assert len(counts) == kinds
    return bool(stats.chisquare(list(counts.values())).pvalue > 1e-3)


OPTIONS = ("rbf", 1, 1.0, True, None, 0, False, (64, 64), [1, 2], {"a": [1]}, "1")


@pytest.mark.parametrize("kind", [Choice, Ordinal])
def test_options_keep_their_type(kind: type[Choice] | type[Ordinal]) -> None:
    space = as_space(kind(*OPTIONS))
    values = space.decode(space.encode(list(OPTIONS)))
    assert list(map(repr, values)) == list(map(repr, OPTIONS))
    assert space.domain.cells.tolist() == [11]
    assert space.domain.unordered.tolist() == [kind is Choice]
    assert alike(space.sample(6000, Key(0)), 11)


def test_equal_numbers_of_another_type_are_found() -> None:
    space = as_space(Choice(1, 2.5, "a"))
    assert space.decode(space.encode([np.int64(1), 1.0, np.float64(2.5), np.str_("a")])) == [1, 1, 2.5, "a"]
    assert True not in space
    assert space.check(3) == "x must be one of 1, 2.5, 'a', got 3"
    assert space.check({1: {2}}) == "x must be one of 1, 2.5, 'a', got {1: {2}}"


def test_a_single_option_takes_no_coordinate() -> None:
    assert Choice("only").dim == 0
    assert Choice("only").values(np.empty((2, 0))) == ["only", "only"]


def test_yes_and_no() -> None:
    space = as_space(Bool())
    assert space.decode([[0.0], [0.49], [0.51], [1.0]]) == [False, False, True, True]
    assert space.encode([np.bool_(True), False]).tolist() == [[0.75], [0.25]]
    assert space.check(1) == "x must be True or False, got 1"
    assert space.domain.cells.tolist() == [2]
    assert alike(space.sample(2000, Key(0)), 2)


def test_orders_are_all_alike() -> None:
    assert alike(as_space(Permutation(4)).sample(6000, Key(0)), 24)


def test_every_order_comes_back_from_its_canonical_keys() -> None:
    space = as_space(Permutation(["a", "b", "c", "d"]))
    orders = [list(order) for order in itertools.permutations("abcd")]
    assert space.decode(space.encode(orders)) == orders
    assert sorted(space.encode([["c", "a", "d", "b"]])[0].tolist()) == [0.125, 0.375, 0.625, 0.875]
    assert space.encode([["c", "a", "d", "b"]])[0].tolist() == [0.375, 0.875, 0.125, 0.625]
    assert space.encode([np.array(["c", "a", "d", "b"])])[0].tolist() == [0.375, 0.875, 0.125, 0.625]
    assert space.decode([[0.5, 0.5, 0.5, 0.5]]) == [["a", "b", "c", "d"]]
    assert space.names == ("x[a]", "x[b]", "x[c]", "x[d]")


def test_large_orders_come_back() -> None:
    space = as_space(Permutation(1000))
    orders = space.sample(5, Key(0))
    assert space.decode(space.encode(orders)) == orders
    assert sorted(orders[0]) == list(range(1000))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([0, 1], "x must hold all of the 3 items, got the 2 of [0, 1]"),
        ([0, 1, 1], "x must hold every item once, got 1 twice in [0, 1, 1]"),
        ([0, 1, 3], "x must hold items of [0, 1, 2], got 3"),
        ("012", "x must be a list of items, got '012'"),
        ({0, 1, 2}, "x must be a list, which has an order, got {0, 1, 2}"),
        ([0, 1, [2]], "x must hold items of [0, 1, 2], got [2]"),
    ],
)
def test_wrong_orders(wrong: object, sentence: str) -> None:
    assert as_space(Permutation(3)).check(wrong) == sentence


@pytest.mark.parametrize(("least", "most"), [(0, 4), (1, 4), (0, 3), (2, 3), (2, 2)])
def test_selections_keep_their_limits_and_come_back(least: int, most: int) -> None:
    space = as_space(Subset(["a", "b", "c", "d"], at_least=least, at_most=most))
    every = [list(some) for k in range(least, most + 1) for some in itertools.combinations("abcd", k)]
    assert space.decode(space.encode(every)) == every
    drawn = space.sample(3000, Key(0))
    assert {*map(tuple, drawn)} == {*map(tuple, every)}
    corners = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4)), dtype=torch.float64)
    assert all(least <= len(some) <= most for some in space.decode(corners))
    assert space.domain.cells.tolist() == [2 if (least, most) == (0, 4) else 0] * 4


def test_selections_of_a_fixed_size_and_without_limits_are_all_alike() -> None:
    assert alike(as_space(Subset(5, at_least=2, at_most=2)).sample(5000, Key(1)), 10)
    assert alike(as_space(Subset(3)).sample(5000, Key(1)), 8)


def test_a_selection_prefers_the_largest_keys() -> None:
    space = as_space(Subset(4, at_least=1, at_most=2))
    assert space.decode([[0.9, 0.6, 0.8, 0.7], [0.1, 0.2, 0.4, 0.3]]) == [[0, 2], [2]]


def test_selections_may_be_given_as_sets() -> None:
    space = as_space(Subset(["a", "b", "c"]))
    assert space.decode(space.encode([{"c", "a"}, ("b",)])) == [["a", "c"], ["b"]]
    assert space.check(["a", "a"]) == "x must hold every item once, got 'a' twice in ['a', 'a']"
    assert as_space(Subset(3, at_least=1)).check([]) == "x must hold 1 to 3 items, got the 0 of []"


@pytest.mark.parametrize("n", [2, 3, 10, 300])
def test_shares_sum_to_one_and_come_back(n: int) -> None:
    space = as_space(Simplex(n))
    shares = space.sample(200, Key(0))
    assert space.decode(space.encode(shares)) == shares
    assert all(min(row) >= 0 and abs(sum(row) - 1) < 1e-12 for row in shares)
    extreme = torch.rand(200, n, generator=Key(1).generator(), dtype=torch.float64) ** 40
    extreme[extreme < 1e-3] = 0
    shares = space.decode(extreme)
    assert space.decode(space.encode(shares)) == shares
    again = space.encode(shares)
    assert torch.equal(space.encode(space.decode(again)), again)
    assert 0 <= float(again.min()) <= float(again.max()) <= 1
    corner = [1.0] + [0.0] * (n - 1)
    assert space.decode(space.encode([corner])) == [corner]


def test_shares_that_people_write_come_back() -> None:
    space = as_space(Simplex(3))
    written = [[0.2, 0.3, 0.5], [0.7, 0.1, 0.2], [0.25, 0.0, 0.75], [0.001, 0.009, 0.99]]
    assert space.decode(space.encode(written)) == written
    third = space.decode(space.encode([[1 / 3] * 3]))[0]
    assert max(abs(share - 1 / 3) for share in third) < 2e-12
    named = as_space(Simplex(["a", "b"]))
    assert named.decode(named.encode([{"b": 0.25, "a": 0.75}])) == [{"a": 0.75, "b": 0.25}]


def test_shares_are_uniform_on_the_simplex() -> None:
    """Each share of a uniform point has the distribution Beta(1, n - 1), and so has their least one times n."""
    n = 4
    shares = np.array(as_space(Simplex(n)).sample(10_000, Key(5)))
    for column in shares.T:
        assert stats.kstest(column, stats.beta(1, n - 1).cdf).pvalue > 1e-3
    assert stats.kstest(shares.min(1) * n, stats.beta(1, n - 1).cdf).pvalue > 1e-3
    assert stats.kstest(shares[:, 0], stats.beta(1, n - 0.8).cdf).pvalue < 1e-3  # the test can fail


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([0.5, 0.6], "x must hold shares that sum to 1, got [0.5, 0.6], which sum to 1.1"),
        ([1.5, -0.5], "x must hold shares >= 0, got [1.5, -0.5]"),
        ([1.0], "x must be a list of 2 numbers, got [1.0]"),
        (["a", 0.5], "x must be a list of 2 numbers, got ['a', 0.5]"),
        (1.0, "x must be a list of 2 numbers, got 1.0"),
        ([float("nan"), 1.0], "x must hold shares >= 0, got [nan, 1.0]"),
    ],
)
def test_wrong_shares(wrong: object, sentence: str) -> None:
    assert as_space(Simplex(2)).check(wrong) == sentence
    assert as_space(Simplex(["a", "b"])).check({"a": 1.0}) == "x must be a dict of numbers for a, b, got {'a': 1.0}"
