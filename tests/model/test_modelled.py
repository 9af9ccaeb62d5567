"""Search by a model: the unit cube, what is remembered, and that it goes on from answers alone."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from descend.errors import ShapeMismatch
from descend.key import Key
from descend.model.modelled import Cube, History, Modelled, Told
from descend.space import Choice, Float, Int, Space, When
from descend.space.domain import Domain
from descend.testing import search


@dataclass(frozen=True)
class Near(Modelled):
    """Points about the best answer, near and far: enough to be a model."""

    def propose(self, history: History, n: int, key: Key) -> Tensor:
        fine = history.values[:, 0].nan_to_num(nan=math.inf) if history.values.shape[1] else torch.zeros(0)
        if not len(fine) or float(fine.min()) == math.inf:
            return key.uniform(n, history.dim, like=history.us)
        reach = 0.3 * 1000.0 ** -key.fold("reach").uniform(n, 1, like=history.us)
        about = history.us[int(fine.argmin())]
        return (about + reach * key.normal(n, history.dim, like=history.us)).clamp(0, 1)


@pytest.mark.parametrize("contract", search.CONTRACTS, ids=lambda contract: contract.__name__)
def test_the_base_keeps_the_contract(contract: object) -> None:
    assert callable(contract)
    contract(Near())


def test_the_cube_maps_sides_and_free_coordinates_and_back() -> None:
    lower = torch.tensor([10.0, -math.inf, 0.0], dtype=torch.float64)
    upper = torch.tensor([20.0, math.inf, math.inf], dtype=torch.float64)
    start = torch.tensor([12.0, 5.0, 1.0], dtype=torch.float64)
    cube = Cube(Domain.box(lower, upper, scale=torch.tensor([10.0, 2.0, 1.0], dtype=torch.float64)), start)
    assert torch.allclose(cube.middle, torch.tensor([0.2, 0.5, 0.5], dtype=torch.float64))
    us = Key(0).uniform(200, 3, like=start) * 0.4 + 0.55  # above the start, so that nothing is cut at the lower side
    assert torch.allclose(cube.inside(cube.outside(us)), us, atol=1e-12)
    quantile = float(cube.outside(torch.tensor([[0.5, 0.975, 0.5]], dtype=torch.float64))[0, 1])
    assert quantile == pytest.approx(5 + 2 * 1.959963985, abs=1e-6)
    assert bool(cube.domain.contains(cube.outside(Key(1).uniform(500, 3, like=start))).all())


def test_what_is_there_and_what_a_cell_means_is_known_in_the_cube() -> None:
    space = Space(kind=Choice("a", "b", "c"), n=When("kind", "b", Int(0, 3)), c=When("n", 3, Float(0, 1)))
    cube = Cube(space.domain, space.middle)
    us = Key(0).uniform(300, 3, like=space.middle)
    for there, point in zip(cube.active(us), space.decode(cube.outside(us)), strict=True):
        assert [name in point for name in space.names] == there.tolist()
    assert torch.allclose(cube.centre(us), cube.inside(cube.outside(us)), atol=1e-15)
    assert cube.cells.tolist() == [3, 4, 0]
    assert cube.unordered.tolist() == [True, False, False]


def begun() -> Told:
    x = torch.zeros(2, dtype=torch.float64)
    return Near().init(x, Key(7), Domain.box(x - 1, x + 1))


def test_it_goes_on_from_what_was_asked_and_answered_without_asking_again() -> None:
    method, lived, told = Near(), begun(), begun()
    for i in range(12):
        lived, xs = method.ask(lived, 2)
        told = method.recall(told, xs)
        losses = (xs - 0.3).square().sum(1)
        if i % 3:  # every third pair of questions is never answered
            lived, told = (method.tell(state, xs, losses) for state in (lived, told))
    assert torch.equal(method.ask(lived)[1], method.ask(told)[1])
    history = method.history(told)
    assert (history.asked, len(history.us), len(history.waiting)) == (24, 16, 8)


def test_answers_stand_in_the_order_of_their_questions_behind_those_that_nobody_asked_for() -> None:
    method = Near()
    state, xs = method.ask(begun(), 3)
    state = method.tell(state, xs[[2]], torch.tensor([2.0]), torch.tensor([2]))
    state = method.tell(state, torch.full((1, 2), 0.5), torch.tensor([9.0]), torch.tensor([-1]))
    state = method.tell(state, xs[[0]], torch.tensor([0.0]), torch.tensor([0]))
    assert state.values[:, 0].tolist() == [9.0, 0.0, 2.0]
    assert torch.equal(method.history(state).waiting, Cube(state.domain, state.start).inside(xs[[1]]))
    assert state.value == 0.0
    assert torch.equal(state.x, xs[0])


def test_rows_carry_objectives_and_constraints_and_the_best_point_breaks_none() -> None:
    method = Near()
    state, xs = method.ask(begun(), 3)
    broken = torch.tensor([[1.0], [0.0], [-1.0]])
    values = torch.tensor([[0.0], [5.0], [4.0]])
    state = method.tell_rows(state, xs, values, broken)
    assert state.value == 4.0
    assert method.history(state).feasible.tolist() == [False, True, True]
    state, xs = method.ask(begun(), 2)
    state = method.tell_rows(state, xs, torch.tensor([[1.0, 2.0], [math.inf, 0.0]]))
    assert method.history(state).fine.tolist() == [True, False]
    assert math.isnan(state.value)


def test_failures_may_come_before_anybody_knows_how_many_objectives_there_are() -> None:
    method = Near()
    state, xs = method.ask(begun(), 2)
    state = method.tell(state, xs[:1], torch.tensor([math.nan]), torch.tensor([0]))
    state = method.tell_rows(state, xs[1:], torch.tensor([[1.0, 2.0]]), None, torch.tensor([1]))
    assert state.values.shape == (2, 2)
    with pytest.raises(ShapeMismatch, match="2 objectives so far, and now 3"):
        method.tell_rows(state, xs[:1], torch.tensor([[1.0, 2.0, 3.0]]), None, torch.tensor([-1]))
