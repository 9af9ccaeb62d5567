"""Automatic settings: few evaluations, numbers that theory knows, and runs that learn where nobody set anything."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from descend.errors import EvaluationFailed, InvalidValue
from descend.estimate import SPSA, Evolution
from descend.estimate.settings import SETTLING, settle_settings, typical_size
from descend.key import Key
from descend.layout import Parameters
from descend.oracle import Closure, Function
from descend.tree import from_plain, to_plain

HESSIAN = torch.diag(torch.linspace(1, 9, 60, dtype=torch.float64)) + 0.1
TRACE = float(HESSIAN.trace())
START = torch.ones(60, dtype=torch.float64)


def bowl(x):
    return 0.5 * x @ HESSIAN.to(x) @ x


def settled(f, x=START, estimator=None, seed=0, **overrides):
    oracle = Function(f, batched=False)
    settings = settle_settings(oracle, estimator or SPSA(), x, Key(seed), **overrides)
    assert settings.evaluations == oracle.ledger.total <= SETTLING
    return settings


def run(f, x, settings, steps, key):
    """Random signs by hand: f(x, t) is the loss of batch t. The last point and the learning rates."""
    pace, rates, h = settings.start(), [], settings.radius
    for t in range(steps):
        z = key.fold(t).normal(len(x), like=x).sign()
        centre = float(f(x, t)) if settings.looks(pace) else math.nan
        low, high = float(f(x - h * z, t)), float(f(x + h * z, t))
        weight = (high - low) / (2 * h)
        pace, rate = settings.advance(pace, weight**2, (high + low) / 2, centre)
        x = x - rate * weight * z
        rates.append(rate)
    return x, rates


# -- what theory knows


def test_the_curvature_is_the_trace_and_the_slope_the_gradient():
    found = [settled(bowl, seed=s) for s in range(30)]
    assert {s.evaluations for s in found} == {16}
    # z'Hz of random signs is the trace, with a standard deviation of sqrt(2 * 60 * 59) / 10 = 8.4
    curvature = math.sqrt(sum(s.curvature**2 for s in found) / 30)
    assert curvature == pytest.approx(math.hypot(TRACE, 8.4), rel=0.03)
    length = float((HESSIAN @ START).norm())
    slope = math.sqrt(sum(s.slope**2 for s in found) / 30)  # four probes each, so +-6 %
    assert slope == pytest.approx(length, rel=0.2)


@pytest.mark.parametrize("samples", [1, 4, 16])
def test_lr_is_bounded_by_n_over_the_trace(samples):
    settings = settled(bowl, samples=samples)
    assert settings.samples == samples
    # noise of the batch hides the progress, and the loss falls by far
    pace = settings.start()
    for loss in (1e9, *[0.0] * 400):
        pace, rate = settings.advance(pace, 1e-12, loss)
    assert rate == pytest.approx(samples / settings.curvature)
    assert rate == pytest.approx(samples / TRACE, rel=0.2)


@pytest.mark.parametrize("samples", [1, 9])
def test_the_lr_that_is_told_is_that_of_a_first_step(samples):
    settings = settled(bowl, samples=samples)
    _, rate = settings.advance(settings.start(), settings.slope**2 / samples, 100.0)
    assert rate == pytest.approx(settings.lr)


@pytest.mark.parametrize(("unit", "scale"), [(1e-6, 1.0), (1e5, 1e3), (1.0, 1e-6)])
def test_the_units_of_x_and_of_the_loss_do_not_matter(unit, scale):
    plain = settled(bowl)
    other = settled(lambda x: scale * bowl(x / unit), START * unit)
    assert other.reach == pytest.approx(plain.reach * unit, rel=1e-3)
    assert other.radius == pytest.approx(plain.radius * unit, rel=0.5)  # a power of two
    assert other.lr == pytest.approx(plain.lr * unit**2 / scale, rel=1e-3)


def test_the_probes_of_the_radius_stay_where_the_loss_falls_more_than_it_bends():
    for seed in range(10):
        settings = settled(lambda x: torch.cosh(3 * x).sum(), torch.full((50,), 0.3), seed=seed)
        z = Key(99 + seed).normal(200, 50, like=START).sign().float()
        f = torch.cosh(3 * (0.3 + settings.radius * torch.stack([-z, 0 * z, z]))).sum(2)
        assert float((f[2] - f[0]).abs().median()) > float((f[2] + f[0] - 2 * f[1]).abs().median())


# -- precision


def coarse(x):
    """A loss that is told to a hundredth."""
    return (100 * bowl(x)).round() / 100


def test_the_radius_rises_above_the_noise_of_the_values():
    for seed in range(10):
        settings = settled(coarse, 0.01 * START, seed=seed)
        assert 2 * settings.radius * settings.slope > 7 * settings.noise  # ten, but for the power of two
        assert settings.noise == pytest.approx(1e-2 / math.sqrt(12), rel=2)
        assert settings.radius >= 4 * settled(bowl, 0.01 * START, seed=seed).radius


@pytest.mark.parametrize("radius", [1e-9, 1e-7])
def test_a_radius_too_small_for_float32_is_told(radius):
    settings = settled(lambda x: bowl(x) + 1, START.float(), SPSA(radius))
    assert settings.radius == radius
    assert "too small for the precision" in settings.doubts[0]
    assert "write radius=0." in settings.doubts[0]


def test_a_radius_that_is_lost_in_the_weights_is_told():
    """The values are exact, but bfloat16 weights do not move by so little."""
    settings = settled(lambda x: bowl(x.to(torch.bfloat16).double()), START, SPSA(1e-4))
    assert "too small for the precision" in settings.doubts[0]


def test_a_radius_that_is_too_large_is_told_and_a_good_one_is_not():
    assert "much smoother function" in settled(bowl, estimator=SPSA(30.0)).doubts[0]
    for radius in (1e-4, 1e-2):
        settings = settled(bowl, START, SPSA(radius))
        assert settings.doubts == ()
        assert f"radius {radius:.2g}: given" in settings.words[1]


def test_noise_that_no_key_decides_asks_for_more_probes_and_a_larger_radius():
    generator = torch.Generator().manual_seed(0)

    def noisy(x):
        return bowl(x) + 100 * torch.randn((), generator=generator)

    settings = settled(noisy, 0.01 * START)
    assert settings.noise > 20
    assert settings.radius >= 4 * settled(bowl, 0.01 * START).radius
    assert "noise of" in settings.words[0]


def test_a_given_radius_in_the_noise_asks_for_more_probes():
    settings = [settled(coarse, 0.01 * START, SPSA(1e-3), seed=s) for s in range(5)]
    assert all(1 < s.samples <= 64 and "times the signal" in s.words[2] for s in settings)
    assert all(s.doubts for s in settings)


# -- overrides and oddities


def test_what_is_given_is_kept_and_constant():
    settings = settled(bowl, lr=0.5, samples=3)
    assert (settings.lr, settings.samples) == (0.5, 3)
    pace, first = settings.advance(settings.start(), 1.0, 1.0)
    _, second = settings.advance(pace, 1e6, 1.0)
    assert first == second == 0.5
    assert not any(settings.looks(replace(pace, steps=t)) for t in range(300))
    assert "given" in settings.words[2]
    assert "given, and constant" in settings.words[3]


def test_every_decision_has_its_words():
    starts = ("measured", "radius", "samples", "lr")
    assert all(text.startswith(start) for text, start in zip(settled(bowl).words, starts, strict=True))


@pytest.mark.parametrize(
    ("f", "flat"),
    [(lambda x: 0.0 * x.sum(), True), (lambda x: 7.0 + 0.0 * x.sum(), True), (lambda x: x.sum(), False)],
)
def test_a_loss_without_slope_or_bend_is_survived(f, flat):
    settings = settled(f)
    assert any("nothing could be settled" in doubt for doubt in settings.doubts) == flat
    _, rate = settings.advance(settings.start(), 0.0, float(f(START)))
    assert math.isfinite(rate)
    assert math.isfinite(settings.radius)
    assert rate > 0


def test_a_start_that_cannot_be_evaluated_says_so():
    with pytest.raises(EvaluationFailed, match="start elsewhere"):
        settled(lambda x: math.nan * x.sum())


def test_probes_that_fail_bring_the_radius_down():
    settings = settled(lambda x: bowl(x) if float(x.abs().max()) < 1.005 else math.nan * x.sum())
    assert settings.radius < 0.005


def test_radii_of_stretches_are_units_of_the_point():
    """Half of the point in tenths of a unit is a point in units, with radii to match."""
    scale = torch.ones(60, dtype=torch.float64)
    scale[30:] = 10.0
    plain = settled(bowl, estimator=SPSA(1e-3))
    other = settled(lambda x: bowl(x / scale), START * scale, SPSA(((0, 30, 1e-3), (30, 60, 1e-2))))
    for name in ("radius", "lr", "reach", "room", "slope", "curvature"):
        assert getattr(other, name) == pytest.approx(getattr(plain, name), rel=1e-6), name
    assert other.stretches == ((0, 30, 1e-3), (30, 60, 1e-2))
    assert "1, 10 times" in other.words[-1]


@pytest.mark.parametrize(("estimator", "unit_steps"), [(SPSA(1e-3), True), (Evolution(4), False)])
def test_radii_of_stretches_need_a_plain_estimate(estimator, unit_steps):
    with pytest.raises(InvalidValue, match="write lr="):
        settled(bowl, estimator=replace(estimator, radius=((0, 30, 1e-3), (30, 60, 1e-2))), unit_steps=unit_steps)


def test_a_point_without_numbers_needs_a_size():
    with pytest.raises(InvalidValue, match="typical_size"):
        settle_settings(Function(bowl), SPSA(), torch.empty(60, device="meta"), Key(0))


def test_settings_and_pace_are_saved_as_plain_data():
    settings = settled(bowl)
    pace, _ = settings.advance(settings.start(), 1.0, 2.0)
    assert from_plain(to_plain((settings, pace))) == (settings, pace)


# -- live parameters


@pytest.mark.parametrize("estimator", [SPSA(), SPSA(rank=1), Evolution(pairs=4)])
def test_live_parameters_are_asked_without_being_touched(estimator):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(20, 32), nn.Tanh(), nn.Linear(32, 3))
    batch, labels = torch.randn(40, 20), torch.randint(0, 3, (40,))
    parameters = Parameters(model.parameters())
    before = parameters.gather()
    closure = Closure(parameters, lambda: nn.functional.cross_entropy(model(batch), labels), model=model)
    here = torch.empty(parameters.size, device="meta")
    settings = settle_settings(closure, estimator, here, Key(0), size=typical_size(model.parameters()))
    assert torch.equal(parameters.gather(), before)
    assert closure.ledger.total == settings.evaluations <= SETTLING
    if estimator == SPSA():  # the same questions at a point that has numbers
        moved = settle_settings(closure, estimator, before, Key(0))
        parameters.scatter(before)
        assert settings.reach == pytest.approx(moved.reach, rel=0.05)


@pytest.mark.parametrize("shaping", ["z-score", "ranks"])
def test_shaped_evolution_has_lr_in_the_unit_of_x(shaping):
    evolution = Evolution(pairs=8, rank=None, radius=0.01, shaping=shaping)
    plain, other = settled(bowl, estimator=evolution), settled(lambda x: 1e4 * bowl(x), estimator=evolution)
    assert other.lr == pytest.approx(plain.lr, rel=1e-6)
    further = settled(lambda x: bowl(x / 10), 10 * START, replace(evolution, radius=0.1))
    assert further.lr == pytest.approx(10 * plain.lr, rel=1e-3)


# -- runs


def isotropic(x, t=0):
    return 0.5 * x.square().sum()


def test_without_noise_it_converges_like_the_best_constant_rate():
    """On an isotropic bowl in d dimensions lr = 1/d lowers f by exp(-1/d) a step."""
    x = torch.ones(100, dtype=torch.float64)
    for seed in range(3):
        settings = settled(isotropic, x, seed=seed)
        end, _ = run(isotropic, x, settings, 800, Key(seed))
        assert float(isotropic(end)) < 50 * math.exp(-8 + 1.5)


def tilted(seed):
    """A bowl whose batches tilt it: of the squared slope at the start two thirds are noise of the batch."""

    def f(x, t=0):
        return isotropic(x) + 1.4 * (Key(seed).fold("batch", t).normal(len(x), like=x) @ x)

    return f


def test_under_batch_noise_it_is_as_good_as_the_best_constant_rate():
    x = torch.ones(100, dtype=torch.float64)

    def mean_end(**changes):
        ends = []
        for seed in range(6):
            settings = replace(settled(tilted(seed), x, seed=seed), **changes)
            end, _ = run(tilted(seed), x, settings, 300, Key(seed))
            ends.append(float(isotropic(end)))
        return sum(ends) / len(ends)

    grid = [mean_end(lr=lr, steady=True) for lr in (1e-3, 2e-3, 4e-3, 8e-3)]
    assert mean_end() < 1.15 * min(grid)


def test_where_the_loss_does_not_fall_the_rate_falls_as_one_over_the_root_of_time():
    settings = settled(bowl)
    pace, rates = settings.start(), []
    for t in range(1600):
        pace, rate = settings.advance(pace, settings.slope**2, 100.0 + (1e3 if t % 2 else -1e3))
        rates.append(rate)
    assert rates[399] / rates[1599] == pytest.approx(2, rel=0.05)


def test_a_fall_of_the_loss_pays_for_a_longer_walk():
    settings = settled(bowl)
    pace, _ = settings.advance(settings.start(), settings.slope**2, 100.0)
    _, kept = settings.advance(replace(pace, start=100.0, recent=100.0), 0.0, 100.0)
    fallen = replace(pace, start=100.0, recent=20.0)
    after, longer = settings.advance(fallen, 0.0, 20.0)
    walk = longer**2 * (settings.first + after.walked) - settings.room**2
    assert after.trace == pytest.approx(TRACE, rel=0.2)
    assert after.trace * walk / 2 == pytest.approx(after.fallen)  # it costs what was gained
    assert longer > 2 * kept


def test_a_pace_is_slowed_by_doubt_alone():
    settings = settled(bowl)
    kept = settings.start()
    pace, first = settings.advance(kept, settings.slope**2, 100.0)
    as_promised, same = settings.advance(pace, settings.slope**2, 100.0 - pace.promised)
    assert same >= first
    assert as_promised.walked == pace.walked
    doubted, slower = settings.advance(pace, settings.slope**2, 100.0 + pace.promised)
    assert slower < first
    assert doubted.walked > pace.walked


def test_curvature_seen_on_the_way_lowers_the_rate():
    settings = settled(bowl)
    pace, rate = settings.advance(settings.start(), settings.slope**2, 100.0)
    bend = 50 * settings.curvature * settings.radius**2 / 2
    _, lower = settings.advance(settings.start(), settings.slope**2, 100.0 + bend, 100.0)
    assert lower < 0.5 * rate
    looks = [t for t in range(600) if settings.looks(replace(pace, steps=t))]
    assert [t + 1 for t in looks] == [8, *range(16, 601, 16)]


def test_bends_up_and_down_cancel_and_leave_room_for_a_walk():
    """Where the Hessian is mostly of either sign, its trace is found small although single directions bend a lot."""
    signs = torch.ones(60, dtype=torch.float64)
    signs[::2] = -1
    saddle = signs.outer(torch.ones(60, dtype=torch.float64)).add_(signs.outer(torch.ones(60)).T)  # mostly off-diagonal
    hessian = 0.02 * torch.eye(60, dtype=torch.float64) + saddle - torch.diag(saddle.diag())

    def f(x, t=0):
        return 0.5 * x @ hessian @ x + START @ x

    settings = settled(f, 0 * START)
    pace, key = settings.start(), Key(2)
    for t in range(64):
        z = key.fold(t).normal(60, like=START).sign()
        pace = pace.bent(float(z @ hessian @ z))
    assert pace.curvature > 20 * float(hessian.trace())
    assert pace.trace < 0.3 * pace.curvature
    bowl_settings = settled(bowl)
    kept = bowl_settings.start()
    for _ in range(64):
        kept = kept.bent(TRACE)
    assert kept.trace == pytest.approx(kept.curvature, rel=0.05)  # where all bend alike, nothing changes
