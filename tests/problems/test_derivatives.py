"""Gradients of every problem against differences, at the minimizers, and under torch.func; shapes and dtypes."""

import pytest
import torch
from torch import Tensor

from descend import problems
from descend.problems import Problem

EVERY = [*problems.two_dimensional.values(), *(problem.at(5) for problem in problems.scalable.values())]
each = pytest.mark.parametrize("problem", EVERY, ids=lambda problem: f"{problem.name}-{problem.dimension}")


def uniform(problem: Problem, *shape: int, seed: int = 0) -> Tensor:
    """Points anywhere in the box, (*shape, d)."""
    low, high = (torch.tensor(bound, dtype=torch.float64) for bound in (problem.low, problem.high))
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(*shape, problem.dimension, generator=generator, dtype=torch.float64)


def gradients(problem: Problem, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    values = problem(x)
    if not values.requires_grad:  # `step` is constant on pieces
        return torch.zeros_like(x)
    return torch.autograd.grad(values.sum(), x)[0]


# Steps as parts of the box: small enough for the waves of `whitley`, whose argument is of the order 10^6.
STEPS = {"whitley": 1e-8}


def differences(problem: Problem, x: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences of fourth order, (..., d), and the rounding errors to be expected of them, (d,)."""
    sides = torch.tensor(problem.high, dtype=torch.float64) - torch.tensor(problem.low, dtype=torch.float64)
    steps = STEPS.get(problem.name, 1e-6) * sides
    slopes = [
        8 * (problem(x + h) - problem(x - h)) - (problem(x + 2 * h) - problem(x - 2 * h)) for h in torch.diag(steps)
    ]
    return torch.stack(slopes, dim=-1) / (12 * steps), 2e-15 * problem(x).abs().max() / steps


def slope_scale(problem: Problem) -> Tensor:
    """What slope is usual in the box, (d,)."""
    return gradients(problem, uniform(problem, 1000, seed=9)).abs().mean(0) + 1e-12


@each
def test_gradient_agrees_with_differences_at_random_points(problem: Problem) -> None:
    x = uniform(problem, 50)
    slopes, rounding = differences(problem, x)
    agree = ((gradients(problem, x) - slopes).abs() <= 1e-6 * slope_scale(problem) + rounding).all(-1)
    # A kink may lie between the points of a difference, but not often.
    assert agree.sum() >= (50 if problem.smooth else 48)


@each
def test_gradient_is_zero_at_smooth_minimizers_or_points_out_of_the_box(problem: Problem) -> None:
    if not problem.smooth:
        return
    minimizers = problem.minimizers
    gradient = gradients(problem, minimizers)
    outward = (minimizers == torch.tensor(problem.low)) & (gradient > 0)
    outward |= (minimizers == torch.tensor(problem.high)) & (gradient < 0)
    assert (gradient.masked_fill(outward, 0.0).abs() <= 1e-8 * slope_scale(problem)).all()


@each
def test_gradient_is_finite_where_people_start(problem: Problem) -> None:
    low, high = (torch.tensor(bound, dtype=torch.float64) for bound in (problem.low, problem.high))
    points = torch.cat((problem.minimizers, torch.stack((problem.start, (low + high) / 2, low, high))))
    inside = torch.zeros(1, problem.dimension, dtype=torch.float64).clamp(low, high)
    for dtype in (torch.float64, torch.float32):
        assert gradients(problem, torch.cat((points, inside)).to(dtype)).isfinite().all()


@each
def test_batches_agree_with_a_loop_and_with_vmap(problem: Problem) -> None:
    x = uniform(problem, 3, 4)
    batched = problem(x)
    assert batched.shape == (3, 4)
    assert problem(x[:0]).shape == (0, 4)
    one_by_one = torch.stack([problem(point) for point in x.reshape(12, -1)]).reshape(3, 4)
    close = {"rtol": 1e-12, "atol": 1e-12 * float(batched.abs().max())}
    torch.testing.assert_close(batched, one_by_one, **close)
    torch.testing.assert_close(batched, torch.func.vmap(torch.func.vmap(problem))(x), **close)


@each
def test_vmap_of_grad_agrees_with_autograd(problem: Problem) -> None:
    x = uniform(problem, 5)
    mapped = torch.func.vmap(torch.func.grad(problem))(x)
    expected = gradients(problem, x)
    torch.testing.assert_close(mapped, expected, rtol=1e-10, atol=1e-12 * float(expected.abs().max()))


@each
def test_dtype_is_kept_and_single_precision_suffices(problem: Problem) -> None:
    x = uniform(problem, 200)
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        assert problem(x.to(dtype)).dtype == dtype
    rounded = x.to(torch.float32)
    exact = problem(rounded.to(torch.float64))
    single = problem(rounded).to(torch.float64)
    assert (single - exact).abs().median() <= 1e-4 * (exact - problem.minimum).abs().median()
    assert single.isfinite().all()
