"""Files and servers that hold studies: names, headers, older and strange files, and who may do what."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from descend.errors import InvalidValue, StateMismatch, StoreFailed
from descend.log import Row, Store, statements
from descend.log.schema import APPLICATION, VERSION

POINT = {"lr": 0.1}


def python(code: str, *words: str, nobody: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program, if wanted as somebody to whom the rights of files apply."""
    before = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if nobody and os.geteuid() == 0 else []
    return subprocess.run(
        [*before, sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


def fill(path: Path, trials: int = 3) -> None:
    with Store(path) as store:
        log = store.open("first", {"a": 1})
        for number in range(trials):
            log.ask(number, number, POINT, "me", 30.0)
            log.tell(number, "me", "done", [float(number)])


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


# Names and headers


def test_studies_are_known_by_their_names(tmp_path: Path) -> None:
    with Store(tmp_path / "tune.db") as store:
        for name in ("b", "a", 'é "quoted"; --'):
            store.open(name, {"name": name}).enqueue({"x": name})
        assert store.names() == ["b", "a", 'é "quoted"; --']
        assert store.open("a").header == {"name": "a"}
        assert store.open("a").sync()[0][0].proposal == {"x": "a"}
        with pytest.raises(InvalidValue, match=r"tune.db has no study 'c'; write one of 'b', 'a', 'é"):
            store.open("c")
        log = store.open("a")
        store.delete("a")
        assert store.names() == ["b", 'é "quoted"; --']
        with pytest.raises(InvalidValue, match="no study 'a'"):
            store.delete("a")
        for act in (
            lambda: log.ask(0, 0, POINT, "me", 30.0),
            lambda: log.enqueue({}),
            lambda: log.tell(0, "me", "done", [1]),
        ):
            with pytest.raises(StateMismatch, match="deleted meanwhile"):
                act()
        store.open("a", {"name": "again"})
        with pytest.raises(StateMismatch, match="deleted meanwhile"):
            log.enqueue({})  # it is another study, although it has the name
        assert store.open("b").sync()[1] == 1
    for name in ("", "  ", "a\nb", "a\0", "\ud800"):
        with Store(tmp_path / "tune.db") as store, pytest.raises(InvalidValue, match="the name of a study is"):
            store.open(name, {})


def test_another_header_is_refused_and_the_field_is_named(tmp_path: Path) -> None:
    with Store(tmp_path / "tune.db") as store:
        header = {"method": "TPE()", "space": {"lr": [0, 1]}, "key": 0}
        assert store.open("a", header).header == header
        assert store.open("a", dict(reversed(header.items()))).header == header
        for other, sentence in [
            ({**header, "space": {"lr": [0, 2]}}, r"another space: {'lr': \[0, 1\]}, and now it is {'lr': \[0, 2\]}"),
            ({**header, "key": 1, "more": 2}, "another key: 0, and now it is 1"),
            ({**header, "more": 2}, "another more: nothing, and now it is 2"),
            ({"method": "TPE()", "space": {"lr": [0, 1]}}, "another key: 0, and now it is nothing"),
        ]:
            with pytest.raises(StateMismatch, match="'a' was begun with " + sentence):
                store.open("a", other)


def test_only_a_place_for_studies_is_opened() -> None:
    for where in ("mysql://host/db", "redis://x", "http://x"):
        with pytest.raises(InvalidValue, match="is no place for studies; write the path of a file, or postgresql://"):
            Store(where)
    durability: Any = "both"
    with pytest.raises(InvalidValue, match='durability is \'both\'; write "process" or "power"'):
        Store("x.db", durability=durability)
    with pytest.raises(StoreFailed, match=r"postgresql://nowhere.invalid/x: ") as raised:
        Store("postgresql://me:secret@nowhere.invalid/x")
    assert "secret" not in str(raised.value)


def test_a_path_may_be_called_anything(tmp_path: Path) -> None:
    path = tmp_path / "100% ?mode=ro#é ü.db"
    fill(path)
    assert path.exists()
    with Store(f"sqlite:///{path}", readonly=True) as store:
        assert store.names() == ["first"]


def test_no_statement_looks_through_a_study(tmp_path: Path) -> None:
    """However many trials there are: each finds what it wants by an index. The greatest number is one step in a key."""
    found = 0
    with Store(tmp_path / "tune.db") as store:
        for name in statements.__all__:
            sql = getattr(statements, name)
            if isinstance(sql, str) and sql.split()[0] in ("SELECT", "INSERT", "UPDATE"):
                values = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
                plan = [row[3] for row in store._database.run(f"EXPLAIN QUERY PLAN {sql}", values)]
                wide = [step for step in plan if re.search(r"SCAN trials|PRIMARY KEY \(study=\?\)", step)]
                assert len(wide) <= sql.count("max(number)") + sql.count("FROM definitions"), (name, wide)
                found += 1
    assert found == 17


# What is not a log, or not one for us


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()


def left_open(path: Path) -> None:
    """An SQLite file of another program that was killed: what it wrote last is in a second file."""
    code = "import sqlite3, os, sys; c = sqlite3.connect(sys.argv[1]); c.execute('PRAGMA journal_mode = WAL'); "
    assert python(code + "c.execute('CREATE TABLE mine (a)'); c.commit(); os._exit(0)", str(path)).returncode == 0
    assert path.with_name(path.name + "-wal").stat().st_size > 0


def newer(path: Path) -> None:
    fill(path)
    with sqlite3.connect(path) as file:
        file.execute(f"PRAGMA user_version = {VERSION + 1}")
    file.close()


def cut(path: Path) -> None:
    fill(path, 50)
    path.write_bytes(path.read_bytes()[:-5000])


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (other_program, "is an SQLite file of another program; name another file"),
        (left_open, "is an SQLite file of another program; name another file"),
        (newer, rf"was made by a newer descend \(version {VERSION + 1} of the log, this one knows {VERSION}\); update"),
        (cut, r"is damaged or cut short: .*; restore a copy"),
        (lambda path: path.write_text("text " * 1000), "is not a study: file is not a database; name another file"),
        (lambda path: path.write_text("x"), "is not a study"),
        (lambda path: path.mkdir(), "is a folder; write the path of a file in it"),
    ],
    ids=["foreign", "foreign-open", "newer", "cut", "text", "letter", "folder"],
)
@pytest.mark.parametrize("readonly", [False, True])
def test_strange_files_get_a_sentence_and_stay_as_they_are(
    make: Any, sentence: str, readonly: bool, tmp_path: Path
) -> None:
    make(tmp_path / "tune.db")
    before = contents(tmp_path)
    with pytest.raises(InvalidValue, match=sentence):
        Store(tmp_path / "tune.db", readonly=readonly)
    after = contents(tmp_path)
    after.pop("tune.db-shm", None) if "tune.db-wal" in before else None  # no content: who reads what
    before.pop("tune.db-shm", None)
    assert after == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    for readonly in (False, True):
        with pytest.raises(InvalidValue, match=r"runs.db cannot be opened: .*; does its folder exist\?"):
            Store(tmp_path / "no" / "runs.db", readonly=readonly)
    assert contents(tmp_path) == {}
    with pytest.raises(InvalidValue, match=r"there is no file .*runs.db; see how it is written"):
        Store(tmp_path / "runs.db", readonly=True)
    assert contents(tmp_path) == {}


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    """As a process leaves it that is killed before it has written anything."""
    (tmp_path / "tune.db").touch()
    with pytest.raises(InvalidValue, match=r"tune.db is empty; open it once without readonly=True"):
        Store(tmp_path / "tune.db", readonly=True)
    fill(tmp_path / "tune.db")
    with sqlite3.connect(tmp_path / "tune.db") as file:
        assert file.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    file.close()


def test_a_damaged_page_is_a_sentence(tmp_path: Path) -> None:
    fill(tmp_path / "tune.db", 50)
    with open(tmp_path / "tune.db", "r+b") as file:
        file.seek(4096 * 2)
        file.write(b"\xff" * (len((tmp_path / "tune.db").read_bytes()) - 4096 * 2))
    with pytest.raises(InvalidValue, match="is damaged or cut short"), Store(tmp_path / "tune.db") as store:
        store.open("first").sync()


def test_opening_a_file_executes_nothing_of_it(tmp_path: Path) -> None:
    """Plain values only: what looks like code, or is a pickle, is text or refused."""
    fill(tmp_path / "tune.db")
    evil = "cos\nsystem\n(S'touch evil'\ntR."
    with sqlite3.connect(tmp_path / "tune.db") as file:
        file.execute("UPDATE trials SET proposal = ?, owner = ?", (json.dumps({"x": evil}), evil))
    file.close()
    with Store(tmp_path / "tune.db") as store:
        assert store.open("first").sync()[0][0].proposal == {"x": evil}
        assert store.open("first").claim("me", 30.0) is None
    with sqlite3.connect(tmp_path / "tune.db") as file:
        file.execute("UPDATE trials SET proposal = ? WHERE number = 1", (evil,))
    file.close()
    with (
        Store(tmp_path / "tune.db") as store,
        pytest.raises(InvalidValue, match=r"damaged: .cos.*tR.. was not written by descend"),
    ):
        store.open("first").sync()
    source = Path(sys.modules["descend.log"].__file__ or "").parent
    for path in source.glob("*.py"):
        text = path.read_text()
        assert not any(word in text for word in ("import pickle", "eval(", "exec(", "__import__", "load_extension"))


# Reading only


def test_whoever_only_reads_changes_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "tune.db")
    before = contents(tmp_path)
    with Store(tmp_path / "tune.db", readonly=True) as store:
        log = store.open("first")
        assert [row.values for row in log.sync()[0]] == [(0.0,), (1.0,), (2.0,)]
        for act in (lambda: log.enqueue({}), lambda: store.open("new", {}), lambda: store.delete("first")):
            with pytest.raises(InvalidValue, match=r"tune.db was opened with readonly=True"):
                act()
    after = contents(tmp_path)
    assert after["tune.db"] == before["tune.db"]
    assert after.get("tune.db-wal", b"") == b""


READ = """
import sys
from descend.log import Store
try:
    with Store(sys.argv[1], readonly=sys.argv[2] == "read") as store:
        log = store.open("first")
        print([row.values[0] for row in log.sync()[0]])
        log.enqueue({})
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_file_or_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = Path("/tmp") / f"descend-read-{os.getpid()}"
    folder.mkdir()
    try:
        fill(folder / "tune.db")
        (folder / "tune.db").chmod(0o444)
        folder.chmod(0o555)
        done = python(READ, str(folder / "tune.db"), "read", nobody=True).stdout.splitlines()
        assert done[0] == "[0.0, 1.0, 2.0]"
        assert done[1].startswith("InvalidValue")
        (sentence,) = python(READ, str(folder / "tune.db"), "write", nobody=True).stdout.splitlines()
        assert sentence.startswith("InvalidValue")
        assert "readonly=True" in sentence
        folder.chmod(0o777)  # only the file cannot be written
        done = python(READ, str(folder / "tune.db"), "read", nobody=True).stdout.splitlines()
        assert done[0] == "[0.0, 1.0, 2.0]"
    finally:
        folder.chmod(0o777)
        shutil.rmtree(folder)


# Older versions

VERSION_1 = """
CREATE TABLE runs (run INTEGER PRIMARY KEY, header TEXT NOT NULL UNIQUE, began REAL NOT NULL);
CREATE TABLE evaluations (
    run INTEGER NOT NULL REFERENCES runs, number INTEGER NOT NULL, point TEXT NOT NULL, after INTEGER NOT NULL,
    started REAL NOT NULL, state TEXT NOT NULL, place INTEGER, loss REAL, error TEXT, seconds REAL,
    PRIMARY KEY (run, number)
) WITHOUT ROWID;
INSERT INTO runs VALUES (1, '{"method": "SNES()"}', 5.5), (3, '{"method": "CMAES()", "seed": 1}', 6.5);
INSERT INTO evaluations VALUES
    (1, 0, '{"a": 0.5, "n": {"b": 1}}', 0, 10.5, 'ok', 1, 0.1, NULL, 2.0),
    (1, 1, '{"a": 0.25, "n": {"b": 2}}', 0, 11.5, 'failed', 0, NULL, 'no: ''x''', 0.5),
    (1, 2, '{"a": 0.125, "n": {"b": 3}}', 2, 12.5, 'asked', NULL, NULL, NULL, NULL),
    (3, 0, '[1.0, 2.0]', 0, 13.5, 'ok', 0, 1e300, NULL, 1.0);
"""


def version_1(path: Path) -> None:
    file = sqlite3.connect(path)
    file.executescript(f"PRAGMA application_id = {APPLICATION}; PRAGMA journal_mode = WAL; {VERSION_1}")
    file.execute("UPDATE evaluations SET loss = ? WHERE run = 1 AND number = 0", (0.1 + 0.2,))
    file.commit()
    file.close()


def test_a_log_of_version_1_is_brought_up(tmp_path: Path) -> None:
    version_1(tmp_path / "tune.db")
    with pytest.raises(InvalidValue, match=r"was made by an older descend .*; open it once without readonly=True"):
        Store(tmp_path / "tune.db", readonly=True)
    with Store(tmp_path / "tune.db") as store:
        assert store.names() == ["run 1", "run 3"]
        log = store.open("run 1")
        assert log.header == {"method": "SNES()"}
        done, failed, open_ = log.sync()[0]
        assert done == Row(
            0, "done", "asked", {"a": 0.5, "n": {"b": 1}}, {"a": 0.5, "n": {"b": 1}}, 0, 1, (0.1 + 0.2,), began=10.5,
            ended=12.5, attempts=1, version=1,
        )  # fmt: skip
        assert (failed.state, failed.place, failed.values, failed.error) == ("failed", 0, None, "no: 'x'")
        assert (open_.state, open_.after, open_.attempts, open_.began) == ("queued", 2, 0, None)
        again = log.claim("me", 30.0)
        assert again is not None
        assert again.number == 2
        assert log.tell(2, "me", "done", [1.0]).place == 2
        assert store.open("run 3").sync()[0][0][3:8] == ({"": (1.0, 2.0)}, {"": (1.0, 2.0)}, 0, 0, (1e300,))
        store.open("new", {}).enqueue({})
    with Store(tmp_path / "tune.db", readonly=True) as store:
        assert store.names() == ["run 1", "run 3", "new"]


def test_a_step_to_a_newer_version_is_made_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from descend.log import migrate

    version_1(tmp_path / "tune.db")
    before = (tmp_path / "tune.db").read_bytes()
    monkeypatch.setattr(migrate, "FROM_RUNS", migrate.FROM_RUNS + "; SELECT * FROM nowhere")
    with pytest.raises(StoreFailed, match="no such table: nowhere"):
        Store(tmp_path / "tune.db")
    assert (tmp_path / "tune.db").read_bytes() == before
    monkeypatch.undo()
    with Store(tmp_path / "tune.db") as store:
        assert store.names() == ["run 1", "run 3"]


# Whole processes


def test_a_fork_goes_on_with_a_connection_of_its_own(tmp_path: Path) -> None:
    """Neither side's end takes the other's locks or its journal away."""
    store = Store(tmp_path / "tune.db")
    log = store.open("first", {})
    log.ask(0, 0, POINT, "me", 30.0)
    closed, close = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            log.report(0, 1, [1.0])
            os.close(close)
            os.read(closed, 1)  # until the parent has closed its own
            log.report(0, 2, [1.0])
            status = 0
        finally:
            os._exit(status)
    log.report(0, 3, [1.0])
    while len(log.reports()[0]) < 2:
        pass
    store.close()
    os.close(close)
    os.close(closed)
    assert os.waitpid(child, 0)[1] == 0
    with Store(tmp_path / "tune.db") as again:
        assert sorted(report.step for report in again.open("first").reports()[0]) == [1, 2, 3]
        assert again._database.run("PRAGMA integrity_check") == [("ok",)]


def test_a_server_that_breaks_off_is_called_again(server: str) -> None:
    with Store(server) as store, Store(server) as other:
        log = store.open("broken off", {})
        log.ask(0, 0, POINT, "me", 30.0)
        (((process,),),) = (store._database.run("SELECT pg_backend_pid()"),)
        other._database.run("SELECT pg_terminate_backend(:process)", {"process": process})
        with pytest.raises(StoreFailed, match=r"postgresql://.*nothing was written, try again"):
            log.tell(0, "me", "done", [1.0])
        assert log.tell(0, "me", "done", [1.0]).place == 0


def test_whoever_only_reads_a_server_changes_nothing(server: str) -> None:
    with Store(server) as store:
        store.open("read", {}).enqueue({"x": 1})
    with Store(server, readonly=True) as store:
        assert store.open("read").sync()[1] == 1
        with pytest.raises(InvalidValue, match="was opened with readonly=True"):
            store.open("read").enqueue({})
        with pytest.raises(StoreFailed, match="read-only transaction"):
            store._database.run("DELETE FROM trials")


def test_a_schema_of_somebody_else_is_left_alone(server: str) -> None:
    with Store(server) as store:
        database = store._database
        database.run("DROP SCHEMA descend CASCADE")
        database.run("CREATE SCHEMA descend")
        database.run("CREATE TABLE descend.mine (a INTEGER)")
        with pytest.raises(InvalidValue, match="the schema descend belongs to another program"):
            Store(server)
        database.run("DROP SCHEMA descend CASCADE")
    with Store(server) as store:
        store._database.run("UPDATE version SET version = 99")
        with pytest.raises(InvalidValue, match=r"made by a newer descend \(version 99"):
            Store(server)
        store._database.run("DROP SCHEMA descend CASCADE")


def test_a_store_that_is_closed_says_so(tmp_path: Path) -> None:
    store = Store(tmp_path / "tune.db")
    log = store.open("first", {})
    store.close()
    store.close()
    with pytest.raises(StoreFailed, match="is closed; open it again"):
        log.sync()
    assert sorted(contents(tmp_path)) == ["tune.db"]


def test_what_was_made_for_nothing_is_removed(tmp_path: Path) -> None:
    fill(tmp_path / "old.db")
    for name in ("old.db", "new.db"):
        with Store(tmp_path / name) as store:
            store.discard(store.open("second", {}).name)
    assert sorted(contents(tmp_path)) == ["old.db"]


def test_no_import_of_a_database_before_there_is_one() -> None:
    code = "import sys, descend, descend.log, descend.log.heart; print({'sqlalchemy', 'psycopg'} & set(sys.modules))"
    assert python(code).stdout == "set()\n"
