"""Radius, probes and learning rate that nobody has set: settled, paced, told in words, saved and resumed."""

import copy
import logging

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

import descend as dd

PIXELS, LABELS = (torch.as_tensor(a) for a in load_digits(return_X_y=True))
PIXELS = (PIXELS / 16).float()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def each(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1], reduction="none")


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    some = dd.Key(step).integers(0, 1300, 64)
    return PIXELS[some], LABELS[some]


def train(optimizer: dd.Optimizer, model: nn.Module, start: int, stop: int) -> None:
    for step in range(start, stop):
        optimizer.step(each, batch(step))


def accuracy(model: nn.Module) -> float:
    with torch.no_grad():
        return float((model(PIXELS[1300:]).argmax(1) == LABELS[1300:]).float().mean())


PARTS = {
    "signs": (dd.SPSA(),),
    "rank one": (dd.SPSA(samples=4, rank=1),),
    "evolution": (dd.Evolution(8, 0.05),),
    "evolution, Adam": (dd.Evolution(8, 0.05), dd.Adam()),
}


@pytest.mark.parametrize(
    ("name", "steps", "least"),
    [("signs", 400, 0.5), ("rank one", 200, 0.25), ("evolution", 200, 0.6), ("evolution, Adam", 200, 0.6)],
)
def test_it_learns_without_a_learning_rate(name, steps, least, caplog):
    reached = []
    for key in (2, 1, 0):
        model = network()
        optimizer = dd.Optimizer(model, *PARTS[name], key=key)
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="descend"):
            train(optimizer, model, 0, steps)
        reached.append(accuracy(model))
    assert sum(reached) / 3 > least
    words = " ".join(optimizer.settings.words)
    assert "radius" in words
    assert "lr" in words
    assert words == " ".join(record.message for record in caplog.records if record.name == "descend")
    probes = 16 if "evolution" in name else 8 if "rank" in name else 2
    assert optimizer.ledger.total <= steps * probes + 24 + 1 + steps // 16  # to settle, and to look at the curvature


@pytest.mark.parametrize("name", PARTS)
def test_the_pace_is_saved_with_the_state(name):
    model = network()
    optimizer = dd.Optimizer(model, *PARTS[name], key=0)
    train(optimizer, model, 0, 12)
    other = copy.deepcopy(model)
    resumed = dd.Optimizer(other, *PARTS[name], key=0)
    resumed.load_state_dict(optimizer.state_dict())
    train(optimizer, model, 12, 20)
    train(resumed, other, 12, 20)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert optimizer._pace == resumed._pace


@pytest.mark.parametrize("name", PARTS)
def test_a_paced_run_is_recorded_replayed_and_resumed(name, tmp_path):
    path = tmp_path / "run.descend"
    whole, base, again = network(), network(), network()
    optimizer = dd.Optimizer(whole, *PARTS[name], key=0)
    train(optimizer, whole, 0, 20)
    model = network()
    recorded = dd.Optimizer(model, *PARTS[name], key=0)
    with recorded.record(path):
        train(recorded, model, 0, 11)
    resumed = dd.Optimizer(again, *PARTS[name], key=0)
    with resumed.record(path):
        assert resumed.t == 11
        train(resumed, again, 11, 20)
    replayed = dd.replay(base, path)
    for a, b, c in zip(whole.parameters(), again.parameters(), replayed.parameters(), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


def test_a_radius_that_is_too_small_is_doubted():
    model = network()
    optimizer = dd.Optimizer(model, dd.SPSA(1e-9), key=0)
    with pytest.warns(RuntimeWarning, match="too small for the precision of the loss"):
        optimizer.step(each, batch(0))
    assert optimizer.settings.radius == 1e-9


def test_what_is_given_is_kept():
    model = network()
    optimizer = dd.Optimizer(model, dd.SPSA(2e-3), key=0)
    optimizer.step(each, batch(0))
    assert optimizer.settings.radius == 2e-3
    given = dd.Optimizer(model, dd.SPSA(2e-3), lr=1e-4, key=0)
    given.step(each, batch(0))
    assert given.settings is None
    assert given.param_groups[0]["lr"] == 1e-4


class Measured(nn.Module):
    """A linear layer whose bias is told in other units."""

    def __init__(self, unit: float) -> None:
        super().__init__()
        key, self.unit = dd.Key(0), unit
        like = torch.zeros((), dtype=torch.float64)
        self.weight = nn.Parameter(key.fold("weight").normal(5, 6, like=like))
        self.bias = nn.Parameter(key.fold("bias").normal(5, like=like) * unit)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.T + self.bias / self.unit


def measured(unit: float, radius: float) -> tuple[Measured, dd.Optimizer]:
    model = Measured(unit)
    groups = [{"params": [model.weight], "radius": 1e-3}, {"params": [model.bias], "radius": radius}]
    return model, dd.Optimizer(groups, dd.SPSA(), key=0, model=model)


def towards(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return (model(batch[0]) - batch[1]).square().mean(1)


def test_radii_of_groups_are_the_units_of_their_learning_rates(tmp_path):
    """A bias in tenths with ten times the radius learns as one in units does."""
    key, like = dd.Key(1), torch.zeros((), dtype=torch.float64)
    batch = key.fold("x").normal(64, 6, like=like), key.fold("y").normal(64, 5, like=like)
    plain, optimizer = measured(1.0, 1e-3)
    other, scaled = measured(10.0, 1e-2)
    with scaled.record(tmp_path / "run.descend"):
        for _ in range(40):
            optimizer.step(towards, batch)
            scaled.step(towards, batch)
    torch.testing.assert_close(plain.weight, other.weight)
    torch.testing.assert_close(10 * plain.bias, other.bias)
    assert float(towards(plain, batch).detach().mean()) < 0.8 * float(towards(Measured(1.0), batch).detach().mean())
    again = dd.replay(Measured(10.0), tmp_path / "run.descend")
    assert torch.equal(again.weight, other.weight)
    assert torch.equal(again.bias, other.bias)
    first, second = (group["lr"] for group in scaled.param_groups)
    assert second == pytest.approx(100 * first)


@pytest.mark.parametrize("parts", [(dd.SPSA(), dd.Adam()), (dd.Evolution(4),)])
def test_radii_of_groups_want_a_learning_rate_where_steps_have_other_units(parts):
    model = Measured(1.0)
    groups = [{"params": [model.weight], "radius": 1e-3}, {"params": [model.bias], "radius": 1e-2}]
    optimizer = dd.Optimizer(groups, *parts, key=0, model=model)
    with pytest.raises(dd.errors.InvalidValue, match="write lr="):
        optimizer.step(towards, (torch.ones(4, 6, dtype=torch.float64), torch.ones(4, 5, dtype=torch.float64)))
