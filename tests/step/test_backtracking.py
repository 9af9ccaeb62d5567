"""Backtracking: the condition it promises, what it asks, and that nothing leads it astray."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from descend import tree
from descend.descent import Descent
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Oracle, Slope
from descend.oracle.bounded import Bounded
from descend.problems import rosenbrock, two_dimensional
from descend.step import Backtracking, StrongWolfe
from descend.step.backtracking import cubic_through, quadratic_through
from descend.transform import BFGS, LBFGS

START = torch.tensor([-1.1, 2.5], dtype=torch.float64)


def sloped(f: Callable[[Tensor], Tensor], x: Tensor) -> Slope:
    leaf = x.clone().requires_grad_()
    value = f(leaf)
    return Slope(torch.autograd.grad(value, leaf)[0], float(value.detach()))


STRICT = [
    Backtracking(max_evals=50),
    Backtracking(interpolate=False, max_evals=50),
    Backtracking(c1=0.3, shrink=0.7, max_evals=50),
]


@pytest.mark.parametrize("step", STRICT, ids=repr)
@pytest.mark.parametrize("problem", ["beale", "himmelblau", "goldstein_price", "six_hump_camel"])
def test_the_decrease_is_the_promised_one(step: Backtracking, problem: str) -> None:
    """Armijo's condition, from random points along random directions that descend, each 2**k too long."""
    f = two_dimensional[problem].function
    for i in range(40):
        x, noise = Key(i).normal(2, 2, like=START)
        slope = sloped(f, x)
        assert isinstance(slope.gradient, Tensor)
        direction = (slope.gradient + 0.5 * slope.gradient.norm() * noise / noise.norm()) * 2 ** (i % 7)
        moved = step(Function(f), x, direction, slope, step.init(x), Key(0))
        way = x - moved.x
        assert float(f(moved.x)) == moved.value
        assert moved.value <= slope.value - step.c1 * float(slope.gradient @ way) * (1 - 1e-9)
        t = float(way @ direction / (direction @ direction))
        assert 0 < t <= 1
        torch.testing.assert_close(way, t * direction)


def test_f_at_x_is_asked_only_if_it_is_not_known() -> None:
    slope = sloped(rosenbrock, START)
    assert isinstance(slope.gradient, Tensor)
    for known, asked in ((slope, 1), (Slope(slope.gradient), 2)):
        oracle = Function(rosenbrock)
        moved = Backtracking()(oracle, START, 1e-4 * slope.gradient, known, Backtracking().init(START), Key(0))
        assert oracle.ledger.counts == {"value": asked}
        assert moved.value < slope.value


def test_interpolation_saves_evaluations() -> None:
    counts = []
    for interpolate in (True, False):
        oracle, descent = Differentiable(rosenbrock), Descent(Backtracking(interpolate=interpolate))
        state = descent.init(START, Key(0))
        for _ in range(100):
            state = descent.advance(oracle, state)
        counts.append(oracle.ledger.counts["value"])
    assert counts[0] < counts[1]


def test_interpolants_find_the_minimum_of_what_they_interpolate() -> None:
    for i in range(20):
        a, b, c = (float(v) for v in Key(i).uniform(3, like=START) + 0.1)
        for cube, bend in ((0.0, b), (a, b), (-0.1 * a, b)):

            def f(s: float, cube: float = cube, bend: float = bend, c: float = c) -> float:
                return cube * s**3 + bend * s**2 - c * s + 1

            t = cubic_through(1.0, -c, 1.5, f(1.5), 2.5, f(2.5))
            if math.isinf(t):
                assert bend**2 + 3 * cube * c < 0  # it falls for ever
                continue
            assert 3 * cube * t**2 + 2 * bend * t - c == pytest.approx(0, abs=1e-9)
            assert 6 * cube * t + 2 * bend >= 0  # a minimum, not a maximum
        assert quadratic_through(1.0, -c, 1.5, f(1.5)) > 0
    assert quadratic_through(0.0, -1.0, 1.0, -1.0) == math.inf  # a line has no minimum


STEPS = [Backtracking(), StrongWolfe()]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("sign", [-1.0, 0.0, math.nan, math.inf], ids=["up", "zero", "nan", "inf"])
def test_a_direction_that_does_not_descend_is_replaced_by_the_gradient(step: Any, sign: float) -> None:
    slope = sloped(rosenbrock, START)
    assert isinstance(slope.gradient, Tensor)
    moved = step(Differentiable(rosenbrock), START, sign * slope.gradient, slope, step.init(START), Key(0))
    way = START - moved.x
    torch.testing.assert_close(way / way.norm(), slope.gradient / slope.gradient.norm())
    assert moved.value < slope.value


class Counting(Oracle):
    """Answers every value with the same number and every gradient with ones; counts the questions and their keys."""

    answers = Asks.VALUE | Asks.GRADIENT

    def __init__(self, answer: float) -> None:
        self.answer, self.keys = answer, []

    def value(self, x: Tensor, key: Key) -> float:
        assert torch.isfinite(x).all()
        self.keys.append(key)
        return self.answer

    def gradient(self, x: Tensor, key: Key) -> Slope:
        assert torch.isfinite(x).all()
        self.keys.append(key)
        return Slope(torch.ones_like(x))


@pytest.mark.parametrize(
    "step", [Backtracking(max_evals=7), StrongWolfe(max_evals=7)], ids=lambda step: type(step).__name__
)
@pytest.mark.parametrize("answer", [1.0, 2.0, math.nan, math.inf, -math.inf])
def test_it_gives_up_at_x_after_so_many_points_all_asked_with_one_key(step: Any, answer: float) -> None:
    oracle, x = Counting(answer), torch.tensor([1.0, 2.0])
    slope = Slope(torch.ones(2), 1.0)
    moved = step(oracle, x, torch.ones(2), slope, step.init(x), Key(7))
    assert torch.equal(moved.x, x)
    assert moved.value == 1.0
    assert 1 < len(oracle.keys) <= 8  # Wolfe's first value did not come along with its gradient
    assert set(oracle.keys) == {Key(7)}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_points_that_overflow_are_neither_asked_about_nor_returned(step: Any) -> None:
    oracle, x = Counting(0.0), torch.tensor([1.0, 2.0])
    moved = step(oracle, x, torch.full((2,), 3e38), Slope(torch.full((2,), -1.0), 1.0), step.init(x), Key(0))
    assert torch.isfinite(moved.x).all()
    moved = step(oracle, x - 3e38, torch.full((2,), 3e38), Slope(torch.ones(2), 1.0), step.init(x), Key(0))
    assert torch.isfinite(moved.x).all()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_where_the_gradient_is_zero_nothing_is_asked(step: Any) -> None:
    oracle, x = Counting(0.0), torch.tensor([1.0, 2.0])
    moved = step(oracle, x, torch.zeros(2), Slope(torch.zeros(2), 1.0), step.init(x), Key(0))
    assert torch.equal(moved.x, x)
    assert not oracle.keys


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_from_where_f_fails_any_value_is_better(step: Any) -> None:
    x = torch.tensor([2.0, 2.0], dtype=torch.float64)
    oracle = Differentiable(lambda x: torch.where((x > 1.9).all(), math.nan, (x**2).sum()))
    moved = step(oracle, x, x.clone(), Slope(2 * x, math.nan), step.init(x), Key(0))
    assert math.isfinite(moved.value)


def island(x: Tensor) -> Tensor:
    """Rosenbrock's function with regions of NaN and infinity beside the valley, and a wall of NaN behind x = 1.5."""
    hole = ((x - torch.tensor([0.2, 0.9], dtype=x.dtype)).norm() < 0.5) | (x[0] > 1.5)
    well = (x - torch.tensor([-0.3, -0.5], dtype=x.dtype)).norm() < 0.3
    return torch.where(hole, math.nan, torch.where(well, math.inf, rosenbrock(x)))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("chain", [(), (BFGS(),), (LBFGS(),)], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_islands_of_nan_are_gone_round(chain: tuple[Any, ...], step: Any, dtype: torch.dtype) -> None:
    descent, oracle = Descent(*chain, step), Differentiable(island)
    state = descent.init(START.to(dtype), Key(0))
    best = math.inf
    for _ in range(60):
        state = descent.advance(oracle, state)
        assert torch.isfinite(state.x).all()
        if math.isfinite(state.value):
            assert state.value <= best
            best = state.value
    assert best < (1e-6 if chain else 8)
    assert state.x.dtype == dtype


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_bounds_are_never_left_and_the_minimizer_on_them_is_found(step: Any) -> None:
    low, high = torch.tensor([0.5, -1.0]), torch.tensor([3.0, 0.25])
    asked: list[Tensor] = []

    def f(x: Tensor) -> Tensor:
        asked.append(x.detach().clone())
        return rosenbrock(x)

    oracle, descent = Bounded(Differentiable(f, batched=False), low, high), Descent(step)
    state = descent.init(torch.tensor([2.0, -0.5]), Key(0))
    for _ in range(100):
        state = descent.advance(oracle, state)
    points = torch.stack(asked)
    assert ((points >= low) & (points <= high)).all()
    torch.testing.assert_close(state.x, torch.tensor([0.5, 0.25]), rtol=0, atol=1e-2)


def test_the_third_point_is_the_minimum_of_a_cubic() -> None:
    asked: list[float] = []

    def f(x: Tensor) -> Tensor:
        asked.append(float(x[0]))
        return 1 - x[0] + 3.1 * x[0] ** 2 - 2 * x[0] ** 3

    step, x = Backtracking(c1=0.45), torch.zeros(1, dtype=torch.float64)
    slope = Slope(-torch.ones(1, dtype=torch.float64), 1.0)
    step(Function(f), x, -torch.ones(1, dtype=torch.float64), slope, step.init(x), Key(0))
    assert asked[:3] == pytest.approx([1.0, 1 / 2.2, 0.2])  # f'(0.2) = 0


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_direction_is_judged_by_what_the_bounds_leave_of_it(step: Any) -> None:
    """Its first coordinate would go uphill and out of its bound: it stays, and the second one goes on."""

    def f(x: Tensor) -> Tensor:
        return (x * torch.tensor([-1.0, 1.0])).sum() + (x**2).sum() / 20

    x, direction = torch.tensor([0.0, 4.0]), torch.tensor([3.0, 1.0])
    slope = sloped(f, x)
    assert isinstance(slope.gradient, Tensor)
    assert slope.gradient @ direction < 0 < slope.gradient[1] * direction[1]
    oracle = Bounded(Differentiable(f), torch.zeros(2), torch.full((2,), 9.0))
    moved = step(oracle, x, direction, slope, step.init(x), Key(0))
    assert moved.x[0] == 0
    assert moved.x[1] < 4
    assert moved.value < slope.value


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_a_bare_gradient_has_no_natural_length(step: Any) -> None:
    """Scaling f changes nothing, and a first step from a steep place is not longer than lr."""
    ways = []
    for scale in (1.0, 1e6):
        f = lambda x, scale=scale: scale * rosenbrock(x)  # noqa: E731
        descent = Descent(step)
        state = descent.init(START, Key(0))
        for _ in range(10):
            before = state.x
            state = descent.advance(Differentiable(f), state)
            if state.t == 1:
                assert (state.x - before).norm() <= 1
        ways.append(state.x)
    torch.testing.assert_close(ways[0], ways[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_saved_at_any_step_it_goes_on_bit_for_bit(step: Any) -> None:
    descent, oracle = Descent(step), Differentiable(rosenbrock)
    whole = broken = descent.init(START.float(), Key(3))
    for _ in range(25):
        broken = tree.from_plain(tree.to_plain(broken))
        whole, broken = descent.advance(oracle, whole), descent.advance(oracle, broken)
        assert tree.same(whole, broken)
        assert (whole.value, whole.step) == (broken.value, broken.step)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_noise_is_survived(step: Any) -> None:
    """Gradients with an error as large as themselves, and another error at every step."""

    class Noisy(Differentiable):
        def gradient(self, x: Tensor, key: Key) -> Slope:
            slope = super().gradient(x, key)
            assert isinstance(slope.gradient, Tensor)
            error = key.normal(x.numel(), like=x) * slope.gradient.norm() / math.sqrt(x.numel())
            return Slope(slope.gradient + error)

    f = two_dimensional["booth"].function
    for chain in ((), (BFGS(),), (LBFGS(),)):
        descent = Descent(*chain, step)
        state = descent.init(torch.tensor([-8.0, 9.0], dtype=torch.float64), Key(1))
        for _ in range(200):
            state = descent.advance(Noisy(f), state)
            assert torch.isfinite(state.x).all()
        assert f(state.x) < 1e-3 * f(torch.tensor([-8.0, 9.0]))


def test_what_cannot_be_is_refused() -> None:
    for make, message in (
        (lambda: Backtracking(lr=0.0), "lr=0.0"),
        (lambda: Backtracking(shrink=1.0), "shrink=1.0"),
        (lambda: Backtracking(c1=1.0), "c1=1.0"),
        (lambda: Backtracking(max_evals=0), "max_evals=0"),
    ):
        with pytest.raises(InvalidValue, match=message):
            make()
