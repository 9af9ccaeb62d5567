import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from descend.direct import NelderMead
from descend.direct.nelder_mead import _is_flat, _oriented
from descend.errors import InvalidValue
from descend.key import Key
from descend.space.domain import Domain


def rosenbrock(x):
    return float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def powers(x):
    return float((np.abs(x - 0.3) ** (2 + np.arange(len(x)))).sum())


def wavy(x):
    return float((x**2 + 3 * np.sin(3 * x)).sum() + x[0] * x[-1])


def rough(x):
    return float((x**2).sum() + 0.3 * np.sin(40 * x).sum() + 0.3 * np.cos(70 * x.sum()))


def mckinnon(x):
    """Its simplex collapses onto (0, 0), where the function has a slope (McKinnon 1998, figure 1.1)."""
    return float(((360 if x[0] <= 0 else 6) * x[0] ** 2) + x[1] + x[1] ** 2)


def polled(method, f, x, n, domain=None):
    """The first n points that it asks for, and its state."""
    state, asked = method.init(x, Key(0), domain), []
    while len(asked) < n and not state.done:
        state, xs = method.ask(state)
        asked += [p.numpy().copy() for p in xs]
        state = method.tell(state, xs, torch.tensor([f(p.numpy()) for p in xs], dtype=torch.float64))
    return np.array(asked[:n]), state


def of_scipy(f, simplex, n, adaptive, bounds=None):
    """The first n points that SciPy's method asks for."""
    asked = []

    def watched(x):
        asked.append(x.copy())
        return f(x)

    options = {"initial_simplex": simplex, "adaptive": adaptive, "maxfev": n, "xatol": 0, "fatol": 0}
    minimize(watched, simplex[0], method="Nelder-Mead", bounds=bounds, options=options)
    return np.array(asked)


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("f", [rosenbrock, powers, wavy, rough], ids=lambda f: f.__name__)
@pytest.mark.parametrize("d", [2, 5, 8])
def test_goes_where_scipys_goes(f, d, adaptive):
    x = torch.linspace(-1.2, 2.0, d, dtype=torch.float64)
    ours, _ = polled(NelderMead(size=0.25, adaptive=adaptive, restarts=False), f, x, 200)
    theirs = of_scipy(f, np.vstack((x.numpy(), x.numpy() + 0.25 * np.eye(d))), 200, adaptive)
    assert len(ours) > 100  # in two dimensions it may be done before the 200th
    np.testing.assert_allclose(ours, theirs[: len(ours)], rtol=1e-12, atol=1e-12)


def test_goes_where_scipys_goes_between_bounds():
    d, low, high = 4, -2.0, 0.6
    x = torch.tensor([-1.2, 0.3, 0.0, -0.4], dtype=torch.float64)
    domain = Domain.box(torch.full((d,), low, dtype=torch.float64), torch.full((d,), high, dtype=torch.float64))
    ours, _ = polled(NelderMead(size=0.1, restarts=False), rosenbrock, x, 150, domain)
    simplex = np.vstack((x.numpy(), x.numpy() + 0.26 * np.eye(d)))
    theirs = of_scipy(rosenbrock, simplex, 150, adaptive=True, bounds=[(low, high)] * d)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)
    assert (ours == high).any()  # it came to the sides


class FromMcKinnonsSimplex(NelderMead):
    def _first(self, x, domain):
        return torch.tensor([[0, 0], [(1 + 33**0.5) / 8, (1 - 33**0.5) / 8], [1, 1]], dtype=torch.float64)


def test_a_restart_saves_it_from_mckinnons_function():
    x = torch.zeros(2, dtype=torch.float64)
    _, stuck = polled(FromMcKinnonsSimplex(adaptive=False, restarts=False), mckinnon, x, 2000)
    _, saved = polled(FromMcKinnonsSimplex(adaptive=False), mckinnon, x, 2000)
    assert stuck.done
    assert stuck.value > -1e-6
    assert saved.done
    assert saved.value == pytest.approx(-0.25, abs=1e-12)
    assert saved.x.tolist() == pytest.approx([0.0, -0.5], abs=1e-5)


def test_a_new_simplex_points_downhill():
    """Along every axis against the slope of the plane through the corners."""
    slope = torch.tensor([3.0, -0.5, 2.0], dtype=torch.float64)
    domain = Domain.box(torch.zeros(3, dtype=torch.float64), torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64))
    x = torch.full((3,), 0.5, dtype=torch.float64)
    edges = torch.tensor([[0.2, 0.0, 0.1], [0.0, 0.3, 0.1], [0.2, 0.3, 0.2 + 1e-3]], dtype=torch.float64)
    simplex = torch.cat((x[None], x + edges))
    ours = _oriented(simplex, (simplex @ slope).tolist(), domain)
    assert torch.equal(ours.sign(), -slope.sign())
    longest = (edges / domain.scale).norm(dim=1).max()
    torch.testing.assert_close(ours.abs(), 0.5 * longest * domain.scale)


def test_a_simplex_may_lie_in_a_side():
    domain = Domain.box(torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    in_a_side = torch.tensor([[0.0, 0.2], [0.0, 0.5], [0.0, 0.9]], dtype=torch.float64)
    across = in_a_side + torch.tensor([0.3, 0.0])
    assert not _is_flat(in_a_side, domain, faces=True)
    assert _is_flat(in_a_side, domain, faces=False)
    assert _is_flat(across, domain, faces=True)
    assert not _is_flat(torch.tensor([[0.0, 0.2], [0.5, 0.5], [0.0, 0.9]], dtype=torch.float64), domain, faces=True)


def test_a_minimum_in_a_side_is_found():
    """There the simplex may be flat; the distance to the minimum is along the side."""
    x = torch.tensor([11.0, 12.0, 13.0], dtype=torch.float64)
    domain = Domain.box(torch.full((3,), 10.0, dtype=torch.float64), torch.full((3,), 20.0, dtype=torch.float64))
    _, state = polled(
        NelderMead(), lambda x: float(10 * x[0] + (x[1] - 15) ** 2 + (x[1] + x[2] - 28) ** 2), x, 3000, domain
    )
    assert state.x.tolist() == pytest.approx([10.0, 15.0, 13.0], abs=1e-5)
    assert state.done


def test_adaptive_coefficients_are_better_in_many_dimensions():
    """Gao, Han (2012), table 2: on a quadratic in 24 dimensions the milder ones need far fewer evaluations."""
    x = torch.full((24,), 1.0, dtype=torch.float64)
    values = [
        polled(NelderMead(adaptive=adaptive), lambda x: float((x**2).sum()), x, 3000)[1].value
        for adaptive in (True, False)
    ]
    assert values[0] < 1e-3 * values[1]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_ends_in_few_dimensions_and_on_a_plain(d):
    x = torch.full((d,), 0.3, dtype=torch.float64)
    _, state = polled(NelderMead(), lambda x: float(((x - 1) ** 2).sum()), x, 2000)
    assert state.done
    assert state.value < 1e-18
    _, state = polled(NelderMead(), lambda x: 3.0, x, 2000)
    assert state.done


def test_wrong_numbers_are_refused_in_a_sentence():
    for name in ("size", "accuracy"):
        for wrong in (0, -1.0, math.nan, math.inf, True):
            with pytest.raises(InvalidValue, match=f"{name} > 0, got {wrong!r}; write NelderMead"):
                NelderMead(**{name: wrong})
