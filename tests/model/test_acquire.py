"""What points promise, against numbers of many digits, against draws, and against finite differences."""

import math

import mpmath
import pytest
import torch

from descend.key import Key
from descend.model.acquire import (
    BelowLimits,
    Compromise,
    FrontGain,
    Improvement,
    Several,
    log_expected_improvement,
    log_h,
    log_probability_below,
)
from descend.pareto.indicators import hypervolume

FRONT = torch.tensor([[0.8, 0.1], [0.0, 1.0], [0.3, 0.5]], dtype=torch.float64)
REFERENCE = torch.tensor([1.2, 1.3], dtype=torch.float64)


def numbers(*shape, key=0):
    return Key(key).normal(*shape, like=torch.zeros((), dtype=torch.float64))


def exact(z):
    """log(phi + z Phi) by integration of (z - y) phi(y) over y < z, with 60 digits."""
    with mpmath.workdps(60):
        z = mpmath.mpf(z)
        scale = 1 / (1 + abs(z))  # how fast the integrand falls from z downwards
        ends = [mpmath.mpf(0), *(scale * 2**k for k in range(-2, 9))]
        total = mpmath.quad(lambda t: t * mpmath.npdf(z - t), ends)
        return float(mpmath.log(total))


@pytest.mark.parametrize("z", [3.0, 0.0, -0.999, -1.001, -5.0, -30.0, -49.9, -50.1, -300.0, -1e4, -0.99e6, -1.01e6])
def test_the_log_of_expected_improvement_far_out(z):
    assert float(log_h(torch.tensor([z], dtype=torch.float64))) == pytest.approx(exact(z), rel=1e-12, abs=1e-12)


def test_it_grows_with_the_deviation_and_falls_with_the_mean_everywhere():
    mean = torch.linspace(-1, 1e4, 400, dtype=torch.float64)
    value, by_mean, by_deviation = log_expected_improvement(mean, torch.full_like(mean, 0.1), 0.0)
    assert bool(value.isfinite().all())
    assert bool((by_mean < 0).all())
    assert bool((by_deviation > 0).all())
    assert bool((value.diff() < 0).all())


def test_the_probability_of_being_below_a_limit():
    value, _, _ = log_probability_below(torch.tensor([0.0, 39.0]).double(), torch.ones(2).double(), 1.0)
    assert float(value[0]) == pytest.approx(math.log(0.8413447460685429))
    assert float(value[1]) == pytest.approx(float(mpmath.log(mpmath.ncdf(-38))), rel=1e-12)


PROMISES = {
    "improvement": (Improvement(numbers(3)), 3),
    "limits": (BelowLimits(numbers(2)), 2),
    "front": (FrontGain(FRONT, REFERENCE), 2),
    "empty front": (FrontGain(FRONT[:0], REFERENCE), 2),
    "compromise": (Compromise(torch.tensor([0.2, 0.5, 0.3]).double(), 0.1, numbers(32, 3)), 3),
    "several": (Several(((Improvement(numbers(1)), 1), (BelowLimits(numbers(2)), 2))), 3),
}


@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.parametrize("away", [0.0, 4.0])
def test_slopes(name, away):
    promise, m = PROMISES[name]
    means, deviations = numbers(m, 6, key=2) + away, 0.2 + numbers(m, 6, key=3).abs()
    _, by_mean, by_deviation = promise(means, deviations)
    step = 1e-6
    for i in range(m):
        up = torch.zeros_like(means)
        up[i] = step
        numeric = (promise(means + up, deviations)[0] - promise(means - up, deviations)[0]) / (2 * step)
        assert torch.allclose(numeric, by_mean[i], rtol=1e-4, atol=1e-6)
        numeric = (promise(means, deviations + up)[0] - promise(means, deviations - up)[0]) / (2 * step)
        assert torch.allclose(numeric, by_deviation[i], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mean", [(0.4, 0.4), (0.1, 0.9), (1.0, 0.0)])
def test_the_gain_of_a_front_is_the_mean_of_what_draws_gain(mean):
    means, deviations = torch.tensor(mean).double()[:, None], torch.tensor([[0.3], [0.2]]).double()
    draws = (means + deviations * numbers(2, 3000, key=1)).T
    before = hypervolume(FRONT, REFERENCE)
    gains = torch.tensor([hypervolume(torch.cat([FRONT, y[None]]), REFERENCE) - before for y in draws])
    expected = float(FrontGain(FRONT, REFERENCE)(means, deviations)[0].exp())
    assert float(gains.mean()) == pytest.approx(expected, abs=3.5 * float(gains.std()) / 3000**0.5)
    assert expected > 5 * float(gains.std()) / 3000**0.5  # so that nothing would not do


def test_a_front_far_from_a_point_still_has_a_slope():
    value, by_mean, _ = FrontGain(FRONT, REFERENCE)(torch.full((2, 1), 60.0).double(), torch.ones(2, 1).double())
    assert math.isfinite(float(value))
    assert bool((by_mean < 0).all())


def test_points_of_a_front_beyond_the_reference_do_not_count():
    beyond = torch.cat([FRONT, torch.tensor([[-1.0, 2.0]]).double()])
    means, deviations = numbers(2, 5), torch.ones(2, 5).double()
    assert torch.equal(
        FrontGain(beyond, REFERENCE)(means, deviations)[0], FrontGain(FRONT, REFERENCE)(means, deviations)[0]
    )


def test_a_compromise_of_sure_points_is_its_improvement():
    weights = torch.tensor([0.5, 0.5]).double()
    promise = Compromise(weights, 3.0, numbers(16, 2))
    value, _, _ = promise(torch.tensor([[1.0], [2.0]]).double(), torch.full((2, 1), 1e-9).double())
    assert float(value.exp()) == pytest.approx(2.0, rel=1e-6)


def test_several_models_of_a_loss_are_averaged():
    promise = Improvement(torch.tensor([0.0, 1.0]).double())
    means, deviations = numbers(2, 4), torch.ones(2, 4).double()
    each = [log_expected_improvement(means[j], deviations[j], float(j))[0].exp() for j in range(2)]
    assert torch.allclose(promise(means, deviations)[0].exp(), (each[0] + each[1]) / 2)
