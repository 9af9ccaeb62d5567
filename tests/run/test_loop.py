"""minimize, as a stranger would use it."""

import contextlib
import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import scipy.optimize
import torch

from descend.descent import Descent, DescentState
from descend.errors import CompositionError, EvaluationFailed, InvalidValue, MissingAnswer
from descend.estimate import SPSA, FiniteDifference, GaussianSmoothing, RandomCoordinates
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Module, Oracle, Penalize, Raise, Residuals, Retry
from descend.oracle.bounded import Bounded
from descend.oracle.wrap import Negated
from descend.population import CMAES
from descend.run import (
    Evaluations,
    NoImprovement,
    Progress,
    Result,
    Seconds,
    StepNorm,
    Steps,
    Target,
    minimize,
)
from descend.space import Float, Space
from descend.space.domain import Domain
from descend.step import Backtracking, StrongWolfe
from descend.transform import BFGS, LBFGS, Adam


class Counted:
    """An objective that counts its own calls, the only count that nobody can cheat."""

    def __init__(self, f: Any) -> None:
        self.f, self.calls = f, 0

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return self.f(x)


def rosenbrock(x: Any) -> Any:
    return ((1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2).sum()


def bowl(x: Any) -> Any:
    return ((x - 3) ** 2).sum()


def same_run(a: Result, b: Result) -> bool:
    """Whether two runs went the same way bit for bit."""
    columns = ("steps", "evaluations", "loss", "value")
    return (
        np.array_equal(np.asarray(a.x), np.asarray(b.x))
        and a.fun == b.fun
        and a.evaluations == b.evaluations
        and all(np.array_equal(getattr(a.history, c), getattr(b.history, c), equal_nan=True) for c in columns)
    )


# It minimizes


@pytest.mark.parametrize("d", [2, 5, 10])
def test_rosenbrock_is_solved_as_well_as_by_scipy(d: int) -> None:
    x0 = np.full(d, -1.2)
    f, g = Counted(rosenbrock), Counted(rosenbrock)
    ours = minimize(f, x0)
    theirs = scipy.optimize.minimize(g, x0, method="BFGS", jac="3-point")
    assert ours.fun <= max(theirs.fun, 1e-12)
    assert np.allclose(ours.x, 1, atol=1e-5)
    assert f.calls <= 2 * g.calls


def test_a_differentiable_oracle_needs_no_estimator() -> None:
    result = minimize(Differentiable(rosenbrock), torch.full((10,), -1.2, dtype=torch.float64))
    assert result.fun < 1e-12
    assert set(result.evaluations) == {"value", "gradient"}
    assert result.total < 300


def test_residuals_and_a_module_are_minimized_too() -> None:
    fit = minimize(Residuals(lambda x: torch.stack([x[0] - 1, 3 * x[1]])), torch.ones(2, dtype=torch.float64))
    assert np.allclose(fit.x, [1, 0], atol=1e-6)
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    data = torch.randn(20, 3), torch.randn(20, 1)
    oracle = Module(model, lambda m, batch: (m(batch[0]) - batch[1]).square().mean(), data)
    result = minimize(oracle, oracle.point())
    exact = torch.linalg.lstsq(torch.cat([data[0], torch.ones(20, 1)], 1), data[1]).solution[:, 0]
    assert torch.allclose(result.x, exact, atol=1e-3)


def test_a_random_estimator_alone_calibrates_itself() -> None:
    f = Counted(lambda x: float((np.asarray(x) ** 2).sum()))
    result = minimize(f, np.full(10, 2.0), estimator=SPSA(), until=Evaluations(1000), key=0)
    assert result.fun < 0.1
    assert f.calls <= 1000


# What x0 may be


@pytest.mark.parametrize(
    ("x0", "kind", "dtype", "shape"),
    [
        ([0.0, 1.0], np.ndarray, np.float64, (2,)),
        ((0, 1), np.ndarray, np.float64, (2,)),
        (np.zeros(2, np.float32), np.ndarray, np.float32, (2,)),
        (np.zeros(2, np.float16), np.ndarray, np.float16, (2,)),
        (np.zeros(2, ">f8"), np.ndarray, np.float64, (2,)),
        (np.zeros(2, np.int64), np.ndarray, np.float64, (2,)),
        (np.zeros((2, 3)), np.ndarray, np.float64, (2, 3)),
        (np.asfortranarray(np.zeros((2, 3)))[:, ::2], np.ndarray, np.float64, (2, 2)),
        (0.0, np.ndarray, np.float64, ()),
        (np.float32(0.0), np.ndarray, np.float32, ()),
        ([[1.0], [2.0]], np.ndarray, np.float64, (2, 1)),
        (torch.zeros(2), torch.Tensor, torch.float32, (2,)),
        (torch.zeros(2, 3, dtype=torch.float64).T, torch.Tensor, torch.float64, (3, 2)),
        (torch.zeros(2, dtype=torch.bfloat16), torch.Tensor, torch.bfloat16, (2,)),
        (torch.zeros((), dtype=torch.float64), torch.Tensor, torch.float64, ()),
        (torch.zeros(2, dtype=torch.int32), torch.Tensor, torch.float64, (2,)),
        (torch.nn.Parameter(torch.zeros(2)), torch.Tensor, torch.float32, (2,)),
    ],
    ids=repr,
)
def test_x_comes_back_as_x0_was_given(x0: Any, kind: type, dtype: Any, shape: tuple[int, ...]) -> None:
    seen = []

    def f(x: Any) -> Any:
        seen.append((type(x), x.dtype, tuple(x.shape)))
        return ((x - 3) ** 2).sum()

    before = copy.deepcopy(x0)
    result = minimize(f, x0, until=Evaluations(200), key=0)
    assert set(seen) == {(kind, np.dtype(dtype) if kind is np.ndarray else dtype, shape)}
    for x in (result.x, result.last_x):
        assert type(x) is kind
        assert x.dtype == dtype
        assert tuple(x.shape) == shape
    assert result.fun == float(f(result.x))
    assert np.allclose(np.asarray(result.x.float() if kind is torch.Tensor else result.x, float), 3, atol=0.1)
    assert bool(torch.equal(before, x0) if kind is torch.Tensor else np.array_equal(before, x0))


def test_an_oracle_is_asked_about_flat_points_whatever_the_shape_of_x0() -> None:
    result = minimize(Differentiable(lambda x: (x - torch.arange(6)).square().sum()), np.zeros((2, 3)))
    assert result.x.shape == (2, 3)
    assert np.allclose(result.x, np.arange(6).reshape(2, 3), atol=1e-6)


def test_the_result_shares_no_memory_with_anything() -> None:
    x0 = np.array([3.0, 3.0])  # already the minimum
    result = minimize(bowl, x0)
    result.x[:] = 7
    assert np.array_equal(x0, [3, 3])
    assert np.array_equal(result.last_x, [3, 3])


# What f may be


@pytest.mark.parametrize(
    "wrap",
    [
        float,
        np.float32,
        np.float64,
        lambda v: np.array(v),
        lambda v: np.array([v]),
        lambda v: torch.tensor(float(v)),
        lambda v: torch.tensor([float(v)]),
        lambda v: int(v * 1000),
    ],
)
@pytest.mark.parametrize("torch_points", [False, True])
def test_f_may_return_any_one_number(wrap: Any, torch_points: bool) -> None:
    x0 = torch.zeros(2, dtype=torch.float64) if torch_points else np.zeros(2)
    result = minimize(
        lambda x: wrap(float(((x - 3) ** 2).sum())), x0, estimator=FiniteDifference(radius=0.01),
        method=Descent(Backtracking()),
    )  # fmt: skip
    assert result.fun < 20  # integers leave little to see, but they are numbers
    assert isinstance(result.fun, float)


def test_f_may_overwrite_its_argument() -> None:
    def f(x: Any) -> float:
        value = float(((x - 3) ** 2).sum())
        x[:] = math.nan
        return value

    for x0 in (np.zeros(2), torch.zeros(2, dtype=torch.float64)):
        result = minimize(f, x0)
        assert result.fun < 1e-9
        assert result.fun == f(result.x + 0)


def test_f_may_require_grad_and_keep_graphs() -> None:
    weight = torch.ones(2, requires_grad=True)
    result = minimize(lambda x: ((weight * x - 3) ** 2).sum(), torch.zeros(2))
    assert result.fun < 1e-5
    assert not result.x.requires_grad


@pytest.mark.parametrize("period", [2, 3, 7])
@pytest.mark.parametrize("how", ["raise", "nan", "inf"])
def test_f_that_fails_sometimes_is_minimized_all_the_same(period: int, how: str) -> None:
    calls = 0

    def f(x: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        if calls > 1 and calls % 29 % period == 0:
            if how == "raise":
                raise RuntimeError("the simulator gave up")
            return math.nan if how == "nan" else math.inf
        return float(((x - 3) ** 2).sum())

    with pytest.warns(RuntimeWarning, match="gave up") if how == "raise" else contextlib.nullcontext():
        result = minimize(f, np.zeros(2), on_failure=Retry(3), until=Evaluations(500) | StepNorm(0.0), key=0)
    assert result.fun < 1e-6
    assert result.fun == float(bowl(result.x))
    assert result.failures > 3
    assert result.failures < calls == result.total
    assert ("gave up" if how == "raise" else how) in result.last_failure


def test_steps_that_need_a_failed_value_are_rejected_and_counted() -> None:
    calls = 0

    def f(x: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        return math.nan if calls % 10 == 0 else float(((x - 3) ** 2).sum())

    descent = Descent(lr=0.2)
    result = minimize(f, np.zeros(2), estimator=FiniteDifference(), method=descent, until=Steps(50), key=0)
    assert result.rejected == result.failures == 20  # 4 evaluations a step: every tenth falls into 2 steps of 5
    assert result.steps == 50
    assert result.fun < 1e-4


def test_a_hopeless_f_ends_early_and_says_so() -> None:
    result = minimize(lambda x: math.nan, np.zeros(2), estimator=FiniteDifference())
    assert "20 steps in a row were rejected" in result.reason
    assert math.isnan(result.fun)
    assert np.array_equal(result.x, [0, 0])
    assert result.total < 200


def test_a_mistake_at_the_first_evaluation_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        minimize(lambda x: 1 / 0, [1.0])
    with pytest.raises(IndexError):
        minimize(lambda x: x[5], [1.0])


def test_the_policy_raise_raises_later_too() -> None:
    f = Counted(lambda x: float(x[0]) if f.calls < 4 else math.nan)
    with pytest.raises(EvaluationFailed, match="the objective returned nan"):
        minimize(f, [1.0], on_failure=Raise())


def test_a_penalty_stands_for_a_failure() -> None:
    def f(x: np.ndarray) -> float:
        if x[0] < 1:
            raise ValueError("outside")
        return float(x[0])

    with pytest.warns(RuntimeWarning, match="outside"):
        result = minimize(
            f, [4.0], method=Descent(lr=0.5), estimator=FiniteDifference(radius=1e-3), until=Steps(20),
            on_failure=Penalize(9.0),
        )  # fmt: skip
    assert 1 <= result.x[0] < 1.6


# The result


def _methods() -> list[Any]:
    rows: list[Any] = [
        (None, None),
        (FiniteDifference("forward"), None),
        (FiniteDifference("central4"), Descent(BFGS(), Backtracking())),
        (SPSA(), None),
        (SPSA(samples=4), Descent(Adam(), lr=0.1)),
        (GaussianSmoothing(samples=12), Descent(Backtracking())),
        (GaussianSmoothing(samples=12, formula="forward"), Descent(lr=0.01)),
        (FiniteDifference(), Descent(BFGS(), StrongWolfe())),
        (FiniteDifference("forward"), Descent(LBFGS(), StrongWolfe())),
        (RandomCoordinates(block=2), Descent(lr=0.05)),
    ]
    return [pytest.param(*row, id=f"{row[0]}-{row[1]}"[:60]) for row in rows]


@pytest.mark.parametrize(("estimator", "method"), _methods())
@pytest.mark.parametrize("x0", [np.full(3, -1.0), torch.full((3,), -1.0)], ids=["numpy", "torch"])
def test_fun_is_f_of_x_bit_for_bit_and_the_key_repeats_the_run(x0: Any, estimator: Any, method: Any) -> None:
    def f(x: Any) -> Any:
        return ((x - 0.3) ** 2).sum() + 0.1 * (x**4).mean()

    runs = [minimize(f, x0, estimator=estimator, method=method, until=Evaluations(150))]
    runs.append(minimize(f, x0, estimator=estimator, method=method, until=Evaluations(150), key=runs[0].key))
    for result in runs:
        assert result.fun == float(f(result.x))
        assert result.last_fun == float(f(result.last_x))
        assert result.fun <= result.last_fun
        assert result.fun < float(f(x0))
        assert result.total <= 150
    assert same_run(*runs)
    if estimator is not None and not isinstance(estimator, FiniteDifference):
        other = minimize(f, x0, estimator=estimator, method=method, until=Evaluations(150), key=1)
        assert not same_run(runs[0], other)


def test_the_best_iterate_is_kept_when_the_last_is_worse() -> None:
    def wild(t: int) -> float:
        return 0.3 if t < 10 else 1.5  # with which a bowl diverges

    result = minimize(Differentiable(bowl), torch.zeros(2), method=Descent(lr=wild), until=Steps(14))
    assert result.last_fun > 100 * result.fun
    assert result.fun == float(bowl(result.x))
    assert "last_fun" in repr(result)


def test_x_is_never_a_probe() -> None:
    """With radius 1 the probes reach the minimum at 0, which no iterate of a zero step does."""
    probing, still = FiniteDifference(radius=1.0), Descent(lr=0.0)
    result = minimize(lambda x: float(abs(x[0])), [1.0], estimator=probing, method=still, until=Steps(3))
    assert result.x[0] == 1.0
    assert result.fun == 1.0


@dataclass(frozen=True)
class Walk:
    """A method of somebody's own: one step to the left at a time, and it claims to know the value."""

    error: float = 0.0
    needs: ClassVar[Asks] = Asks.VALUES

    def init(self, x: torch.Tensor, key: Key, domain: Domain | None = None) -> DescentState:
        x.zero_()
        return DescentState(x, math.nan, math.nan, 0, 0, key, (), None)

    def advance(self, oracle: Oracle, state: DescentState) -> DescentState:
        x = state.x - 0.125
        value = float(oracle.values(x[None], state.key)[0]) + self.error
        return DescentState(x, value, math.nan, state.t + 1, 0, state.key, (), None)


def test_a_method_of_ones_own_needs_three_things_and_can_spoil_nothing() -> None:
    """What it says about f is checked, and what it does to the point it was given does not reach x0."""
    x0 = torch.ones(2)
    result = minimize(lambda x: bowl(x + 4), x0, method=Walk(error=1e-3), until=Steps(12))
    assert torch.equal(x0, torch.ones(2))
    assert torch.equal(result.x, torch.full((2,), -1.0))
    assert result.fun == float(bowl(result.x + 4)) == 0.0
    assert result.last_fun == 0.5


def test_history_follows_the_run() -> None:
    result = minimize(rosenbrock, np.zeros(2), estimator=FiniteDifference())
    h = result.history
    assert len(h) == result.steps == h.steps[-1]
    assert np.all(np.diff(h.steps) == 1)
    assert np.all(np.diff(h.evaluations) > 0)
    assert np.all(np.diff(h.seconds) >= 0)
    assert h.evaluations[-1] == result.total
    assert np.all(np.diff(h.value) <= 0)
    assert h.value[-1] == result.last_fun


# The budget


@pytest.mark.parametrize("budget", [1, 2, 3, 4, 5, 8, 11, 25, 60, 61])
@pytest.mark.parametrize(("estimator", "method"), _methods())
def test_the_budget_is_never_exceeded_by_one(budget: int, estimator: Any, method: Any) -> None:
    for x0 in (np.full(9, -1.0), torch.full((9,), -1.0)):
        f = Counted(bowl)
        result = minimize(f, x0, estimator=estimator, method=method, until=Evaluations(budget), key=0)
        assert f.calls <= result.total <= budget
        if isinstance(x0, np.ndarray):
            assert f.calls == result.total
        assert f"budget of {budget} evaluations" in result.reason or "not move" in result.reason
        assert result.fun == float(bowl(result.x))


def test_the_budget_holds_for_gradients_and_retries() -> None:
    f = Counted(bowl)
    oracle = Differentiable(f)
    first = minimize(oracle, torch.zeros(3), until=Evaluations(7))
    second = minimize(oracle, torch.zeros(3), until=Evaluations(9))
    assert (first.total, second.total) <= (7, 9)
    assert f.calls == first.total + second.total
    assert oracle.ledger.limit is None
    g = Counted(lambda x: math.nan)
    result = minimize(g, np.zeros(3), on_failure=Retry(5), until=Evaluations(23))
    assert g.calls == result.total <= 23


def test_a_limit_that_the_ledger_had_is_kept() -> None:
    f = Counted(bowl)
    oracle = Function(f, takes="numpy")
    oracle.ledger.limit = 20
    result = minimize(oracle, np.zeros(3), until=Evaluations(1000))
    assert f.calls == result.total <= 20
    assert result.reason == "the budget of 20 evaluations is spent"
    assert oracle.ledger.limit == 20


# Interrupts and callbacks


@pytest.mark.parametrize(("estimator", "method"), _methods())
def test_an_interrupt_at_any_evaluation_returns_the_best_so_far(estimator: Any, method: Any) -> None:
    at, x0 = 0, np.full(3, -1.0)

    def interrupted(x: np.ndarray) -> float:
        if f.calls == at:
            raise KeyboardInterrupt
        return float(bowl(x))

    for at in [1, 2, 3, 4, 5, 8, 13, 20, 21, 22, 23, 24, 25, 26, 50]:
        f = Counted(interrupted)
        result = minimize(f, x0, estimator=estimator, method=method, until=Steps(200), key=0)
        if f.calls < at:
            assert "interrupted" not in result.reason
            continue
        assert result.reason == "interrupted by the user"
        assert result.fun == float(bowl(result.x)) <= float(bowl(x0))
        assert result.total == f.calls <= at + 2


def test_interrupts_without_end_still_return() -> None:
    def f(x: np.ndarray) -> float:
        raise KeyboardInterrupt

    result = minimize(f, np.zeros(2))
    assert result.reason == "interrupted by the user"
    assert math.isnan(result.fun)
    assert np.array_equal(result.x, np.zeros(2))


def test_an_interrupt_in_the_callback_ends_the_run_too() -> None:
    def callback(progress: Progress) -> None:
        if progress.steps == 3:
            raise KeyboardInterrupt

    result = minimize(bowl, np.zeros(2), callback=callback, method=Descent(lr=0.1), estimator=SPSA(), key=0)
    assert (result.steps, result.reason) == (3, "interrupted by the user")


def test_a_callback_sees_every_step_and_stops_the_run_by_true_alone() -> None:
    seen: list[Progress] = []

    def callback(progress: Progress) -> Any:
        seen.append(progress)
        assert progress.x.shape == (2, 2)
        return np.bool_(len(seen) == 4) if len(seen) != 2 else progress.loss  # a number is no order to stop

    result = minimize(bowl, np.zeros((2, 2)), estimator=SPSA(), callback=callback, method=Descent(lr=0.1), key=0)
    assert result.reason == "the callback returned True"
    assert [p.steps for p in seen] == [1, 2, 3, 4]
    assert np.array_equal(seen[-1].x, result.last_x)
    assert math.isclose(seen[0].moved, float(np.linalg.norm(seen[0].x)), rel_tol=1e-12)


def test_an_error_in_the_callback_is_raised_and_the_ledger_left_in_order() -> None:
    oracle = Differentiable(bowl)
    with pytest.raises(ZeroDivisionError):
        minimize(oracle, torch.zeros(2), callback=lambda p: 1 / 0, until=Evaluations(50))
    assert oracle.ledger.limit is None


# When to stop


@pytest.mark.parametrize(
    ("until", "reason"),
    [
        (Steps(7), "7 steps were taken"),
        (Target(1e-3), "at or below the target"),
        (StepNorm(1e-2, steps=2), "moved by 0.01 or less in each of 2 steps"),
        (NoImprovement(3, tol=1e-4), "did not fall by more than 0.0001 in 3 steps"),
        (Seconds(0.05), "0.05 seconds have passed"),
        (Evaluations(10**6) | Steps(9) | Target(-1.0), "9 steps"),
        (Steps(5) & Target(1e-3), "5 steps were taken, and the loss"),
    ],
    ids=repr,
)
def test_every_rule_says_why_it_stopped(until: Any, reason: str) -> None:
    result = minimize(Differentiable(bowl), torch.zeros(2), method=Descent(lr=0.1), until=until)
    assert reason in result.reason
    assert reason in repr(result)


def test_by_default_a_search_ends_where_nothing_better_is_found() -> None:
    f = Counted(bowl)
    result = minimize(f, np.zeros(4), key=0)
    assert result.reason == "the best loss did not fall in 500 evaluations"
    assert result.fun < 1e-12
    assert f.calls < 1000


def test_by_default_a_descent_ends_where_nothing_moves() -> None:
    f = Counted(bowl)
    result = minimize(f, np.zeros(4), estimator=FiniteDifference())
    assert result.reason == "the iterate did not move in 3 steps"
    assert f.calls < 200


def test_by_default_a_run_ends_where_x_moves_in_its_last_bits_only() -> None:
    """In this box BFGS goes on for hundreds of steps of 1e-18 after f has reached its last bit."""
    x0 = torch.full((20,), -1.2, dtype=torch.float64)
    result = minimize(Differentiable(rosenbrock), x0, bounds=(-2, 0.5))
    assert np.sum(result.history.value == result.last_fun) <= 11
    assert result.fun == pytest.approx(17.4937816899, rel=1e-10)


# Noise


def test_a_noisy_torch_objective_is_repeated_by_its_key_and_leaves_the_global_state_alone() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return bowl(x) + 0.1 * torch.randn(())

    torch.manual_seed(5)
    a = minimize(f, torch.zeros(3), estimator=SPSA(), until=Evaluations(100), key=3)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    b = minimize(f, torch.zeros(3), estimator=SPSA(), until=Evaluations(100), key=Key(3))
    assert same_run(a, b)
    assert a.key == Key(3)


# Wrong input gets a sentence


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        ({"x0": []}, InvalidValue, "x0 is empty"),
        ({"x0": None}, InvalidValue, "x0 must be numbers"),
        ({"x0": "abc"}, InvalidValue, "got str"),
        ({"x0": [[1.0], [1.0, 2.0]]}, InvalidValue, "x0 must be numbers"),
        ({"x0": [1.0, math.nan]}, InvalidValue, "element 1 is nan"),
        ({"x0": torch.tensor([math.inf])}, InvalidValue, "element 0 is inf"),
        ({"x0": [1j]}, InvalidValue, "x0 is complex"),
        ({"x0": np.zeros(2, np.longdouble)}, InvalidValue, "torch cannot hold"),
        ({"f": 3.0}, InvalidValue, "f must be a function"),
        ({"until": 100}, InvalidValue, "write until=Evaluations"),
        ({"key": "seed"}, InvalidValue, "Key needs an integer"),
        ({"key": -1}, InvalidValue, "Key needs an integer"),
        ({"callback": 3}, InvalidValue, "callback=3"),
        ({"method": Adam()}, CompositionError, "write method=Descent"),
        ({"method": Descent(lr=0.1)}, MissingAnswer, "asks for GRADIENT"),
        ({"method": Descent}, CompositionError, r"write method=Descent\(\)"),
        ({"executor": 3}, InvalidValue, r"write executor=Processes\(4\)"),
        ({"estimator": Adam()}, CompositionError, "is not an estimator"),
        ({"estimator": SPSA}, CompositionError, "is not an estimator"),
        ({"bounds": 3}, InvalidValue, "bounds must be"),
        ({"bounds": (1, 0)}, InvalidValue, "low < high"),
        ({"bounds": (1, 1)}, InvalidValue, "leave it out of x0"),
        ({"bounds": (0, math.nan)}, InvalidValue, "low < high"),
        ({"bounds": ([0, 0, 0], 1)}, InvalidValue, "x0's shape"),
        ({"bounds": [(0, 1)]}, InvalidValue, "one pair"),
        ({"bounds": ((0, 1), (2, 3))}, InvalidValue, "two pairs or"),
        ({"bounds": ("a", "b")}, InvalidValue, "must be a number"),
    ],
    ids=lambda value: repr(value).split(" at 0x")[0][:50],
)
def test_wrong_input_gets_a_sentence_before_anything_is_evaluated(
    arguments: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    f = Counted(bowl)
    with pytest.raises(error, match=sentence):
        minimize(**{"f": f, "x0": [0.0, 1.0], **arguments})
    assert f.calls == 0


def test_a_second_order_method_behind_an_estimator_is_refused_before_anything_is_evaluated() -> None:
    class Curious(Descent):
        @property
        def needs(self) -> Asks:
            return super().needs | Asks.HVP

    f = Counted(bowl)
    with pytest.raises(MissingAnswer, match="HVP"):
        minimize(Differentiable(f), torch.zeros(2), estimator=SPSA(), method=Curious())
    assert f.calls == 0


def test_what_belongs_to_the_oracle_is_said_so() -> None:
    with pytest.raises(CompositionError, match="write Function"):
        minimize(Differentiable(bowl), torch.zeros(2), on_failure=Raise())


def test_bounds_outside_of_an_estimator_would_not_bind_its_probes() -> None:
    for oracle in (Function(bowl) | SPSA(), Negated(Function(bowl) | SPSA())):
        with pytest.raises(CompositionError, match="they belong inside"):
            minimize(oracle, torch.ones(2), method=Descent(lr=0.1), bounds=(0, 2))
    boxed = Bounded(Function(bowl), torch.zeros(2), torch.full((2,), 2.0)) | FiniteDifference()
    result = minimize(boxed, torch.ones(2), method=Descent(lr=0.1), until=Steps(50))
    assert torch.equal(result.x, torch.full((2,), 2.0))


def test_an_f_that_returns_a_vector_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="one number was expected"):
        minimize(lambda x: x**2, [0.0, 1.0])


@pytest.mark.parametrize("method", [None, CMAES()])
def test_conditions_that_hold_nowhere_are_a_sentence_and_not_a_result(method: CMAES | None) -> None:
    space = Space(a=Float(0, 1)).where(lambda p: False)
    with pytest.raises(InvalidValue, match=r"no point met the conditions of where\(\) in \d+ steps"):
        minimize(lambda p: p["a"], space, method=method, key=0)
