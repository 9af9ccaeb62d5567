"""Calibrated gains: few evaluations, and a descent that works where nobody set anything."""

import math
from dataclasses import replace

import pytest
import torch

from descend.descent import Descent
from descend.errors import EvaluationFailed
from descend.estimate import SPSA, GainStep, calibrate
from descend.estimate.gains import CALIBRATION
from descend.key import Key
from descend.oracle import Function


def noisy(f, sigma, seed):
    generator = torch.Generator().manual_seed(seed)
    return Function(lambda x: f(x) + sigma * torch.randn((), generator=generator), batched=False)


def bowl(x):
    return x.square().sum()


def descend(oracle, x, key, steps):
    estimator = SPSA()
    gains = calibrate(oracle, estimator, x, key)
    spent = oracle.ledger.total
    method = Descent(GainStep(gains))
    state = method.init(x, key)
    lifted = oracle | replace(estimator, radius=gains.radius)
    for _ in range(steps):
        state = method.advance(lifted, state)
    return state.x, spent, gains


def test_noise_a_tenth_and_nothing_set_by_hand():
    """Ten dimensions, sigma 0.1, 500 steps, f < 1 in at least 19 of 20 seeds."""
    results = [descend(noisy(bowl, 0.1, 1000 + s), torch.full((10,), 2.0), Key(s), 500) for s in range(20)]
    assert sum(float(bowl(x)) < 1 for x, _, _ in results) >= 19
    assert max(spent for _, spent, _ in results) <= CALIBRATION


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_units_of_x_and_f_do_not_matter_without_noise(scale):
    def f(x):
        return 1e3 * (x / scale).square().sum()

    x, spent, gains = descend(Function(f), scale * torch.full((5,), 3.0, dtype=torch.float64), Key(1), 300)
    assert float(f(x)) < 1e-3 * float(f(torch.full((5,), 3.0) * scale))
    assert spent <= CALIBRATION
    assert gains.sigma == 0.0
    assert gains.lr(0) == gains.lr(1000)


def test_the_noise_is_measured():
    sigmas = [calibrate(noisy(bowl, 0.5, s), SPSA(), torch.ones(4), Key(s)).sigma for s in range(40)]
    # the mean of a sample standard deviation of 4 is 0.921 sigma, its spread 0.39 sigma
    assert abs(sum(sigmas) / 40 - 0.921 * 0.5) < 3 * 0.39 * 0.5 / math.sqrt(40)


def test_gains_decrease_as_spall_says_under_noise():
    gains = calibrate(noisy(bowl, 0.1, 0), SPSA(), torch.ones(4), Key(0))
    assert gains.lr(949) / gains.lr(0) == pytest.approx((51 / 1000) ** 0.602)
    assert gains.radius(99) / gains.radius(0) == pytest.approx(100**-0.101)


def test_a_step_is_never_longer_than_the_limit():
    gains = calibrate(Function(bowl), SPSA(), torch.ones(4), Key(0))
    assert gains.rate(0, 1e12) * 1e12 == pytest.approx(gains.limit)


def test_a_radius_that_is_set_is_kept():
    assert calibrate(noisy(bowl, 1.0, 0), SPSA(0.125), torch.ones(4), Key(0)).c == 0.125


def test_a_start_that_cannot_be_evaluated_says_so():
    with pytest.raises(EvaluationFailed, match="start elsewhere"):
        calibrate(Function(lambda x: math.nan), SPSA(), torch.ones(2), Key(0))
