"""The commands about studies: what they say and write, what they refuse, and that none writes into a study."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import urllib.request

import pytest

from descend.cli import main
from descend.direct.filling import Uniform
from descend.log import Store
from descend.log.row import Row
from descend.space import Choice, Float, Space
from descend.study import Study

RED = "\x1b[31mred"


class Own(Uniform):
    """A method that descend does not know."""


def objective(trial):
    x = trial.float("x", -1, 1)
    if trial.number % 5 == 4:
        raise RuntimeError(f"the {RED} fan stands still")
    return (x - 0.3) ** 2


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("studies") / "tune.db"
    with Study(path, "first", method=Uniform(), key=0) as study:
        study.run(objective, trials=20)
    with Study(path, "second one", method=Uniform(), key=1, directions=("minimize", "maximize")) as study:
        study.run(lambda trial: (trial.float("x", 0, 1), trial.float("y", 0, 1)), trials=10)
    return path


@pytest.fixture
def descend(monkeypatch, capsys):
    """Run the program; its exit status, standard output and standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["descend", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_a_file_of_several_studies_is_listed(file, descend) -> None:
    status, out, _ = descend("show", file)
    assert status == 0
    with Study(file, "first", readonly=True) as study:
        best = study.best.value
    lines = out.splitlines()
    assert len(lines) == 3
    assert re.match(rf"first +20 +16 +{best:.6g} ", lines[1])
    assert re.match(r"second one +10 +10 +\S+, \S+ ", lines[2])


def test_a_study_is_shown_with_its_best_trial(file, descend) -> None:
    _, out, _ = descend("show", file, "first")
    with Study(file, "first", readonly=True) as study:
        best = study.best
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert facts["trials"] == "20: 16 done, 4 failed"
    assert facts["best"] == f"{best.value!r}, trial {best.number}"
    assert json.loads(facts["parameters"]) == best.params
    assert facts["directions"] == "minimize"


def test_several_objectives_have_a_best_each(file, descend) -> None:
    _, out, _ = descend("show", file, "second one")
    assert re.search(r"best +\S+ of value 0, trial \d+", out)
    assert re.search(r"best +\S+ of value 1, trial \d+", out)


def test_no_text_of_a_study_commands_the_terminal(file, descend) -> None:
    _, out, _ = descend("show", file, "first")
    assert "\\x1b[31mred fan stands still" in out
    assert "\x1b" not in out


@pytest.mark.parametrize("name", ["history.png", "history.svg", "history.pdf", "history.html"])
def test_a_picture_is_written(file, descend, tmp_path, name) -> None:
    assert descend("plot", file, "first", "-o", tmp_path / name)[0] == 0
    assert (tmp_path / name).stat().st_size > 3000


def test_any_picture_can_be_chosen(file, descend, tmp_path) -> None:
    arguments = ("--figure", "pareto", "--objective", "1", "-o", tmp_path / "front.png")
    assert descend("plot", file, "second one", *arguments)[0] == 0
    assert (tmp_path / "front.png").exists()


def test_a_report_is_written_about_one_or_all(file, descend, tmp_path) -> None:
    status, _, err = descend("report", file, "-o", tmp_path / "all.html")
    assert status == 0
    assert "plotly.min.js" in err
    descend("report", file, "first", "-o", tmp_path / "one.html")
    assert '"name":"second one"' in (tmp_path / "all.html").read_text(encoding="utf-8")
    assert '"name":"second one"' not in (tmp_path / "one.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show", "nothing.db"), "there is no file nothing.db"),
        (("report", "nothing.db"), "there is no file nothing.db"),
        (("dashboard", "nothing.db"), "there is no file nothing.db"),
        (("show", "{file}", "third"), "has no study 'third'; there are 'first', 'second one'"),
        (("plot", "{file}", "-o", "a.png"), "has 2 studies; write the name of one behind it: 'first', 'second one'"),
        (("plot", "{file}", "first", "-o", "a.png", "--figure", "histogram"), "no picture 'histogram'; write one"),
        (("plot", "{file}", "first", "-o", "a.xyz"), "cannot be written"),
        (("plot", "{file}", "first", "-o", "{folder}/none/a.png"), "does its folder exist?"),
        (("plot", "{file}", "first", "-o", "a.png", "--figure", "pareto"), "one objective"),
        (("plot", "{file}", "first", "-o", "a.png", "--objective", "2"), "objective=2"),
        (("report", "{file}", "-o", "{folder}/none/a.html"), "does its folder exist?"),
        (("dashboard", "{file}", "--port", "99999"), "is no port"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_sentence(file, descend, tmp_path, monkeypatch, words, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = descend(*(word.format(file=file, folder=tmp_path) for word in words))
    assert status == 2
    assert sentence in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_files_that_are_no_studies_are_left_as_they_are(descend, tmp_path) -> None:
    import sqlite3

    (tmp_path / "text.db").write_text("no database at all, but long enough to be one " * 50)
    (tmp_path / "empty.db").write_bytes(b"")
    with sqlite3.connect(tmp_path / "foreign.db") as other:
        other.execute("CREATE TABLE cakes (name TEXT)")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for name in before:
        for command in (("show",), ("report", "-o", tmp_path / "a.html"), ("plot", "-o", tmp_path / "a.png")):
            status, _, err = descend(*command, tmp_path / name)
            assert status == 2, name
            assert name in err
            assert "Traceback" not in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_looking_changes_no_byte_and_needs_no_right_to_write(file, descend, tmp_path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    copy = folder / "tune.db"
    copy.write_bytes(file.read_bytes())
    copy.chmod(stat.S_IRUSR)
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert descend("show", copy)[0] == 0
        assert descend("report", copy, "-o", tmp_path / "a.html")[0] == 0
        assert [path.name for path in folder.iterdir()] == ["tune.db"]
        assert copy.read_bytes() == file.read_bytes()
    finally:
        folder.chmod(stat.S_IRWXU)


def test_a_log_of_minimize_is_shown_too(descend, tmp_path) -> None:
    path = tmp_path / "runs.db"
    with Store(path) as store:
        log = store.open("minimize", {"kind": "minimize", "from": [0.0, 1.0], "method": "CMAES()", "key": 0})
        for number in range(9):
            log.add(Row(params={"x": [float(number), 1.0]}, values=(float((number - 4) ** 2),)))
    status, out, _ = descend("show", path)
    assert status == 0
    assert "best         0.0, trial 4" in out
    assert descend("plot", path, "-o", tmp_path / "slice.png", "--figure", "slice")[0] == 0
    assert descend("report", path, "-o", tmp_path / "runs.html")[0] == 0


def test_a_study_whose_method_only_its_user_has_is_shown(descend, tmp_path) -> None:
    space = Space(x=Float(0, 1), opt=Space(kind=Choice("a", ("b", 1)))).where(lambda point: point["x"] < 0.9)
    with Study(tmp_path / "own.db", space=space, method=Own()) as study:
        study.run(lambda trial: trial["x"], trials=5)
        best = study.best
    status, out, err = descend("show", tmp_path / "own.db")
    assert (status, err) == (0, "")
    assert f"method       {Own()!r}\n" in out
    assert f"parameters   {json.dumps(best.params)}\n" in out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--help",), 0, "dashboard"),
        (("show", "--help"), 0, "descend show tune.db"),
        (("minimize", "--help"), 0, "--float"),
        (("show", "{file}"), 0, "second one"),
        (("show", "{file}", "first"), 0, "best  "),
        (("show", "{file}", "third"), 2, "has no study 'third'"),
        (("plot", "nothing.db", "-o", "a.png"), 2, "there is no file nothing.db"),
        (("report", "nothing.db"), 2, "there is no file nothing.db"),
        (("show", "nothing.db"), 2, "there is no file nothing.db"),
        (("show",), 2, "Missing argument"),
    ],
)
def test_who_only_looks_waits_for_nothing_heavy(file, tmp_path, words, status, said) -> None:
    heavy = {"torch", "numpy", "matplotlib", "plotly", "sklearn", "pandas", "rich.live"}
    script = (
        "import atexit, sys; from descend.cli import main; "
        f"atexit.register(lambda: print('loaded', *sorted({heavy!r} & set(sys.modules)))); main()"
    )
    call = [sys.executable, "-c", script, *(word.format(file=file) for word in words)]
    done = subprocess.run(call, capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert said in done.stdout + done.stderr
    assert (done.returncode, done.stdout.splitlines()[-1]) == (status, "loaded"), done.stderr


def test_the_dashboard_serves_until_it_is_told_to_end(file) -> None:
    program = [sys.executable, "-m", "descend.cli", "dashboard", str(file), "--port", "0"]
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True, env=dict(os.environ)) as running:
        assert running.stderr is not None
        said = running.stderr.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+/", said)
        assert url is not None, said
        with urllib.request.urlopen(url[0] + "api/summary?study=first", timeout=30) as answer:
            assert json.load(answer)["data"]["trials"] == 20
        running.send_signal(signal.SIGINT)
        assert running.wait(30) in (0, 130)
        assert "Traceback" not in running.stderr.read()
