"""Pruners where they work: in studies of one and of several objectives, in files that are opened again."""

from pathlib import Path

import pytest

from descend.direct import Uniform
from descend.study import Study, Trial
from descend.study.pruners import (
    HyperbandPruner,
    MedianPruner,
    PatientPruner,
    PercentilePruner,
    Pruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)

PRUNERS: tuple[Pruner, ...] = (
    MedianPruner(startup=3, warmup=2),
    PercentilePruner(30.0, startup=3),
    SuccessiveHalvingPruner(factor=2),
    HyperbandPruner(last=9),
    PatientPruner(MedianPruner(startup=3), 1, 0.0),
    ThresholdPruner(upper=6.0),
    WilcoxonPruner(0.2),
)


def named(part: object) -> str:
    return type(part).__name__


def curve(trial: Trial) -> float:
    """A run of nine steps that approaches x^2, and rises again where x is large."""
    x = trial.float("x", -2, 2)
    for step in range(1, 10):
        trial.report(step, rising(x, step))
        if trial.should_stop():
            break
    return x * x


def rising(x: float, step: int) -> float:
    return x * x + 4 / step + 0.2 * x * x * step


@pytest.mark.parametrize("pruner", PRUNERS, ids=named)
def test_a_study_prunes_as_if_it_had_not_been_interrupted(pruner: Pruner, tmp_path: Path) -> None:
    whole = Study(method=Uniform(), key=1, pruner=pruner)
    whole.run(curve, trials=30)
    path = tmp_path / "study.db"
    for part in range(3):
        # the file knows its pruner
        given = {"method": Uniform(), "key": 1, "pruner": pruner} if part == 0 else {}
        with Study(path, **given) as study:
            study.run(curve, trials=10)
    with Study(path, readonly=True) as study:
        one, two = ([(r.state, r.params, r.values, r.reports) for r in s.trials] for s in (study, whole))
    assert one == two
    assert {state for state, *_ in one} == {"done", "pruned"}
    assert whole.best.params["x"] == min((r.params["x"] for r in whole.trials), key=abs)


@pytest.mark.parametrize("pruner", PRUNERS, ids=named)
def test_what_is_maximized_is_pruned_when_it_is_small(pruner: Pruner) -> None:
    study = Study(method=Uniform(), key=2, directions="maximize", pruner=pruner)
    if isinstance(pruner, ThresholdPruner):
        study = Study(method=Uniform(), key=2, directions="maximize", pruner=ThresholdPruner(lower=-6.0))
    mirrored = Study(method=Uniform(), key=2, pruner=pruner)
    study.run(up, trials=25)
    mirrored.run(curve, trials=25)
    assert [r.state for r in study.trials] == [r.state for r in mirrored.trials]
    assert [r.value for r in study.trials] == [-r.value for r in mirrored.trials]


def up(trial: Trial) -> float:
    x = trial.float("x", -2, 2)
    for step in range(1, 10):
        trial.report(step, -rising(x, step))
        if trial.should_stop():
            break
    return -x * x


@pytest.mark.parametrize("pruner", [MedianPruner(startup=5), SuccessiveHalvingPruner(4, 2)], ids=named)
def test_with_two_objectives_the_front_is_left(pruner: Pruner) -> None:
    """A loss that falls and an accuracy that rises along the curve, and a parameter z that is bad for both."""

    def two(trial: Trial) -> tuple[float, float]:
        x, z = trial.float("x", 0, 1), trial.float("z", 0, 1)
        for step in range(1, 10):
            trial.report(step, (x + z + 1 / step, x - z - 1 / step))
            if trial.should_stop():
                break
        return x + z, x - z

    every = Study(method=Uniform(), key=3, directions=("minimize", "maximize"))
    every.run(two, trials=60)
    pruned = Study(method=Uniform(), key=3, directions=("minimize", "maximize"), pruner=pruner)
    pruned.run(two, trials=60)
    ended = [record.state == "pruned" for record in pruned.trials]
    assert 15 < sum(ended) < 55
    z = [record.params["z"] for record in pruned.trials]
    bad, good = ([each for each, end in zip(z, ended, strict=True) if end is which] for which in (True, False))
    assert sum(bad) / len(bad) > sum(good) / len(good) + 0.2
    front = {record.number for record in every.front}
    kept = len(front & {record.number for record in pruned.front}) / len(front)
    assert kept > 1 - sum(ended) / 60 + 0.2  # by lot it would be the share of all
