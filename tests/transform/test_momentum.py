"""Averages of gradients against a plain sum of weighted gradients."""

import numpy as np
import pytest
import torch

from descend.key import Key
from descend.oracle import Oracle
from descend.transform import At, HeavyBall, LeakyAverage
from descend.transform.momentum import debiased_weight

AT = At(torch.zeros(4, dtype=torch.float64), Oracle(), Key(0), 0.0)
GRADIENTS = Key(1).normal(12, 4, like=AT.x)


@pytest.mark.parametrize("debias", [False, True])
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.99])
def test_a_leaky_average_is_a_weighted_sum(beta: float, debias: bool) -> None:
    transform = LeakyAverage(beta, debias)
    state = transform.init(AT.x)
    for t in range(1, 13):
        direction, state = transform(GRADIENTS[t - 1].clone(), state, AT)
        weights = (1 - beta) * beta ** np.arange(t - 1, -1, -1, dtype=float)
        weights /= weights.sum() if debias else 1.0
        np.testing.assert_allclose(direction.numpy(), weights @ GRADIENTS[:t].numpy(), rtol=1e-12, atol=1e-14)


def test_a_heavy_ball_is_a_leaky_average_of_other_length() -> None:
    ball, average = HeavyBall(0.9), LeakyAverage(0.9)
    velocity, mean = ball.init(AT.x), average.init(AT.x)
    for gradient in GRADIENTS:
        sum_, velocity = ball(gradient.clone(), velocity, AT)
        direction, mean = average(gradient.clone(), mean, AT)
        torch.testing.assert_close(sum_, 10 * direction, rtol=1e-12, atol=1e-12)


def test_debiased_weights_of_a_beta_near_one() -> None:
    assert debiased_weight(1 - 1e-12, 1) == 1.0
    assert debiased_weight(0.999, 2) == pytest.approx(1 / 1.999, rel=1e-12)
