"""Ensemble Kalman inversion: the update as its paper writes it, and the least squares it is for."""

import io
import math

import pytest
import torch

from descend.errors import InvalidValue, MissingAnswer
from descend.key import Key
from descend.oracle import Function, Residuals
from descend.population.kalman import EnsembleKalman, kalman_step
from descend.run import Evaluations, minimize
from descend.space.domain import Domain
from descend.tree import from_plain, to_plain


def normal(*shape, seed=0):
    return Key(seed).normal(*shape, like=torch.zeros(0, dtype=torch.float64))


@pytest.mark.parametrize("m", [2, 30])
def test_the_step_is_equation_one(m):
    u, r = normal(8, 3), normal(8, m, seed=1)
    cross = torch.cat((u, r), 1).T.cov()[:3, 3:]
    own = r.T.cov().reshape(m, m)
    alpha = 0.7 * float(own.trace()) / min(7, m)
    wanted = u - (cross @ torch.linalg.solve(own + alpha * torch.eye(m, dtype=torch.float64), r.T)).T
    torch.testing.assert_close(kalman_step(u, r, 0.7), wanted)


def test_linear_least_squares_are_solved_whether_they_fit_or_not():
    matrix, data = normal(30, 6) * torch.logspace(0, -1.5, 6).double(), normal(30, seed=1)
    best = torch.linalg.lstsq(matrix, data[:, None]).solution[:, 0]
    oracle = Residuals(lambda x: matrix @ x, data)
    result = minimize(oracle, torch.zeros(6).double(), method=EnsembleKalman(), until=Evaluations(2500), key=0)
    least = float((matrix @ best - data).square().sum() / 2)
    assert result.fun - least < 1e-8 * least
    torch.testing.assert_close(torch.as_tensor(result.x), best, rtol=0, atol=1e-3)


def test_a_curved_fit_takes_few_evaluations_and_survives_failures():
    times = torch.linspace(0, 3, 40).double()
    truth = torch.tensor([2.0, 1.3, 4.0]).double()
    calls = [0]

    def model(x):
        calls[0] += 1
        if calls[0] % 7 == 5:
            raise ArithmeticError("the simulator diverged")
        return x[0] * torch.exp(-x[1] * times) * torch.cos(x[2] * times)

    oracle = Residuals(model, truth[0] * torch.exp(-truth[1] * times) * torch.cos(truth[2] * times))
    oracle.ledger.charge("value")
    oracle.ledger.fail("before")  # so that it neither warns nor takes the first failure for a mistake
    start = torch.tensor([1.0, 1.0, 3.5]).double()
    result = minimize(oracle, start, method=EnsembleKalman(members=15), until=Evaluations(700), key=0)
    assert result.total <= 700
    torch.testing.assert_close(torch.as_tensor(result.x), truth, rtol=0, atol=1e-3)


def test_stays_inside_resumes_and_has_an_end():
    lower, upper = torch.full((2,), -1.0).double(), torch.full((2,), 1.0).double()
    oracle = Residuals(lambda x: torch.stack([x[0] - 3.0, 2 * x[1] - 0.5, x[0] * x[1]]), 0.0)
    method = EnsembleKalman()
    state = method.init(torch.zeros(2).double(), Key(1), Domain.box(lower, upper))
    for _ in range(25):
        assert bool(state.domain.contains(state.members).all())
        file = io.BytesIO()
        torch.save(to_plain(state), file)
        file.seek(0)
        loaded = method.advance(oracle, from_plain(torch.load(file, weights_only=True)))
        state = method.advance(oracle, state)
        assert torch.equal(state.members, loaded.members)
        assert state.value <= state.loss
    assert state.value < float(oracle.value(torch.tensor([0.9, 0.0]).double(), Key(0)))
    state = method.init(torch.zeros(2).double(), Key(1))
    easy = Residuals(lambda x: x - 2.0)
    while not state.done and state.t < 500:
        state = method.advance(easy, state)
    assert state.done == "no sample differs from the mean any more"


def test_refuses_an_objective_without_residuals_and_wrong_numbers():
    with pytest.raises(MissingAnswer, match="RESIDUALS"):
        minimize(Function(lambda x: x.sum()), torch.zeros(2), method=EnsembleKalman())
    for wrong in (
        lambda: EnsembleKalman(members=1),
        lambda: EnsembleKalman(damping=0.0),
        lambda: EnsembleKalman(sigma=math.nan),
    ):
        with pytest.raises(InvalidValue):
            wrong()


def test_all_failing_begins_again_around_the_best():
    oracle = Residuals(lambda x: x * math.nan)
    oracle.ledger.charge("value")
    oracle.ledger.fail("before")
    method = EnsembleKalman()
    state = method.advance(oracle, method.init(torch.zeros(2), Key(1)))
    assert state.rejected == 1
    assert bool(state.members.isfinite().all())
