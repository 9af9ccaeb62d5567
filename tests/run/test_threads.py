"""Threads: really at once, in the order in which they are done, and no trace of them in what the user sees."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from descend.key import Key
from descend.oracle import Function
from descend.run.execute import Serial, Threads


def test_evaluations_are_under_way_at_once_and_come_as_they_are_done() -> None:
    gate = [threading.Event() for _ in range(4)]

    def f(i: int, key: Key) -> float:
        assert gate[i].wait(20)
        if i:
            gate[i - 1].set()  # each lets the one before it go on, so they can be done in one order only
        return float(i)

    gate[3].set()
    with Threads(4) as executor:
        assert list(executor.stream(f, range(4), Key(0))) == [(3, 3.0), (2, 2.0), (1, 1.0), (0, 0.0)]


@pytest.mark.parametrize("executor", [Serial(), Threads(1)], ids=repr)
def test_the_next_point_is_chosen_when_the_last_outcome_is_known(executor: Any) -> None:
    seen: list[tuple[int, Any]] = []

    def points() -> Iterator[float]:
        for i in range(4):
            assert len(seen) == i
            yield float(sum(outcome for _, outcome in seen)) + 1

    for answer in executor.stream(lambda x, key: 2 * x, points(), Key(0)):
        seen.append(answer)
    assert seen == [(0, 2.0), (1, 6.0), (2, 18.0), (3, 54.0)]


def test_no_more_are_under_way_than_there_are_workers() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def f(x: torch.Tensor, key: Key) -> float:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1
        return 0.0

    with Threads(3) as executor:
        executor.values(f, torch.zeros(30, 1), Key(0))
    assert most == 3


def test_what_goes_wrong_comes_back_and_the_threads_go_on() -> None:
    executor, others = Threads(2), set(threading.enumerate())

    def f(i: int, key: Key) -> float:
        if i == 1:
            raise SystemExit(3)
        return float(i)

    with pytest.raises(SystemExit):
        list(executor.stream(f, range(4), Key(0)))
    assert sorted(executor.stream(f, [5, 6, 7], Key(0))) == [(0, 5.0), (1, 6.0), (2, 7.0)]
    for _, outcome in executor.stream(f, [2, 3], Key(0)):
        assert outcome in (2.0, 3.0)
        break  # and what is still under way is not taken for an answer of the next batch
    assert executor.values(lambda x, key: float(x) + 10, torch.arange(3.0), Key(0)) == [10, 11, 12]
    executor.close()
    deadline = time.monotonic() + 20
    while not set(threading.enumerate()) <= others:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_who_hangs_after_an_interrupt_is_in_nobodys_way() -> None:
    gate, passed = threading.Event(), list[bool]()

    def hangs(x: torch.Tensor, key: Key) -> float:
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        passed.append(gate.wait(30))
        return 0.0

    def quick(x: torch.Tensor, key: Key) -> float:
        gate.set()
        return 1.0

    with Threads(1) as executor:
        with pytest.raises(KeyboardInterrupt):
            executor.values(hangs, torch.zeros(1, 1), Key(0))
        assert executor.values(quick, torch.zeros(1, 1), Key(0)) == [1.0]
    while not passed:
        time.sleep(0.01)
    assert passed == [True]


def test_the_users_random_numbers_go_on() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    oracle = Function(lambda x: x.sum() + torch.randn(()), executor=Threads(3))
    assert len(set(oracle.values(torch.zeros(20, 2), Key(0)).tolist())) >= 1
    assert torch.equal(torch.rand(4), expected)
