"""Replicas are compared at the start and on the way, and who comes late catches up on the answers of the others."""

import math
import time
from datetime import timedelta
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributed import HashStore, PrefixStore

from descend.errors import InvalidValue, StateMismatch
from descend.key import Key
from descend.parallel import LostWorker, Parallel, ReplicasDiffer, Team
from descend.parallel.log import Log

ABOUT = {"key": "Key(seed=0)", "parts": "(SPSA(),)"}


def answers(team: Team, t: int) -> Tensor:
    """What a question at step t is answered, asked or recalled."""
    known = team.recall()
    if known is None:
        mine = torch.full((1,), float(t), dtype=torch.float64)
        known = torch.stack(list(team.gather(mine, dict.fromkeys(team.roll, 1)).values())).mean(0)
    team.note(known)
    return known


def train(team: Team, steps: range, x: Tensor) -> Tensor:
    """A run whose update is the answer itself."""
    for t in steps:
        team.meet(t, [x], ABOUT)
        x += answers(team, t)
    return x


# The start


@pytest.mark.parametrize(
    ("name", "theirs", "says"),
    [("key", "Key(seed=1)", "rank 0, 1: Key(seed=0); rank 2: Key(seed=1)"), ("layout", "fc (3, 3)", "rank 0, 1: noth")],
)
def test_ranks_that_are_about_to_do_different_things_are_named(
    together: Any, name: str, theirs: str, says: str
) -> None:
    def run(rank: int, team: Team) -> None:
        team.meet(0, [torch.zeros(2)], ABOUT | ({name: theirs} if rank == 2 else {}))

    ended = together(3, run)
    assert all(isinstance(error, ReplicasDiffer) for error in ended)
    assert f"must agree on the {name}" in str(ended[0])
    assert says.replace("rank 0, 1", "ranks 0, 1") in str(ended[0])


def test_where_long_settings_differ_is_shown(together: Any) -> None:
    def run(rank: int, team: Team) -> None:
        team.meet(0, [torch.zeros(2)], {"layout": "same " * 200 + f"weight ({rank}, 4)" + " rest" * 100})

    error = str(together(2, run)[0])
    assert "weight (0, 4)" in error
    assert "weight (1, 4)" in error
    assert len(error) < 700


def test_other_steps_and_other_weights_are_found_at_the_start(together: Any) -> None:
    steps = together(2, lambda rank, team: team.meet(rank, [torch.zeros(2)], ABOUT))
    assert "must agree on the step" in str(steps[0])
    weights = together(2, lambda rank, team: team.meet(7, [torch.full((2,), float(rank))], ABOUT))
    assert "before step 7 the parameters of the ranks are not the same any more" in str(weights[1])


# On the way


@pytest.mark.parametrize(
    ("ranks", "odd", "says"),
    [(2, 1, "those of rank 0 and rank 1 differ"), (3, 1, "those of rank 1 differ; ranks 0, 2")],
)
def test_a_replica_that_went_astray_is_named_at_the_next_check(together: Any, ranks: int, odd: int, says: str) -> None:
    def run(rank: int, team: Team) -> None:
        x = train(team, range(5), torch.zeros(3))
        if rank == odd:
            x[2] += 1e-3
        train(team, range(5, 12), x)

    ended = together(ranks, run, check_every=4)
    assert all(isinstance(error, ReplicasDiffer) for error in ended)
    assert all(f"before step 8 the parameters of the ranks are not the same any more: {says}" in str(e) for e in ended)


def test_a_check_takes_eight_bytes_and_comes_every_so_many_steps(together: Any) -> None:
    def run(rank: int, team: Team) -> Any:
        train(team, range(25), torch.zeros(3))
        return team.traffic.checks, team.traffic.sent

    assert together(2, run, check_every=10) == [(3 * 8, 25 * 4)] * 2


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("value", [0.1, 0.5, math.nan, math.inf, -0.0])
def test_values_arrive_bit_for_bit_and_as_float32_where_that_holds_them(
    together: Any, count: int, value: float
) -> None:
    def run(rank: int, team: Team) -> Any:
        values = torch.full((count,), value, dtype=torch.float64)
        return team.gather(values, {0: count, 1: count})[1 - rank], team.traffic.sent

    size = 0 if count == 0 else 8 * count if value == 0.1 else 4 * (count | 1)
    for found, sent in together(2, run):
        assert found.dtype == torch.float64
        expected = np.full(count, value)
        assert found.numpy().tobytes() == expected.tobytes()
        assert sent == size


@pytest.mark.parametrize(
    ("value", "sent", "expected"),  # of 8 bytes, one more would be a weight
    [(0.5, *pair) for pair in ((2, 1), (4, 2), (1, 2), (3, 4), (2, 3), (3, 2))] + [(0.1, 1, 2), (0.1, 4, 2)],
)
def test_another_number_of_values_is_never_taken_for_the_right_one(
    together: Any, value: float, sent: int, expected: int
) -> None:
    def run(rank: int, team: Team) -> Any:
        values = torch.full((sent if rank else expected,), value, dtype=torch.float64)
        return team.gather(values, {0: expected, 1: expected})

    assert isinstance(together(2, run)[0], StateMismatch)


# Coming late


def anew(store: HashStore, rank: int) -> Team:
    """The rank in a new process, which counts its runs from 0."""
    return Team(PrefixStore("descend/0", store), rank, 1, 1, 1.0, "continue", 5.0, 4)


def applied(team: Team) -> None:
    until = time.monotonic() + 20
    while not team.waiting:
        assert time.monotonic() < until
        time.sleep(0.002)


@pytest.mark.parametrize("start", [0, 9])
def test_a_new_rank_catches_up_and_is_in_from_a_check_on(together: Any, start: int) -> None:
    """Three threads, the third of which is a rank that nobody expected; from step 9 it has a saved state."""
    store = HashStore()
    saved = torch.zeros(1)

    def run(rank: int, team: Team) -> Any:
        if rank < 2:
            x = train(team, range(9), torch.zeros(1))
            if rank == 0:
                saved.copy_(x)
                store.set("begin", "")
                applied(team)
            x = train(team, range(9, 14), x)
            if rank == 0 and start == 0:  # it was told only what came before step 12, and asks again
                applied(team)
            return train(team, range(14, 30), x), team.roll
        store.wait(["begin"], timedelta(seconds=20))
        x = torch.zeros(1) if start == 0 else saved.clone()
        live = []
        for t in range(start, 30):
            train(team, range(t, t + 1), x)
            live += [] if team.catching_up else [t]
        return x, team.roll, live[0]

    first, second, third = together(3, run, store=store, on_lost="continue", check_every=4, world_size=2)
    assert first[1] == second[1] == third[1] == (0, 1, 2)
    assert torch.equal(first[0], third[0])
    assert third[2] == (16 if start == 0 else 12)


def test_a_rank_that_comes_before_the_others_have_begun_waits_for_them(together: Any) -> None:
    def run(rank: int, team: Team) -> Any:
        if rank < 2:
            time.sleep(0.2)
        elif rank == 2:
            assert not team.wire.store.check(["started"])
        x = torch.zeros(1)
        for t in range(200):
            train(team, range(t, t + 1), x)
            time.sleep(0.001)
        return x, team.roll

    ended = together(3, run, on_lost="continue", check_every=4, world_size=2)
    assert all(torch.equal(x, ended[0][0]) and roll == (0, 1, 2) for x, roll in ended)


def test_a_late_rank_with_other_settings_or_another_model_stays_out(together: Any) -> None:
    store = HashStore()

    def run(rank: int, team: Team) -> Any:
        if rank == 0:
            x = train(team, range(9), torch.zeros(1))
            store.set("begin", "")
            applied(team)
            return train(team, range(9, 30), x), team.roll
        store.wait(["begin"], timedelta(seconds=20))
        with pytest.raises(ReplicasDiffer, match=r"another key: Key\(seed=5\), the others have Key\(seed=0\)"):
            team.meet(0, [torch.zeros(1)], ABOUT | {"key": "Key(seed=5)"})
        train(anew(store, 1), range(9, 13), torch.ones(1))

    first, second = together(2, run, store=store, on_lost="continue", check_every=4, world_size=1, patience=1.0)
    assert isinstance(second, ReplicasDiffer)
    assert "its parameters are not those of the others" in str(second)
    assert first[1] == (0,)


def test_what_nobody_remembers_has_to_be_replayed(together: Any) -> None:
    store = HashStore()

    def run(rank: int, team: Team) -> Any:
        if rank == 0:
            x = train(team, range(100, 105), torch.zeros(1))
            store.set("begin", "")
            applied(team)
            return train(team, range(105, 120), x)
        store.wait(["begin"], timedelta(seconds=20))
        train(team, range(20, 120), torch.zeros(1))

    _, error = together(2, run, store=store, on_lost="continue", check_every=4, world_size=1)
    assert isinstance(error, StateMismatch)
    assert "kept from step 100 on, and a replica at step 20" in str(error)


def test_nobody_joins_a_run_that_stops_for_a_lost_rank(together: Any) -> None:
    store = HashStore()
    together(1, lambda rank, team: train(team, range(3), torch.zeros(1)), store=store)
    with pytest.raises(LostWorker, match="have started without rank 1"):
        Parallel(store=store, rank=1, world_size=2).connect().meet(0, [torch.zeros(1)], ABOUT)


def test_a_second_run_on_one_store_does_not_read_the_first_ones_mail(together: Any) -> None:
    def run(rank: int, team: Team) -> Tensor:
        train(team, range(5), torch.zeros(1))
        settings = Parallel(store=store, rank=rank, world_size=2)
        return train(settings.connect(), range(5), torch.zeros(1))

    store = HashStore()
    assert together(2, run, store=store) == [torch.tensor([10.0])] * 2


# The log and the description


def test_a_log_serves_every_step_it_holds() -> None:
    log, all_answers = Log(), []
    for t in range(3, 9):
        log.begin(t)
        all_answers.append([Key(t).fold(q).seed.to_bytes(8) * q for q in range(t % 3)])
        for answer in all_answers[-1]:
            log.add(answer)
    for t in range(3, 9):
        assert Log.unpack(log.since(t)) == list(chain(*all_answers[t - 3 :]))
    assert Log.unpack(log.since(9)) == []
    for t in (2, 10):
        with pytest.raises(StateMismatch):
            log.since(t)
    log.begin(20)
    assert log.first == 20


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"probes": 0}, "probes=0"),
        ({"batch": -1}, "batch=-1"),
        ({"check_every": 0}, "check_every=0"),
        ({"patience": 0.0}, "patience=0.0"),
        ({"weight": 0.0}, "weight=0.0"),
        ({"weight": float("nan")}, "weight=nan"),
        ({"on_lost": "panic"}, "'panic'"),
        ({"store": HashStore()}, "rank= and world_size="),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        Parallel(**settings)


def test_the_grid_must_have_a_place_for_every_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidValue, match="probes=2 times batch=1 must be the number of ranks, which is 4"):
        Parallel(probes=2, store=HashStore(), rank=0, world_size=4).connect()
    with pytest.raises(InvalidValue, match="rank=4"):
        Parallel(store=HashStore(), rank=4, world_size=4).connect()
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(InvalidValue, match="torchrun"):
        Parallel().connect()
