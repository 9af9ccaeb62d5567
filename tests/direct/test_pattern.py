from itertools import pairwise

import numpy as np
import pytest
import torch

from descend.direct import CoordinateSearch, PatternSearch
from descend.direct.pattern import _neighbours
from descend.errors import InvalidValue
from descend.key import Key
from descend.space.domain import Domain


def poll(method, d, reach, key):
    """The steps of a first poll."""
    x = torch.zeros(d, dtype=torch.float64)
    return method._steps(torch.full_like(x, reach), x, x, Domain.free(x), Key(key))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_poll_spans_space_positively(d):
    """Every vector has an obtuse angle to none of the steps only if it is zero: their cosine measure is 1 / sqrt(d)."""
    for key in range(20):
        for reach in (0.1, 0.01, 0.001):
            steps = poll(PatternSearch(), d, reach, key)
            assert steps.shape == (2 * d, d)
            vectors = Key(key).normal(200, d, like=steps)
            cosines = (vectors @ steps.T) / vectors.norm(dim=1)[:, None] / steps.norm(dim=1)
            assert float(cosines.max(1).values.min()) > 0.5 / d**0.5


def test_directions_are_nearly_orthogonal_and_on_the_mesh():
    d, reach = 4, 0.1 / 64
    steps = poll(PatternSearch(size=0.1), d, reach, 3)
    mesh = reach**2 / 0.1
    assert torch.equal((steps / mesh).round(), (steps / mesh).round(decimals=6))
    unit = steps / reach
    far = (unit[:, None] - torch.cat((unit, -unit))).norm(dim=2)
    assert float((unit @ unit.T).abs().fill_diagonal_(0).sort(1).values[:, : 2 * d - 2].max()) < 0.1
    assert float(far.min()) == 0.0


def test_directions_turn_from_poll_to_poll_or_stay_the_axes():
    turned = torch.cat([poll(PatternSearch(), 2, 0.001, key) for key in range(200)])
    angles = torch.atan2(turned[:, 1], turned[:, 0]).numpy()
    counts = np.histogram(angles, bins=8, range=(-np.pi, np.pi))[0]
    assert counts.min() > 60  # of 100 expected in each
    axes = poll(PatternSearch(turning=False), 3, 0.01, 0)
    assert sorted(axes.tolist()) == sorted(torch.cat((torch.eye(3), -torch.eye(3))).double().mul(0.01).tolist())


def test_turning_gets_over_a_kink_that_stops_the_axes(descended):
    """No axis leads downhill from (0, 0) (Audet, Dennis 2006, section 1, have such examples)."""

    def f(x):
        return float(max(abs(x[0] - 2) + 2 * x[1] - 2 * x[0], 3 * abs(x[0] - x[1])) + 3 * abs(x[0] - x[1]))

    fixed, _ = descended(PatternSearch(turning=False), f, [0.0, 0.0], 4000)
    turning, _ = descended(PatternSearch(), f, [0.0, 0.0], 4000)
    axes, _ = descended(CoordinateSearch(), f, [0.0, 0.0], 4000)
    assert fixed.done
    assert turning.value < fixed.value - 0.1
    assert turning.value < axes.value - 0.1


def test_reach_is_halved_after_failures_only():
    """From the minimum no poll gains: reaches are 0.1 / 2^k, until they are done."""
    method, asked = PatternSearch(accuracy=1e-3, at_once=None), []
    state = method.init(torch.zeros(2, dtype=torch.float64), Key(0))
    while not state.done:
        state, xs = method.ask(state)
        asked.append(float(xs.norm(dim=1).max()))
        state = method.tell(state, xs, xs.square().sum(1))
    # one cycle, and another one to make sure
    assert len(asked) == 1 + 2 * 8
    for before, after in pairwise(asked[4:9]):
        assert after == pytest.approx(before / 2, rel=0.2)


def test_at_once_is_the_batch():
    x = torch.full((3,), 0.4, dtype=torch.float64)
    for at_once, sizes in ((1, {1}), (2, {1, 2}), (None, {1, 6, 7})):
        method, seen = PatternSearch(at_once=at_once), set()
        state = method.init(x, Key(0))
        for _ in range(60):
            state, xs = method.ask(state)
            seen.add(len(xs))
            state = method.tell(state, xs, (xs - 1).square().sum(1))
        assert seen == sizes


def test_integers_and_choices_come_out_best(descended):
    """A separable sum over 3 integers, a choice and a float: coordinate by coordinate there is no local minimum."""
    domain = Domain.box(
        torch.zeros(5, dtype=torch.float64),
        torch.tensor([100.0, 10.0, 1000.0, 4.0, 1.0], dtype=torch.float64),
        cells=torch.tensor([100, 10, 1000, 4, 0]),
        unordered=torch.tensor([False, False, False, True, False]),
    )

    def f(x):
        i = np.floor(x[:4])
        return float(
            abs(i[0] - 73) + (i[1] - 2) ** 2 + abs(i[2] - 611) / 10 + [2, 3, 0, 1][int(i[3])] + (x[4] - 0.3) ** 2
        )

    state, _ = descended(PatternSearch(), f, [50.0, 5.0, 500.0, 0.5, 0.5], 3000, domain)
    assert state.value < 1e-15
    assert torch.floor(state.x[:4]).tolist() == [73, 2, 611, 2]
    assert state.done


def test_neighbours_of_a_discrete_coordinate():
    domain = Domain.box(
        torch.zeros(2, dtype=torch.float64),
        torch.tensor([100.0, 4.0], dtype=torch.float64),
        cells=torch.tensor([50, 4]),
        unordered=torch.tensor([False, True]),
    )
    x = torch.tensor([41.0, 2.5], dtype=torch.float64)
    assert _neighbours(x, 0, 0.1, domain).tolist() == [[10.0, 0.0], [-10.0, 0.0]]
    assert _neighbours(x, 0, 1e-6, domain).tolist() == [[2.0, 0.0], [-2.0, 0.0]]
    assert _neighbours(x, 1, 1e-6, domain).tolist() == [[0.0, -2.0], [0.0, -1.0], [0.0, 1.0]]


def test_a_value_is_asked_for_once():
    domain = Domain.box(
        torch.zeros(2, dtype=torch.float64), torch.full((2,), 9.0, dtype=torch.float64), cells=torch.tensor([9, 9])
    )
    method, asked = PatternSearch(), []
    state = method.init(torch.tensor([0.5, 8.5], dtype=torch.float64), Key(0), domain)
    while not state.done:
        state, xs = method.ask(state)
        asked += [tuple(x) for x in xs.tolist()]
        state = method.tell(state, xs, (xs - 4).square().sum(1))
    assert len(asked) == len(set(asked)) <= 81
    assert state.x.tolist() in ([3.5, 3.5], [3.5, 4.5], [4.5, 3.5], [4.5, 4.5])


def test_points_stay_finite_where_the_loss_falls_for_ever(descended):
    state, _ = descended(PatternSearch(), lambda x: -float(x[0]), [0.0, 0.0], 800)
    assert bool(state.x.isfinite().all())
    assert float(state.x[0]) > 1e6


def test_wrong_numbers_are_refused_in_a_sentence():
    with pytest.raises(InvalidValue, match="at_once >= 1, got 0; write PatternSearch"):
        PatternSearch(at_once=0)
    with pytest.raises(InvalidValue, match="size > 0, got inf"):
        PatternSearch(size=np.inf)
    with pytest.raises(InvalidValue, match="accuracy > 0, got 0"):
        PatternSearch(accuracy=0)
