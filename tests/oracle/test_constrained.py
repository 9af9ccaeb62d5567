"""Feasible points first: the rules of Deb as one number, and no evaluation where a constraint is broken."""

import itertools
import math
from typing import Any

import pytest
import torch

from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.oracle import Function
from descend.oracle.constrained import FeasibleFirst
from descend.oracle.core import Asks
from descend.oracle.encode import Encoded
from descend.population.cma import CMAES
from descend.run import Evaluations, minimize
from descend.space import Choice, Constraint, Float, Space, linear

KEY = Key(0)
T = torch.float64


def outside(x: torch.Tensor) -> torch.Tensor:
    return x[0] - 1


def test_the_rules() -> None:
    """Feasible by f, then infeasible by the sum of what is exceeded, whatever f is there."""
    seen: list[list[float]] = []

    def f(x: torch.Tensor) -> float:
        seen.append(x.tolist())
        return float(x[1])

    oracle = FeasibleFirst(Function(f, batched=False), [outside, Constraint(lambda x: -x[0], upper=2.0)])
    inside = [[0.0, 1e200], [1.0, -1e200], [-2.0, 3.0]]
    broken = [[1 + 2.0**k, -(10.0**200)] for k in (-52, -40, -1, 0, 10, 60, 100, 1000)]
    xs = torch.tensor([*inside, *broken, [-4.0, 0.0], [math.nan, 0.0]], dtype=T)
    values = oracle.values(xs, KEY)
    assert values[:3].tolist() == [1e200, -1e200, 3.0]
    assert seen == inside
    assert oracle.ledger.total == 3
    worse = values[3:-2].tolist()
    assert all(1e300 < a < b < math.inf for a, b in itertools.pairwise(worse))
    assert worse[3] < values[-2] < worse[4]  # an excess of 2 lies between 1 and 1024
    assert values[-1] == 3e300  # a constraint that cannot be told is broken most of all
    assert [oracle.value(x, KEY) for x in xs] == values.tolist()


def test_it_answers_values_only() -> None:
    assert FeasibleFirst(Function(outside), outside).answers == Asks.VALUE | Asks.VALUES


def test_a_failure_inside_stays_a_failure() -> None:
    oracle = FeasibleFirst(Function(lambda x: x.sum() * math.nan, batched=False), outside)
    assert math.isnan(oracle.value(torch.zeros(2), KEY))


def test_constraints_of_typed_points() -> None:
    space = Space(a=Float(0, 10), b=Float(0, 10), kind=Choice("free", "taxed"))

    def cost(point: dict[str, Any]) -> float:
        return -(2 * point["a"] + point["b"]) + (5 if point["kind"] == "taxed" else 0)

    constraints = [*linear({"a": 1, "b": 1}, upper=4), lambda point: point["a"] ** 2 - 9]
    result = minimize(
        FeasibleFirst(Encoded(cost, space), constraints, space), space, method=CMAES(), until=Evaluations(1500), key=0
    )
    assert result.fun == pytest.approx(-7, abs=1e-3)  # a = 3, b = 1
    assert result.x["kind"] == "free"
    assert result.x["a"] + result.x["b"] <= 4


def test_a_sickle_between_two_circles() -> None:
    """Problem g06 of Floudas and Pardalos (1990), whose feasible set is thin and lies far from the start."""
    oracle = FeasibleFirst(
        Function(lambda x: (x[0] - 10) ** 3 + (x[1] - 20) ** 3),
        [lambda x: 100 - (x[0] - 5) ** 2 - (x[1] - 5) ** 2, lambda x: (x[0] - 6) ** 2 + (x[1] - 5) ** 2 - 82.81],
    )
    bounds = (torch.tensor([13.0, 0.0]), torch.tensor([100.0, 100.0]))
    start = torch.tensor([50.0, 50.0], dtype=T)
    result = minimize(oracle, start, method=CMAES(), bounds=bounds, until=Evaluations(1500), key=0)
    assert result.fun == pytest.approx(-6961.81388, abs=1e-3)


@pytest.mark.parametrize(
    ("constraints", "sentence"), [([], "there are no constraints"), (3, "a function of a point, got 3")]
)
def test_wrong_constraints_get_a_sentence(constraints: Any, sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        FeasibleFirst(Function(outside), constraints)


def test_a_function_in_place_of_an_oracle_and_unknown_weights_get_a_sentence() -> None:
    with pytest.raises(CompositionError, match=r"write FeasibleFirst\(Encoded\(f, space\)"):
        FeasibleFirst(outside, outside)  # type: ignore[arg-type]
    space = Space(a=Float(0, 1), deep=Space(b=Float(0, 1)))
    oracle = Encoded(lambda p: p["a"], space)
    assert FeasibleFirst(oracle, linear({"a": 1, "deep.b": 1}, upper=0), space).space is space
    with pytest.raises(InvalidValue, match=r"weighs 'c', but there are a, deep\.b"):
        FeasibleFirst(oracle, linear({"a": 1, "c": 1}, upper=0), space)
