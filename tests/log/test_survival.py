"""What happens to processes and disks does not happen to logs: killed, stopped, locked out, full, cut short."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from descend.errors import InvalidValue, StateMismatch, StoreFailed
from descend.key import Key
from descend.log import Log, Row, Store
from descend.log.heart import Heart
from descend.log.owner import here, is_gone

POINT = {f"x{number}": 0.1 * number for number in range(10)}


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "tune.db") if request.param == "sqlite" else request.getfixturevalue("server")


def forked(work: Callable[[], None]) -> int:
    """The process that does it; its exit status is 0 if nothing was raised."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return child


def ended_well(children: list[int]) -> bool:
    return [os.waitpid(child, 0)[1] for child in children] == [0] * len(children)


def at_once(count: int, work: Callable[[int], None]) -> bool:
    """Whether so many processes that begin at the same moment all end well."""
    read, write = os.pipe()

    def wait_and_work(number: int) -> None:
        os.close(write)
        os.read(read, 1)  # until the other end is closed
        work(number)

    children = [forked(lambda number=number: wait_and_work(number)) for number in range(count)]
    os.close(write)
    os.close(read)
    return ended_well(children)


def is_whole(store: Store) -> bool:
    return store._database.run("PRAGMA integrity_check") == [("ok",)]


def one_trial(log: Log, value: float) -> int:
    """Ask for the next trial, or take one that is left, and answer it; its number."""
    owner = here()
    taken = log.claim(owner, 30.0, 10**6)
    if taken is not None:
        number = taken.number
    else:
        with log.turn():
            number = 1 + max((row.number for row in log.sync()[0][-8:]), default=-1)
            while not log.ask(number, 0, POINT, owner, 30.0):
                number = 1 + max(row.number for row in log.sync()[0])
    log.report(number, 0, [value])
    log.tell(number, owner, "done", [value])
    return number


# Killed


def kills(count: int, folder: Path) -> None:
    """Kill 4 busy workers so often, at random moments, and begin new ones; then compare what they say with the log."""
    path, moments = folder / "tune.db", Key(count).integers(0, 2**20, count).tolist()
    Store(path).close()

    def work(worker: int) -> None:
        said = os.open(folder / f"said {worker}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with Store(path) as store:
            log = store.open("study", {})
            for trial in range(10**6):
                value = worker + trial / 2**20
                os.write(said, f"{one_trial(log, value)} {value!r}\n".encode())  # it is the system's now, as a log's

    workers = {number: forked(lambda number=number: work(number)) for number in range(4)}
    for number, moment in enumerate(moments, 4):
        time.sleep(0.03 * moment / 2**20)
        victim = sorted(workers)[moment % 4]
        child = workers.pop(victim)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        workers[number] = forked(lambda number=number: work(number))
    for child in workers.values():
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    acknowledged = [line.split() for file in folder.glob("said *") for line in file.read_text().splitlines()]
    with Store(path) as store:
        log = store.open("study")
        found = {row.number: row for row in log.sync()[0]}
        assert is_whole(store)
        assert len({number for number, _ in acknowledged}) == len(acknowledged) > 3 * count / 4
        assert all(found[int(number)].values == (float(value),) for number, value in acknowledged)
        assert sorted(found) == list(range(len(found)))
        done = [row for row in found.values() if row.state == "done"]
        assert sorted(row.place for row in done if row.place is not None) == list(range(len(done)))
        assert len(acknowledged) <= len(done) <= len(acknowledged) + count + 4
        left = [row for row in found.values() if row.state == "running"]
        assert len(left) <= 4  # the survivors have taken over what others left
        assert all(log.claim(here(), 30.0, 10**6) is not None for _ in left)
        assert log.claim(here(), 30.0) is None


def test_no_answer_is_lost_to_kills(tmp_path: Path) -> None:
    kills(40, tmp_path)


@pytest.mark.slow
def test_no_answer_is_lost_to_a_thousand_kills(tmp_path: Path) -> None:
    kills(1000, tmp_path)


def test_a_dead_process_is_known_at_once(tmp_path: Path) -> None:
    read, write = os.pipe()

    def say() -> None:
        os.write(write, here().encode())
        time.sleep(60)

    child = forked(say)
    owner = os.read(read, 200).decode()
    os.close(read)
    os.close(write)
    assert not is_gone(owner)
    os.kill(child, signal.SIGKILL)
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT) is None:
        pass
    assert is_gone(owner)  # although nobody has taken notice of its end
    os.waitpid(child, 0)
    assert is_gone(owner)
    assert owner != here()


# Cut short


def torn(folder: Path) -> tuple[Path, int, int]:
    """A file whose writer was killed after 12 answers, and the size of its journal before and after the last one."""
    path = folder / "tune.db"
    read, write = os.pipe()

    def work() -> None:
        log, before = Store(path).open("study", {}), 0
        for number in range(12):
            before = path.with_name("tune.db-wal").stat().st_size
            log.ask(number, number, POINT, here(), 30.0) if number < 11 else None
            log.tell(number, here(), "done", [float(number)]) if number < 11 else log.add(log.sync()[0][0])
        os.write(write, f"{before} {path.with_name('tune.db-wal').stat().st_size}".encode())
        os._exit(0)  # nothing is closed

    assert ended_well([forked(work)])
    before, after = map(int, os.read(read, 100).split())
    os.close(read)
    os.close(write)
    assert after - before > 4000
    return path, before, after


def cut_everywhere(folder: Path, sizes: Callable[[int, int], list[int]]) -> None:
    path, before, after = torn(folder)
    whole, journal = path.read_bytes(), path.with_name("tune.db-wal").read_bytes()
    assert len(journal) == after
    copy = folder / "copy.db"
    for size in sizes(before, after):
        copy.write_bytes(whole)
        copy.with_name("copy.db-wal").write_bytes(journal[:size])
        copy.with_name("copy.db-shm").unlink(missing_ok=True)
        with Store(copy) as store:
            log = store.open("study")
            found = sorted(log.sync()[0])
            assert [row.values for row in found[:11]] == [(float(number),) for number in range(11)]
            assert len(found) == (12 if size == after else 11)
            assert log.enqueue({}) == len(found)
            assert is_whole(store)


def test_a_torn_end_of_the_journal_costs_what_was_torn_only(tmp_path: Path) -> None:
    cut_everywhere(tmp_path, lambda before, after: [*range(before, after, 511), after - 1, after])


@pytest.mark.slow
def test_a_torn_end_of_the_journal_at_every_byte(tmp_path: Path) -> None:
    cut_everywhere(tmp_path, lambda before, after: list(range(before, after + 1)))


def cut_file(folder: Path, every: int) -> None:
    path = folder / "tune.db"
    with Store(path) as store:
        log = store.open("study", {})
        for number in range(40):
            log.ask(number, number, POINT, "me", 30.0)
    whole = path.read_bytes()
    for size in [*range(len(whole) - 4096, len(whole), every), len(whole) - 1]:
        path.write_bytes(whole[:size])
        with pytest.raises(InvalidValue, match=r"tune.db is damaged or cut short.*restore a copy"):
            Store(path)
        assert path.stat().st_size == size
    path.write_bytes(whole)
    with Store(path) as store:
        assert len(store.open("study").sync()[0]) == 40


def test_a_file_that_is_cut_short_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    cut_file(tmp_path, 97)


@pytest.mark.slow
def test_a_file_that_is_cut_short_at_every_byte_of_its_last_page(tmp_path: Path) -> None:
    cut_file(tmp_path, 1)


# Many at once


def create_or_load(rounds: int, where: Callable[[int], str]) -> None:
    for round_ in range(rounds):

        def work(number: int, round_: int = round_) -> None:
            with Store(where(round_)) as store:
                store.open(f"study {round_}", {"a": 1}).enqueue({"x": number})

        assert at_once(8, work)
        with Store(where(round_)) as store:
            found = store.open(f"study {round_}", {"a": 1}).sync()[0]
            assert sorted((row.proposal or {})["x"] for row in found) == list(range(8))


def test_eight_processes_begin_one_study_at_once(tmp_path: Path) -> None:
    create_or_load(6, lambda number: str(tmp_path / f"{number}.db"))


@pytest.mark.slow
def test_eight_processes_begin_one_study_at_once_fifty_times(tmp_path: Path) -> None:
    create_or_load(50, lambda number: str(tmp_path / f"{number}.db"))


def test_eight_processes_begin_one_study_on_a_server(server: str) -> None:
    with Store(server) as store:
        store._database.run("DROP SCHEMA descend CASCADE")
    create_or_load(3, lambda number: server)


def test_queued_trials_are_made_once_each_by_eight_workers(where: str, tmp_path: Path) -> None:
    with Store(where) as store:
        log = store.open("queue", {})
        for number in range(200):
            log.enqueue({"x": number})

    def work(worker: int) -> None:
        with Store(where) as store:
            log = store.open("queue")
            while (row := log.claim(here(), 30.0)) is not None:
                (tmp_path / f"made {row.number} by {worker}").touch()
                log.tell(row.number, here(), "done", [float(row.number)])

    assert at_once(8, work)
    made = [int(file.name.split()[1]) for file in tmp_path.glob("made *")]
    assert sorted(made) == list(range(200))
    with Store(where) as store:
        found = sorted(store.open("queue").sync()[0])
    assert [row.values for row in found] == [(float(number),) for number in range(200)]
    assert sorted(row.place for row in found if row.place is not None) == list(range(200))


def test_workers_that_ask_at_the_same_moment_get_different_numbers(where: str) -> None:
    with Store(where) as store:
        store.open("asking", {})

    def work(worker: int) -> None:
        with Store(where) as store:
            log, version, known = store.open("asking"), 0, 0
            for _ in range(40):
                rows, version = log.sync(version)
                known += sum(row.attempts == 1 and row.state == "running" for row in rows)
                number = 1 + max((row.number for row in log.sync()[0]), default=-1)
                if not log.ask(number, 0, POINT, here(), 30.0):
                    with log.turn():
                        number = 1 + max(row.number for row in log.sync()[0])
                        assert log.ask(number, 0, POINT, here(), 30.0)
                log.tell(number, here(), "done", [float(worker)])

    assert at_once(4, work)
    with Store(where) as store:
        found = sorted(store.open("asking").sync()[0])
        assert [row.number for row in found] == list(range(160))
        assert sorted(row.place for row in found if row.place is not None) == list(range(160))
        assert sorted(row.version for row in found)[-1] == 320


def test_changes_are_seen_in_order_and_none_is_missed_while_others_write(where: str) -> None:
    """A reader that follows the versions has at the end what is there."""
    with Store(where) as store:
        log = store.open("followed", {})

        def work(worker: int) -> None:
            with Store(where) as mine:
                own = mine.open("followed")
                for number in range(50):
                    own.report(own.enqueue({"x": worker}), number, [1.0])

        children = [forked(lambda number=number: work(number)) for number in range(3)]
        seen, told, version, news = [], [], 0, 0
        while len(seen) < 150 or len(told) < 150:
            rows, version = log.sync(version)
            reports, news = log.reports(news)
            seen += [row.version for row in rows]
            told += reports
        assert ended_well(children)
        assert seen == list(range(1, 151))
        assert len({report.number for report in told}) == 150


# Stopped


def stopped_worker(path: Path, lease: float) -> tuple[int, int]:
    """A process that has asked, says so, and is stopped in the middle of its work; where its end can be read."""
    read, write = os.pipe()

    def work() -> None:
        with Store(path) as store:
            log = store.open("study", {})
            log.ask(0, 0, POINT, here(), lease)
            with Heart(log, here(), lease):
                os.write(write, b"asked ")
                os.kill(os.getpid(), signal.SIGSTOP)
            try:
                log.tell(0, here(), "done", [1.0])
                os.write(write, b"taken")
            except StateMismatch as error:
                os.write(write, str(error).encode())

    child = forked(work)
    os.close(write)
    os.waitpid(child, os.WUNTRACED)
    assert os.read(read, 6) == b"asked "
    return child, read


@pytest.mark.parametrize("overtaken", [False, True])
def test_whoever_was_stopped_for_longer_than_its_lease(overtaken: bool, tmp_path: Path) -> None:
    child, read = stopped_worker(tmp_path / "tune.db", 0.2)
    try:
        with Store(tmp_path / "tune.db") as store:
            log = store.open("study")
            time.sleep(0.25)
            assert log.claim("me", 0.2) is None  # begins to watch
            time.sleep(0.15)
            if overtaken:
                taken = log.claim("me", 30.0)
                assert taken is not None
                assert taken.attempts == 2
            os.kill(child, signal.SIGCONT)
            assert ended_well([child])
            said = os.read(read, 1000).decode()
            row = log.sync()[0][0]
            if overtaken:
                assert said.startswith("trial 0 is being made by me and not by ")
                assert (row.state, row.owner) == ("running", "me")
            else:
                assert said == "taken"
                assert (row.state, row.values) == ("done", (1.0,))
    finally:
        os.close(read)


def test_a_heart_keeps_what_is_its_own(tmp_path: Path) -> None:
    with Store(tmp_path / "tune.db") as store:
        log = store.open("study", {})
        log.ask(0, 0, POINT, "other", 0.6)
        with Heart(log, "other", 0.6):
            until = time.monotonic() + 1.2
            while time.monotonic() < until:
                assert log.claim("me", 0.6) is None
                time.sleep(0.02)


# Locked out


def test_a_locked_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "tune.db"
    with Store(path) as store:
        log = store.open("study", {})
        log.ask(0, 0, POINT, "me", 30.0)
        read, write = os.pipe()

        def hold() -> None:
            with Store(path) as other, other.open("study").turn():
                os.write(write, b"x")
                time.sleep(0.7)

        child = forked(hold)
        os.read(read, 1)
        store._database.patience = 0.1
        with pytest.raises(StoreFailed, match=r"tune.db was locked by another process for 0.1 seconds; try again"):
            log.tell(0, "me", "done", [1.0])
        assert log.sync()[0][0].state == "running"  # who reads does not wait
        store._database.patience = 60.0
        assert log.tell(0, "me", "done", [1.0]).place == 0
        assert ended_well([child])
        os.close(read)
        os.close(write)


# A full disk


def unanswered(log: Log) -> Row | None:
    return next((row for row in log.sync()[0] if row.state == "running"), None)


def test_a_full_disk_is_a_sentence_and_the_answer_can_be_told_again(tmp_path: Path) -> None:
    path = tmp_path / "tune.db"

    def work() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with Store(path) as store:
            log = store.open("study", {})
            for number in range(100):
                log.enqueue({"x": number})
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.with_name("tune.db-wal").stat().st_size + 100_000, hard))
            told = 0

            def go_on() -> None:
                nonlocal told
                while (row := log.claim("me", 30.0)) or (row := unanswered(log)):
                    log.tell(row.number, "me", "done", [float(row.number)])
                    told += 1

            for _ in range(3):  # it stays full for a while
                with pytest.raises(StoreFailed, match=r"tune.db cannot be written or read: .*make room on the disk"):
                    go_on()
                assert [row.state for row in log.sync()[0]].count("done") == told
            assert 0 < told < 50
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            go_on()
            assert [row.values for row in sorted(log.sync()[0])] == [(float(number),) for number in range(100)]
            assert told == 100

    assert ended_well([forked(work)])
    with Store(path) as store:
        assert is_whole(store)


# How often the disk is waited for

COUNTED = """
import sys
from descend.log import Store
with Store(sys.argv[1], durability=sys.argv[2]) as store:
    log = store.open("study", {})
    for number in range(400):
        log.ask(number, number, {f"x{i}": i / 7 for i in range(10)}, "me", 30.0)
        log.report(number, 0, [1.0])
        log.tell(number, "me", "done", [1.0])
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_how_often_a_trial_waits_for_the_disk(tmp_path: Path) -> None:
    counts = {}
    for durability in ("process", "power"):
        file, out = str(tmp_path / f"{durability}.db"), tmp_path / f"{durability}.txt"
        line = ["strace", "-f", "-qq", "-e", "trace=fsync,fdatasync", "-o", str(out), sys.executable, "-c", COUNTED]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([*line, file, durability], check=True, env=env, timeout=300)
        counts[durability] = sum("sync(" in text for text in out.read_text().splitlines()) / 400
    assert counts["process"] < 0.2  # checkpoints
    assert 1 <= counts["power"] < 1.2
