"""Gaussian processes against scikit-learn's, against finite differences, and against what they must not depend on."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from descend.key import Key
from descend.model.gp import belief as beliefs
from descend.model.gp.belief import believe, features_of, posterior, sides_of
from descend.model.gp.chain import chain
from descend.model.gp.descend_many import descend_many
from descend.model.gp.features import Features
from descend.model.gp.fit import fit, milestone
from descend.model.gp.kernel import matern, matern_with_slope, square_distances
from descend.model.gp.likelihood import Prior, log_evidence
from descend.model.gp.process import condition
from descend.model.gp.warp import PARTS, Warp
from descend.model.modelled import Cube, History
from descend.space import Choice, Float, Int, Permutation, Space, When
from descend.space.domain import Domain

PRIOR = Prior.of(3)


def uniform(*shape, key=0):
    return Key(key).uniform(*shape, like=torch.zeros((), dtype=torch.float64))


def example(n=25, d=3):
    phi = uniform(n, d)
    return phi, (4 * phi).sin().sum(1) + phi[:, 0] * phi[:, 1], torch.arange(d)


def history(us, values, domain=None):
    domain = domain or Domain.box(torch.zeros(us.shape[1]).double(), torch.ones(us.shape[1]).double())
    cube = Cube(domain, (domain.lower + domain.upper) / 2)
    return History(cube, cube.middle, us, values.reshape(len(us), -1), us[:, :0], us[:0], len(us))


def peer(theta, mean, variance, phi, z):
    scales = theta[:-1].exp().numpy()
    kernel = ConstantKernel(variance) * Matern(scales, nu=2.5) + WhiteKernel(variance * float(theta[-1].exp()))
    model = GaussianProcessRegressor(kernel, optimizer=None, alpha=0.0)  # type: ignore[arg-type]
    return model.fit(phi.numpy(), (z - mean).numpy())


def test_the_kernel_is_the_one_of_scikit_learn_and_its_slope_is_right():
    a, b = uniform(6, 3), uniform(4, 3, key=1)
    squares = square_distances(a, b)
    assert np.allclose(matern(squares).numpy(), Matern(nu=2.5)(a.numpy(), b.numpy()), atol=1e-14)
    step = 1e-6
    numeric = (matern(squares + step) - matern(squares - step)) / (2 * step)
    assert torch.allclose(matern_with_slope(squares)[1], numeric, atol=1e-8)


def test_mean_and_deviation_are_those_of_scikit_learn():
    phi, z, owner = example()
    theta = torch.tensor([-0.5, 0.2, 0.4, math.log(1e-3)], dtype=torch.float64)
    process = condition(theta, phi, owner, z, 2.0)
    model = peer(theta, process.mean, process.variance, phi, z)
    at = uniform(40, 3, key=5)
    mean, deviation = model.predict(at.numpy(), return_std=True)
    ours, spread = process(at)
    assert np.allclose(ours.numpy(), mean + process.mean, atol=1e-8)
    # theirs is the deviation of a new observation, noise and all
    assert np.allclose((spread.square() + process.noise).sqrt().numpy(), deviation, rtol=1e-6)


def test_evidence_differs_from_scikit_learns_likelihood_by_the_priors_only():
    phi, z, owner = example()
    differences = []
    for shift in (0.0, 0.3, 0.9):
        theta = torch.tensor([-0.5 + shift, 0.2, 0.4 - shift, math.log(1e-3) + shift], dtype=torch.float64)
        process = condition(theta, phi, owner, z, PRIOR.strength)
        likelihood = float(peer(theta, process.mean, process.variance, phi, z).log_marginal_likelihood())  # type: ignore[arg-type]
        # the inverse gamma law of the process's variance, at its most probable value
        law = -0.5 * PRIOR.strength * (math.log(process.variance) + 1 / process.variance)
        ours = float(log_evidence(theta, phi, owner, z, PRIOR)[0] - PRIOR.log_density(theta)[0])
        differences.append(ours - likelihood - law)
    assert max(differences) - min(differences) < 1e-6


@pytest.mark.parametrize("owner", [[0, 1, 2], [0, 1, 1]])
def test_the_slope_of_the_evidence_is_right(owner):
    phi, z, _ = example()
    owner = torch.tensor(owner)
    theta = torch.full((int(owner.max()) + 2,), -0.3, dtype=torch.float64)
    prior = Prior.of(len(theta) - 1)
    slope, step = log_evidence(theta, phi, owner, z, prior)[1], 1e-5
    for i in range(len(theta)):
        away = torch.zeros_like(theta)
        away[i] = step
        ends = [float(log_evidence(theta + sign * away, phi, owner, z, prior)[0]) for sign in (1, -1)]
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(slope[i]), abs=1e-5)


def test_what_grows_with_a_point_is_right():
    phi, z, owner = example()
    process = condition(torch.tensor([-0.5, 0.2, 0.4, -9.0], dtype=torch.float64), phi, owner, z, 2.0)
    at = uniform(5, 3, key=7)
    local = process.with_slopes(at)
    ones, none = torch.ones(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for k, slopes in enumerate((local.back(ones, none), local.back(none, ones))):
        for i in range(3):
            away = torch.zeros(3, dtype=torch.float64)
            away[i] = 1e-6
            numeric = (process(at + away)[k] - process(at - away)[k]) / 2e-6
            assert torch.allclose(numeric, slopes[:, i], atol=1e-5)


def test_a_believed_point_is_one_that_was_seen_with_its_mean():
    phi, z, owner = example()
    theta = torch.tensor([-0.5, 0.2, 0.4, math.log(1e-4)], dtype=torch.float64)
    process, busy = condition(theta, phi, owner, z, 2.0), uniform(3, 3, key=8)
    believed = process.imagine(busy)
    at = torch.cat([uniform(10, 3, key=9), busy])
    seen = torch.cat([phi, busy])
    k = matern(square_distances(seen * process.inverse, seen * process.inverse))
    k.diagonal().add_(process.noise / process.variance)
    cross = matern(square_distances(at * process.inverse, seen * process.inverse))
    variance = process.variance * (1 - (cross * torch.linalg.solve(k, cross.T).T).sum(1))
    mean, deviation = believed(at)
    assert torch.allclose(mean, process(at)[0], atol=1e-9)
    assert torch.allclose(deviation.square(), variance, atol=1e-7)
    assert bool((deviation[-3:] < 0.3 * process(busy)[1]).all())


def test_observations_that_contradict_each_other_get_a_factor():
    phi = torch.zeros(4, 1, dtype=torch.float64)
    process = condition(torch.tensor([0.0, -60.0]).double(), phi, torch.arange(1), torch.arange(4.0).double(), 2.0)
    assert bool(process(phi)[0].isfinite().all())
    # what had to be added for it is noise that the process knows of
    r = 1 + process.noise / process.variance * torch.eye(4, dtype=torch.float64)
    assert torch.allclose(process.half @ r @ process.half.T, torch.eye(4, dtype=torch.float64), atol=1e-4)


def test_many_minimizations_reach_what_each_would_alone():
    # a valley along a bend, from three places, one of them with its minimum on a side of the box
    def f(x):
        a, b = 1 - x[:, 0], x[:, 1] - x[:, 0].square()
        slope = torch.stack([-2 * a - 40 * x[:, 0] * b, 20 * b], 1)
        return a.square() + 10 * b.square(), slope

    starts = torch.tensor([[-1.0, 1.5], [0.0, 0.0], [0.4, -0.5]], dtype=torch.float64)
    top = torch.tensor([[2.0, 2.0], [2.0, 2.0], [0.5, 2.0]], dtype=torch.float64)
    x, value = descend_many(f, starts, torch.full_like(top, -2.0), top, 80, 0.5, 1e-12)
    assert torch.allclose(x, torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.5, 0.25]]).double(), atol=1e-4)
    alone, _ = descend_many(f, starts[:1], torch.full_like(top[:1], -2.0), top[:1], 80, 0.5, 1e-12)
    assert torch.allclose(x[:1], alone, atol=1e-6)
    assert float(value[2]) == pytest.approx(0.25, abs=1e-6)


def test_a_chain_has_the_moments_of_its_density():
    middle, spread = torch.tensor([1.0, -2.0], dtype=torch.float64), torch.tensor([0.5, 2.0], dtype=torch.float64)

    def f(x):
        away = (x - middle) / spread
        return -0.5 * away.square().sum(), -away / spread

    side = torch.full((2,), 50.0, dtype=torch.float64)
    draws = chain(f, middle, -side, side, 400, Key(1))
    assert torch.allclose(draws.mean(0), middle, atol=0.3)
    assert torch.allclose(draws.std(0), spread, rtol=0.15)
    half = chain(f, middle, middle, side, 150, Key(1))  # a side of the box through the middle
    assert bool((half >= middle).all())
    assert float(half[:, 0].mean()) == pytest.approx(1.4, abs=0.1)


def test_a_fit_finds_which_coordinate_matters_and_how_much_noise_there_is():
    phi = uniform(80, 3)
    noise = 0.1 * Key(3).normal(80, like=phi)
    values = (6 * phi[:, 0]).sin() + noise
    found = fit(phi, torch.arange(3), values, PRIOR, PARTS[:1], 0, Key(0))
    lengths = found.thetas[0, :3].exp()
    assert float(lengths[0]) < 1 < float(lengths[1:].min())
    process = condition(found.thetas[0], phi, torch.arange(3), values, 0.0)
    assert process.noise**0.5 == pytest.approx(0.1, rel=0.3)
    exact = fit(phi, torch.arange(3), values - noise, PRIOR, PARTS[:1], 0, Key(0))
    assert float(exact.thetas[0, 3].exp()) < 1e-5


def test_the_scale_is_chosen_by_the_evidence():
    phi = uniform(60, 2)
    wave = (5 * phi).sin().sum(1)
    plain = fit(phi, torch.arange(2), wave, Prior.of(2), PARTS, 0, Key(0))
    tall = fit(phi, torch.arange(2), (4 * wave).exp(), Prior.of(2), PARTS, 0, Key(0))
    assert plain.part == math.inf
    assert tall.part < 1


def test_noise_alone_is_no_reason_for_another_scale_unless_it_has_long_tails():
    """The slope of the scale belongs to the evidence: without it both would go wrong."""
    phi, noise = uniform(30, 2), Key(2).normal(30, like=uniform(1))
    noisy = (5 * phi).sin().sum(1) + 0.5 * noise
    assert fit(phi, torch.arange(2), noisy, Prior.of(2), PARTS, 0, Key(0)).part == math.inf
    assert fit(phi, torch.arange(2), (1.4 * noise).tan(), Prior.of(2), PARTS, 0, Key(0)).part < math.inf


def test_a_fit_begins_with_noise_and_without_it_and_takes_the_better_one():
    """A fit that began with one of the two would be worse by 3 and by 6."""

    def evidence(phi, values):
        prior, z = Prior.of(phi.shape[1]), Warp.of(values, math.inf)(values)
        owner = torch.arange(phi.shape[1])
        found = fit(phi, owner, values, prior, PARTS[:1], 0, Key(0))
        return float(log_evidence(found.thetas[0], phi, owner, z, prior)[0])

    rough, line = uniform(8, 1, key=8), uniform(20, 2, key=20)
    assert evidence(rough, (20 * rough[:, 0]).sin()) > -1.5
    assert evidence(line, line.sum(1) + 0.3 * Key(2).normal(20, like=line)) > -2


@pytest.mark.parametrize("q", [1, 9])
def test_the_prior_of_a_length_scale_has_its_mode_where_the_paper_has_it(q):
    law = torch.distributions.LogNormal(2**0.5 + math.log(q) / 2, 3**0.5)
    lengths = torch.linspace(0.01, 5, 5000, dtype=torch.float64)
    mode = float(lengths[law.log_prob(lengths).argmax()])
    assert Prior.of(q).length == pytest.approx(math.log(mode), abs=0.01)


@pytest.mark.parametrize("part", PARTS)
def test_a_warp_grows_and_can_be_undone(part):
    values = torch.tensor([1.0, 1.5, 2.0, 30.0, 1e6], dtype=torch.float64)
    warp = Warp.of(values, part)
    z = warp(values)
    assert bool((z.diff() > 0).all())
    assert float(z.mean()) == pytest.approx(0, abs=1e-9)
    assert torch.allclose(warp.back(z), values, rtol=1e-9)
    numeric = (warp.back(z + 1e-6) - warp.back(z - 1e-6)) / 2e-6
    assert torch.allclose(numeric, warp.slope(z), rtol=1e-4)


def test_equal_values_do_no_harm_to_a_warp():
    assert Warp.of(torch.full((4,), 3.0, dtype=torch.float64), 0.1)(torch.tensor([3.0])).tolist() == [0.0]


def test_milestones_grow_by_a_tenth():
    steps = sorted({milestone(n) for n in range(1, 1001)})
    assert steps[:50] == list(range(1, 51))
    assert all(b <= math.ceil(1.1 * a) for a, b in itertools.pairwise(steps))
    assert len(steps) < 90
    assert all(milestone(milestone(n)) == milestone(n) <= n for n in range(1, 1001))


def features_and_points(space, points):
    cube = Cube(space.domain, space.middle)
    us = cube.inside(space.encode(points))
    features = Features(cube)
    phi = features(cube.centre(us), cube.active(us))
    return features, phi, torch.cdist(phi, phi)


def test_distances_of_mixed_points():
    space = Space(x=Float(0, 1), n=Int(1, 4), c=Choice("a", "b", "c"))
    points = [{"x": 0.2, "n": 1, "c": c} for c in "abc"] + [{"x": 0.7, "n": 1, "c": "a"}, {"x": 0.2, "n": 3, "c": "a"}]
    features, _, apart = features_and_points(space, points)
    assert features.scales == 3
    assert torch.allclose(apart[0], torch.tensor([0.0, 1.0, 1.0, 0.5, 0.5]).double())
    assert features.smooth.tolist() == [True, False, False]


def test_an_absent_coordinate_is_equally_far_from_all_present_ones():
    space = Space(c=Choice("a", "b"), x=When("c", "a", Float(0, 1)), k=When("c", "a", Choice("u", "v")))
    points = [{"c": "a", "x": x, "k": k} for x in (0.0, 0.4, 1.0) for k in "uv"] + [{"c": "b"}]
    features, _phi, apart = features_and_points(space, points)
    assert features.scales == 3
    assert torch.allclose(apart[-1, :-1], apart[-1, 0].expand(6))
    assert float(apart[0, 4]) == pytest.approx(2 * math.sin(0.5))  # a chord of the arc
    # what stands in coordinates that are not there means nothing
    cube = features.cube
    us = cube.inside(space.encode(points[-1:])).repeat(3, 1)
    us[:, 1:] = uniform(3, 2)
    us[:, 0] = us[0, 0]
    absent = features(us, cube.active(us))
    assert torch.equal(absent, absent[:1].expand(3, -1))


def test_permutations_are_their_ranks():
    space = Space(order=Permutation(4))
    features, _phi, apart = features_and_points(
        space, [{"order": p} for p in ([0, 1, 2, 3], [1, 0, 2, 3], [3, 2, 1, 0])]
    )
    assert features.scales == 1
    assert not bool(features.smooth.any())
    assert 0 < float(apart[0, 1]) < float(apart[0, 2])
    # an item of n that moves by n places, and the root of n of them, make a distance of about 1
    assert float(apart[0, 1]) == pytest.approx(2**0.5 / 4**1.5)


def test_slopes_go_back_through_arcs():
    space = Space(c=Choice("a", "b"), y=Float(0, 1), x=When("c", "a", Float(0, 1)))
    cube = Cube(space.domain, space.middle)
    features, us = Features(cube), cube.inside(space.encode([{"c": "a", "y": 0.3, "x": 0.4}, {"c": "b", "y": 0.3}]))
    active = cube.active(us)
    weights = uniform(features(us, active).shape[1], key=4)
    slopes = features.back(us, active, weights.expand(2, -1))
    for i in range(us.shape[1]):
        if bool(features.smooth[i]):
            away = torch.zeros_like(us[0])
            away[i] = 1e-6
            numeric = (features(us + away, active) - features(us - away, active)) @ weights / 2e-6
            assert torch.allclose(numeric, slopes[:, i], atol=1e-6)
    assert float(slopes[1].abs().sum()) == pytest.approx(float(slopes[1, 1].abs()))  # y only


def test_length_scales_belong_to_their_coordinates():
    space = Space(c=Choice("a", "b"), y=Float(0, 1), x=When("c", "a", Float(0, 1)))
    features = Features(Cube(space.domain, space.middle))
    theta = torch.tensor([0.3, 0.7, 2.0], dtype=torch.float64)  # of y, of the arc of x, and of c
    assert features.lengths(1 / theta[features.owner]).tolist() == pytest.approx([1.0, 0.3, 0.7])


def test_a_cold_start_gives_the_same_bits():
    us = uniform(70, 4)
    values = (us - 0.4).square().sum(1)
    past, features = history(us, values), features_of(history(us, values).cube)
    warm = [believe(features, history(us[:n], values[:n]), values[:n]) for n in (55, 62, 70)][-1]
    beliefs._FITS.clear()
    cold = believe(features, past, values)
    assert torch.equal(warm.processes[0].alpha, cold.processes[0].alpha)
    assert torch.equal(warm.means, cold.means)


def test_a_fit_is_kept_for_its_own_features_only():
    phi, values, _ = example()
    each, one = (SimpleNamespace(owner=torch.tensor(owner)) for owner in ([0, 1, 2], [0, 0, 0]))
    first = beliefs._fitted(each, phi, values, PRIOR, PARTS[:1], 0)  # type: ignore[arg-type]
    assert len(first.thetas[0]) == 4
    assert len(beliefs._fitted(one, phi, values, PRIOR, PARTS[:1], 0).thetas[0]) == 2  # type: ignore[arg-type]
    assert beliefs._fitted(each, phi, values, PRIOR, PARTS[:1], 0) is first  # type: ignore[arg-type]
    assert beliefs._fitted(each, phi, values, PRIOR, PARTS, 0) is not first  # type: ignore[arg-type]


def test_lengths_are_divided_and_nothing_else_changes():
    us = uniform(20, 2)
    past = history(us, (us - 0.4).square().sum(1))
    usual, short = (believe(features_of(past.cube), past, past.values[:, 0], shorter=by) for by in (1.0, 2.0))
    assert torch.allclose(short.processes[0].inverse, 2 * usual.processes[0].inverse)
    a, b = usual.processes[0], short.processes[0]
    assert a.noise / a.variance == pytest.approx(b.noise / b.variance)


def test_the_posterior_is_in_the_unit_of_the_values():
    us = uniform(60, 2)
    values = 1000 + 50 * (us - 0.4).square().sum(1)
    believed = posterior(history(us, values))
    at = uniform(50, 2, key=3)
    mean, deviation = believed(at)
    truth = 1000 + 50 * (at - 0.4).square().sum(1)
    assert bool(((mean - truth).abs() < 0.2).all())
    assert bool((deviation < 1).all())
    assert bool((deviation > 0).all())
    noisy = posterior(history(us, values + 5 * Key(1).normal(60, like=us)))
    assert noisy.noise(at).tolist() == pytest.approx([5.0] * 50, rel=0.4)


def test_a_model_of_many_answers_is_made_from_the_best_and_the_latest():
    us = uniform(120, 2)
    values = (us - 0.4).square().sum(1)
    past = history(us, values)
    small = believe(features_of(past.cube), past, values, limit=40)
    latest = len(values) - milestone(len(values))
    assert len(small.processes[0].alpha) == 40 + latest
    assert small.means.shape == (1, 120)
    assert float(small.means[0].argmin()) == float(values.argmin())
    m, process = milestone(120), small.processes[0]
    best = values[: m - 20].argsort()[:20].sort().values
    chosen = torch.cat([us[best], us[m - 20 :]])
    assert torch.allclose(process.seen / process.inverse + 0.5, chosen)


def test_constraints_that_only_say_yes_still_have_two_sides():
    columns = sides_of(torch.tensor([[0.0, -1.0], [3.0, 1.0], [0.0, 4.0]], dtype=torch.float64))
    assert bool((columns[:, 0].sign() == torch.tensor([-1, 1, -1])).all())
    assert bool((columns[:, 1].sign() == torch.tensor([-1, 1, 1])).all())
    # the unit of a constraint does not matter, also where a run goes far out
    far = torch.tensor([[-2.0], [0.5], [1e3], [-1.0], [0.0]], dtype=torch.float64)
    assert torch.allclose(sides_of(1e4 * far), sides_of(far))
    assert 3 < float(sides_of(far).max()) < 10
