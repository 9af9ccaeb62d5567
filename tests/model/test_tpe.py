"""The estimator: its contract, its choices against a naive reference, and what it is better at than chance."""

import math

import numpy as np
import pytest
import torch

from descend.direct import Uniform
from descend.errors import InvalidValue
from descend.key import Key
from descend.model.leaders import leaders
from descend.model.modelled import Cube, History
from descend.model.parzen import Axes
from descend.model.tpe import TPE, _Known
from descend.problems import branin, rosenbrock
from descend.run import Evaluations, minimize
from descend.space import Choice, Float, Int, Space, When
from descend.space.domain import Domain
from descend.testing import search


def cube_of(cells=(0, 0, 0), unordered=None, rules=()):
    lower = torch.zeros(len(cells), dtype=torch.float64)
    unordered = torch.tensor(unordered) if unordered else None
    return Cube(Domain.box(lower, lower + 1, cells=torch.tensor(cells), unordered=unordered, rules=rules), lower + 0.5)


def history(cube, us, values, violations=None, waiting=None):
    us = torch.as_tensor(us, dtype=torch.float64)
    values = torch.as_tensor(values, dtype=torch.float64)
    values = values[:, None] if values.dim() == 1 else values
    violations = us.new_zeros(len(us), 0) if violations is None else violations
    waiting = us[:0] if waiting is None else waiting
    return History(cube, cube.middle, us, values, violations, waiting, len(us) + len(waiting))


def points(n, d=3, seed=0):
    return torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drive(method, f, cube, n, seed=0, at_once=1):
    """The points (n, d) and values (n,) of a search."""
    us, values = torch.zeros(0, len(cube.start), dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    while len(us) < n:
        new = method.propose(history(cube, us, values), at_once, Key(seed).fold(len(us)))
        us = torch.cat([us, new])
        values = torch.cat([values, torch.tensor([f(u) for u in new], dtype=torch.float64)])
    return us, values


@pytest.mark.parametrize("contract", search.CONTRACTS, ids=lambda c: c.__name__)
def test_it_keeps_the_contract(contract):
    contract(TPE())


# Coordinates by themselves come no nearer after some time, with however many workers.
SINGLE = [contract for contract in search.CONTRACTS if contract is not search.serves_unequal_workers]


@pytest.mark.parametrize("contract", SINGLE, ids=lambda c: c.__name__)
def test_coordinates_by_themselves_keep_the_contract(contract):
    contract(TPE(multivariate=False))


def test_it_only_compares():
    search.looks_at_ranks_only(TPE())


def test_the_first_question_is_the_start_and_the_next_fill_the_space():
    cube = Cube(cube_of().domain, torch.tensor([0.1, 0.2, 0.9], dtype=torch.float64))
    us, _ = drive(TPE(), lambda u: 0.0, cube, 10)
    assert torch.equal(us[0], cube.start)
    assert ((us * 10).long().sort(0).values == torch.arange(10)[:, None]).all()


def test_a_proposal_is_a_function_of_its_arguments():
    """Whatever was asked in between, and although the kinds of coordinates are kept: the same bits."""
    cube, other = cube_of((0, 4, 3), [False, False, True]), cube_of()
    h = history(cube, cube.centre(points(40)), points(40, 1, 1))
    first = TPE().propose(h, 3, Key(5))
    for seed in range(12):
        TPE().propose(history(cube_of(), points(40, seed=seed), points(40, 1)), 1, Key(seed))
    TPE().propose(history(other, points(30), points(30, 1)), 2, Key(1))
    again = history(cube_of((0, 4, 3), [False, False, True]), h.us.clone(), h.values.clone())
    assert torch.equal(first, TPE().propose(again, 3, Key(5)))
    assert not torch.equal(first, TPE().propose(h, 3, Key(6)))
    assert len(first.unique(dim=0)) == 3


def test_the_choice_is_that_of_the_formula():
    """One coordinate, thirty answers, three of them good: the widths, weights and ratio written out."""
    cube, us, values = cube_of((0,)), points(30, 1), points(30, 1, 1)
    chosen = float(TPE(candidates=50).propose(history(cube, us, values), 1, Key(3))[0, 0])
    order = values[:, 0].argsort()
    good, bad = us[order[:3], 0].numpy(), us[order[3:], 0].numpy()

    def mixture(x, centres, s, weights):
        def normal(z):
            return 0.5 * (1 + math.erf(z / math.sqrt(2)))

        def kernel(c):
            inside = normal((1 - c) / s) - normal(-c / s)
            return math.exp(-0.5 * ((x - c) / s) ** 2) / (s * math.sqrt(2 * math.pi) * inside)

        return (1.5 + sum(w * kernel(c) for w, c in zip(weights, centres, strict=True))) / (1.5 + sum(weights))

    spread = math.sqrt((((good - good.mean()) ** 2).sum() + 0.7 / 12) / 3.7)
    ranked = np.log([4, 2, 4 / 3]) / np.log([4, 2, 4 / 3]).mean()

    def ratio(x):
        return mixture(x, good, 0.65 * spread * 3**-0.2, ranked) / mixture(x, bad, 0.1 * 27**-0.2, np.ones(27))

    line = np.linspace(0, 1, 2001)
    best = line[np.argmax([ratio(x) for x in line])]
    assert abs(chosen - best) < 0.02
    assert ratio(chosen) > 0.99 * ratio(best)
    # and a few candidates do not get as far
    assert ratio(float(TPE(candidates=1).propose(history(cube, us, values), 1, Key(3))[0, 0])) < 0.9 * ratio(best)


def test_waiting_points_are_left_alone():
    """Two hollows of the same depth, and workers in one of them: the next one goes to the other."""
    cube = cube_of((0,))
    us = torch.cat([torch.linspace(0, 1, 40)[:, None].double(), torch.tensor([[0.2], [0.8]]).double()])
    values = torch.minimum((us - 0.2).abs(), (us - 0.8).abs())
    there = 0.2 + 0.02 * torch.linspace(-1, 1, 6)[:, None].double()
    far = near = 0
    for seed in range(30):
        far += bool(TPE().propose(history(cube, us, values, waiting=there), 1, Key(seed)) > 0.5)
        near += bool(TPE().propose(history(cube, us, values), 1, Key(seed)) < 0.5)
    assert far >= 25
    assert near >= 25


def test_several_at_once_keep_apart():
    cube, us = cube_of((0, 0)), points(60, 2)
    values = (us - 0.3).square().sum(1, keepdim=True)
    at_once = TPE().propose(history(cube, us, values), 8, Key(2))
    alone = torch.cat([TPE().propose(history(cube, us, values), 1, Key(seed)) for seed in range(8)])
    assert torch.pdist(at_once).min() > 2 * torch.pdist(alone).min()
    assert at_once[0].equal(TPE().propose(history(cube, us, values), 1, Key(2))[0])


def test_failures_are_bad_and_never_good():
    cube = cube_of((0, 0))

    def f(u):
        return math.nan if u[0] < 0.5 else float(u[0])  # the best half of the space fails

    us, values = drive(TPE(), f, cube, 60)
    assert (us[30:, 0] < 0.45).double().mean() < 0.25
    assert values[values.isfinite()].min() < 0.55
    us, values = drive(TPE(), lambda u: math.nan, cube, 40)  # nothing but failures: it goes where nobody was
    assert torch.pdist(us).min() > 0.01


def test_constraints_come_first():
    cube = cube_of((0, 0))
    us, values = points(50, 2), None
    values = us.sum(1, keepdim=True)
    broken = torch.stack([1 - us[:, 0] - us[:, 1], torch.full((50,), -1.0, dtype=torch.float64)], 1)
    asked = torch.cat([TPE().propose(history(cube, us, values, broken), 1, Key(seed)) for seed in range(20)])
    free = torch.cat([TPE().propose(history(cube, us, values), 1, Key(seed)) for seed in range(20)])
    assert 0.9 < float(asked.sum(1).median()) < 1.25
    assert float(free.sum(1).median()) < 0.6


def test_conditional_coordinates_are_learned_together():
    """Of two branches the better one has a narrow valley in two coordinates of its own."""
    space = Space(
        kind=Choice("a", "b"),
        x=When("kind", "a", Float(0, 1)),
        y=When("kind", "a", Float(0, 1)),
        z=When("kind", "b", Int(0, 9)),
    )

    def f(p):
        return 1.0 + p["z"] if p["kind"] == "b" else (p["x"] - 0.7) ** 2 + (p["y"] - 0.2) ** 2

    ours, chance = [], []
    for key in range(5):
        ours.append(minimize(f, space, method=TPE(), until=Evaluations(60), key=key).fun)
        chance.append(minimize(f, space, method=Uniform(), until=Evaluations(60), key=key).fun)
    assert np.median(ours) < 0.2 * np.median(chance)


def test_what_is_not_there_is_canonical_and_teaches_nothing():
    space = Space(kind=Choice("a", "b"), x=When("kind", "a", Float(0, 1)), n=When("kind", "b", Int(0, 4)))
    cube = Cube(space.domain, space.middle)
    us = cube.centre(points(40))
    values = points(40, 1, 1)
    asked = TPE().propose(history(cube, us, values), 20, Key(0))
    gone = ~cube.active(asked)
    assert 0 < gone.sum() < asked.numel()
    assert (asked[gone] == 0.5).all()
    # other numbers where a coordinate is not there change nothing
    other = torch.where(cube.active(us), us, cube.centre(points(40, seed=9)))
    assert not torch.equal(us, other)
    assert torch.equal(TPE().propose(history(cube, other, values), 20, Key(0)), asked)


def test_a_finite_space_is_not_asked_twice():
    cube = cube_of((4, 4, 4), [True, True, False])
    us, _ = drive(TPE(), lambda u: float(u.sum()), cube, 64)
    assert len(us[:48].unique(dim=0)) == 48
    assert len(us.unique(dim=0)) >= 60
    more = TPE().propose(history(cube, us, us.sum(1)), 1, Key(0))  # and when nothing is left it still answers
    assert more.shape == (1, 3)


def test_it_finds_categories_and_integers_sooner_than_chance():
    cube = cube_of((5, 5, 5, 5, 12), [True, True, True, True, False])
    best = torch.tensor([3, 0, 4, 2, 8])

    def f(u):
        wrong = (u[:4] * 5).long() != best[:4]
        return float(wrong.sum()) + 0.2 * abs(float(u[4] * 12 - 0.5) - 8)

    found = [float(drive(TPE(), f, cube, 80, seed)[1].min()) for seed in range(5)]
    g = np.random.default_rng(0)
    chance = [min(f(torch.from_numpy((np.floor(g.random(5) * [5, 5, 5, 5, 12]) + 0.5) / [5, 5, 5, 5, 12]))
                  for _ in range(80)) for _ in range(5)]  # fmt: skip
    assert np.median(found) <= 0.2
    assert np.median(chance) >= 1


def test_two_objectives_approach_a_front():
    """Schaffer's problem in four coordinates: the front is a segment, along which points are spread."""
    cube = cube_of((0, 0, 0, 0))

    def f(us):
        return torch.stack([((us - 0.3) ** 2).sum(1), ((us - 0.7) ** 2).sum(1)], 1)

    us = torch.zeros(0, 4, dtype=torch.float64)
    for t in range(120):
        us = torch.cat([us, TPE().propose(history(cube, us, f(us)), 1, Key(1).fold(t))])
    apart = (us - us.mean(1, keepdim=True)).norm(dim=1)  # from the diagonal
    late, first = apart[80:].median(), apart[:10].median()
    assert late < 0.5 * first
    along = us[80:].mean(1)
    assert along.min() < 0.4
    assert along.max() > 0.6


def regrets(method, problem, evaluations, keys=5):
    """The medians over some keys of what is left to the minimum."""
    start, bounds = (
        torch.tensor(problem.begin, dtype=torch.float64),
        (torch.tensor(problem.low), torch.tensor(problem.high)),
    )
    until = Evaluations(evaluations)
    runs = [minimize(problem, start, method=method, bounds=bounds, until=until, key=key).fun for key in range(keys)]
    return float(np.median(runs)) - problem.minimum


def test_it_solves_branin_and_joint_kernels_know_a_valley():
    assert regrets(TPE(), branin, 100) < 0.05
    valley = rosenbrock.at(4)
    joint, single, chance = (regrets(m, valley, 120) for m in (TPE(), TPE(multivariate=False), Uniform()))
    assert joint < 0.5 * chance
    assert joint < single


def test_the_halves_are_weighted_by_rank():
    cube = cube_of((0, 3), [False, True])
    us = cube.centre(points(8, 2)).numpy()
    known = _Known(us, None, np.array([1, 3, 4]), np.array([2, 0, 1]))
    method, axes = TPE(prior=0.5), Axes.of(cube)
    good, bad = method._likely(axes, known), method._unlikely(axes, known)
    ranked = np.log([4 / 3, 4, 2])
    np.testing.assert_allclose(good.weights, np.append(ranked / ranked.mean(), 0.5) / 3.5)
    np.testing.assert_allclose(bad.weights, np.array([1, 0, 1, 0, 0, 1, 1, 1, 0.5]) / 5.5)
    assert np.array_equal(good.centres, us[[1, 3, 4]])
    assert np.array_equal(bad.centres, us)
    spread = math.sqrt((3 * us[[1, 3, 4], 0].var() + 0.7 / 12) / 3.7)
    np.testing.assert_allclose(good.widths, [0.65 * 3 ** (-1 / 6) * spread, 3 / (2 * 4 + 3)])
    np.testing.assert_allclose(bad.widths, [0.1 * 5 ** (-1 / 6), 3 / (2 * 6 + 3)])


def test_the_halves_of_a_conditional_space_count_what_is_there():
    """Widths from the numbers of points that have a coordinate, and the halves of one coordinate from these alone."""
    cube = cube_of((0, 0))
    us, there = points(7, 2).numpy(), np.array([[1, 1], [1, 0], [1, 1], [1, 0], [1, 1], [1, 0], [1, 1]], dtype=bool)
    known = _Known(us, there, np.array([0, 1, 4]), np.array([1, 2, 0]))
    method, axes = TPE(), Axes.of(cube)
    good, bad = method._likely(axes, known), method._unlikely(axes, known)
    np.testing.assert_allclose(bad.widths, 0.1 * np.array([4.0, 2.0]) ** (-1 / (6 / 4 + 4)))
    spread = np.sqrt((np.array([3, 2]) * [us[[0, 1, 4], 0].var(), us[[0, 4], 1].var()] + 0.7 / 12) / [3.7, 2.7])
    np.testing.assert_allclose(good.widths, 0.65 * np.array([3.0, 2.0]) ** (-1 / (5 / 3 + 4)) * spread)
    second = known.only(1)
    assert np.array_equal(second.us, us[[0, 2, 4, 6], 1:])
    assert (second.good.tolist(), second.ranks.tolist()) == ([0, 2], [1, 0])


def test_what_is_kept_of_the_good_points_is_theirs():
    """Of other values, of other coordinates that are there, of other ranks or of another prior there is another one."""
    cube = cube_of((0, 0))
    axes, us = Axes.of(cube), points(6, 2).numpy()
    there = np.ones((6, 2), dtype=bool)
    there[1, 1] = False
    good, ranks = np.array([1, 3, 4]), np.array([2, 0, 1])
    every = [
        TPE()._likely(axes, _Known(us, None, good, ranks)),
        TPE()._likely(axes, _Known(1 - us, None, good, ranks)),
        TPE()._likely(axes, _Known(us, there, good, ranks)),
        TPE()._likely(axes, _Known(us, None, good, ranks[::-1])),
        TPE(prior=3)._likely(axes, _Known(us, None, good, ranks)),
    ]
    xs = points(4, 2, 1).numpy()
    assert len({tuple(each.log_density(xs).tolist()) for each in every}) == 5
    assert TPE()._likely(axes, _Known(us.copy(), None, good, ranks)) is every[0]


def test_leaders_of_several_objectives():
    values = np.array([[0.5, 3.9], [0, 4], [1, 1], [4, 0], [2, 2], [5, 5], [math.nan, 0]])
    places, ranks = leaders(values, np.zeros((7, 0)), 5)
    assert dict(zip(places.tolist(), ranks.tolist(), strict=True)) == {0: 0, 1: 0, 2: 0, 3: 0, 4: 1}
    places, ranks = leaders(values, np.zeros((7, 0)), 3)  # the first front is too large: the crowded one goes
    assert set(places.tolist()) == {1, 2, 3}
    broken = np.array([[3.0, 0, 0, 0, 0, 0, 0], [0, 0, 100, 0, 0, 0, 0]]).T
    places, ranks = leaders(values, broken, 6)
    assert set(places[:4].tolist()) == {1, 3, 4, 5}
    assert set(places[4:].tolist()) == {0, 2}
    assert (ranks[4:] > ranks[:4].max()).all()


def test_constraints_count_in_their_own_unit():
    values = np.arange(6.0)[::-1, None]
    broken = np.array([[0.0, 1, 3, 0, 0, math.nan], [0, 0, 0, 100, 100, 0]]).T
    places, ranks = leaders(values, broken, 9)
    assert places.tolist() == [0, 1, 3, 4, 2, 5]
    assert ranks.tolist() == [0, 1, 2, 3, 4, 5]
    assert leaders(values, broken, 3)[0].tolist() == [0, 1, 3]


def test_leaders_by_sorting():
    g = np.random.default_rng(0)
    for n, k in ((1, 1), (5, 9), (30, 7), (400, 25)):
        values = np.round(g.normal(size=(n, 1)), 1)
        values[g.random(n) < 0.2] = math.nan
        broken = np.where(g.random((n, 1)) < 0.3, g.random((n, 1)), -1.0)
        places, ranks = leaders(values, broken, k)

        def worth(i, v=values[:, 0], b=broken[:, 0]):
            return (b[i], i) if b[i] > 0 else (0, v[i], i)

        order = sorted(np.flatnonzero(np.isfinite(values[:, 0])).tolist(), key=worth)
        assert places.tolist() == order[:k]
        assert ranks.tolist() == list(range(len(places)))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"startup": 0}, "startup >= 1, got 0"),
        ({"candidates": 2.5}, "candidates >= 1, got 2.5"),
        ({"share": 1.0}, "0 < share < 1, got share=1.0"),
        ({"share": -0.1}, "share > 0, got -0.1"),
        ({"most": 0}, "most >= 1, got 0"),
        ({"prior": 0}, "prior > 0, got 0"),
        ({"multivariate": 1}, "True or False for multivariate, got 1"),
    ],
)
def test_wrong_numbers_are_refused_in_a_sentence(wrong, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        TPE(**wrong)
