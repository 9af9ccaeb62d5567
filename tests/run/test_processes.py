"""Processes that die, hang, or are killed: nothing is lost, nothing counted twice, nobody left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from descend.errors import CompositionError, EvaluationFailed
from descend.key import Key
from descend.oracle import Function
from descend.run.execute import Processes

XS = torch.arange(6, dtype=torch.float64)[:, None]


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    """Two workers with a time limit, which the tests share because starting one takes seconds."""
    with Processes(2, seconds=3.0) as processes:
        yield processes


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_the_point_of_a_worker_that_dies_is_evaluated_again(two: Processes, tmp_path: Path) -> None:
    def f(x: torch.Tensor, key: Key) -> float:
        with open(tmp_path / "calls", "a") as file:
            print(int(x[0]), file=file, flush=True)
        if x[0] == 3 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return float(x[0]) + key.seed

    assert two.values(f, XS, Key(10)) == [10, 11, 12, 13, 14, 15]
    assert Counter(lines(tmp_path / "calls")) == {"0": 1, "1": 1, "2": 1, "3": 2, "4": 1, "5": 1}


def test_a_point_that_takes_too_long_fails_and_is_really_ended(two: Processes, tmp_path: Path) -> None:
    def f(x: torch.Tensor, key: Key) -> float:
        if x[0] != 1:
            return float(x[0])
        child = subprocess.Popen(["sleep", "60"])
        (tmp_path / "pids").write_text(f"{os.getpid()} {child.pid}")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            with suppress(BaseException):
                time.sleep(60)

    answers = two.values(f, XS, Key(0))
    assert [a for a in answers if isinstance(a, float)] == [0, 2, 3, 4, 5]
    assert isinstance(answers[1], EvaluationFailed)
    assert str(answers[1]) == "the evaluation took longer than 3 s and was ended"
    for pid in lines(tmp_path / "pids"):
        assert gone(int(pid))


def test_workers_stand_alone_and_say_why_they_leave(two: Processes) -> None:
    before = dict(os.environ)

    def f(x: torch.Tensor, key: Key) -> float:
        if x[0] == 2:
            sys.exit("enough")
        return (
            float(os.environ["OMP_NUM_THREADS"]) + float(os.environ["OPENBLAS_NUM_THREADS"]) + torch.get_num_threads()
        )

    answers = two.values(f, XS[1:3], Key(0))
    assert answers[0] == 3.0
    assert str(answers[1]) == "the objective called sys.exit('enough')"
    assert dict(os.environ) == before


def test_the_next_point_is_chosen_when_a_worker_is_free(two: Processes) -> None:
    outcomes: dict[int, Any] = {}

    def points() -> Iterator[dict[str, float]]:
        for i in range(7):
            assert len(outcomes) >= i - 1
            yield {"i": float(i), "known": float(len(outcomes))}

    for i, outcome in two.stream(lambda point, key: 10 * point["i"] + point["known"], points(), Key(0)):
        outcomes[i] = outcome
    assert sorted(outcomes) == list(range(7))
    assert all(10 * i + i - 1 <= outcomes[i] <= 10 * i + i for i in outcomes)


@pytest.mark.slow
def test_a_thousand_evaluations_with_a_worker_killed_every_fifty(tmp_path: Path) -> None:
    n, every, outcomes = 1000, 50, list[tuple[int, Any]]()

    def f(point: int, key: Key) -> float:
        with open(tmp_path / str(point), "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(0.002)
        return float(point)

    with Processes(2) as executor:
        for i, outcome in executor.stream(f, range(n), Key(0)):
            outcomes.append((i, outcome))
            if len(outcomes) % every == 0:
                victim = next(worker.process for worker in executor._running.values() if worker.loaded)
                assert victim.pid is not None
                os.kill(victim.pid, signal.SIGKILL)
    assert sorted(outcomes) == [(i, float(i)) for i in range(n)]
    calls = [len(lines(tmp_path / str(point))) for point in range(n)]
    assert n <= sum(calls) <= n + n // every
    assert min(calls) == 1


@pytest.mark.slow
def test_the_ledger_counts_a_point_once_however_many_workers_it_costs(tmp_path: Path) -> None:
    def f(x: torch.Tensor) -> float:
        with open(tmp_path / "calls", "a") as file:
            print(int(x[0]), file=file, flush=True)
        if x[0] == 2:
            os._exit(9)
        return float(x[0])

    with Processes(1, deaths=2) as executor:
        oracle = Function(f, executor=executor)
        with pytest.warns(RuntimeWarning, match=r"exit code 9\), 2 times"):
            values = oracle.values(XS, Key(0))
    assert values.isnan().tolist() == [False, False, True, False, False, False]
    assert (oracle.ledger.total, oracle.ledger.failures) == (6, 1)
    assert lines(tmp_path / "calls") == ["0", "1", "2", "2", "3", "4", "5"]


class Deadly:
    """Something whose arrival kills."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (3,)


@pytest.mark.slow
def test_an_objective_that_kills_every_worker_at_once_is_given_up() -> None:
    deadly, others = Deadly(), set(multiprocessing.active_children())  # those of a pool that other tests share
    with Processes(1) as executor, pytest.raises(CompositionError, match=r"before they had loaded.*exit code 3"):
        executor.values(lambda x, key: float(deadly is None), XS, Key(0))
    assert set(multiprocessing.active_children()) <= others


SCRIPT = """
import os, subprocess, sys, time
from descend.key import Key
from descend.run.execute import Processes

def sleeper(i, key):
    child = subprocess.Popen(["sleep", "120"])
    os.write(1, f"{os.getpid()} {child.pid}\\n".encode())  # in one piece
    time.sleep(120)

with Processes(2) as executor:
    list(executor.stream(sleeper, range(2), Key(0)))
"""


@pytest.mark.parametrize(
    "how", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)], ids=["ctrl-c", "kill"]
)
def test_nobody_is_left_behind(how: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=environment,
    ) as run:  # fmt: skip
        assert run.stdout is not None
        pids = [int(pid) for _ in range(2) for pid in run.stdout.readline().split()]
        assert len(pids) == 4
        os.killpg(run.pid, how)
        assert run.wait(30) != 0
    assert all(gone(pid) for pid in pids)


def gone(pid: int) -> bool:
    """Whether a process ends within a few seconds; one that nobody has waited for has ended too."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False
