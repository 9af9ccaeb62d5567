"""Particle swarms: the equation, the topologies, and a plain swarm beside them."""

import sys
from pathlib import Path
from statistics import median

import numpy as np
import pytest
import torch

from descend.key import Key
from descend.population.swarm import ParticleSwarm, everybody, ring, von_neumann

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from distributions import box, search, sphere


def plain_swarm(f, low, high, d, n, generations, target, seed):
    """Equation (1), one particle and one coordinate at a time in spirit: no blocks, no bounds once it has begun."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(low, high, (n, d))
    v = (rng.uniform(low, high, (n, d)) - x) / 2
    p, best = x.copy(), f(x)
    for t in range(generations):
        g = p[best.argmin()]
        v = 0.7298 * v + 1.49618 * rng.random((n, d)) * (p - x) + 1.49618 * rng.random((n, d)) * (g - x)
        x = x + v
        values = f(x)
        better = values < best
        p[better], best[better] = x[better], values[better]
        if best.min() < target:
            return (t + 2) * n
    return None


def test_a_global_swarm_needs_as_many_evaluations_as_a_plain_one():
    ours, theirs = [], []
    for seed in range(7):
        start = Key(seed).uniform(8, like=torch.zeros(0).double()) * 10 - 5
        method = ParticleSwarm(popsize=30, topology="global")
        ours.append(search(method, sphere, start, 40_000, box(-5.0, 5.0, 8), seed, 1e-8)[1])
        theirs.append(plain_swarm(lambda x: (x * x).sum(1), -5, 5, 8, 30, 1000, 1e-8, seed))
    assert 0.8 < median(ours) / median(theirs) < 1.25


def test_the_equation():
    method = ParticleSwarm(popsize=500, topology="global", inertia=0.5, own=1.0, social=3.0)
    state = method.init(torch.zeros(3).double(), Key(0))
    state, xs = method.ask(state)
    state = method.tell(state, xs, sphere(xs - 0.1))
    x, v, best = state.position.clone(), state.velocity.clone(), state.x.clone()
    assert torch.equal(x, state.own)
    state, xs = method.ask(state)
    # every particle is at its own best place, so only the leader pulls: 3 r, uniform on [0, 3)
    pull = ((state.velocity - 0.5 * v) / (best - x))[(x != best).any(1)]
    assert pull.numel() == 499 * 3
    assert float(pull.min()) >= -1e-9
    assert float(pull.max()) < 3 + 1e-9
    assert abs(float(pull.mean()) - 1.5) < 0.08
    assert abs(float(pull.var()) - 9 / 12) < 0.08
    torch.testing.assert_close(xs, x + state.velocity)
    # away from its own place, a particle is pulled there too: r is uniform on [0, 1)
    state = method.tell(state, xs, torch.full((500,), 1e9).double())
    x, v = state.position.clone(), state.velocity.clone()
    state, _ = method.ask(state)
    rest = (state.velocity - 0.5 * v - 1.5 * (best - x)) / (state.own - x)
    assert abs(float(rest.median()) - 0.5) < 0.15


def test_a_particle_bounces_off_a_side_at_half_its_speed():
    method = ParticleSwarm(popsize=2000)
    state = method.init(torch.zeros(2).double(), Key(0), box(-1.0, 1.0, 2))
    state, xs = method.ask(state)
    state = method.tell(state, xs, -xs.sum(1))  # the best corner is (1, 1)
    before = state.position.clone()
    state, xs = method.ask(state)
    assert bool((xs.abs() <= 1).all())
    landed = (xs - before - state.velocity).abs() > 1e-12
    assert int(landed.sum()) > 10
    straight = before - 2 * state.velocity  # v_before = -2 v_after where it bounced
    mirrored = torch.where(straight > 1, 2 - straight, -2 - straight)
    torch.testing.assert_close(xs[landed], mirrored[landed])


@pytest.mark.parametrize("n", [2, 4, 9, 40])
def test_topologies_are_what_they_are_called(n):
    assert everybody(n).tolist() == [list(range(n))]
    assert [set(row) for row in ring(n).tolist()] == [{i, (i + 1) % n, (i - 1) % n} for i in range(n)]
    table = von_neumann(n).tolist()
    assert all(i in table[j] for i in range(n) for j in table[i])  # hearing is mutual
    assert all(i in table[i] for i in range(n))


@pytest.mark.parametrize(("topology", "hear"), [("global", range(20)), ("ring", [6, 8]), (ring, [6, 8])])
def test_who_hears_of_a_better_place(topology, hear):
    method = ParticleSwarm(popsize=20, topology=topology, inertia=1e-9, own=1e-9)
    state = method.init(torch.zeros(2).double(), Key(0))
    state, xs = method.ask(state)
    losses = torch.arange(1.0, 21.0).double()
    losses[7] = -1.0
    state = method.tell(state, xs, losses)
    towards = state.own[7] - state.position
    state, _ = method.ask(state)
    share = state.velocity / towards
    pulled = ((share > 1e-6) & (share < 1.5)).all(1)
    assert {i for i in range(20) if pulled[i]} >= set(hear) - {7}
    if topology != "global":
        # the others follow the lower loss of the two beside them, which is the place before their own
        assert float((state.position[3] - state.own[2]).abs().max()) < float((xs[3] - xs[2]).abs().max())


def test_news_travels_from_neighbour_to_neighbour_more_slowly_than_to_all():
    used = {
        name: median(
            search(
                ParticleSwarm(topology=name), sphere, torch.full((6,), 4.0).double(), 20_000, box(-5.0, 5.0, 6), s, 1e-6
            )[1]
            for s in range(5)
        )
        for name in ("global", "von-neumann", "ring")
    }
    assert 1.1 * used["global"] < used["von-neumann"]
    assert 1.1 * used["von-neumann"] < used["ring"]
