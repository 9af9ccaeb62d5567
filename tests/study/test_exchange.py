"""Studies go into files that other programs read, and into other stores."""

import csv
import json
from pathlib import Path

import pytest

from descend.direct import Uniform
from descend.errors import InvalidValue
from descend.study import Study, Trial


def objective(trial: Trial) -> float:
    x = trial.float("x", 0, 1)
    if trial.choice("kind", "a", "b") == "b":
        raise ValueError("no b")
    return x


def made(path: Path | None) -> Study:
    study = Study(path, "first", key=0, method=Uniform())
    study.run(objective, trials=12)
    return study


def test_trials_are_written_as_csv_json_and_parquet_and_as_a_frame(tmp_path: Path) -> None:
    study = made(None)
    for suffix in ("csv", "json", "parquet"):
        study.export(tmp_path / f"trials.{suffix}")
    with open(tmp_path / "trials.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    trials = study.trials
    assert [row["state"] for row in rows] == [trial.state for trial in trials]
    assert {trial.state for trial in trials} == {"done", "failed"}
    assert [float(row["value"]) for row in rows if row["value"]] == [t.value for t in trials if t.state == "done"]
    plain = json.loads((tmp_path / "trials.json").read_text(encoding="utf-8"))
    assert [trial["params"] for trial in plain] == [dict(trial.params) for trial in trials]
    pandas = pytest.importorskip("pandas")
    frame = study.frame()
    assert list(frame["params.x"]) == [trial.params["x"] for trial in trials]
    assert frame["value"].equals(pandas.read_parquet(tmp_path / "trials.parquet").set_index(frame.index)["value"])
    with pytest.raises(InvalidValue, match=r"ends in none of .csv, .json and .parquet"):
        study.export(tmp_path / "trials.xls")


def test_a_study_is_copied_into_another_file_and_goes_on_there(tmp_path: Path) -> None:
    study = made(tmp_path / "one.db")
    study.copy(tmp_path / "two.db")
    study.copy(tmp_path / "one.db", "second")
    with pytest.raises(InvalidValue, match="has a study 'second' already"):
        study.copy(tmp_path / "one.db", "second")
    with pytest.raises(InvalidValue, match="in memory has no file"):
        made(None).copy(tmp_path / "three.db")
    study.run(objective, trials=5)
    for path, name in (("two.db", "first"), ("one.db", "second")):
        copy = Study(tmp_path / path, name)
        copy.run(objective, trials=5)
        assert [t.params for t in copy.trials] == [t.params for t in study.trials]
