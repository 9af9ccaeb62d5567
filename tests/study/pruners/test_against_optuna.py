"""Where a rule is the same as Optuna's, so is every decision on random tables; where it is not, it is said why."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
import scipy.stats

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from tables import Table, asked, optuna_says, random_table

from descend.key import Key
from descend.study.pruners import (
    MedianPruner,
    PatientPruner,
    PercentilePruner,
    Pruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)
from descend.study.pruners.wilcoxon import signed_rank

theirs = optuna.pruners

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SAME: dict[str, tuple[Pruner, Callable[[], theirs.BasePruner]]] = {
    "median": (MedianPruner(startup=2), lambda: theirs.MedianPruner(n_startup_trials=2)),
    "median, by default": (MedianPruner(), theirs.MedianPruner),
    "percentile 12.5": (PercentilePruner(12.5, startup=0), lambda: theirs.PercentilePruner(12.5, n_startup_trials=0)),
    "percentile 75, late and seldom": (
        PercentilePruner(75.0, startup=1, warmup=2, interval=2),
        lambda: theirs.PercentilePruner(75.0, n_startup_trials=1, n_warmup_steps=2, interval_steps=2),
    ),
    "patient": (PatientPruner(None, 1), lambda: theirs.PatientPruner(None, 1)),
    "patient, with a tolerance": (PatientPruner(None, 0, 0.3), lambda: theirs.PatientPruner(None, 0, 0.3)),
    "patient median": (
        PatientPruner(MedianPruner(startup=1), 1),
        lambda: theirs.PatientPruner(theirs.MedianPruner(n_startup_trials=1), 1),
    ),
    "threshold": (ThresholdPruner(-1.0, 1.0), lambda: theirs.ThresholdPruner(-1.0, 1.0)),
    "threshold, late": (
        ThresholdPruner(upper=0.5, warmup=2, interval=2),
        lambda: theirs.ThresholdPruner(None, 0.5, 2, 2),
    ),
}


@pytest.mark.parametrize("name", SAME)
@pytest.mark.parametrize("failures", [0.0, 0.2], ids=["finite", "some NaN"])
def test_every_decision_is_optunas(name: str, failures: float) -> None:
    ours, other = SAME[name]
    decisions = []
    for seed in range(80):
        table = random_table(seed, trials=3 + seed % 12, failures=failures)
        decisions.append(ours(table.own, asked(table), Key(0)))
        assert decisions[-1] == optuna_says(other(), table), (seed, table)
    assert 0 < sum(decisions) < len(decisions)  # the tables can tell


def test_failures_of_others_are_no_reports_to_compare_with() -> None:
    """Optuna counts a NaN as one of the `n_min_trials`, and then leaves it out of the percentile."""
    table = Table([{0: 1.0}, {0: float("nan")}, {0: 2.0}], ["done", "done", "running"], [1.0, 1.0, 0.0], False)
    reports = asked(table)
    assert not PercentilePruner(50.0, startup=0, least=2)(2, reports, Key(0))
    assert PercentilePruner(50.0, startup=0, least=1)(2, reports, Key(0))
    other = theirs.PercentilePruner(50.0, n_startup_trials=0, n_min_trials=2)
    assert optuna_says(other, table)
    ours = PercentilePruner(50.0, startup=0, least=2)
    for seed in range(50):
        table = random_table(seed)
        assert ours(table.own, asked(table), Key(0)) == optuna_says(other, table)


def _live(table: Table, ours: Pruner, other: theirs.BasePruner) -> list[bool]:
    """Whether both decide alike, asked after every report of every trial: Optuna's successive halving remembers."""
    study = optuna.create_study(direction="maximize" if table.maximize else "minimize", pruner=other)
    seen, alike = Table([], [], [], table.maximize), []
    for curve, result in zip(table.curves, table.results, strict=True):
        trial, so_far, stop = study.ask(), {}, False
        for step, value in curve.items():
            so_far[step] = value
            now = Table([*seen.curves, so_far], [*seen.states, "running"], [*seen.results, 0.0], table.maximize)
            trial.report(value, step)
            stop = trial.should_prune()
            alike.append((ours(now.own, asked(now), Key(0)), stop))
            if stop:
                break
        state = optuna.trial.TrialState.PRUNED if stop else optuna.trial.TrialState.COMPLETE
        study.tell(trial, None if stop else result, state=state)
        seen = Table(
            [*seen.curves, so_far],
            [*seen.states, "pruned" if stop else "done"],
            [*seen.results, result],
            table.maximize,
        )
    assert {one for one, _ in alike} == {True, False}
    return [one == two for one, two in alike]


@pytest.mark.parametrize(
    ("ours", "other"),
    [
        (SuccessiveHalvingPruner(), theirs.SuccessiveHalvingPruner(min_resource=1)),
        (SuccessiveHalvingPruner(factor=2), theirs.SuccessiveHalvingPruner(1, 2)),
        (SuccessiveHalvingPruner(2, 3, 0, 2), theirs.SuccessiveHalvingPruner(2, 3, 0, 2)),
        (SuccessiveHalvingPruner(1, 2, 1), theirs.SuccessiveHalvingPruner(1, 2, 1)),
    ],
)
def test_successive_halving_is_optunas(ours: Pruner, other: theirs.BasePruner) -> None:
    for seed in range(6):
        assert all(_live(random_table(seed, trials=25, steps=12, gaps=0.0), ours, other))


def test_a_report_beyond_two_rungs_counts_at_both() -> None:
    """Optuna forgets, at the second rung, who was stopped at the first, though what it had reached is known."""
    curves = [{1: 0.0}, {2: 1.0}, {2: 2.0}]
    table = Table(curves, ["done", "running", "running"], [0.0] * 3, False)
    numbers, values = asked(table).reached(2)
    assert (numbers.tolist(), values.tolist()) == ([1, 2], [[1.0], [2.0]])
    assert SuccessiveHalvingPruner(2, 2)(2, asked(table), Key(0))


def test_a_failure_at_a_rung_has_been_there() -> None:
    """Optuna forgets it: of four that came to the rung, two of them failing, it lets both others go on."""
    nan = float("nan")
    table = Table([{1: nan}, {1: nan}, {1: 1.0}, {1: 2.0}], ["pruned"] * 2 + ["done"] + ["running"], [0.0] * 4, False)
    reports = asked(table)
    assert SuccessiveHalvingPruner(factor=2)(0, reports, Key(0))
    assert not SuccessiveHalvingPruner(factor=2)(3, reports, Key(0))  # the best two of four
    assert SuccessiveHalvingPruner(factor=4)(3, reports, Key(0))
    assert optuna_says(theirs.SuccessiveHalvingPruner(1, 2), table) is False


def test_wilcoxon_is_optunas_where_its_test_is_exact() -> None:
    decisions = []
    for seed in range(150):
        table = random_table(seed, trials=4, steps=12)
        reports = asked(table)
        best = reports.results()[0]
        decisions.append(WilcoxonPruner(0.2)(table.own, reports, Key(0)))
        if not len(best):
            assert not decisions[-1]
            continue
        rival = int(best[reports.results()[1][:, 0].argmin()])
        own, other = table.curves[-1], table.curves[rival]
        common = [step for step in own if step in other]
        sign = -1.0 if table.maximize else 1.0
        # Optuna compares the means over all steps that either has: a trial that has met the hard instances only looks
        # worse than it is, and the other way round
        fair = len(common) < 2 or (
            (sum(own[s] - other[s] for s in common) * sign > 0)
            == ((np.mean(list(own.values())) - np.mean(list(other.values()))) * sign > 0)
        )
        if fair:
            assert decisions[-1] == optuna_says(theirs.WilcoxonPruner(p_threshold=0.2), table), (seed, table)
    assert 5 < sum(decisions) < 145


def test_the_signed_rank_test_is_scipys() -> None:
    random = np.random.default_rng(0)
    for n in (1, 2, 5, 12, 40):
        d = random.normal(0.3, 1, n)
        assert signed_rank(d) == pytest.approx(scipy.stats.wilcoxon(d, alternative="greater").pvalue, abs=1e-12)
    for n in (2, 4, 7, 10):  # ties and zeros: SciPy goes through all signs
        for _ in range(4):
            d = random.integers(-2, 4, n).astype(float)
            d[0] = 1.0  # where all are zero SciPy divides by their number
            p = scipy.stats.wilcoxon(d, alternative="greater", zero_method="zsplit").pvalue
            assert signed_rank(d) == pytest.approx(p, abs=1e-12), d
    d = random.normal(0.1, 1, 200)
    assert signed_rank(d) == pytest.approx(scipy.stats.wilcoxon(d, alternative="greater", correction=True).pvalue)


def test_signed_ranks_with_ties_beyond_a_dozen_are_exact_too() -> None:
    """The coins thrown: the normal approximation, which SciPy takes here, is off by more than the sampling error."""
    random = np.random.default_rng(1)
    d = np.array([1.0] * 12 + [-1.0] * 4 + [0.0] * 4)
    size = np.abs(d)
    rank = scipy.stats.rankdata(size)
    thrown = (random.integers(0, 2, (200_000, len(d))) * 2 - 1) * size
    seen = (rank * (d > 0)).sum()
    chance = ((rank * (thrown > 0)).sum(1) >= seen - 1e-9).mean()
    assert signed_rank(d) == pytest.approx(chance, abs=0.002)  # 4 standard errors; the approximation is 0.0123 off
    approximate = scipy.stats.wilcoxon(d, alternative="greater", zero_method="zsplit").pvalue
    assert abs(approximate - chance) > 0.003
    assert signed_rank(np.zeros(5)) == 1.0
    assert signed_rank(np.zeros(80)) == 1.0
