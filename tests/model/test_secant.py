"""Quasi-Newton search: its update, how few evaluations it takes, its sides, and when it gives up."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from descend.errors import InvalidValue
from descend.key import Key
from descend.model import QuasiNewton
from descend.model.archive import Archive
from descend.model.secant import Secant, bfgs
from descend.space.domain import Domain

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from conversations import answered, begun, box, ellipsoid, evaluations_to, rastrigin, rosenbrock, sphere


def test_the_update_satisfies_the_secant_equation_and_stays_symmetric():
    like = torch.zeros((), dtype=torch.float64)
    s, y = Key(1).normal(4, like=like), Key(2).normal(4, like=like)
    y = y if float(s @ y) > 0 else -y
    half = Key(3).normal(4, 4, like=like)
    after = bfgs(half @ half.T, s, y)
    torch.testing.assert_close(after @ y, s)
    torch.testing.assert_close(after, after.T)
    assert bool((torch.linalg.eigvalsh(after) > 0).all())


@pytest.mark.parametrize("d", [2, 10])
def test_a_sphere_takes_one_gradient_and_one_parabola(d):
    assert evaluations_to(QuasiNewton(), sphere, d, 1e-8, 100) <= d + 4


@pytest.mark.parametrize("d", [3, 12])
def test_a_linear_function_takes_one_gradient_and_a_step_to_the_corner(d):
    slopes = torch.logspace(0, 1, d, dtype=torch.float64)
    least = float(-5 * slopes.sum())
    assert evaluations_to(QuasiNewton(), lambda xs: xs @ slopes, d, least + 1e-8, 100) <= d + 3


@pytest.mark.parametrize(("f", "d"), [(ellipsoid, 5), (ellipsoid, 10), (rosenbrock, 3)])
def test_it_takes_fewer_evaluations_than_scipy(f, d):
    counted, least = [], 1e-7

    def one(x):
        loss = float(f(torch.from_numpy(x)[None])[0])
        counted.append(loss)
        return loss

    minimize(one, begun(d).numpy(), method="BFGS", options={"gtol": 1e-10})
    peer = next((i for i, loss in enumerate(counted) if loss <= least), math.inf)
    assert evaluations_to(QuasiNewton(), f, d, least, 3000) < peer


@pytest.mark.parametrize(("d", "most"), [(5, 100), (10, 250)])
def test_directions_that_nobody_has_seen_are_taken_to_be_soft(d, most):
    """On a rotated ellipsoid of condition 1e6; a first inverse Hessian that is too small takes twice as many."""
    assert evaluations_to(QuasiNewton(), ellipsoid, d, 1e-7, 2000) < most


def test_it_follows_the_sides_to_a_minimum_on_them():
    domain = box(4, 1.25, 5.0)
    x = torch.full((4,), 4.0, dtype=torch.float64)
    state = QuasiNewton().init(x, Key(0), domain)
    wanted = torch.tensor([1.25, 3.0, 1.25, 2.0], dtype=torch.float64)
    centre = torch.tensor([0.0, 3.0, -4.0, 2.0], dtype=torch.float64)
    for _ in range(40):
        state, xs = QuasiNewton().ask(state)
        state = QuasiNewton().tell(state, xs, (xs - centre).square().sum(1)) if len(xs) else state
    torch.testing.assert_close(state.x, wanted, rtol=0, atol=1e-6)


def test_single_precision_reaches_what_it_can_tell_apart():
    x = begun(5).float()
    method = QuasiNewton()
    state = method.init(x, Key(0), box(5).like(x))
    for _ in range(60):
        state, xs = method.ask(state)
        state = method.tell(state, xs, sphere(xs).double()) if len(xs) else state
    assert state.value < 1e-6


def test_a_rugged_function_makes_it_give_up_and_a_smooth_one_does_not():
    def wavy(xs):
        return (xs.abs().sqrt() + 0.3 * torch.sin(200 * xs.sin() * xs).abs()).sum(1) + rastrigin(xs) ** 0.5

    ends = []
    for f in (wavy, ellipsoid):
        archive = Archive(begun(10), box(10))
        archive_asked, _ = answered(archive.ask(archive.at_best[None]), f)
        descent = Secant(archive, archive_asked[0][0], archive.best)
        ends.append((answered(descent.turns(3000), f), descent.kept, archive.best))
    (rugged, _, _), (smooth, kept, best) = ends
    assert rugged[1] < 1000, f"{rugged[1]} evaluations of a rugged function"
    assert not smooth[0].startswith("unpaid"), kept
    assert best < 1e-9


def test_a_flat_function_ends_after_one_gradient():
    method = QuasiNewton()
    state = method.init(begun(3), Key(0), Domain.free(begun(3)))
    for _ in range(3):
        state, xs = method.ask(state)
        state = method.tell(state, xs, torch.full((len(xs),), 7.0, dtype=torch.float64)) if len(xs) else state
    assert state.done.startswith("flat")
    assert state.asked == 4


def test_units_do_not_matter():
    """A coordinate in thousandths takes the same way, since the domain knows its length."""
    unit = torch.tensor([1e-3, 1.0, 1e4], dtype=torch.float64)
    whole, parts = box(3), box(3)
    parts = Domain.box(parts.lower * unit, parts.upper * unit)
    ways = []
    for domain, scale in ((whole, torch.ones(3, dtype=torch.float64)), (parts, unit)):
        method, way = QuasiNewton(), []
        state = method.init(begun(3) * scale, Key(0), domain)
        for _ in range(8):
            state, xs = method.ask(state)
            way.append(xs / scale)
            state = method.tell(state, xs, ellipsoid(xs / scale, 100.0))
        ways.append(torch.cat(way))
    np.testing.assert_allclose(ways[0].numpy(), ways[1].numpy(), rtol=0, atol=1e-5)


def test_a_wrong_size_is_refused():
    with pytest.raises(InvalidValue, match="size > 0, got 0"):
        QuasiNewton(size=0)
