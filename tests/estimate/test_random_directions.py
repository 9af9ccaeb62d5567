"""Random-direction estimators: unbiased, with the variance that theory gives, lazy, and exact in what they count."""

import math

import pytest
import torch

from descend.direction import Combination, Seeded
from descend.errors import InvalidValue
from descend.estimate import RDSA, SPSA, GaussianSmoothing, MeZO, RandomDirections, RandomLaw, SphereSmoothing
from descend.estimate.draw import Coupling, draw
from descend.estimate.random_directions import automatic_radius
from descend.estimate.stencil import STENCILS
from descend.key import Key
from descend.oracle import Function

D = 6
SLOPE = torch.tensor([1.0, -2.0, 0.5, 3.0, 0.0, -1.0], dtype=torch.float64)
X = torch.linspace(-1, 1, D, dtype=torch.float64)


def linear(x):
    return x @ SLOPE


def estimates(estimator, runs, f=linear, x=X):
    oracle = Function(f, batched=True) | estimator
    like = x.new_zeros(())
    return torch.stack([oracle.gradient(x, Key(11).fold(i)).gradient.dense(like) for i in range(runs)])


def assert_unbiased(found, truth, errors=3.0):
    standard_error = found.std(0) / math.sqrt(len(found))
    # an estimate without any spread is exact to rounding
    assert ((found.mean(0) - truth).abs() <= errors * standard_error + 1e-7).all(), (found.mean(0), truth)


@pytest.mark.parametrize("law", list(RandomLaw))
@pytest.mark.parametrize("formula", sorted({row.name for row in STENCILS.values()}))
@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("per_group", [False, True])
def test_mean_is_the_gradient(law, formula, samples, per_group):
    radius = ((0, 2, 1e-2), (2, D, 1.0)) if per_group else 0.1
    assert_unbiased(estimates(RandomDirections(law, formula, samples, radius), 400), SLOPE)


@pytest.mark.parametrize("law", list(RandomLaw))
def test_second_moment_of_one_sample_is_what_theory_says(law):
    """E |D f z|^2 = |g|^2 m with m = d - 1 + E z^4, or d on the sphere; read off the terms of one large estimate."""
    n = 30000
    slope = (Function(linear, batched=True) | RandomDirections(law, "central", n, 0.1)).gradient(X, Key(7))
    ((weights, z),) = slope.gradient.terms
    squares = (n * torch.tensor(weights, dtype=torch.float64)).square() * z.dense(X).square().sum(1)
    assert_within_five_percent(squares, float(SLOPE.square().sum()) * law.second_moment(D))


@pytest.mark.parametrize("law", list(RandomLaw))
def test_second_moment_of_several_samples_is_what_theory_says(law):
    """E |g_hat|^2 = |g|^2 (1 + (m - 1) / n)."""
    squares = estimates(RandomDirections(law, "central", 16, 0.1), 1500).square().sum(1)
    assert_within_five_percent(squares, float(SLOPE.square().sum()) * (1 + (law.second_moment(D) - 1) / 16))


def assert_within_five_percent(squares, theory):
    assert float(squares.mean()) == pytest.approx(theory, rel=0.05)
    # the margin is more than three standard errors, so the 5 % can be told from luck
    assert 3 * float(squares.std()) / math.sqrt(len(squares)) < 0.05 * theory


@pytest.mark.parametrize("baseline", ["leave-one-out", "mean"])
@pytest.mark.parametrize("formula", ["forward", "backward"])
def test_leave_one_out_is_unbiased_and_asks_nothing_at_the_centre(baseline, formula):
    estimator = RandomDirections("normal", formula, 3, 0.1, baseline=baseline)
    assert_unbiased(estimates(estimator, 2000), SLOPE)
    oracle = Function(linear, batched=True) | estimator
    slope = oracle.gradient(X, Key(0))
    assert oracle.ledger.counts == {"value": 3}
    assert math.isnan(slope.value)


@pytest.mark.parametrize("coupling", list(Coupling))
@pytest.mark.parametrize("law", list(RandomLaw))
def test_every_coupling_is_unbiased(coupling, law):
    estimator = RandomDirections(law, "forward", 4, 0.1, coupling)
    # scrambled Sobol points are not independent between seeds to the last bit: four standard errors
    assert_unbiased(estimates(estimator, 1500), SLOPE, errors=4.0)


def test_orthogonal_directions_in_all_dimensions_give_the_gradient_itself():
    found = estimates(RandomDirections("sign", "central", D, 0.1, "orthogonal"), 3)
    torch.testing.assert_close(found, SLOPE.expand(3, D), rtol=1e-7, atol=1e-9)
    z = draw(RandomLaw.SIGN, Coupling.ORTHOGONAL, 9, X, Key(0)).dense(X)
    torch.testing.assert_close(z[:D] @ z[:D].T, D * torch.eye(D, dtype=torch.float64))
    torch.testing.assert_close(z[D:].norm(dim=1), torch.full((3,), math.sqrt(D), dtype=torch.float64))


def test_antithetic_forward_is_central():
    def bowl(x):
        return (x**2).sum(-1) + x @ SLOPE

    pairs = estimates(RandomDirections("normal", "forward", 2, 0.1, "antithetic"), 5, bowl)
    central = estimates(RandomDirections("normal", "central", 1, 0.1), 5, bowl)
    torch.testing.assert_close(pairs, central)


def test_sphere_directions_have_length_root_d():
    z = draw(RandomLaw.SPHERE, Coupling.INDEPENDENT, 20, X, Key(1)).dense(X)
    torch.testing.assert_close(z.norm(dim=1), torch.full((20,), math.sqrt(D), dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: SPSA(1e-2), 2),
        (lambda: SPSA(1e-2, 5), 10),
        (lambda: MeZO(), 2),
        (lambda: RDSA(1e-2, formula="central4"), 4),
        (lambda: GaussianSmoothing(1e-2, 10), 11),
        (lambda: SphereSmoothing(1e-2, 3, formula="forward5"), 13),
    ],
)
def test_evaluations_are_counted_exactly(make, count):
    calls = 0

    def f(x):
        nonlocal calls
        calls += 1
        return float(linear(x))

    oracle = Function(f, batched=False) | make()
    oracle.gradient(X, Key(0))
    assert calls == count
    assert oracle.ledger.counts == {"value": count}


def test_all_probes_are_one_question():
    asked = []

    class Spy(Function):
        def along(self, x, directions, scales, key):
            asked.append(scales.shape)
            return super().along(x, directions, scales, key)

    (Spy(linear, batched=True) | GaussianSmoothing(1e-2, 10)).gradient(X, Key(0))
    assert asked == [(10, 2)]


def test_the_estimate_of_a_large_point_is_lazy_and_bounded_in_chunks():
    d = 300_000
    seen = []

    def f(xs):
        seen.append(len(xs))
        return xs.sum(-1)

    oracle = Function(f, batched=True, memory=2_500_000) | SPSA(1e-2, 2)
    slope = oracle.gradient(torch.zeros(d), Key(0))
    assert max(seen) == 2
    assert isinstance(slope.gradient, Combination)
    assert isinstance(slope.gradient.terms[0][1], Seeded)


def test_estimates_do_not_scale_with_the_radius():
    norms = [float(estimates(SPSA(h), 200).square().sum(1).mean()) for h in (1e-3, 1e-2, 1e-1)]
    assert norms == pytest.approx([norms[0]] * 3, rel=1e-6)


def test_a_failed_probe_makes_the_slope_not_finite():
    oracle = Function(lambda x: math.nan, batched=False) | SPSA(1e-2)
    assert not oracle.gradient(X, Key(0)).is_finite()


def test_schedules_of_the_radius_are_put_by_the_step():
    radii = []

    def f(x):
        radii.append(float((x - X).abs().max()))
        return linear(x)

    oracle = Function(f, batched=False) | SPSA(lambda t: 0.1 / (t + 1))
    for t in (0, 4):
        oracle.at(t).gradient(X, Key(0))
    assert radii == pytest.approx([0.1, 0.1, 0.02, 0.02])


def test_automatic_radius_follows_scale_and_precision():
    assert automatic_radius(1e6 * X, 2) == pytest.approx(1e6 * automatic_radius(X, 2), rel=0.5)
    assert automatic_radius(X.float(), 2) > 100 * automatic_radius(X, 2)
    assert automatic_radius(torch.zeros(3), 2) > 0


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: SPSA(-1e-3), "-0.001"),
        (lambda: SPSA(float("nan")), "nan"),
        (lambda: SPSA(0), "radius"),
        (lambda: SPSA(1e-3, 0), "samples"),
        (lambda: SPSA(formula="centrl"), "did you mean 'central'"),
        (lambda: RandomDirections("gauss"), "'gauss'"),
        (lambda: SPSA(coupling="orthogonl"), "'orthogonl'"),
        (lambda: SPSA(samples=3, coupling="antithetic"), "even"),
        (lambda: SPSA(baseline="loo"), "'loo'"),
        (lambda: SPSA(baseline="mean"), "formula 'forward'"),
        (lambda: SPSA(((0, 2, 1.0), (2, 4, -1.0))), "-1.0"),
    ],
)
def test_wrong_arguments_get_a_sentence(make, says):
    with pytest.raises(InvalidValue, match=says):
        make()
