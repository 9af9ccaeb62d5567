"""What the page is told of a study, before any server or browser."""

import math

import numpy as np
import pytest

from descend.board.answers import Answers
from descend.board.pack import compact
from descend.board.reader import Reader, shown_of
from descend.board.shown import Asked, Shown, flat
from descend.direct.filling import Uniform
from descend.errors import InvalidValue
from descend.plot.study.importance import prepare
from descend.plot.study.plots import figures_of
from descend.study import Record, Study


@pytest.fixture
def reader(file):
    with Reader(file) as made:
        yield made


def test_the_summary_says_what_the_study_says(file, reader) -> None:
    summary = reader.shown("tune").summary()
    with Study(file, "tune", readonly=True) as study:
        best = study.best
        assert summary["best"][0]["number"] == best.number
        assert summary["best"][0]["values"] == [best.value]
        assert summary["best"][0]["params"] == flat(best.params)
        assert summary["counts"]["failed"] == sum(record.state == "failed" for record in study.trials) == 10
    assert summary["trials"] == 70
    assert summary["workers"][0]["finished"] == 70


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("sort", ["number", "value 0", "seconds", "param svc.C", "param rate"])
def test_pages_of_trials_are_parts_of_the_sorted_table(file, reader, sort, down) -> None:
    shown = reader.shown("tune")
    with Study(file, "tune", readonly=True) as study:
        records = study.trials
    kind, _, name = sort.partition(" ")
    key = {
        "number": lambda one: one.number, "value": lambda one: one.value, "seconds": lambda one: one.seconds,
        "param": lambda one: one.params.get(name, math.nan),
    }[kind]  # fmt: skip
    there = [one for one in records if not math.isnan(key(one))]
    absent = [one for one in records if math.isnan(key(one))]
    expected = sorted(there, key=lambda one: (-key(one) if down else key(one), one.number)) + absent
    pages = [shown.trials(Asked(sort, down, first=first, count=30)) for first in (0, 30, 60)]
    assert [page["total"] for page in pages] == [70] * 3
    assert [row["number"] for page in pages for row in page["rows"]] == [one.number for one in expected]


def test_trials_of_one_state_and_values_that_are_none(reader) -> None:
    page = reader.shown("tune").trials(Asked(state="failed", count=100))
    assert page["total"] == len(page["rows"]) == 10
    assert {row["state"] for row in page["rows"]} == {"failed"}
    assert {tuple(row["values"]) for row in page["rows"]} == {(None,)}


def test_failures_have_their_tracebacks(reader) -> None:
    found = reader.shown("tune").failures()
    assert found["total"] == 10
    assert found["rows"][0]["number"] == 66  # the last first
    assert "ValueError" in found["rows"][0]["error"]
    assert "in objective" in found["rows"][0]["error"]


def test_the_reader_sees_what_others_write(tmp_path) -> None:
    path = tmp_path / "tune.db"
    with Study(path, method=Uniform(), key=0) as study, Reader(path) as reader:
        first = reader.shown("study")
        assert reader.shown("study").view is first.view
        trial = study.ask()
        x = trial.float("x", 0, 1)
        asked = reader.version("study")
        assert asked > first.version
        trial.report(0, x)
        reported = reader.version("study")
        assert reported > asked
        assert reader.version("study") == reported
        study.tell(trial, x)
        shown = reader.shown("study")
        assert shown.version > reported
        assert shown.summary()["best"][0]["values"] == [x]
        assert shown.trial(0)["reports"] == [[0, x]]


def test_several_objectives_have_a_best_each() -> None:
    study = Study(method=Uniform(), key=0, directions=("minimize", "maximize"))
    study.run(lambda trial: (trial.float("x", 0, 1), trial.float("y", 0, 1)), trials=15)
    summary = shown_of(study).summary()
    values = np.array([record.values for record in study.trials])
    assert [one["values"][at] for at, one in enumerate(summary["best"])] == [values[:, 0].min(), values[:, 1].max()]
    assert {"pareto", "hypervolume"} <= set(summary["figures"])


def test_a_picture_that_cannot_be_drawn_is_a_sentence() -> None:
    study = Study(method=Uniform(), key=0)
    study.run(lambda trial: trial.float("x", 0, 1), trials=3)
    assert "8 trials" in shown_of(study).figure("importance")["sentence"]
    with pytest.raises(InvalidValue, match="history"):
        shown_of(study).figure("histogram")


def test_of_a_hundred_thousand_trials_the_page_is_told_little(view_of_many) -> None:
    n = 100_000
    shown = Shown(view_of_many(n), lambda number: Record(number, "done", {}, (1.0,)))
    page = shown.trials(Asked("value 0", down=False, first=n - 2040, count=50))
    assert page["total"] == n
    assert len(page["rows"]) == 50
    assert page["rows"][-1]["values"] == [None]  # the failures begin there
    assert len(compact(shown.summary())) < 5000
    assert len(compact(shown.failures())) < 20_000
    for name in set(figures_of(shown.view)) - {"importance"}:
        assert 1000 < len(compact(shown.figure(name))) < 150_000, name
    assert len(prepare(shown.view).ys) == 2000


def test_values_that_json_does_not_have_are_written_all_the_same() -> None:
    study = Study(method=Uniform(), key=0)
    study.add({"x": math.inf, "y": None}, 1.0, {"note": {"deep": [1, "text"]}})
    shown = shown_of(study)
    for data in (shown.summary(), shown.trial(0), shown.trials(Asked())):
        assert b"NaN" not in compact(data)
        assert b"Infinity" not in compact(data)


@pytest.mark.parametrize(
    ("question", "query", "sentence"),
    [
        ("summary", {}, "lacks study="),
        ("summary", {"study": ["nobody"]}, "no study 'nobody'; there are 'tune'"),
        ("trial", {"study": ["tune"], "number": ["70"]}, "no trial 70"),
        ("trial", {"study": ["tune"], "number": ["-1"]}, "no trial -1"),
        ("trial", {"study": ["tune"], "number": ["1e3"]}, "no whole number"),
        ("trials", {"study": ["tune"], "count": ["100000"]}, "to 500"),
        ("trials", {"study": ["tune"], "first": ["-5"]}, "first >= 0"),
        ("trials", {"study": ["tune"], "sort": ["param nothing"]}, "cannot be sorted"),
        ("trials", {"study": ["tune"], "sort": ["value 7"]}, "cannot be sorted"),
        ("trials", {"study": ["tune"], "state": ["asleep"]}, "queued"),
        ("figure", {"study": ["tune"], "figure": ["../etc/passwd"]}, "there is no picture"),
        ("compare", {"figure": ["compare"]}, "from 1 to 20"),
        ("compare", {"study": ["tune"], "figure": ["history"]}, "are compared by"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(reader, question, query, sentence) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        Answers(reader).questions[question](query)


def test_files_that_are_none_are_refused(tmp_path) -> None:
    with pytest.raises(InvalidValue, match="there is no file"):
        Reader(tmp_path / "nothing.db")
    (tmp_path / "text.db").write_text("this is no database" * 100)
    with pytest.raises(InvalidValue):
        Reader(tmp_path / "text.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.db"]
