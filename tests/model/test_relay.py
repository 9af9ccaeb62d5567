"""The relay: each of its legs gets its problem, and it beats them where they are not made for it."""

import math
import sys
from pathlib import Path

import pytest
import torch

from descend.errors import InvalidValue
from descend.key import Key
from descend.model import QuasiNewton, Relay
from descend.population.cma import CMAES
from descend.population.conversation import Question

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from conversations import begun, box, ellipsoid, evaluations_to, rastrigin, rosenbrock, rotation, sphere


@pytest.mark.parametrize(
    ("f", "target", "most"),
    [(sphere, 1e-8, 16), (ellipsoid, 1e-6, 700), (rosenbrock, 1e-6, 900), (rastrigin, 1e-6, 900)],
)
def test_it_is_quick_in_ten_dimensions(f, target, most):
    assert evaluations_to(Relay(), f, 10, target, most) <= most


def test_it_solves_what_a_descent_alone_does_not():
    turned = rotation(2, Key(3))

    def rugged(xs):
        return rastrigin(xs @ turned)

    assert evaluations_to(QuasiNewton(), rugged, 2, 1e-6, 3000) == math.inf
    assert evaluations_to(Relay(), rugged, 2, 1e-6, 4000) < 4000


def test_plateaus_that_look_separable_take_it_not_long():
    def steps(xs):
        return torch.floor(sphere(xs) * 2)

    assert evaluations_to(Relay(), steps, 5, 0.0, 3000) < 1200 > 2 * evaluations_to(CMAES(), steps, 5, 0.0, 3000)


def test_noise_is_noticed_and_a_mean_is_recommended():
    d = 4
    turns = Relay().turns(begun(d), box(d), Key(0))
    xs, n, last, key = next(turns), 0, None, Key(7)
    while n < 3000:
        points = xs.points if isinstance(xs, Question) else xs
        last = xs if isinstance(xs, Question) else last
        losses = sphere(points) + 0.5 * key.fold(n).normal(len(points), like=points)
        n += len(points)
        xs = turns.send(losses)
    assert last is not None, "it did not notice"
    assert float(sphere(last.x[None])[0]) < 0.3


def test_a_start_that_fails_is_left():
    def half(xs):
        return torch.where(xs[:, 0] < -2.0, math.nan, sphere(xs))

    assert evaluations_to(Relay(), half, 3, 1e-8, 600) < 600


def test_wrong_hyperparameters_are_refused():
    with pytest.raises(InvalidValue, match="descents is a fraction"):
        Relay(descents=1.0)
