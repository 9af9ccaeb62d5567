"""Quasi-Newton directions: exact on quadratics, beside SciPy elsewhere, safe where there is no curvature to learn."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from descend import tree
from descend.descent import Descent
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Differentiable, Oracle, Slope
from descend.oracle.bounded import Bounded
from descend.problems import rosenbrock, two_dimensional
from descend.run import Evaluations, Target, minimize
from descend.step import Backtracking, Fixed, StrongWolfe
from descend.transform import BFGS, LBFGS, SR1, At
from descend.transform.secant import bfgs_update, sr1_update, two_loop

CURVATURES = torch.logspace(0, 4, 20, dtype=torch.float64)
POWELL_START = torch.tensor([3.0, -1.0, 0.0, 1.0], dtype=torch.float64)


def powell(x: Tensor) -> Tensor:
    return (x[0] + 10 * x[1]) ** 2 + 5 * (x[2] - x[3]) ** 2 + (x[1] - 2 * x[2]) ** 4 + 10 * (x[0] - x[3]) ** 4


def ill_conditioned(x: Tensor) -> Tensor:
    return (CURVATURES * (x - 1) ** 2).sum() / 2


PROBLEMS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "rosenbrock 2": (rosenbrock, torch.tensor([-1.1, 2.5], dtype=torch.float64)),
    "rosenbrock 10": (rosenbrock, -torch.ones(10, dtype=torch.float64)),
    "beale": (two_dimensional["beale"], torch.tensor([1.0, 1.0], dtype=torch.float64)),
    "powell": (powell, POWELL_START),
    "ill-conditioned": (ill_conditioned, torch.zeros(20, dtype=torch.float64)),
}


def slope_of(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


def minimized(f: Callable[[Tensor], Tensor], x: Tensor, descent: Descent, gtol: float) -> tuple[Tensor, int]:
    """The point where the gradient is small, and how many gradients the descent asked for."""
    oracle, state = Differentiable(f), descent.init(x, Key(0))
    while slope_of(f, state.x).abs().max() > gtol:
        assert state.t < 700, f"{descent} has not converged after 700 steps"
        state = descent.advance(oracle, state)
    return state.x, oracle.ledger.counts["gradient"]


def by_scipy(f: Callable[[Tensor], Tensor], x: Tensor, method: str, options: dict[str, float]) -> tuple[Tensor, int]:
    calls = 0

    def both(point: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal calls
        calls += 1
        at = torch.tensor(point)
        return float(f(at)), slope_of(f, at).numpy()

    found = optimize.minimize(both, x.numpy(), jac=True, method=method, options=options)
    return torch.tensor(found.x), calls


@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize(
    ("transform", "method", "options"),
    [
        (BFGS(), "BFGS", {"gtol": 1e-6}),
        (LBFGS(), "L-BFGS-B", {"gtol": 1e-6, "ftol": 0.0, "maxfun": 10**4, "maxcor": 10}),
    ],
    ids=["BFGS", "LBFGS"],
)
def test_as_good_as_scipy(name: str, transform: Any, method: str, options: dict[str, float]) -> None:
    """The same minimizer with at most twice SciPy's gradients, though a descent asks each accepted one again."""
    f, x = PROBLEMS[name]
    ours, asked = minimized(f, x, Descent(transform, StrongWolfe()), 1e-6)
    theirs, calls = by_scipy(f, x, method, options)
    assert asked <= 2 * calls
    assert f(ours) <= f(theirs) + 1e-9
    if name != "powell":  # whose minimum is singular
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


@pytest.mark.parametrize("step", [Backtracking(), Fixed(1.0)], ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("transform", [BFGS(), LBFGS()], ids=lambda transform: type(transform).__name__)
@pytest.mark.parametrize("name", PROBLEMS)
def test_the_unit_step_is_the_one_to_try(name: str, transform: Any, step: Any) -> None:
    """Without a Wolfe search, and even without any, the same problems are solved, from value 1e5 times larger too."""
    f, x = PROBLEMS[name]
    minimized(f, x, Descent(transform, step), 1e-6)
    if name == "beale" and isinstance(step, Backtracking):
        minimized(lambda x: 1e5 * f(x), x, Descent(transform, step), 1e-1)


@pytest.mark.parametrize("step", [StrongWolfe(), Backtracking()], ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("name", PROBLEMS)
def test_sr1_solves_them_too(name: str, step: Any) -> None:
    minimized(*PROBLEMS[name], Descent(SR1(), step), 1e-6)


def quadratic(d: int) -> Tensor:
    """A symmetric positive definite matrix that is not diagonal."""
    mix = Key(5).normal(d, d, like=CURVATURES)
    return mix @ mix.T / d + torch.diag(torch.linspace(0.5, 3.0, d, dtype=torch.float64))


def test_bfgs_learns_the_inverse_hessian_in_d_exact_steps() -> None:
    a, x = quadratic(6), torch.ones(6, dtype=torch.float64)
    bfgs, oracle = BFGS(), Oracle()
    state = bfgs.init(x)
    for _ in range(6):
        gradient = a @ x
        direction, state = bfgs(gradient.clone(), state, At(x, oracle, Key(0), 0.0))
        x = x - (gradient @ direction) / (direction @ a @ direction) * direction
    _, state = bfgs(a @ x, state, At(x, oracle, Key(0), 0.0))
    assert x.norm() < 1e-10
    torch.testing.assert_close(state.learned, torch.linalg.inv(a), rtol=0, atol=1e-7)
    assert state.prior.abs().max() < 1e-7  # d steps leave nothing of the identity


def test_bfgs_is_the_dense_update_of_its_latest_multiple_of_the_identity() -> None:
    a, bfgs = quadratic(4), BFGS()
    points = [Key(i).normal(4, like=CURVATURES) for i in range(4)]
    state = bfgs.init(points[0])
    for x in points:
        _, state = bfgs(a @ x, state, At(x, Oracle(), Key(0), 0.0))
    steps = [after - before for before, after in pairwise(points)]
    inverse = torch.eye(4, dtype=torch.float64) * steps[-1].norm() / (a @ steps[-1]).norm()
    assert all(bfgs_update(inverse, s, a @ s) for s in steps)
    torch.testing.assert_close(state.learned + state.scale * state.prior, inverse)


def test_bfgs_is_at_home_where_f_is_flat() -> None:
    """Curvatures from 1e-4 to 1e-2: with an identity that stays what it is, f is still 4e-4 after 50 steps."""
    oracle = Differentiable(lambda x: 1e-4 * (CURVATURES.sqrt() * (x - 1) ** 2).sum())
    descent = Descent(BFGS(), Backtracking())
    state = descent.init(torch.zeros(20, dtype=torch.float64), Key(0))
    for _ in range(50):
        state = descent.advance(oracle, state)
    assert state.value < 1e-9


def test_under_bounds_bfgs_asks_hardly_more_than_scipys_l_bfgs_b() -> None:
    for d in (5, 20):
        start = torch.full((d,), -1.0, dtype=torch.float64)
        oracle = Differentiable(rosenbrock)
        box = Bounded(oracle, torch.full_like(start, -2.0), torch.full_like(start, 0.5))
        theirs = optimize.minimize(
            optimize.rosen, start.numpy(), jac=optimize.rosen_der, bounds=[(-2, 0.5)] * d, method="L-BFGS-B"
        )
        for transform in (BFGS(), LBFGS()):
            oracle.ledger.counts.clear()
            until = Target(theirs.fun + 1e-8)
            run = minimize(box, start, method=Descent(transform, StrongWolfe()), until=until | Evaluations(2000), key=0)
            assert run.fun <= theirs.fun + 1e-8
            assert run.evaluations["gradient"] <= 1.5 * theirs.nfev


def test_sr1_learns_the_inverse_hessian_from_any_d_steps() -> None:
    a = quadratic(5)
    a[0, 0] -= 6  # one negative eigenvalue
    assert float(torch.linalg.eigvalsh(a)[0]) < -1
    inverse = torch.eye(5, dtype=torch.float64)
    for i in range(5):
        s = Key(i).normal(5, like=a)
        assert sr1_update(inverse, s, a @ s)
    torch.testing.assert_close(inverse, torch.linalg.inv(a), rtol=0, atol=1e-9)


def test_two_loops_are_the_dense_update() -> None:
    pairs = [Key(i).normal(2, 4, like=CURVATURES) for i in range(3)]
    s = [pair[0] for pair in pairs]
    y = [pair[0] + 0.3 * pair[1] for pair in pairs]
    inverse = torch.eye(4, dtype=torch.float64) * (s[-1] @ y[-1]) / (y[-1] @ y[-1])
    assert all(bfgs_update(inverse, a, b) for a, b in zip(s, y, strict=True))
    gradient = Key(9).normal(4, like=CURVATURES)
    torch.testing.assert_close(two_loop(gradient, s, y), inverse @ gradient)
    assert torch.equal(inverse, inverse.T)


def test_a_long_history_is_bfgs_and_a_ring_forgets_the_oldest() -> None:
    points = [Key(i).normal(3, like=CURVATURES) for i in range(6)]
    at = [At(x, Oracle(), Key(0), 0.0) for x in points]
    gradients = [quadratic(3) @ x for x in points]

    def last(history: int, first: int) -> Tensor:
        lbfgs = LBFGS(history)
        state, direction = lbfgs.init(points[first]), points[0]
        for gradient, here in zip(gradients[first:], at[first:], strict=True):
            direction, state = lbfgs(gradient.clone(), state, here)
        return direction

    assert torch.equal(last(2, 0), last(2, 3))  # what was before the last two pairs has no influence
    assert not torch.equal(last(3, 0), last(2, 0))


@pytest.mark.parametrize("transform", [BFGS(), LBFGS(3), SR1()], ids=repr)
def test_every_direction_descends_or_is_the_cautious_gradient(transform: Any) -> None:
    """On random gradients, as under noise, where half of all pairs show negative curvature."""
    like = torch.zeros(5, dtype=torch.float64)
    state = transform.init(like)
    for i in range(200):
        gradient, x = Key(i).normal(2, 5, like=like)
        direction, state = transform(gradient.clone(), state, At(x, Oracle(), Key(0), 0.0))
        assert gradient @ direction > 0
        assert torch.isfinite(direction).all()


@pytest.mark.parametrize("transform", [BFGS(), LBFGS(3), SR1()], ids=repr)
def test_a_step_that_went_nowhere_is_a_reason_to_forget(transform: Any) -> None:
    x, g = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    state = transform.init(x)
    for point, gradient in [(x, g), (x + 1, g + torch.tensor([1.0, 5.0]))]:
        learned, state = transform(gradient.clone(), state, At(point, Oracle(), Key(0), 0.0))
    assert state.pairs == 1
    again, state = transform(g.clone(), state, At(x + 1, Oracle(), Key(0), 0.0))
    assert state.pairs == 0
    torch.testing.assert_close(again, g / 5)
    assert not torch.allclose(learned / learned.norm(), again)


@pytest.mark.parametrize("transform", [BFGS(), LBFGS(4), SR1()], ids=repr)
@pytest.mark.parametrize("step", [StrongWolfe(), Backtracking()], ids=lambda step: type(step).__name__)
def test_saved_at_any_step_it_goes_on_bit_for_bit(transform: Any, step: Any) -> None:
    descent, oracle = Descent(transform, step), Differentiable(rosenbrock)
    whole = broken = descent.init(torch.tensor([-1.1, 2.5]), Key(3))
    for _ in range(25):
        broken = tree.from_plain(tree.to_plain(broken))
        whole, broken = descent.advance(oracle, whole), descent.advance(oracle, broken)
        assert tree.same(whole, broken)
        assert (whole.value, whole.t) == (broken.value, broken.t)


@pytest.mark.parametrize("transform", [BFGS(), LBFGS(), SR1()], ids=repr)
@pytest.mark.parametrize(("dtype", "good"), [(torch.float32, 1e-6), (torch.bfloat16, 8.0)])
def test_other_dtypes(transform: Any, dtype: torch.dtype, good: float) -> None:
    descent, oracle = Descent(transform, StrongWolfe()), Differentiable(rosenbrock)
    state = descent.init(torch.tensor([-1.1, 2.5], dtype=dtype), Key(0))
    for _ in range(70):
        state = descent.advance(oracle, state)
    assert state.x.dtype == dtype
    assert rosenbrock(state.x.double()) < good


class Unasked(Oracle):
    """Answers gradients only; whoever asks it for more fails."""

    answers = Asks.GRADIENT

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return Slope(2 * x)


@pytest.mark.parametrize("transform", [BFGS(), LBFGS(), SR1()], ids=repr)
def test_they_ask_for_nothing_but_the_gradient(transform: Any) -> None:
    descent = Descent(transform)
    state = descent.init(torch.tensor([3.0, -1.0]), Key(0))
    for _ in range(30):
        state = descent.advance(Unasked(), state)
    assert state.x.norm() < 1e-4


@pytest.mark.parametrize("transform", [BFGS(), LBFGS(), SR1()], ids=repr)
@pytest.mark.parametrize("step", [StrongWolfe(), Backtracking()], ids=lambda step: type(step).__name__)
def test_bounds_hold_and_the_minimizer_is_scipys(transform: Any, step: Any) -> None:
    low = torch.full((6,), -0.5, dtype=torch.float64)
    high = torch.tensor([0.4, 2.0, 0.3, 2.0, 0.6, 2.0], dtype=torch.float64)
    oracle = Bounded(Differentiable(rosenbrock), low, high)
    descent = Descent(transform, step)
    state = descent.init(torch.zeros(6, dtype=torch.float64), Key(0))
    for _ in range(150):
        state = descent.advance(oracle, state)
        assert ((state.x >= low) & (state.x <= high)).all()
    box = list(zip(low.tolist(), high.tolist(), strict=True))
    best = optimize.minimize(
        lambda x: float(rosenbrock(torch.tensor(x))),
        np.zeros(6),
        jac=lambda x: slope_of(rosenbrock, torch.tensor(x)).numpy(),
        bounds=box,
        options={"gtol": 1e-10, "ftol": 1e-15},
    )
    torch.testing.assert_close(state.x, torch.tensor(best.x), rtol=0, atol=1e-5)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidValue, match="history=0"):
        LBFGS(history=0)
