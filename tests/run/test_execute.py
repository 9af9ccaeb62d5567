"""Executors: everywhere the same trajectory, failures of a point stay that point's, and no process outlives the run."""

import math
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from descend.descent import Descent
from descend.errors import CompositionError, EvaluationFailed, InvalidValue
from descend.estimate.finite_difference import FiniteDifference
from descend.estimate.random_directions import GaussianSmoothing
from descend.key import Key
from descend.oracle import Function, Penalize, Retry
from descend.run.execute import Batched, Processes, Serial, Threads
from descend.run.loop import minimize
from descend.run.until import Evaluations, Steps

XS = torch.arange(12, dtype=torch.float64).reshape(6, 2)


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    """Two workers that the tests share, because starting one takes seconds."""
    with Processes(2, deaths=1) as processes:
        yield processes


def test_the_same_trajectory_everywhere(two: Processes) -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        return ((x - 0.3) ** 2).sum() + 0.1 * (x**4).mean() + 0.01 * torch.randn((), dtype=x.dtype)

    runs = []
    for executor in (Serial(), two, Batched()):
        oracle, x0 = Function(f, executor=executor), torch.full((3,), -1.0, dtype=torch.float64)
        estimator, method = GaussianSmoothing(samples=3), Descent(lr=0.05)
        runs.append(minimize(oracle, x0, estimator=estimator, method=method, until=Steps(8), key=4))
    for other in runs[1:2]:
        assert np.array_equal(other.history.loss, runs[0].history.loss)
        assert torch.equal(other.x, runs[0].x)
        assert other.evaluations == runs[0].evaluations
    assert torch.allclose(runs[2].x, runs[0].x, rtol=1e-12)  # vmap may sum in another order


def test_answers_come_in_order_and_errors_are_those_of_their_points(two: Processes) -> None:
    class Odd(Exception):
        pass

    def f(x: torch.Tensor, key: Key) -> Any:
        if x[0] == 4:
            raise Odd("at four")
        if x[0] == 6:
            return math.nan
        return np.array([float(x[0]) + key.seed])

    for executor in (Serial(), two, Threads(2)):
        answers = executor.values(f, XS, Key(100))
        assert [a for a in answers if isinstance(a, float) and a == a] == [100.0, 102.0, 108.0, 110.0]
        assert type(answers[2]).__name__ == "Odd"
        assert str(answers[2]) == "at four"
        assert math.isnan(answers[3])  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64])
def test_points_arrive_as_they_are(two: Processes, dtype: torch.dtype) -> None:
    xs = torch.arange(12).reshape(2, 6).to(dtype).T  # rows that are not contiguous

    def f(x: torch.Tensor, key: Key) -> float:
        assert (x.dtype, x.shape) == (dtype, (2,))
        x += 1  # it may be overwritten
        return float(x[0]) * 100 + float(x[1])

    assert two.values(f, xs, Key(0)) == [100 * (i + 1) + i + 7 for i in range(6)]
    assert torch.equal(xs, torch.arange(12).reshape(2, 6).to(dtype).T)


def test_a_worker_that_dies_costs_no_point_but_its_own(two: Processes) -> None:
    def f(x: torch.Tensor, key: Key) -> float:
        if x[0] == 4:
            os._exit(7)
        return float(x[0])

    answers = two.values(f, XS, Key(0))
    assert [a for a in answers if not isinstance(a, Exception)] == [0, 2, 6, 8, 10]
    assert isinstance(answers[2], EvaluationFailed)
    assert "exit code 7" in str(answers[2])
    assert two.values(f, XS[:2], Key(0)) == [0, 2]  # and the others go on


def test_an_exception_that_cannot_travel_is_told_in_words(two: Processes) -> None:
    def f(x: torch.Tensor, key: Key) -> float:
        class Stubborn(Exception):
            def __init__(self, one: int, two: int) -> None:
                super().__init__(f"{one} and {two}")

        raise Stubborn(1, 2)

    (answer,) = two.values(f, XS[:1], Key(0))
    assert isinstance(answer, EvaluationFailed)
    assert str(answer) == "Stubborn: 1 and 2"


def test_failures_follow_the_policy_in_every_executor(two: Processes) -> None:
    def f(x: torch.Tensor) -> float:
        if x[0] > 3:
            raise ValueError("too far")
        return float(x[0])

    for executor in (Serial(), two, Threads(3)):
        oracle = Function(f, executor=executor, on_failure=Penalize(50.0))
        with pytest.warns(RuntimeWarning, match="too far"):
            assert oracle.values(XS, Key(0)).tolist() == [0, 2, 50, 50, 50, 50]
        assert (oracle.ledger.total, oracle.ledger.failures) == (6, 4)
    oracle = Function(f, executor=Serial(), on_failure=Retry(3))
    with pytest.warns(RuntimeWarning, match="too far"):
        assert oracle.values(XS, Key(0)).isnan().tolist() == [False, False, True, True, True, True]
    assert (oracle.ledger.total, oracle.ledger.failures) == (6 + 4 + 4, 12)


def test_the_first_error_of_all_is_raised_in_every_executor() -> None:
    for executor in (Serial(), None):
        with pytest.raises(ZeroDivisionError):
            Function(lambda x: 1 / 0, executor=executor).values(XS, Key(0))
        calls = iter([1 / 3])

        def once(x: torch.Tensor, calls: Iterator[float] = calls) -> float:
            return 1 / 0 if next(calls, None) else 5.0

        oracle = Function(once, executor=executor, on_failure=Retry(2))
        with pytest.warns(RuntimeWarning, match="ZeroDivisionError"):  # whoever asks again means to
            assert oracle.values(XS, Key(0)).tolist() == [5.0] * 6


@pytest.mark.parametrize("executor", [Serial(), Batched(), Threads(2)], ids=repr)
def test_the_budget_holds_in_every_executor(executor: Any) -> None:
    calls = 0

    def f(x: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return ((x - 1) ** 2).sum()

    for budget in (1, 7, 20, 41):
        calls = 0
        result = minimize(f, torch.zeros(9), executor=executor, until=Evaluations(budget))
        assert calls <= result.total <= budget
        assert result.fun == float(f(result.x))


def test_an_interrupt_closes_the_workers() -> None:
    class Interrupted(Processes):
        def _heard(self, pipe: Any) -> Any:
            raise KeyboardInterrupt

    before = set(multiprocessing.active_children())
    result = minimize(lambda x: float(x @ x), np.ones(2), executor=Interrupted(1), estimator=FiniteDifference())
    assert result.reason == "interrupted by the user"
    assert result.fun == 2.0
    assert set(multiprocessing.active_children()) <= before


def test_a_script_without_a_guard_and_with_a_real_interrupt(tmp_path: Any) -> None:
    """A lambda in the main script, no `if __name__`, and Ctrl-C to the whole process group while workers sleep."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, signal, threading, time
            import numpy as np
            from descend.descent import Descent
            from descend.estimate.finite_difference import FiniteDifference
            from descend.run import Processes, Steps, minimize

            def slow(x):  # not importable: it lives in the main script
                time.sleep(60 if 0.8 < x[0] < 0.9 else 0)
                return float(x @ x)

            def interrupt_soon(progress):
                threading.Timer(0.5, lambda: os.killpg(0, signal.SIGINT)).start()

            started = time.monotonic()
            result = minimize(slow, [1.0, 1.0], executor=Processes(1), method=Descent(lr=0.08),
                              estimator=FiniteDifference(radius=1e-3), callback=interrupt_soon)
            print(result.reason, result.steps, time.monotonic() - started < 50)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=100, start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.splitlines() == ["interrupted by the user 1 True"], done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize("workers", [0, -1, 2.0, True, None])
def test_wrong_numbers_of_workers_get_a_sentence(workers: Any) -> None:
    for kind in (Processes, Threads):
        with pytest.raises(InvalidValue, match=f"{kind.__name__} needs a whole number of workers"):
            kind(workers)


def test_wrong_limits_get_a_sentence() -> None:
    for seconds in (0, -1.0, math.inf, math.nan, True, "1"):
        with pytest.raises(InvalidValue, match="Processes needs seconds > 0"):
            Processes(1, seconds=seconds)  # type: ignore[arg-type]
    for deaths in (0, 1.5, True):
        with pytest.raises(InvalidValue, match="deaths >= 1"):
            Processes(1, deaths=deaths)  # type: ignore[arg-type]
    assert repr(Processes(2, 1.5, deaths=2)) == "Processes(2, seconds=1.5, deaths=2)"


def test_what_cannot_be_shipped_or_vmapped_gets_a_sentence() -> None:
    lock = threading.Lock()
    with pytest.raises(CompositionError, match="cannot be shipped"):
        Processes(1).values(lambda x, key: lock.locked(), XS, Key(0))
    with pytest.raises(CompositionError, match="could not vmap"):
        Batched().values(lambda x, key: float(x[0]), XS, Key(0))
    with pytest.raises(CompositionError, match="could not vmap"):
        minimize(lambda x: float(x @ x), np.ones(2), executor=Batched())
