"""BoTorch is slow to import and to ask, so its tests are slow."""

import warnings

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue
from descend.faces.botorch import BoTorch, _Columns
from descend.key import Key
from descend.run import Evaluations, minimize
from descend.space import Choice, Float, Int, Space

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _quietly():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def bowl(x):
    return float(((x - 0.7) ** 2 * np.array([1, 3, 10])).sum())


def test_minimizes_a_bowl_in_a_box_repeats_itself_and_leaves_the_global_generator_alone():
    x, before = np.array([-1.2, 1.0, 0.5]), torch.get_rng_state()
    runs = [
        minimize(bowl, x, bounds=(-2.0, 3.0), method=BoTorch(startup=6), until=Evaluations(16), key=0) for _ in range(2)
    ]
    assert runs[0].fun == runs[1].fun < 0.05 * bowl(x)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_mixed_space():
    space = Space(x=Float(0, 1), n=Int(1, 9), kind=Choice("a", "b", "c"))

    def f(p):
        return (p["x"] - 0.3) ** 2 + abs(p["n"] - 4) / 9 + (p["kind"] != "b")

    result = minimize(f, space, method=BoTorch(startup=8), until=Evaluations(22), key=0)
    assert result.fun < 0.1


def test_columns_there_and_back():
    columns = _Columns(np.array([0, 3, 5]), np.array([False, True, False]))
    us = torch.tensor([[0.25, 0.5, 0.9], [1.0, 5 / 6, 0.1]], dtype=torch.float64)
    rows = columns.spread(us)
    assert rows.tolist() == [[0.25, 0, 1, 0, 0.9], [1.0, 0, 0, 1, 0.1]]
    assert torch.allclose(torch.stack([columns.gather(row) for row in rows]), us)


def test_an_open_side_is_refused():
    method = BoTorch()
    with pytest.raises(InvalidValue, match="two sides"):
        method.ask(method.init(torch.zeros(2), Key(0)))
