"""What is best where values are noisy, and when there is little left to gain."""

import math
from typing import Any

import pytest
import torch

from descend.direct.filling import Sobol, Uniform
from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.run.loop import minimize
from descend.run.until import Evaluations
from descend.space import Choice, Float, Space, When
from descend.study import Study, Trial
from descend.study.choosing import history_of
from descend.study.regret import Regret, regret_bound

SQUARE = Space(x=Float(-5, 10), y=Float(0, 15))


def branin(trial: Trial) -> float:
    x, y = trial["x"], trial["y"]
    hollow = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return hollow**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.397887


def noise(number: int) -> float:
    return 5 * float(Key(7).fold(number).normal(1, like=torch.zeros(1, dtype=torch.float64)))


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_what_is_recommended_is_not_the_luckiest_trial(direction: str) -> None:
    sign = 1 if direction == "minimize" else -1
    lucky = trusted = visited = 0.0
    for seed in range(3):
        study = Study(space=SQUARE, method=Sobol(), key=seed, directions=direction)
        truth: list[float] = []

        def f(trial: Trial, truth: list[float] = truth, seed: int = seed) -> float:
            truth.append(branin(trial))
            return sign * (truth[-1] + noise(1000 * seed + trial.number))

        study.run(f, trials=80)
        found = study.recommended()
        lucky += truth[study.best.number]
        trusted += truth[found.record.number]
        visited += min(truth)
        assert found.low < found.mean < found.high
        assert found.low - 3 < sign * truth[found.record.number] < found.high + 3
    assert visited < trusted < 0.95 * lucky


def test_where_there_is_no_noise_the_best_trial_is_recommended() -> None:
    study = Study(space=SQUARE, method=Sobol())
    study.run(branin, trials=40)
    assert study.recommended().record == study.best


def test_before_anything_is_known_of_the_space_the_best_trial_is_recommended() -> None:
    study = Study(method=Uniform())
    study.add({"x": 0.5}, 2.0)
    found = study.recommended()
    assert (found.record.number, found.mean) == (0, 2.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_pruned_trials_are_not_recommended() -> None:
    study = Study(space=SQUARE, method=Sobol())

    def f(trial: Trial) -> float | None:
        trial.report(0, branin(trial) - (1000 if trial.number % 2 else 0))
        if trial.number % 2:
            trial.stopped = True
            return None
        return branin(trial)

    study.run(f, trials=30)
    assert study.record(1).state == "pruned"
    assert study.record(1).value < -500
    assert study.recommended().record.state == "done"
    assert study.best.state == "done"


def test_nothing_is_best_where_nothing_is_done() -> None:
    for study in (Study(method=Uniform()), Study(space=SQUARE, method=Uniform())):
        for act in (lambda study=study: study.best, study.recommended):
            with pytest.raises(InvalidValue, match="no trial is done, so there is no best one; run the study first"):
                act()


def test_a_study_ends_when_its_regret_is_bounded_and_the_bound_is_one() -> None:
    space = Space(x=Float(0, 1), k=Choice("a", "b"), d=When("k", "b", Float(0, 1)))

    def f(trial: Trial) -> float:
        return (trial["x"] - 0.3) ** 2 + (0.5 + trial["d"] if trial["k"] == "b" else 0.0)

    study = Study(space=space, method=Uniform())
    reason = study.run(f, until=Regret(0.02) | Evaluations(200))
    assert reason.startswith("the best trial is within")
    assert 20 <= len(study.trials) < 200
    assert len(study.trials) % 5 == 0
    assert study.best.value <= 0.02  # the least value is 0
    early = Study(space=space, method=Uniform())
    early.run(f, trials=8)
    history = history_of(early.session.mirror, early.settings, early.session.engine)
    assert history is not None
    assert early.best.value <= regret_bound(history)


@pytest.mark.parametrize("arguments", [(0,), (math.nan,), (True,), (1, 1), (1, 20, 0)])
def test_a_rule_that_cannot_mean_anything_is_refused(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidValue, match="Regret needs a"):
        Regret(*arguments)


def test_the_rule_belongs_to_studies() -> None:
    with pytest.raises(CompositionError, match=r"write study\.run"):
        minimize(lambda x: float(x @ x), [1.0, 2.0], until=Regret(0.1, least=2) | Evaluations(100))
