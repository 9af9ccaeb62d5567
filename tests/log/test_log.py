"""What a log promises, in memory, in a file and on a server alike."""

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from descend.errors import InvalidValue, StateMismatch
from descend.key import Key
from descend.log import Clock, Log, Memory, Row, Store
from descend.log.owner import here

AnyLog = Log | Memory
NewLog = Callable[..., AnyLog]
POINT = {"lr": 0.1, "kind": "x"}


class Time:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.wall, self.steady = 1000.0, 0.0

    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.steady)

    def wait(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


def ask(log: AnyLog, number: int, owner: str = "me", **more: Any) -> bool:
    return log.ask(number, number, POINT, owner, 30.0, **more)


def test_a_trial_from_its_question_to_its_answer(new_log: NewLog) -> None:
    time = Time()
    log = new_log(time.clock())
    assert log.sync() == ([], 0)
    assert log.ask(0, 0, POINT, "me", 30.0, {"note": "first"})
    asked, version = log.sync()
    assert asked == [
        Row(
            0, "running", "asked", POINT, {}, 0, None, None, (), None, {"note": "first"}, "me", 1030.0, 1, 1000.0, None,
            version=1,
        )
    ]  # fmt: skip
    time.wait(5.0)
    told = log.tell(0, "me", "done", [1.5, -2], [0.25], {"lr": 0.2}, None, {"more": [1, 2]})
    assert told == asked[0]._replace(
        state="done", values=(1.5, -2.0), violations=(0.25,), params={"lr": 0.2}, place=0, lease=None, ended=1005.0,
        attributes={"note": "first", "more": [1, 2] if type(log) is Memory else (1, 2)}, version=2,
    )  # fmt: skip
    assert log.sync(version) == ([told], 2)
    assert log.sync(2) == ([], 2)


def test_what_was_used_is_what_was_proposed_unless_it_is_said(new_log: NewLog) -> None:
    log = new_log()
    for number, params in enumerate([None, POINT, {}, {"lr": 0.3}]):
        ask(log, number)
        log.tell(number, "me", "done", [1.0], params=params)
    assert [row.params for row in log.sync()[0]] == [POINT, POINT, {}, {"lr": 0.3}]
    log.ask(4, 4, None, "me", 30.0)
    assert log.tell(4, "me", "pruned", None, params={"n": 3})[3:5] == (None, {"n": 3})


def test_plain_values_come_back_as_they_went(new_log: NewLog) -> None:
    point = {
        "": 1, "i": 2**70, "f": 0.1 + 0.2, "tiny": 5e-324, "nan": math.nan, "inf": math.inf, "-inf": -math.inf,
        "none": None, "bool": True, "text": "é\n\0\ud800'\";--", "nested": (1, (2.0, "x")), "zero": -0.0,
    }  # fmt: skip
    log = new_log()
    log.ask(0, 0, point, "me", 30.0)
    (row,), _ = log.sync()
    assert row.proposal is not None
    assert repr(row.proposal) == repr(point)  # which tells 1 from 1.0 and from True, and knows NaN
    told = log.tell(0, "me", "done", [math.nan, -math.inf], [math.inf], error="\ud800 \0 é")
    assert repr(told.values) == "(nan, -inf)"
    assert told.violations == (math.inf,)
    assert log.sync()[0][0].error in ("\ud800 \0 é", "\\ud800 \\0 é")


def test_numbers_are_taken_once_and_in_order(new_log: NewLog) -> None:
    log = new_log()
    assert not ask(log, 1)
    assert ask(log, 0)
    assert not ask(log, 0, "you")
    assert ask(log, 1, "you")
    assert [(row.number, row.owner) for row in log.sync()[0]] == [(0, "me"), (1, "you")]


def test_answers_have_places_in_the_order_in_which_they_came(new_log: NewLog) -> None:
    log = new_log()
    for number in range(4):
        ask(log, number)
    for number, state in ((2, "done"), (0, "failed"), (3, "pruned")):
        log.tell(number, "me", state, None)
    log.add(Row(params={"lr": 1.0}, values=(3.0,)))
    log.tell(1, "me", "done", [1.0])
    found = sorted(log.sync()[0])
    assert [row.place for row in found] == [1, 4, 0, 2, 3]
    assert found[4][:9] == (4, "done", "added", None, {"lr": 1.0}, 3, 3, (3.0,), ())


def test_a_second_answer_is_refused_and_the_first_stays(new_log: NewLog) -> None:
    log = new_log()
    ask(log, 0)
    log.enqueue({"lr": 1.0})
    for number, owner, sentence in [
        (0, "you", "trial 0 is being made by me and not by you"),
        (1, "me", "trial 1 is queued"),
        (2, "me", "there is no trial 2"),
    ]:
        with pytest.raises(StateMismatch, match=sentence):
            log.tell(number, owner, "done", [1.0])
    log.tell(0, "me", "done", [1.0])
    for owner in ("me", "you"):
        with pytest.raises(StateMismatch, match="trial 0 is done already"):
            log.tell(0, owner, "failed", None)
    assert log.sync()[0][-1].values == (1.0,)
    for act in (lambda: log.note(7, {"a": 1}), lambda: log.report(7, 0, [1.0]), lambda: log.release(7, "me")):
        with pytest.raises(StateMismatch, match="there is no trial 7"):
            act()


def test_queued_trials_are_claimed_in_order_and_once(new_log: NewLog) -> None:
    log = new_log()
    assert log.claim("me", 30.0) is None
    assert [log.enqueue({"lr": float(number)}, {"n": number}) for number in range(3)] == [0, 1, 2]
    claimed = [log.claim(owner, 30.0) for owner in ("me", "you", "me", "you")]
    assert claimed[3] is None
    assert [(row.number, row.owner, row.origin, row.attempts) for row in claimed if row] == [
        (0, "me", "queued", 1), (1, "you", "queued", 1), (2, "me", "queued", 1),
    ]  # fmt: skip
    assert [row.proposal for row in claimed if row] == [{"lr": 0.0}, {"lr": 1.0}, {"lr": 2.0}]
    assert log.tell(1, "you", "done", [1.0]).params == {"lr": 1.0}


def test_what_is_given_back_is_queued_as_it_was(new_log: NewLog) -> None:
    log = new_log()
    ask(log, 0)
    assert log.release(0, "me")[:4] == (0, "queued", "asked", POINT)
    with pytest.raises(StateMismatch, match="queued"):
        log.release(0, "me")
    again = log.claim("you", 30.0)
    assert again is not None
    assert (again.number, again.owner, again.attempts, again.proposal) == (0, "you", 1, POINT)


def test_reports_replace_those_of_the_same_step_and_are_read_once(new_log: NewLog) -> None:
    time = Time()
    log = new_log(time.clock())
    ask(log, 0)
    ask(log, 1)
    log.report(0, 1, [5.0])
    first, version = log.reports()
    assert first == [(0, 1, (5.0,), 1000.0)]
    time.wait(1.0)
    log.report(1, 1, [7.0, math.nan])
    log.report(0, 1, [4.0])
    log.report(0, 2**40, [3.0])
    later, version = log.reports(version)
    assert [tuple(report)[:2] for report in later] == [(1, 1), (0, 1), (0, 2**40)]
    assert repr([report.values for report in later]) == "[(7.0, nan), (4.0,), (3.0,)]"
    assert {report.at for report in later} == {1001.0}
    assert log.reports(version) == ([], version)
    assert [tuple(report)[:2] for report in log.reports()[0]] == [(1, 1), (0, 1), (0, 2**40)]


def test_attributes_are_added_and_none_is_lost(new_log: NewLog) -> None:
    log = new_log()
    assert log.attributes() == {}
    log.set_attributes({"a": 1})
    log.set_attributes({"b": "x", "a": 2})
    assert log.attributes() == {"a": 2, "b": "x"}
    ask(log, 0, attributes={"c": 1})
    log.note(0, {"d": 2})
    assert log.tell(0, "me", "done", [1.0], attributes={"c": 3}).attributes == {"c": 3, "d": 2}
    log.note(0, {"e": None})  # also of what is finished
    assert log.sync()[0][0].attributes == {"c": 3, "d": 2, "e": None}
    assert log.sync()[0][0].version == 4


def test_definitions_stand_once_for_each_change(new_log: NewLog) -> None:
    log = new_log()
    for name, leaf in [("a", "1"), ("b", "2"), ("a", "1"), ("a", "3"), ("a", "1"), ("b", "2")]:
        log.define(name, leaf)
    assert log.definitions() == [("a", "1"), ("b", "2"), ("a", "3"), ("a", "1")]


def test_workers_and_when_they_were_last_heard_of(new_log: NewLog) -> None:
    time = Time()
    log = new_log(time.clock())
    for number, owner in enumerate("baa"):
        ask(log, number, owner)
    log.enqueue({})
    time.wait(4.0)
    log.renew("a", 30.0)
    assert log.workers() == [("a", 1004.0, (1, 2)), ("b", 1000.0, (0,))]
    assert [row.version for row in log.sync()[0]] == [1, 2, 3, 4]  # a renewal is no news
    assert [row.lease for row in log.sync()[0]] == [1030.0, 1034.0, 1034.0, None]


# Leases


def test_a_trial_is_taken_over_when_its_lease_is_over_and_has_stood_still(new_log: NewLog) -> None:
    time = Time()
    log = new_log(time.clock())
    ask(log, 0, "elsewhere")
    time.wait(29.0)
    assert log.claim("me", 30.0) is None  # begins to watch
    time.wait(14.0)
    assert log.claim("me", 30.0) is None  # over, but watched for less than half a lease
    time.wait(1.0)
    assert log.claim("elsewhere", 30.0) is None  # nobody takes from himself
    taken = log.claim("me", 30.0)
    assert taken is not None
    assert (taken.number, taken.owner, taken.attempts, taken.proposal, taken.lease) == (0, "me", 2, POINT, 1074.0)
    with pytest.raises(StateMismatch, match="being made by me and not by elsewhere"):
        log.tell(0, "elsewhere", "done", [9.0])
    assert log.tell(0, "me", "done", [1.0]).values == (1.0,)


def test_a_late_answer_counts_if_nobody_has_taken_over(new_log: NewLog) -> None:
    time = Time()
    log = new_log(time.clock())
    ask(log, 0, "elsewhere")
    time.wait(1000.0)
    assert log.claim("me", 30.0) is None
    assert log.tell(0, "elsewhere", "done", [9.0]).values == (9.0,)
    time.wait(1000.0)
    assert log.claim("me", 30.0) is None


@pytest.mark.parametrize("step", [-1e6, -3600.0, -60.0, 3600.0, 1e6])
def test_no_step_of_the_clock_costs_a_living_worker_its_trial(step: float, new_log: NewLog) -> None:
    """The clock is set, forth or back, and back again, while a worker renews its lease in time."""
    time = Time()
    log = new_log(time.clock())
    ask(log, 0, "elsewhere")
    for second in range(200):
        time.wait(1.0)
        if second in (50, 130):
            time.wall += step if second == 50 else -step
        if second % 10 == 0:
            log.renew("elsewhere", 30.0)
        assert log.claim("me", 30.0) is None
    for _ in range(31):  # and then it dies
        time.wait(1.0)
        log.claim("me", 30.0)
    assert log.workers()[0].owner == "me"


@pytest.mark.parametrize("step", [-3600.0, 3600.0])
def test_the_dead_are_found_whatever_the_clock_says(step: float, new_log: NewLog) -> None:
    time = Time()
    log = new_log(time.clock())
    ask(log, 0, "elsewhere")
    time.wall += step
    seconds = 0
    while log.claim("me", 30.0) is None:
        time.wait(1.0)
        seconds += 1
        assert seconds < 60  # two leases
    assert seconds == (30 if step < 0 else 15)


def test_an_owner_that_is_gone_from_this_machine_loses_its_trial_at_once(new_log: NewLog) -> None:
    log = new_log()
    gone = ":".join([here().split(":")[0], "999999999", "1"])
    again = ":".join([*here().split(":")[:2], "1"])  # its number is used by another process now
    for number, owner in enumerate([gone, here(), again]):
        ask(log, number, owner)
    first, second = log.claim("me", 30.0), log.claim("me", 30.0)
    assert first is not None
    assert second is not None
    assert (first.number, second.number) == (0, 2)
    assert log.claim("me", 30.0) is None


def test_what_kills_its_workers_fails_in_the_end(new_log: NewLog) -> None:
    time = Time()
    log = new_log(time.clock())
    log.enqueue({"lr": 1.0})
    ask(log, 1, "0")
    for attempt in range(1, 4):
        taken = log.claim(str(attempt), 30.0, limit=3)
        assert taken is not None
        assert (taken.number, taken.attempts) == (0, attempt)
        log.renew("0", 30.0)
        log.claim("watcher", 30.0, limit=3)
        time.wait(31.0)
        log.renew("0", 30.0)
    assert log.claim("watcher", 30.0, limit=3) is None
    failed = next(row for row in log.sync()[0] if row.number == 0)
    assert failed[1:2] + failed[6:8] == ("failed", 0, None)
    assert failed.error == "its worker died 3 times"
    assert failed.ended == time.wall


# Memory is the reference, and simple enough to be one


@pytest.mark.parametrize("seed", range(3))
def test_a_file_is_what_memory_is(seed: int, tmp_path: Path) -> None:
    """The same thousand random events, each log with a clock that reads the same."""
    time = Time()
    with Store(tmp_path / "tune.db", clock=time.clock()) as store:
        logs: list[AnyLog] = [Memory(clock=time.clock()), store.open("study", {})]
        since = [0, 0]
        for kind, a, b in Key(seed).integers(0, 2**16, 3000).view(-1, 3).tolist():
            owner, number = "abc"[a % 3], b % max(1, len(logs[0].sync()[0]) + 1)
            outcomes = [repr(_act(log, kind % 14, owner, number, a)) for log in logs]
            assert outcomes[0] == outcomes[1]
            time.wait(a % 7 + 0.25)
            if kind % 5 == 0:
                news = [log.sync(version) for log, version in zip(logs, since, strict=True)]
                assert repr(news[0]) == repr(news[1])
                since = [newest for _, newest in news]
        assert repr(logs[0].sync()) == repr(logs[1].sync())
        states = [row.state for row in logs[0].sync()[0]]
        assert all(states.count(state) > 5 for state in ("done", "pruned", "failed"))


def _act(log: AnyLog, kind: int, owner: str, number: int, a: int) -> Any:
    point = {"x": a / 7}
    acts: list[Callable[[], Any]] = [
        lambda: log.ask(number, a, point, owner, 20.0),
        lambda: log.ask(max((row.number for row in log.sync()[0]), default=-1) + 1, a, None, owner, 20.0, {"n": a}),
        lambda: log.claim(owner, 20.0, 2),
        lambda: log.tell(number, owner, "done", [a]),
        lambda: log.tell(number, owner, "pruned", None, [a], point, "why", {"a": a}),
        lambda: log.enqueue(point),
        lambda: log.add(Row(params=point, values=(1.0,), began=1.0, ended=2.0)) if a % 3 == 0 else None,
        lambda: log.renew(owner, 20.0),
        lambda: log.note(number, {"b": a}),
        lambda: (log.report(number, a % 3, [a]), log.reports(a % 50)),
        lambda: log.define(owner, str(a % 2)),
        lambda: (log.definitions(), log.workers(), log.attributes()),
        lambda: log.release(number, owner) if a % 4 == 0 else None,
        lambda: log.set_attributes({owner: a}),
    ]
    try:
        return acts[kind]()
    except StateMismatch as error:
        return str(error)


# Threads


def test_threads_share_a_log(new_log: NewLog) -> None:
    log = new_log()
    errors: list[BaseException] = []

    def work(owner: str) -> None:
        try:
            for _ in range(25):
                with log.turn():
                    taken = len(log.sync()[0])
                    assert log.ask(taken, taken, POINT, owner, 30.0)
                log.report(taken, 0, [1.0])
                log.tell(taken, owner, "done", [1.0])
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    found = sorted(log.sync()[0])
    assert [row.number for row in found] == list(range(100))
    assert sorted(row.place for row in found if row.place is not None) == list(range(100))


def test_a_turn_that_fails_has_changed_nothing(new_log: NewLog) -> None:
    log = new_log()
    ask(log, 0)
    if type(log) is Memory:
        return  # there is nobody else to see a half
    with pytest.raises(ZeroDivisionError), log.turn():
        assert ask(log, 1) / 0
    assert [row.number for row in log.sync()[0]] == [0]
    assert ask(log, 1)


def test_what_is_not_plain_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with Store(tmp_path / "tune.db") as store:
        log = store.open("study", {})
        bad_ones: list[Any] = [{"a": object()}, {"a": {1, 2}}, {(1, 2): 3}, {"a": b"x"}]
        for bad in bad_ones:
            with pytest.raises(InvalidValue, match=r"the proposal .* cannot be written down"):
                log.ask(0, 0, bad, "me", 30.0)
        assert log.sync() == ([], 0)
