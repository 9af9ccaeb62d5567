"""Estimators and autograd in one optimizer, and a noisy objective with nothing set by hand."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import descend as dd
from descend.testing.objectives import ellipsoid
from descend.torch_optim import Optimizer


class _Rounded(nn.Module):
    """round(X a) / 4 @ b: the gradient of a is zero everywhere, that of b is exact."""

    def __init__(self) -> None:
        super().__init__()
        draw = dd.Key(3)
        self.x = draw.fold("x").normal(64, 4, like=torch.zeros(1))
        self.a = nn.Parameter(draw.fold("a").normal(4, 8, like=self.x))
        self.b = nn.Parameter(draw.fold("b").normal(8, like=self.x))
        self.y = (self.x @ (4 * torch.eye(4))).round() / 4 @ torch.ones(4)
        self.calls: list[tuple[bool, Tensor]] = []

    def loss(self) -> Tensor:
        self.calls.append((torch.is_grad_enabled(), self.a.detach().clone()))
        return ((self.x @ self.a).round() / 4 @ self.b - self.y).square().mean()


def _hybrid(model: _Rounded, estimator: Any, **arguments: Any) -> Optimizer:
    groups = [{"params": [model.a], "estimator": estimator}, {"params": [model.b]}]
    return Optimizer(groups, dd.Adam(), lr=0.03, key=0, **arguments)


@pytest.mark.parametrize(
    ("estimator", "probes"), [(dd.SPSA(0.3), 2), (dd.SPSA(0.3, formula="forward"), 1)], ids=["two-sided", "one-sided"]
)
def test_a_part_without_a_gradient_is_trained_with_one_that_has_one(estimator: Any, probes: int) -> None:
    model = _Rounded()
    start_a, first = model.a.detach().clone(), model.loss().item()
    optimizer = _hybrid(model, estimator)
    for _ in range(300):
        optimizer.step(model.loss)
    end = model.loss().item()
    assert not torch.equal(model.a.detach(), start_a)
    assert end < 0.25 * first
    assert optimizer.ledger.counts == {"gradient": 300, "value": 300 * probes}

    plain = _Rounded()
    only_b = Optimizer([plain.b], dd.Adam(), lr=0.03)
    for _ in range(300):
        only_b.step(plain.loss)
    assert end < 0.8 * plain.loss().item()


def test_the_autograd_part_is_plain_autograd_bit_for_bit_and_probes_have_no_graph() -> None:
    model, plain = _Rounded(), _Rounded()
    optimizer = Optimizer([{"params": [model.a], "estimator": dd.SPSA(0.3)}, {"params": [model.b]}], lr=1e-3, key=0)
    optimizer.step(model.loss)
    Optimizer([plain.b], lr=1e-3).step(plain.loss)
    assert torch.equal(model.b, plain.b)
    assert sorted(graph for graph, _ in model.calls) == [False, False, True]
    at = [a for graph, a in model.calls if graph]
    assert torch.equal(at[0], plain.a.detach()), "the gradient was taken at a probe"


def test_the_estimated_part_does_not_see_autograd_and_the_rest_is_held_while_it_is_probed() -> None:
    a, b = nn.Parameter(torch.ones(3, dtype=torch.float64)), nn.Parameter(torch.ones(2, dtype=torch.float64))
    groups = [{"params": [a], "estimator": dd.FiniteDifference()}, {"params": [b]}]
    optimizer = Optimizer(groups, lr=0.1, key=0)
    seen = []

    def closure() -> Tensor:
        seen.append(b.detach().clone())
        return (a.detach() * torch.tensor([1.0, 2.0, 3.0])).sum() + (5 * b).sum()  # autograd finds no gradient of a

    optimizer.step(closure)
    torch.testing.assert_close(1 - a.detach(), 0.1 * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    torch.testing.assert_close(1 - b.detach(), torch.full((2,), 0.5, dtype=torch.float64))
    assert all(torch.equal(at, torch.ones(2, dtype=torch.float64)) for at in seen)


def test_a_group_with_an_estimator_beside_one_for_all_is_refused() -> None:
    model = _Rounded()
    groups = [{"params": [model.a], "estimator": dd.SPSA(0.3)}, {"params": [model.b]}]
    with pytest.raises(dd.errors.CompositionError, match="estimator"):
        Optimizer(groups, dd.SPSA(), lr=0.1)
    with pytest.raises(dd.errors.InvalidValue, match="'spsa'"):
        Optimizer([{"params": [model.a], "estimator": "spsa"}], lr=0.1)


def test_a_noisy_quadratic_needs_nothing_set_by_hand() -> None:
    """|x|^2 in 10 dimensions from f = 40 under noise of 0.1: SPSA() alone, 500 steps, 20 seeds."""
    ends = []
    for seed in range(20):
        x = torch.full((10,), 2.0)
        optimizer = Optimizer([x], dd.SPSA(), key=seed)
        calls = [0]

        def closure(x: Tensor = x, calls: list[int] = calls) -> float:
            calls[0] += 1
            return float(x.square().sum() + 0.1 * torch.randn(()))

        for _ in range(500):
            optimizer.step(closure)
        assert calls[0] <= 1000 + 20
        ends.append(float(x.square().sum()))
    assert sum(end < 1 for end in ends) >= 19, sorted(ends)


def test_without_noise_it_needs_nothing_either() -> None:
    for scale in (1e-3, 1.0, 1e3):
        x = torch.full((10,), 2.0 * scale, dtype=torch.float64)
        optimizer = Optimizer([x], dd.SPSA(), key=1)
        start = float(ellipsoid(x / scale))
        for _ in range(1500):
            optimizer.step(lambda x=x, scale=scale: ellipsoid(x / scale))
        assert float(ellipsoid(x / scale)) < 1e-2 * start
