"""Bent coordinates against torch's distribution and finite differences, and where they are chosen and pay."""

import math

import pytest
import torch

from descend.key import Key
from descend.model.acquire import Improvement
from descend.model.bayes import Bayes
from descend.model.gp import belief as beliefs
from descend.model.gp.belief import believe, features_of
from descend.model.gp.bend import STRAIGHT, Bend
from descend.model.gp.features import Features
from descend.model.gp.fit import bent, fit
from descend.model.gp.likelihood import Prior, log_evidence
from descend.model.gp.process import condition
from descend.model.gp.score import Score
from descend.model.gp.warp import PARTS, Warp
from descend.model.modelled import Cube, History
from descend.space import Choice, Float, Int, Permutation, Space, When
from descend.space.domain import Domain

ZERO = torch.zeros((), dtype=torch.float64)
PLACES = torch.tensor([0, 2])
LOGS = torch.tensor([-0.9, 0.6, 0.4, -0.7], dtype=torch.float64)
"""Of a and b at two places."""


def uniform(*shape, key=0):
    return Key(key).uniform(*shape, like=ZERO)


def wave(phi):
    return (4 * phi).sin().sum(1) + phi[:, 0] * phi[:, 1]


def orders(us):
    """Least where all coordinates are a thousandth, as if the box from 0 to 1 were one of orders of magnitude."""
    return (us.clamp(min=1e-6).log10() + 3).square().sum(1)


def history(us, values):
    domain = Domain.box(torch.zeros(us.shape[1]).double(), torch.ones(us.shape[1]).double())
    cube = Cube(domain, (domain.lower + domain.upper) / 2)
    return History(cube, cube.middle, us, values[:, None], us[:, :0], us[:0], len(us))


def test_numbers_go_through_the_distribution_of_kumaraswamy_and_nothing_else_does():
    phi = uniform(50, 4) - 0.5
    out = Bend.of(LOGS, PLACES)(phi)
    law = torch.distributions.Kumaraswamy(LOGS[:2].exp(), LOGS[2:].exp())
    assert torch.allclose(out[:, PLACES], law.cdf(phi[:, PLACES] + 0.5) - 0.5, atol=1e-5)
    assert torch.equal(out[:, [1, 3]], phi[:, [1, 3]])


def test_nothing_is_bent_where_a_and_b_are_1_or_there_are_no_places():
    phi = uniform(50, 4) - 0.5
    assert torch.allclose(Bend.of(0 * LOGS, PLACES)(phi), phi, atol=2e-6)
    assert torch.equal(STRAIGHT(phi), phi)
    assert torch.equal(STRAIGHT.slope(phi), torch.ones_like(phi))


def test_the_slopes_of_a_bend_are_right():
    phi, logs, step = uniform(20, 4) - 0.5, LOGS.clone().requires_grad_(), 1e-6
    bend = Bend.of(LOGS, PLACES)
    numeric = (bend(phi + step) - bend(phi - step)) / (2 * step)
    assert torch.allclose(bend.slope(phi), numeric, rtol=1e-5)
    weights = uniform(20, 4, key=1)
    (Bend.of(logs, PLACES)(phi) * weights).sum().backward()
    assert logs.grad is not None
    assert torch.allclose(bend.by_logs(phi, weights), logs.grad, rtol=1e-9)


@pytest.mark.parametrize("a", [-3.0, 0.0, 3.0])
@pytest.mark.parametrize("b", [-3.0, 0.0, 3.0])
def test_the_ends_are_numbers_for_every_bend(a, b):
    bend = Bend.of(torch.tensor([a, b], dtype=torch.float64), PLACES[:1])
    phi = torch.tensor([[-0.5], [-0.499], [0.0], [0.499], [0.5]], dtype=torch.float64)
    assert bool((bend(phi).diff(dim=0) >= 0).all())
    assert bool((bend(phi).abs() <= 0.5).all())
    assert bool((bend.slope(phi).isfinite() & (bend.slope(phi) >= 0)).all())
    assert bool(bend.by_logs(phi, torch.ones_like(phi)).isfinite().all())


@pytest.mark.parametrize("owner", [[0, 1, 2], [0, 1, 1]])
def test_the_slope_of_the_evidence_is_right(owner):
    phi, owner = uniform(25, 3) - 0.5, torch.tensor(owner)
    q = int(owner.max()) + 1
    prior, step = Prior.of(q), 1e-5
    theta = torch.cat([torch.full((q + 1,), -0.3, dtype=torch.float64), LOGS])
    slope = log_evidence(theta, phi, owner, wave(phi), prior, PLACES)[1]
    assert slope.shape == theta.shape
    for i in range(len(theta)):
        away = torch.zeros_like(theta)
        away[i] = step
        ends = [float(log_evidence(theta + s * away, phi, owner, wave(phi), prior, PLACES)[0]) for s in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(slope[i]), abs=1e-5)


def test_evidence_with_bent_features_is_that_of_the_bent_ones_and_a_normal_prior():
    phi, owner, prior = uniform(25, 3) - 0.5, torch.arange(3), Prior.of(3)
    theta = torch.cat([torch.full((4,), -0.3, dtype=torch.float64), LOGS])
    value = log_evidence(theta, phi, owner, wave(phi), prior, PLACES)[0]
    straight = log_evidence(theta[:4], Bend.of(LOGS, PLACES)(phi), owner, wave(phi), prior)[0]
    law = torch.distributions.Normal(0.0, prior.curl)
    assert float(value - straight) == pytest.approx(float((law.log_prob(LOGS) - law.log_prob(0 * LOGS)).sum()))


MIXED = Space(
    kind=Choice("a", "b"),
    x=Float(0, 1),
    few=Int(1, 4),
    many=Int(1, 30),
    y=When("kind", "a", Float(0, 1)),
    order=Permutation(3),
)


def test_only_what_is_smooth_and_always_there_is_bent():
    features = Features(Cube(MIXED.domain, MIXED.middle))
    us = features.cube.centre(uniform(9, features.dim))
    at = features.at(us)[:, features.bendable]
    assert torch.equal(at, us[:, [1, 3]] - 0.5)  # x and many


def test_the_slopes_of_a_score_go_back_through_the_bend():
    features = Features(Cube(MIXED.domain, MIXED.middle))
    us = features.cube.centre(uniform(12, features.dim))
    theta = torch.cat([torch.full((features.scales + 1,), 0.5, dtype=torch.float64).log(), LOGS])
    theta[features.scales] = math.log(1e-4)
    z = Key(2).normal(12, like=ZERO)
    process = condition(theta, features.at(us), features.owner, z, 2.0, features.bendable)
    busy = features.at(features.cube.centre(uniform(2, features.dim, key=3)))
    beliefs_of = (
        process.imagine(busy),
        condition(theta[: features.scales + 1], features.at(us), features.owner, z, 2.0),
    )
    assert torch.allclose(beliefs_of[0].means(busy), process.means(busy))
    for belief in beliefs_of:
        score = Score(features, (belief,), Improvement(torch.tensor([-1.0]).double()))
        at = features.cube.centre(uniform(9, features.dim, key=5))
        slopes = score.with_slopes(at)[1]
        for i in features.smooth.nonzero()[:, 0].tolist():
            away = torch.zeros_like(at[0])
            away[i] = 1e-6
            numeric = (score(at + away) - score(at - away)) / 2e-6
            assert torch.allclose(numeric, slopes[:, i], atol=1e-5, rtol=1e-5)


def both_fits(us, values):
    phi, owner, prior = us - 0.5, torch.arange(us.shape[1]), Prior.of(us.shape[1])
    straight = fit(phi, owner, values, prior, PARTS, 0, Key(0))
    return straight, bent(straight, phi, owner, values, prior, owner, 0, Key(0))


def test_the_evidence_bends_what_is_steep_at_one_end_and_the_model_is_better_for_it():
    us, at = uniform(60, 2).pow(4), uniform(500, 2, key=1).pow(4)

    def error(found):
        warp = Warp.of(orders(us), found.part)
        process = condition(found.thetas[0], us - 0.5, torch.arange(2), warp(orders(us)), 2.0, found.places)
        return float((warp.back(process.means(at - 0.5)) - orders(at)).abs().median())

    straight, found = both_fits(us, orders(us))
    assert len(found.places) == 2
    assert bool((found.thetas[0, 3:5] < -0.5).all())  # a < 1 stretches what is near 0
    assert error(found) < 0.2 * error(straight)


@pytest.mark.parametrize("key", range(4))
def test_the_evidence_leaves_straight_what_is_alike_everywhere(key):
    us = uniform(40, 2, key=key)
    straight, found = both_fits(us, (7 * us).sin().sum(1))
    assert found is straight
    noisy = (7 * us).sin().sum(1) + 0.3 * Key(key).normal(40, like=us)
    straight, found = both_fits(us, noisy)
    assert found is straight


def test_what_looks_like_noise_may_be_steep_at_one_end():
    """A search that began with the noise of the straight fit only would stay there."""
    us = uniform(25, 2, key=2).pow(4)
    straight, found = both_fits(us, orders(us))
    assert float(straight.thetas[0, 2].exp()) > 0.1
    assert len(found.places) == 2
    assert float(found.thetas[0, 2].exp()) < 1e-6


def searched(method, n, key):
    """The least of n values of a loss in which orders of magnitude count."""
    domain = Domain.box(torch.zeros(2).double(), torch.ones(2).double())
    state = method.init(torch.full((2,), 0.5, dtype=torch.float64), Key(key), domain)
    for _ in range(n):
        state, xs = method.ask(state, 1)
        state = method.tell(state, xs, orders(xs))
    return state


def test_orders_of_magnitude_are_found_where_a_straight_model_does_not_find_them():
    assert searched(Bayes(), 24, 0).value < 0.05
    assert searched(Bayes(bend=False), 24, 0).value > 0.5


@pytest.mark.parametrize("draws", [0, 2])
def test_a_cold_start_gives_the_same_bits(draws):
    us = uniform(62, 2).pow(4)
    values, features = orders(us), features_of(history(us, orders(us)).cube)

    def after(n):
        return believe(features, history(us[:n], values[:n]), values[:n], PARTS, draws, bend=True)

    warm = [after(n) for n in (55, 61, 62)][-1]
    beliefs._FITS.clear()
    cold = after(62)
    assert len(warm.processes[-1].bend.places) == 2
    for one, other in zip(warm.processes, cold.processes, strict=True):
        assert torch.equal(one.bend.a, other.bend.a)
        assert torch.equal(one.alpha, other.alpha)


def test_fits_with_and_without_bends_are_kept_apart():
    us = uniform(30, 2).pow(4)
    past = history(us, orders(us))

    def places(bend):
        return len(believe(features_of(past.cube), past, orders(us), bend=bend).processes[0].bend.places)

    assert [places(bend) for bend in (True, False, True)] == [2, 0, 2]


def test_nothing_is_bent_where_there_is_nothing_to_bend():
    space = Space(a=Choice("p", "q"), n=Int(1, 5))
    cube = Cube(space.domain, space.middle)
    us = cube.centre(uniform(12, 2))
    past = History(cube, cube.middle, us, us.sum(1, keepdim=True), us[:, :0], us[:0], 12)
    believed, usual = (believe(Features(cube), past, us.sum(1), bend=bend) for bend in (True, False))
    assert torch.equal(believed.means, usual.means)


def test_shorter_lengths_leave_the_bend_and_the_noise_as_they_are():
    us = uniform(40, 2).pow(4)
    past = history(us, orders(us))
    usual, short = (
        believe(features_of(past.cube), past, orders(us), shorter=by, bend=True).processes[0] for by in (1.0, 2.0)
    )
    assert torch.allclose(short.inverse, 2 * usual.inverse)
    assert torch.equal(short.bend.a, usual.bend.a)
    assert short.noise / short.variance == pytest.approx(usual.noise / usual.variance)


@pytest.mark.parametrize("trust", [True, None])
def test_a_region_of_trust_is_searched_without_bends(trust, monkeypatch):
    state, asked = searched(Bayes(trust=trust), 11, 0), []
    monkeypatch.setattr(beliefs, "bent", lambda straight, *rest: asked.append(1) or straight)
    beliefs._FITS.clear()
    Bayes(trust=trust).ask(state)
    assert bool(asked) is (trust is None)


def test_the_next_question_depends_on_the_history_only():
    state = searched(Bayes(), 15, 1)
    _, warm = Bayes().ask(state)
    beliefs._FITS.clear()
    assert torch.equal(Bayes().ask(state)[1], warm)
