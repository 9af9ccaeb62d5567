"""Forward gradients: exact directional derivatives, no bias, the second moment of theory."""

import math

import pytest
import torch
from torch import Tensor, nn

from descend.direction import Combination
from descend.errors import InvalidValue, MissingAnswer
from descend.estimate import ForwardGradient, RandomDirections, RandomLaw
from descend.key import Key
from descend.layout import Parameters
from descend.oracle import Asks, Closure, Differentiable, Function, Module

D = 6
X = torch.linspace(-1, 2, D, dtype=torch.float64)


def f(x: Tensor) -> Tensor:
    return torch.exp(x).sum() + x[0] * x[1] ** 2


def exact(x: Tensor) -> Tensor:
    return torch.func.grad(f)(x)


def dense(estimator: ForwardGradient, key: Key) -> Tensor:
    gradient = (Differentiable(f) | estimator).gradient(X, key).gradient
    assert isinstance(gradient, Combination)
    return gradient.dense(X)


@pytest.mark.parametrize("law", ["normal", "sign", "uniform", "sphere"])
def test_the_weights_are_the_directional_derivatives_of_autograd(law: str) -> None:
    gradient = (Differentiable(f) | ForwardGradient(3, law)).gradient(X, Key(1)).gradient
    assert isinstance(gradient, Combination)
    ((weights, z),) = gradient.terms
    derivatives = z.dense(X) @ exact(X)
    torch.testing.assert_close(torch.tensor(weights, dtype=torch.float64) * 3, derivatives, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("law", list(RandomLaw), ids=lambda law: law.value)
@pytest.mark.parametrize(("samples", "orthonormal"), [(1, False), (3, False), (3, True)])
def test_mean_and_second_moment(law: RandomLaw, samples: int, orthonormal: bool) -> None:
    n = 800
    estimator = ForwardGradient(samples, law, orthonormal=orthonormal)
    draws = torch.stack([dense(estimator, Key(i)) for i in range(n)])
    truth = exact(X)
    error, deviation = draws.mean(0) - truth, draws.std(0) / math.sqrt(n)
    assert bool((error.abs() <= 3 * deviation).all())
    one = law.second_moment(D)
    # independent tangents: E|g|^2 = |g|^2 (1 + (m - 1) / n); orthogonal ones: a projection times d / n
    expected = D / samples if orthonormal else 1 + (one - 1) / samples
    ratios = draws.square().sum(1) / truth.square().sum()
    margin = 3 * float(ratios.std()) / math.sqrt(n)
    assert abs(float(ratios.mean()) - expected) < max(margin, 1e-9)
    assert margin < 0.25 * expected


def test_as_many_orthonormal_tangents_as_dimensions_are_the_gradient() -> None:
    torch.testing.assert_close(dense(ForwardGradient(D, orthonormal=True), Key(0)), exact(X), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("jvp", ["forward", "central"])
def test_a_differenced_jvp_is_near_the_exact_one(jvp) -> None:
    oracle = Function(f, batched=False)
    estimator = ForwardGradient(2, jvp=jvp)
    slope = (oracle | estimator).gradient(X, Key(4))
    assert isinstance(slope.gradient, Combination)
    torch.testing.assert_close(slope.gradient.dense(X), dense(ForwardGradient(2), Key(4)), rtol=1e-5, atol=1e-5)
    assert oracle.ledger.counts == {"value": 3 if jvp == "forward" else 4}
    assert math.isnan(slope.value) == (jvp == "central")


def test_an_exact_one_asks_no_values_and_no_gradient() -> None:
    oracle = Differentiable(f)
    (oracle | ForwardGradient(5)).gradient(X, Key(0))
    assert oracle.ledger.counts == {"jvp": 5}


def test_closure_and_module_agree_with_autograd() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    generator = torch.Generator().manual_seed(0)
    for p in model.parameters():
        p.data = torch.randn(p.shape, generator=generator, dtype=torch.float64)
    batch = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    module = Module(model, lambda m, b: m(b).square().mean(), batch)
    closure = Closure(Parameters(model.parameters()), lambda: model(batch).square().mean())
    x = module.point()
    estimator = ForwardGradient(x.numel(), orthonormal=True)
    for oracle in (module, closure):
        found = (oracle | estimator).gradient(x, Key(2)).gradient
        assert isinstance(found, Combination)
        torch.testing.assert_close(found.dense(x), module.gradient(x, Key(0)).gradient, rtol=1e-9, atol=1e-12)


def test_it_says_what_it_needs() -> None:
    assert ForwardGradient().needs is Asks.JVP
    assert ForwardGradient(jvp="central").needs is Asks.VALUES
    with pytest.raises(MissingAnswer, match=r"ForwardGradient.*asks for JVP.*ForwardGradient\(jvp='central'\)"):
        Function(f) | ForwardGradient()


def test_a_schedule_of_radii() -> None:
    estimator = ForwardGradient(jvp="forward", radius=lambda t: 0.1 / (t + 1))
    assert isinstance(estimator.at(1), RandomDirections)
    slope = (Function(f, batched=False) | estimator).at(1).gradient(X, Key(0))
    assert slope.is_finite()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"jvp": "reverse"}, "jvp='reverse' is unknown"),
        ({"radius": 0.1}, "an exact jvp has no radius"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"law": "cauchy"}, "unknown law 'cauchy'"),
        ({"jvp": "central", "radius": -1.0}, "radius must be a finite number > 0"),
    ],
)
def test_wrong_arguments(arguments: dict, sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        ForwardGradient(**arguments)
