"""Conjugate gradients: finite on quadratics, beside SciPy elsewhere, and starting over when the past misleads."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from descend import tree
from descend.descent import Descent
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Differentiable, Oracle
from descend.oracle.bounded import Bounded
from descend.problems import rosenbrock, two_dimensional
from descend.step import StrongWolfe
from descend.transform import At, Beta, ConjugateGradient

LIKE = torch.zeros(1, dtype=torch.float64)
CURVATURES = torch.logspace(0, 4, 20, dtype=torch.float64)


def quadratic(d: int) -> Tensor:
    mix = Key(5).normal(d, d, like=LIKE)
    return mix @ mix.T / d + torch.diag(torch.linspace(0.5, 3.0, d, dtype=torch.float64))


def directions(beta: Beta, restart: float = math.inf) -> tuple[list[Tensor], Tensor, Tensor]:
    """The directions of d exact searches on a quadratic, its matrix, and the last point."""
    a, x = quadratic(7), torch.ones(7, dtype=torch.float64)
    method = ConjugateGradient(beta, restart)
    state, found = method.init(x), []
    for _ in range(7):
        gradient = a @ x
        direction, state = method(gradient.clone(), state, At(x, Oracle(), Key(0), 0.0))
        x = x - (gradient @ direction) / (direction @ a @ direction) * direction
        found.append(direction)
    return found, a, x


@pytest.mark.parametrize("beta", Beta)
def test_a_quadratic_ends_after_d_exact_searches(beta: Beta) -> None:
    found, a, x = directions(beta)
    assert x.norm() < 1e-9
    p = torch.stack([direction / direction.norm() for direction in found])
    conjugacy = p @ a @ p.T
    torch.testing.assert_close(conjugacy, torch.diag(torch.diag(conjugacy)), rtol=0, atol=1e-8)


def test_all_formulas_agree_on_a_quadratic_under_exact_searches() -> None:
    reference = directions(Beta.HESTENES_STIEFEL)[0]
    for beta in Beta:
        for ours, theirs in zip(directions(beta)[0], reference, strict=True):
            torch.testing.assert_close(ours / ours.norm(), theirs / theirs.norm(), rtol=0, atol=1e-6)


def test_the_formulas_are_their_own() -> None:
    """Where nothing is exact they differ, each as published; `restart` is off and every direction descends."""
    g0, g1 = torch.tensor([2.0, -1.0], dtype=torch.float64), torch.tensor([1.0, 0.5], dtype=torch.float64)
    d0, y = -g0, g1 - g0
    published = {
        Beta.FLETCHER_REEVES: g1 @ g1 / (g0 @ g0),
        Beta.POLAK_RIBIERE: (g1 @ y / (g0 @ g0)).clamp(min=0),
        Beta.HESTENES_STIEFEL: (g1 @ y / (d0 @ y)).clamp(min=0),
        Beta.DAI_YUAN: g1 @ g1 / (d0 @ y),
    }
    for beta, value in published.items():
        method, x = ConjugateGradient(beta, math.inf), torch.zeros(2, dtype=torch.float64)
        _, state = method(g0.clone(), method.init(x), At(x, Oracle(), Key(0), 0.0))
        direction, _ = method(g1.clone(), state, At(x - g0 / 10, Oracle(), Key(0), 0.0))
        expected = g1 - value * d0
        torch.testing.assert_close(direction / direction.norm(), expected / expected.norm())


PROBLEMS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "rosenbrock 2": (rosenbrock, torch.tensor([-1.1, 2.5], dtype=torch.float64)),
    "rosenbrock 10": (rosenbrock, torch.tensor([-1.2, 1.0] * 5, dtype=torch.float64)),
    "beale": (two_dimensional["beale"], torch.tensor([1.0, 1.0], dtype=torch.float64)),
    "ill-conditioned": (lambda x: (CURVATURES * (x - 1) ** 2).sum() / 2, torch.zeros(20, dtype=torch.float64)),
}


def slope_of(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


def steps_until(f: Callable[[Tensor], Tensor], x: Tensor, descent: Descent, gtol: float) -> tuple[Tensor, int]:
    oracle, state = Differentiable(f), descent.init(x, Key(0))
    while slope_of(f, state.x).abs().max() > gtol:
        assert state.t < 700, f"{descent} has not converged after 700 steps"
        state = descent.advance(oracle, state)
    return state.x, oracle.ledger.counts["gradient"]


@pytest.mark.parametrize("name", PROBLEMS)
def test_as_good_as_scipy(name: str) -> None:
    """The same minimizer with at most twice SciPy's gradients, though a descent asks each accepted one again."""
    f, x = PROBLEMS[name]
    ours, asked = steps_until(f, x, Descent(ConjugateGradient(), StrongWolfe(c2=0.1)), 1e-6)
    calls = 0

    def both(point: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        calls += 1
        at = torch.tensor(point)
        return float(f(at)), slope_of(f, at).numpy()

    options = {"gtol": 1e-6, "maxiter": 10**4}
    theirs = optimize.minimize(both, x.numpy(), jac=True, method="CG", options=options)
    assert asked <= 2 * calls
    torch.testing.assert_close(ours, torch.tensor(theirs.x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("beta", Beta)
@pytest.mark.parametrize("name", ["rosenbrock 2", "rosenbrock 10", "beale"])
def test_every_formula_solves_curved_valleys(beta: Beta, name: str) -> None:
    steps_until(*PROBLEMS[name], Descent(ConjugateGradient(beta), StrongWolfe(c2=0.1)), 1e-6)


def test_without_restarts_fletcher_reeves_gets_stuck() -> None:
    """What restarting is for; if this converged, `restart` would have no effect."""
    with pytest.raises(AssertionError, match="has not converged"):
        steps_until(
            *PROBLEMS["rosenbrock 10"],
            Descent(ConjugateGradient(Beta.FLETCHER_REEVES, math.inf), StrongWolfe(c2=0.1)),
            1e-6,
        )


def test_a_step_that_went_nowhere_is_a_reason_to_start_over() -> None:
    x, method = torch.zeros(2), ConjugateGradient()
    g = torch.tensor([3.0, 4.0])
    _, state = method(g.clone(), method.init(x), At(x, Oracle(), Key(0), 0.0))
    direction, _ = method(torch.tensor([-4.0, 3.0]), state, At(x, Oracle(), Key(0), 0.0))
    assert torch.equal(direction, torch.tensor([-4.0, 3.0]))


@pytest.mark.parametrize("beta", Beta)
def test_every_direction_descends_also_under_noise(beta: Beta) -> None:
    method, x = ConjugateGradient(beta, math.inf), torch.zeros(5, dtype=torch.float64)
    state = method.init(x)
    for i in range(200):
        gradient, x = Key(i).normal(2, 5, like=x)
        direction, state = method(gradient.clone(), state, At(x, Oracle(), Key(0), 0.0))
        assert gradient @ direction > 0
        assert torch.isfinite(direction).all()


@pytest.mark.parametrize("beta", Beta)
def test_saved_at_any_step_it_goes_on_bit_for_bit(beta: Beta) -> None:
    descent, oracle = Descent(ConjugateGradient(beta), StrongWolfe(c2=0.1)), Differentiable(rosenbrock)
    whole = broken = descent.init(torch.tensor([-1.1, 2.5]), Key(3))
    for _ in range(20):
        broken = tree.from_plain(tree.to_plain(broken))
        whole, broken = descent.advance(oracle, whole), descent.advance(oracle, broken)
        assert tree.same(whole, broken)
        assert whole.value == broken.value


def test_float32_and_bounds() -> None:
    oracle = Bounded(Differentiable(rosenbrock), torch.tensor([-2.0, -2.0]), torch.tensor([0.5, 3.0]))
    descent = Descent(ConjugateGradient(), StrongWolfe(c2=0.1))
    state = descent.init(torch.tensor([-1.1, 2.5]), Key(0))
    for _ in range(100):
        state = descent.advance(oracle, state)
    torch.testing.assert_close(state.x, torch.tensor([0.5, 0.25]), rtol=0, atol=1e-3)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValue, match="restart=0"):
        ConjugateGradient(restart=0)
