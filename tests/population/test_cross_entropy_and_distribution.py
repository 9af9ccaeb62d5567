"""Distributions that are fitted to the best samples, beside naive fits."""

import sys
from pathlib import Path

import pytest
import torch

from descend.key import Key
from descend.population.cross_entropy import CrossEntropy
from descend.population.distribution import EstimationOfDistribution
from descend.space.domain import Domain
from descend.step import Exponential

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from distributions import box, ellipsoid, grid, rotated, search, sphere


def test_cross_entropy_fits_the_elite():
    method = CrossEntropy(popsize=20, elite=0.25, rate=0.6, sigma=0.5)
    state = method.init(torch.arange(4.0).double(), Key(0))
    for _ in range(5):
        mean, sigma = state.mean.clone(), state.sigma.clone()
        state, xs = method.ask(state)
        losses = ellipsoid(xs)
        elite = xs[losses.argsort()[:5]]
        state = method.tell(state, xs, losses)
        torch.testing.assert_close(state.mean, 0.4 * mean + 0.6 * sum(elite) / 5)
        about_old = (sum((x - mean) ** 2 for x in elite) / 5).sqrt()
        torch.testing.assert_close(state.sigma, 0.4 * sigma + 0.6 * about_old)


def test_cross_entropy_is_not_stopped_by_a_slope():
    """Where the deviations of the best are taken from their own mean, this ends half way."""
    for seed in range(5):
        state, made = search(
            CrossEntropy(), ellipsoid, torch.full((10,), 4.0).double(), 10_000, box(-5, 5, 10), seed, 1e-8
        )
        assert state.value < 1e-8, (seed, made)


def test_added_noise_keeps_the_spread():
    method = CrossEntropy(popsize=40, noise=Exponential(0.3, gamma=0.5))
    state = method.init(torch.zeros(3).double(), Key(0), box(-10.0, 10.0, 3))
    for t in range(3):
        state, xs = method.ask(state)
        state = method.tell(state, xs, sphere(xs))
        assert float(state.sigma.min()) >= 0.3 * 20 * 0.5**t


def test_values_are_counted():
    lower, upper = torch.zeros(2).double(), torch.tensor([3.0, 1.0]).double()
    domain = Domain.box(lower, upper, cells=torch.tensor([3, 0]))
    method = EstimationOfDistribution(popsize=1000, elite=0.2, rate=0.4)
    state = method.init(torch.tensor([0.5, 0.5]).double(), Key(0), domain)
    torch.testing.assert_close(state.chances, torch.full((1, 3), 1 / 3).double())
    state, xs = method.ask(state)
    assert set(xs[:, 0].tolist()) == {0.5, 1.5, 2.5}
    losses = torch.where(xs[:, 0] == 1.5, 0.0, 1.0) + 0.5 * (xs[:, 0] == 2.5) + 1e-3 * xs[:, 1]
    elite = xs[losses.argsort()[:200]]
    assert bool((elite[:, 0] == 1.5).all())
    state = method.tell(state, xs, losses)
    torch.testing.assert_close(state.chances, torch.tensor([[0.2, 0.6, 0.2]]).double())
    for _ in range(60):
        state, xs = method.ask(state)
        state = method.tell(state, xs, torch.where(xs[:, 0] == 1.5, 0.0, 1.0) + 1e-3 * xs[:, 1])
    rare = 1 / (3 * 1000)
    torch.testing.assert_close(state.chances, torch.tensor([[rare, 1 - 2 * rare, rare]]).double(), rtol=1e-2, atol=1e-6)
    torch.testing.assert_close(state.chances.sum(1), torch.ones(1).double())


def test_values_are_drawn_as_likely_as_they_are():
    domain = Domain.box(torch.zeros(2).double(), torch.tensor([4.0, 2.0]).double(), cells=torch.tensor([4, 2]))
    method = EstimationOfDistribution(popsize=20_000)
    state = method.init(torch.tensor([0.5, 0.5]).double(), Key(0), domain)
    chances = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.75, 0.25, 0.0, 0.0]]).double()
    state.chances.copy_(chances)
    _, xs = method.ask(state)
    for j, k in enumerate((4, 2)):
        shares = torch.bincount(xs[:, j].long(), minlength=k).double() / len(xs)
        assert float((shares - chances[j, :k]).abs().max()) < 0.015


def test_emna_is_the_covariance_of_the_best_about_the_old_mean():
    method = EstimationOfDistribution(popsize=50, elite=0.4, rate=0.5, joint=True, sigma=0.7)
    state = method.init(torch.ones(3).double(), Key(3))
    for _ in range(4):
        mean, old = state.mean.clone(), state.factor @ state.factor.T
        state, xs = method.ask(state)
        losses = rotated(ellipsoid, 3)(xs)
        best = xs[losses.argsort()[:20]]
        state = method.tell(state, xs, losses)
        torch.testing.assert_close(state.mean, (mean + best.mean(0)) / 2)
        torch.testing.assert_close(state.factor @ state.factor.T, (old + (best - mean).T @ (best - mean) / 20) / 2)


def test_emna_follows_a_rotated_valley_and_umda_does_not():
    f, x = rotated(ellipsoid, 5), torch.full((5,), 3.0).double()
    joint, made = search(EstimationOfDistribution(joint=True), f, x, 25_000, box(-5.0, 5.0, 5), target=1e-6)
    assert joint.value < 1e-6
    assert search(EstimationOfDistribution(), f, x, made, box(-5.0, 5.0, 5), target=1e-6)[0].value > 1e-3


def test_choices_without_an_order_are_found_and_a_moved_mean_would_not_find_them():
    """The best option of 12 is surrounded by the worst; counting does not care, a normal distribution does."""
    d, k = 8, 12
    sides = torch.zeros(d).double(), torch.full((d,), float(k)).double()
    domain = Domain.box(*sides, cells=torch.full((d,), k), unordered=torch.ones(d, dtype=torch.bool))
    costs = Key(5).uniform(d, k, like=sides[0]) + 1
    best = torch.arange(d) % (k - 2) + 1
    rows = torch.arange(d)
    costs[rows, best], costs[rows, best - 1], costs[rows, best + 1] = 0.0, 5.0, 5.0
    f = lambda xs: costs[rows, domain.index(xs)].sum(1)  # noqa: E731
    start = torch.full((d,), k / 2 + 0.5).double()
    solved = {}
    for name, method in (("counted", EstimationOfDistribution()), ("normal", CrossEntropy())):
        solved[name] = sum(search(method, f, start, 8000, domain, s, 1e-9)[0].value == 0 for s in range(5))
    assert solved["counted"] == 5
    assert solved["normal"] <= 2


@pytest.mark.parametrize("joint", [False, True])
def test_the_likeliest_point_is_recommended_under_noise(joint):
    noise = Key(8).generator()
    method = EstimationOfDistribution(noisy=True, joint=joint)
    f = lambda xs: sphere(xs - 3.0) + torch.randn(len(xs), generator=noise, dtype=torch.float64)  # noqa: E731
    state, _ = search(method, f, torch.full((3,), 8.0).double(), 5000, grid(-0.5, 10.5, 3, 11))
    assert state.x.tolist() == [3.0, 3.0, 3.0]
