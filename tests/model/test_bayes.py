"""Bayesian optimization on spaces of every kind, and what its questions depend on."""

import math

import pytest
import torch

from descend.errors import InvalidValue
from descend.key import Key
from descend.model import bayes, trust_box
from descend.model.bayes import Bayes
from descend.model.design import fill
from descend.model.gp import belief as beliefs
from descend.model.modelled import Cube
from descend.pareto.indicators import hypervolume
from descend.problems.multi import zdt1
from descend.space import Choice, Float, Int, Space, When
from descend.space.domain import Domain
from descend.testing import search

SLOW = {"loses_no_answer", "survives_failed_generations"}
"""Hundreds of questions, of which each takes tens of milliseconds."""
PRECISE = {"serves_unequal_workers"}
"""Asks 1200 questions, and compares how many digits come of it: no matter of a model of few answers."""


@pytest.mark.parametrize(
    "contract",
    [
        pytest.param(c, marks=[pytest.mark.slow] if c.__name__ in SLOW else [])
        for c in search.CONTRACTS
        if c.__name__ not in PRECISE
    ],
    ids=lambda c: c.__name__,
)
def test_contract(contract):
    contract(Bayes(startup=4, limit=40))


def searched(f, space, n, method=Bayes(), key=0):
    """The values of n points, asked for one at a time, and the points."""
    state, points, values = method.init(space.middle, Key(key), space.domain), [], []
    for _ in range(n):
        state, xs = method.ask(state, 1)
        points += space.decode(xs)
        values.append(f(points[-1]))
        state = method.tell(state, xs, torch.tensor(values[-1:], dtype=torch.float64))
    return values, points


def branin(p):
    x, y = p["x"], p["y"]
    bowl = (y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6) ** 2
    return bowl + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


PLANE = Space(x=Float(-5, 10), y=Float(0, 15))
TREE = Space(
    kind=Choice("a", "b", "c"),
    rate=When("kind", "a", Float(1e-5, 1e2, log=True)),
    depth=When("kind", "b", Int(1, 20)),
    side=When("kind", "b", Choice("left", "right")),
    size=Float(0, 1),
)


def tree(p):
    """Least, 0, for kind a at rate 0.1; the other kinds are better where little is known."""
    rest = abs(p["size"] - 0.3)
    if p["kind"] == "a":
        return 1 - math.exp(-(((math.log10(p["rate"]) + 1) / 2) ** 2)) + rest
    if p["kind"] == "b":
        return 0.2 + abs(p["depth"] - 13) / 20 + 0.2 * (p["side"] == "left") + rest
    return 0.4 + rest


@pytest.mark.parametrize("key", [0, 1])
def test_branin_to_a_twentieth_in_28_evaluations(key):
    values, _ = searched(branin, PLANE, 28, key=key)
    assert min(values) < 0.05  # by chance alone 0.8 or so


@pytest.mark.slow
def test_it_solves_a_conditional_tree():
    values, points = searched(tree, TREE, 40)
    assert min(values) < 0.1
    assert {p["kind"] for p in points} == {"a", "b", "c"}


@pytest.mark.slow
def test_large_and_unlike_losses_are_no_hindrance():
    def valley(p):
        return 1e6 * ((p["y"] - p["x"] ** 2) ** 2 + 0.01 * (1 - p["x"]) ** 2) + 7.0

    space = Space(x=Float(-2, 2), y=Float(-1, 3))
    assert min(searched(valley, space, 25)[0]) - 7 < 1e5  # by chance alone 2e5 after 400
    assert min(searched(lambda p: 1e-30 * valley(p), space, 25)[0]) < 1e-25


def test_it_tries_every_value_of_a_small_grid_before_any_a_second_time():
    space = Space(a=Choice("p", "q", "r"), n=Int(1, 4), b=Choice("u", "v"))
    _values, points = searched(lambda p: p["n"] + "pqr".index(p["a"]) * 0.5 + (p["b"] == "u"), space, 30)
    assert len({tuple(p.values()) for p in points[:24]}) == 24
    assert len(points) == 30


def test_questions_asked_together_are_not_the_same():
    method = Bayes(startup=3)
    state = method.init(PLANE.middle, Key(0), PLANE.domain)
    for _ in range(3):
        state, xs = method.ask(state, 4)
        assert float(torch.pdist(torch.cat([state.us, state.waiting])).min()) > 1e-3
        losses = torch.tensor([branin(p) for p in PLANE.decode(xs)], dtype=torch.float64)
        state = method.tell(state, xs, losses)


def test_points_that_wait_are_not_asked_again():
    method = Bayes(startup=3)
    state = method.init(PLANE.middle, Key(0), PLANE.domain)
    state, xs = method.ask(state, 8)
    state = method.tell(state, xs, torch.tensor([branin(p) for p in PLANE.decode(xs)], dtype=torch.float64))
    asked = []
    for _ in range(6):
        state, xs = method.ask(state, 1)
        asked.append(xs[0])
    assert float(torch.pdist(torch.stack(asked)).min()) > 1e-3


def ask_after(method, history_of, cold):
    state = method.init(PLANE.middle, Key(3), PLANE.domain)
    for x in history_of:
        state = method.recall(state, x[None])
        loss = torch.tensor([branin(PLANE.decode(x[None])[0])], dtype=torch.float64)
        state = method.tell(state, x[None], loss)
        if not cold:
            method.ask(state)  # as if it had been asked all along
    if cold:
        beliefs._FITS.clear()
    return method.ask(state)[1]


@pytest.mark.parametrize("method", [Bayes(startup=3), Bayes(startup=3, draws=2), Bayes(startup=3, trust=True)])
def test_the_next_question_depends_on_the_history_only(method):
    points = PLANE.encode([{"x": x, "y": y} for x, y in zip(range(-5, 9), range(1, 15), strict=True)])
    warm, cold = (ask_after(method, points, cold) for cold in (False, True))
    assert torch.equal(warm, cold)


def told(method, f, box, n, m, key=0):
    """The state after n answers f(x) -> (values (m,), violations (c,)) in a box (2, d)."""
    domain = Domain.box(box[0], box[1])
    state = method.init((box[0] + box[1]) / 2, Key(key), domain)
    for _ in range(n):
        state, xs = method.ask(state, 1)
        values, broken = f(xs)
        state = method.tell_rows(state, xs, values, broken)
    return state


def test_constraints():
    """Least x + y within a circle, of which the centre of the box lies outside."""
    box = torch.tensor([[-2.0, -2.0], [4.0, 4.0]], dtype=torch.float64)

    def f(xs):
        return xs.sum(1, keepdim=True), xs.square().sum(1, keepdim=True) - 1

    state = told(Bayes(), f, box, 25, 1)
    assert float(state.x.square().sum()) <= 1
    assert state.value == pytest.approx(-math.sqrt(2), abs=0.05)


@pytest.mark.slow
def test_a_constraint_that_says_only_whether_it_holds():
    box = torch.tensor([[-2.0, -2.0], [4.0, 4.0]], dtype=torch.float64)

    def f(xs):
        return xs.sum(1, keepdim=True), (xs.square().sum(1, keepdim=True) > 1).double()

    assert told(Bayes(), f, box, 30, 1).value < -1


def test_two_objectives():
    problem = zdt1(4)
    box = torch.tensor([problem.low, problem.high], dtype=torch.float64)
    reference = torch.tensor([1.1, 1.1])
    state = told(Bayes(), lambda xs: (problem(xs), None), box, 28, 2)
    best = hypervolume(problem.front(200), reference)
    assert hypervolume(state.values, reference) > 0.8 * best
    uniform = problem(Key(1).uniform(400, 4, like=box))  # ten times as many points by chance
    assert hypervolume(uniform, reference) < 0.5 * best


@pytest.mark.slow
def test_three_objectives():
    corners = torch.eye(3, dtype=torch.float64)
    box = torch.tensor([[0.0] * 3, [1.0] * 3], dtype=torch.float64)

    def f(xs):
        return torch.cdist(xs, corners), None

    state = told(Bayes(), f, box, 24, 3)
    off = (state.us.sum(1) - 1).abs()  # the front is the triangle between the corners
    assert float(off[-10:].median()) < 0.2 < float(off[:10].median())


def test_failures_are_avoided():
    def f(xs):
        loss = (xs - 0.8).square().sum(1, keepdim=True)
        return torch.where(xs[:, :1] > 0.6, math.nan, loss), None

    box = torch.tensor([[0.0] * 2, [1.0] * 2], dtype=torch.float64)
    state = told(Bayes(), f, box, 25, 1)
    assert state.value < 0.06
    assert int(state.values.isnan().sum()) < 15


def test_nothing_but_failures_still_gives_questions():
    box = torch.tensor([[0.0] * 2, [1.0] * 2], dtype=torch.float64)
    state = told(Bayes(startup=3), lambda xs: (xs[:, :1] * math.nan, None), box, 12, 1)
    assert len(state.us.unique(dim=0)) == 12


@pytest.mark.slow
def test_twenty_coordinates_by_a_trust_region():
    middle = torch.linspace(-0.4, 0.4, 20, dtype=torch.float64)
    box = torch.tensor([[-1.0] * 20, [1.0] * 20], dtype=torch.float64)
    method = Bayes(trust=True)
    state = told(method, lambda xs: ((xs - middle).square().sum(1, keepdim=True).sqrt(), None), box, 40, 1)
    assert state.value < 0.7 * float(middle.norm())  # where it began


def test_a_search_without_progress_becomes_curious():
    us = Key(0).uniform(20, 2, like=torch.zeros((), dtype=torch.float64))
    cube = Cube(Domain.box(torch.zeros(2).double(), torch.ones(2).double()), torch.zeros(2).double())

    def shorter(values, asked=20):
        return bayes._shorter(
            bayes.History(cube, cube.middle, us, torch.tensor(values).double()[:, None], us[:, :0], us[:0], asked)
        )

    assert shorter([20.0 - i for i in range(20)]) == 1
    assert {shorter([1.0] + [2.0] * 19, asked) for asked in (20, 21, 22)} == {1.0, 2.0, 4.0}


def test_regions_grow_and_shrink_and_end():
    falling, rising = torch.arange(10.0, 0, -1).double(), torch.arange(10.0).double()
    assert trust_box.region(falling, 2, 3).length == 1.6
    flat = trust_box.region(torch.cat([falling[:2], rising + 20]), 2, 3)
    assert flat == trust_box.Region(0, 0.8 / 4, 1)
    gone = trust_box.region(torch.cat([falling[:2], torch.full((40,), 30.0).double()]), 2, 3)
    assert (gone.begin == 30 and gone.best >= 30) or gone.best == -1
    assert trust_box.region(torch.tensor([math.nan] * 3), 2, 3).best == -1


def test_what_is_hardly_better_is_the_best_and_no_success():
    creeping = torch.tensor([3.0, 2.0, *(2 - 1e-6 * k for k in range(1, 5))], dtype=torch.float64)
    assert trust_box.region(creeping, 2, 3) == trust_box.Region(0, 0.4, 5)


def told_mixed(violations):
    """A history of eight answers, the later ones the better ones, with a choice of 20, a choice of 2 and a float."""
    space = Space(side=Choice("l", "r"), n=Int(1, 20), x=Float(0, 1))
    cube = Cube(space.domain, space.middle)
    us = cube.centre(Key(0).uniform(8, 3, like=torch.zeros((), dtype=torch.float64)))
    values = torch.arange(8.0, 0, -1).double()[:, None]
    return bayes.History(cube, cube.middle, us, values, torch.tensor(violations).double()[:, None], us[:0], 8)


def test_a_search_begins_at_feasible_points_if_there_are_any():
    some = told_mixed([-1, 2, -1, 5, 1, -1, 3, 4])
    anchors = bayes._Search.of(Bayes(), some, None, Key(0)).anchors
    assert sorted(map(tuple, anchors[:3].tolist())) == sorted(map(tuple, some.us[[0, 2, 5]].tolist()))
    none = told_mixed([7, 2, 8, 5, 1, 6, 3, 4])
    assert torch.equal(bayes._Search.of(Bayes(), none, None, Key(0)).anchors, none.us[[4, 1, 6, 7, 3, 5, 0, 2]])
    assert Bayes(trust=True)._region(some, 2) == trust_box.Region(0, 0.8, 5)


def test_a_region_bounds_what_is_smooth_only():
    past = told_mixed([-1] * 8)
    search = bayes._Search.of(Bayes(), past, trust_box.Region(0, 0.05, 7), Key(0))
    assert (search.lower[0], search.upper[0]) == (0, 1)
    widths = (search.upper - search.lower)[1:]
    assert bool((widths < 0.6).all())
    assert bool((search.lower <= past.us[7]).all() & (past.us[7] <= search.upper).all())
    assert bool(((search.anchors >= search.lower) & (search.anchors <= search.upper)).all())


def test_a_box_keeps_its_volume_and_follows_the_lengths():
    here = trust_box.Region(0, 0.4, 0)
    lower, upper = here.box(torch.full((2,), 0.5), torch.tensor([1.0, 4.0]))
    sides = upper - lower
    assert float(sides.prod()) == pytest.approx(0.16)
    assert float(sides[1] / sides[0]) == pytest.approx(4)


def test_a_design_fills_what_is_empty():
    cube = Cube(TREE.domain, TREE.middle)
    us = cube.centre(fill(cube, torch.zeros(0, 5).double(), 12, 12, Key(0)))
    kinds = [p["kind"] for p in TREE.decode(cube.outside(us))]
    assert sorted(map(kinds.count, "abc")) == [4, 4, 4]
    assert (us[:, -1] * 12).long().sort().values.tolist() == list(range(12))


def test_a_design_takes_the_few_values_of_a_coordinate_in_turn():
    space = Space(n=Int(1, 5), x=Float(0, 1))
    cube = Cube(space.domain, space.middle)
    us = torch.zeros(0, 2, dtype=torch.float64)
    for _ in range(10):  # one at a time, as they are asked for, of many more
        us = torch.cat([us, cube.centre(fill(cube, us, 1, 40, Key(0)))])
        values = [p["n"] for p in space.decode(cube.outside(us))]
        counts = [values.count(n) for n in range(1, 6)]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    "wrong", [{"startup": 0}, {"draws": -1}, {"limit": 3}, {"warp": None}, {"trust": 1}, {"curious": "no"}, {"bend": 1}]
)
def test_wrong_hyperparameters_are_refused(wrong):
    name, value = next(iter(wrong.items()))
    with pytest.raises(InvalidValue, match=rf"{name}.*{value!r}"):
        Bayes(**wrong)
