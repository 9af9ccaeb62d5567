"""Runs: why they stop, what they catch, whom they tell, and how they are ended."""

import math
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from descend.direct.filling import Uniform
from descend.errors import EvaluationFailed, InvalidValue, StoreFailed
from descend.population.cma import CMAES
from descend.run.execute import Threads
from descend.run.until import Evaluations, NoImprovement, Seconds, Target
from descend.space import Float, Space
from descend.study import Pruned, Study, Trial
from descend.study.evaluate import Outcome
from descend.study.work import finish

SPACE = Space(x=Float(0, 1))


def random(path: Any = None, **given: Any) -> Study:
    return Study(path, space=SPACE, method=Uniform(), **given)


def x(trial: Trial) -> float:
    return trial["x"]


# Why it stops


def test_trials_are_those_of_this_run_and_rules_count_all() -> None:
    study = random()
    assert study.run(x, trials=3) == "3 trials were made"
    assert study.run(x, trials=0) == "0 trials were made"
    assert study.run(x, until=Evaluations(5)) == "the budget of 5 evaluations is spent"
    assert len(study.trials) == 5
    assert study.run(x, until=Evaluations(5)) == "the budget of 5 evaluations is spent"
    assert len(study.trials) == 5


def test_rules_see_the_values_in_the_sign_of_the_user() -> None:
    down = random()
    assert down.run(x, until=Target(0.05)).endswith("is at or below the target 0.05")
    assert down.trials[-1].value <= 0.05 < min(record.value for record in down.trials[:-1])
    up = random(directions="maximize")
    assert up.run(x, until=Target(0.95) | Evaluations(1000)).endswith("is at or above the target 0.95")
    assert up.trials[-1].value >= 0.95 > max(record.value for record in up.trials[:-1])


def test_a_rule_goes_on_where_it_was(tmp_path: Path) -> None:
    whole = random()
    whole.run(x, until=NoImprovement(8))
    n = len(whole.trials)
    assert n > 8
    for trials in (n - 4, None):
        with random(tmp_path / "s.db") as study:
            study.run(x, trials=trials, until=NoImprovement(8))
            found = len(study.trials)
    assert found == n


def test_infeasible_trials_reach_no_target() -> None:
    study = random(constraints=1)
    study.run(lambda trial: trial.constraint(1.0) or 0.0, until=Target(0.5) | Evaluations(7))
    assert len(study.trials) == 7


def test_time_ends_a_run_and_so_does_a_callback() -> None:
    study = random()
    assert study.run(lambda trial: time.sleep(0.02) or 0.0, seconds=0.1) == "0.1 seconds have passed"
    assert 1 <= len(study.trials) <= 6
    assert study.run(lambda trial: time.sleep(0.02) or 0.0, until=Seconds(0.05)) == "0.05 seconds have passed"
    seen: list[int] = []

    def enough(study: Study, record: Any) -> None:
        seen.append(record.number)
        if record.number == before + 2:
            study.stop()

    before = len(study.trials)
    assert study.run(x, callbacks=[enough]) == "stop() was called"
    assert seen == [before, before + 1, before + 2]
    assert study.run(x, trials=1) == "1 trials were made"  # it is over with that run


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"trials": -1}, "trials is a whole number >= 0, got -1"),
        ({"trials": 2.5}, "trials is a whole number"),
        ({"seconds": 0}, "seconds is a number > 0, got seconds=0"),
        ({"until": 100}, "until is a stopping rule, got 100"),
        ({"catch": "all"}, "catch is True, False, an exception or a tuple of them"),
        ({"time_limit": math.inf}, "time_limit is a number > 0"),
        ({"time_limit": 1, "executor": Threads(2)}, "only another process can be ended"),
    ],
)
def test_what_cannot_mean_anything_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        random().run(x, **given)
    with pytest.raises(InvalidValue, match="an objective is a function of a trial, got 3"):
        random().run(3)


# Failures


def fails(trial: Trial) -> float:
    if trial.number == 1:
        raise KeyError("depth")
    return math.nan if trial.number == 2 else trial["x"]


def test_exceptions_are_recorded_with_their_traceback() -> None:
    study = random()
    study.run(fails, trials=4)
    assert [record.state for record in study.trials] == ["done", "failed", "failed", "done"]
    error = study.record(1).error or ""
    assert error.startswith("Traceback (most recent call last):")
    assert error.endswith("KeyError: 'depth'")
    assert 'raise KeyError("depth")' in error
    assert "src/descend" not in error
    assert study.record(2).error == "the objective returned nan"
    assert math.isnan(study.record(2).value)


@pytest.mark.parametrize(("catch", "trials"), [(False, 2), (ValueError, 2), (KeyError, 4), ((KeyError, OSError), 4)])
def test_what_is_not_caught_ends_the_run_once_it_is_recorded(catch: Any, trials: int) -> None:
    study = random()
    if trials == 2:
        with pytest.raises(KeyError):
            study.run(fails, trials=4, catch=catch)
    else:
        study.run(fails, trials=4, catch=catch)
    assert len(study.trials) == trials
    assert study.record(1).state == "failed"


def test_a_mistake_in_the_question_is_no_bad_point() -> None:
    study = Study(method=Uniform())
    with pytest.raises(InvalidValue, match="low < high"):
        study.run(lambda trial: trial.float("x", 1, 0), trials=4)
    assert study.record(0).state == "failed"


def test_a_study_whose_first_ten_trials_fail_is_given_up() -> None:
    study = random()
    with pytest.raises(EvaluationFailed, match=r"(?s)the first 10 trials all failed, the last one with.*0x7"):
        study.run(lambda trial: int("0x7"), trials=30)
    assert len(study.trials) == 10
    study.run(lambda trial: int("0x7"), trials=2)  # who insists


def test_an_interrupt_gives_the_trial_back(tmp_path: Path) -> None:
    def f(trial: Trial) -> float:
        if trial.number == 2 and trial.attempts == 1 and not interrupted:
            interrupted.append(trial.params)
            raise KeyboardInterrupt
        return trial["x"]

    interrupted: list[Any] = []
    with random(tmp_path / "s.db") as study:
        with pytest.raises(KeyboardInterrupt):
            study.run(f, trials=5)
        assert study.record(2).state == "queued"
    with random(tmp_path / "s.db") as study:
        study.run(f, trials=3)
        assert [record.state for record in study.trials] == ["done"] * 5
        assert study.record(2).params == interrupted[0]
    whole = random()
    whole.run(x, trials=5)
    with random(tmp_path / "s.db") as study:
        assert [r.values for r in study.trials] == [r.values for r in whole.trials]


def test_an_answer_that_cannot_be_written_is_told_again() -> None:
    class Full:
        told = 0

        def tell(self, *answer: Any) -> None:
            self.told += 1
            if self.told < 4:
                raise StoreFailed("the disk is full")

    pauses: list[float] = []
    session, trial = Full(), random().ask()
    assert finish(session, trial, Outcome("done", (1.0,)), pauses.append)  # type: ignore[arg-type]
    assert (session.told, pauses) == (4, [0.1, 0.2, 0.4])
    session.told = -100
    with pytest.raises(StoreFailed, match="disk is full"):
        finish(session, trial, Outcome("done", (1.0,)), pauses.append)  # type: ignore[arg-type]


# Pruning


class Third:
    """Gives up every third trial at its second step, and notes what it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, list[float], int]] = []

    def __call__(self, number: int, reports: Any, key: Any) -> bool:
        curve = reports.curve(number)
        self.seen.append((number, curve.values[:, 0].tolist(), key.seed))
        return number % 3 == 2 and len(curve.steps) == 2


@pytest.mark.parametrize("ends", ["raises", "returns nothing", "returns what there is"])
def test_a_pruned_trial_has_the_value_that_it_reported_last(ends: str) -> None:
    def f(trial: Trial) -> float | None:
        for step in range(4):
            trial.report(step, trial["x"] + step)
            if trial.should_stop():
                if ends == "raises":
                    raise Pruned
                return None if ends == "returns nothing" else trial["x"] + step
        return trial["x"]

    pruner = Third()
    study = random(directions="maximize", pruner=pruner, key=9)
    study.run(f, trials=6)
    assert [record.state for record in study.trials] == ["done", "done", "pruned"] * 2
    pruned = study.record(2)
    assert pruned.value == pruned.params["x"] + 1
    assert pruned.reports == {0: pruned.params["x"], 1: pruned.params["x"] + 1}
    assert study.best.state == "done"
    # pruners see what is minimized, all of it, and the key of the study
    assert pruner.seen[0] == (0, [-study.record(0).params["x"]], 9)
    assert study.reports.done == 4


def test_reports_are_checked() -> None:
    trial = random(directions=("minimize", "minimize")).ask()
    for step, value, sentence in [(-1, (1, 2), "a step is"), (1.5, (1, 2), "a step is"), (0, 1.0, "2 objectives")]:
        with pytest.raises(InvalidValue, match=sentence):
            trial.report(step, value)  # type: ignore[arg-type]


# Where it runs


def test_torch_is_seeded_by_the_number_of_the_trial_and_left_alone() -> None:
    before = torch.get_rng_state()
    runs = []
    for _ in range(2):
        study = random()
        study.run(lambda trial: float(torch.rand(())), trials=3)
        runs.append([record.value for record in study.trials])
    assert runs[0] == runs[1]
    assert len({*runs[0]}) == 3
    assert torch.equal(torch.get_rng_state(), before)


def test_threads_share_a_study() -> None:
    together = threading.Barrier(3, timeout=20)

    def f(trial: Trial) -> float:
        together.wait()
        return trial["x"]

    study = random()
    with Threads(3) as executor:
        study.run(f, trials=12, executor=executor)
    assert sorted(record.number for record in study.trials) == list(range(12))
    alone = random()
    alone.run(x, trials=12)
    assert [r.values for r in alone.trials] == [r.values for r in study.trials]


def test_batches_are_the_same_in_threads() -> None:
    points = []
    for executor in (None, Threads(2), Threads(4)):
        study = Study(space=SPACE, method=CMAES(), batch=4)
        study.run(
            lambda trial: time.sleep(0.001 * (trial.number % 3)) or (trial["x"] - 0.3) ** 2, 24, executor=executor
        )
        points.append([record.params for record in study.trials])
    assert points[0] == points[1] == points[2]


def test_a_line_is_shown_to_who_wants_one(capsys: pytest.CaptureFixture[str]) -> None:
    random().run(lambda trial: time.sleep(0.1) or trial["x"], trials=12, progress=True)
    assert "of 12 evaluations" in capsys.readouterr().err


def test_nothing_is_shown_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        random().run(fails, trials=5)
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
