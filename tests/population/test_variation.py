"""Operators on populations: their distributions beside pymoo's, and that permutations stay permutations."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from descend.key import Key
from descend.population import variation
from descend.space.domain import Domain

N = 100_000
LINE = torch.zeros(2, dtype=torch.float64)
BOX = Domain.box(LINE, LINE + 1)


def column(value: float) -> Tensor:
    return torch.full((N, 2), value, dtype=torch.float64)


def quantiles(xs: Tensor) -> list[float]:
    return xs[:, 0].quantile(torch.tensor([0.05, 0.25, 0.4, 0.6, 0.75, 0.95], dtype=torch.float64)).tolist()


def binary_by_hand(u: np.ndarray, a: float, b: float, eta: float) -> np.ndarray:
    """The lower child in [0, 1], by the inverse of the spread's distribution, one number at a time."""
    beta = 1 + 2 * a / (b - a)
    alpha = 2 - beta ** -(eta + 1)
    spread = [(v * alpha) ** (1 / (eta + 1)) if v <= 1 / alpha else (1 / (2 - v * alpha)) ** (1 / (eta + 1)) for v in u]
    return 0.5 * (a + b - np.array(spread) * (b - a))


def test_simulated_binary_crossover_has_its_distribution() -> None:
    near, far = variation.simulated_binary(column(0.2), column(0.5), BOX, Key(0), each=1.0)
    lower = torch.minimum(near, far)
    expected = binary_by_hand(np.random.default_rng(0).random(N), 0.2, 0.5, 15.0)
    np.testing.assert_allclose(quantiles(lower), np.quantile(expected, [0.05, 0.25, 0.4, 0.6, 0.75, 0.95]), atol=6e-4)
    assert float(near.mean()) == pytest.approx(0.35, abs=2e-3)  # either child may be the lower one


def test_crossover_leaves_alike_parents_and_most_coordinates_alone() -> None:
    same, _ = variation.simulated_binary(column(0.3), column(0.3), BOX, Key(0), each=1.0)
    assert torch.equal(same, column(0.3))
    some, _ = variation.simulated_binary(column(0.2), column(0.5), BOX, Key(0), each=0.3)
    assert float((some == 0.2).double().mean()) == pytest.approx(0.7, abs=0.01)
    none, _ = variation.simulated_binary(column(0.2), column(0.5), BOX, Key(0), each=0.0)
    assert torch.equal(none, column(0.2))


def test_operators_stay_inside_and_know_no_sides_where_there_are_none() -> None:
    a, b = BOX.uniform(5000, Key(1), LINE), BOX.uniform(5000, Key(2), LINE)
    for eta in (0.0, 2.0, 20.0):
        for child in (*variation.simulated_binary(a, b, BOX, Key(3), eta), variation.polynomial(a, BOX, Key(4), eta)):
            assert bool(BOX.contains(child).all())
    assert bool(BOX.contains(variation.gaussian(a, BOX, Key(5), 3.0, each=1.0)).all())
    free = Domain.free(LINE)
    moved = variation.polynomial(100 + a, free, Key(4), 5.0, each=1.0)
    assert bool(moved.isfinite().all())
    assert float((moved - 100 - a).mean()) == pytest.approx(0.0, abs=0.01)
    assert bool(variation.simulated_binary(a * 100, b * -100, free, Key(3))[0].isfinite().all())


def test_polynomial_mutation_has_its_distribution() -> None:
    u = np.random.default_rng(1).random(N)
    x, power = 0.1, 21.0
    down = (2 * u + (1 - 2 * u) * (1 - x) ** power) ** (1 / power) - 1
    up = 1 - (2 * (1 - u) + 2 * (u - 0.5) * x**power) ** (1 / power)
    expected = x + np.where(u < 0.5, down, up)
    moved = variation.polynomial(column(x), BOX, Key(1), each=1.0)
    np.testing.assert_allclose(quantiles(moved), np.quantile(expected, [0.05, 0.25, 0.4, 0.6, 0.75, 0.95]), atol=1.5e-3)
    default = variation.polynomial(column(x), BOX, Key(1))
    assert float((default != x).double().mean()) == pytest.approx(0.5, abs=0.01)  # one of two coordinates


def test_uniform_and_point_crossover_exchange_and_lose_nothing() -> None:
    a, b = torch.zeros(4000, 10), torch.ones(4000, 10)
    for one, other in (
        variation.uniform(a, b, Key(0)),
        variation.points(a, b, Key(0), 1),
        variation.points(a, b, Key(0), 3),
    ):
        assert torch.equal(one + other, torch.ones(4000, 10))
    pieces = [1 + (variation.points(a, b, Key(0), n)[0].diff(dim=1) != 0).sum(1) for n in (1, 2, 3)]
    assert [int(count.min()) for count in pieces] == [int(count.max()) for count in pieces] == [2, 3, 4]
    assert float(variation.uniform(a, b, Key(0), 0.2)[0].mean()) == pytest.approx(0.2, abs=0.01)


def tours(n: int, m: int, seed: int) -> Tensor:
    return torch.stack([Key(seed).fold(i).permutation(m) for i in range(n)])


A, B = tours(300, 11, 0), tours(300, 11, 1)


def test_permutations_stay_permutations() -> None:
    for child in (
        variation.order(A, B, Key(0)),
        variation.edges(A, B, Key(0)),
        variation.swap(A, Key(0)),
        variation.inversion(A, Key(0)),
    ):
        assert torch.equal(child.sort(1).values, torch.arange(11).expand(300, 11))


def order_by_hand(a: list[int], b: list[int], child: list[int]) -> bool:
    """Whether some stretch of a stands in the child, and the rest follows its end in b's order."""
    m = len(a)
    for first in range(m):
        for length in range(m):
            stretch = [(first + k) % m for k in range(length)]
            held = {a[i] for i in stretch}
            rest = [b[(first + length + k) % m] for k in range(m)]
            rest = [v for v in rest if v not in held]
            made = [0] * m
            for i in stretch:
                made[i] = a[i]
            for k, v in enumerate(rest):
                made[(first + length + k) % m] = v
            if made == child:
                return True
    return False


def test_order_crossover_is_that_of_the_paper() -> None:
    children = variation.order(A, B, Key(7))
    assert all(order_by_hand(a, b, c) for a, b, c in zip(A.tolist(), B.tolist(), children.tolist(), strict=True))
    assert len({tuple(c) for c in children.tolist()}) > 250
    assert torch.equal(variation.order(A, A, Key(7)), A)


def test_edge_recombination_uses_the_parents_edges() -> None:
    children = variation.edges(A, B, Key(0))
    known = 0
    for a, b, child in zip(A.tolist(), B.tolist(), children.tolist(), strict=True):
        edges = {frozenset(pair) for tour in (a, b) for pair in zip(tour, [*tour[1:], tour[0]], strict=True)}
        known += sum(frozenset(pair) in edges for pair in pairwise(child))
    assert known / (300 * 10) > 0.9  # a random permutation has about four in ten of them
    assert torch.equal(children[:, 0], A[:, 0])


def test_a_swap_changes_two_places_and_an_inversion_two_edges() -> None:
    assert bool(((variation.swap(A, Key(1)) != A).sum(1) == 2).all())
    turned = variation.inversion(A, Key(1))
    for a, t in zip(A.tolist(), turned.tolist(), strict=True):
        i = next(k for k in range(11) if a[k] != t[k])
        j = next(k for k in reversed(range(11)) if a[k] != t[k])
        assert t == a[:i] + a[i : j + 1][::-1] + a[j + 1 :]


def test_selection_prefers_the_better_ones_as_it_says() -> None:
    ranks = torch.tensor([2, 0, 1, 3])
    won = variation.tournament(ranks, 40_000, Key(0)).bincount(minlength=4) / 40_000
    # the best of two that are drawn: rank r wins with ((4 - r)^2 - (3 - r)^2) / 16
    torch.testing.assert_close(won, torch.tensor([3, 7, 5, 1]) / 16, atol=0.01, rtol=0)
    weights = variation.linear_ranks(ranks, 1.8)
    torch.testing.assert_close(weights.sum(), torch.tensor(4.0, dtype=torch.float64))
    assert float(weights[1]) == pytest.approx(1.8)
    assert float(weights[3]) == pytest.approx(0.2)
    drawn = variation.roulette(weights, 40_000, Key(1)).bincount(minlength=4) / 40_000
    torch.testing.assert_close(drawn.double(), weights / 4, atol=0.01, rtol=0)


def test_a_reset_draws_from_the_whole_domain() -> None:
    xs = variation.reset(column(0.3), BOX, Key(0), each=0.25)
    changed = xs != 0.3
    assert float(changed.double().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(xs[changed].std()) == pytest.approx(1 / math.sqrt(12), abs=0.01)


def test_the_operators_agree_with_pymoo() -> None:
    sbx = pytest.importorskip("pymoo.operators.crossover.sbx")
    ones = np.ones((N, 1))
    pair = np.stack([column(0.2).numpy(), column(0.5).numpy()])
    theirs = sbx.cross_sbx(
        pair, np.zeros(2), np.ones(2), 15 * ones, ones, 0.5 * ones, random_state=np.random.default_rng(0)
    )
    ours = torch.cat(variation.simulated_binary(column(0.2), column(0.5), BOX, Key(0), each=1.0))
    both = np.quantile(theirs.reshape(-1, 2)[:, 0], [0.05, 0.25, 0.4, 0.6, 0.75, 0.95])
    np.testing.assert_allclose(quantiles(ours), both, atol=1e-3)
