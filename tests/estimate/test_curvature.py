"""Probes weighed by their curvature (1.5-SPSA): the formula, its mean, its cost, and a problem where it helps."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from descend.direction import Combination
from descend.errors import InvalidValue
from descend.estimate import SPSA, RandomDirections
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Function

DOUBLE = torch.zeros((), dtype=torch.float64)
A = torch.tensor([[5.0, 2.0, -1.0], [2.0, 3.0, 0.5], [-1.0, 0.5, 2.0]], dtype=torch.float64)
X = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)


def quadratic(x: Tensor) -> Tensor:
    return 0.5 * x @ A @ x


def estimate(estimator: RandomDirections, f: Any, x: Tensor, key: Key) -> tuple[list[float], Any, Any]:
    oracle = Function(f, batched=False)
    slope = (oracle | estimator).gradient(x, key)
    assert isinstance(slope.gradient, Combination)
    return slope.gradient.terms[0][0], slope, oracle.ledger.counts


def test_the_weights_are_those_of_the_formula() -> None:
    estimator = SPSA(0.5, 4, curvature=0.3)
    weights, slope, counts = estimate(estimator, quadratic, X, Key(1))
    z = estimator.directions(X, Key(1)).dense(DOUBLE)
    slopes, c = z @ (A @ X), ((z @ A) * z).sum(1)  # exact for a quadratic
    assert float(c.min()) > 1
    expected = slopes / 4 / c.abs() ** 0.3
    assert torch.allclose(torch.tensor(weights, dtype=torch.float64), expected, atol=1e-9)
    assert slope.value == pytest.approx(float(quadratic(X)))
    assert counts == {"value": 9}  # the centre once


def test_a_weak_curvature_changes_nothing() -> None:
    plain, _, _ = estimate(SPSA(0.5, 4), lambda x: quadratic(x) / 50, X, Key(1))
    weighed, _, _ = estimate(SPSA(0.5, 4, curvature=2.0), lambda x: quadratic(x) / 50, X, Key(1))
    assert weighed == pytest.approx(plain, abs=1e-14)


def test_its_mean_is_the_gradient_over_the_trace_where_signs_see_the_trace() -> None:
    """For a diagonal Hessian every sign direction has the curvature tr H, so the mean is g / (tr H)^k."""
    h = torch.tensor([4.0, 1.0, 9.0, 2.0], dtype=torch.float64)
    x = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    oracle = Function(lambda p: 0.5 * (h * p * p).sum()) | SPSA(0.1, 50, curvature=0.1)
    found = torch.stack([oracle.gradient(x, Key(i)).gradient.dense(x) for i in range(60)])  # type: ignore[union-attr]
    error = found.std(0) / math.sqrt(60)
    expected = h * x / 16**0.1
    assert float(((found.mean(0) - expected) / error).abs().max()) < 3
    assert float(((found.mean(0) - h * x) / error).abs().max()) > 6


def test_low_rank_directions_are_weighed_too_and_remade() -> None:
    layout = Layout(("w",), ((4, 5),))
    x = Key(2).normal(20, like=DOUBLE)

    class Laid(Function):
        layout = Layout(("w",), ((4, 5),))

    estimator = SPSA(0.1, 3, rank=1, curvature=0.5)
    slope = (Laid(lambda p: (p**2).sum() * 3) | estimator).gradient(x, Key(1))
    assert isinstance(slope.gradient, Combination)
    weights = slope.gradient.terms[0][0]
    z = estimator.directions(x, Key(1), layout).dense(DOUBLE)
    assert torch.allclose(torch.tensor(weights, dtype=torch.float64), z @ (6 * x) / 3 / math.sqrt(120), atol=1e-6)
    remade = estimator.combination(weights, x, Key(1), layout)
    assert torch.equal(remade.dense(DOUBLE), slope.gradient.dense(DOUBLE))


@pytest.mark.parametrize(
    "wrong", [{"curvature": -0.1}, {"curvature": math.nan}, {"curvature": 0.1, "formula": "forward"}]
)
def test_wrong_settings(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match="curvature"):
        SPSA(1e-3, **wrong)
    with pytest.raises(InvalidValue, match="one radius"):
        SPSA(((0, 2, 0.1), (2, 3, 0.2)), curvature=0.1)


def test_it_goes_where_plain_probes_diverge() -> None:
    """A valley that gets steep: a step that suits its floor is thrown out by the wall, unless c weakens it."""

    def descend(curvature: float) -> float:
        x = torch.tensor([2.0, 2.0, 2.0], dtype=torch.float64)
        oracle = Function(lambda p: (p**4).sum(), batched=False) | SPSA(1e-3, curvature=curvature)
        for t in range(150):
            gradient = oracle.gradient(x, Key(3).fold(t)).gradient
            x = x - 0.03 * gradient.dense(x)  # type: ignore[union-attr]
        return float((x**4).sum())

    assert not descend(0.0) < 1.0  # infinite or not a number
    assert descend(0.1) < 0.05


def test_what_is_shown() -> None:
    assert repr(SPSA(0.1, curvature=0.1)) == "RandomDirections('sign', radius=0.1, curvature=0.1)"
