"""The log and its replay: a run that was ended anywhere goes on as if nothing had happened."""

import math
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.errors import EvaluationFailed, InvalidValue, ShapeMismatch, StateMismatch
from descend.key import Key
from descend.population.snes import SNES
from descend.run.ask_tell import AskTell
from descend.run.drive import Limits, Numbered, drive
from descend.run.execute import Serial, Threads
from descend.run.recorded import Question, Recorded
from descend.run.study import Run, Study
from descend.space import Choice, Float, Int, Space

SPACE = Space(a=Float(0, 1), n=Int(1, 9), kind=Choice("x", "y"))


def cost(point: dict[str, Any]) -> float:
    if point["n"] == 6:
        raise ValueError("six is impossible")
    return (point["a"] - 0.9) ** 2 + abs(point["n"] - 8) + (point["kind"] == "x")


def fresh(key: int = 0) -> AskTell:
    return AskTell(SNES(popsize=6), SPACE, key)


def rows(run: Run) -> list[tuple[Any, ...]]:
    return [(e.number, e.point, e.after, e.state, e.place, e.loss, e.error) for e in run.entries]


class Stop(BaseException):
    """As if the process was killed."""


def run_for(path: Path, evaluations: int, dies_after: int | None = None) -> list[tuple[Any, ...]]:
    """Drive the run of a file, perhaps not to the end; what is in the file then."""
    left = math.inf if dies_after is None else dies_after

    def f(x: tuple[int, Any], key: Key) -> float:
        nonlocal left
        left -= 1
        if left < 0:
            raise Stop
        return cost(x[1])

    with Study(path) as study:
        run = study.run({"method": "SNES"})
        try:
            reason = drive(Recorded(fresh(), run), f, Serial(), Limits(evaluations))
            assert reason == f"the budget of {evaluations} evaluations is spent"
        except Stop:
            pass
        return rows(run)


@pytest.mark.parametrize("stops", [[0], [1], [5, 1], [13, 7, 20, 3]], ids=str)
def test_a_run_that_was_killed_goes_on_as_if_nothing_had_happened(stops: list[int], tmp_path: Path) -> None:
    whole = run_for(tmp_path / "whole.db", 50)
    assert len(whole) == 50
    assert {row[3] for row in whole} == {"ok", "failed"}
    for stop in stops:
        run_for(tmp_path / "killed.db", 50, dies_after=stop)
    assert run_for(tmp_path / "killed.db", 50) == whole
    assert run_for(tmp_path / "killed.db", 50) == whole  # nothing left to do
    run_for(tmp_path / "longer.db", 60)
    assert run_for(tmp_path / "killed.db", 60) == run_for(tmp_path / "longer.db", 60)


def test_answers_in_any_order_are_replayed_in_that_order(tmp_path: Path) -> None:
    """Many questions are open at once, and answered in a random order; then the process is gone."""
    with Study(tmp_path / "runs.db") as study:
        run = study.run({})
        search = Recorded(fresh(), run)
        open_: list[Question] = []
        for step, choice in enumerate(Key(1).integers(0, 2**20, 90).tolist()):
            if choice % 2 or not open_:
                open_.append(search.ask())
            else:
                question = open_.pop(choice % len(open_))
                search.tell(question, math.nan if step % 7 == 0 else cost({**question.point, "n": 1}), 0.0)
        again = Recorded(fresh(), study.run({}))
        assert (again.asked, again.answered, again.replayed) == (search.asked, search.answered, search.answered)
        assert sorted(question.number for question in open_) == [question.number for question in again.unfinished]
        assert again.search.best == search.search.best
        assert again.search.failures == search.search.failures > 0
        for question in open_:
            search.search.tell(question.point, 1.0)
        for question in sorted(again.unfinished, key=lambda q: [o.number for o in open_].index(q.number)):
            again.search.tell(question.point, 1.0)
        assert search.search.ask(20) == again.search.ask(20)


def test_several_workers_lose_nothing(tmp_path: Path) -> None:
    def f(x: tuple[int, Any], key: Key) -> float:
        return cost(x[1])

    with Study(tmp_path / "runs.db") as study, Threads(3) as executor:
        search = Recorded(fresh(), study.run({}))
        assert drive(search, f, executor, Limits(40)).startswith("the budget of 40")
        found = study.run({}).entries
    assert [entry.number for entry in found] == list(range(40))
    assert sorted(entry.place or 0 for entry in found) == list(range(40))
    assert all(entry.number - entry.after <= 2 for entry in found)  # at most three at a time
    assert search.search.best[1] == min(entry.loss for entry in found if entry.loss is not None)


def test_a_log_of_another_search_names_the_first_evaluation_that_differs(tmp_path: Path) -> None:
    run_for(tmp_path / "runs.db", 20)
    with Study(tmp_path / "runs.db") as study:
        run = study.run({"method": "SNES"})
        with pytest.raises(StateMismatch, match=r"evaluation 0 was made at .*and now"):
            Recorded(fresh(1), run)
        with sqlite3.connect(tmp_path / "runs.db") as other:
            other.execute("UPDATE evaluations SET loss = 100 WHERE number = 3")
        with pytest.raises(StateMismatch, match="evaluation 6 was made at"):  # the first after that generation
            Recorded(fresh(), run)
        with sqlite3.connect(tmp_path / "runs.db") as other:
            other.execute("DELETE FROM evaluations WHERE number = 2")
        with pytest.raises(StateMismatch, match="evaluation 2 is missing"):
            Recorded(fresh(), run)
        other.close()


def test_a_file_has_one_process_at_a_time_and_readers(tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    take = f"import sqlite3; sqlite3.connect({str(path) + '-lock'!r}, timeout=0).execute('BEGIN EXCLUSIVE')"
    with Study(path) as study:
        study.run({"a": 1}).ask(0, "{}", 0)
        with pytest.raises(InvalidValue, match=r"runs\.db is being used by another process"):
            Study(path)
        done = subprocess.run([sys.executable, "-c", take], capture_output=True, text=True)
        assert "database is locked" in done.stderr  # in another process too
        reader = sqlite3.connect(path)
        assert reader.execute("SELECT count(*) FROM evaluations").fetchone() == (1,)
        reader.close()
    Study(path).close()


def test_what_is_not_a_study_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("a text that is long enough to be no SQLite header " * 20)
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE mine (a)")
    other.close()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    for name, sentence in [
        ("text.db", "is not a study"),
        ("other.db", "another program"),
        ("no/where.db", "does its folder exist"),
        (".", "cannot be opened|is being used|not a study"),
    ]:
        with pytest.raises(InvalidValue, match=sentence):
            Study(tmp_path / name)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_runs_are_known_by_their_headers_and_can_be_discarded(tmp_path: Path) -> None:
    with Study(tmp_path / "runs.db") as study:
        first, second = study.run({"a": 1, "b": [2]}), study.run({"a": 2})
        first.ask(0, "{}", 0)
        assert study.run({"b": [2], "a": 1}).number == first.number != second.number
        study.discard(first)
        assert study.run({"a": 2}).number == second.number
    with Study(tmp_path / "runs.db") as study:
        study.discard(study.run({"a": 3}))
    assert (tmp_path / "runs.db").exists()
    study = Study(tmp_path / "new.db")
    study.discard(study.run({}))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["runs.db", "runs.db-lock"]


def test_only_what_was_asked_can_be_answered_and_once(tmp_path: Path) -> None:
    with Study(tmp_path / "runs.db") as study:
        run = study.run({})
        run.ask(0, "{}", 0)
        run.answer(0, 0, None, "broken", 0.5)
        for number in (0, 1):
            with pytest.raises(StateMismatch, match=f"evaluation {number} is not waiting"):
                run.answer(number, 1, 1.0, None, 0.5)
        (entry,) = run.entries
        assert (entry.state, entry.loss, entry.error, entry.seconds) == ("failed", None, "broken", 0.5)


def driven(f: Any, limits: Limits, executor: Any = None) -> tuple[str, Recorded]:
    search = Recorded(fresh())
    return drive(search, Numbered(f), executor or Serial(), limits), search


def test_reasons_to_stop() -> None:
    assert driven(cost, Limits(5))[0] == "the budget of 5 evaluations is spent"
    reason, search = driven(cost, Limits(500, target=0.1))
    assert reason.startswith("the loss")
    assert search.search.best[1] <= 0.1
    assert 1 < search.answered < 500
    assert driven(cost, Limits(10**6, seconds=0.2))[0] == "0.2 seconds have passed"

    def fails(point: Any) -> float:
        raise EvaluationFailed("no such file")

    reason, search = driven(fails, Limits(100))
    assert reason == "all of the first 10 evaluations failed, the last one because: no such file"
    assert search.answered == 10


def test_somebody_who_has_seen_ten_failures_may_go_on(tmp_path: Path) -> None:
    def fails(point: Any) -> float:
        return math.nan

    with Study(tmp_path / "runs.db") as study:
        run = study.run({})
        assert drive(Recorded(fresh(), run), Numbered(fails), Serial(), Limits(30)).startswith("all of the first 10")
        assert drive(Recorded(fresh(), run), Numbered(fails), Serial(), Limits(30)).startswith("the budget of 30")
        assert {entry.error for entry in run.entries} == {"the objective returned nan"}


def test_mistakes_are_raised_and_failures_are_not() -> None:
    calls: Iterator[int] = iter(range(100))

    def late(point: Any) -> float:
        if next(calls) == 3:
            raise ZeroDivisionError
        return 1.0

    assert driven(late, Limits(8))[1].search.failures == 1
    with pytest.raises(
        InvalidValue, match=r"raised ZeroDivisionError: division by zero \(.*test_study.py:\d+\) at its first"
    ):
        driven(lambda point: 1 / 0, Limits(8))
    with pytest.raises(ShapeMismatch):
        driven(lambda point: [1.0, 2.0], Limits(8))
    answers = iter([1.0, 2.0, [3.0, 4.0]])
    with pytest.raises(ShapeMismatch):  # no point is to blame for that, at whatever evaluation
        driven(lambda point: next(answers), Limits(8))


def test_random_objectives_are_repeatable_in_any_number_of_workers() -> None:
    import torch

    def noisy(point: Any) -> float:
        return float(torch.rand(()))

    f = Numbered(noisy)
    assert f((3, {}), Key(0)) == f((3, {}), Key(0)) != f((4, {}), Key(0))
    assert f((3, {}), Key(0)) != f((3, {}), Key(1))
    assert Numbered(noisy, negated=True)((3, {}), Key(0)) == -f((3, {}), Key(0))
    state = torch.get_rng_state()
    Numbered(noisy)((3, {}), Key(0))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("limits", [(0,), (1.5,), (True,), (1, 0.0), (1, math.nan), (1, None, math.nan)])
def test_wrong_limits_get_a_sentence(limits: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidValue, match="is a "):
        Limits(*limits)
