"""Adaptive transforms where rounding is hard."""

from typing import Any

import pytest
import torch

from descend.key import Key
from descend.oracle import Oracle
from descend.transform import AdaGrad, Adam, At, NAdam, RMSProp


def last_direction(transform: Any, gradient: torch.Tensor, steps: int) -> torch.Tensor:
    at = At(torch.zeros_like(gradient), Oracle(), Key(0), 0.0)
    state, direction = transform.init(at.x), gradient
    for _ in range(steps):
        direction, state = transform(gradient.clone(), state, at)
    return direction


def test_the_variance_of_a_constant_gradient_is_never_negative() -> None:
    gradient = torch.linspace(0.1, 100, 1001)
    for alpha in (0.5, 0.9, 0.99):
        assert torch.isfinite(last_direction(RMSProp(alpha, centered=True), gradient, 60)).all()


@pytest.mark.parametrize("transform", [AdaGrad(), RMSProp(0.5), Adam(), Adam(amsgrad=True), NAdam()], ids=repr)
@pytest.mark.parametrize("size", [1e-4, 500.0])
def test_in_float16_squares_neither_vanish_nor_overflow(transform: Any, size: float) -> None:
    gradient = torch.full((5,), size, dtype=torch.float16)
    half = last_direction(transform, gradient, 3)
    exact = last_direction(transform, gradient.double(), 3)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.double(), exact, rtol=2e-3, atol=0)


def test_amsgrad_remembers_the_largest_gradient() -> None:
    at = At(torch.zeros(1), Oracle(), Key(0), 0.0)
    lengths = []
    for amsgrad in (False, True):
        transform = Adam((0.0, 0.5), amsgrad=amsgrad)
        state, direction = transform.init(at.x), at.x
        for size in [100.0] + 30 * [1.0]:
            direction, state = transform(torch.tensor([size]), state, at)
        lengths.append(float(direction))
    assert lengths[0] == pytest.approx(1.0, rel=1e-3)
    assert lengths[1] == pytest.approx(1 / 5000**0.5, rel=1e-3)
