"""No point is asked twice while something else can be asked."""

import pytest
import torch
from torch import Tensor

from descend.key import Key
from descend.pareto import MOEAD, NSGA2, NSGA3, SMSEMOA, Many, Mating
from descend.space.domain import Domain

METHODS = [NSGA2(popsize=20), NSGA2(popsize=20, archive=30), NSGA3(popsize=20), MOEAD(popsize=20), SMSEMOA(popsize=20)]


def two(xs: Tensor) -> Tensor:
    return torch.stack([xs.square().sum(1), (xs - 1).square().sum(1)], 1)


def asked(method: Many, domain: Domain, turns: int, n: int | None = None, key: int = 0) -> list[Tensor]:
    """What is asked in each turn, with the population after it."""
    state = method.init(domain.centre((domain.lower + domain.upper) / 2), Key(key), domain)
    every = []
    for _ in range(turns):
        before = state.xs
        state, xs = method.ask(state, n)
        assert xs.shape == (n or 20, domain.dim)
        assert bool(domain.contains(xs).all())
        every.append((before, xs))
        state = method.tell(state, xs, two(xs.double()))
    return every


def repeated(points: list[Tensor]) -> int:
    rows = [tuple(row) for xs in points for row in xs.tolist()]
    return len(rows) - len(set(rows))


@pytest.mark.parametrize("method", METHODS, ids=lambda m: f"{type(m).__name__} {m.archive}")
@pytest.mark.parametrize("n", [None, 1, 7])
def test_no_point_is_asked_twice(method: Many, n: int | None) -> None:
    """In two dimensions, where up to a fifth of all children are copies of a parent."""
    box = Domain.box(torch.full((2,), -1.0).double(), torch.full((2,), 2.0).double())
    assert repeated([xs for _, xs in asked(method, box, 40 if n is None else 300 // n, n)]) == 0


def test_mating_alone_repeats_points() -> None:
    """Else the test above could not fail."""
    xs = Key(0).uniform(20, 2, like=torch.zeros(()).double())
    box = Domain.box(torch.zeros(2).double(), torch.ones(2).double())
    assert repeated([xs, Mating().children(xs, torch.arange(20), box, 100, Key(0))]) > 5


def test_of_few_points_those_are_asked_that_are_not_in_the_population() -> None:
    """On a grid of 36 points: 20 in the population, and the 16 others; with fewer points than are asked for, copies."""
    for cells, most in ((6, 16), (3, 9)):
        grid = Domain.box(torch.zeros(2), torch.full((2,), float(cells)), cells=torch.full((2,), cells))
        for before, xs in asked(NSGA2(popsize=20), grid, 12)[2:]:
            known = {tuple(row) for row in before.tolist()}
            fresh = {tuple(row) for row in xs.tolist()} - known
            assert len(fresh) >= min(most, cells**2 - len(known))
            first = [tuple(row) for row in xs.tolist()][: len(fresh)]
            assert set(first) == fresh


def test_all_of_a_front_may_be_told_to_be_the_same_point() -> None:
    box = Domain.box(torch.zeros(3).double(), torch.ones(3).double())
    method = NSGA2(popsize=4)
    state = method.init(torch.zeros(3).double(), Key(0), box)
    state, _ = method.ask(state)
    zeros = torch.zeros(4, 3).double()
    state = method.tell(state, zeros, two(zeros))
    _, xs = method.ask(state)
    assert repeated([xs, zeros[:1], -zeros[:1]]) == 1  # of the last two one is the other
