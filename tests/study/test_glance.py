"""What a glance says of a study is what the study says of itself."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from descend.direct.filling import Uniform
from descend.errors import InvalidValue
from descend.log import Row, Store
from descend.log.digest import digest
from descend.space import Array, Bool, Choice, Float, Space, When
from descend.study import Pruned, Study
from descend.study.glance import Best, Glance

NESTED = Space(x=Float(0, 1), opt=Space(kind=Choice("a", ("b", 1)), w=Array(Float(0, 1), 2)), late=Bool())


def objective(trial: Any) -> Any:
    match trial.number % 7:
        case 3:
            raise RuntimeError("no")
        case 5:
            raise Pruned
        case 6:
            return math.nan
    x = trial["x"] if "x" in trial else trial.float("x", 0, 1)
    return round(x, 1)  # many are equal


def bounded(trial: Any) -> Any:
    x = trial.float("x", 0, 1)
    trial.constraint(0.5 - x)
    return x


def several(trial: Any) -> Any:
    return trial.float("x", 0, 1), trial.float("y", 0, 1)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize(
    ("given", "f"), [({}, objective), ({"space": NESTED}, objective), ({"constraints": 1}, bounded)]
)
def test_a_glance_agrees_with_the_study(tmp_path: Path, direction: str, given: dict[str, Any], f: Any) -> None:
    path = tmp_path / "s.db"
    with Study(path, method=Uniform(), directions=direction, **given) as study, Store(path, readonly=True) as store:
        seen = Glance(store.open("study"))
        study.run(f, trials=60)
        queued = study.enqueue({"x": 0.25} if given.get("space") is None else {"x": 0.25, "late": True})
        assert seen.digest.counts == Counter(trial.state for trial in study.trials)
        assert list(seen.digest.counts) == [
            state for state in ("queued", "done", "pruned", "failed") if state in seen.digest.counts
        ]
        best = study.best
        assert seen.best == [Best(best.number, best.value)]
        assert seen.params(best.number) == best.params
        assert seen.params(queued) == study.record(queued).params != {}
        assert (seen.name, seen.directions, seen.method) == ("study", (direction,), repr(study.method))
        times = [time for trial in study.trials for time in (trial.began, trial.ended) if time is not None]
        assert (seen.digest.first, seen.digest.last, seen.digest.ended) == (min(times), max(times), max(times))
        failed = [trial for trial in study.trials if trial.state == "failed"]
        assert seen.digest.failed == (failed[-1].number if failed else None)
        assert not failed or seen.error(failed[-1].number) == failed[-1].error


def test_every_objective_has_a_best(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Study(path, method=Uniform(), directions=("minimize", "maximize")) as study:
        study.run(several, trials=20)
        values = [trial.values for trial in study.trials]
    with Store(path, readonly=True) as store:
        low, high = Glance(store.open("study")).best
    assert low is not None
    assert high is not None
    assert low.value == min(value[0] for value in values if value) == values[low.number][0]  # type: ignore[index]
    assert high.value == max(value[1] for value in values if value) == values[high.number][1]  # type: ignore[index]


def test_where_no_trial_keeps_the_constraints_the_best_is_the_best_value(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        log = store.open("study", {"kind": "study"})
        log.add(Row(values=(1.0,), violations=(-3.0, 2.0)))
        log.add(Row(values=(math.inf,), violations=(-1.0,)))
        log.add(Row(values=(0.5,), violations=(0.25,)))
        assert Glance(log).best == [Best(2, 0.5)]
        log.add(Row(values=(7.0,), violations=(-1.0, 0.0)))
        assert Glance(log).best == [Best(3, 7.0)]


def test_nothing_is_made_of_the_header(tmp_path: Path) -> None:
    """A method that only its user has, and conditions that a file cannot hold, are no reason not to look."""
    space = Space(x=Float(0, 1), kind=Choice("a", "b"), d=When("kind", "b", Float(1, 2))).where(
        lambda point: point["x"] < 0.9
    )
    path = tmp_path / "s.db"
    with Study(path, space=space, method=Uniform()) as study:
        study.run(lambda trial: trial["x"], trials=5)
        best = study.best
    with Store(path) as store:
        header = {**store.open("study").header, "method": "own Mine(a=1)"}
        store.open("other", header)
        assert Glance(store.open("study")).params(best.number) == best.params
        assert Glance(store.open("other")).method == "Mine(a=1)"
        assert Glance(store.open("other")).best == [None]


def test_another_kind_of_run_has_one_objective_and_its_parameters_as_they_are(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        log = store.open("run 1", {"kind": "minimize", "method": "default", "directions": "maximize"})
        log.add(Row(params={"x": [2.0, 1.0]}, values=(3.0,)))
        log.add(Row(params={"x": [1.0, 1.0]}, values=(1.0,)))
        seen = Glance(log)
        assert (seen.directions, seen.method, seen.best) == (("minimize",), "default", [Best(1, 1.0)])
        assert json.dumps(seen.params(1)) == '{"x": [1.0, 1.0]}'


def test_an_empty_log_has_nothing_to_say(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        log = store.open("study", {"kind": "study"})
        assert digest(log) == ({}, None, None, None, None)
        assert (Glance(log).method, Glance(log).best) == ("", [None])


@pytest.mark.parametrize("answer", ["5", '["a"]', "[]", "[", '[{"a": 1}]'])
def test_values_that_are_none_are_a_sentence(tmp_path: Path, answer: str) -> None:
    with Store(tmp_path / "s.db") as store:
        log = store.open("study", {"kind": "study"})
        log.add(Row(values=(1.0,)))
        log._write("UPDATE trials SET answer = :answer WHERE study = :study", {"answer": answer})
        with pytest.raises(InvalidValue, match="damaged"):
            Glance(log).best  # noqa: B018
