"""Sparse masks: taken once from the base weights, unbiased within, and the same whenever the run is made again."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from descend.direction import Combination
from descend.direction.masked import Mask
from descend.errors import CompositionError, InvalidValue, ShapeMismatch
from descend.estimate import SPSA
from descend.estimate.mask import Magnitude, ranked
from descend.key import Key
from descend.oracle import Function
from descend.torch_optim import Optimizer
from descend.torch_optim.replay import replay

DOUBLE = torch.zeros((), dtype=torch.float64)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_ranks_are_those_of_a_sort(dtype: torch.dtype) -> None:
    weight = Key(1).normal(31, 7, like=DOUBLE).to(dtype)
    ordered = weight.abs().float().flatten().sort().values
    for k in (0, 1, 50, 216):
        assert ranked(weight, k) == float(ordered[k])


def test_the_smallest_and_the_largest_of_every_matrix_and_all_of_a_vector() -> None:
    a, b, c = Key(1).normal(10, 10, like=DOUBLE), Key(2).normal(6, like=DOUBLE), 100 * Key(3).normal(4, 5, like=DOUBLE)
    small, large = Magnitude(0.3).of([a, b, c]), Magnitude(0.3, largest=True).of([a, b, c])
    for mask, order in ((small, False), (large, True)):
        inside = mask.tile(0, 126, DOUBLE).bool()
        first, vector, last = inside[:100].view(10, 10), inside[100:106], inside[106:].view(4, 5)
        assert bool(vector.all())
        for weight, chosen, n in ((a, first, 30), (c, last, 6)):
            assert int(chosen.sum()) == n
            kept, left = weight[chosen].abs(), weight[~chosen].abs()
            assert bool(kept.min() > left.max()) if order else bool(kept.max() < left.min())
    assert Magnitude(1.0).of([a]).count == 100


MASK = Mask.of([torch.tensor([True, False, True, True, False, False, True, True])])


def test_the_mean_and_the_second_moment_are_those_of_the_masked_gradient() -> None:
    g = Key(5).normal(8, like=DOUBLE)
    oracle = Function(lambda x: x @ g, batched=False) | SPSA(0.5, mask=MASK)
    x = torch.zeros(8, dtype=torch.float64)
    found = torch.stack([oracle.gradient(x, Key(i)).gradient.dense(x) for i in range(1500)])  # type: ignore[union-attr]
    inside = MASK.tile(0, 8, DOUBLE)
    assert not found[:, inside == 0].any()
    chosen = inside == 1
    error = found.std(0) / math.sqrt(1500)
    assert float(((found.mean(0) - g)[chosen] / error[chosen]).abs().max()) < 3
    squares = found.square().sum(1)
    spread = float(squares.std()) / math.sqrt(1500)
    assert abs(float(squares.mean()) - 5 * float((g * inside).square().sum())) < 3 * spread  # not 8 |g|^2
    assert abs(float(squares.mean()) - 8 * float(g.square().sum())) > 10 * spread


def test_a_rule_has_to_be_looked_up_first_and_fit() -> None:
    oracle = Function(lambda x: x.sum())
    with pytest.raises(CompositionError, match=r"mask=Magnitude\(fraction=0.25, largest=False\).of\(\[x0\]\)"):
        (oracle | SPSA(0.1, mask=Magnitude())).gradient(torch.ones(8), Key(0))
    with pytest.raises(ShapeMismatch, match="point of 8 elements, this one has 5"):
        (oracle | SPSA(0.1, mask=MASK)).gradient(torch.ones(5), Key(0))
    with pytest.raises(InvalidValue, match="low rank"):
        SPSA(0.1, mask=Magnitude(), rank=1)
    for wrong in (0.0, 1.5, math.nan):
        with pytest.raises(InvalidValue, match="fraction"):
            Magnitude(wrong)


def model_and_loss() -> tuple[nn.Module, Any, Any]:
    model = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3))
    for i, p in enumerate(model.parameters()):
        p.data.copy_(0.3 * Key(i).normal(*p.shape, like=p.data))
    label = torch.arange(60) % 3
    x = Key(11).normal(3, 10, like=torch.zeros(()))[label] + 0.5 * Key(12).normal(60, 10, like=torch.zeros(()))

    def loss(m: nn.Module, batch: Any) -> Tensor:
        return F.cross_entropy(m(batch[0]), batch[1])

    return model, loss, (x, label)


def test_training_moves_what_was_small_at_first_and_nothing_else() -> None:
    model, loss, batch = model_and_loss()
    before = [p.detach().clone() for p in model.parameters()]
    rule = Magnitude(0.3)
    inside = rule.of(before)
    optimizer = Optimizer(model, SPSA(1e-2, mask=rule), lr=0.02, key=0)
    values = [float(optimizer.step(loss, batch)) for _ in range(400)]  # type: ignore[arg-type]
    moved = torch.cat([(p.detach() != q).flatten() for p, q in zip(model.parameters(), before, strict=True)])
    # the mask is of the base weights: by now others are the smallest
    assert torch.equal(moved, inside.tile(0, inside.size, DOUBLE).bool())
    assert not torch.equal(rule.of(list(model.parameters())).bits, inside.bits)
    assert sum(values[-10:]) / 10 < values[0] / 2


def test_a_resumed_run_goes_on_under_the_mask_it_began_with() -> None:
    model, loss, batch = model_and_loss()
    optimizer = Optimizer(model, SPSA(1e-2, mask=Magnitude(0.3)), lr=0.05, key=0)
    for _ in range(50):
        optimizer.step(loss, batch)
    saved, weights = optimizer.state_dict(), [p.detach().clone() for p in model.parameters()]
    for _ in range(5):
        optimizer.step(loss, batch)
    other, _, _ = model_and_loss()
    for p, w in zip(other.parameters(), weights, strict=True):
        p.data.copy_(w)
    resumed = Optimizer(other, SPSA(1e-2, mask=Magnitude(0.3)), lr=0.05, key=1)
    resumed.load_state_dict(saved)
    for _ in range(5):
        resumed.step(loss, batch)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


def test_the_estimate_is_remade_from_its_weights() -> None:
    estimator = SPSA(0.1, 2, mask=MASK)
    x = torch.ones(8, dtype=torch.float64)
    slope = (Function(lambda p: (p**2).sum()) | estimator).gradient(x, Key(1))
    assert isinstance(slope.gradient, Combination)
    remade = estimator.combination(slope.gradient.terms[0][0], x, Key(1))
    assert torch.equal(remade.dense(x), slope.gradient.dense(x))


def test_a_recorded_run_is_made_again_from_the_base_model(tmp_path: Any) -> None:
    model, loss, batch = model_and_loss()
    optimizer = Optimizer(model, SPSA(1e-2, 2, mask=Magnitude(0.4, largest=True)), lr=0.05, key=0)
    with optimizer.record(tmp_path / "run.descend"):
        for _ in range(30):
            optimizer.step(loss, batch)
    base, _, _ = model_and_loss()
    again = replay(base, tmp_path / "run.descend")
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True))
