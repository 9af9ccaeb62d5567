"""Separability is found out, and a separable function is minimized whatever its local minima."""

import math
import sys
from pathlib import Path

import pytest
import torch

from descend.errors import InvalidValue
from descend.key import Key
from descend.model import AxisSearch
from descend.model.archive import Archive
from descend.model.axes import Axis, separable

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from conversations import answered, begun, box, ellipsoid, evaluations_to, rastrigin, rosenbrock, rotation, sphere


def coupled(xs):
    """Separable but for one pair of coordinates, the last ones of many."""
    return sphere(xs) + 1e-3 * xs[:, -1] * xs[:, -2]


@pytest.mark.parametrize("d", [2, 3, 10])
@pytest.mark.parametrize(
    ("f", "adds_up"), [(sphere, True), (rastrigin, True), (ellipsoid, False), (rosenbrock, False), (coupled, False)]
)
def test_separability(f, adds_up, d):
    for key in range(5):
        archive = Archive(begun(d), box(d))
        answered(archive.ask(archive.at_best[None]), f)
        verdict, asked = answered(separable(archive, archive.at_best, archive.best, Key(key)), f)
        assert verdict == adds_up, f"{f.__name__} with key {key}"
        assert asked <= 3 * math.ceil(math.log2(d))


def test_a_parabola_is_found_at_once_and_no_place_is_asked_twice():
    axis = Axis([-2.0, 0.0, 3.0], [(t - 0.7) ** 2 for t in (-2.0, 0.0, 3.0)])
    found = axis.parabola()
    assert found is not None
    assert found[0] == pytest.approx(0.7)
    assert found[1] == pytest.approx(2.0)
    axis.add(found[0], 0.0)
    assert axis.near(0.7)
    assert not axis.near(0.8)
    assert axis.best == pytest.approx(0.7)


def test_step_prefers_the_interval_that_is_easiest_to_get_below():
    """Ends of 1 and 1 two apart need less of a bend than ends of 5 and 1 one apart."""
    axis = Axis([0.0, 1.0, 3.0], [5.0, 1.0, 1.0])
    assert axis.middle() == 2.0


@pytest.mark.parametrize("d", [2, 8])
def test_rastrigin_is_solved_along_its_axes_in_linear_time(d):
    assert evaluations_to(AxisSearch(), rastrigin, d, 1e-8, 200 * d) <= 90 * d


def test_a_rotated_one_is_not():
    turned = rotation(5, Key(3))
    assert evaluations_to(AxisSearch(), lambda xs: rastrigin(xs @ turned), 5, 1e-8, 3000) == math.inf


def test_it_ends():
    method = AxisSearch(rounds=1)
    state = method.init(begun(2), Key(0), box(2))
    while not state.done:
        state, xs = method.ask(state)
        state = method.tell(state, xs, sphere(xs)) if len(xs) else state
    assert state.done.startswith("rounds")
    assert state.asked < 100
    assert torch.allclose(state.x, torch.tensor(1.5).double())


def test_wrong_rounds_are_refused():
    with pytest.raises(InvalidValue, match="rounds >= 1"):
        AxisSearch(rounds=0)
