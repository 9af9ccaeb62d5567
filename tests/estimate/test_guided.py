"""Guided evolution strategies: covariance of the directions, mean and second moment of the estimate."""

import math

import pytest
import torch
from torch import Tensor

from descend.direction import Combination
from descend.errors import InvalidValue, MissingAnswer, ShapeMismatch
from descend.estimate import Guided
from descend.key import Key
from descend.oracle import Differentiable, Function

D = 8
G = torch.linspace(-1, 3, D, dtype=torch.float64)
X = torch.ones(D, dtype=torch.float64)
GUIDE = torch.stack([torch.arange(D).double(), torch.ones(D).double()])


def covariance(alpha: float, guides: Tensor) -> Tensor:
    """Equation (1) by projection instead of by a basis."""
    k = len(guides)
    return alpha / D * torch.eye(D).double() + (1 - alpha) / k * guides.T @ torch.linalg.pinv(guides.T)


def dense(estimator: Guided, key: Key) -> Tensor:
    gradient = (Function(lambda x: x @ G, batched=False) | estimator).gradient(X, key).gradient
    assert isinstance(gradient, Combination)
    return gradient.dense(X)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_directions_have_the_stated_covariance(alpha: float) -> None:
    z = Guided(lambda x, key: GUIDE, samples=20000, alpha=alpha).directions(X, Key(0))
    torch.testing.assert_close(z.T @ z / len(z), covariance(alpha, GUIDE), rtol=0, atol=0.02)
    assert float(z.square().sum(1).mean()) == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("alpha", [0.2, 0.5])
@pytest.mark.parametrize("guides", [GUIDE[:1], GUIDE], ids=["one", "two"])
def test_mean_and_second_moment(alpha: float, guides: Tensor) -> None:
    n = 1500
    s = covariance(alpha, guides)
    draws = torch.stack([dense(Guided(lambda x, key: guides, alpha=alpha, radius=0.1), Key(i)) for i in range(n)])
    mean = 2 * s @ G
    error, deviation = draws.mean(0) - mean, draws.std(0) / math.sqrt(n)
    assert bool((error.abs() <= 3.2 * deviation).all())
    # Gaussian fourth moments: E (g.z)^2 |z|^2 = tr S gSg + 2 gSSg, with tr S = 1
    expected = 4 * float(G @ s @ G + 2 * G @ s @ s @ G)
    squares = draws.square().sum(1)
    assert abs(float(squares.mean()) - expected) < 3 * float(squares.std()) / math.sqrt(n)


def test_the_part_along_a_single_guide_has_its_true_size() -> None:
    guide = GUIDE[0] / GUIDE[0].norm()
    draws = torch.stack([dense(Guided(lambda x, key: guide, samples=50), Key(i)) for i in range(60)])
    assert float((draws @ guide).mean()) == pytest.approx(float(G @ guide) * (1 + 1 / D), rel=0.1)


def test_an_oracle_as_surrogate_and_the_evaluations() -> None:
    surrogate, oracle = Differentiable(lambda x: x @ G + (x**4).sum()), Function(lambda x: x @ G, batched=False)
    (oracle | Guided(surrogate, samples=3)).gradient(X, Key(0))
    assert surrogate.ledger.counts == {"gradient": 1}
    assert oracle.ledger.counts == {"value": 6}


def test_a_surrogate_of_zero_or_twice_the_same_is_no_harm() -> None:
    plain = Guided(lambda x, key: torch.zeros(D).double(), samples=20000).directions(X, Key(0))
    torch.testing.assert_close(plain.T @ plain / len(plain), torch.eye(D).double() / D, rtol=0, atol=0.01)
    twice = Guided(lambda x, key: torch.stack([G, G]), samples=20000, alpha=0.0).directions(X, Key(0))
    torch.testing.assert_close(twice.T @ twice / len(twice), torch.outer(G, G) / (G @ G), rtol=0, atol=0.02)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_surrogate_that_failed_is_not_followed(bad: float) -> None:
    failed = Guided(lambda x, key: bad * GUIDE, alpha=0.0).directions(X, Key(3))
    torch.testing.assert_close(failed, Guided(lambda x, key: GUIDE, alpha=1.0).directions(X, Key(3)))
    partly = Guided(lambda x, key: torch.stack([bad * X, G]), alpha=0.0).directions(X, Key(3))
    assert abs(float(torch.cosine_similarity(partly[0], G, dim=0))) == pytest.approx(1)


def test_failed_values_make_the_slope_not_finite() -> None:
    oracle = Function(lambda x: math.nan, batched=False)
    oracle.ledger.charge("value")
    assert not (oracle | Guided(lambda x, key: GUIDE)).gradient(X, Key(0)).is_finite()


def test_guidance_helps_where_the_surrogate_is_good() -> None:
    """Cosine with the true gradient, 2 evaluations, in 200 dimensions."""
    g = torch.randn(200, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(200, generator=torch.Generator().manual_seed(1))
    oracle = Function(lambda x: x @ g, batched=False)
    cosines = {}
    for alpha in (0.1, 1.0):
        estimates = [
            (oracle | Guided(lambda x, key: g + noise, alpha=alpha)).gradient(torch.zeros(200), Key(i)).gradient
            for i in range(40)
        ]
        vectors = torch.stack([e.dense(g) for e in estimates if isinstance(e, Combination)])
        cosines[alpha] = float(torch.cosine_similarity(vectors, g[None]).mean())
    assert cosines[0.1] > 0.5
    assert cosines[1.0] < 0.2


def test_wrong_arguments() -> None:
    with pytest.raises(InvalidValue, match=r"alpha must lie in \[0, 1\], got 1.5"):
        Guided(lambda x, key: x, alpha=1.5)
    with pytest.raises(InvalidValue, match="beta must be"):
        Guided(lambda x, key: x, beta=0.0)
    with pytest.raises(InvalidValue, match="radius must be"):
        Guided(lambda x, key: x, radius=-1.0)
    with pytest.raises(InvalidValue, match="samples"):
        Guided(lambda x, key: x, samples=0)
    with pytest.raises(MissingAnswer, match="GRADIENT"):
        Guided(Function(lambda x: x.sum()))
    with pytest.raises(ShapeMismatch, match="8 elements"):
        dense(Guided(lambda x, key: x[:3]), Key(0))
