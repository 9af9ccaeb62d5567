"""A run that is written down goes on where it was, bit for bit, and makes no evaluation twice."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from descend.direct import NelderMead
from descend.errors import CompositionError, EvaluationFailed, InvalidValue, StateMismatch
from descend.estimate import SPSA, FiniteDifference
from descend.log import Store
from descend.log.owner import here
from descend.oracle import Function, Raise
from descend.population import CMAES, DifferentialEvolution
from descend.run import Evaluations, Processes, Threads, minimize
from descend.space import Choice, Float, Space

SPACE = Space(a=Float(-1, 1), b=Float(0.01, 10, log=True), kind=Choice("u", "v"))


class Killed(BaseException):
    """What ends a process, as far as it can be had within one."""


class Bowl:
    """(x - 3)^2 + ..., which counts its evaluations and dies of one of them."""

    def __init__(self, dies_at: int = -1) -> None:
        self.made, self.dies_at = 0, dies_at

    def __call__(self, x: Any) -> float:
        self.made += 1
        if self.made == self.dies_at:
            raise Killed
        if isinstance(x, dict):
            return abs(x["a"] - 0.3) + x["b"] + (x["kind"] == "u")
        return float(((x - 3) ** 2).sum() + (x[0] * x[1] - 1) ** 2)


WAYS: dict[str, Callable[..., Any]] = {
    "CMAES": lambda f, **rest: minimize(f, [0.0, 1.0], method=CMAES(), **rest),
    "NelderMead": lambda f, **rest: minimize(f, [0.0, 1.0], method=NelderMead(), **rest),
    "default": lambda f, **rest: minimize(f, [0.0, 1.0], **rest),
    "differences": lambda f, **rest: minimize(f, torch.tensor([0.0, 1.0]), estimator=FiniteDifference(), **rest),
    "SPSA": lambda f, **rest: minimize(f, [0.0, 1.0], estimator=SPSA(), **rest),
    "space": lambda f, **rest: minimize(f, SPACE, method=DifferentialEvolution(), **rest),
    "default in a space": lambda f, **rest: minimize(f, SPACE, **rest),
    "bounds": lambda f, **rest: minimize(f, [0.0, 1.0], bounds=(-1, 2), method=CMAES(), **rest),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_run_that_dies_again_and_again_is_the_run_that_did_not(way: Callable[..., Any], tmp_path: Path) -> None:
    until = Evaluations(60)
    whole = way(Bowl(), until=until, key=3)
    made, cuts = 0, (1, 7, 2, 20)
    for cut in cuts:
        bowl = Bowl(dies_at=cut)
        with pytest.raises(Killed):
            way(bowl, until=until, key=3, study=tmp_path / "runs.db")
        made += bowl.made - 1
    bowl = Bowl()
    resumed = way(bowl, until=until, key=3, study=tmp_path / "runs.db")
    assert resumed.fun == whole.fun
    assert str(resumed.x) == str(whole.x)
    assert made + bowl.made == sum(resumed.evaluations.values())


def test_a_finished_run_is_read_and_a_longer_one_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    first, second, third = Bowl(), Bowl(), Bowl()
    short = WAYS["CMAES"](first, until=Evaluations(50), study=file)
    again = WAYS["CMAES"](second, until=Evaluations(50), study=file)  # the key is that of the file
    assert (second.made, again.fun, again.key) == (0, short.fun, short.key)
    longer = WAYS["CMAES"](third, until=Evaluations(80), study=file)
    assert 28 <= third.made <= 32
    assert longer.fun == WAYS["CMAES"](Bowl(), until=Evaluations(80), key=short.key).fun


def test_what_runs_at_once_is_written_down_one_by_one(tmp_path: Path) -> None:
    def f(p: dict[str, Any]) -> float:
        if p["a"] > 0.9:
            raise ValueError("too much")
        return p["a"] ** 2 + p["b"]

    alone = minimize(f, SPACE, method=CMAES(), until=Evaluations(40), key=1)
    for executor in (Threads(2), Processes(2)):
        name = type(executor).__name__
        at = (tmp_path / "runs.db", name)
        result = minimize(f, SPACE, method=CMAES(), until=Evaluations(40), key=1, executor=executor, study=at)
        assert result.fun == alone.fun
        with Store(tmp_path / "runs.db") as store:
            rows, _ = store.open(name).sync()
        assert {row.state for row in rows} <= {"done", "failed"}
        assert all(row.proposal and row.proposal.keys() == {"a", "b", "kind"} for row in rows)
        assert all("too much" in (row.error or "") for row in rows if row.state == "failed")
        assert len(rows) == sum(alone.evaluations.values())


def test_failures_are_not_tried_again(tmp_path: Path) -> None:
    def f(x: Any) -> float:
        if x[0] < 1:
            raise ValueError("below one")
        return float(x @ x)

    def run(g: Callable[[Any], float]) -> Any:
        return minimize(g, [1.5, 1.5], method=CMAES(), until=Evaluations(40), key=0, study=tmp_path / "runs.db")

    first = run(f)
    assert first.failures
    again = run(lambda x: pytest.fail("evaluated again"))
    assert (again.fun, again.failures) == (first.fun, first.failures)


def test_another_run_is_refused_and_the_file_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"
    WAYS["CMAES"](Bowl(), until=Evaluations(30), key=1, study=file)
    before = Store(file).open("minimize").sync()
    with pytest.raises(StateMismatch, match="another key: 1, and now it is 2"):
        WAYS["CMAES"](Bowl(), until=Evaluations(30), key=2, study=file)
    with pytest.raises(StateMismatch, match="another method"):
        WAYS["NelderMead"](Bowl(), until=Evaluations(30), study=file)
    with pytest.raises(CompositionError, match="is an oracle; give the function"):
        minimize(Function(Bowl()), [0.0, 1.0], study=file)
    with pytest.raises(InvalidValue, match=r'study=3 is no file; write study="runs.db"'):
        WAYS["CMAES"](Bowl(), until=Evaluations(30), study=3)
    assert Store(file).open("minimize").sync() == before
    WAYS["NelderMead"](Bowl(), until=Evaluations(30), study=(file, "second"))
    assert Store(file).names() == ["minimize", "second"]


def test_an_objective_that_asks_elsewhere_is_named(tmp_path: Path) -> None:
    file = tmp_path / "runs.db"

    def descent(f: Callable[[Any], float]) -> Any:
        return minimize(f, [0.0, 1.0], method=NelderMead(), until=Evaluations(30), key=1, study=file)

    with pytest.raises(Killed):
        descent(Bowl(dies_at=20))
    with Store(file) as store:  # what another version might have asked
        log = store.open("minimize")
        assert log.ask(20, 19, {"x": [7.0, 7.0]}, here(), 1.0)
    with pytest.raises(StateMismatch, match=r"evaluation 20 was made at \{'x': \(7.0, 7.0\)\}, and now \{'x'"):
        descent(Bowl())


def test_a_wrong_objective_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        minimize(lambda x: 1 / 0, [0.0], study=tmp_path / "runs.db")
    assert Store(tmp_path / "runs.db").names() == []
    with pytest.raises((EvaluationFailed, ValueError)):
        minimize(Grumpy(), [0.0], study=tmp_path / "runs.db", method=CMAES(), on_failure=Raise(), key=0)
    assert Store(tmp_path / "runs.db").names() == ["minimize"]  # something was learned


class Grumpy:
    """Fails at its fifth evaluation."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, x: Any) -> float:
        self.made += 1
        if self.made == 5:
            raise ValueError("enough")
        return float(x @ x)


def test_a_run_has_one_process_at_a_time(tmp_path: Path) -> None:
    """Who is refused leaves the other's run as it is; a dead one's evaluation is made again, by its successor."""
    path = tmp_path / "runs.db"
    with pytest.raises(Killed):
        minimize(Bowl(dies_at=1), [0.0, 1.0], method=CMAES(), until=Evaluations(10), key=3, study=path)

    def again() -> Any:
        return minimize(Bowl(), [0.0, 1.0], method=CMAES(), until=Evaluations(10), key=3, study=path)

    with sqlite3.connect(path) as other:
        other.execute("UPDATE trials SET owner = 'elsewhere'")
    other.close()
    with pytest.raises(InvalidValue, match=r"runs\.db is being used by another process; wait"):
        again()
    with Store(path) as store:
        log = store.open("minimize")
        assert {(row.state, row.owner, row.attempts) for row in log.sync()[0]} == {("running", "elsewhere", 1)}
        log.renew("elsewhere", -0.1)  # over, so that it is watched for a moment
    again()
    with Store(path) as store:
        rows = store.open("minimize").sync()[0]
    assert {(row.state, row.owner) for row in rows} == {("done", here())}
    assert {row.attempts for row in rows} == {1, 2}
