"""Local search over permutations: its neighbourhoods, where it looks again, and the tours that it finds."""

from itertools import combinations, permutations

import pytest
import torch
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.oracle import Function
from descend.population.local_search import LocalSearch, reversals, swaps, transfers
from descend.problems.tours import Tour, berlin52, kroA100
from descend.run import Evaluations, Target, minimize
from descend.space import Float, Permutation, Space

M = 7
EVERYWHERE = torch.arange(M)


def orders(keys: Tensor) -> set[tuple[int, ...]]:
    return {tuple(order) for order in keys.argsort(1).tolist()}


def test_reversals_are_all_two_edge_exchanges() -> None:
    expected = set()
    for i, j in combinations(range(M), 2):
        order = list(range(M))
        order[i : j + 1] = order[i : j + 1][::-1]
        expected.add(tuple(order))
    assert orders(reversals(M, EVERYWHERE)) == expected
    assert len(reversals(M, EVERYWHERE)) == M * (M - 1) // 2


def test_swaps_exchange_two_places() -> None:
    found = orders(swaps(M, EVERYWHERE))
    assert len(found) == M * (M - 1) // 2
    assert all(sum(a != b for a, b in enumerate(order)) == 2 for order in found)


def test_transfers_move_a_short_segment_either_way_round() -> None:
    expected = set()
    for length in (1, 2, 3):
        for first in range(M - length + 1):
            segment, rest = list(range(first, first + length)), [*range(first), *range(first + length, M)]
            for at in range(len(rest) + 1):
                for piece in (segment, segment[::-1]):
                    expected.add(tuple(rest[:at] + piece + rest[at:]))
    found = orders(transfers(M, EVERYWHERE))
    assert found <= expected
    # what is left where it is, and only turned, is a reversal
    stay = {tuple(range(M))} | {order for order in expected if order in orders(reversals(M, EVERYWHERE))}
    assert expected - found <= stay


def test_only_changes_at_the_named_places_are_looked_at() -> None:
    near = torch.tensor([2])
    assert orders(reversals(M, near)) < orders(reversals(M, EVERYWHERE))
    assert len(reversals(M, near)) == M - 1
    assert all(order[2] != 2 for order in orders(swaps(M, near)))


def line(tour: list[int]) -> float:
    """Best in ascending order: weights that grow with the place."""
    return float(sum((place - item) ** 2 for place, item in enumerate(tour)))


def test_it_ends_where_no_neighbour_is_better() -> None:
    asked = []
    method = LocalSearch(("swap",), block=10, kicks=1)

    def f(tour: list[int]) -> float:
        asked.append(tuple(tour))
        return line(tour)

    result = minimize(f, Permutation(M), start=[6, 5, 4, 3, 2, 1, 0], method=method, key=0, until=Evaluations(5000))
    assert result.x == list(range(M))
    assert "1 kicks were made" in result.reason
    assert asked[0] == (6, 5, 4, 3, 2, 1, 0)


def test_the_best_of_all_tours_of_eight_cities_is_found() -> None:
    cities = Key(3).uniform(8, 2, like=torch.zeros(1, dtype=torch.float64)).tolist()
    tour = Tour(cities, rounded=False)
    shortest = min(tour([0, *rest]) for rest in permutations(range(1, 8)))
    result = minimize(tour, tour.space, method=LocalSearch(), until=Evaluations(6000), key=0)
    assert result.fun == pytest.approx(shortest, abs=1e-12)
    assert sorted(result.x) == list(range(8))


@pytest.mark.parametrize("key", [1, 2, 4, 6])
def test_berlin52_is_solved_to_its_optimum(key: int) -> None:
    oracle = Function(berlin52.keyed, batched=True, memory=2**24)
    method = LocalSearch()
    state = method.init(berlin52.space.middle, Key(key), berlin52.space.domain)
    while state.value != berlin52.optimum and state.asked < 150_000:
        state = method.advance(oracle, state)
    assert state.value == 7542


def test_berlin52_through_minimize_and_its_space() -> None:
    result = minimize(berlin52, berlin52.space, method=LocalSearch(block=50), until=Evaluations(8000), key=0)
    assert result.fun == berlin52(result.x) < 9000
    random = min(berlin52(tour) for tour in berlin52.space.sample(3000, 0))
    assert random > 20_000


def test_it_starts_anew_where_kicks_stop_helping() -> None:
    lengths = []
    tour = Tour(kroA100.cities[:20])
    minimize(
        lambda t: lengths.append(tour(t)) or lengths[-1], tour.space, method=LocalSearch(patience=3),
        until=Evaluations(12_000), key=1,
    )  # fmt: skip
    best = min(lengths)
    late = lengths[lengths.index(best) + 1 :]
    assert max(late) > 2 * best  # a random tour is that much longer


def test_what_it_cannot_search_is_refused() -> None:
    with pytest.raises(InvalidValue, match="3-opt"):
        LocalSearch(("3-opt",))
    with pytest.raises(CompositionError, match="has 0"):
        minimize(lambda p: 0.0, Space(a=Float(0, 1)), method=LocalSearch(), until=Target(0.0))
    with pytest.raises(CompositionError, match="has 2"):
        minimize(lambda p: 0.0, Space(a=Permutation(3), b=Permutation(3)), method=LocalSearch())


def test_the_instances_are_those_of_tsplib() -> None:
    """The optimal tour of berlin52 that TSPLIB publishes has its length, and so has the order of the file, 22205."""
    published = [
        *(1, 49, 32, 45, 19, 41, 8, 9, 10, 43, 33, 51, 11, 52, 14, 13, 47, 26, 27, 28, 12, 25, 4, 6, 15, 5, 24, 48),
        *(38, 37, 40, 39, 36, 35, 34, 44, 46, 16, 29, 50, 20, 23, 30, 2, 7, 42, 21, 17, 3, 18, 31, 22),
    ]
    assert berlin52([city - 1 for city in published]) == 7542
    assert berlin52(range(52)) == 22205
    assert len(set(berlin52.cities)) == 52
    assert len(set(kroA100.cities)) == 100


@pytest.mark.slow
def test_kroa100_is_solved_to_within_half_a_percent() -> None:
    oracle = Function(kroA100.keyed, batched=True, memory=2**24)
    for key in range(3):
        state = LocalSearch().init(kroA100.space.middle, Key(key), kroA100.space.domain)
        while not state.value <= 21282 * 1.005 and state.asked < 2_000_000:
            state = LocalSearch().advance(oracle, state)
        assert 21282 <= state.value <= 21282 * 1.005
