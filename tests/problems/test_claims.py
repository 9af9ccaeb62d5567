"""Every problem keeps its promises: minimum, minimizers, box and tags, in two dimensions and in five."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

from descend import problems
from descend.problems import Problem

PLANAR = list(problems.two_dimensional.values())
EVERY = [*PLANAR, *(problem.at(5) for problem in problems.scalable.values())]

each = pytest.mark.parametrize("problem", EVERY, ids=lambda problem: f"{problem.name}-{problem.dimension}")
each_planar = pytest.mark.parametrize("problem", PLANAR, ids=lambda problem: problem.name)


def box(problem: Problem) -> tuple[Tensor, Tensor]:
    return torch.tensor(problem.low, dtype=torch.float64), torch.tensor(problem.high, dtype=torch.float64)


def uniform(problem: Problem, count: int, seed: int = 0) -> Tensor:
    """Points anywhere in the box, (count, d)."""
    low, high = box(problem)
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(count, problem.dimension, generator=generator, dtype=torch.float64)


def tolerance(problem: Problem) -> float:
    return 1e-9 * max(1.0, abs(problem.minimum))


@each
def test_minimum_is_attained_at_every_minimizer(problem: Problem) -> None:
    values = problem(problem.minimizers)
    assert values.shape == (len(problem.solutions),)
    assert (values - problem.minimum).abs().max() <= tolerance(problem)


@each
def test_no_point_of_the_box_lies_below_the_minimum(problem: Problem) -> None:
    assert problem(uniform(problem, 20_000)).min() >= problem.minimum - tolerance(problem)


@each
def test_no_point_around_a_minimizer_lies_below_it(problem: Problem) -> None:
    low, high = box(problem)
    clouds = uniform(problem, 500) - (low + high) / 2
    radii = torch.tensor([1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6], dtype=torch.float64)
    around = problem.minimizers[:, None, None] + radii[:, None, None] * clouds  # (k, radii, points, d)
    assert problem(around.clamp(low, high)).min() >= problem.minimum - tolerance(problem)


@each_planar
def test_searches_end_at_the_minimum_or_above_and_at_the_known_minimizers_only(problem: Problem) -> None:
    low, high = (bound.numpy() for bound in box(problem))
    points = uniform(problem, 4_000, seed=1)
    best = points[problem(points).argsort()[:4]].numpy()
    for start in best:
        found = minimize(
            lambda x: float(problem(torch.tensor(x))),
            start,
            method="Nelder-Mead",
            bounds=list(zip(low, high, strict=True)),
            options={"maxfev": 150, "xatol": 0.0, "fatol": 1e-12 * max(1.0, abs(problem.minimum))},
        )
        assert found.fun >= problem.minimum - tolerance(problem)
        # On a plateau (`step`) every point of the lowest piece is a minimizer; one of them is listed.
        if found.fun <= problem.minimum + 1e3 * tolerance(problem):
            distances = np.abs((found.x - problem.minimizers.numpy()) / (high - low)).max(-1)
            assert distances.min() < 0.05, f"{found.x} is a minimizer that the problem does not list"


@each
def test_box_contains_minimizers_and_start(problem: Problem) -> None:
    low, high = box(problem)
    for point in (*problem.minimizers, problem.start):
        assert ((low <= point) & (point <= high)).all()
    assert problem(problem.start) > problem.minimum + 1e-3 * max(1.0, abs(problem.minimum))


@each
def test_minimizers_differ_from_each_other(problem: Problem) -> None:
    assert len({tuple(round(number, 9) for number in point) for point in problem.solutions}) == len(problem.solutions)


def test_every_minimizer_of_the_famous_ones_is_listed() -> None:
    counts = {"himmelblau": 4, "branin": 3, "six_hump_camel": 2, "shubert": 18, "parsopoulos": 12, "cross_in_tray": 4}
    assert {name: len(problems.two_dimensional[name].solutions) for name in counts} == counts


@each
def test_separable_means_that_coordinates_can_be_exchanged_between_points(problem: Problem) -> None:
    a, b = uniform(problem, 500, seed=1), uniform(problem, 500, seed=2)
    worst = 0.0
    for coordinate in range(problem.dimension):
        c, d = a.clone(), b.clone()
        c[:, coordinate], d[:, coordinate] = b[:, coordinate], a[:, coordinate]
        values = torch.stack([problem(x) for x in (a, b, c, d)])
        defect = (values[0] + values[1] - values[2] - values[3]).abs() / values.abs().sum(0).clamp_min(1e-300)
        worst = max(worst, float(defect.max()))
    # In two dimensions the square root of `sharp_ridge` has one coordinate only.
    assert (worst < 1e-9) == ("separable" in problem.tags or (problem.name, problem.dimension) == ("sharp_ridge", 2))


@each
def test_convex_means_that_no_midpoint_lies_above_its_chord(problem: Problem) -> None:
    a, b = uniform(problem, 10_000, seed=1), uniform(problem, 10_000, seed=2)
    b[5_000:] = a[5_000:] + 0.01 * (b[5_000:] - a[5_000:])
    ends, middle = (problem(a) + problem(b)) / 2, problem((a + b) / 2)
    convex = bool((middle - ends <= 1e-12 * (problem(a).abs() + problem(b).abs())).all())
    if "convex" in problem.tags:
        assert convex
    elif problem.dimension == 2:  # in five dimensions random points can miss where it bends the wrong way
        assert not convex


@each
def test_asymmetric_means_that_mirroring_the_box_changes_values(problem: Problem) -> None:
    low, high = box(problem)
    points = uniform(problem, 500)
    values, mirrored = problem(points), problem(low + high - points)
    symmetric = bool(((values - mirrored).abs() <= 1e-9 * (1 + values.abs())).all())
    assert symmetric == ("asymmetric" not in problem.tags)


@each
def test_boundary_means_that_a_minimizer_lies_on_the_edge(problem: Problem) -> None:
    low, high = box(problem)
    minimizers = problem.minimizers
    assert bool(((minimizers == low) | (minimizers == high)).any()) == ("boundary" in problem.tags)


@each
def test_ill_conditioned_means_that_the_curvatures_differ(problem: Problem) -> None:
    if not problem.smooth or "boundary" in problem.tags or problem.name == "hilbert":
        return
    curvatures = torch.linalg.eigvalsh(torch.func.vmap(torch.func.hessian(problem))(problem.minimizers))
    least, greatest = curvatures[:, 0], curvatures[:, -1]
    assert (least >= -1e-9 * greatest.abs()).all()
    assert bool((least <= 1e-3 * greatest).any()) == ("ill-conditioned" in problem.tags)


def test_hilbert_is_ill_conditioned_as_its_dimension_grows() -> None:
    matrix = torch.func.hessian(problems.scalable["hilbert"])(torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(float(torch.linalg.cond(matrix)), 476607.25, rtol=1e-6, atol=0.0)  # a known number
