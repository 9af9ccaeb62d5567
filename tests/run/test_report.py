"""The progress line: silent where nobody looks, one line where somebody does."""

import io
import time
from typing import Any

import numpy as np
import pytest

from descend.estimate import FiniteDifference
from descend.run import Result, Seconds, Steps, minimize, report


class Screen(io.StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_PATIENCE", 0.0)
    monkeypatch.setattr(report, "_PAUSE_IN_FILE", 0.0)
    monkeypatch.setattr(report, "_PAUSE", 0.0)


def run(**arguments: Any) -> Result:
    return minimize(
        lambda x: float(x @ x), np.ones(2), **{"until": Steps(5), "estimator": FiniteDifference(), **arguments}
    )


@pytest.mark.parametrize("progress", [None, False])
@pytest.mark.usefixtures("impatient")
def test_silent_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str], progress: bool | None) -> None:
    run(progress=progress)
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("impatient")
def test_on_request_lines_are_written_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    result = run(progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == result.steps
    assert lines[0].startswith("1 steps")
    assert f"{result.total} evaluations" in lines[-1]


@pytest.mark.usefixtures("impatient")
def test_a_terminal_gets_a_line_that_disappears(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    run()
    text = screen.getvalue()
    assert "5 steps" in text
    assert "best" in text
    assert text.rstrip().endswith("\x1b[2K")  # the line is erased in the end


def test_a_short_run_leaves_the_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    run()
    assert screen.getvalue() == ""


def test_a_terminal_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_PATIENCE", 0.0)
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    run(progress=False)
    assert screen.getvalue() == ""


def test_without_a_standard_error_nothing_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", None)  # as under pythonw
    assert run(progress=True).steps == 5


def test_seconds_count_the_wall_clock() -> None:
    def slow(x: np.ndarray) -> float:
        time.sleep(0.002)
        return float(x @ x) + 1

    result = minimize(slow, np.ones(2), until=Seconds(0.02))
    assert result.seconds >= 0.02
    assert "0.02 seconds" in result.reason or "not move" in result.reason
