"""Real processes: replicas stay copies of each other, workers are killed and come back, a run costs what it says.

All runs are made once, by `worker.py`; each test looks at what its processes told.
"""

import math
from typing import Any

import pytest
import torch


@pytest.fixture(scope="module")
def told(start_runs: Any) -> Any:
    return start_runs("gloo", "three", "elastic")


@pytest.fixture
def alone(worker: Any) -> Any:
    """alone(steps, samples): where the same run ends on one rank."""

    def run(steps: int, samples: int = 2) -> torch.Tensor:
        loop = worker.Loop(None, samples=samples)
        loop.run(steps)
        return loop.parameters.gather()

    return run


def test_after_1000_steps_two_ranks_hold_the_bits_of_one(told: Any, worker: Any, alone: Any) -> None:
    first, second = told.all("many")
    assert torch.equal(first["point"], second["point"])
    assert torch.equal(first["point"], alone(1000))
    assert first["asked"] == second["asked"] == 2000  # each evaluated half
    assert first["counted"] == second["counted"] == 4000


def test_three_ranks_share_four_directions(told: Any, worker: Any, alone: Any) -> None:
    ranks = told.all("three", 3)
    expected = alone(worker.STEPS, samples=4)
    assert all(torch.equal(rank["point"], expected) for rank in ranks)
    assert sorted(rank["asked"] // worker.STEPS for rank in ranks) == [2, 2, 4]


def test_the_two_sides_of_one_direction_are_shared(told: Any, worker: Any, alone: Any) -> None:
    first, second = told.all("one")
    assert torch.equal(first["point"], second["point"])
    assert torch.equal(first["point"], alone(worker.STEPS, samples=1))
    assert first["asked"] == second["asked"] == worker.STEPS


@pytest.mark.parametrize("name", ["halves", "weighted"])
def test_parts_of_the_batch_give_the_run_on_the_whole_batch(told: Any, worker: Any, alone: Any, name: str) -> None:
    first, second = told.all(name)
    assert torch.equal(first["point"], second["point"])
    torch.testing.assert_close(first["point"], alone(worker.STEPS), rtol=0, atol=1e-5)
    assert float((first["point"] - worker.Loop(None).parameters.gather()).abs().max()) > 0.1  # it went somewhere


def test_a_probe_takes_at_most_16_bytes(told: Any, worker: Any, alone: Any) -> None:
    # losses of a float32 model travel as float32, an odd number of words a question
    runs = (("many", 2 * 1000, 2), ("halves", 2 * worker.STEPS, 4), ("one", worker.STEPS, 1))
    for name, directions, values in runs:
        for rank in told.all(name):
            traffic = rank["traffic"]
            assert traffic["sent"] == 4 * (values | 1) * traffic["questions"]
            assert traffic["evaluations"] == values * traffic["questions"]
            assert traffic["sent"] + traffic["checks"] <= 16 * directions
    for rank in told.all("weighted"):  # the weight once, beside values of 8 bytes
        traffic = rank["traffic"]
        assert traffic["sent"] == 20 * (traffic["questions"] - 1) + 4 * 8 + 8
    assert told("many", 0)["traffic"]["checks"] == 8 * 1000 // worker.EVERY


def test_ranks_with_other_keys_do_not_start(told: Any, worker: Any, alone: Any) -> None:
    for rank in told.all("other key"):
        assert rank["error"] == "ReplicasDiffer"
        assert "rank 0: Key(seed=0); rank 1: Key(seed=1)" in rank["says"]


def test_one_wrong_bit_is_found_at_the_next_check(told: Any, worker: Any, alone: Any) -> None:
    for rank in told.all("corrupted"):
        assert rank["error"] == "ReplicasDiffer"
        assert f"before step {2 * worker.EVERY} the parameters" in rank["says"]
        assert "rank 0 and rank 1" in rank["says"]


def test_an_interrupt_of_one_rank_stops_the_other_at_once(told: Any, worker: Any, alone: Any) -> None:
    first, second = told.all("stopped")
    assert second["error"] == "KeyboardInterrupt"
    assert first["error"] == "LostWorker"
    assert "at step 5, rank 1 left (KeyboardInterrupt" in first["says"]
    assert first["seconds"] < 15  # its patience is 20


def test_a_killed_rank_stops_the_other_with_a_sentence(told: Any, worker: Any, alone: Any) -> None:
    first = told("killed", 0)
    assert first["error"] == "LostWorker"
    assert "at step 7, rank 1 did not answer within 2 s" in first["says"]
    assert "start all ranks again" in first["says"]


def test_a_killed_rank_may_be_missing_and_come_back(told: Any, worker: Any, alone: Any) -> None:
    stayed, again = told("elastic", 0), told("again", 1)
    expected = alone(worker.STEPS, samples=4)
    assert torch.equal(stayed["point"], expected)  # not one probe is missing
    assert torch.equal(again["point"], expected)
    assert again["first"] == 3 * worker.EVERY  # what came before it took from the answers of the others
    assert again["asked"] == 4 * (worker.STEPS - 3 * worker.EVERY)
    assert stayed["roll"] == again["roll"] == (0, 1)
    missed = 8 * (3 * worker.EVERY - 12)  # of these it would have evaluated half
    assert stayed["asked"] == 4 * worker.STEPS + math.ceil(missed / 2)
