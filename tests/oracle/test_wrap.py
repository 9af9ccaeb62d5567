"""Oracles around an oracle: each answers what it can get right, costs what it says, and refuses the rest in words."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from descend.direction import Coordinate, Dense
from descend.errors import InvalidValue, MissingAnswer
from descend.estimate.finite_difference import FiniteDifference
from descend.estimate.random_directions import SPSA
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Oracle, Residuals
from descend.oracle.bounded import Bounded
from descend.oracle.wrap import Averaged, Cached, Clipped, Negated, Penalized, Wrapped
from descend.run import Evaluations, minimize
from descend.run.record import Watched

X = torch.tensor([0.5, -1.5, 2.0], dtype=torch.float64)
KEY = Key(0)
VALUES = Asks.VALUE | Asks.VALUES
LINEAR = VALUES | Asks.GRADIENT | Asks.JVP | Asks.HVP
EVERYTHING = LINEAR | Asks.RESIDUALS | Asks.JACOBIAN


def quartic(x: torch.Tensor) -> torch.Tensor:
    return (x**4).sum() + x[0] * x[1]


def forward(x: torch.Tensor) -> torch.Tensor:
    return torch.stack([x[0] * x[1], x[2] ** 2, x[0] - 1, x.sum()])


def ask(oracle: Oracle, kind: Asks, x: torch.Tensor = X, key: Key = KEY) -> Any:
    """The oracle's answer to a kind of question, as numbers."""
    questions: dict[Asks, Callable[[], Any]] = {
        Asks.VALUE: lambda: torch.tensor(oracle.value(x, key)),
        Asks.VALUES: lambda: oracle.values(torch.stack([x, 2 * x]), key),
        Asks.GRADIENT: lambda: oracle.gradient(x, key).gradient,
        Asks.JVP: lambda: oracle.jvp(x, Dense(torch.eye(3, dtype=x.dtype)), key),
        Asks.HVP: lambda: oracle.hvp(x, torch.ones_like(x), key),
        Asks.RESIDUALS: lambda: oracle.residuals(x, key),
        Asks.JACOBIAN: lambda: oracle.jacobian(x, key),
        Asks.EXAMPLES: lambda: oracle.examples(x, Dense(torch.eye(3, dtype=x.dtype)), torch.ones(3, 1), key),
    }
    return questions[kind]()


BOX = (torch.full((3,), -5.0, dtype=torch.float64), torch.full((3,), 5.0, dtype=torch.float64))
WRAPPERS = [
    (Wrapped, EVERYTHING, 1),
    (Negated, LINEAR, -1),
    (lambda o: Averaged(o, 3), LINEAR, 1),
    (lambda o: Clipped(o, -1e9, 1e9), VALUES, 1),
    (lambda o: Penalized(o, lambda x: -1.0, 10.0), VALUES, 1),
    (Cached, EVERYTHING, 1),
    (lambda o: Bounded(o, *BOX), EVERYTHING, 1),
    (Watched, EVERYTHING, 1),
]


@pytest.mark.parametrize(("wrap", "answers", "sign"), WRAPPERS)
def test_a_wrapper_answers_what_it_declares_and_refuses_the_rest(
    wrap: Callable[[Oracle], Oracle], answers: Asks, sign: int
) -> None:
    inside = Residuals(forward)
    oracle = wrap(inside)
    assert oracle.answers == answers
    for kind in Asks:
        if kind in answers:
            assert torch.allclose(ask(oracle, kind), sign * ask(inside, kind), rtol=1e-14)
        else:
            with pytest.raises(MissingAnswer, match=kind.words()):
                ask(oracle, kind)


@pytest.mark.parametrize(("wrap", "answers", "sign"), WRAPPERS)
def test_a_wrapper_hides_what_the_oracle_inside_cannot_answer(
    wrap: Callable[[Oracle], Oracle], answers: Asks, sign: int
) -> None:
    oracle = wrap(Function(quartic))
    assert oracle.answers == VALUES
    with pytest.raises(MissingAnswer):
        oracle.gradient(X, KEY)


@pytest.mark.parametrize(("wrap", "answers", "sign"), WRAPPERS)
def test_a_wrapper_shares_ledger_and_steps_and_may_be_estimated(
    wrap: Callable[[Oracle], Oracle], answers: Asks, sign: int
) -> None:
    inside = Function(quartic)
    oracle = wrap(inside)
    assert oracle.ledger is inside.ledger
    assert oracle.at(3) is oracle
    exact = Differentiable(quartic).gradient(X, KEY).gradient
    slope = (oracle | FiniteDifference(radius=1e-5)).gradient(X, KEY)
    assert isinstance(slope.gradient, torch.Tensor)
    assert torch.allclose(slope.gradient, sign * exact, rtol=1e-5)
    assert inside.ledger.total == oracle.cost * 6
    moved = wrap(inside | SPSA(radius=lambda t: 0.1 / (t + 1))).at(4)
    assert "radius=0.02" in repr(moved)


def test_negated_turns_slopes_round_with_their_values() -> None:
    inside = Differentiable(quartic)
    slope, negated = inside.gradient(X, KEY), Negated(inside).gradient(X, KEY)
    assert negated.value == -slope.value
    lazy = Negated(Function(quartic) | SPSA(radius=1e-4)).gradient(X, KEY)
    direct = (Function(quartic) | SPSA(radius=1e-4)).gradient(X, KEY)
    assert torch.equal(lazy.gradient.dense(X), -direct.gradient.dense(X))  # type: ignore[union-attr]
    assert lazy.nearby == -direct.nearby
    top = minimize(Negated(Function(lambda x: 5 - ((x - 2) ** 2).sum())), torch.zeros(2, dtype=torch.float64))
    assert top.fun == pytest.approx(-5)


def test_averaging_n_answers_divides_the_noise_by_root_n() -> None:
    """400 means of 16: their standard deviation is 1/4 within 3 standard errors, 3 * 0.25 / sqrt(800) = 0.027."""
    oracle = Averaged(Function(lambda x: torch.randn(())), 16)
    values = torch.tensor([oracle.value(X, Key(i)) for i in range(400)])
    assert abs(float(values.std()) - 0.25) < 0.027
    assert abs(float(values.mean())) < 3 * 0.25 / 20
    assert oracle.ledger.total == 16 * 400
    assert oracle.cost == 16


def test_averaging_keeps_common_random_numbers() -> None:
    oracle = Averaged(Function(lambda x: x.sum() + torch.randn(())), 4)
    a, b = oracle.value(X, KEY), oracle.value(X + 1, KEY)
    assert b - a == pytest.approx(3)
    assert oracle.value(X, Key(1)) != a
    assert oracle.values(torch.stack([X, X + 1]), KEY).tolist() == pytest.approx([a, b])


def test_averaged_gradients_are_means() -> None:
    noisy = Differentiable(lambda x: (x * torch.randn(3, dtype=torch.float64)).sum())
    slope = Averaged(noisy, 5).gradient(X, KEY)
    parts = [noisy.gradient(X, KEY.fold("averaged", i)) for i in range(5)]
    mean = torch.stack([p.gradient for p in parts if isinstance(p.gradient, torch.Tensor)]).mean(0)
    assert torch.allclose(slope.gradient, mean)  # type: ignore[arg-type]
    assert slope.value == pytest.approx(sum(p.value for p in parts) / 5)


def test_the_budget_knows_what_a_mean_costs() -> None:
    calls = 0

    def f(x: np.ndarray) -> float:
        nonlocal calls
        calls += 1
        return float(x @ x)

    for budget in (4, 5, 8, 12, 30, 101):
        calls = 0
        oracle = Averaged(Function(f, takes="numpy"), 4)
        result = minimize(oracle, np.ones(2), until=Evaluations(budget), estimator=SPSA(), key=0)
        assert calls == result.total <= budget
        assert result.fun == float(result.x @ result.x)


def test_clipped_values_keep_failures() -> None:
    oracle = Clipped(Function(lambda x: x[0] if x[0] < 1e3 else math.nan, batched=False), low=-1.0, high=2.0)
    xs = torch.tensor([[-5.0], [0.5], [7.0], [2e3]])
    assert oracle.values(xs, KEY)[:3].tolist() == [-1.0, 0.5, 2.0]
    assert oracle.values(xs, KEY)[3].isnan()
    assert [oracle.value(x, KEY) for x in xs[:3]] == [-1.0, 0.5, 2.0]
    assert math.isnan(oracle.value(xs[3], KEY))


@pytest.mark.parametrize(
    "g",
    [
        lambda x: 1 - x,
        lambda x: [1 - float(x[0]), 1 - float(x[1])],
        lambda x: np.maximum(1 - x.numpy(), -7),
    ],
)
def test_a_penalty_pushes_the_minimum_into_the_feasible_set(g: Any) -> None:
    """min x'x with x >= 1: the penalty method's minimum is w / (1 + w) in each coordinate."""
    oracle = Penalized(Function(lambda x: (x**2).sum()), g, weight=99.0)
    assert oracle.value(torch.tensor([0.5, 3.0]), KEY) == pytest.approx(9.25 + 99 / 4)
    result = minimize(oracle, torch.zeros(2, dtype=torch.float64))
    assert torch.allclose(result.x, torch.full((2,), 0.99, dtype=torch.float64), atol=1e-6)


# The cache


def test_a_point_is_asked_once_however_it_is_asked() -> None:
    oracle = Cached(Function(quartic, batched=False))
    xs = torch.stack([X, 2 * X, X, 3 * X])
    first = oracle.values(xs, KEY)
    assert oracle.ledger.total == 3
    assert oracle.value(2 * X, Key(9)) == first[1]
    oracle.along(X, Coordinate(torch.tensor([0]), 3), torch.tensor([[0.0]], dtype=torch.float64), KEY)
    assert oracle.ledger.total == 3
    assert torch.equal(first, Function(quartic, batched=False).values(xs, KEY))


def test_points_that_differ_in_one_bit_or_in_dtype_are_different_points() -> None:
    oracle = Cached(Function(lambda x: x.double().sum()))
    for x in (torch.ones(2), torch.ones(2, dtype=torch.float64), torch.nextafter(torch.ones(2), torch.zeros(2))):
        oracle.value(x, KEY)
    oracle.value(torch.zeros(2), KEY)
    oracle.value(-torch.zeros(2), KEY)
    assert oracle.ledger.total == 5
    for dtype in (torch.bfloat16, torch.float16):
        assert oracle.value(torch.zeros(2, dtype=dtype), KEY) == 0
    assert oracle.ledger.total == 7


def test_the_cache_forgets_what_was_not_asked_for_longest() -> None:
    oracle = Cached(Function(quartic), size=2)
    for scale in (1, 2, 1, 3, 1):
        oracle.value(scale * X, KEY)
    assert oracle.ledger.total == 3
    oracle.value(2 * X, KEY)
    assert oracle.ledger.total == 4
    many = oracle.values(torch.stack([i * X for i in range(10)]), KEY)  # more than it can keep at once
    assert many[5] == float(quartic(5 * X))


def test_a_failed_value_is_asked_again() -> None:
    answers = iter([1.0, math.nan, 5.0])
    oracle = Cached(Function(lambda x: next(answers)))
    oracle.value(X, KEY)
    assert math.isnan(oracle.value(2 * X, KEY))
    assert oracle.value(2 * X, KEY) == 5.0


def test_a_method_that_is_stuck_on_a_cache_still_ends() -> None:
    oracle = Cached(Function(lambda x: torch.tensor(1.0)))
    result = minimize(oracle, torch.zeros(2), estimator=FiniteDifference(), until=Evaluations(100))
    assert result.total < 10
    assert "evaluated nothing" in result.reason


@pytest.mark.parametrize(
    "make",
    [
        lambda o: Averaged(o, 0),
        lambda o: Averaged(o, 2.0),
        lambda o: Clipped(o, 1.0, 1.0),
        lambda o: Clipped(o, low=math.nan),
        lambda o: Penalized(o, lambda x: x, -1.0),
        lambda o: Penalized(o, lambda x: x, math.inf),
        lambda o: Penalized(o, 3.0, 1.0),
        lambda o: Cached(o, 0),
    ],
)
def test_wrong_numbers_get_a_sentence(make: Any) -> None:
    with pytest.raises(InvalidValue, match="needs"):
        make(Function(quartic))
