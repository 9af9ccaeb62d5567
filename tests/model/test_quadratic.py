"""The quadratic model: what it learns, when, and that corrections agree with a fit from scratch."""

import pytest
import torch
from scipy.stats import kendalltau

from descend.key import Key
from descend.model.quadratic import QuadraticModel, agreement

LIKE = torch.zeros((), dtype=torch.float64)


def told(d: int, n: int, key: int = 0) -> tuple[QuadraticModel, torch.Tensor]:
    model, half = QuadraticModel(d), Key(9).normal(d, d, like=LIKE)
    hessian = half @ half.T + torch.eye(d)
    points = Key(key).normal(n, d, like=LIKE) + 3
    centred = points - 1
    model.tell(points, (centred @ hessian * centred).sum(1) + 50)
    model.fit(points.mean(0), torch.eye(d, dtype=torch.float64))
    return model, hessian


@pytest.mark.parametrize(("n", "level"), [(5, 0), (20, 1), (60, 2)])
def test_more_points_make_a_richer_model(n, level):
    model, _ = told(4, n)
    assert model.level == level
    assert (model.minimum() is None) == (level == 0)


@pytest.mark.parametrize("d", [2, 6, 12])
def test_a_full_model_of_a_quadratic_function_is_exact(d):
    model, hessian = told(d, 2 * (d * (d + 3) // 2 + 1))
    minimum = model.minimum()
    assert minimum is not None
    torch.testing.assert_close(minimum, torch.ones(d, dtype=torch.float64), rtol=0, atol=1e-6)
    points = Key(4).normal(9, d, like=LIKE)
    losses = ((points - 1) @ hessian * (points - 1)).sum(1)
    difference = model(points) - losses
    torch.testing.assert_close(difference, difference[0].expand(9), rtol=0, atol=1e-6)


def test_corrections_agree_with_a_fit_from_scratch():
    """On losses that no quadratic fits, a model that was corrected predicts as one that was fitted, nearly."""
    d, n = 10, 130
    points = Key(0).normal(n + 2, d, like=LIKE)
    losses = points.square().sum(1) + points.abs().sum(1)
    corrected, fitted = QuadraticModel(d), QuadraticModel(d)
    white = torch.eye(d, dtype=torch.float64)
    corrected.tell(points[:n], losses[:n])
    corrected.fit(points[:n].mean(0), white)
    corrected.tell(points[n:], losses[n:])
    corrected.fit(points[:n].mean(0), white)
    fitted.tell(points, losses)
    fitted.fit(points[:n].mean(0), white)
    fresh = Key(1).normal(50, d, like=LIKE)
    a, b = corrected(fresh), fitted(fresh)
    assert not torch.equal(a, b)
    assert float((a - a.mean() - b + b.mean()).norm() / (b - b.mean()).norm()) < 0.1


def test_better_points_count_more():
    """On losses that no quadratic fits, the better third is fitted better than without weights."""
    d, n = 4, 30
    points = Key(0).normal(n, d, like=LIKE)
    losses = points.abs().pow(1.5).sum(1).exp()
    model = QuadraticModel(d)
    model.tell(points, losses)
    model.fit(torch.zeros(d, dtype=torch.float64), torch.eye(d, dtype=torch.float64))
    order = losses.argsort()
    used, better = order[: int(0.75 * (n + 1))], order[: n // 3]
    features = model._features(points)
    plain = torch.linalg.lstsq(features[used], losses[used, None]).solution[:, 0]
    guess = model(points)
    errors = [float((g - losses - (g - losses)[better].mean())[better].norm()) for g in (guess, features @ plain)]
    assert errors[0] < 0.8 * errors[1], errors


def test_failures_are_left_out():
    model = QuadraticModel(2)
    model.tell(torch.zeros(3, 2, dtype=torch.float64), torch.tensor([1.0, float("inf"), 2.0], dtype=torch.float64))
    assert model.losses.tolist() == [1.0, 2.0]


def test_agreement_is_kendalls_tau():
    a, b = Key(1).normal(20, like=LIKE), Key(2).normal(20, like=LIKE)
    assert agreement(a, b) == pytest.approx(kendalltau(a.numpy(), b.numpy()).statistic)
    assert agreement(a, a) == 1.0
    assert agreement(a, -a) == -1.0
