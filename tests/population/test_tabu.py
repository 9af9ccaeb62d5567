"""Tabu search: it goes uphill where it must, does not come back, and finds what a climb would not."""

from itertools import pairwise

import pytest
import torch

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.tabu import Tabu
from descend.problems.combinatorial import ft06
from descend.run import Evaluations, Target, minimize
from descend.space import Int, Permutation, Space
from descend.testing.search import CONTRACTS


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
def test_it_keeps(contract):
    contract(Tabu(neighbours=8))


def test_it_leaves_a_valley_and_does_not_come_back():
    heights = [9, 8, 1, 5, 6, 5, 0, 7, 8, 9, 9, 9]  # from 2 it has to climb over 4
    asked = []

    def f(n):
        asked.append(n)
        return heights[n]

    result = minimize(f, Int(0, 11), start=2, method=Tabu(width=1e-3), until=Evaluations(60), key=0)
    assert result.x == 6
    assert 4 in asked[: asked.index(6)]


def path(method, space, loss, turns):
    """Where it stands after every turn: the best of each block of questions."""
    state, places = method.init(space.middle, Key(0), space.domain), []
    for _ in range(turns):
        state, xs = method.ask(state)
        losses = loss(xs)
        places.append(tuple(xs[losses.argmin()].tolist()))
        state = method.tell(state, xs, losses)
    return places


def test_no_point_is_visited_again_within_its_tenure():
    space = Space(p=Permutation(5))

    def loss(xs):
        return (xs.argsort(1) - torch.tensor([2, 0, 1, 4, 3])).square().sum(1).double()

    strict = path(Tabu(neighbours=30), space, loss, 60)
    assert len(set(strict)) == 60
    brief = path(Tabu(neighbours=30, tenure=2), space, loss, 60)
    assert len(set(brief)) < 60
    assert all(brief[i] not in brief[max(0, i - 2) : i] for i in range(60))


def test_where_everything_is_tabu_it_begins_anew():
    space = Space(n=Int(0, 99))
    places = path(Tabu(width=1e-3), space, lambda xs: xs[:, 0].double(), 120)
    visited = [round(place[0] * 100 - 0.5) for place in places]
    bottom = visited.index(0)
    assert max(visited[: bottom + 1]) <= 55
    steps = [abs(a - b) for a, b in pairwise(visited)]
    assert max(steps[:bottom]) <= 5  # five standard deviations of a step of one cell
    assert max(steps[bottom:]) > 20  # nowhere to go but elsewhere


def test_a_job_shop_comes_close():
    result = minimize(ft06, ft06.space, method=Tabu(), until=Evaluations(6000) | Target(55.0), key=0)
    random = min(ft06(order) for order in ft06.space.sample(6000, 0))
    assert result.fun <= 57 < random


def test_what_it_cannot_do_is_refused():
    with pytest.raises(InvalidValue, match="tenure"):
        Tabu(tenure=0)
    with pytest.raises(InvalidValue, match="neighbours"):
        Tabu(neighbours=0)
    with pytest.raises(InvalidValue, match="width"):
        Tabu(width=-1.0)
    with pytest.raises(InvalidValue, match="riffle"):
        Tabu(shuffles=("riffle",))
