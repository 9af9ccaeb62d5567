"""Bounds: no point outside is ever asked about, and gradients at the boundary stay good."""

import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import torch

from descend.descent import Descent
from descend.direction import Coordinate, Dense
from descend.errors import InvalidValue, ShapeMismatch
from descend.estimate.finite_difference import FiniteDifference
from descend.estimate.random_directions import SPSA, GaussianSmoothing
from descend.key import Key
from descend.oracle import Differentiable, Function
from descend.oracle.bounded import Bounded, as_bounds
from descend.run import Evaluations, minimize
from descend.step.backtracking import Backtracking

KEY = Key(0)
F64 = torch.float64
LOW, HIGH = torch.tensor([0.0, -1.0, 2.0], dtype=F64), torch.tensor([1.0, 1.0, math.inf], dtype=F64)


def cubic(x: torch.Tensor) -> torch.Tensor:
    return (x**3).sum() + 2 * x[0] * x[1] - x[1] * x[2]


class Inside:
    """An objective that remembers every point and insists on the bounds bit for bit."""

    def __init__(self, f: Any, low: Any, high: Any) -> None:
        self.f, self.low, self.high, self.points = f, low, high, []

    def __call__(self, x: Any) -> Any:
        assert (x >= self.low).all()
        assert (x <= self.high).all()
        self.points.append(x)
        return self.f(x)


CORNERS = [[0.0, -1.0, 2.0], [1.0, 1.0, 2.0], [0.5, 1.0, 7.0], [0.5, 0.0, 3.0], [1e-9, -1 + 1e-9, 2 + 1e-9]]


@pytest.mark.parametrize("x", CORNERS)
@pytest.mark.parametrize(
    "formula", ["forward2", "backward2", "forward3", "forward5", "backward4", "central2", "central4"]
)
def test_finite_differences_at_the_boundary_stay_inside_and_right(x: list[float], formula: str) -> None:
    point = torch.tensor(x, dtype=F64)
    f = Inside(cubic, LOW, HIGH)
    oracle = Bounded(Function(f, batched=False), LOW, HIGH)
    exact = Differentiable(cubic).gradient(point, KEY).gradient
    slope = (oracle | FiniteDifference(formula, radius=1e-4)).gradient(point, KEY)
    # a moved centre and a two-point difference err by h f'' in first order, reflected long formulas by less
    tolerance = 1e-2 if formula.endswith("2") or formula.startswith("central") else 1e-5
    assert isinstance(slope.gradient, torch.Tensor)
    assert torch.allclose(slope.gradient, exact, rtol=0, atol=tolerance)
    if slope.value == slope.value:
        assert slope.value == float(cubic(point))  # f(x) is asked at x itself


@pytest.mark.parametrize("formula", ["forward2", "backward4", "central2", "central4"])
def test_away_from_the_boundary_nothing_changes(formula: str) -> None:
    point = torch.tensor([0.3, 0.1, 3.0], dtype=F64)
    free = Function(cubic, batched=False) | FiniteDifference(formula, radius=1e-4)
    boxed = Bounded(Function(cubic, batched=False), LOW, HIGH) | FiniteDifference(formula, radius=1e-4)
    assert torch.equal(free.gradient(point, KEY).gradient, boxed.gradient(point, KEY).gradient)  # type: ignore[arg-type]


@pytest.mark.parametrize("formula", ["forward2", "forward3", "backward3"])
def test_a_reflected_formula_keeps_its_order(formula: str) -> None:
    """Halving the step divides the error by 2^order also where the probes are reflected."""
    row = FiniteDifference(formula).row
    point = torch.tensor([1.0, 1.0, 2.0], dtype=F64) if "forward" in formula else LOW
    exact = Differentiable(lambda x: x.exp().sum()).gradient(point, KEY).gradient
    errors = []
    for h in (2e-2, 1e-2):
        oracle = Bounded(Function(lambda x: x.exp().sum(), batched=False), LOW, HIGH)
        got = (oracle | FiniteDifference(formula, radius=h)).gradient(point, KEY).gradient
        errors.append(float((got - exact)[:2].abs().max()))  # type: ignore[operator]
    assert errors[0] / errors[1] == pytest.approx(2**row.order, rel=0.05)


def test_symmetric_probes_stay_symmetric_around_a_centre_moved_by_their_own_reach() -> None:
    points: list[torch.Tensor] = []
    oracle = Bounded(Function(lambda x: points.append(x.clone()) or 0.0, batched=False), LOW, HIGH)
    z = Dense(torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, 1.0]], dtype=F64))
    oracle.along(LOW, z, torch.tensor([[-0.1, 0.1], [-0.2, 0.2]], dtype=F64), KEY)
    for i, reach in enumerate((0.1, 0.2)):
        minus, plus = points[2 * i], points[2 * i + 1]
        assert torch.allclose((minus + plus) / 2, LOW + reach)
        assert torch.allclose(plus - minus, 2 * reach * z.matrix[i])


def test_a_coordinate_direction_moves_the_centre_in_its_own_coordinate_only() -> None:
    points: list[torch.Tensor] = []
    oracle = Bounded(Function(lambda x: points.append(x.clone()) or 0.0, batched=False), LOW, HIGH)
    oracle.along(LOW, Coordinate(torch.tensor([1]), 3), torch.tensor([[-0.1, 0.1]], dtype=F64), KEY)
    assert torch.allclose(points[0], LOW)
    assert torch.allclose(points[1], torch.tensor([0.0, -0.8, 2.0], dtype=F64))


def test_zero_scales_are_one_evaluation_at_x_itself() -> None:
    f = Inside(cubic, LOW, HIGH)
    oracle = Bounded(Function(f, batched=False), LOW, HIGH)
    scales = torch.tensor([[0.0, 0.1], [0.0, -0.1], [0.1, 0.0]], dtype=F64)
    answers = oracle.along(LOW, Coordinate(torch.arange(3), 3), scales, KEY)
    assert oracle.ledger.total == 4
    assert answers[0, 0] == answers[1, 0] == answers[2, 1] == float(cubic(LOW))
    assert answers[0, 1] == pytest.approx(float(cubic(LOW + torch.tensor([0.1, 0, 0]))))


def test_chunks_give_the_same_answers() -> None:
    x = torch.tensor([0.05, 0.95, 2.0], dtype=F64)
    z = Dense(torch.randn(7, 3, dtype=F64, generator=torch.Generator().manual_seed(0)))
    for scales in (torch.tensor([[-0.1, 0.1]] * 7, dtype=F64), torch.tensor([[0.0, 0.1]] * 7, dtype=F64)):
        whole = Bounded(Function(cubic, batched=False), LOW, HIGH).along(x, z, scales, KEY)
        chunked = Bounded(Function(cubic, batched=False, memory=1), LOW, HIGH).along(x, z, scales, KEY)
        assert torch.equal(whole, chunked)


def test_the_mean_of_spsa_at_a_bound_is_the_gradient() -> None:
    """x on two of three bounds: within 4 standard errors, which clipping the probes would miss by far."""
    oracle = Bounded(Function(cubic), LOW, HIGH)
    exact = Differentiable(cubic).gradient(LOW, KEY).gradient
    estimates = torch.stack(
        [(oracle | SPSA(radius=1e-4)).gradient(LOW, Key(i)).gradient.dense(LOW) for i in range(600)]  # type: ignore[union-attr]
    )
    error = estimates.std(0) / math.sqrt(600)
    assert (((estimates.mean(0) - exact) / error).abs() < 4).all()
    assert ((estimates.mean(0) / 2 - exact).abs() > 4 * error)[2]


def test_free_masks_what_a_bound_holds() -> None:
    oracle = Bounded(Function(cubic), LOW, HIGH)
    gradient = torch.tensor([1.0, 1.0, -1.0], dtype=F64)
    assert oracle.free(torch.tensor([0.5, 0.0, 3.0], dtype=F64), gradient) is None
    mask = oracle.free(LOW, gradient)
    assert mask is not None
    assert mask.tolist() == [False, False, True]
    assert oracle.free(LOW, -gradient).tolist() == [True, True, False]  # type: ignore[union-attr]
    nested = Bounded(oracle, LOW - 1, torch.tensor([5.0, 5.0, 2.0], dtype=F64))
    assert nested.free(torch.tensor([0.0, 0.0, 2.0], dtype=F64), gradient).tolist() == [False, True, False]  # type: ignore[union-attr]


# minimize with bounds


def rosenbrock(x: Any) -> Any:
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


BOXES = [
    (np.full(4, -2.0), np.full(4, 0.5)),  # the minimum lies outside
    (np.array([-2.0, 0.3, -np.inf, -2.0]), np.array([0.6, np.inf, 0.2, 2.0])),
    (np.full(4, -5.0), np.full(4, 5.0)),  # the minimum lies inside
    (np.full(4, 1.5), np.full(4, 3.0)),
]


@pytest.mark.parametrize(("low", "high"), BOXES)
@pytest.mark.parametrize("exact", [False, True], ids=["differences", "autograd"])
def test_a_bounded_problem_is_solved_as_well_as_by_scipy(low: Any, high: Any, exact: bool) -> None:
    x0 = np.clip(np.full(4, -1.2), low, high)
    pairs, options = list(zip(low, high, strict=True)), {"ftol": 1e-15, "gtol": 1e-10}
    theirs = scipy.optimize.minimize(rosenbrock, x0, method="L-BFGS-B", bounds=pairs, options=options)
    if exact:
        f = Inside(rosenbrock, torch.tensor(low), torch.tensor(high))
        ours = minimize(Differentiable(f, batched=False), torch.tensor(x0), bounds=(low, high))
        x = ours.x.numpy()
    else:
        f = Inside(rosenbrock, low, high)
        ours = minimize(f, x0, estimator=FiniteDifference(), bounds=(low, high))
        x = ours.x
    assert ours.fun <= theirs.fun + 1e-7 * (1 + abs(theirs.fun))
    assert (x >= low).all()
    assert (x <= high).all()
    assert np.allclose(x, theirs.x, atol=2e-4)
    assert len(f.points) == ours.total


@pytest.mark.parametrize(
    ("estimator", "method"),
    [
        (None, None),
        (SPSA(), None),
        (SPSA(radius=0.7), Descent(lr=0.05)),
        (GaussianSmoothing(samples=4, formula="forward", radius=0.7), Descent(lr=0.05)),
        (FiniteDifference("forward3", radius=0.8), Descent(Backtracking())),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_point_outside_is_asked_about_even_with_radii_as_large_as_the_box(
    estimator: Any, method: Any, dtype: Any
) -> None:
    low, high = 0.1, 0.3  # neither is a float32
    f = Inside(lambda x: ((x - 1) ** 2).sum(), low, high)
    x0, until = np.full(3, 0.2, dtype), Evaluations(200)
    result = minimize(f, x0, estimator=estimator, method=method, bounds=(low, high), until=until, key=0)
    assert (result.x >= low).all()
    assert (result.x.astype(np.float64) <= high).all()
    assert result.fun == float(f(result.x))
    if method is None:
        assert np.allclose(result.x, 0.3, atol=2e-2)


def test_a_start_outside_is_moved_to_the_nearest_point_inside() -> None:
    f = Inside(lambda x: float(((x - 1) ** 2).sum()), 2.0, 3.0)
    result = minimize(f, [9.0, -9.0], bounds=(2, 3))
    assert np.array_equal(f.points[0], [3.0, 2.0]) or np.array_equal(result.x, [2.0, 2.0])
    assert np.array_equal(result.x, [2.0, 2.0])


@pytest.mark.parametrize(
    "bounds",
    [
        (0.5, 2.0),
        (None, 2.0),
        (0.5, None),
        (np.full((2, 3), 0.5), 2),
        ([0.5, 0.5, 0.5], torch.tensor(2.0)),
        [(0.5, 2)] * 6,
        [(0.5, None)] * 5 + [[None, 2]],
        [np.array([0.5, 2])] * 6,
    ],
)
def test_bounds_may_be_written_in_many_ways(bounds: Any) -> None:
    x = torch.zeros(6, dtype=F64)
    low, high = as_bounds(bounds, x, (2, 3))
    assert low.shape == high.shape == (6,)
    assert set(low.tolist()) <= {0.5, -math.inf}
    assert set(high.tolist()) <= {2.0, math.inf}
    result = minimize(lambda y: ((y - 1) ** 2).sum(), np.full((2, 3), 0.7), bounds=bounds)
    assert np.allclose(result.x, 1, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bounds_are_rounded_inward(dtype: torch.dtype) -> None:
    values = torch.linspace(0.1, 1.3, 50, dtype=F64)
    low, _ = as_bounds((values, None), torch.zeros(50, dtype=dtype), (50,))
    _, high = as_bounds((None, values), torch.zeros(50, dtype=dtype), (50,))
    assert low.dtype == dtype
    assert (low.double() >= values).all()
    assert (high.double() <= values).all()
    assert ((low - high).abs() <= 2 * torch.finfo(dtype).eps).all()
    _, huge = as_bounds((-1e300, 1e300), torch.zeros(1), (1,))
    assert huge.isfinite().all()


def test_wrong_boxes_get_a_sentence() -> None:
    f = Function(cubic)
    with pytest.raises(ShapeMismatch, match="one shape"):
        Bounded(f, LOW, HIGH[:2])
    with pytest.raises(InvalidValue, match="coordinate 1; the first of a pair"):
        Bounded(f, LOW, torch.tensor([1.0, -2.0, 3.0], dtype=F64))
    with pytest.raises(InvalidValue, match="leave it out of x0"):
        Bounded(f, LOW, LOW)
