"""Powell's method, coordinate search and Rosenbrock's rotating coordinates."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from descend.direct import Brent, CoordinateSearch, Golden, NelderMead, Powell, RotatingCoordinates
from descend.direct.rosenbrock import _turned
from descend.errors import InvalidValue
from descend.space.domain import Domain


def sphere(x):
    return float(((x - 1) ** 2).sum())


def ellipsoid(x):
    return float((10 ** (4 * np.arange(len(x)) / (len(x) - 1)) * (x - 1) ** 2).sum())


def turned_ellipsoid(x):
    turn = np.linalg.qr(np.random.default_rng(len(x)).normal(size=(len(x), len(x))))[0]
    return ellipsoid(1 + turn @ (x - 1))


def rosenbrock(x):
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def scipys_powell(f, x, target):
    """After how many evaluations SciPy's method is at the target."""
    made, hit = 0, None

    def watched(x):
        nonlocal made, hit
        made += 1
        loss = f(x)
        hit = made if hit is None and loss <= target else hit
        return loss

    minimize(watched, x, method="Powell", options={"maxfev": 20000, "xtol": 1e-10, "ftol": 1e-14})
    return hit or math.inf


@pytest.mark.parametrize("f", [sphere, ellipsoid, turned_ellipsoid, rosenbrock], ids=lambda f: f.__name__)
@pytest.mark.parametrize("d", [2, 6])
def test_powell_needs_no_more_evaluations_than_scipys(descended, f, d):
    x = np.linspace(-1.2, 2.0, d)
    _, hit = descended(Powell(), f, x, 20000, target=1e-9)
    assert hit is not None
    assert hit <= scipys_powell(f, x, 1e-9)


def test_powells_directions_become_conjugate(descended):
    """On a quadratic function n rounds of exact line searches are enough; without new directions they are not."""
    d = 6
    x = np.linspace(-1.2, 2.0, d)
    line = Brent(1e-6)
    _, powell = descended(Powell(line), turned_ellipsoid, x, 20000, target=1e-12)
    _, axes = descended(CoordinateSearch(line), turned_ellipsoid, x, 4 * powell, target=1e-12)
    assert powell < d * (d + 1) * 15
    assert axes is None


def test_powell_looks_along_the_axes_before_it_ends(descended):
    """abs-like valleys make its directions dependent; where it ends no axis leads downhill."""
    x = np.array([-1.0, 0.5, 2.0])

    def f(x):
        return float(np.abs(x - 0.3).sum() + 0.9 * abs(x.sum()))

    state, _ = descended(Powell(), f, x, 5000)
    assert state.done
    at = state.x.numpy()
    assert all(f(at + h * e) >= state.value for e in np.eye(3) for h in (1e-6, -1e-6, 1e-3, -1e-3))


@pytest.mark.parametrize("line", [Brent(), Golden()], ids=repr)
def test_coordinate_search_solves_what_is_separable(descended, line):
    x = np.linspace(-1.2, 2.0, 12)

    def f(x):
        return float((np.abs(x - 0.3) ** (1.5 + np.arange(12) / 6) * 10 ** np.linspace(0, 6, 12)).sum())

    _, hit = descended(CoordinateSearch(line), f, x, 12 * 100, target=1e-6)
    assert hit is not None
    if line == Brent():
        _, simplex = descended(NelderMead(), f, x, 5 * hit, target=1e-6)
        assert simplex is None  # it is the better choice here


def test_coordinate_search_tries_every_value_without_an_order(descended):
    losses = [3.0, 2.9, 3.1, 0.2, 5.0]
    domain = Domain.box(
        torch.tensor([0.0, 0.0], dtype=torch.float64),
        torch.tensor([5.0, 1.0], dtype=torch.float64),
        cells=torch.tensor([5, 0]),
        unordered=torch.tensor([True, False]),
    )

    def f(x):
        return losses[int(x[0])] + 10 * (x[1] - int(x[0]) / 5) ** 2

    state, _ = descended(CoordinateSearch(), f, [0.5, 0.2], 400, domain)
    assert state.value == pytest.approx(0.2, abs=1e-15)
    assert int(state.x[0]) == 3
    assert state.done


def test_rosenbrock_follows_a_curved_valley(descended):
    """His own example from (-1.2, 1) needed 200 evaluations to reach about 1e-4 in 1960 and still does."""
    _, hit = descended(RotatingCoordinates(), rosenbrock, [-1.2, 1.0], 1000, target=1e-4)
    _, axes = descended(CoordinateSearch(), rosenbrock, [-1.2, 1.0], 1000, target=1e-4)
    assert hit is not None
    assert hit <= 250
    assert axes is None


def test_turned_axes_are_orthogonal_and_begin_with_the_way():
    generator = torch.Generator().manual_seed(3)
    axes = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=torch.float64))[0]
    way = [0.3, -2.0, 0.0, 1e-3, 4.0]
    turned = _turned(axes, way)
    torch.testing.assert_close(turned @ turned.T, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-12)
    gone = (torch.tensor(way, dtype=torch.float64)[:, None] * axes).sum(0)
    assert float(turned[0] @ gone / gone.norm()) == pytest.approx(1, abs=1e-7)
    # Gram-Schmidt as he wrote it: the second is what is left of the way without its first step
    rest = gone - way[0] * axes[0]
    rest = rest - (rest @ turned[0]) * turned[0]
    assert float(turned[1] @ rest / rest.norm()) == pytest.approx(1, abs=1e-7)


@pytest.mark.parametrize("method", [Powell(), CoordinateSearch(), RotatingCoordinates()], ids=repr)
def test_ends_at_a_corner_of_the_domain(descended, method):
    domain = Domain.box(torch.full((3,), 10.0, dtype=torch.float64), torch.full((3,), 20.0, dtype=torch.float64))

    def f(x):
        return float(x[0] - 2 * x[1] + 3 * x[2])

    state, _ = descended(method, f, [14.0, 15.0, 16.0], 3000, domain)
    assert state.x.tolist() == [10.0, 20.0, 10.0]
    assert state.done
    _, hit = descended(method, f, [14.0, 15.0, 16.0], 100, domain, target=0.0)
    assert hit is not None
    assert hit <= 20  # a line ends where the domain does


@pytest.mark.parametrize("method", [Powell(), CoordinateSearch(), RotatingCoordinates()], ids=repr)
def test_ends_on_a_plain(descended, method):
    state, _ = descended(method, lambda x: 3.0, [14.0, 15.0], 3000)
    assert state.done


def test_wrong_numbers_are_refused_in_a_sentence():
    for kind in (Powell, CoordinateSearch, RotatingCoordinates):
        for name in ("size", "accuracy"):
            with pytest.raises(InvalidValue, match=f"{name} > 0, got -1; write {kind.__name__}"):
                kind(**{name: -1})
    for kind in (Powell, CoordinateSearch):
        with pytest.raises(InvalidValue, match=f"line=-1; write {kind.__name__}"):
            kind(-1)
    with pytest.raises(InvalidValue, match=r"shrink < 1 < grow, got shrink=1.5 and grow=3.0"):
        RotatingCoordinates(shrink=1.5)
