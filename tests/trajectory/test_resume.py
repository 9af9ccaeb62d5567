"""A recorded run that stopped anywhere goes on as if it had never stopped."""

import copy
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from descend import tree
from descend.errors import CompositionError, InvalidValue, StateMismatch
from descend.estimate import SPSA, Evolution
from descend.torch_optim.recording import record
from descend.torch_optim.replay import replay
from descend.torch_optim.retrace import retrace
from descend.torch_optim.trajectory import Damaged, Trajectory
from descend.transform import Adam, HeavyBall

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from killed_run import PARTS, run
from recorded_runs import Recording, equal, loss_of, network, recorded, train


def same_state(a: Recording, b: Recording) -> bool:
    """Whether two optimizers stand at the same place with the same memories."""
    numbers = [(o.t, o.rejected, o.key, o.gains, o.ledger.plain(), o.param_groups[0]["lr"]) for o in (a, b)]
    return numbers[0] == numbers[1] and tree.same(a._states, b._states)


@pytest.fixture(scope="module")
def nursery() -> Iterator[subprocess.Popen[str]]:
    """A process that begins runs."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    script = str(Path(__file__).with_name("killed_run.py"))
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, script], env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield process
        process.kill()


def kill_one(nursery: subprocess.Popen[str], parts: str, path: Path, more: int, pause: float) -> None:
    """Let a process go on with the run until its file has so many bytes more, wait a moment, and kill it."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    begun = path.stat().st_size if path.exists() else 0
    nursery.stdin.write(f"{parts} {path}\n")
    nursery.stdin.flush()
    process = int(nursery.stdout.readline())
    latest = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size >= begun + more) and time.monotonic() < latest:
        time.sleep(1e-3)
    time.sleep(pause)
    os.kill(process, signal.SIGKILL)  # raises if it is not there any more
    while True:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return
        time.sleep(1e-3)


@pytest.mark.parametrize("parts", PARTS)
def test_a_run_killed_at_random_moments_ends_as_one_that_was_not(
    parts: str, nursery: subprocess.Popen[str], tmp_path: Path
) -> None:
    choose = random.Random(parts)
    reached = [0]
    for _ in range(4):
        kill_one(nursery, parts, tmp_path / "run", choose.randrange(300, 3000), choose.random() * 0.01)
        reached.append(Trajectory(tmp_path / "run").steps)
        assert reached[-1] > reached[-2]
    model, optimizer = run(str(tmp_path / "run"), reached[-1] + 20, parts)
    whole, uninterrupted = run(str(tmp_path / "whole"), reached[-1] + 20, parts)
    assert equal(model, whole)
    assert same_state(optimizer, uninterrupted)
    assert equal(replay(network(), tmp_path / "run", from_snapshot=False), whole)


class Killed(BaseException):
    pass


def stopped_at(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends at the k-th of the calls that change a file or a model, before it, without any clean-up."""
    calls = [0]

    def watch(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def ask(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            if calls[0] == call:
                raise Killed
            return real(*args, **kwargs)

        monkeypatch.setattr(owner, name, ask)

    from descend.torch_optim import blocks, optimizer, recorder, retrace, snapshot

    watch(os, "replace")
    watch(torch, "save")
    watch(optimizer, "update_blocks")
    watch(recorder, "frame")
    watch(retrace, "update_blocks")
    watch(snapshot, "digest")
    assert blocks is not None


@pytest.mark.parametrize("call", range(1, 40, 3))
def test_a_run_stopped_between_any_two_changes_ends_as_one_that_was_not(call: int, tmp_path: Path) -> None:
    """With snapshots every other step, so that many stops are within one."""

    def go(path: Path, steps: int) -> tuple[torch.nn.Module, Recording]:
        model = network()
        optimizer = Recording(model, SPSA(1e-2, samples=2), HeavyBall(), lr=0.05, key=3)
        optimizer.record(path, snapshot_every=2)
        train(optimizer, model, steps)
        return model, optimizer

    with pytest.MonkeyPatch.context() as patch:
        stopped_at(call, patch)
        with pytest.raises(Killed):
            go(tmp_path / "run", 20)
    for rest in tmp_path.glob("run*"):  # what the dead process can no longer lock or truncate
        shutil.copy(rest, tmp_path / rest.name.replace("run", "copy"))
    model, optimizer = go(tmp_path / "copy", 12)
    whole, uninterrupted = go(tmp_path / "whole", 12)
    assert equal(model, whole)
    assert same_state(optimizer, uninterrupted)


@pytest.mark.parametrize("every", [None, 1, 4])
@pytest.mark.parametrize("parts", [(SPSA(),), (Evolution(pairs=2), Adam()), (SPSA(1e-2), HeavyBall())], ids=repr)
def test_the_file_of_a_resumed_run_is_that_of_an_uninterrupted_one(
    parts: tuple[Any, ...], every: int | None, tmp_path: Path
) -> None:
    def go(name: str, *stops: int) -> Recording:
        for stop in stops:
            model = network()
            optimizer = Recording(model, *parts, lr=None if parts == (SPSA(),) else 0.02, key=1)
            (tmp_path / name).mkdir(exist_ok=True)
            optimizer.record(tmp_path / name / "run", snapshot_every=every)
            train(optimizer, model, stop)
            optimizer.left()
        return optimizer  # pyright: ignore[reportPossiblyUnboundVariable]

    assert same_state(go("stopped", 5, 5, 9), go("whole", 9))
    assert (tmp_path / "stopped/run").read_bytes() == (tmp_path / "whole/run").read_bytes()


def test_a_torn_record_is_reported_and_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    whole, _ = run(str(path), 20, "plain")
    data = path.read_bytes()
    for lost in (1, 7, 11):
        path.write_bytes(data[:-lost])
        with pytest.warns(RuntimeWarning, match=f"last {12 - lost} bytes, .* after step 19"):
            model, _ = run(str(path), 20, "plain")
        assert equal(model, whole)
        assert path.read_bytes() == data


def test_a_snapshot_is_used_only_if_it_is_this_runs_and_whole(tmp_path: Path) -> None:
    path, beside = tmp_path / "run", tmp_path / "run.snapshot"
    whole, _ = run(str(path), 130, "Adam")
    good = beside.read_bytes()
    run(str(tmp_path / "other"), 60, "plain")
    for content in (good, good[:-1], b"", (tmp_path / "other.snapshot").read_bytes(), None):
        beside.unlink(missing_ok=True)
        if content is not None:
            beside.write_bytes(content)
        told: list[int] = []
        assert equal(replay(network(), path, progress=lambda done, _, told=told: told.append(done)), whole)
        assert (min(told) >= 100) == (content == good)
        assert equal(run(str(path), 130, "Adam")[0], whole)
    beside.write_bytes(good)
    told = []
    replay(network(), path, from_snapshot=False, progress=lambda done, _: told.append(done))
    assert min(told) < 100
    assert equal(replay(network(), path, until=99), run(str(tmp_path / "shorter"), 99, "Adam")[0])


def test_another_run_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "run"
    base = network()
    recorded(base, path, 5, SPSA(1e-2), Adam())
    data = path.read_bytes()

    def refused(sentence: str, model: torch.nn.Module, *parts: Any, key: int = 11) -> None:
        before = copy.deepcopy(model)
        with pytest.raises(StateMismatch, match=sentence):
            Recording(model, *parts, lr=0.05, key=key).record(path)
        assert equal(model, before)
        assert path.read_bytes() == data

    refused("holds a run with key=11, this optimizer has key=12", network(), SPSA(1e-2), Adam(), key=12)
    refused(r"holds a run of .*radius=0.01.* this optimizer has .*radius=0.02", network(), SPSA(2e-2), Adam())
    refused("holds a run of .*Adam.* this optimizer has ", network(), SPSA(1e-2))
    refused("has shape", network(17), SPSA(1e-2), Adam())
    other = network()
    other[0].weight.data[0, 0] = 9
    refused("not the model the run .* the values of 0.weight differ", other, SPSA(1e-2), Adam())
    moved = network()
    optimizer = Recording(moved, SPSA(1e-2), Adam(), lr=0.05, key=11)
    train(optimizer, moved, 2)
    with pytest.raises(StateMismatch, match=r"has taken 2 steps, .* resume it with a new optimizer"):
        optimizer.record(path)


def test_a_fresh_key_may_give_way_to_that_of_the_file(tmp_path: Path) -> None:
    base = network()
    trained, _ = recorded(base, tmp_path / "run", 5, SPSA(1e-2))
    optimizer = Recording(base, SPSA(1e-2), lr=0.05, key=12)
    record(optimizer, tmp_path / "run", adopt_key=True).close()
    assert optimizer.key.seed == 11
    assert equal(base, trained)


def test_damage_in_the_middle_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run(str(path), 20, "plain")
    data = bytearray(path.read_bytes())
    data[-100] ^= 8
    path.write_bytes(data)
    with pytest.raises(Damaged):
        run(str(path), 20, "plain")
    assert path.read_bytes() == data


def test_a_file_has_one_writer(tmp_path: Path) -> None:
    model = network()
    optimizer = Recording(model, SPSA(1e-2), lr=0.05, key=11)
    recorder = optimizer.record(tmp_path / "run")
    with pytest.raises(InvalidValue, match="being recorded already"):
        Recording(network(), SPSA(1e-2), lr=0.05, key=11).record(tmp_path / "run")
    recorder.close()
    recorder.close()
    Recording(network(), SPSA(1e-2), lr=0.05, key=11).record(tmp_path / "run").close()


def test_a_forked_process_neither_writes_nor_holds_the_lock(tmp_path: Path) -> None:
    model = network()
    optimizer = Recording(model, SPSA(1e-2), lr=0.05, key=11)
    recorder = optimizer.record(tmp_path / "run")
    train(optimizer, model, 2)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            recorder.rejected()
            os.write(write, b"1" if recorder._file.closed else b"0")
            signal.pause()
        finally:
            os._exit(1)  # whatever happens, this is not the process that tests
    os.close(write)
    try:
        assert os.read(read, 1) == b"1"
        optimizer.left()
        recorded(network(), tmp_path / "run", 3, SPSA(1e-2))  # while the child lives
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert Trajectory(tmp_path / "run").steps == 3


def test_a_run_that_began_elsewhere_is_recorded_from_where_it_stands(tmp_path: Path) -> None:
    model = network()
    optimizer = Recording(model, SPSA(1e-2), lr=0.05, key=11)
    train(optimizer, model, 4)
    base = copy.deepcopy(model)
    with optimizer.record(tmp_path / "run"):
        train(optimizer, model, 9)
    assert Trajectory(tmp_path / "run").steps == 5
    assert equal(replay(copy.deepcopy(base), tmp_path / "run"), model)
    again = Recording(base, SPSA(1e-2), lr=0.05, key=11)
    again.record(tmp_path / "run")
    assert again.t == 9
    assert equal(base, model)


def test_transforms_that_remember_are_recorded_from_the_first_step_on(tmp_path: Path) -> None:
    model = network()
    optimizer = Recording(model, SPSA(1e-2), Adam(), lr=0.05, key=11)
    train(optimizer, model, 2)
    with pytest.raises(StateMismatch, match="has taken 2 steps, and its transforms remember them"):
        optimizer.record(tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_step_that_nobody_recorded_is_noticed(tmp_path: Path) -> None:
    model = network()
    optimizer = Recording(model, SPSA(1e-2), lr=0.05, key=11)
    optimizer.record(tmp_path / "run")
    train(optimizer, model, 3)
    optimizer.t += 1
    with pytest.raises(StateMismatch, match="holds the run up to step 3, and the optimizer has just taken step 5"):
        optimizer.step(lambda: loss_of(model, 3))
    assert Trajectory(tmp_path / "run").steps == 3


def test_a_group_that_is_added_is_noticed(tmp_path: Path) -> None:
    model, more = network(), torch.nn.Parameter(torch.ones(3))
    optimizer = Recording(model, SPSA(1e-2), lr=0.05, key=11)
    optimizer.record(tmp_path / "run")
    train(optimizer, model, 1)
    optimizer.add_param_group({"params": [("more", more)]})
    with pytest.raises(CompositionError, match="recorded with 1 parameter groups, and now there are 2"):
        optimizer.step(lambda: loss_of(model, 1) + more.sum())


class Full:
    """A file on a disk that is full after some bytes."""

    def __init__(self, file: Any, room: int) -> None:
        self.file, self.room = file, room

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        written = self.file.write(data[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_full_disk_leaves_whole_records(tmp_path: Path) -> None:
    model = network()
    optimizer = Recording(model, SPSA(1e-2), lr=0.05, key=11)
    recorder = optimizer.record(tmp_path / "run")
    train(optimizer, model, 3)
    recorder._file = Full(recorder._file, 12 + 5)  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left"):
        train(optimizer, model, 9)
    assert (Trajectory(tmp_path / "run").steps, Trajectory(tmp_path / "run").torn) == (4, None)


@pytest.mark.parametrize("every", [0, -1])
def test_snapshots_need_a_number_of_steps(every: int, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match=f"snapshot_every must be at least 1, got {every}"):
        Recording(network(), SPSA(1e-2), lr=0.05).record(tmp_path / "run", snapshot_every=every)


def test_fsync_is_asked_for_every_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    model = network()
    optimizer = Recording(model, SPSA(1e-2), lr=0.05, key=11)
    optimizer.record(tmp_path / "run", fsync=True)
    before = len(synced)
    train(optimizer, model, 3)
    assert len(synced) == before + 3


def test_a_run_that_ended_with_rejected_steps_and_another_rate_is_resumed_with_them(tmp_path: Path) -> None:
    def go(name: str, resumed: bool) -> Recording:
        model = network()
        optimizer = Recording(model, SPSA(1e-2), HeavyBall(), lr=0.05, key=11)
        optimizer.record(tmp_path / name)
        train(optimizer, model, 3)
        optimizer.param_groups[0].update(lr=0.01, momentum=0.5)
        train(optimizer, model, 5)
        for _ in range(2):
            optimizer.step(lambda: float("nan"))
        optimizer.left()
        if resumed:
            model = network()
            optimizer = Recording(model, SPSA(1e-2), HeavyBall(), lr=0.05, key=11)
            optimizer.record(tmp_path / name)
            assert (optimizer.t, optimizer.rejected, optimizer.ledger.failures) == (7, 2, 4)
        train(optimizer, model, 9)
        return optimizer

    whole, resumed = go("whole", False), go("resumed", True)
    assert same_state(whole, resumed)
    assert whole.param_groups[0]["momentum"] == resumed.param_groups[0]["momentum"] == 0.5
    assert all(map(torch.equal, whole.parameters.tensors, resumed.parameters.tensors))


def test_a_run_whose_first_step_was_rejected_is_not_begun_twice(tmp_path: Path) -> None:
    def go(name: str, *stops: int) -> tuple[torch.nn.Module, Recording]:
        for stop in stops:
            model = network()
            optimizer = Recording(model.parameters(), SPSA(), key=11)  # without the module, so that gains are found
            optimizer.record(tmp_path / name)
            while optimizer.t < stop:
                t = optimizer.t  # step 0 calibrates its gains, and fails then
                optimizer.step(lambda t=t, o=optimizer, m=model: loss_of(m, t) if t or o.gains is None else math.nan)
                assert optimizer.rejected == 1
            optimizer.left()
        return model, optimizer  # pyright: ignore[reportPossiblyUnboundVariable]

    (stopped, resumed), (whole, uninterrupted) = go("stopped", 1, 6), go("whole", 6)
    assert same_state(resumed, uninterrupted)
    assert equal(stopped, whole)


def test_an_optimizer_is_brought_to_any_step_of_a_run_that_goes_on(tmp_path: Path) -> None:
    run(str(tmp_path / "run"), 130, "Adam")  # with a snapshot at 100
    for until in (0, 99, 100, 101):
        (tmp_path / "shorter").unlink(missing_ok=True)
        shorter, there = run(str(tmp_path / "shorter"), until, "Adam")
        model = network()
        optimizer = Recording(model, *PARTS["Adam"], lr=0.05, key=11)
        retrace(optimizer, Trajectory(tmp_path / "run"), until=until)
        assert equal(model, shorter)
        assert (optimizer.t, until == 0 or tree.same(optimizer._states, there._states)) == (until, True)
