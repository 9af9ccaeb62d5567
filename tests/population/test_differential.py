"""Differential evolution: every trial is what its row of the table says, and adaptation pays."""

import itertools
import math
import sys
from dataclasses import replace
from pathlib import Path
from statistics import median

import pytest
import torch
from scipy.optimize import differential_evolution
from scipy.stats import cauchy, kstest

from descend.key import Key
from descend.population.differential import DifferentialEvolution
from descend.population.mutation import MUTATIONS, Mutation
from descend.population.success import JADE, SHADE, Fixed

sys.path.append(str(Path(__file__).parent))  # the tests are no package
from distributions import box, ellipsoid, grid, rastrigin, rosenbrock, search, sphere


def generation(method, d=3, seed=0, domain=None):
    """The members with their losses, and the trials of the first generation that has any."""
    state = method.init(torch.zeros(d).double(), Key(seed), domain)
    state, xs = method.ask(state)
    state = method.tell(state, xs, ellipsoid(xs - 0.2))
    members, losses = state.pool[: len(xs)].clone(), state.losses.clone()
    state, trials = method.ask(state)
    return members, losses, trials


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_trial_is_what_its_mutation_says(name):
    """With CR = 1 a trial is its mutant: looked for among all members, all different, that could have made it."""
    row, size, scale = MUTATIONS[name], 7, 0.6
    method = DifferentialEvolution(popsize=size, mutation=name, adaptation=Fixed(scale, 1.0), share=0.3)
    members, losses, trials = generation(method)
    ranked = losses.argsort().tolist()
    for i, trial in enumerate(trials):
        ends = {"current": [i], "best": ranked[:1], "good": ranked[:2], "random": [j for j in range(size) if j != i]}
        found = False
        targets = ends[row.target] if row.target else [None]
        for b, t in itertools.product(ends[row.base], targets):
            taken = {i} | ({b} if row.base == "random" else set()) | ({t} if row.target == "random" else set())
            rest = [j for j in range(size) if j not in taken]
            for pairs in itertools.permutations(rest, 2 * row.pairs):
                mutant = members[b].clone()
                if t is not None:
                    mutant += scale * (members[t] - members[b])
                for r, s in zip(pairs[::2], pairs[1::2], strict=True):
                    mutant += scale * (members[r] - members[s])
                found |= bool(torch.allclose(mutant, trial, rtol=0, atol=1e-12))
        assert found, (name, i)


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9])
def test_coordinates_are_taken_over_at_the_crossover_rate_and_one_always(rate):
    d, size = 50, 200
    method = DifferentialEvolution(popsize=size, mutation="rand/1", adaptation=Fixed(0.5, rate))
    members, _, trials = generation(method, d)
    taken = (trials != members).double()
    assert float(taken.sum(1).min()) >= 1
    expected = (1 + rate * (d - 1)) / d
    assert abs(float(taken.mean()) - expected) < 4 * math.sqrt(rate * (1 - rate) / (d * size)) + 1e-3
    assert float(taken.mean(0).max()) < expected + 0.2  # no coordinate is preferred


def test_strangers_are_uniform():
    method = DifferentialEvolution(popsize=6, mutation=Mutation("random"), adaptation=Fixed(1e-9, 1.0))
    counts = torch.zeros(6, 6)
    for seed in range(300):
        members, _, trials = generation(method, 3, seed)
        near = (trials[:, None] - members[None]).abs().sum(2).argmin(1)
        counts[torch.arange(6), near] += 1
    assert float(counts.diagonal().sum()) == 0
    assert float((counts[~torch.eye(6, dtype=torch.bool)] / 300 - 0.2).abs().max()) < 5 * math.sqrt(0.16 / 300)


def test_good_members_are_any_of_the_best():
    method = DifferentialEvolution(popsize=10, mutation=Mutation("good"), adaptation=Fixed(1e-9, 1.0), share=0.3)
    counts = torch.zeros(10)
    for seed in range(40):
        members, losses, trials = generation(method, 3, seed)
        ranks = losses.argsort().argsort()
        counts += torch.bincount(ranks[(trials[:, None] - members[None]).abs().sum(2).argmin(1)], minlength=10)
    assert float(counts[3:].sum()) == 0
    assert float((counts[:3] / 400 - 1 / 3).abs().max()) < 5 * math.sqrt(2 / 9 / 400)


def test_answers_to_an_older_question_of_a_slot_teach_nothing_about_its_newer_weights():
    method = DifferentialEvolution(popsize=6, adaptation=JADE())
    state = method.init(torch.zeros(2).double(), Key(0))
    state, xs = method.ask(state)
    state = method.tell(state, xs, torch.full((6,), 10.0).double())
    state, older = method.ask(state)
    state, newer = method.ask(state)
    state = method.tell(state, older, torch.full((6,), 9.0).double(), torch.arange(6, 12))
    assert state.turn == 0
    assert state.losses.tolist() == [9.0] * 6
    state = method.tell(state, newer, torch.full((6,), 8.0).double(), torch.arange(12, 18))
    assert state.turn == 1


def test_the_archive_holds_replaced_parents_and_is_drawn_from():
    method = DifferentialEvolution(popsize=5, mutation=Mutation("best", archive=True), adaptation=Fixed(1.0, 1.0))
    state = method.init(torch.zeros(2).double(), Key(0))
    state, xs = method.ask(state)
    state = method.tell(state, xs, torch.full((5,), 10.0).double())
    assert state.stored == 0
    parents = state.pool[:5].clone()
    state, xs = method.ask(state)
    state = method.tell(state, xs, torch.tensor([9.0, 11.0, 8.0, 10.0, math.nan]).double())
    assert state.stored == 2  # an equal one takes the place too, but nothing better was learned
    assert torch.equal(state.pool[5:7], parents[[0, 2]])
    assert torch.equal(state.pool[:5], torch.stack([xs[0], parents[1], xs[2], xs[3], parents[4]]))
    archive = state.pool[5:7].clone()
    used = 0
    for seed in range(40):
        again = method.init(torch.zeros(2).double(), Key(seed))
        again = replace(state, key=Key(seed), pool=state.pool.clone(), losses=state.losses.clone())
        again, trials = method.ask(again)
        best = state.pool[state.losses.argmin()]
        for trial in trials:
            for old in archive:
                used += any(torch.allclose(trial, best + member - old) for member in state.pool[:5])
    assert abs(used / 200 - 2 / 7) < 4 * math.sqrt(2 / 7 * 5 / 7 / 200)


def test_weights_follow_a_cauchy_law_without_its_left_end_and_rates_a_normal_one():
    memory = torch.tensor([[0.4], [0.7]], dtype=torch.float64)
    weights, rates = JADE().draw(memory, 20_000, torch.Generator().manual_seed(1))
    law = cauchy(0.4, 0.1)
    below, most = law.cdf(0), law.cdf(1)
    inner = weights[weights < 1]
    assert kstest(inner.numpy(), lambda x: (law.cdf(x) - below) / (most - below)).pvalue > 1e-3
    assert abs(len(inner) / 20_000 - (most - below) / (1 - below)) < 0.01
    assert float(weights.min()) > 0
    assert abs(float(rates.mean()) - 0.7) < 0.005
    assert abs(float(rates.std()) - 0.1) < 0.005


def test_shade_learns_as_its_equations_say():
    memory, shade = SHADE(history=3).init(), SHADE(history=3)
    weights, rates = torch.tensor([0.2, 0.8]).double(), torch.tensor([0.1, 0.9]).double()
    gains = torch.tensor([1.0, 3.0]).double()
    memory = shade.learn(memory, 4, weights, rates, gains)  # turn 4 is place 1
    assert memory[:, [0, 2]].tolist() == [[0.5, 0.5], [0.5, 0.5]]
    lehmer = [(1 * a * a + 3 * b * b) / (1 * a + 3 * b) for a, b in ((0.2, 0.8), (0.1, 0.9))]
    torch.testing.assert_close(memory[:, 1], torch.tensor(lehmer).double())
    memory = shade.learn(memory, 1, weights, torch.zeros(2).double(), gains)
    assert float(memory[1, 1]) == -1  # for ever
    memory = shade.learn(memory, 1, weights, rates, gains)
    assert float(memory[1, 1]) == -1
    assert float(shade.draw(memory[:, 1:2].expand(2, 3), 50, torch.Generator().manual_seed(0))[1].max()) == 0


def test_l_shade_shrinks_in_a_straight_line_to_four_members_and_keeps_the_best():
    method = DifferentialEvolution(popsize=60, budget=6000, adaptation=SHADE(6))
    state, sizes = method.init(torch.full((4,), 2.0).double(), Key(0), box(-5.0, 5.0, 4)), []
    while state.asked < 6000:
        state, xs = method.ask(state)
        state = method.tell(state, xs, sphere(xs))
        sizes.append((state.asked, len(state.losses)))
        assert float(state.losses.min()) == state.value
        assert len(state.pool) == 2 * len(state.losses)
    assert all(n == max(4, round(60 - 56 * min(1, asked / 6000))) for asked, n in sizes)
    assert sizes[-1][1] == 4


def evaluations(method, f, d, budget, runs=5, target=1e-8):
    """The median number of evaluations to the target, inf where it was not reached."""
    used = []
    for seed in range(runs):
        start = Key(seed).uniform(d, like=torch.zeros(0).double()) * 8 - 4
        state, made = search(method, f, start, budget, box(-5.0, 5.0, d), seed, target)
        used.append(made if state.value < target else math.inf)
    return median(used)


def test_shade_is_better_than_the_classic_on_rosenbrock_and_rastrigin():
    classic = DifferentialEvolution(popsize=30, mutation="rand/1", adaptation=Fixed(0.5, 0.9))
    for f in (rosenbrock, rastrigin):
        shade = evaluations(DifferentialEvolution(), f, 4, 20_000, 3)
        assert shade < 20_000
        assert evaluations(classic, f, 4, int(1.25 * shade), 3) == math.inf


def test_the_classic_needs_as_many_evaluations_as_scipy():
    """best/1/bin with the dither and crossover rate of SciPy, which updates generations at once too."""
    ours = evaluations(
        DifferentialEvolution(popsize=60, mutation="best/1", adaptation=Fixed((0.5, 1.0), 0.7)),
        rastrigin,
        3,
        20_000,
        7,
        1e-6,
    )
    theirs = []
    for seed in range(7):
        seen: list[float] = []

        def f(x, seen=seen):
            values = rastrigin(torch.as_tensor(x.T))
            seen.extend(values.tolist())
            return values.numpy()

        differential_evolution(
            f, [(-5, 5)] * 3, popsize=20, maxiter=150, tol=0, polish=False, rng=seed, vectorized=True,
            updating="deferred", init="random",
        )  # fmt: skip
        theirs.append(next((i for i, value in enumerate(seen) if value < 1e-6), math.inf))
    assert 0.6 < ours / median(theirs) < 1.6


def test_rastrigin_is_solved_in_ten_dimensions():
    assert evaluations(DifferentialEvolution(), rastrigin, 10, 25_000, 1) < 25_000


def test_differences_between_cells_are_not_lost_to_rounding():
    """Members remember what lies behind the middles of their cells; steps of half a cell add up."""
    method = DifferentialEvolution(popsize=8)
    state = method.init(torch.full((3,), 5.0).double(), Key(0), grid(-0.5, 10.5, 3, 11))
    for _ in range(6):
        state, xs = method.ask(state)
        state = method.tell(state, xs, sphere(xs))
        middles = state.domain.centre(state.pool[:8])
        assert not torch.equal(state.pool[:8], middles)
        assert torch.equal(sphere(middles), state.losses)


def test_members_that_are_one_point_have_nothing_more_to_ask():
    state, made = search(DifferentialEvolution(popsize=10), lambda x: sphere(x - 1.0), torch.zeros(2).double(), 60_000)
    assert state.done == "all members are the same point"
    assert made < 60_000
