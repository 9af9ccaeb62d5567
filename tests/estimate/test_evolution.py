"""Evolution strategies: unbiased where unshaped, free of units where shaped, and trained networks at the end."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

import descend as dd
from descend.errors import InvalidValue
from descend.estimate import SHAPINGS, Evolution
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Function

D = 12


def linear(slope: torch.Tensor) -> Function:
    oracle = Function(lambda xs: xs @ slope, batched=True)
    oracle.layout = Layout(("w",), ((3, 4),))
    return oracle


@pytest.mark.parametrize("rank", [None, 1, 2])
@pytest.mark.parametrize("law", ["sign", "normal"])
def test_unshaped_its_mean_is_the_gradient(rank, law):
    g = torch.linspace(-1, 2, D, dtype=torch.float64)
    oracle, x = linear(g), torch.zeros(D, dtype=torch.float64)
    estimator = Evolution(16, 0.3, rank, "none", law)
    found = torch.stack([estimator.gradient(oracle, x, Key(i)).gradient.dense(x) for i in range(600)])
    error = found.std(0) / math.sqrt(600)
    assert float(((found.mean(0) - g) / error).abs().max()) < 4
    assert float(error.max()) < 0.1


@pytest.mark.parametrize("rank", [None, 1])
def test_it_is_the_antithetic_gradient_of_the_losses(rank):
    """Equation (1) written out with the directions it drew."""
    x = torch.linspace(-1, 1, D, dtype=torch.float64)
    oracle = Function(lambda x: x.pow(3).sum() + 3 * x.square().sum())
    oracle.layout = Layout(("w",), ((3, 4),))
    estimator = Evolution(5, 0.2, rank, "none")
    z = estimator.directions(x, Key(7), oracle.layout).dense(x)

    def f(at: torch.Tensor) -> torch.Tensor:
        return at.pow(3).sum(-1) + 3 * at.square().sum(-1)

    expected = ((f(x + 0.2 * z) - f(x - 0.2 * z)) / 0.4) @ z / 5
    torch.testing.assert_close(estimator.gradient(oracle, x, Key(7)).gradient.dense(x), expected, rtol=1e-6, atol=1e-6)


def test_shaped_it_does_not_know_the_unit_of_the_loss():
    x = torch.linspace(-1, 1, D, dtype=torch.float64)
    for shaping in ("z-score", "ranks"):
        found = [
            Evolution(8, 0.1, None, shaping).gradient(Function(lambda x, s=s: s * x.square().sum() + 5 * s), x, Key(1))
            for s in (1.0, 1000.0)
        ]
        torch.testing.assert_close(*(s.gradient.dense(x) for s in found), rtol=1e-6, atol=1e-9)


def test_ranks_do_not_mind_any_growing_transformation():
    x = torch.linspace(-1, 1, D, dtype=torch.float64)
    found = [
        Evolution(8, 0.1, None, "ranks").gradient(Function(f), x, Key(1)).gradient.dense(x)
        for f in (lambda x: x.square().sum(), lambda x: x.square().sum().exp())
    ]
    assert torch.equal(*found)


def test_the_shapings_in_numbers():
    values = torch.tensor([[1.0, 3.0], [2.0, 2.0]], dtype=torch.float64)
    assert SHAPINGS["ranks"](values).tolist() == [[-0.5, 0.5], [0.0, 0.0]]  # a tie shares its ranks
    z = SHAPINGS["z-score"](values)
    assert float(z.mean()) == pytest.approx(0)
    assert float(z.std(unbiased=False)) == pytest.approx(1)
    assert SHAPINGS["z-score"](torch.ones(2, 2)).tolist() == [[0, 0], [0, 0]]
    assert SHAPINGS["ranks"](torch.ones(2, 2)).tolist() == [[0, 0], [0, 0]]
    # an example whose losses are a hundred times as large weighs no more, one that is the same for all says nothing
    per_example = torch.stack([values, 100 * values, torch.full((2, 2), 7.0).double()], 2)
    torch.testing.assert_close(SHAPINGS["per-example"](per_example), z * 2 / 3)


def test_equal_losses_move_nothing():
    x = torch.ones(D)
    slope = Evolution(4, 0.1, None).gradient(Function(lambda x: 0 * x.sum() + 1), x, Key(0))
    assert float(slope.gradient.dense(x).abs().max()) == 0
    assert slope.loss == 1


def test_one_bad_member_takes_its_pair_and_no_other():
    x = torch.zeros(D, dtype=torch.float64)
    z = Evolution(6, 0.1, None).directions(x, Key(3)).dense(x)
    bad = 0.1 * z[2]
    slope = torch.linspace(-1, 1, D, dtype=torch.float64)

    def f(x: torch.Tensor) -> torch.Tensor:
        return torch.where((x - bad).abs().sum() < 1e-9, torch.full((), torch.nan, dtype=x.dtype), x @ slope)

    found = Evolution(6, 0.1, None, "none").gradient(Function(f), x, Key(3))
    weights = found.gradient.terms[0][0]
    assert weights[2] == 0
    expected = [float(z[i] @ slope) / 5 for i in range(6)]
    for i in (0, 1, 3, 4, 5):
        assert weights[i] == pytest.approx(expected[i])


def test_a_held_subspace_changes_every_so_many_steps_and_is_unbiased_over_them():
    layout = Layout(("w",), ((5, 4),))
    x = torch.zeros(20, dtype=torch.float64)
    estimator = dd.SPSA(1e-3, rank=2, hold=3)
    rights = [estimator.at(t).directions(x, Key(t), layout).factors(0, [0], x).right for t in range(7)]
    same = [torch.equal(a, b) for a, b in pairwise(rights)]
    assert same == [True, True, False, True, True, False]
    g = torch.linspace(-1, 1, 20, dtype=torch.float64)
    oracle = linear(g)
    oracle.layout = layout
    many = dd.SPSA(1e-3, rank=2, hold=2)
    found = torch.stack([many.at(t).gradient(oracle, x, Key(t)).gradient.dense(x) for t in range(6000)])
    assert float(((found.mean(0) - g) / (found.std(0) / math.sqrt(3000))).abs().max()) < 4.5


@pytest.mark.parametrize(("pairs", "least"), [(4, 0.6), (32, 0.85)])
def test_digits_from_scratch(pairs, least):
    """64-64-10, 200 steps with Adam; 64 members reach 0.90 to 0.92."""
    from sklearn.datasets import load_digits

    x, y = (torch.as_tensor(a) for a in load_digits(return_X_y=True))
    x, order = (x / 16).float(), Key(0).permutation(len(y))
    train, test = order[:1347], order[1347:]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    optimizer = dd.Optimizer(model, Evolution(pairs, 0.05), dd.Adam(), lr=1e-2, key=0)

    def loss(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")

    for step in range(200):
        some = train[Key(step).integers(0, len(train), 128)]
        optimizer.step(loss, (x[some], y[some]))
    assert optimizer.population.reason == ""
    assert float((model(x[test]).argmax(1) == y[test]).float().mean()) > least


def test_wrong_settings_are_refused_in_words():
    for arguments, words in (
        ({"pairs": 0}, "pairs must be an integer"),
        ({"radius": -1.0}, "radius must be a finite number > 0, got -1.0"),
        ({"radius": None}, "radius must be"),
        ({"shaping": "rank"}, "'rank'; write one of 'none', 'z-score', 'ranks', 'per-example'"),
        ({"law": "gauss"}, "unknown law 'gauss'"),
        ({"rank": 0}, "rank must be"),
        ({"rank": None, "hold": 5}, "only low-rank directions"),
    ):
        with pytest.raises(InvalidValue, match=words):
            Evolution(**arguments)
