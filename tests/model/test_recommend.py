"""What is recommended: the plain best without noise, and with it a point that is better than the luckiest one."""

import math
from dataclasses import replace

import pytest
import torch

from descend.errors import InvalidValue
from descend.key import Key
from descend.model.modelled import Cube, History
from descend.model.recommend import noise_of, recommend
from descend.problems import branin
from descend.space.domain import Domain


def history_of(us, losses, violations=None):
    d = us.shape[1]
    cube = Cube(Domain.box(torch.zeros(d).double(), torch.ones(d).double()), torch.full((d,), 0.5).double())
    values = losses if losses.dim() == 2 else losses[:, None]
    violations = us.new_zeros(len(us), 0) if violations is None else violations
    return History(cube, cube.middle, us, values, violations, us[:0], len(us))


def uniform(n, d, key):
    return Key(key).fold("us").uniform(n, d, like=torch.zeros(0, dtype=torch.float64))


def bowl(us):
    return 40 * (us - 0.35).square().sum(1)


def noisy(us, key, sd):
    return bowl(us) + sd * Key(key).fold("noise").normal(len(us), like=us)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_without_noise_it_is_the_plain_best(d):
    for key in range(3):
        us = uniform(60, d, key)
        low, high = torch.tensor(branin.low).double(), torch.tensor(branin.high).double()
        losses = bowl(us) if d != 2 else branin(low + us * (high - low))
        found = recommend(history_of(us, losses))
        assert found.index == int(losses.argmin())
        assert found.mean == found.low == found.high == float(losses.min())
        assert found.noise == 0.0


def test_steps_are_no_noise():
    """A share of mistakes out of 50: many points have the same loss."""
    us = uniform(80, 2, 0)
    losses = (bowl(us) + 3 * uniform(80, 1, 9)[:, 0]).round() / 50
    found = recommend(history_of(us, losses))
    assert found.index == int(losses.argmin())
    assert found.noise == 0.0


def test_with_noise_it_is_a_better_point_than_the_luckiest():
    lucky, ours, noises = [], [], []
    for key in range(20):
        us = uniform(80, 2, key)
        losses = noisy(us, key, 3.0)
        found = recommend(history_of(us, losses))
        lucky.append(float(bowl(us)[losses.argmin()]))
        ours.append(float(bowl(us)[found.index]))
        noises.append(found.noise)
    assert sum(ours) < 0.5 * sum(lucky)
    assert 2.5 < sorted(noises)[10] < 3.5


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    held = 0
    for key in range(40):
        us = uniform(60, 2, key)
        found = recommend(history_of(us, noisy(us, key, 3.0)))
        held += found.low <= float(bowl(us)[found.index]) <= found.high
    assert held >= 32


def test_repeats_say_whether_there_is_noise():
    us = uniform(20, 2, 3).repeat(2, 1)
    rough = 3 * torch.sin(1e4 * us.sum(1))  # which no process can tell from noise, but the repeats can
    assert recommend(history_of(us, bowl(us) + rough)).noise == 0.0
    losses = noisy(us, 4, 2.0)
    found = recommend(history_of(us, losses))
    assert 1.0 < found.noise < 3.0
    assert noise_of(history_of(us, losses)) == pytest.approx(found.noise, rel=0.5)


def test_repeats_are_pooled():
    """One lucky loss of a bad point, against ten ordinary ones of a good one."""
    good, bad = torch.full((10, 1), 0.35).double(), torch.full((10, 1), 0.9).double()
    us = torch.cat([good, bad, torch.linspace(0, 1, 6)[:, None].double()])
    losses = noisy(us, 1, 2.0)
    losses[10] = float(bowl(good)[0]) - 9.0
    found = recommend(history_of(us, losses))
    assert int(losses.argmin()) == 10
    assert float(us[found.index]) == pytest.approx(0.35, abs=0.1)


def test_who_says_that_there_is_no_noise_gets_the_least():
    us = uniform(50, 2, 0)
    losses = noisy(us, 0, 3.0)
    assert recommend(history_of(us, losses), noisy=False).index == int(losses.argmin())
    steps = (losses / 10).round()
    assert recommend(history_of(us, steps), noisy=True).noise > 0


def test_failures_and_broken_constraints_are_never_recommended():
    us = uniform(30, 2, 5)
    losses = bowl(us)
    order = losses.argsort()
    losses[order[0]] = math.nan
    broken = torch.zeros(30, 1, dtype=torch.float64)
    broken[order[1]] = 1.0
    for values in (losses, losses + noisy(us, 2, 2.0) - bowl(us)):
        found = recommend(history_of(us, values, broken))
        assert found.index not in (int(order[0]), int(order[1]))
    with pytest.raises(InvalidValue, match="nothing to recommend"):
        recommend(history_of(us, losses * math.nan))
    with pytest.raises(InvalidValue, match="2 objectives"):
        recommend(history_of(us, torch.stack([losses, losses], 1)))


def test_of_very_many_answers_the_best_are_believed():
    us = uniform(1500, 1, 1)
    found = recommend(history_of(us, noisy(us, 1, 3.0)))
    assert float(bowl(us)[found.index]) < 0.6
    assert 2 < found.noise < 4


def test_unbounded_and_untold_histories():
    empty = history_of(uniform(0, 2, 0), torch.zeros(0, dtype=torch.float64))
    with pytest.raises(InvalidValue, match="nothing to recommend"):
        recommend(replace(empty, values=torch.zeros(0, 1, dtype=torch.float64)))
