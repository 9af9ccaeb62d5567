"""Nevergrad brings much along and is slow to import, so it has slow tests."""

import warnings

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue
from descend.faces import Nevergrad
from descend.faces.base import seed
from descend.key import Key
from descend.run import Evaluations, minimize
from descend.space.domain import Domain

pytestmark = pytest.mark.slow


def bowl(x):
    return float(((x - 0.7) ** 2 * np.array([1, 3, 10])).sum())


@pytest.fixture(autouse=True)
def _quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", ["TwoPointsDE", "OnePlusOne", "PSO", "CMA"])
def test_minimizes_a_bowl_in_a_box(name):
    x = np.array([-1.2, 1.0, 0.5])
    result = minimize(bowl, x, bounds=(-2.0, 3.0), method=Nevergrad(name, budget=600), until=Evaluations(600), key=0)
    assert result.fun < 0.1 * bowl(x)
    assert result.total <= 600


def test_goes_its_own_way_and_repeats_itself():
    import nevergrad as ng

    x = torch.tensor([-1.2, 1.0, 0.5], dtype=torch.float64)
    domain = Domain.box(x * 0 - 2, x * 0 + 3)
    array = ng.p.Array(init=np.zeros(3)).set_mutation(sigma=0.2)
    array.set_bounds((-2 - x.numpy()) / 5, (3 - x.numpy()) / 5)
    array.random_state = np.random.RandomState(seed(Key(4)))
    theirs = ng.optimizers.registry["OnePlusOne"](parametrization=array, budget=None, num_workers=1)
    method = Nevergrad("OnePlusOne")
    state = method.init(x, Key(4), domain)
    for _ in range(40):
        state, xs = method.ask(state)
        one = theirs.ask()
        np.testing.assert_allclose(xs[0].numpy(), x.numpy() + 5 * one.value, rtol=0, atol=1e-12)
        theirs.tell(one, bowl(xs[0].numpy()))
        state = method.tell(state, xs, torch.tensor([bowl(xs[0].numpy())], dtype=torch.float64))


def test_several_at_once():
    x = torch.zeros(2, dtype=torch.float64)
    method = Nevergrad("DE", at_once=5)
    _, xs = method.ask(method.init(x, Key(0)))
    assert xs.shape == (5, 2)


def test_wrong_names_and_numbers_are_refused_in_a_sentence():
    with pytest.raises(InvalidValue, match="no optimizer 'Newton'"):
        Nevergrad("Newton")
    with pytest.raises(InvalidValue, match="budget >= 1, got 0"):
        Nevergrad(budget=0)
