"""The command line as somebody uses it who mistypes, interrupts, kills and goes on."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.cli import main
from descend.space import Choice, Float, Int, Space, When

Run = Callable[..., tuple[int, str, str]]

SIM = """
import sys, time
a, n, flag = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
time.sleep(float(sys.argv[4]) if len(sys.argv) > 4 else 0)
if n == 7: sys.exit("seven is impossible")
print("working")
print((a - 0.3) ** 2 + abs(n - 5) + (flag == "true"))
"""

LOSSES = """
import os
from dataclasses import dataclass

@dataclass
class Target:
    x: float

def loss(point):
    return (point["x"] - Target(1.5).x) ** 2

def where(point):
    open(f"pid-{os.getpid()}", "w").close()
    return point["x"]

def slow(point):
    import time
    time.sleep(60)

def undefined(point):
    return unknown

def several(point):
    return [1, 2]

def random(point):
    import torch
    return point["x"] + float(torch.rand(()))
"""

SPACE = ("--float", "a=0:1", "--int", "n=1:64", "--log", "n", "--bool", "flag")
COMMAND = f"{sys.executable} sim.py {{a}} {{n}} {{flag}}"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder with a program and a file of functions, and signals as they were."""
    monkeypatch.chdir(tmp_path)
    Path("sim.py").write_text(SIM)
    Path("losses.py").write_text(LOSSES)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def descend(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program in this process: its exit status, output and errors."""

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["descend", *words])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return run


def start(*words: str) -> "subprocess.Popen[str]":
    """The program in a process of its own."""
    code = "from descend.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


def rows(path: str) -> list[tuple[Any, ...]]:
    """What a study holds, but for the clock."""
    log = sqlite3.connect(path)
    try:
        query = "SELECT number, proposal, after, state, place, answer, error FROM trials ORDER BY study, number"
        return log.execute(query).fetchall()
    except sqlite3.Error:
        return []
    finally:
        log.close()


def facts(out: str) -> dict[str, str]:
    """The lines of the result."""
    return dict(re.split(r"\s{2,}", line, maxsplit=1) for line in out.splitlines())


def test_a_program_is_minimized(descend: Run) -> None:
    status, out, err = descend("minimize", COMMAND, *SPACE, "-n", "60", "--workers", "2", "--study", "runs.db")
    found = facts(out)
    assert (status, err) == (0, "")
    point = json.loads(found["parameters"])
    assert float(found["best"]) == (point["a"] - 0.3) ** 2 + abs(point["n"] - 5) + point["flag"] < 2
    assert found["stopped"] == "the budget of 60 evaluations is spent"
    logged = rows("runs.db")
    assert len(logged) == 60
    assert min(json.loads(row[5])[0] for row in logged if row[3] == "done") == float(found["best"])
    failed = [row for row in logged if row[3] == "failed"]
    assert all(json.loads(row[1])["n"] == 7 and "seven is impossible" in row[6] for row in failed)


def test_a_function_is_minimized_and_maximized(descend: Run) -> None:
    line = ("minimize", "losses.py:loss", "--float", "x=-5:5", "-n", "50")
    status, out, _ = descend(*line)
    assert status == 0
    assert abs(json.loads(facts(out)["parameters"])["x"] - 1.5) < 0.3
    status, out, _ = descend(*line, "--maximize", "--target", "42")
    assert json.loads(facts(out)["parameters"])["x"] < -4.98
    assert 42 <= float(facts(out)["best"]) <= 42.25
    snes = (*line, "--method", "SNES(popsize=10)")
    courses = [facts(descend(*snes, *seed)[1])["best"] for seed in ((), (), ("--seed", "1"))]
    assert courses[0] == courses[1] != courses[2]


def test_workers_are_processes_and_random_objectives_are_repeatable(descend: Run) -> None:
    line = ("minimize", "losses.py:where", "--float", "x=0:1", "-n", "4", "--workers", "2")
    assert descend(*line)[0] == 0
    pids = {file.name for file in Path().glob("pid-*")}
    assert 1 <= len(pids) <= 2
    assert f"pid-{os.getpid()}" not in pids
    once = descend("minimize", "losses.py:random", "--float", "x=0:1", "-n", "20")[1]
    again = descend("minimize", "losses.py:random", "--float", "x=0:1", "-n", "20")[1]
    assert facts(once)["best"] == facts(again)["best"]


def test_where_the_loss_is(descend: Run) -> None:
    shell = ("minimize", "--float", "x=1:2", "-n", "3", "--quiet")
    for command, words in [
        ('echo "{{\\"a\\": [0, {x}]}}"', ("--json", "a.1")),
        ("printf 'loss={x}\\nend\\n'", ("--regex", "loss=(.*)")),
        ("cat", ("--stdin", "{x}")),
        ("printenv VALUE", ("--env", "VALUE={x}")),
        ("cut -c7-12 point.json", ("--directory", "work", "--env", "UNUSED={*}")),
    ]:
        status, out, err = descend(shell[0], command, *shell[1:], *words)
        assert (status, err) == (0, ""), command
        assert float(facts(out)["best"]) == pytest.approx(json.loads(facts(out)["parameters"])["x"], abs=1e-3)
    status, out, _ = descend("minimize", "sh -c 'exit {n}'", "--int", "n=3:5", "--exit-code", "-n", "20")
    assert (status, facts(out)["best"]) == (0, "3.0")


def test_spaces_from_a_file(descend: Run) -> None:
    space = Space(k=Choice("u", "v"), deep=Space(b=Float(0, 1)), when=When("k", "u", Int(1, 3)))
    Path("space.json").write_text(space.to_json())
    status, out, _ = descend(
        "minimize", "echo {deep.b} {k}{when}", "--regex", r"\S+", "--space", "space.json", "-n", "5"
    )
    assert status == 1  # it found u1, which is no number
    status, out, _ = descend(
        "minimize", "echo {k}{when} {deep.b}", "--regex", r"\S+$", "--space", "space.json", "-n", "5"
    )
    assert status == 0
    assert json.loads(facts(out)["parameters"]) in space


def test_all_failed(descend: Run) -> None:
    line = ("minimize", "sh -c 'echo no >&2; exit 3' {x}", "--float", "x=0:1", "--method", "SNES", "--study", "runs.db")
    status, out, _ = descend(*line)
    assert status == 1
    assert facts(out) == {
        "evaluations": "10, 10 failed, the last one: it ended with exit code 3: no",
        "seconds": facts(out)["seconds"],
        "stopped": "all of the first 10 evaluations failed, the last one because: it ended with exit code 3: no",
    }
    status, out, err = descend(*line, "-n", "20")
    assert (status, "10 evaluations are in runs.db already" in err) == (1, True)
    assert facts(out)["stopped"] == "the budget of 20 evaluations is spent"


F = ("losses.py:loss", "--float", "x=0:1")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((COMMAND,), "there is nothing to search"),
        ((COMMAND, "--float", "a=0:1"), "{n} in the command is no parameter; there are a"),
        ((COMMAND, *SPACE, "--float", "b=0:1"), "the parameter b stands nowhere in the command"),
        (("no-such-program {x}", "--float", "x=0:1"), "there is no program 'no-such-program'"),
        (("sh '{x}", "--float", "x=0:1"), "cannot be split"),
        (("echo {x", "--float", "x=0:1"), "a brace of its own is written twice"),
        (("losses.py:nothing", "--float", "x=0:1"), "has no function 'nothing'; it has Target, loss, where"),
        (("missing.py:loss", "--float", "x=0:1"), "there is no file"),
        (("broken.py:loss", "--float", "x=0:1"), "broken.py cannot be loaded: SyntaxError"),
        (("losses.py:undefined", "--float", "x=0:1"), "the objective raised NameError: name 'unknown' is not defined"),
        (("losses.py:several", "--float", "x=0:1"), "the objective returned list where one number was expected"),
        (("losses.py:loss", "--float", "y=0:1"), "KeyError: 'x'"),
        ((*F, "--json", "a"), "are for programs"),
        ((*F, "--env", "A=1"), "are for programs"),
        (("echo {x}", *F[1:], "--env", "A"), "is not of the form NAME=TEXT"),
        (("echo {x}", *F[1:], "--env", "A={y}"), "{y} in the command is no parameter"),
        (("echo {x}", *F[1:], "--json", "a", "--exit-code"), "write one of them"),
        (("echo {x}", *F[1:], "--regex", "("), "not a regular expression"),
        (("echo {x}", *F[1:], "--time-limit", "0"), "--time-limit 0: it must be a number of seconds > 0"),
        ((*F, "--time-limit", "-1"), "seconds > 0"),
        ((*F, "--evaluations", "0"), "whole number of evaluations >= 1"),
        ((*F, "--evaluations", "many"), "--evaluations"),
        ((*F, "--seconds", "0"), "seconds > 0"),
        ((*F, "--workers", "0"), "write --workers 4"),
        ((*F, "--method", ""), "--method '' names nothing"),
        ((*F, "--study", ""), "--study '' names nothing"),
        (("losses.py", "--float", "x=0:1"), "write 'python losses.py ...', or losses.py:name"),
        (("echo {*}", "--float", "*=0:1"), "cannot be called '*'"),
        (("echo {.}", "--float", ".=0:1"), "cannot be called '.'"),
        (("echo {x}", *F[1:], "--keep"), "name a directory for them"),
        ((*F, "--method", "CMAS"), "there is no method 'CMAS'; write CMAES"),
        ((*F, "--method", "CMAES(popsize=-3)"), "popsize"),
        ((*F, "--seed", "-1"), "seed"),
        ((*F, "--study", "no/runs.db"), "does its folder exist"),
        ((*F, "--study", "losses.py"), "losses.py is not a study"),
        ((*F, "--space", "space.json"), "leave the options for single ones out"),
        (("losses.py:loss", "--space", "space.json"), "the file cannot be read"),
        (("losses.py:loss", "--space", "losses.py"), "--space losses.py: the space is no JSON"),
        ((*F, "--typo"), "No such option"),
    ],
    ids=lambda part: " ".join(part)[:60] if isinstance(part, tuple) else "",
)
def test_wrong_input_gets_a_sentence_and_leaves_nothing(words: tuple[str, ...], sentence: str, descend: Run) -> None:
    Path("broken.py").write_text("def loss(:")
    before = {file.name: file.read_bytes() for file in Path().iterdir() if file.is_file()}
    study = () if "--study" in words else ("--study", "runs.db")
    status, out, err = descend("minimize", *words, *study)
    assert (status, out) == (2, "")
    assert sentence in err
    assert "Traceback" not in err
    assert {file.name: file.read_bytes() for file in Path().iterdir() if file.is_file()} == before


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--float", "x=1:0"), "x=1:0"),
        (("--float", "x=0"), "two numbers with a colon between them are missing; write x=0:1"),
        (("--float", "=0:1"), "has no name"),
        (("--float", "x=a:1"), "'a' is not a number"),
        (("--float", "x=0:1", "--log", "x"), "log"),
        (("--float", "x=0:1", "--int", "x=0:1"), "the parameter x is there twice"),
        (("--float", "x=0:1", "--log", "y"), "--log y: there is no --float or --int of this name"),
        (("--float", "x", "--log", "x"), "a scale or a step needs two sides"),
        (("--float", "x=0:1", "--step", "x"), "is not of the form NAME=NUMBER"),
        (("--float", "x=0:1", "--step", "x=b"), "'b' is not a number"),
        (("--int", "x=0.5:3"), "the sides must be whole numbers"),
        (("--int", "x=0:3", "--logit", "x"), "--logit is for a --float"),
        (("--int", "x=0:3", "--step", "x=0.5"), "the step must be a whole number"),
        (("--choice", "x"), "the values are missing; write --choice x=one,two"),
        (("--choice", "x=a,a"), "x=a,a"),
        (("--bool", "x=1"), "it takes a name only; write --bool x"),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, tuple) else "",
)
def test_wrong_parameters_get_a_sentence(words: tuple[str, ...], sentence: str, descend: Run) -> None:
    status, out, err = descend("minimize", "echo {x}", *words)
    assert (status, out) == (2, "")
    assert sentence in err


def test_all_kinds_of_parameters(descend: Run) -> None:
    numbers = "--float a=0:1 --step a=0.25 --float p=0.001:0.999 --logit p --float free --int n=2:8 --step n=2"
    words = f"{numbers} --choice kind=one,two --ordinal size=s,m,l --bool flag".split(" ")
    command = "echo {a} {p} {free} {n} {kind} {size} {flag}"
    status, _, err = descend("minimize", command, *words, "--regex", "^[^ ]*", "-n", "20", "--study", "runs.db")
    assert (status, err) == (0, "")
    for _, text, *_ in rows("runs.db"):
        point = json.loads(text)
        assert list(point) == ["a", "p", "free", "n", "kind", "size", "flag"]
        assert point["a"] in (0, 0.25, 0.5, 0.75, 1)
        assert point["n"] in (2, 4, 6, 8)
        assert (point["kind"] in ("one", "two"), point["size"] in ("s", "m", "l")) == (True, True)
        assert isinstance(point["flag"], bool)


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_killed_and_begun_again_it_is_the_run_that_was_never_killed(descend: Run) -> None:
    line = ("minimize", f"{COMMAND} 0.05", *SPACE, "-n", "30", "--study")
    process = start(*line, "killed.db")
    wait_for(lambda: len(rows("killed.db")) >= 12)
    status, out, err = descend(*line, "killed.db")
    assert (status, out) == (2, "")
    assert err == "descend: killed.db is being used by another process; wait for it to end, or name another file\n"
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    made = [row for row in rows("killed.db") if row[3] in ("done", "failed")]
    assert 11 <= len(made) < 30
    status, killed, err = descend(*line, "killed.db")
    assert (status, err) == (
        0,
        f"descend: {len(made)} evaluations are in killed.db already, the run goes on from there\n",
    )
    assert facts(killed)["evaluations"].startswith(f"30, {len(made)} of them earlier")
    status, whole, _ = descend(*line, "whole.db")
    assert rows("killed.db") == rows("whole.db")
    for fact in ("best", "parameters", "stopped"):
        assert facts(killed)[fact] == facts(whole)[fact]
    # another seed is another run in the same file, and nothing else is
    assert descend(*line, "whole.db", "--workers", "2")[2].startswith("descend: 30 evaluations are in whole.db")
    assert descend(*line, "whole.db", "--seed", "1", "-n", "3")[2] == ""


def test_an_interrupt_shows_the_best_and_leaves_nobody_behind(descend: Run) -> None:
    line = ("minimize", f"{COMMAND} 0.2", *SPACE, "--workers", "2", "--study", "runs.db")
    process = start(*line)
    wait_for(lambda: sum(row[3] == "done" for row in rows("runs.db")) >= 3)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert facts(out)["stopped"] == "interrupted, the same line again goes on"
    assert float(facts(out)["best"]) == min(json.loads(row[5])[0] for row in rows("runs.db") if row[3] == "done")
    left = subprocess.run(["pgrep", "-f", f"sim.py.* {'0.2'}$"], capture_output=True, text=True).stdout
    assert left == ""
    assert Path("runs.db").exists()
    assert not Path("runs.db-wal").exists()
