"""minimize_many: budgets, constraints, failures, spaces, and what a front can be asked."""

import math

import numpy as np
import pytest
import torch

from descend.errors import CompositionError, InvalidValue, ShapeMismatch
from descend.oracle.failure import Raise, Retry
from descend.pareto import NSGA2, NSGA3
from descend.population.differential import DifferentialEvolution
from descend.problems.multi import bnh, zdt1
from descend.run.minimize_many import minimize_many
from descend.run.until import Evaluations, Rejections, Seconds, Steps, Target
from descend.space import Choice, Float, Int, Space

SMALL = NSGA2(popsize=12)


def two_bowls(x: np.ndarray) -> tuple[float, float]:
    return float(((x - 1) ** 2).sum()), float(((x + 1) ** 2).sum())


def test_the_budget_is_spent_and_never_exceeded() -> None:
    made = []

    def counted(x: np.ndarray) -> tuple[float, float]:
        made.append(x.copy())
        return two_bowls(x)

    front = minimize_many(counted, [5.0, 5.0], bounds=(-6, 6), method=SMALL, until=Evaluations(100), key=0)
    assert len(made) == front.evaluations == 100
    assert front.steps == 9
    assert made[0].tolist() == [5.0, 5.0]
    assert "100 evaluations is spent" in front.reason
    for point, values in zip(front.points, front.values, strict=True):
        assert tuple(values) == two_bowls(point)
        assert any((point == x).all() for x in made)


def test_a_batched_function_gives_the_same_front() -> None:
    problem = zdt1(5)
    singles = minimize_many(
        lambda x: problem(x[None])[0], problem.start, bounds=problem.bounds, method=SMALL, until=Steps(10), key=3
    )
    batched = minimize_many(
        problem, problem.start, bounds=problem.bounds, method=SMALL, until=Steps(10), key=3, batched=True
    )
    torch.testing.assert_close(singles.points, batched.points, rtol=1e-9, atol=1e-12)
    assert singles.evaluations == batched.evaluations == 120
    assert isinstance(singles.values, torch.Tensor)
    again = minimize_many(
        problem, problem.start, bounds=problem.bounds, method=SMALL, until=Steps(10), key=batched.key, batched=True
    )
    assert torch.equal(batched.points, again.points)


def test_points_have_the_shape_and_kind_of_x0() -> None:
    front = minimize_many(
        lambda x: (x.sum(), -x.sum()), np.zeros((2, 3), np.float32), bounds=(-1, 1), method=SMALL, until=Steps(3), key=0
    )
    assert front.points.shape == (len(front), 2, 3)
    assert front.points.dtype == np.float32


def test_limits_are_met_and_constraints_save_evaluations() -> None:
    problem = bnh()
    front = minimize_many(
        problem, problem.start, bounds=problem.bounds, limits=2, batched=True, method=SMALL, until=Steps(30), key=0
    )
    assert float(problem(front.points)[:, 2:].max()) <= 0
    assert front.values.shape[1] == 2
    asked = []

    def noted(x: np.ndarray) -> tuple[float, float]:
        asked.append(float(x[0]))
        return two_bowls(x)

    front = minimize_many(
        noted, [0.0, 0.0], bounds=(-6, 6), constraints=lambda x: 5 - x[0], method=SMALL, until=Evaluations(200), key=0
    )
    assert min(asked) >= 5
    assert front.evaluations == len(asked) == 200
    assert float(front.points[:, 0].min()) < 5.05


def test_nothing_feasible_comes_to_an_end_and_says_so() -> None:
    front = minimize_many(
        two_bowls, [0.0], bounds=(-1, 1), constraints=lambda x: 2 - x[0], method=NSGA2(popsize=4), key=0
    )
    assert front.evaluations == len(front) == 0
    assert "constraints" in front.reason
    assert "least violation is 1" in repr(front)
    with pytest.raises(InvalidValue, match="empty"):
        front.knee()


@pytest.mark.filterwarnings("ignore:an evaluation failed")
def test_failures_are_counted_and_survived() -> None:
    def fragile(x: np.ndarray) -> tuple[float, float]:
        if x[0] > 2:
            raise RuntimeError("does not converge")
        return (math.nan, 0.0) if x[0] < -2 else two_bowls(x)

    front = minimize_many(fragile, [0.0], bounds=(-6, 6), method=SMALL, until=Evaluations(240), key=0)
    assert front.failures > 10
    assert abs(front.points).max() <= 2
    with pytest.raises(RuntimeError, match="converge"):  # at the very first it is a mistake in the code
        minimize_many(fragile, [3.0], bounds=(-6, 6), method=SMALL, until=Evaluations(240), key=0)
    with pytest.raises(RuntimeError, match="converge"):
        minimize_many(fragile, [0.0], bounds=(-6, 6), method=SMALL, key=0, on_failure=Raise())
    again = minimize_many(
        fragile, [0.0], bounds=(-6, 6), method=SMALL, until=Evaluations(240), key=0, on_failure=Retry(2)
    )
    assert again.evaluations <= 240
    nothing = minimize_many(lambda x: (math.nan, 1.0), [0.0], method=SMALL, until=Rejections(3), key=0)
    assert (nothing.steps, nothing.rejected, len(nothing)) == (3, 3, 0)


def test_an_interrupt_returns_the_front_so_far() -> None:
    calls = iter(range(10**6))

    def interrupted(x: np.ndarray) -> tuple[float, float]:
        if next(calls) == 50:
            raise KeyboardInterrupt
        return two_bowls(x)

    front = minimize_many(interrupted, [0.0], bounds=(-6, 6), method=SMALL, key=0)
    assert front.reason == "interrupted by the user"
    assert 0 < len(front) <= 48


def test_a_callback_sees_every_generation_and_may_stop() -> None:
    seen = []

    def watch(state) -> bool:
        seen.append(state.asked)
        return len(seen) == 4

    front = minimize_many(two_bowls, [0.0], bounds=(-6, 6), method=SMALL, key=0, callback=watch)
    assert seen == [12, 24, 36, 48]
    assert front.reason == "the callback returned True"


def test_a_space_with_conditions() -> None:
    space = Space(a=Float(0, 1), n=Int(1, 9), kind=Choice("u", "v", "w")).where(lambda p: p["a"] + p["n"] <= 8)
    front = minimize_many(
        lambda p: (p["n"] + 2 * (p["kind"] != "v"), (9 - p["n"]) ** 2 + p["a"]), space,
        method=NSGA2(popsize=20), until=Evaluations(1500), key=0,
    )  # fmt: skip
    assert all(point in space and point["kind"] == "v" for point in front.points)
    assert len({point["n"] for point in front.points}) >= 7  # of 8, for a > 0 rules out 8
    assert isinstance(front.values, np.ndarray)


def test_a_front_says_what_it_is_and_what_suits_whom() -> None:
    front = minimize_many(two_bowls, [0.0, 0.0], bounds=(-6, 6), until=Evaluations(6000), key=0)
    assert list(front.values[:, 0]) == sorted(front.values[:, 0])
    knee = front.knee()
    assert np.abs(knee.point).max() < 0.25  # the fronts of two bowls are alike from both sides
    assert tuple(front.values[knee.place]) == tuple(knee.values)
    assert front.choose([9.0, 1.0]).values[0] < knee.values[0] < front.choose([1.0, 9.0]).values[0]
    assert front.weights().shape == front.values.shape
    # the front is f2 = (sqrt(8) - sqrt(f1))^2, so the area below it in [0, 8]^2 is 64/6
    assert front.hypervolume([8.0, 8.0]) == pytest.approx(64 - 64 / 6, rel=0.01)
    assert "Front of 100 points" in repr(front)
    assert "key      Key(seed=0)" in repr(front)


def test_what_cannot_mean_anything_is_refused() -> None:
    for wrong, error, words in (
        ({"method": DifferentialEvolution()}, CompositionError, "minimizes one number"),
        ({"until": Target(0.1)}, CompositionError, "single loss"),
        ({"until": Evaluations(10) | Target(0.1)}, CompositionError, "single loss"),
        ({"until": 100}, InvalidValue, "stopping rule"),
        ({"limits": -1}, InvalidValue, "limits"),
        ({"limits": 2}, ShapeMismatch, "nothing to minimize"),
        ({"callback": 3}, InvalidValue, "callback"),
        ({"bounds": (1, 0)}, InvalidValue, "low"),
        ({"batched": True}, ShapeMismatch, "batched=False"),
    ):
        with pytest.raises(error, match=words):
            minimize_many(two_bowls, [0.0], **{"method": NSGA3(popsize=4), "until": Seconds(1.0), "key": 0} | wrong)
    with pytest.raises(InvalidValue, match="several numbers"):
        minimize_many(3, [0.0])  # type: ignore[arg-type]
    with pytest.raises(CompositionError, match="leave bounds out"):
        minimize_many(two_bowls, Space(a=Float(0, 1)), bounds=(0, 1))
    with pytest.raises(ShapeMismatch, match=r"minimize\(f, x0\)"):
        minimize_many(lambda x: 1.0, [0.0], key=0)
    with pytest.raises(ShapeMismatch, match="str"):
        minimize_many(lambda x: "a", [0.0], key=0)
    lengths = iter([2, 2, 3])
    with pytest.raises(ShapeMismatch, match="2 numbers before, and now 3"):
        minimize_many(lambda x: [0.0] * next(lengths), [0.0], key=0)
