"""minimize with methods that ask for values only: over spaces, within bounds, under noise."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.estimate import FiniteDifference
from descend.key import Key
from descend.oracle import Function
from descend.population.cma import CMAES
from descend.population.local_search import LocalSearch
from descend.population.pgpe import PGPE
from descend.population.racing import Racing
from descend.population.snes import SNES
from descend.population.uncertainty import Uncertainty
from descend.run import Evaluations, Serial, minimize
from descend.space import Choice, Float, Int, Permutation, Space, When, as_space

SPACE = Space(a=Float(0, 1), n=Int(1, 64, log=True), kind=Choice("x", "y"), slope=When("kind", "y", Float(-1, 1)))


def cost(point: dict[str, Any]) -> float:
    return (point["a"] - 0.3) ** 2 + abs(math.log(point["n"] / 17)) + (point.get("slope", 2.0) - 0.5) ** 2


def test_a_space_is_searched_and_the_result_is_a_point_of_it() -> None:
    seen = []

    def f(point: dict[str, Any]) -> float:
        seen.append(point)
        return cost(point)

    result = minimize(f, SPACE, method=CMAES(popsize=20), until=Evaluations(1500), key=0)
    assert all(point in SPACE for point in seen)
    assert result.x in seen
    assert result.fun == cost(result.x) < 1e-3
    assert (result.x["n"], result.x["kind"]) == (17, "y")
    assert result.total == len(seen) <= 1500


def test_a_single_parameter_is_a_space_too() -> None:
    result = minimize(lambda n: (n - 12) ** 2, Int(-50, 50), method=CMAES(), until=Evaluations(200), key=0)
    assert result.x == 12
    assert type(result.x) is int


def test_a_run_begins_where_it_is_told_and_steps_show_points() -> None:
    start = {"a": 0.9, "n": 2, "kind": "y", "slope": -1.0}
    first, shown = [], []
    minimize(
        lambda p: first.append(p) or cost(p), SPACE, start=start, method=CMAES(sigma=1e-9), until=Evaluations(30),
        key=0, callback=lambda progress: shown.append(progress.x),
    )  # fmt: skip
    assert first[0]["a"] == pytest.approx(0.9, abs=1e-6)
    assert all(point in SPACE for point in shown)


def test_what_says_twice_where_points_lie_is_refused() -> None:
    with pytest.raises(CompositionError, match="leave bounds out"):
        minimize(cost, SPACE, bounds=(0, 1))
    with pytest.raises(InvalidValue, match=r"a must lie in \[0.0, 1.0\], got 3"):
        minimize(cost, SPACE, start={"a": 3, "n": 2, "kind": "x"})
    with pytest.raises(CompositionError, match=r"asks for values only, so FiniteDifference\(.* would be ignored"):
        minimize(cost, SPACE, estimator=FiniteDifference(), method=CMAES())
    with pytest.raises(InvalidValue, match="without one that is x0"):
        minimize(cost, [0.0], start=[1.0])


def test_estimators_work_in_a_space_of_real_parameters() -> None:
    space = Space(a=Float(-5, 5), b=Float(0.01, 100, log=True))
    result = minimize(
        lambda p: (p["a"] - 4) ** 2 + math.log(p["b"] / 3) ** 2, space, estimator=FiniteDifference("central"), key=0
    )
    assert result.x["a"] == pytest.approx(4, abs=1e-4)
    assert result.x["b"] == pytest.approx(3, rel=1e-4)


def test_every_point_lies_within_bounds_and_the_best_one_at_their_edge_is_found() -> None:
    seen = []

    def f(x: np.ndarray) -> float:
        seen.append(x.copy())
        return float(((x - 3) ** 2).sum())

    result = minimize(f, [0.0, 1.0], bounds=(-1, 2.5), method=CMAES(), until=Evaluations(1500), key=0)
    assert all((x >= -1).all() and (x <= 2.5).all() for x in seen)
    assert result.fun == pytest.approx(0.5, abs=1e-3)


def test_executors_lead_to_the_same_points() -> None:
    results = [
        minimize(cost, SPACE, method=CMAES(), until=Evaluations(300), key=3, executor=executor)
        for executor in (None, Serial())
    ]
    assert results[0].x == results[1].x


def bowl(x: Tensor) -> float:
    return float((torch.arange(1, 6) * (x - 1).square()).sum())


def noisy(x: Tensor, key: Key, level: float = 1.0) -> float:
    """With normal noise, which each point has for itself."""
    place = [int(value * 1e9) % 1_000_003 for value in x.tolist()]
    return bowl(x) + level * float(key.fold(*place).normal(1, like=x))


def _under_noise(method: Any) -> list[float]:
    """The logarithm of what f really is at the results, for two levels of noise and 8 keys."""
    found = []
    for level in (0.3, 3.0):
        for key in range(8):
            oracle = Function(lambda x, k, level=level: noisy(x, k, level), keyed=True, batched=False)
            start = torch.zeros(5, dtype=torch.float64)
            found.append(math.log(bowl(minimize(oracle, start, method=method, until=Evaluations(3000), key=key).x)))
    return found


def test_racing_finds_better_points_under_noise() -> None:
    """A plain method is led about, and reports the luckiest point that it met."""
    plain, racing = _under_noise(CMAES()), _under_noise(Racing(CMAES()))
    assert sum(racing) / 16 < sum(plain) / 16 + math.log(0.8), (plain, racing)


def test_a_method_that_knows_of_noise_recommends_by_mean() -> None:
    method, last = Racing(CMAES()), []
    oracle = Function(noisy, keyed=True, batched=False)
    result = minimize(
        oracle, torch.zeros(5, dtype=torch.float64), method=method, until=Evaluations(800), key=0,
        callback=lambda progress: last.append((progress.x, progress.value)),
    )  # fmt: skip
    assert torch.equal(result.x, result.last_x)
    assert min(value for _, value in last if not math.isnan(value)) < 0.0  # a lucky mean, in the beginning or later
    assert torch.equal(result.x, last[-1][0])


@pytest.mark.parametrize(
    "method", [SNES(noisy=True), PGPE(noisy=True), CMAES(noise=Uncertainty())], ids=["SNES", "PGPE", "CMAES"]
)
def test_told_of_noise_a_method_returns_its_last_mean_and_not_the_luckiest_one(method: Any) -> None:
    for key in range(4):
        means = []
        result = minimize(
            Function(noisy, keyed=True, batched=False), torch.zeros(5, dtype=torch.float64), method=method,
            until=Evaluations(900), key=key, callback=lambda progress, kept=means: kept.append(progress.x),
        )  # fmt: skip
        assert torch.equal(result.x, means[-1])
        assert bowl(result.x) < bowl(torch.zeros(5)) / 2


def test_a_search_under_noise_does_not_take_what_it_cannot_know_for_a_plateau() -> None:
    """Where no exact value is known, what counts is the mean loss near the recommended point, and that falls."""
    far = torch.full((5,), 30.0, dtype=torch.float64)
    result = minimize(Function(noisy, keyed=True, batched=False), far, key=0)
    assert result.total > 1000
    assert bowl(result.x) < 10.0


def test_an_oracle_of_coordinates_is_searched_over_the_space_that_names_them() -> None:
    space = as_space(Permutation(6))
    oracle = Function(lambda keys: (keys.argsort(1) - torch.arange(6)).abs().sum(1).double(), batched=True)
    result = minimize(oracle, space, method=LocalSearch(), start=[5, 4, 3, 2, 1, 0], until=Evaluations(3000), key=0)
    assert result.x == list(range(6))
