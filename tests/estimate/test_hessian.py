"""Differenced curvature against autograd's, over exact and over estimated gradients."""

import math

import pytest
import torch
from torch import Tensor

from descend.direction import Combination
from descend.errors import InvalidValue, MissingAnswer
from descend.estimate import (
    SPSA,
    DifferencedHvp,
    DifferencedJacobian,
    FiniteDifference,
    hutchinson_diagonal,
)
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Oracle, Residuals

X = torch.tensor([-1.1, 2.5, 0.3, 1.2], dtype=torch.float64)


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


HESSIAN = torch.func.hessian(rosenbrock)(X)


def hvps(oracle: Oracle) -> Tensor:
    return torch.stack([oracle.hvp(X, e, Key(3)) for e in torch.eye(4, dtype=torch.float64)])


@pytest.mark.parametrize(("formula", "tolerance"), [("forward", 1e-3), ("central", 1e-5)])
@pytest.mark.parametrize("size", [1e-4, 1.0, 1e4])
def test_products_over_an_exact_gradient(formula: str, tolerance: float, size: float) -> None:
    oracle = Differentiable(rosenbrock) | DifferencedHvp(formula)
    products = hvps(oracle)
    assert float((products - HESSIAN).norm() / HESSIAN.norm()) < tolerance
    v = size * torch.tensor([1.0, -2.0, 0.5, 0.1], dtype=torch.float64)
    assert float((oracle.hvp(X, v, Key(0)) - HESSIAN @ v).norm() / (HESSIAN @ v).norm()) < tolerance


@pytest.mark.parametrize(("below", "tolerance"), [("forward", 1e-2), ("central", 1e-4)])
def test_products_over_an_estimated_gradient(below: str, tolerance: float) -> None:
    base = Function(rosenbrock, batched=False)
    oracle = base | FiniteDifference(below) | DifferencedHvp()
    assert float((hvps(oracle) - HESSIAN).norm() / HESSIAN.norm()) < tolerance
    assert base.ledger.counts == {"value": 4 * 2 * (5 if below == "forward" else 8)}


def test_newton_from_values_alone() -> None:
    """Conjugate gradients on a differenced Hessian of a differenced gradient solve a quadratic in one step."""
    a = torch.tensor([[4.0, 1.0, 0.0], [1.0, 3.0, 0.5], [0.0, 0.5, 2.0]], dtype=torch.float64)
    b = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    oracle = Function(lambda x: 0.5 * x @ a @ x - b @ x, batched=False) | FiniteDifference() | DifferencedHvp()
    x = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)
    r = -torch.as_tensor(oracle.gradient(x, Key(0)).gradient)
    p, step = r.clone(), torch.zeros_like(x)
    for _ in range(3):
        ap = oracle.hvp(x, p, Key(0))
        alpha = (r @ r) / (p @ ap)
        step += alpha * p
        new = r - alpha * ap
        p, r = new + (new @ new) / (r @ r) * p, new
    torch.testing.assert_close(x + step, torch.linalg.solve(a, b), rtol=1e-5, atol=1e-5)


def test_both_gradients_see_the_same_directions() -> None:
    """With SPSA below, other directions for the second gradient would add 1e6 of noise."""
    oracle = Function(lambda x: 1e6 * x.sum() + x[0] ** 2, batched=False) | SPSA(1e-3) | DifferencedHvp(radius=1.0)
    product = oracle.hvp(X, torch.tensor([1.0, 0, 0, 0], dtype=torch.float64), Key(1))
    torch.testing.assert_close(product.abs(), torch.full_like(X, 2.0), rtol=1e-2, atol=1e-2)


def test_what_it_hides_and_keeps() -> None:
    lifted = Function(rosenbrock) | FiniteDifference() | DifferencedHvp()
    assert lifted.answers == Asks.VALUE | Asks.VALUES | Asks.GRADIENT | Asks.HVP
    planted = Differentiable(rosenbrock)
    planted.hvp = lambda *arguments: torch.full((4,), 777.0)  # type: ignore[method-assign]
    assert float((planted | DifferencedHvp()).hvp(X, X, Key(0)).abs().max()) != 777.0
    with pytest.raises(MissingAnswer, match=r"DifferencedHvp.*asks for GRADIENT"):
        Function(rosenbrock) | DifferencedHvp()


def test_zero_and_failure() -> None:
    oracle = Differentiable(rosenbrock) | DifferencedHvp()
    assert oracle.hvp(X, torch.zeros_like(X), Key(0)).tolist() == [0.0] * 4
    bad = Function(lambda x: math.nan, batched=False)
    bad.ledger.charge("value")
    assert not bool(torch.isfinite((bad | FiniteDifference() | DifferencedHvp()).hvp(X, X, Key(0))).any())


def test_hutchinsons_mean_and_variance() -> None:
    n = 1500
    oracle = Differentiable(rosenbrock)
    draws = torch.stack([hutchinson_diagonal(oracle, X, Key(i)) for i in range(n)])
    error = draws.mean(0) - HESSIAN.diagonal()
    assert bool((error.abs() <= 3 * draws.std(0) / math.sqrt(n) + 1e-9).all())
    variance = (HESSIAN**2).sum(1) - HESSIAN.diagonal() ** 2
    torch.testing.assert_close(draws.var(0), variance, rtol=0.1, atol=1e-6)


def test_hutchinson_averages_its_samples_over_any_hvp() -> None:
    exact, differenced = Differentiable(rosenbrock), Function(rosenbrock) | FiniteDifference() | DifferencedHvp()
    many = hutchinson_diagonal(exact, X, Key(0), samples=64, law="normal")
    torch.testing.assert_close(hutchinson_diagonal(differenced, X, Key(0), 64, "normal"), many, rtol=1e-3, atol=0.1)
    assert exact.ledger.counts == {"hvp": 64}
    deviation = ((HESSIAN**2).sum(1) + HESSIAN.diagonal() ** 2).div(64).sqrt()
    assert bool(((many - HESSIAN.diagonal()).abs() < 3 * deviation).all())
    with pytest.raises(MissingAnswer, match="hutchinson_diagonal"):
        hutchinson_diagonal(Function(rosenbrock), X, Key(0))
    with pytest.raises(InvalidValue, match="samples"):
        hutchinson_diagonal(exact, X, Key(0), 0)
    with pytest.raises(InvalidValue, match="unknown law 'cauchy'"):
        hutchinson_diagonal(exact, X, Key(0), 1, "cauchy")


def residuals(x: Tensor) -> Tensor:
    return torch.cat([torch.exp(x), x[:2] * x[2:], (x**2).sum()[None]])


@pytest.mark.parametrize(("formula", "tolerance"), [("forward", 1e-6), ("central", 1e-9), ("central4", 1e-11)])
def test_the_jacobian_and_its_gradient(formula: str, tolerance: float) -> None:
    exact = Residuals(residuals)
    lifted = Residuals(residuals) | DifferencedJacobian(formula)
    truth = exact.jacobian(X, Key(0))
    assert float((lifted.jacobian(X, Key(0)) - truth).norm() / truth.norm()) < tolerance
    slope, expected = lifted.gradient(X, Key(0)), exact.gradient(X, Key(0))
    assert slope.value == pytest.approx(expected.value, rel=1e-12)
    torch.testing.assert_close(slope.gradient, expected.gradient, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize(("formula", "jacobian", "gradient"), [("forward", 5, 5), ("central", 8, 9)])
def test_residuals_asked_for_a_jacobian(formula: str, jacobian: int, gradient: int) -> None:
    base = Residuals(residuals)
    (base | DifferencedJacobian(formula)).jacobian(X, Key(0))
    assert base.ledger.counts == {"residuals": jacobian}
    (base | DifferencedJacobian(formula)).gradient(X, Key(0))
    assert base.ledger.counts == {"residuals": jacobian + gradient}


def test_the_jacobian_of_small_and_large_points() -> None:
    for size in (1e-6, 1e6):
        lifted = Residuals(lambda x, size=size: residuals(x / size)) | DifferencedJacobian("central")
        truth = torch.func.jacrev(residuals)(X) / size
        torch.testing.assert_close(lifted.jacobian(size * X, Key(0)), truth, rtol=1e-7, atol=1e-7 / size)


def test_wrong_arguments() -> None:
    for wrong in (DifferencedHvp, DifferencedJacobian):
        with pytest.raises(InvalidValue, match="unknown formula"):
            wrong("sideways")
        with pytest.raises(InvalidValue, match="radius must be finite and > 0"):
            wrong(radius=0.0)
    with pytest.raises(MissingAnswer, match="asks for RESIDUALS"):
        Function(rosenbrock) | DifferencedJacobian()


def test_no_gradient_of_the_lifted_jacobian_goes_round_it() -> None:
    base = Residuals(residuals)
    gradient = (base | DifferencedJacobian()).gradient(X, Key(0)).gradient
    assert not isinstance(gradient, Combination)
    assert "gradient" not in base.ledger.counts
    assert "jacobian" not in base.ledger.counts
