"""Every method of the room keeps the promises of its kind."""

import pytest
import torch

from descend import testing
from descend.direct import (
    CoordinateSearch,
    Golden,
    Grid,
    Halton,
    LatinHypercube,
    NelderMead,
    PatternSearch,
    Powell,
    RotatingCoordinates,
    Sobol,
    Uniform,
)
from descend.key import Key
from descend.space.domain import Domain
from descend.testing import search

COMPARING = (NelderMead(), PatternSearch(), PatternSearch(at_once=None), RotatingCoordinates())
MEASURING = (Powell(), CoordinateSearch(), CoordinateSearch(Golden()))
FILLING = (Uniform(3), LatinHypercube(5), Sobol(4), Halton(3))


def named(part):
    return part.__name__ if callable(part) else repr(part)


@pytest.mark.parametrize("contract", search.CONTRACTS, ids=named)
@pytest.mark.parametrize("method", COMPARING + MEASURING + FILLING, ids=named)
def test_contract(method, contract):
    contract(method)


@pytest.mark.parametrize("method", COMPARING, ids=named)
def test_looks_at_ranks_only(method):
    search.looks_at_ranks_only(method)


GRID = (
    search.asks_inside,
    search.keeps_the_dtype,
    search.leaves_what_it_is_given,
    search.takes_answers_in_any_order,
    search.loses_no_answer,
    search.welcomes_points_it_never_asked_for,
    search.survives_failed_generations,
)


@pytest.mark.parametrize("contract", GRID, ids=named)
def test_grid(contract):
    """The others begin without a domain, and a grid has to have one."""
    contract(Grid(3, size=7))


@pytest.mark.parametrize("method", [*COMPARING, *MEASURING], ids=named)
def test_solves_an_uneven_bowl_far_from_the_origin(method):
    testing.method.solves(method, None, evaluations=4000)


DISCRETE = Domain.box(
    torch.tensor([0.0, 10.0, -1.0], dtype=torch.float64),
    torch.tensor([1.0, 20.0, 1.0], dtype=torch.float64),
    cells=torch.tensor([4, 10, 0]),
    unordered=torch.tensor([True, False, False]),
)


@pytest.mark.parametrize("method", [*COMPARING, *MEASURING, *FILLING, Grid(3)], ids=named)
def test_asks_for_the_middle_of_cells(method):
    x = torch.tensor([0.3, 11.2, 0.2], dtype=torch.float64)
    state = method.init(x, Key(0), DISCRETE)
    for _ in range(40):
        state, xs = method.ask(state)
        if not len(xs):
            break
        assert torch.equal(xs, DISCRETE.centre(xs))
        assert bool(DISCRETE.contains(xs).all())
        state = method.tell(state, xs, (xs - torch.tensor([0.9, 17.0, 0.5])).square().sum(1).double())
