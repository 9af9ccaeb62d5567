"""The difference table finds the noise of a value and takes smooth change for none."""

import math
import statistics

import pytest
import torch
from torch import Tensor

from descend.errors import MissingAnswer
from descend.estimate import noise_level
from descend.estimate.noise_level import difference_table_noise
from descend.key import Key
from descend.oracle import Function, Residuals


def rosenbrock(xs: Tensor) -> Tensor:
    return (100 * (xs[:, 1:] - xs[:, :-1] ** 2) ** 2 + (1 - xs[:, :-1]) ** 2).sum(1)


@pytest.mark.parametrize("sigma", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_additive_noise_is_found_within_a_factor(sigma: float, size: float) -> None:
    draws = torch.Generator().manual_seed(0)

    def f(xs: Tensor) -> Tensor:
        return rosenbrock(xs / size) + sigma * torch.randn(len(xs), generator=draws, dtype=xs.dtype)

    x = size * torch.tensor([-1.1, 2.5, 0.7], dtype=torch.float64)
    found = [noise_level(Function(f, batched=True), x, Key(i)) for i in range(30)]
    assert 0.5 * sigma < statistics.median(found) < 2 * sigma
    assert sum(0.2 * sigma < one < 5 * sigma for one in found) >= 25


def test_an_exact_objective_has_its_rounding_or_none() -> None:
    x = torch.tensor([-1.1, 2.5, 0.7], dtype=torch.float64)
    value = float(rosenbrock(x[None])[0])
    for i in range(10):
        assert noise_level(Function(rosenbrock, batched=True), x, Key(i)) < 1e-13 * value


def test_noise_that_the_key_decides_is_common_and_does_not_count() -> None:
    def dropout(x: Tensor) -> Tensor:
        return (x * (torch.rand(x.shape) < 0.5)).sum()

    assert noise_level(Function(dropout, batched=False), torch.ones(50, dtype=torch.float64), Key(0)) < 1e-12


def test_a_table_of_pure_noise_is_unbiased_in_every_column() -> None:
    z = torch.randn(4000, 7, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for k in range(1, 7):
        gamma = math.factorial(k) ** 2 / math.factorial(2 * k)
        column = gamma * z.diff(n=k, dim=1).square().mean(1)
        assert float(column.mean()) == pytest.approx(1, abs=3 * float(column.std()) / math.sqrt(4000))
    found = [difference_table_noise(row) for row in z]
    assert statistics.median(one for one in found if math.isfinite(one)) == pytest.approx(1, rel=0.15)


def test_a_polynomial_is_no_noise_and_failures_are_no_answer() -> None:
    assert math.isnan(difference_table_noise(torch.arange(7.0) ** 3))
    assert math.isnan(difference_table_noise(torch.tensor([1.0, math.nan, 2.0, 1.0, 3.0, 1.0, 2.0])))


def test_it_asks_at_most_twenty_one_values() -> None:
    oracle = Function(rosenbrock, batched=True)
    noise_level(oracle, torch.ones(3, dtype=torch.float64), Key(0))
    assert oracle.ledger.total in (7, 14, 21)


def test_it_says_what_it_needs() -> None:
    class Mute(Residuals):
        answers = Residuals.answers & ~(Function.answers)

    with pytest.raises(MissingAnswer, match="noise_level"):
        noise_level(Mute(lambda x: x), torch.ones(2), Key(0))
