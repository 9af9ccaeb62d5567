"""A program as objective: values stay arguments, the loss is found, and nothing outlives its time."""

import json
import math
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from descend.errors import EvaluationFailed, InvalidValue
from descend.oracle.command import Command, end_programs
from descend.oracle.reading import ExitCode, Json, LastLine, Regex
from descend.oracle.template import Template, parameter_names
from descend.space import Array, Bool, Choice, Float, Int, Permutation, Space, When, as_space

SPACE = Space(a=Float(0, 1), n=Int(1, 9), kind=Choice("x", "y z"), flag=Bool())
POINT = {"a": 0.1, "n": 3, "kind": "y z", "flag": True}
# prints its arguments as JSON to a file, and a number
SHOW = "import json, sys; json.dump(sys.argv[2:], open(sys.argv[1], 'w')); print(7)"


def arguments(command: str, point: Any, path: Path) -> list[str]:
    """What a program is given."""
    assert Command(f'{sys.executable} -c "{SHOW}" {path} {command}')(point) == 7
    return json.loads(path.read_text())


def test_values_are_put_into_arguments(tmp_path: Path) -> None:
    shown = arguments("--a={a} '{n} {kind}' {flag} {a:.3f} {{n}} {*}", POINT, tmp_path / "shown")
    assert shown[:-1] == ["--a=0.1", "3 y z", "true", "0.100", "{n}"]
    assert json.loads(shown[-1]) == POINT
    assert arguments("{x} {.}", [2, 0, 1], tmp_path / "shown") == ["[2, 0, 1]", os.getcwd()]
    nested = {"opt": {"beta": 0.5, "deep": {"k": None}}, "w": [1.5, 2.0]}
    shown = arguments("{opt.beta} {opt.deep.k} {w} -{gone}- {opt}", nested, tmp_path / "shown")
    assert shown == ["0.5", "null", "[1.5, 2.0]", "--", '{"beta": 0.5, "deep": {"k": null}}']
    assert arguments("{a}", {"a": 1 / 3}, tmp_path / "shown") == [repr(1 / 3)]


@pytest.mark.parametrize(
    "value",
    ["; touch PWNED", "$(touch PWNED)", "`touch PWNED`", "a b", "'", '"', "{n}", "{.}", "-x\n--y", "*", "\\", "é"],
)
def test_no_value_becomes_more_than_an_argument(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert arguments("{kind} --k={kind}", {"kind": value, "n": 5}, tmp_path / "shown") == [value, f"--k={value}"]
    assert [file.name for file in tmp_path.iterdir()] == ["shown"]


def test_environment_input_and_folder(tmp_path: Path) -> None:
    code = """
        import json, os, sys
        point = json.load(open("point.json"))
        assert point == json.loads(os.environ["ALL"]), point
        assert os.listdir() == ["point.json"]
        open("made", "w").close()
        print(float(os.environ["HALF"]) + float(sys.stdin.read()), os.getcwd())
    """
    command = Command(
        [sys.executable, "-c", textwrap.dedent(code)], SPACE, Regex(r"^(\S+) .*evaluation-"),
        environment={"HALF": "{a}", "ALL": "{*}"}, stdin="{n}\n", directory=tmp_path / "work",
    )  # fmt: skip
    assert command(POINT) == 3.1
    assert not list((tmp_path / "work").iterdir())
    kept = Command(["cat", "point.json"], read=Json("a"), directory=tmp_path / "work", keep=True)
    assert [kept({"a": 0.5}), kept({"a": 0.25})] == [0.5, 0.25]
    assert sorted(json.loads(file.read_text())["a"] for file in tmp_path.glob("work/*/point.json")) == [0.25, 0.5]
    assert Command("cat", stdin="{a}")({"a": 0.125}) == 0.125
    assert Command("sh -c 'cat; echo 3'")({}) == 3  # no input is an empty one, and not the terminal


def test_folders_and_files_that_are_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sim.sh").write_text("echo 4")
    with pytest.raises(EvaluationFailed, match=r"write \{\.\}/sim.sh for sim.sh"):
        Command("sh sim.sh", directory="work")({})
    assert Command("sh {.}/sim.sh", directory="work")({}) == 4


OUTPUT = 'step 1 loss 0.5\n{"loss": 3}\nstep 2 loss 0.25 done\n'


@pytest.mark.parametrize(
    ("reading", "output", "loss"),
    [
        (LastLine(), "start\n -1.5e-3 \n\n", -1.5e-3),
        (LastLine(), "nan", math.nan),
        (Regex(r"loss (\S+)"), OUTPUT, 0.25),
        (Regex(r"^\d+$"), "12\n34\nx 56", 34.0),
        (Json("a.b.1"), '{"a": {"b": [1, 2.5]}}', 2.5),
        (Json("a.-1"), '{\n "a": [1,\n 2]\n}', 2.0),
        (Json("loss"), 'reading\n{"loss": 4}\n', 4.0),
        (Json(), "17", 17.0),
        (ExitCode(), "", 3.0),
    ],
    ids=str,
)
def test_where_the_loss_is(reading: Any, output: str, loss: float) -> None:
    assert reading.loss(output, 3) == pytest.approx(loss, rel=0, abs=0, nan_ok=True)


@pytest.mark.parametrize(
    ("reading", "output", "sentence"),
    [
        (LastLine(), "", "last line of the output is empty"),
        (LastLine(), "3\ndone", "last line of the output is 'done', not a number"),
        (Regex("cost (.*)"), OUTPUT, "nothing in the output matches"),
        (Regex("loss (.*)"), OUTPUT, "found '0.25 done', not a number"),
        (Json("loss"), "done", "neither the output nor its last line is JSON"),
        (Json("a.b"), '{"a": {"c": 1, "d": 2}}', "where 'b' should be, there is c, d"),
        (Json("a.2"), '{"a": [1, 2]}', "where '2' should be"),
        (Json("a"), '{"a": true}', "is True, not a number"),
        (Json("a"), '{"a": "1"}', "is '1', not a number"),
    ],
    ids=str,
)
def test_where_there_is_none(reading: Any, output: str, sentence: str) -> None:
    with pytest.raises(EvaluationFailed) as found:
        reading.loss(output, 0)
    assert sentence in str(found.value)


def test_programs_that_fail_say_why() -> None:
    with pytest.raises(EvaluationFailed, match=r"exit code 3: no such thing$"):
        Command("sh -c 'echo 1; echo no such thing >&2; exit 3'")({})
    with pytest.raises(EvaluationFailed, match=r"signal 11 \(SIGSEGV\)"):
        Command("sh -c 'kill -SEGV $$'")({})
    with pytest.raises(EvaluationFailed) as found:
        Command([sys.executable, "-c", "raise ValueError('x' * 1000 + 'the end')"])({})
    assert str(found.value).endswith("the end")
    assert len(str(found.value)) < 500
    assert Command("sh -c 'exit {n}'", read=ExitCode())({"n": 5}) == 5
    with pytest.raises(EvaluationFailed, match="signal 9"):
        Command("sh -c 'kill -9 $$'", read=ExitCode())({})


def sleepers(mark: str) -> list[int]:
    """The processes with this among their arguments."""
    found = subprocess.run(["pgrep", "-f", f"sleep {mark}"], capture_output=True, text=True)
    return [int(pid) for pid in found.stdout.split() if int(pid) != os.getpid()]


def test_a_time_limit_ends_the_program_and_what_it_started() -> None:
    mark = f"60.{os.getpid()}01"
    command = Command(f"sh -c 'sleep {mark} & sleep {mark} & wait'", seconds=0.3)
    started = time.monotonic()
    with pytest.raises(EvaluationFailed, match=r"longer than 0\.3 s and was ended"):
        command({})
    assert time.monotonic() - started < 30
    wait_until(lambda: not sleepers(mark))
    assert Command("echo 2", seconds=60)({}) == 2
    # what holds the output open is not waited for
    behind = f"60.{os.getpid()}02"
    assert Command(f"sh -c 'sleep {behind} & echo 5'")({}) == 5
    assert sleepers(behind)
    for pid in sleepers(behind):
        os.kill(pid, 9)


def test_programs_under_way_can_be_ended_from_another_thread() -> None:
    mark, outcomes = f"60.{os.getpid()}03", []

    def work() -> None:
        try:
            Command(f"sh -c 'sleep {mark} & wait'")({})
        except EvaluationFailed as error:
            outcomes.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    wait_until(lambda: bool(sleepers(mark)))
    end_programs()
    thread.join(20)
    assert outcomes == ["it was ended by signal 9 (SIGKILL)"]
    wait_until(lambda: not sleepers(mark))


def test_an_interrupt_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    mark, wait = f"60.{os.getpid()}04", subprocess.Popen.wait
    calls = iter([True])

    def interrupted(process: "subprocess.Popen[bytes]", timeout: float | None = None) -> int:
        if next(calls, False):
            wait_until(lambda: bool(sleepers(mark)))
            raise KeyboardInterrupt
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Command(f"sh -c 'sleep {mark} & wait'")({})
    monkeypatch.undo()
    wait_until(lambda: not sleepers(mark))


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("python {b}", "{b} in the command is no parameter; there are a, n, kind, flag"),
        ("python {a} {n} {kind}", "the parameter flag stands nowhere in the command; write {flag}"),
        ("python {a.b} {*}", "{a.b} in the command is no parameter"),
        ("python {a} {*", "a brace of its own is written twice"),
        ("python {} {*}", "has a place that is no parameter"),
        ("python {a!r} {*}", "has a place that is no parameter"),
        ("python {0} {*}", "{0} in the command is no parameter"),
        ("python 'a {*}", "cannot be split"),
        ("", "a command begins with a program"),
        ([], "a command begins with a program"),
        ([sys.executable, 3], "a command begins with a program"),
        (3, "cannot be split"),
        ("no-such-program-here {*}", "there is no program 'no-such-program-here'"),
        ("/ {*}", "there is no program '/'"),
    ],
    ids=str,
)
def test_wrong_commands_get_a_sentence(command: Any, sentence: str) -> None:
    with pytest.raises(InvalidValue) as found:
        Command(command, SPACE)
    assert sentence in str(found.value)


def test_other_wrong_arguments_get_a_sentence(tmp_path: Path) -> None:
    for seconds in (0, -1, math.nan, math.inf, True, "1"):
        with pytest.raises(InvalidValue, match="time limit"):
            Command("true", seconds=seconds)  # type: ignore[arg-type]
    for name in ("", "a=b"):
        with pytest.raises(InvalidValue, match="environment variable"):
            Command("true", environment={name: "1"})
    for wrong, sentence in [
        ({"read": 3}, "read says where the loss is, got 3"),
        ({"environment": {"A": 3}}, "variables are texts by name"),
        ({"environment": 3}, "variables are texts by name"),
        ({"stdin": 3}, "write stdin='3'"),
        ({"directory": 3}, "path of a folder, got 3"),
        ({"directory": ""}, "path of a folder, got ''"),
        ({"keep": True}, "name a directory"),
    ]:
        with pytest.raises(InvalidValue, match=sentence):
            Command("true", **wrong)  # type: ignore[arg-type]
    for pattern in ("(", 3):
        with pytest.raises(InvalidValue, match="not a regular expression"):
            Regex(pattern)  # type: ignore[arg-type]
    for path in (".", "a..b", 3):
        with pytest.raises(InvalidValue, match="path into JSON"):
            Json(path)  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match=r"\{kind:\.3f\} does not suit the value 'y z'"):
        Command("true {kind:.3f}")(POINT)
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValue, match="there can be no folder"):
        Command("true", directory=tmp_path / "file")({})
    with pytest.raises(InvalidValue, match="cannot be started"):
        Command("true {a}")({"a": "\0"})
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(InvalidValue, match="cannot be started: Exec format error"):
        Command(str(tmp_path / "text"))({})


def test_names_of_spaces() -> None:
    space = Space(
        a=Float(0, 1), k=Choice("u", "v"), deep=Space(b=Float(0, 1), c=Space(d=Int(0, 3))), w=Array(Float(0, 1), 3),
        when=When("k", "u", Space(e=Bool(), f=Bool())),
    )  # fmt: skip
    assert parameter_names(space) == ["a", "k", "deep.b", "deep.c.d", "w", "when.e", "when.f"]
    assert parameter_names(as_space(Permutation(3))) == ["x"]
    Command("true {a} {k} {deep} {w} {when.e} {when.f}", space)
    assert Template("{a}{b.c:.2f}x{*}").names == ["a", "b.c", "*"]


def test_it_can_be_shipped() -> None:
    command = Command("printf %s {a}", Space(a=Float(0, 1)), seconds=5.0, environment={"A": "{a}"})
    assert cloudpickle.loads(cloudpickle.dumps(command))({"a": 0.75}) == 0.75
