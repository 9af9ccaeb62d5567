"""Newton directions: one step on a quadratic, beside SciPy elsewhere, and down where curvature is negative."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from descend import tree
from descend.descent import Descent
from descend.errors import InvalidValue, MissingAnswer
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Oracle, Residuals, check_answers
from descend.oracle.bounded import Bounded
from descend.problems import rosenbrock, two_dimensional
from descend.step import Backtracking, LevenbergMarquardt, StrongWolfe, TrustRegion
from descend.transform import At, GaussNewton, Newton, NewtonCG
from descend.transform.krylov import truncated_cg
from descend.transform.newton import DampedLeastSquares, hessian

LIKE = torch.zeros(1, dtype=torch.float64)
PROBLEMS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "rosenbrock 2": (rosenbrock, torch.tensor([-1.1, 2.5], dtype=torch.float64)),
    "rosenbrock 10": (rosenbrock, torch.zeros(10, dtype=torch.float64)),
    "beale": (two_dimensional["beale"], torch.tensor([1.0, 1.0], dtype=torch.float64)),
}


def slope_of(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


def quadratic(d: int) -> Tensor:
    mix = Key(5).normal(d, d, like=LIKE)
    return mix @ mix.T / d + torch.diag(torch.linspace(0.5, 3.0, d, dtype=torch.float64))


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-14), (torch.float32, 1e-5)])
def test_a_quadratic_takes_newton_one_step(dtype: torch.dtype, rounding: float) -> None:
    a, descent = quadratic(8).to(dtype), Descent(Newton())
    state = descent.advance(Differentiable(lambda x: x @ a @ x / 2), descent.init(torch.ones(8, dtype=dtype), Key(0)))
    assert state.x.abs().max() < rounding


@pytest.mark.parametrize("size", [1.0, 1e-6])
def test_newton_cg_solves_a_quadratic_as_well_as_it_promises(size: float) -> None:
    """And no better: it stops as soon as it may, after fewer products than there are coordinates."""
    a, x = quadratic(8), torch.full((8,), size, dtype=torch.float64)
    oracle = Differentiable(lambda x: x @ a @ x / 2)
    before = a @ x
    direction, _ = NewtonCG()(before.clone(), NewtonCG().init(x), At(x, oracle, Key(0), 0.0))
    after = (before - a @ direction).norm()
    assert after <= min(0.1, math.sqrt(before.norm())) * before.norm()
    assert after > 1e-6 * before.norm()
    assert oracle.ledger.counts["hvp"] < 8


@pytest.mark.parametrize("transform", [Newton(), NewtonCG()], ids=repr)
@pytest.mark.parametrize("step", [Backtracking(), StrongWolfe()], ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("name", PROBLEMS)
def test_as_good_as_scipy(name: str, step: Any, transform: Any) -> None:
    """The same minimizer in at most 1.2 times the steps of SciPy's Newton-CG."""
    f, x = PROBLEMS[name]
    oracle, descent = Differentiable(f), Descent(transform, step)
    state = descent.init(x, Key(0))
    theirs = optimize.minimize(
        lambda x: float(f(torch.tensor(x))),
        x.numpy(),
        jac=lambda x: slope_of(f, torch.tensor(x)).numpy(),
        hess=lambda x: torch.func.hessian(f)(torch.tensor(x)).numpy(),
        method="Newton-CG",
        options={"xtol": 1e-9},
    )
    while slope_of(f, state.x).abs().max() > 1e-8:
        state = descent.advance(oracle, state)
        assert state.t <= 1.2 * theirs.nit
    torch.testing.assert_close(state.x, torch.tensor(theirs.x), rtol=0, atol=1e-5)


def test_the_hessian_is_autograds() -> None:
    x = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64)
    exact = torch.func.hessian(rosenbrock)(x)
    torch.testing.assert_close(hessian(Differentiable(rosenbrock), x, Key(0)), exact)


def saddle(x: Tensor) -> Tensor:
    return x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 4


@pytest.mark.parametrize(
    "descent",
    [Descent(Newton(), Backtracking()), Descent(NewtonCG(), Backtracking()), Descent(TrustRegion())],
    ids=["Newton", "NewtonCG", "TrustRegion"],
)
def test_they_leave_a_saddle_point(descent: Descent) -> None:
    """Newton's own direction would lead into it."""
    state = descent.init(torch.tensor([1.0, 1e-3], dtype=torch.float64), Key(0))
    for _ in range(60):
        state = descent.advance(Differentiable(saddle), state)
    torch.testing.assert_close(state.x.abs(), torch.tensor([0.0, math.sqrt(2)], dtype=torch.float64), rtol=0, atol=1e-5)


def test_truncated_cg_is_the_solution_without_a_boundary_and_the_best_on_it() -> None:
    a, g = quadratic(6), Key(1).normal(6, like=LIKE)
    free = truncated_cg(lambda v: a @ v, g, radius=math.inf, tolerance=1e-12, limit=50)
    torch.testing.assert_close(free.step, -torch.linalg.solve(a, g))
    bound = truncated_cg(lambda v: a @ v, g, radius=0.1, tolerance=1e-12, limit=50)
    assert bound.boundary
    assert float(bound.step.norm()) == pytest.approx(0.1)
    cauchy = -0.1 * g / g.norm()
    for z, decrease in ((free.step, free.decrease), (bound.step, bound.decrease)):
        assert -(g @ z + z @ a @ z / 2) == pytest.approx(decrease)
    assert bound.decrease >= -(g @ cauchy + cauchy @ a @ cauchy / 2) - 1e-12


def test_truncated_cg_follows_negative_curvature_to_the_boundary() -> None:
    a, g = torch.diag(torch.tensor([1.0, -2.0])), torch.tensor([1.0, 0.5])
    inside = truncated_cg(lambda v: a @ v, g, radius=3.0, tolerance=1e-6, limit=10)
    assert inside.boundary
    assert inside.bends
    assert float(inside.step.norm()) == pytest.approx(3.0)
    assert truncated_cg(lambda v: -v, g, radius=math.inf, tolerance=1e-6, limit=10).step.any().logical_not()


def test_least_squares_beside_numpy() -> None:
    tall, wide_, r = Key(0).normal(9, 4, like=LIKE), Key(1).normal(3, 5, like=LIKE), Key(2).normal(9, like=LIKE)
    for jacobian in (tall, wide_, torch.cat([tall, tall[:, :1]], 1)):  # the last has dependent columns
        rhs = r[: jacobian.shape[0]]
        expected = np.linalg.lstsq(jacobian.numpy(), rhs.numpy(), rcond=1e-12)[0]
        torch.testing.assert_close(DampedLeastSquares(jacobian, rhs).solve(0.0), torch.tensor(expected))
    scale = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    expected = torch.linalg.solve(tall.T @ tall + 0.3 * torch.diag(scale**2), tall.T @ r)
    torch.testing.assert_close(DampedLeastSquares(tall, r, scale).solve(0.3), expected)


TIMES = torch.linspace(0, 4, 25, dtype=torch.float64)
DATA = 2.5 * torch.exp(-1.3 * TIMES) + 0.5 + 0.02 * torch.sin(37 * TIMES)


def decay(x: Tensor) -> Tensor:
    return x[0] * torch.exp(-x[1] * TIMES) + x[2]


def test_gauss_newton_fits_what_scipy_fits() -> None:
    start = torch.tensor([1.0, 0.2, 0.0], dtype=torch.float64)
    descent, oracle = Descent(GaussNewton(), Backtracking()), Residuals(decay, DATA)
    state = descent.init(start, Key(0))
    for _ in range(12):
        state = descent.advance(oracle, state)
    theirs = optimize.least_squares(lambda x: (decay(torch.tensor(x)) - DATA).numpy(), start.numpy(), method="lm")
    torch.testing.assert_close(state.x, torch.tensor(theirs.x), rtol=1e-6, atol=0)


def test_gauss_newton_solves_linear_residuals_at_once_and_damping_shortens() -> None:
    a, b = Key(0).normal(6, 3, like=LIKE), Key(1).normal(6, like=LIKE)
    at = At(torch.zeros(3, dtype=torch.float64), Residuals(lambda x: a @ x, b), Key(0), 0.0)
    gradient = -a.T @ b
    exact, _ = GaussNewton()(gradient.clone(), GaussNewton().init(at.x), at)
    torch.testing.assert_close(-exact, torch.linalg.lstsq(a, b).solution)
    damped, _ = GaussNewton(damping=2.0)(gradient.clone(), GaussNewton().init(at.x), at)
    torch.testing.assert_close(damped, torch.linalg.solve(a.T @ a + 2 * torch.eye(3, dtype=torch.float64), gradient))


@pytest.mark.parametrize(
    ("part", "missing"),
    [
        (Newton(), "HVP"),
        (NewtonCG(), "HVP"),
        (TrustRegion(), "HVP"),
        (GaussNewton(), "RESIDUALS, JACOBIAN"),
        (LevenbergMarquardt(), "RESIDUALS, JACOBIAN"),
    ],
    ids=repr,
)
def test_what_the_oracle_cannot_answer_is_said_before_the_first_question(part: Any, missing: str) -> None:
    class Gradients(Function):
        answers = Asks.VALUE | Asks.VALUES | Asks.GRADIENT

    oracle, descent = Gradients(lambda x: x.sum()), Descent(part)
    with pytest.raises(MissingAnswer, match=missing):
        check_answers(descent, descent.needs, oracle)
    assert oracle.ledger.total == 0


class Broken(Differentiable):
    """Its Hessian is NaN."""

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        return direction * math.nan


@pytest.mark.parametrize("transform", [Newton(), NewtonCG()], ids=repr)
def test_without_curvature_the_direction_is_the_gradient(transform: Any) -> None:
    x, g = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    for oracle in (Broken(rosenbrock), Differentiable(lambda x: x.sum())):
        direction, _ = transform(g.clone(), transform.init(x), At(x, oracle, Key(0), 0.0))
        assert torch.equal(direction, g)


@pytest.mark.parametrize(("transform", "steps"), [(Newton(), 1), (GaussNewton(), 1), (NewtonCG(), 6)])
def test_a_bound_holds_and_curvature_does_not_pull_across_it(transform: Any, steps: int) -> None:
    """A strongly coupled quadratic with one coordinate at its bound: unit steps must be right for the others."""
    root = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.5, 0.0], [0.8, 0.3, 0.4]], dtype=torch.float64)
    target = torch.tensor([-0.5, 4.0, 3.0], dtype=torch.float64)
    low, high = torch.zeros(3, dtype=torch.float64), torch.full((3,), 10.0, dtype=torch.float64)
    oracle = Bounded(Residuals(lambda x: root @ (x - target)), low, high)
    descent = Descent(transform)
    state = descent.init(torch.tensor([0.0, 3.0, 3.0], dtype=torch.float64), Key(0))
    for _ in range(steps):
        state = descent.advance(oracle, state)
    theirs = optimize.lsq_linear(root.numpy(), (root @ target).numpy(), (0, 10), tol=1e-14)
    assert state.x[0] == 0
    assert (state.x[1:] > 1).all()
    torch.testing.assert_close(state.x, torch.tensor(theirs.x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("transform", [Newton(), NewtonCG()], ids=repr)
def test_saved_at_any_step_it_goes_on_bit_for_bit(transform: Any) -> None:
    descent, oracle = Descent(transform, Backtracking()), Differentiable(rosenbrock)
    whole = broken = descent.init(torch.tensor([-1.1, 2.5]), Key(3))
    for _ in range(10):
        broken = tree.from_plain(tree.to_plain(broken))
        whole, broken = descent.advance(oracle, whole), descent.advance(oracle, broken)
        assert tree.same(whole, broken)


def test_what_they_need_and_what_is_refused() -> None:
    assert Descent(NewtonCG()).needs == Asks.GRADIENT | Asks.HVP
    assert Oracle.answers == Asks(0)
    for make, message in (
        (lambda: Newton(floor=0), "floor=0"),
        (lambda: NewtonCG(max_products=0), "max_products=0"),
        (lambda: GaussNewton(damping=-1), "damping=-1"),
    ):
        with pytest.raises(InvalidValue, match=message):
            make()
