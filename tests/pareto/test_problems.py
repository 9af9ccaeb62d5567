"""The problems beside pymoo's, and that nothing dominates what they call their front."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.pareto import dominates, igd
from descend.problems import multi

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from fronts import box_of

MAKERS = [getattr(multi, name) for name in multi.__all__ if name != "MultiProblem"]
SCALES = {"bnh": [25.0, 7.7]}  # pymoo divides these constraints by their size


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_it_returns_what_pymoo_returns(make: Callable[[], multi.MultiProblem]) -> None:
    problems = pytest.importorskip("pymoo.problems")
    problem = make()
    sizes = {} if problem.d == 2 or problem.name.startswith("zdt") else {"n_var": problem.d, "n_obj": problem.m}
    theirs = problems.get_problem(problem.name.replace("_", ""), **sizes)
    np.testing.assert_allclose(np.array([problem.low, problem.high]), [theirs.xl, theirs.xu])
    xs, out = box_of(problem).uniform(50, Key(0), problem.start), {}
    theirs._evaluate(xs.numpy(), out)
    found = problem(xs).numpy()
    np.testing.assert_allclose(found[:, : problem.m], out["F"], rtol=1e-10, atol=1e-12)
    if problem.limits:
        scale = np.array(SCALES.get(problem.name, 1.0))
        np.testing.assert_allclose(found[:, problem.m :] / scale, np.reshape(out["G"], (50, -1)), rtol=1e-9)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_nothing_dominates_its_front(make: Callable[[], multi.MultiProblem]) -> None:
    problem = make()
    front = problem.front(60)
    assert 30 <= len(front) <= 150
    assert front.shape[1] == problem.m
    points = problem(box_of(problem).uniform(300, Key(1), problem.start))
    feasible = points[(points[:, problem.m :] <= 0).all(1)][:, : problem.m]
    matrix = dominates(torch.cat([front, feasible]))
    assert not bool(matrix[:, : len(front)].any())


def test_points_of_the_front_of_zdt1_and_dtlz2_are_where_theory_says() -> None:
    pytest.importorskip("moocore")
    zdt1, dtlz2 = multi.zdt1(), multi.dtlz2()
    xs = torch.zeros(200, 30, dtype=torch.float64)
    xs[:, 0] = torch.linspace(0, 1, 200)
    assert igd(zdt1(xs), zdt1.front(200)) < 5e-3
    ys = Key(0).uniform(20, 12, like=xs)
    ys[:, 2:] = 0.5
    torch.testing.assert_close(dtlz2(ys).square().sum(1), torch.ones(20, dtype=torch.float64))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="30"):
        multi.zdt1()(torch.zeros(30))
    with pytest.raises(InvalidValue, match="closed form"):
        multi.MultiProblem("mine", 2, 2, (0.0, 0.0), (1.0, 1.0), lambda xs: xs).front()
