"""The strong Wolfe search: both conditions on random functions, where SciPy's search succeeds and where it does not."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import optimize
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Differentiable, Oracle, Slope
from descend.oracle.bounded import Bounded
from descend.problems import rosenbrock
from descend.step import StrongWolfe
from descend.step.line import Trial
from descend.step.wolfe import cubic_between

LIKE = torch.zeros(1, dtype=torch.float64)


def curve(i: int) -> Callable[[Tensor], Tensor]:
    """A random wavy function of one coordinate that is bounded below."""
    a, b, c, d, e = (float(v) for v in Key(i).normal(5, like=LIKE))

    def f(x: Tensor) -> Tensor:
        s = x[0]
        return 0.05 * (s - 3 * a) ** 2 + torch.sin(b * s + c) + 0.3 * d * torch.cos(3 * s) + 0.1 * e * s

    return f


def slope_at(f: Callable[[Tensor], Tensor], x: Tensor) -> Slope:
    leaf = x.clone().requires_grad_()
    value = f(leaf)
    return Slope(torch.autograd.grad(value, leaf)[0], float(value.detach()))


@pytest.mark.parametrize("c2", [0.9, 0.5, 0.1])
@pytest.mark.parametrize("values_apart", [False, True])
def test_both_conditions_hold_on_random_curves(c2: float, values_apart: bool) -> None:
    """From first steps of 1/8 to 8 times the gradient, as often as SciPy succeeds, and with no more evaluations."""
    step, found, theirs, asked, calls = StrongWolfe(c2=c2), 0, 0, 0, 0
    for i in range(150):
        f, x = curve(i), Key(i).fold("x").normal(1, like=LIKE) * 4
        slope = slope_at(f, x)
        assert isinstance(slope.gradient, Tensor)
        direction = slope.gradient * 2.0 ** (i % 7 - 3)
        oracle = Apart(f) if values_apart else Differentiable(f)
        moved = step(oracle, x, direction, slope, step.init(x), Key(0))
        asked += oracle.ledger.total
        end = slope_at(f, moved.x)
        assert isinstance(end.gradient, Tensor)
        assert moved.value == end.value or torch.equal(moved.x, x)
        rate, promised = float(slope.gradient @ direction), float(slope.gradient @ (x - moved.x))
        found += (
            promised > 0
            and moved.value <= slope.value - step.c1 * promised + 1e-12
            and abs(float(end.gradient @ direction)) <= c2 * rate + 1e-12
        )
        searched = optimize.line_search(
            lambda p, f=f: float(f(torch.tensor(p))),
            lambda p, f=f: slope_at(f, torch.tensor(p)).gradient.numpy(),
            x.numpy(),
            -direction.numpy(),
            c2=c2,
        )
        theirs += searched[0] is not None
        calls += searched[1] + (searched[2] if values_apart else 0)
    assert found >= theirs
    assert found >= 149
    assert asked <= calls


class Apart(Differentiable):
    """Its gradients bring no values along, as estimated ones do not."""

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return Slope(super().gradient(x, key).gradient)


def test_values_that_do_not_come_along_are_asked_first_from_then_on() -> None:
    oracle, x = Apart(rosenbrock), torch.tensor([-1.1, 2.5])
    slope = slope_at(rosenbrock, x)
    assert isinstance(slope.gradient, Tensor)
    direction, step = 1e-2 * slope.gradient, StrongWolfe()
    moved = step(oracle, x, direction, slope, step.init(x), Key(0))
    assert moved.state.joint is False
    first = dict(oracle.ledger.counts)
    again = step(oracle, x, direction, slope, moved.state, Key(0))
    second = {kind: n - first[kind] for kind, n in oracle.ledger.counts.items()}
    assert second["gradient"] < second["value"]  # the first point is too far: its gradient is of no use
    assert again.value < slope.value


def test_a_perfect_step_costs_one_gradient() -> None:
    oracle, x = Differentiable(lambda x: (x**2).sum() / 2), torch.tensor([3.0, 4.0])
    moved = StrongWolfe()(
        oracle, x, torch.tensor([3.0, 4.0 + 1e-6]), Slope(x.clone(), 12.5), StrongWolfe().init(x), Key(0)
    )
    assert oracle.ledger.counts == {"gradient": 1}
    assert moved.x.norm() < 1e-5


def test_far_minima_are_bracketed_by_longer_and_longer_steps() -> None:
    oracle, x = Differentiable(lambda x: (x[0] - 1e6) ** 2), torch.zeros(1, dtype=torch.float64)
    step, direction = StrongWolfe(c2=0.1), torch.tensor([-1.0], dtype=torch.float64)
    moved = step(oracle, x, direction, slope_at(oracle.f, x), step.init(x), Key(0))
    assert abs(float(moved.x[0]) - 1e6) <= 0.1 * 1e6
    assert oracle.ledger.counts["gradient"] <= 10


def test_a_function_without_a_minimum_is_left_at_a_finite_point() -> None:
    oracle, x = Differentiable(lambda x: -x.sum()), torch.zeros(2)
    moved = StrongWolfe()(oracle, x, -torch.ones(2), Slope(-torch.ones(2), 0.0), StrongWolfe().init(x), Key(0))
    assert torch.isfinite(moved.x).all()
    assert moved.value < -1e6


def test_a_gradient_that_fails_where_f_does_not_is_no_answer() -> None:
    class Torn(Oracle):
        answers = Asks.VALUE | Asks.GRADIENT

        def value(self, x: Tensor, key: Key) -> float:
            return float((x**2).sum())

        def gradient(self, x: Tensor, key: Key) -> Slope:
            bad = bool(x.norm() < 1)
            return Slope(x * math.nan if bad else 2 * x, self.value(x, key))

    x = torch.tensor([2.0, 2.0])
    moved = StrongWolfe()(Torn(), x, 2 * x, Slope(2 * x, 8.0), StrongWolfe().init(x), Key(0))
    assert moved.value < 8.0
    assert moved.x.norm() >= 1


def test_where_a_bound_stops_a_coordinate_its_slope_counts_no_more() -> None:
    def f(x: Tensor) -> Tensor:
        return x[0] + (x[1] - 1) ** 2

    x, direction = torch.tensor([0.2, 0.0]), torch.tensor([1.0, -1.0])
    inner, step = Differentiable(f), StrongWolfe(c2=0.1, lr=0.5)
    oracle = Bounded(inner, torch.zeros(2), torch.full((2,), 9.0))
    moved = step(oracle, x, direction, slope_at(f, x), step.init(x), Key(0))
    assert moved.x[0] == 0
    assert abs(float(moved.x[1]) - 1) <= 0.15  # |2 (x_1 - 1)| <= c2 * 3
    assert inner.ledger.counts["gradient"] <= 3  # the search knows that it has arrived


def test_too_few_points_still_give_the_best_of_them() -> None:
    f, x = rosenbrock, torch.tensor([-1.1, 2.5], dtype=torch.float64)
    slope = slope_at(f, x)
    assert isinstance(slope.gradient, Tensor)
    values: list[float] = []

    class Recorded(Differentiable):
        def gradient(self, x: Tensor, key: Key) -> Slope:
            slope = super().gradient(x, key)
            values.append(slope.value)
            return slope

    step = StrongWolfe(c1=1e-6, c2=2e-6, max_evals=4)
    moved = step(Recorded(f), x, 1e-2 * slope.gradient, slope, step.init(x), Key(0))
    assert len(values) == 4
    assert moved.value == min(values) < slope.value


def test_the_interpolant_finds_the_minimum_of_a_cubic() -> None:
    def at(t: float) -> Trial:
        return Trial(t, LIKE, None, 0.0, t**3 - 3 * t + 1, 3 * t**2 - 3)

    for a, b in ((0.0, 2.0), (2.0, 0.0), (0.5, 3.0)):
        assert cubic_between(at(a), at(b)) == pytest.approx(1.0)


def test_float32_reaches_what_rounding_allows_and_then_stops_asking() -> None:
    """Near the minimum of f = 1 + |x|^2 differences of values are rounding."""
    oracle, x = Differentiable(lambda x: 1 + (x**2).sum()), torch.tensor([1e-5, 1e-5])
    gradient = 2 * x
    moved = StrongWolfe()(oracle, x, 1e3 * gradient, Slope(gradient, 1.0), StrongWolfe().init(x), Key(0))
    assert torch.isfinite(moved.x).all()
    assert moved.value <= 1.0
    assert oracle.ledger.counts["gradient"] < 15


def test_scipy_finds_the_same_step_on_the_customary_example() -> None:
    x, direction = np.array([1.8, 1.7]), np.array([1.0, 1.0])
    theirs = optimize.line_search(
        lambda p: float(p[0] ** 2 + p[1] ** 2), lambda p: np.array([2 * p[0], 2 * p[1]]), x, -direction, c2=0.5
    )
    oracle, at = Differentiable(lambda x: (x**2).sum()), torch.tensor(x)
    moved = StrongWolfe(c2=0.5)(
        oracle, at, torch.tensor(direction), slope_at(oracle.f, at), StrongWolfe().init(at), Key(0)
    )
    assert theirs[0] is not None
    torch.testing.assert_close(moved.x, at - theirs[0] * torch.tensor(direction), rtol=0, atol=0.3)


def test_what_cannot_be_is_refused() -> None:
    for make, message in (
        (lambda: StrongWolfe(c1=0.5, c2=0.4), "c2=0.4"),
        (lambda: StrongWolfe(c2=1.0), "c2=1.0"),
        (lambda: StrongWolfe(lr=math.nan), "lr=nan"),
        (lambda: StrongWolfe(max_evals=0), "max_evals=0"),
    ):
        with pytest.raises(InvalidValue, match=message):
            make()
