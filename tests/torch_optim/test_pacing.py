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
    model = network()
    optimizer = dd.Optimizer(model, *PARTS[name], key=0)
    with caplog.at_level(logging.INFO, logger="descend"):
        train(optimizer, model, 0, steps)
    assert accuracy(model) > least
    words = " ".join(optimizer.settings.words)
    assert "radius" in words
    assert "lr" in words
    assert words == " ".join(record.message for record in caplog.records if record.name == "descend")
    assert optimizer.ledger.total <= steps * (16 if "evolution" in name else 8 if "rank" in name else 2) + 24 + 10


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
