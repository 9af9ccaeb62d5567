"""What a search of a score asks: slopes against finite differences, and what is found against a grid."""

import itertools

import pytest
import torch

from descend.key import Key
from descend.model.acquire import BelowLimits, Improvement, Several
from descend.model.gp.features import Features
from descend.model.gp.process import condition
from descend.model.gp.score import Score
from descend.model.gp.seek import Seek, _spread, neighbours
from descend.model.modelled import Cube
from descend.space import Choice, Float, Int, Permutation, Space, When
from descend.space.domain import Domain

ZERO = torch.zeros((), dtype=torch.float64)
MIXED = Space(
    kind=Choice("a", "b"),
    x=Float(0, 1),
    n=Int(1, 4),
    many=Int(1, 30),
    y=When("kind", "a", Float(0, 1)),
)


def features_of(space):
    return Features(Cube(space.domain, space.middle))


def points(features, n, key=0):
    return features.cube.centre(Key(key).uniform(n, features.dim, like=ZERO))


def process_of(features, us, z, length=0.5, noise=1e-4):
    theta = torch.full((features.scales + 1,), length, dtype=torch.float64)
    theta[-1] = noise
    return condition(theta.log(), features.at(us), features.owner, z, 2.0)


def low(means, deviations):
    """The promise of a low mean."""
    return -means[0], -torch.ones_like(means), torch.zeros_like(deviations)


def seek_of(features, process, seen, anchors=None, lower=None, upper=None):
    side = torch.ones(features.dim, dtype=torch.float64)
    anchors = seen[:0] if anchors is None else anchors
    return Seek(
        Score(features, (process,), low),
        seen,
        anchors,
        0 * side if lower is None else lower,
        side if upper is None else upper,
    )


def test_the_slopes_of_a_score_are_those_of_all_its_beliefs_and_none_where_nothing_is_smooth():
    features = features_of(MIXED)
    us = points(features, 12)
    beliefs = tuple(process_of(features, us, Key(k).normal(12, like=ZERO), 0.5 + 0.2 * k) for k in range(4))
    promise = Several(((Improvement(torch.tensor([-1.0, -0.5]).double()), 2), (BelowLimits(us.new_zeros(2)), 2)))
    score, at = Score(features, beliefs, promise), points(features, 9, key=5)
    value, slopes = score.with_slopes(at)
    assert torch.allclose(value, score(at), atol=1e-12)
    assert features.smooth.tolist() == [False, True, False, True, True]
    for i, smooth in enumerate(features.smooth.tolist()):
        away = torch.zeros_like(at[0])
        away[i] = 1e-6
        numeric = (score(at + away) - score(at - away)) / 2e-6 if smooth else torch.zeros(9).double()
        assert torch.allclose(numeric, slopes[:, i], atol=1e-5, rtol=1e-5)
    assert float(slopes[:, [1, 3, 4]].abs().amax(0).min()) > 1e-2


@pytest.mark.parametrize("half", [False, True])
def test_what_is_found_is_better_than_a_fine_grid(half):
    """Also in a box that ends before the minimum."""
    domain = Domain.box(torch.zeros(2).double(), torch.ones(2).double())
    features = Features(Cube(domain, torch.zeros(2).double()))
    us = points(features, 40)
    process = process_of(features, us, (us - torch.tensor([0.62, 0.37])).square().sum(1))
    upper = torch.tensor([0.5, 1.0] if half else [1.0, 1.0]).double()
    found = seek_of(features, process, us, us[:3].minimum(upper), upper=upper)(Key(0))
    line = torch.linspace(0, 1, 201, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line) * upper
    assert bool(((found >= 0) & (found <= upper)).all())
    assert float(process.means(features.at(found[None]))) <= float(process.means(features.at(grid)).min())
    assert float(found[0]) == pytest.approx(0.5 if half else 0.62, abs=0.02)


def test_a_mixed_space_is_searched_in_all_of_its_coordinates():
    features = features_of(MIXED)
    us = points(features, 80)
    apart = (us - torch.tensor([0.25, 0.6, 0.625, 0.45, 0.3])).square()
    z = (apart * features.cube.active(us)).sum(1)
    process = process_of(features, us, z)
    found = seek_of(features, process, us, us[:2])(Key(1))
    many = features.cube.centre(Key(2).uniform(40000, 5, like=ZERO))
    assert float(process.means(features.at(found[None]))) <= float(process.means(features.at(many)).min())
    assert torch.equal(features.cube.centre(found[None])[0], found)


def test_the_best_order_of_a_permutation_is_found():
    features = features_of(Space(order=Permutation(6)))
    us = points(features, 60)
    ranks = us.argsort(1).argsort(1).double()
    process = process_of(features, us, (ranks - torch.tensor([3.0, 1, 0, 5, 4, 2])).square().sum(1))
    found = seek_of(features, process, us[:0])(Key(0))
    every = torch.tensor(list(itertools.permutations(range(6)))).double() / 6
    least = float(process.means(features.at(every)).min())
    assert float(process.means(features.at(found[None]))) == pytest.approx(least, abs=1e-9)


def test_what_was_seen_is_not_found_again_where_all_is_discrete():
    features = features_of(Space(a=Int(1, 4), b=Choice("p", "q")))
    us = torch.cartesian_prod(torch.arange(4) / 4 + 0.125, torch.arange(2) / 2 + 0.25).double()
    process = process_of(features, us, us.sum(1))
    for i in (3, 7):
        others = torch.cat([us[:i], us[i + 1 :]])
        assert torch.allclose(seek_of(features, process, others)(Key(0)), us[i])
    assert torch.allclose(seek_of(features, process, us[:0])(Key(0)), us[0])


def test_tries_lie_in_the_box_half_of_them_near_anchors():
    domain = Domain.box(torch.zeros(3).double(), torch.ones(3).double())
    features = Features(Cube(domain, torch.zeros(3).double()))
    us = points(features, 10)
    lower, upper = torch.tensor([0.2, 0.0, 0.4]).double(), torch.tensor([0.6, 1.0, 0.8]).double()
    anchors = torch.tensor([[0.3, 0.9, 0.5], [0.5, 0.1, 0.7]]).double()
    seek = seek_of(features, process_of(features, us, us.sum(1)), us, anchors, lower, upper)
    tries = seek.tries(400, Key(0))
    assert tries.shape == (400, 3)
    assert bool(((tries >= lower) & (tries <= upper)).all())
    near = torch.cdist(tries, anchors) < 0.02
    assert int(near[:200].sum()) < 5
    first, second = near[200:].sum(0).tolist()
    assert first > 1.5 * second > 20  # the better one more often
    assert float(tries[:200].std(0).div(upper - lower).min()) > 0.25  # uniform: 0.29


def test_climbs_begin_at_the_best_point_and_apart():
    us = torch.tensor([[0.5, 0.5], [0.501, 0.5], [0.9, 0.5], [0.5, 0.52], [0.1, 0.1]]).double()
    values = torch.tensor([5.0, 4.0, 3.0, 2.0, 1.0]).double()
    chosen = _spread(us, values, 3)
    assert chosen.tolist() == us[[0, 2, 1]].tolist()
    assert _spread(us.flip(0), values.flip(0), 1).tolist() == [[0.5, 0.5]]


def test_neighbours_differ_in_one_value_or_in_the_places_of_two_items():
    space = Space(
        c=Choice("a", "b", "c"),
        wide=Choice(*[f"v{i}" for i in range(40)]),
        few=Int(1, 5),
        many=Int(1, 30),
        k=When("c", "a", Choice("u", "v")),
        x=Float(0, 1),
        order=Permutation(3),
    )
    features = features_of(space)
    point = {"c": "a", "wide": "v7", "few": 2, "many": 30, "k": "u", "x": 0.3, "order": [2, 0, 1]}
    cube = features.cube
    u = cube.centre(cube.inside(space.encode([point])))[0]
    rows = space.decode(cube.outside(neighbours(features, u, Key(0))))
    changed = [[name for name in point if name in row and row[name] != point[name]] for row in rows if row["c"] == "a"]
    assert all(len(names) == 1 for names in changed)
    count = {name: sum(names == [name] for names in changed) for name in point}
    assert 11 <= count.pop("wide") <= 12
    assert count == {"c": 0, "few": 4, "many": 2, "k": 1, "x": 0, "order": 3}
    assert sorted(row["c"] for row in rows if row["c"] != "a") == ["b", "c"]
    assert {row["many"] for row in rows} == {28, 29, 30}
    elsewhere = {**point, "c": "b"}
    del elsewhere["k"]
    other = cube.centre(cube.inside(space.encode([elsewhere])))[0]
    there = space.decode(cube.outside(neighbours(features, other, Key(0))))
    assert sum(row["c"] == "b" for row in there) == len(rows) - 3  # k is not there


def test_a_point_without_neighbours_is_its_own():
    features = features_of(Space(x=Float(0, 1)))
    assert neighbours(features, torch.tensor([0.25]).double(), Key(0)).tolist() == [[0.25]]
