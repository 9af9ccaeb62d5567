"""The mirrored methods beside naive versions of their papers' formulas."""

import sys
from pathlib import Path

import pytest
import torch

from descend.key import Key
from descend.population.openai_es import OpenAIES
from descend.population.pgpe import PGPE
from descend.population.sampling import pairs_of
from descend.population.snes import SNES
from descend.step import Exponential

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from distributions import box, ellipsoid, search, sphere


def ranks(losses):
    return losses.argsort().argsort().double() / (len(losses) - 1) - 0.5


@pytest.mark.parametrize("method", [PGPE(popsize=8), OpenAIES(popsize=8)], ids=["PGPE", "OpenAIES"])
def test_points_come_in_mirrored_pairs_and_one_is_left_over_of_an_odd_number(method):
    state = method.init(torch.arange(3.0).double(), Key(0))
    state, xs = method.ask(state)
    torch.testing.assert_close(xs[:4] + xs[4:], 2 * state.mean.expand(4, 3))
    assert len(set(xs[:, 0].tolist())) == 8
    state, xs = method.ask(state, 5)
    torch.testing.assert_close(xs[:2] + xs[3:], 2 * state.mean.expand(2, 3))
    state = method.tell(state, xs, sphere(xs))
    assert bool(state.mean.isfinite().all())


def test_weights_of_pairs():
    odd, even = pairs_of(torch.tensor([1.0, 2.0, 3.0, 10.0, 20.0]))
    assert odd.tolist() == [-9.0, -18.0, 3.0]
    assert even.tolist() == [11.0, 22.0, 3.0]


def test_openai_es_is_adam_on_the_gradient_of_ranks():
    d, n, sigma, lr = 5, 14, 0.3, 0.05
    method = OpenAIES(popsize=n, sigma=sigma, lr=lr)
    state = method.init(torch.ones(d, dtype=torch.float64), Key(4))
    theirs = torch.nn.Parameter(torch.ones(d, dtype=torch.float64))
    adam = torch.optim.Adam([theirs], lr=lr)
    for _ in range(20):
        state, xs = method.ask(state)
        losses = ellipsoid(xs)
        noise = (xs - theirs.detach()) / sigma
        theirs.grad = sum(r * e for r, e in zip(ranks(losses), noise, strict=True)) / (n * sigma)
        adam.step()
        state = method.tell(state, xs, losses)
        torch.testing.assert_close(state.mean, theirs.detach(), rtol=1e-9, atol=1e-12)


def test_openai_es_follows_its_schedules_and_the_lengths_of_its_domain():
    wide = box(-50.0, 50.0, 4)
    method = OpenAIES(popsize=4000, sigma=Exponential(0.1, gamma=0.5), lr=0.05)
    state = method.init(torch.zeros(4).double(), Key(1), wide)
    for deviation in (10.0, 5.0):
        state, xs = method.ask(state)
        assert abs(float((xs - state.mean).std()) / deviation - 1) < 0.05
        before = state.mean.clone()
        state = method.tell(state, xs, xs.sum(1))
        assert 0 < float((before - state.mean).max()) <= 5.0 * 1.01


def test_pgpe_is_clipup_on_the_gradient_of_ranks():
    d, n = 4, 10
    method = PGPE(popsize=n, sigma=0.5, speed=0.2, momentum=0.8, rate=0.3)
    state = method.init(torch.ones(d, dtype=torch.float64), Key(2))
    velocity = torch.zeros(d, dtype=torch.float64)
    for _ in range(15):
        mean, sigma = state.mean.clone(), state.sigma.clone()
        state, xs = method.ask(state)
        losses = ellipsoid(xs)
        epsilon = xs - mean
        reward = -4 / n * ranks(losses)
        towards = sum(r * e for r, e in zip(reward, epsilon, strict=True))
        wider = sum(r * ((e / sigma) ** 2 - 1) for r, e in zip(reward, epsilon, strict=True))
        largest = 0.2 * sigma.norm()
        velocity = 0.8 * velocity + largest / 2 * towards / towards.norm()
        if velocity.norm() > largest:
            velocity = velocity * largest / velocity.norm()
        state = method.tell(state, xs, losses)
        torch.testing.assert_close(state.mean, mean + velocity, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(state.sigma, sigma * (0.3 * wider).clamp(-0.2, 0.2).exp(), rtol=1e-10, atol=0)


def test_pgpe_needs_fewer_evaluations_than_snes_in_100_dimensions():
    x = torch.full((100,), 3.0, dtype=torch.float64)
    used = {type(m): search(m, sphere, x, 60_000, box(-5.0, 5.0, 100), target=1e-2)[1] for m in (PGPE(), SNES())}
    assert used[PGPE] < 0.8 * used[SNES] < 60_000
