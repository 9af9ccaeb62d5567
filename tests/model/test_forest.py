"""The forest: its contract, its candidates, its purity, and where it is better than chance."""

import math

import pytest
import torch

from descend.direct import Uniform
from descend.errors import InvalidValue
from descend.key import Key
from descend.model import forest
from descend.model.forest import Forest, losses_of, scaled
from descend.model.forest_near import canonical, neighbours, same_rows
from descend.model.modelled import Cube, History
from descend.run import Evaluations, minimize
from descend.space import Choice, Float, Int, Space, When
from descend.testing import search

SMALL = Forest(trees=2, candidates=20)
SPACE = Space(
    model=Choice("flat", "bowl", "steps"),
    shared=Float(0, 1),
    x=When("model", "bowl", Float(0, 1)),
    n=When("model", "steps", Int(1, 20)),
    kind=When("model", "bowl", Choice("a", "b", "c", "d")),
)
CUBE = Cube(SPACE.domain, SPACE.middle)


def loss(point):
    if point["model"] == "flat":
        return 0.6 + 0.05 * point["shared"]
    if point["model"] == "steps":
        return 0.3 + 0.05 * abs(point["n"] - 4) + 0.2 * (point["shared"] - 0.5) ** 2
    at = {"a": 0.3, "b": 0.5, "c": 0.0, "d": 0.7}[point["kind"]]
    return at + (point["x"] - 0.8) ** 2 + (point["shared"] - 0.2) ** 2


def history(us, losses, violations=None, waiting=None, cube=CUBE):
    values = losses if losses.dim() == 2 else losses[:, None]
    violations = us.new_zeros(len(us), 0) if violations is None else violations
    waiting = us[:0] if waiting is None else waiting
    return History(cube, cube.middle, us, values, violations, waiting, len(us) + len(waiting))


def sample(n, seed=0):
    us = canonical(CUBE, Key(seed).uniform(n, SPACE.dim, like=CUBE.start))
    losses = torch.tensor([loss(point) for point in SPACE.decode(CUBE.outside(us))], dtype=torch.float64)
    return us, losses


QUICK = [contract for contract in search.CONTRACTS if contract is not search.serves_unequal_workers]


@pytest.mark.parametrize("contract", QUICK, ids=lambda c: c.__name__)
def test_it_keeps_the_contract(contract):
    contract(SMALL)


@pytest.mark.slow
def test_it_serves_unequal_workers():
    search.serves_unequal_workers(SMALL)


def test_a_proposal_is_a_function_of_its_arguments():
    """With the trees of other questions in memory, or none, and whatever was asked in between: the same bits."""
    us, losses = sample(90)
    first = SMALL.propose(history(us, losses), 2, Key(1))
    forest._KEPT.clear()
    for n in (90, 70, 89):
        SMALL.propose(history(us[:n], losses[:n]), 1, Key(n))
    assert torch.equal(first, SMALL.propose(history(us.clone(), losses.clone()), 2, Key(1)))
    assert not torch.equal(first, SMALL.propose(history(us, losses), 2, Key(2)))
    assert not torch.equal(first[0], first[1])


def test_it_finds_the_bottom_of_a_conditional_space_before_chance_does():
    def found(method, key):
        return minimize(loss, SPACE, method=method, until=Evaluations(60), key=key).fun

    ours = sorted(found(Forest(trees=5, candidates=50), key) for key in range(3))
    chance = sorted(found(Uniform(), key) for key in range(9))
    assert ours[1] < 0.5 * chance[4]


def test_neighbours_differ_in_one_coordinate_that_is_there():
    us, _ = sample(30)
    near = neighbours(CUBE, us, 4, Key(0))
    there = CUBE.active(us)
    changed = near != us[:, None]
    own = changed & there[:, None]
    # a new model brings and takes coordinates with it; nothing else changes more than one
    assert (own[:, :, 1:].sum(2) <= 1)[~changed[:, :, 0]].all()
    assert torch.equal(near.reshape(-1, SPACE.dim), canonical(CUBE, near.reshape(-1, SPACE.dim)))
    models = {tuple(row) for row in (near[0, :, 0] * 3).long()[:, None].tolist()} | {(int(us[0, 0] * 3),)}
    assert models == {(0,), (1,), (2,)}
    assert bool(((near >= 0) & (near <= 1)).all())


def test_an_ordered_cell_moves_by_one_at_least():
    cube = Cube(Space(n=Int(1, 5)).domain, torch.tensor([0.5], dtype=torch.float64))
    us = torch.full((50, 1), 0.5, dtype=torch.float64)
    near = neighbours(cube, us, 8, Key(3)).flatten()
    assert (near != 0.5).all()
    assert set((near * 5).long().tolist()) >= {1, 3}


def test_rows_are_found_again():
    us, _ = sample(20)
    assert same_rows(us, us[5:8]).nonzero()[:, 0].tolist() == [5, 6, 7]


def test_a_point_is_not_asked_twice_while_there_are_others():
    space = Space(a=Int(0, 3), b=Choice("x", "y", "z"))
    cube = Cube(space.domain, space.middle)
    us = torch.zeros(0, 2, dtype=torch.float64)
    for i in range(12):
        losses = us.sum(1)
        us = torch.cat([us, SMALL.propose(history(us, losses, cube=cube), 1, Key(i))]) if i else cube.middle[None]
        us = cube.centre(us)
    asked_by_forest = us[10:]
    assert len(us[10:].unique(dim=0)) == len(asked_by_forest)
    more = Forest(startup=3, every=0)
    us = cube.centre(torch.tensor([[0.1, 0.1], [0.4, 0.4], [0.9, 0.9]], dtype=torch.float64))
    for i in range(9):
        us = torch.cat([us, more.propose(history(us, us.sum(1), cube=cube), 1, Key(i))])
    assert len(us.unique(dim=0)) == 12


def test_those_who_wait_keep_others_away():
    """A question at the most promising place: the next one is elsewhere."""
    space = Space(x=Float(0, 1))
    cube = Cube(space.domain, space.middle)
    us = torch.linspace(0, 1, 15, dtype=torch.float64)[:, None]
    losses = torch.minimum((us - 0.2).abs(), (us - 0.8).abs() + 0.01)[:, 0]
    method = Forest(every=0)
    alone = torch.cat([method.propose(history(us, losses, cube=cube), 1, Key(k)) for k in range(10)])
    crowd = 0.2 + 0.01 * torch.linspace(-6, 6, 30, dtype=torch.float64)[:, None]
    aside = torch.cat([method.propose(history(us, losses, waiting=crowd, cube=cube), 1, Key(k)) for k in range(10)])
    assert int((alone < 0.5).sum()) >= 8
    assert int(((aside - 0.2).abs() > 0.07).sum()) >= 8


def test_failures_are_as_bad_as_the_worst_and_broken_constraints_worse():
    us = torch.zeros(4, SPACE.dim, dtype=torch.float64)
    losses = torch.tensor([1.0, math.nan, 3.0, 0.0], dtype=torch.float64)
    broken = torch.tensor([[-1.0], [0.0], [0.0], [2.0]], dtype=torch.float64)
    assert losses_of(history(us, losses, broken), Key(0)).tolist() == [1.0, 3.0, 3.0, 6.0]


def test_several_objectives_are_weighed_anew_for_each_question():
    us = torch.zeros(3, SPACE.dim, dtype=torch.float64)
    values = torch.tensor([[0.0, 10.0], [5.0, 5.0], [10.0, 0.0]], dtype=torch.float64)
    best = {int(losses_of(history(us, values), Key(k)).argmin()) for k in range(30)}
    assert best == {0, 1, 2}


def test_scaling_keeps_the_order_and_pulls_small_losses_apart():
    losses = torch.tensor([0.0, 1.0, 2.0, 100.0, 1e6], dtype=torch.float64)
    y = scaled(losses)
    assert (y.diff() > 0).all()
    assert float(y[1] - y[0]) > 0.02 * float(y[-1] - y[0])
    assert scaled(torch.full((3,), 7.0)).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("wrong", [{"startup": 0}, {"trees": 0}, {"candidates": 1.5}, {"every": -1}, {"every": True}])
def test_numbers_outside_their_range_are_refused(wrong):
    with pytest.raises(InvalidValue, match="Forest"):
        Forest(**wrong)
