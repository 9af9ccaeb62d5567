"""Many processes on one study: the same trials however many there are, and none is lost when one of them ends."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.direct.filling import Uniform
from descend.direct.grid import Grid
from descend.log import Store
from descend.log.owner import here
from descend.model.tpe import TPE
from descend.run.execute import Processes
from descend.space import Choice, Float, Space, When
from descend.study import Study, Trial

SPACE = Space(x=Float(-4, 4), kind=Choice("a", "b", "c"), d=When("kind", ("b", "c"), Float(0, 1)))


@pytest.fixture(scope="module")
def two() -> Iterator[Processes]:
    """Two workers that the tests share, because starting one takes seconds."""
    with Processes(2) as processes:
        yield processes


def entries(study: Study) -> list[Any]:
    return [(record.number, record.params, record.values) for record in study.trials]


def test_batches_are_the_same_for_any_number_of_workers(two: Processes, tmp_path: Path) -> None:
    def of_space(trial: Trial) -> float:
        time.sleep(0.002 * (trial.number % 3))
        return (trial["x"] - 1) ** 2 + trial.params.get("d", 0.25)

    def defining(trial: Trial) -> float:
        kind = trial.choice("kind", "a", "b")
        time.sleep(0.002 * (trial.number % 3))
        return trial.float("x", 0, 1) + (trial.float("d", 0, 1) if kind == "a" else 0.25)

    for space, objective in ((SPACE, of_space), (None, defining)):
        alone = Study(space=space, method=TPE(), batch=4)
        alone.run(objective, trials=24)
        with Study(tmp_path / f"{space is None}.db", space=space, method=TPE(), batch=4) as study:
            study.run(objective, trials=24, executor=two)
            assert entries(study) == entries(alone)
            assert len({record.owner for record in study.trials}) == 2


def dying(two: Processes, folder: Path, often: int) -> Study:
    """Trial 2 costs one worker, and trial 5 so many."""

    def f(trial: Trial) -> float:
        with open(folder / "calls", "a") as file:
            print(trial.number, file=file, flush=True)
        if (trial.number == 5 and trial.attempts <= often) or (trial.number == 2 and trial.attempts == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return trial["x"]

    seen: list[int] = []
    study = Study(folder / "s.db", space=SPACE, method=Uniform())
    study.run(f, trials=10, executor=two, callbacks=[lambda study, record: seen.append(record.number)])
    calls = Counter(map(int, (folder / "calls").read_text().split()))
    assert calls == {n: {2: 2, 5: min(3, often + 1)}.get(n, 1) for n in range(10)}
    assert sorted(seen) == list(range(10))
    assert study.record(2).attempts == 2
    alone = Study(space=SPACE, method=Uniform())
    alone.run(lambda trial: trial["x"], trials=10)
    assert [r.params for r in alone.trials] == [r.params for r in study.trials]
    return study


def test_a_worker_that_dies_costs_nothing_but_its_trial_again(two: Processes, tmp_path: Path) -> None:
    with dying(two, tmp_path, often=0) as study:
        assert [record.state for record in study.trials] == ["done"] * 10


@pytest.mark.slow
def test_a_trial_that_costs_three_workers_fails(two: Processes, tmp_path: Path) -> None:
    with dying(two, tmp_path, often=3) as study:
        assert [record.state for record in study.trials] == ["failed" if n == 5 else "done" for n in range(10)]
        assert study.record(5).error == "its worker died 3 times"


@pytest.mark.slow
def test_an_evaluation_that_needs_too_much_time_or_memory_is_ended(tmp_path: Path) -> None:
    def f(trial: Trial) -> float:
        if trial.number == 1:
            while True:
                time.sleep(1)
        if trial.number == 2:
            block = bytearray(3 * 10**9)
            block[::4096] = b"1" * len(block[::4096])
            time.sleep(60)
        return trial["x"]

    with Study(tmp_path / "s.db", space=SPACE, method=Uniform()) as study:
        study.run(f, trials=4, time_limit=20.0, memory_limit=2 * 10**9)
        errors = [record.error for record in study.trials]
    assert errors[0] is errors[3] is None
    assert errors[1] == "the evaluation took longer than 20 s and was ended"
    assert errors[2] == "the evaluation needed more than 2,000,000,000 bytes of memory and was ended"


def test_a_study_in_memory_goes_on_in_a_file_of_its_own(two: Processes) -> None:
    study = Study(space=SPACE, method=TPE())
    study.set("note", "mine")
    study.run(lambda trial: trial["x"], trials=6)
    study.enqueue({"x": 1.0, "kind": "a"})
    study.add({"x": 2.0, "kind": "a"}, 2.0)
    study.ask()
    before = entries(study)
    study.run(lambda trial: trial["x"], trials=6, executor=two)
    assert entries(study)[:6] == before[:6]
    assert [record.state for record in study.trials] == ["done"] * 13
    assert study.record(6).params == {"x": 1.0, "kind": "a"}
    assert study.attributes == {"note": "mine"}
    assert study.ask().number == 13


def test_whoever_is_alive_keeps_its_trials(tmp_path: Path) -> None:
    """The lease is renewed many times over while an evaluation takes as long as it takes."""
    with Study(tmp_path / "s.db", space=SPACE, method=Uniform(), lease=0.3) as study, Store(tmp_path / "s.db") as store:
        trial, other = study.ask(), store.open("study")
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert other.claim("somebody else", 0.3) is None
            time.sleep(0.05)
        study.tell(trial, 1.0)
        assert study.record(0).attempts == 1


SCRIPT = """
import sys, time
from descend.direct.filling import Uniform
from descend.direct.grid import Grid
from descend.population.cma import CMAES
from descend.space import Float, Space
from descend.study import Study

def f(trial):
    print(trial.number, flush=True)
    if trial.number == int(sys.argv[2]):
        time.sleep(60)
    return (trial["x"] - 1) ** 2

with Study(sys.argv[1], space=Space(x=Float(-4, 4), y=Float(0, 1)), method=CMAES()) as study:
    study.run(f, trials=int(sys.argv[3]))
"""


def start(path: Path, stuck: int, trials: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", textwrap.dedent(SCRIPT), str(path), str(stuck), str(trials)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_is_followed_by_one_that_takes_up_its_trial(tmp_path: Path) -> None:
    first = start(tmp_path / "s.db", stuck=9, trials=20)
    assert first.stdout is not None
    assert [int(first.stdout.readline()) for _ in range(10)] == list(range(10))
    first.kill()
    first.wait()
    with Study(tmp_path / "s.db") as study:
        assert study.record(9).state == "running"
        point, began = study.record(9).params, time.monotonic()
        study.run(lambda trial: (trial["x"] - 1) ** 2, trials=11)
        assert time.monotonic() - began < 10  # and not a lease
        assert (study.record(9).params, study.record(9).attempts) == (point, 2)
        found = entries(study)
    whole = Study(space=Space(x=Float(-4, 4), y=Float(0, 1)), method=study.method)
    whole.run(lambda trial: (trial["x"] - 1) ** 2, trials=20)
    assert found == entries(whole)


def test_processes_that_know_nothing_of_each_other_share_a_file(tmp_path: Path) -> None:
    several = [start(tmp_path / "s.db", stuck=-1, trials=15) for _ in range(2)]
    numbers = [int(line) for process in several for line in process.communicate()[0].split()]
    assert sorted(numbers) == list(range(30))
    with Study(tmp_path / "s.db") as study:
        assert [record.state for record in study.trials] == ["done"] * 30
        # what all of them have asked is what one asks that reads the log
        study.run(lambda trial: 0.0, trials=1)


def test_what_a_dead_worker_has_left_is_found_though_it_was_looked_lately(tmp_path: Path) -> None:
    space = Space(x=Choice("a", "b"))
    gone = here().rpartition(":")[0] + ":1"  # this process, as if it had begun at another time
    with Study(tmp_path / "a.db", space=space, method=Grid()) as study:
        trial = study.ask()
        assert study.session.log.ask(1, 0, {"x": "b"}, gone, 30.0)
        study.session._looked = time.monotonic() + 1000.0
        study.tell(trial, 1.0)
        study.run(lambda trial: 2.0, trials=1)
        assert [(record.state, record.attempts) for record in study.trials] == [("done", 1), ("done", 2)]
