"""Trust regions: beside SciPy's, radius and damping as published, and that nothing leads them astray."""

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
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Differentiable, Oracle, Residuals, Slope
from descend.oracle.bounded import Bounded
from descend.problems import rosenbrock, two_dimensional
from descend.step import LevenbergMarquardt, TrustRegion

CURVATURES = torch.logspace(0, 4, 20, dtype=torch.float64)
START = torch.tensor([-1.1, 2.5], dtype=torch.float64)
PROBLEMS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "rosenbrock 2": (rosenbrock, START),
    "rosenbrock 10": (rosenbrock, torch.zeros(10, dtype=torch.float64)),
    "beale": (two_dimensional["beale"], torch.tensor([1.0, 1.0], dtype=torch.float64)),
    "ill-conditioned": (lambda x: (CURVATURES * (x - 1) ** 2).sum() / 2, torch.zeros(20, dtype=torch.float64)),
}


def slope_of(f: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(f(leaf), leaf)[0]


@pytest.mark.parametrize("name", PROBLEMS)
def test_as_good_as_scipys_trust_region(name: str) -> None:
    """The same minimizer with at most 1.2 times the products and 1.2 times the values of SciPy's trust-ncg."""
    f, x = PROBLEMS[name]
    oracle, descent, calls = Differentiable(f), Descent(TrustRegion()), [0, 0]
    state = descent.init(x, Key(0))
    while slope_of(f, state.x).abs().max() > 1e-6:
        assert state.t < 200
        state = descent.advance(oracle, state)

    def product(point: np.ndarray, v: np.ndarray) -> np.ndarray:
        calls[0] += 1
        return Differentiable(f).hvp(torch.tensor(point), torch.tensor(v), Key(0)).numpy()

    def value(point: np.ndarray) -> float:
        calls[1] += 1
        return float(f(torch.tensor(point)))

    theirs = optimize.minimize(
        value,
        x.numpy(),
        jac=lambda point: slope_of(f, torch.tensor(point)).numpy(),
        hessp=product,
        method="trust-ncg",
        options={"gtol": 1e-6},
    )
    counts = oracle.ledger.counts
    assert counts["hvp"] <= 1.2 * calls[0]
    assert counts["value"] <= 1.2 * calls[1]
    torch.testing.assert_close(state.x, torch.tensor(theirs.x), rtol=0, atol=1e-4)


def test_the_radius_follows_how_well_the_model_predicts() -> None:
    """A quadratic is predicted exactly: the radius doubles until the minimum lies inside, then it stays."""
    oracle, descent = Differentiable(lambda x: ((x - 10) ** 2).sum() / 2), Descent(TrustRegion(radius=1.0))
    state, radii = descent.init(torch.zeros(1, dtype=torch.float64), Key(0)), []
    points = []
    for _ in range(5):
        state = descent.advance(oracle, state)
        radii.append(state.step.radius)
        points.append(float(state.x[0]))
    assert radii[:4] == [2.0, 4.0, 8.0, 8.0]
    assert points == pytest.approx([1.0, 3.0, 7.0, 10.0, 10.0])
    assert Descent(TrustRegion(radius=1.0, max_radius=3.0)).step._next(2.0, 1.0, 2.0, True) == 3.0


def test_what_the_model_did_not_foresee_shrinks_the_radius() -> None:
    """A wall that the gradient and the Hessian at 0 know nothing of."""

    def wall(x: Tensor) -> Tensor:
        return torch.where(x[0] > 0.1, 1e3 + x[0], -x[0])

    step, oracle, x = TrustRegion(radius=1.0), Differentiable(wall), torch.zeros(1, dtype=torch.float64)
    slope = Slope(torch.tensor([-1.0], dtype=torch.float64), 0.0)
    moved = step(oracle, x, slope.gradient, slope, step.init(x), Key(0))  # type: ignore[arg-type]
    assert oracle.ledger.counts["value"] == 3  # at 1, 1/4 and 1/16
    assert float(moved.x[0]) == pytest.approx(1 / 16)
    assert moved.value == pytest.approx(-1 / 16)


TIMES = torch.linspace(0, 4, 25, dtype=torch.float64)
DATA = 2.5 * torch.exp(-1.3 * TIMES) + 0.5 + 0.02 * torch.sin(37 * TIMES)


def decay(x: Tensor) -> Tensor:
    return x[0] * torch.exp(-x[1] * TIMES.to(x.dtype)) + x[2]


FITS: dict[str, tuple[Callable[[Tensor], Tensor], list[float]]] = {
    "decay": (lambda x: decay(x) - DATA.to(x.dtype), [1.0, 0.2, 0.0]),
    "rosenbrock": (lambda x: torch.stack([1 - x[0], 10 * (x[1] - x[0] ** 2)]), [-1.1, 2.5]),
    "freudenstein-roth": (
        lambda x: torch.stack(
            [-13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1]]
        ),
        [6.0, 5.0],
    ),
}


def fitted(residuals: Callable[[Tensor], Tensor], x: Tensor, step: LevenbergMarquardt, steps: int) -> Any:
    oracle, descent = Residuals(residuals), Descent(step)
    state = descent.init(x, Key(0))
    for _ in range(steps):
        state = descent.advance(oracle, state)
    return state


@pytest.mark.parametrize("name", FITS)
def test_levenberg_marquardt_fits_what_scipy_fits(name: str) -> None:
    """In no more steps than SciPy's lm needs Jacobians, and 3 to spare."""
    residuals, start = FITS[name]
    theirs = optimize.least_squares(
        lambda x: residuals(torch.tensor(x)).numpy(),
        start,
        jac=lambda x: torch.func.jacfwd(residuals)(torch.tensor(x)).numpy(),
        method="lm",
    )
    state = fitted(residuals, torch.tensor(start, dtype=torch.float64), LevenbergMarquardt(), theirs.njev + 3)
    torch.testing.assert_close(state.x, torch.tensor(theirs.x), rtol=1e-5, atol=1e-7)
    assert state.value == pytest.approx(theirs.cost, rel=1e-6, abs=1e-12)


def test_the_units_of_the_parameters_do_not_matter() -> None:
    units = torch.tensor([1e-4, 1e5, 1.0], dtype=torch.float64)
    start = torch.tensor(FITS["decay"][1], dtype=torch.float64)
    plain, scaled = (
        fitted(lambda x, u=u: FITS["decay"][0](x * u), start / u, LevenbergMarquardt(), 4).x * u
        for u in (torch.ones(3, dtype=torch.float64), units)
    )
    torch.testing.assert_close(plain, scaled, rtol=1e-6, atol=1e-9)


def test_damping_is_nielsens() -> None:
    """After a step predicted exactly it falls to a third; after k failures it has grown by 2, 4, 8 ..."""
    step, x = LevenbergMarquardt(damping=0.5), torch.tensor([3.0], dtype=torch.float64)
    oracle = Residuals(lambda x: 2 * x)
    moved = step(oracle, x, x, Slope(4 * x, 18.0), step.init(x), Key(0))
    assert moved.state.damping == pytest.approx(0.5 / 3)
    assert float(moved.x) == pytest.approx(3 - 2 * 6 / (4 + 0.5 * 4))  # (J'J + lambda D^2) z = -J'r, D^2 = J'J

    class Wall(Residuals):
        def residuals(self, x: Tensor, key: Key) -> Tensor:
            far = self.ledger.counts.get("residuals", 0) in (2, 3)  # after x and the Jacobian: two trials fail
            return super().residuals(x, key) * (1e9 if far else 1.0)

    moved = step(Wall(lambda x: 2 * x), x, x, Slope(4 * x, 18.0), step.init(x), Key(0))
    assert moved.state.damping == pytest.approx(0.5 * 2 * 4 / 3)


def test_damping_falls_less_where_the_gain_is_less() -> None:
    """r = x^2 at 1: J = 2, z = -1/3, and the gain is (1/2 - (2/3)^4 / 2) / (1/2 - (1/3)^2 / 2)."""
    step, x = LevenbergMarquardt(damping=0.5), torch.ones(1, dtype=torch.float64)
    moved = step(Residuals(lambda x: x**2), x, x, Slope(2 * x, 0.5), step.init(x), Key(0))
    assert float(moved.x) == pytest.approx(2 / 3)
    gain = (1 - (2 / 3) ** 4) / (1 - (1 / 3) ** 2)
    assert moved.state.damping == pytest.approx(0.5 * (1 - (2 * gain - 1) ** 3))


def test_a_step_that_a_bound_bends_is_predicted_where_it_ends() -> None:
    """A quadratic is then still predicted exactly, so the radius grows."""
    center, step = torch.tensor([1.2, 0.1], dtype=torch.float64), TrustRegion(radius=1.0)
    x, high = torch.zeros(2, dtype=torch.float64), torch.tensor([0.9, 9.0], dtype=torch.float64)
    oracle = Bounded(Differentiable(lambda x: ((x - center) ** 2).sum() / 2), -high, high)
    slope = Slope(-center, float(center @ center) / 2)
    moved = step(oracle, x, -center, slope, step.init(x), Key(0))
    assert float(moved.x[0]) == 0.9
    assert moved.state.radius == 2.0


def test_float32_and_more_parameters_than_residuals() -> None:
    residuals, start = FITS["decay"]
    state = fitted(residuals, torch.tensor(start), LevenbergMarquardt(), 15)
    assert state.x.dtype == torch.float32
    exact = fitted(residuals, torch.tensor(start, dtype=torch.float64), LevenbergMarquardt(), 15)
    torch.testing.assert_close(state.x.double(), exact.x, rtol=0, atol=1e-3)
    wide = fitted(lambda x: torch.stack([x.sum() - 1, x[0] * x[1]]), torch.ones(5), LevenbergMarquardt(), 15)
    assert wide.value < 1e-8


class Lying(Oracle):
    """Its gradient says that everything descends, and nothing does."""

    answers = Asks(127)

    def __init__(self, answer: float, curvature: float) -> None:
        self.answer, self.curvature, self.asked = answer, curvature, 0

    def value(self, x: Tensor, key: Key) -> float:
        assert torch.isfinite(x).all()
        self.asked += 1
        return self.answer

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return Slope(torch.ones_like(x), 1.0)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        return self.curvature * direction

    def residuals(self, x: Tensor, key: Key) -> Tensor:
        self.asked += 1
        return torch.ones(2) if self.asked == 1 else torch.full((2,), self.answer)

    def jacobian(self, x: Tensor, key: Key) -> Tensor:
        return self.curvature * torch.ones(2, 2)


@pytest.mark.parametrize("curvature", [1.0, 0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("answer", [2.0, math.nan, math.inf])
@pytest.mark.parametrize("step", [TrustRegion(max_evals=6), LevenbergMarquardt(max_evals=6)], ids=["region", "lm"])
def test_they_give_up_at_x_after_so_many_evaluations(step: Any, answer: float, curvature: float) -> None:
    x = torch.tensor([1.0, 2.0])
    state = step.init(x)
    for _ in range(5):
        oracle = Lying(answer, curvature)
        moved = step(oracle, x, torch.ones(2), Slope(torch.ones(2), 1.0), state, Key(0))
        state = moved.state
        assert torch.equal(moved.x, x)
        assert moved.value == 1.0
        assert oracle.asked <= 7
    # not for good
    assert (state.radius >= 1e-6) if isinstance(step, TrustRegion) else (state.damping <= 1)


def test_islands_of_nan_are_gone_round() -> None:
    def island(x: Tensor) -> Tensor:
        hole = (x - torch.tensor([0.2, 0.9], dtype=x.dtype)).norm() < 0.5
        return torch.where(hole, math.nan, rosenbrock(x))

    oracle, descent = Differentiable(island), Descent(TrustRegion())
    state = descent.init(START, Key(0))
    for _ in range(60):
        before, state = state, descent.advance(oracle, state)
        assert math.isnan(before.value) or state.value <= before.value
    assert state.value < 1e-10


@pytest.mark.parametrize("step", [TrustRegion(), LevenbergMarquardt()], ids=["region", "lm"])
def test_bounds_hold_and_the_minimizer_is_scipys(step: Any) -> None:
    residuals = FITS["rosenbrock"][0]
    low, high = torch.tensor([-2.0, 0.5], dtype=torch.float64), torch.tensor([0.6, 3.0], dtype=torch.float64)
    oracle, descent = Bounded(Residuals(residuals), low, high), Descent(step)
    state = descent.init(START, Key(0))
    for _ in range(60):
        state = descent.advance(oracle, state)
        assert ((state.x >= low) & (state.x <= high)).all()
    theirs = optimize.least_squares(
        lambda x: residuals(torch.tensor(x)).numpy(), [-1.1, 2.5], bounds=(low.numpy(), high.numpy()), xtol=1e-14
    )
    torch.testing.assert_close(state.x, torch.tensor(theirs.x), rtol=0, atol=1e-4)


@pytest.mark.parametrize("step", [TrustRegion(), LevenbergMarquardt()], ids=["region", "lm"])
def test_saved_at_any_step_it_goes_on_bit_for_bit(step: Any) -> None:
    descent, oracle = Descent(step), Residuals(FITS["rosenbrock"][0])
    whole = broken = descent.init(START.float(), Key(3))
    for _ in range(20):
        broken = tree.from_plain(tree.to_plain(broken))
        whole, broken = descent.advance(oracle, whole), descent.advance(oracle, broken)
        assert tree.same(whole, broken)
        assert tree.to_plain(whole.step).keys() == tree.to_plain(broken.step).keys()
        assert whole.value == broken.value


def test_what_cannot_be_is_refused() -> None:
    for make, message in (
        (lambda: TrustRegion(radius=0.0), "radius=0.0"),
        (lambda: TrustRegion(radius=2.0, max_radius=1.0), "max_radius=1.0"),
        (lambda: TrustRegion(accept=0.25), "accept=0.25"),
        (lambda: TrustRegion(max_products=0), "max_products=0"),
        (lambda: TrustRegion(max_evals=0), "max_evals=0"),
        (lambda: LevenbergMarquardt(damping=0.0), "damping=0.0"),
        (lambda: LevenbergMarquardt(max_evals=0), "max_evals=0"),
    ):
        with pytest.raises(InvalidValue, match=message):
            make()
