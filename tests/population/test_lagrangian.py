"""The augmented Lagrangian: multipliers are those of the problem, the best feasible point is what is recommended."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize as scipy_minimize
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.oracle.encode import Encoded
from descend.population.cma import CMAES
from descend.population.lagrangian import AugmentedLagrangian, penalty
from descend.population.snes import SNES
from descend.run import Evaluations, minimize
from descend.space import Bool, Float, Space, linear
from descend.testing import search
from descend.transform import Adam

T = torch.float64


@pytest.mark.parametrize("contract", search.CONTRACTS, ids=lambda contract: contract.__name__)
def test_under_a_constraint_that_always_holds_it_keeps_the_promises_of_its_method(
    contract: Callable[..., None],
) -> None:
    contract(AugmentedLagrangian(CMAES(), lambda x: -1.0))


def test_under_a_constraint_that_always_holds_it_asks_what_its_method_asks() -> None:
    plain, under = SNES(), AugmentedLagrangian(SNES(), [lambda x: -1.0, lambda x: 0.0])
    x = torch.full((4,), 3.0, dtype=T)
    a, b = plain.init(x, Key(0)), under.init(x, Key(0))
    for _ in range(10):
        a, xs = plain.ask(a)
        b, ys = under.ask(b)
        assert torch.equal(xs, ys)
        a, b = plain.tell(a, xs, xs.square().sum(1)), under.tell(b, ys, ys.square().sum(1))
    assert torch.equal(a.x, b.x)
    assert (a.value, a.loss) == (b.value, b.loss)


def test_multipliers_become_those_of_the_problem() -> None:
    """min |x|^2 with 1 - x_0 <= 0 and 3 - x_1 - x_2 <= 0: by hand x = (1, 3/2, 3/2, 0), multipliers 2 and 3."""
    method = AugmentedLagrangian(CMAES(), [lambda x: 1 - x[0], lambda x: 3 - x[1] - x[2]])
    state = method.init(torch.full((4,), 3.0, dtype=T), Key(1))
    while not state.done and state.t < 300:
        state, xs = method.ask(state)
        state = method.tell(state, xs, xs.square().sum(1))
    torch.testing.assert_close(state.gamma, torch.tensor([2.0, 3.0], dtype=T), rtol=1e-3, atol=0)
    torch.testing.assert_close(state.x, torch.tensor([1.0, 1.5, 1.5, 0.0], dtype=T), rtol=0, atol=1e-3)
    assert state.value == float(state.x.square().sum())
    assert 0 <= state.value - 5.5 < 1e-5


def test_the_penalty_is_smooth_and_its_slope_is_the_multiplier() -> None:
    gamma, omega = torch.tensor([3.0], dtype=T), torch.tensor([2.0], dtype=T)
    g = torch.tensor([[-9.0], [-1.5], [0.0], [1.0]], dtype=T, requires_grad=True)
    found = penalty(g, gamma, omega)
    assert found.tolist() == [-2.25, -2.25, 0.0, 4.0]
    (slope,) = torch.autograd.grad(found.sum(), g)
    assert slope[:, 0].tolist() == [0.0, 0.0, 3.0, 5.0]  # max(0, gamma + omega g)
    none = torch.zeros(1, dtype=T)
    assert penalty(g.detach(), none, none).tolist() == [0.0] * 4


def test_an_infeasible_start_is_not_recommended_however_low_it_is() -> None:
    method = AugmentedLagrangian(SNES(popsize=20), lambda x: 1 - x[0])
    start = torch.tensor([0.9, 0.0], dtype=T)
    result = minimize(lambda x: x[0], start, method=method, until=Evaluations(28), key=0)
    assert result.x[0] >= 1
    assert result.fun == float(result.x[0])


def test_it_agrees_with_an_active_set_method_on_five_constraints() -> None:
    a = Key(2).normal(5, 10, like=torch.zeros(1, dtype=T))
    e = 10 ** torch.linspace(0, 3, 10, dtype=T)
    exact = scipy_minimize(
        lambda x: (e.numpy() * x**2).sum(),
        np.ones(10),
        constraints=[{"type": "ineq", "fun": lambda x: a.numpy() @ x - 1}],
        tol=1e-12,
        options={"maxiter": 1000},
    )
    constraints = [lambda x, row=row: 1 - row @ x for row in a]
    result = minimize(
        lambda x: (e * x**2).sum(),
        torch.full((10,), 3.0, dtype=T),
        method=AugmentedLagrangian(CMAES(), constraints),
        until=Evaluations(8000),
        key=0,
    )
    assert result.fun == pytest.approx(exact.fun, rel=1e-5)
    assert max(float(g(result.x)) for g in constraints) <= 0
    assert result.fun == float((e * result.x**2).sum())


def test_a_thin_region_is_found_though_the_first_penalty_is_far_too_small() -> None:
    e = 10 ** torch.linspace(0, 4, 6, dtype=T)
    slope = torch.arange(1.0, 7.0, dtype=T)
    result = minimize(
        lambda x: slope @ x,
        torch.full((6,), 0.5, dtype=T),
        method=AugmentedLagrangian(CMAES(), lambda x: (e * x**2).sum() - 1),
        until=Evaluations(5000),
        key=0,
    )
    assert float((e * result.x**2).sum()) <= 1
    assert result.fun == pytest.approx(-float((slope**2 / e).sum().sqrt()), rel=1e-4)


def test_while_nothing_is_feasible_the_least_violation_is_recommended() -> None:
    method = AugmentedLagrangian(SNES(), lambda x: x[0])  # x_0 <= 0
    state = method.init(torch.tensor([5.0, 0.0], dtype=T), Key(0))
    told = torch.tensor([[3.0, 1.0], [2.0, 9.0], [4.0, 0.0]], dtype=T)
    state = method.tell(state, told, torch.tensor([1.0, 7.0, 0.0], dtype=T), torch.full((3,), -1))
    assert state.x.tolist() == [2.0, 9.0]
    assert math.isnan(state.value)
    assert math.isnan(state.loss)
    assert state.violation == 2.0
    fine = torch.tensor([[-1.0, 0.0], [-1.0, 1.0]], dtype=T)
    state = method.tell(state, fine, torch.tensor([8.0, math.nan], dtype=T), torch.full((2,), -1))
    assert (state.x.tolist(), state.value, state.loss, state.violation) == ([-1.0, 0.0], 8.0, 8.0, 0.0)
    state = method.tell(state, told, torch.tensor([1.0, 7.0, 0.0], dtype=T), torch.full((3,), -1))
    assert (state.x.tolist(), state.value, state.rejected) == ([-1.0, 0.0], 8.0, 0)


def test_typed_points() -> None:
    space = Space(a=Float(0, 4), b=Float(0, 4), on=Bool())

    def cost(point: dict[str, Any]) -> float:
        return (point["a"] - 3) ** 2 + (point["b"] - 3) ** 2 + (0 if point["on"] else 1)

    method = AugmentedLagrangian(CMAES(), lambda p: p["a"] + p["b"] - 4, space)
    result = minimize(Encoded(cost, space), space, method=method, until=Evaluations(2000), key=0)
    assert result.x["on"]
    assert result.x["a"] == pytest.approx(2, abs=0.01)
    assert result.x["a"] + result.x["b"] <= 4
    assert result.fun == cost(result.x) == pytest.approx(2, abs=0.01)


def test_wrong_parts_get_a_sentence() -> None:
    def never(x: Tensor) -> float:
        return -1.0

    with pytest.raises(CompositionError, match="AugmentedLagrangian needs a method that asks for values"):
        AugmentedLagrangian(Adam(), never)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="there are no constraints"):
        AugmentedLagrangian(SNES(), [])
    with pytest.raises(InvalidValue, match="weighs 'c', but there are a"):
        AugmentedLagrangian(SNES(), linear({"c": 1}, upper=0), Space(a=Float(0, 1)))
