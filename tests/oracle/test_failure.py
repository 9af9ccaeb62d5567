"""One policy object says what a failed evaluation does, the same for every oracle and every way of failing."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from descend.errors import BudgetExhausted, DescendError, EvaluationFailed, InvalidValue, MissingAnswer
from descend.key import Key
from descend.layout import Parameters
from descend.oracle import Closure, Differentiable, Function, Ledger, OnFailure, Oracle, Penalize, Raise, Reject, Retry
from descend.oracle.failure import evaluate

X = torch.tensor([1.0, 2.0])
KEY = Key(0)


class Script:
    """An objective that follows a script: numbers are returned, exceptions raised, and then it is the first number."""

    def __init__(self, *script: float | BaseException) -> None:
        self.script, self.calls = script, 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        answer = self.script[self.calls - 1] if self.calls <= len(self.script) else 1.0
        if isinstance(answer, BaseException):
            raise answer
        return answer + 0 * x.sum()


Make = Callable[[Script, OnFailure | None], Oracle]


def _closure(f: Script, policy: OnFailure | None) -> Oracle:
    p = X.clone()
    return Closure(Parameters([p]), lambda: f(p), on_failure=policy)


MAKES: list[Make] = [
    lambda f, policy: Function(f, on_failure=policy),
    lambda f, policy: Differentiable(f, on_failure=policy),
    _closure,
]
KINDS = [math.nan, math.inf, -math.inf, ValueError("no mesh"), EvaluationFailed("no mesh")]


@pytest.fixture(params=MAKES, ids=["function", "differentiable", "closure"])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


def warned(kind: float | Exception) -> Any:
    """Whether this failure is reported by a warning: exceptions are, the first time."""
    return pytest.warns(RuntimeWarning, match="no mesh") if isinstance(kind, Exception) else warnings.catch_warnings()


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_reject_answers_nan_and_counts(make: Make, kind: float | Exception) -> None:
    oracle = make(Script(1.0, kind, 2.0), None)
    assert oracle.value(X, KEY) == 1.0
    with warned(kind):
        assert math.isnan(oracle.value(X, KEY))
    assert oracle.value(X, KEY) == 2.0
    assert (oracle.ledger.total, oracle.ledger.failures) == (3, 1)
    assert ("no mesh" if isinstance(kind, Exception) else repr(kind)) in oracle.ledger.last_failure


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_retry_asks_again_and_counts_every_attempt(make: Make, kind: float | Exception) -> None:
    oracle = make(Script(1.0, kind, kind, 3.0, kind, kind, kind, 4.0), Retry(3))
    assert oracle.value(X, KEY) == 1.0
    with warned(kind):
        assert oracle.value(X, KEY) == 3.0
    assert math.isnan(oracle.value(X, KEY))
    assert oracle.value(X, KEY) == 4.0
    assert (oracle.ledger.total, oracle.ledger.failures) == (8, 5)


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_penalize_answers_its_number_even_at_first(make: Make, kind: float | Exception) -> None:
    oracle = make(Script(kind), Penalize(1e6))
    with warned(kind):
        assert oracle.value(X, KEY) == 1e6
    assert oracle.value(X, KEY) == 1.0
    assert oracle.ledger.failures == 1


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_raise_raises(make: Make, kind: float | Exception) -> None:
    oracle = make(Script(1.0, kind), Raise())
    oracle.value(X, KEY)
    with pytest.raises(type(kind) if isinstance(kind, Exception) else EvaluationFailed, match=r"no mesh|nan|inf"):
        oracle.value(X, KEY)
    assert oracle.ledger.failures == 1


def test_the_very_first_exception_is_a_mistake_in_the_code(make: Make) -> None:
    for policy in (None, Raise()):
        with pytest.raises(ValueError, match="no mesh"):
            make(Script(ValueError("no mesh")), policy).value(X, KEY)
    assert math.isnan(make(Script(math.nan), None).value(X, KEY))  # but a NaN may be a bad start
    with pytest.warns(RuntimeWarning, match="no mesh"):  # and whoever asks again means to
        assert make(Script(ValueError("no mesh"), 5.0), Retry(2)).value(X, KEY) == 5.0
    with pytest.raises(ValueError, match="no mesh"), pytest.warns(RuntimeWarning):
        make(Script(*[ValueError("no mesh")] * 2), Retry(2)).value(X, KEY)


def test_only_the_first_exception_is_reported() -> None:
    oracle = Function(Script(1.0, *[ValueError("no mesh")] * 3))
    with pytest.warns(RuntimeWarning, match="no mesh") as seen:
        assert [math.isnan(oracle.value(X, KEY)) for _ in range(5)] == [False, True, True, True, False]
    assert len(seen) == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("policy", [None, Retry(3), Penalize(1.0)], ids=repr)
def test_interrupts_are_never_failures(make: Make, stop: BaseException, policy: OnFailure | None) -> None:
    f = Script(1.0, stop)
    oracle = make(f, policy)
    oracle.value(X, KEY)
    with pytest.raises(type(stop)):
        oracle.value(X, KEY)
    assert f.calls == 2
    assert (oracle.ledger.total, oracle.ledger.failures) == (2, 0)


@pytest.mark.parametrize("mistake", [MissingAnswer("x"), BudgetExhausted("x"), DescendError("x")], ids=repr)
def test_mistakes_in_the_question_are_no_failures_either(mistake: Exception) -> None:
    oracle = Function(Script(1.0, mistake), on_failure=Penalize(1.0))
    oracle.value(X, KEY)
    with pytest.raises(type(mistake)):
        oracle.value(X, KEY)
    assert oracle.ledger.failures == 0


def test_a_failed_gradient_is_not_finite() -> None:
    oracle = Differentiable(Script(1.0, ValueError("no mesh"), math.nan))
    oracle.value(X, KEY)
    with pytest.warns(RuntimeWarning, match="no mesh"):
        assert math.isnan(oracle.gradient(X, KEY).value)
    assert math.isnan(oracle.gradient(X, KEY).value)
    assert oracle.ledger.counts == {"value": 1, "gradient": 2}
    assert oracle.ledger.failures == 2


def test_retries_stop_at_the_budget() -> None:
    ledger = Ledger(limit=2)
    calls: list[Key] = []

    def call(key: Key) -> float:
        calls.append(key)
        return math.nan

    with pytest.raises(BudgetExhausted):
        evaluate(call, KEY, ledger, Retry(5))
    assert len(calls) == 2
    assert len(set(calls)) == 2
    assert ledger.failures == 2


@pytest.mark.parametrize("attempts", [0, 1, -3])
def test_retry_needs_a_second_attempt(attempts: int) -> None:
    with pytest.raises(InvalidValue, match="write Reject"):
        Retry(attempts)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_penalty_is_a_finite_number(value: float) -> None:
    with pytest.raises(InvalidValue, match="write Reject"):
        Penalize(value)


def test_policies_are_values() -> None:
    assert Retry(3) == Retry()
    assert repr(Reject()) == "Reject(attempts=1)"
