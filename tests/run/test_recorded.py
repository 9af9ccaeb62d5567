"""A run and its replay: one that was ended anywhere goes on as if nothing had happened."""

import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from descend.errors import EvaluationFailed, InvalidValue, ShapeMismatch, StateMismatch
from descend.key import Key
from descend.log import Log, Memory, Row, Store
from descend.log.owner import here
from descend.population.snes import SNES
from descend.run.ask_tell import AskTell
from descend.run.drive import Limits, Numbered, drive
from descend.run.execute import Serial, Threads
from descend.run.recorded import Question, Recorded
from descend.space import Choice, Float, Int, Space

SPACE = Space(a=Float(0, 1), n=Int(1, 9), kind=Choice("x", "y"))


def cost(point: dict[str, Any]) -> float:
    if point["n"] == 6:
        raise ValueError("six is impossible")
    return (point["a"] - 0.9) ** 2 + abs(point["n"] - 8) + (point["kind"] == "x")


def fresh(key: int = 0) -> AskTell:
    return AskTell(SNES(popsize=6), SPACE, key)


def rows(log: Log) -> list[tuple[Any, ...]]:
    return [(row.number, row.proposal, row.after, row.state, row.place, row.values, row.error) for row in in_order(log)]


def in_order(log: Log | Memory) -> list[Row]:
    return sorted(log.sync()[0])


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

    with Store(path) as store:
        log = store.open("run", {"method": "SNES"})
        try:
            reason = drive(Recorded(fresh(), log), f, Serial(), Limits(evaluations))
            assert reason == f"the budget of {evaluations} evaluations is spent"
        except Stop:
            pass
        return rows(log)


@pytest.mark.parametrize("stops", [[0], [1], [5, 1], [13, 7, 20, 3]], ids=str)
def test_a_run_that_was_killed_goes_on_as_if_nothing_had_happened(stops: list[int], tmp_path: Path) -> None:
    whole = run_for(tmp_path / "whole.db", 50)
    assert len(whole) == 50
    assert {row[3] for row in whole} == {"done", "failed"}
    for stop in stops:
        run_for(tmp_path / "killed.db", 50, dies_after=stop)
    assert run_for(tmp_path / "killed.db", 50) == whole
    assert run_for(tmp_path / "killed.db", 50) == whole  # nothing left to do
    run_for(tmp_path / "longer.db", 60)
    assert run_for(tmp_path / "killed.db", 60) == run_for(tmp_path / "longer.db", 60)


def test_answers_in_any_order_are_replayed_in_that_order(tmp_path: Path) -> None:
    """Many questions are open at once, and answered in a random order; then the process is gone."""
    with Store(tmp_path / "runs.db") as store:
        log = store.open("run", {})
        search = Recorded(fresh(), log)
        open_: list[Question] = []
        for step, choice in enumerate(Key(1).integers(0, 2**20, 90).tolist()):
            if choice % 2 or not open_:
                open_.append(search.ask())
            else:
                question = open_.pop(choice % len(open_))
                search.tell(question, math.nan if step % 7 == 0 else cost({**question.point, "n": 1}))
        again = Recorded(fresh(), log)
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

    with Store(tmp_path / "runs.db") as store, Threads(3) as executor:
        log = store.open("run", {})
        search = Recorded(fresh(), log)
        assert drive(search, f, executor, Limits(40)).startswith("the budget of 40")
        found = in_order(log)
    assert [row.number for row in found] == list(range(40))
    assert sorted(row.place or 0 for row in found) == list(range(40))
    assert all(row.number - row.after <= 2 for row in found)  # at most three at a time
    assert search.search.best[1] == min(row.values[0] for row in found if row.values is not None)


def test_a_log_of_another_search_names_the_first_evaluation_that_differs(tmp_path: Path) -> None:
    run_for(tmp_path / "runs.db", 20)
    with Store(tmp_path / "runs.db") as store:
        log = store.open("run")
        with pytest.raises(StateMismatch, match=r"evaluation 0 was made at .*and now"):
            Recorded(fresh(1), log)
        with sqlite3.connect(tmp_path / "runs.db") as other:
            other.execute("UPDATE trials SET answer = '[100]' WHERE number = 3")
        with pytest.raises(StateMismatch, match="evaluation 6 was made at"):  # the first after that generation
            Recorded(fresh(), log)
        with sqlite3.connect(tmp_path / "runs.db") as other:
            other.execute("DELETE FROM trials WHERE number = 2")
        with pytest.raises(StateMismatch, match="evaluation 2 is missing"):
            Recorded(fresh(), log)
        other.close()


def test_a_run_has_one_process_at_a_time(tmp_path: Path) -> None:
    """Whoever is alive keeps it; whoever has ended on this machine loses it at once, another one after its lease."""
    with Store(tmp_path / "runs.db") as store:
        log = store.open("run", {})
        point = fresh().ask()
        gone = f"{here().split(':')[0]}:999999999:1"
        log.ask(0, 0, point, f"{here()}0", 0.0)  # another process with our number, which is no more
        assert [question.number for question in Recorded(fresh(), log).unfinished] == [0]
        other = store.open("other", {})
        other.ask(0, 0, point, gone, 1e6)
        assert [question.number for question in Recorded(fresh(), other).unfinished] == [0]
        third = store.open("third", {})
        third.ask(0, 0, point, "elsewhere", 30.0)
        with pytest.raises(InvalidValue, match=r"runs\.db is being used by another process; wait"):
            Recorded(fresh(), third)
        third.renew("elsewhere", 0.1)
        third.renew("elsewhere", -0.1)  # over, so that it is watched for a moment
        assert [question.number for question in Recorded(fresh(), third).unfinished] == [0]


def test_somebody_else_who_goes_on_with_the_run_is_noticed() -> None:
    log = Memory()
    one, other = Recorded(fresh(), log), Recorded(fresh(), log)
    one.ask()
    with pytest.raises(InvalidValue, match="is being used by another process"):
        other.ask()


def test_points_are_written_down_by_the_names_of_their_parameters() -> None:
    log = Memory()
    search = Recorded(AskTell(SNES(), Space(a=Float(0, 1), inner=Space(b=Int(1, 9)).as_leaf()), 0), log)
    point = search.ask().point
    (row,) = in_order(log)
    assert row.proposal == {"a": point["a"], "inner.b": point["inner"]["b"]}
    log = Memory()
    point = Recorded(AskTell(SNES(), [0.5, 1.5], 0), log).ask().point
    assert in_order(log)[0].proposal == {"": list(point)}


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


def test_somebody_who_has_seen_ten_failures_may_go_on() -> None:
    def fails(point: Any) -> float:
        return math.nan

    log = Memory()
    assert drive(Recorded(fresh(), log), Numbered(fails), Serial(), Limits(30)).startswith("all of the first 10")
    assert drive(Recorded(fresh(), log), Numbered(fails), Serial(), Limits(30)).startswith("the budget of 30")
    assert {row.error for row in in_order(log)} == {"the objective returned nan"}


def test_mistakes_are_raised_and_failures_are_not() -> None:
    calls: Iterator[int] = iter(range(100))

    def late(point: Any) -> float:
        if next(calls) == 3:
            raise ZeroDivisionError
        return 1.0

    assert driven(late, Limits(8))[1].search.failures == 1
    with pytest.raises(
        InvalidValue, match=r"raised ZeroDivisionError: division by zero \(.*test_recorded.py:\d+\) at its first"
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
