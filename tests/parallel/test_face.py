"""The torch optimizer with `parallel=`: every composition takes the steps it would take alone, bit for bit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed import HashStore

from descend.errors import MissingAnswer
from descend.estimate import SPSA
from descend.parallel import Parallel
from descend.torch_optim import Optimizer

COMPOSITIONS = ["signs", "gains", "adam", "low rank", "population", "streamed", "quasi-Newton"]


@pytest.fixture(scope="module")
def told(start_runs: Any) -> Any:
    return start_runs("face")


def test_all_compositions_are_looked_at(worker: Any) -> None:
    assert list(worker.COMPOSITIONS) == COMPOSITIONS


@pytest.mark.parametrize("name", COMPOSITIONS)
def test_two_ranks_take_the_steps_of_one(told: Any, worker: Any, name: str) -> None:
    first, second = told.all(name)
    expected = worker.steps(worker.composed(name, None), 12)
    for rank in (first, second):
        assert torch.equal(rank["point"], expected["point"])
        assert rank["counted"] == expected["counted"]
    assert torch.equal(first["loss"], second["loss"])


def test_a_rank_comes_back_with_a_copy_of_the_record(told: Any, worker: Any) -> None:
    stayed, back = told("recorded", 0), told("came back", 1)
    assert torch.equal(stayed["point"], back["point"])
    assert torch.equal(stayed["point"], worker.steps(worker.composed("adam", None), worker.STEPS)["point"])


def test_gradients_of_autograd_are_refused() -> None:
    alone = Parallel(store=HashStore(), rank=0, world_size=1)
    with pytest.raises(MissingAnswer, match="SPSA"):
        Optimizer([torch.zeros(3, requires_grad=True)], lr=0.1, parallel=alone)


def test_a_copy_of_an_optimizer_works_alone(tmp_path: Path) -> None:
    x = torch.ones(3)
    alone = Parallel(store=HashStore(), rank=0, world_size=1)
    optimizer = Optimizer([x], SPSA(1e-2), lr=0.1, key=0, parallel=alone)
    torch.save(optimizer, tmp_path / "optimizer")
    copy = torch.load(tmp_path / "optimizer", weights_only=False)
    points = []
    for each in (optimizer, copy):
        p = each.param_groups[0]["params"][0]
        each.step(lambda p=p: (p**2).sum())
        points.append(p)
    assert torch.equal(points[0], points[1])
