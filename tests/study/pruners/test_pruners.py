"""What Optuna cannot be compared with: several objectives, brackets, that pruning saves work and keeps the best."""

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.pareto.sorting import front
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
from descend.study.pruners.ranking import places
from descend.study.pruners.wilcoxon import signed_rank
from descend.study.reports import Reports


def told(rows: list[list[tuple[float, ...]]], done: int, signs: tuple[float, ...] = (1.0, 1.0)) -> Reports:
    """Trials that have reported these values at steps 0, 1, ..., of which the first are done."""
    reports = Reports(signs)
    for number, values in enumerate(rows):
        for step, row in enumerate(values):
            reports.report(number, step, row)
        if number < done:
            reports.close(number, "done", values[-1])
    return reports


# Reports


def test_reports_come_in_any_order_and_the_last_one_of_a_step_counts() -> None:
    reports = Reports()
    for step, value in [(5, 5.0), (1, 1.0), (3, 9.0), (3, 3.0)]:
        reports.report(7, step, [value])
    curve = reports.curve(7)
    assert (curve.steps.tolist(), curve.values[:, 0].tolist(), curve.state) == ([1, 3, 5], [1.0, 3.0, 5.0], "running")
    numbers, values = reports.reached(2)
    assert (numbers.tolist(), values.tolist()) == ([7], [[3.0]])
    assert reports.reached(6)[1].shape == (0, 1)
    assert reports.at(3).shape == (0, 1)  # it is not done
    reports.close(7, "done", [5.0])
    assert (reports.at(3).tolist(), reports.done) == ([[3.0]], 1)
    reports.close(7, "failed")
    assert (reports.at(3).tolist(), reports.done, len(reports.results()[0])) == ([], 0, 0)


def test_results_are_of_trials_that_are_done_finite_and_feasible() -> None:
    reports = Reports()
    reports.close(4, "done", [2.0])
    reports.close(1, "done", [float("nan")])
    reports.close(2, "pruned", [0.0])
    reports.close(3, "done", [1.0], feasible=False)
    reports.close(0, "done", [3.0])
    numbers, results = reports.results()
    assert (numbers.tolist(), results.tolist(), reports.done) == ([0, 4], [[3.0], [2.0]], 4)


def test_reports_refuse_what_cannot_be_one() -> None:
    with pytest.raises(ShapeMismatch, match="2 objectives, got 1 values"):
        Reports((1.0, 1.0)).report(0, 0, [1.0])
    for step in (-1, 0.5, True):
        with pytest.raises(InvalidValue, match=f"step is a whole number >= 0, got {step!r}"):
            Reports().report(0, step, [1.0])  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="signs are 1 or -1"):
        Reports((2.0,))


# Several objectives


def _several() -> Reports:
    """Five done trials on two fronts, of which the first has three, and four that run."""
    first = [(0.0, 4.0), (2.0, 2.0), (4.0, 0.0)]
    second = [(3.0, 4.0), (4.0, 3.0)]
    running = [(0.5, 3.9), (3.0, 3.0), (5.0, 5.0), (9.0, -1.0)]
    return told([[row] for row in [*first, *second, *running]], 5)


def test_a_trial_that_nobody_dominates_goes_on_and_one_behind_the_median_front_ends() -> None:
    decisions = [MedianPruner()(number, _several(), Key(0)) for number in (5, 6, 7, 8)]
    assert decisions == [False, True, True, False]
    # behind all of the front of the second, and the percentile of all is that second front
    assert [PercentilePruner(100.0)(number, _several(), Key(0)) for number in (6, 7)] == [False, True]


def test_stretching_an_objective_changes_no_decision() -> None:
    random = np.random.default_rng(0)
    pruners = [MedianPruner(), PercentilePruner(20.0)]
    seen = set()
    for _ in range(50):
        rows = [[tuple(row)] for row in random.normal(size=(12, 3))]
        bent = [[(np.exp(a), b**3, 5 * c) for a, b, c in row] for row in rows]
        for pruner in pruners:
            decision = pruner(11, told(rows, 10, (1.0,) * 3), Key(0))
            assert decision == pruner(11, told(bent, 10, (1.0,) * 3), Key(0))
            seen.add(decision)
    assert seen == {True, False}


@pytest.mark.parametrize("pruner", [MedianPruner(), PercentilePruner(25.0), SuccessiveHalvingPruner(factor=3)])
def test_the_same_objective_twice_is_one_objective(pruner: Pruner) -> None:
    """Wherever no two values are alike, and the percentile falls on one of them."""
    random, seen = np.random.default_rng(0), set()
    for _ in range(50):
        values = random.normal(size=(10, 2, 1))
        once = told([[(v,) for v in trial[:, 0]] for trial in values], 9, (1.0,))
        twice = told([[(v, v) for v in trial[:, 0]] for trial in values], 9)
        seen.add(pruner(9, once, Key(0)))
        assert pruner(9, once, Key(0)) == pruner(9, twice, Key(0))
    assert seen == {True, False}


def test_halving_keeps_its_share_where_nobody_dominates_anybody() -> None:
    line = [(i / 11, 1 - i / 11) for i in range(12)]
    kept = np.flatnonzero(places(np.array(line)) < 4)
    assert {0, 11} < set(kept)  # both ends
    assert np.diff(kept).max() <= 5  # and no large gap
    reports = told([[row, row] for row in line], 0)
    race = SuccessiveHalvingPruner(factor=3)
    assert [n for n in range(12) if not race(n, reports, Key(0))] == kept.tolist()
    worse = told([[row, row] for row in [*line, (0.6, 0.6)]], 0)
    assert race(12, worse, Key(0))  # the only one behind the front


def test_patience_with_two_objectives_ends_when_neither_improves() -> None:
    pruner = PatientPruner(None, 1)
    better_in_one = [(3.0, 3.0), (2.0, 4.0), (4.0, 2.5), (4.5, 2.0)]
    better_in_none = [(3.0, 3.0), (2.0, 2.0), (2.0, 2.5), (4.5, 2.0)]
    assert not pruner(0, told([better_in_one], 0), Key(0))
    assert pruner(0, told([better_in_none], 0), Key(0))
    assert not PatientPruner(None, 1, delta=0.6)(0, told([better_in_none], 0), Key(0))


def test_thresholds_are_in_the_users_sign_and_for_each_objective() -> None:
    reports = told([[(0.5, -0.9)]], 0, (1.0, -1.0))  # a loss of 0.5 and an accuracy of 0.9
    assert not ThresholdPruner((0.0, 0.85), (1.0, 1.0))(0, reports, Key(0))
    assert ThresholdPruner((0.0, 0.95), (1.0, 1.0))(0, reports, Key(0))
    assert ThresholdPruner(lower=0.6)(0, reports, Key(0))
    with pytest.raises(InvalidValue, match="for 2 objectives; write a number for each"):
        ThresholdPruner(lower=(0.0,))(0, reports, Key(0))
    assert ThresholdPruner(upper=1.0)(0, told([[(float("nan"),)]], 0, (1.0,)), Key(0))


def test_wilcoxon_with_two_objectives_needs_one_trial_that_is_better_in_both() -> None:
    folds = np.arange(10)[:, None] / 10
    good, other = folds + np.array([0.0, 1.0]), folds + np.array([1.0, 0.0])

    def decides(own: np.ndarray, p: float = 0.1) -> bool:
        rows = [[tuple(row) for row in trial] for trial in (good, other, own)]
        return WilcoxonPruner(p)(2, told(rows, 2), Key(0))

    assert decides(folds + np.array([1.1, 1.1]))
    assert decides(folds + np.array([0.1, 1.1]))  # behind the first in both
    assert not decides(folds + np.array([0.5, 0.5]))  # better than each of them in one
    few = [[tuple(row) for row in trial[:4]] for trial in (good, other, folds + np.array([1.1, 1.1]))]
    reports = told(few, 2)
    assert not WilcoxonPruner(0.1)(2, reports, Key(0))  # two rivals: 0.0625 is below 0.1, not below half of it
    assert WilcoxonPruner(0.126)(2, reports, Key(0))


def test_wilcoxon_with_two_objectives_goes_by_the_one_that_is_less_sure() -> None:
    folds = np.zeros((10, 2))
    own = folds + np.array([1.0, 0.0])
    own[:, 1] = [1.0, -1.0] * 4 + [2.0, -1.0]  # worse on the average, by luck
    rows = [[tuple(row) for row in trial] for trial in (folds, own)]
    assert own.mean(0).min() > 0
    assert not WilcoxonPruner(0.1)(1, told(rows, 1), Key(0))
    assert WilcoxonPruner(0.6)(1, told(rows, 1), Key(0))


def test_wilcoxon_keeps_a_trial_with_the_better_mean() -> None:
    """Often a little worse and once much better: the ranks say worse, and the mean is what will be compared."""
    best, own = [0.0] * 12, [0.1] * 11 + [-9.0]
    reports = told([[(v,) for v in best], [(v,) for v in own]], 1, (1.0,))
    assert signed_rank(np.array(own)) < 0.1
    assert not WilcoxonPruner(0.1)(1, reports, Key(0))


def test_who_has_passed_a_rung_is_not_asked_again_there() -> None:
    """While it goes on, better ones come to that rung; Optuna's marks do the same."""
    reports, race = Reports(), SuccessiveHalvingPruner(factor=4)
    reports.report(0, 1, [5.0])
    assert not race(0, reports, Key(0))
    for number in range(1, 9):
        reports.report(number, 1, [float(number) / 10])
    reports.report(0, 2, [5.0])
    assert not race(0, reports, Key(0))
    reports.report(0, 4, [5.0])
    assert not race(0, reports, Key(0))  # the only one at this rung


# Hyperband


def test_brackets_follow_from_key_and_number_in_the_proportions_of_hyperband() -> None:
    race = HyperbandPruner(last=27)
    shares = np.array(race.brackets)
    assert race.brackets == (27, 12, 6, 4)  # ceil(4 * 3^s / (s + 1)), s = 3 .. 0
    n = 4000
    counts = np.bincount([race.bracket(number, Key(3)) for number in range(n)], minlength=4)
    expected = n * shares / shares.sum()
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # chi-squared with 3 degrees, 1 in 1000
    same = [race.bracket(number, Key(3)) == race.bracket(number, Key(4)) for number in range(n)]
    assert 0.3 < np.mean(same) < 0.5  # another key, other brackets: alike by chance, sum of squared shares 0.386


def test_trials_compete_within_their_bracket_alone() -> None:
    race, key = HyperbandPruner(last=9), Key(0)
    by = {s: [n for n in range(60) if race.bracket(n, key) == s] for s in range(3)}
    low, high = by[0][:6], by[1][:6]
    reports = Reports()
    for rank, number in enumerate(low):
        reports.report(number, 1, [float(rank)])
    for rank, number in enumerate(high):
        reports.report(number, 1, [100.0 + rank])
    assert [race(number, reports, key) for number in low] == [False, False, True, True, True, True]
    assert not any(race(number, reports, key) for number in high)  # their first rung is at 3
    for rank, number in enumerate(high):
        reports.report(number, 3, [100.0 + rank])
    assert [race(number, reports, key) for number in high] == [False, False, True, True, True, True]


# The statistics: epochs are saved, and the best is kept

EPOCHS = 27


def curves(seed: int, arms: int, objectives: int) -> tuple[np.ndarray, np.ndarray]:
    """Values (arms, EPOCHS, m) that fall from 2 to what each arm is worth (arms, m), quickly or slowly, with noise."""
    random = np.random.default_rng(seed)
    worth = random.random((arms, objectives))
    rate = random.uniform(2, 6, (arms, 1, 1))
    shape = np.exp(-np.arange(EPOCHS)[None, :, None] / rate)
    return worth[:, None] + (2 - worth[:, None]) * shape + random.normal(0, 0.02, (arms, EPOCHS, objectives)), worth


def run(pruner: Pruner, values: np.ndarray, key: Key) -> tuple[int, list[int]]:
    """How many epochs were trained, and which arms to their end."""
    reports, epochs, ended = Reports((1.0,) * values.shape[2]), 0, []
    for number, curve in enumerate(values):
        for epoch, row in enumerate(curve):
            reports.report(number, epoch, row.tolist())
            epochs += 1
            if pruner(number, reports, key):
                reports.close(number, "pruned")
                break
        else:
            reports.close(number, "done", curve[-1].tolist())
            ended.append(number)
    return epochs, ended


@pytest.mark.parametrize(
    ("pruner", "share"),
    [
        (MedianPruner(warmup=3), 0.65),
        (PercentilePruner(25.0, warmup=6), 0.65),
        (SuccessiveHalvingPruner(first=3, factor=3), 0.4),
        (HyperbandPruner(first=3, last=EPOCHS), 0.55),
        (PatientPruner(MedianPruner(warmup=3), 2), 0.98),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, float) else "",
)
def test_epochs_are_saved_and_the_best_arm_is_kept(pruner: Pruner, share: float) -> None:
    arms, spent, lost, chance = 40, [], [], []
    for seed in range(12):
        values, worth = curves(seed, arms, 1)
        epochs, ended = run(pruner, values, Key(seed))
        spent.append(epochs / (arms * EPOCHS))
        lost.append(worth[ended].min() - worth.min())
        chance.append(1 / (1 + len(ended)) - worth.min())  # what as many arms chosen by lot are expected to lose
    assert np.mean(spent) < share
    assert np.mean(lost) < 0.03
    assert np.mean(lost) < np.mean(chance)


@pytest.mark.parametrize(
    ("pruner", "share"),
    [(MedianPruner(warmup=3), 0.85), (SuccessiveHalvingPruner(first=3, factor=3), 0.5)],
    ids=["median", "halving"],
)
def test_with_two_objectives_epochs_are_saved_and_the_front_is_kept(pruner: Pruner, share: float) -> None:
    spent, kept, likely = [], [], []
    for seed in range(12):
        values, worth = curves(seed, 60, 2)
        epochs, ended = run(pruner, values, Key(seed))
        best = front(torch.from_numpy(worth)).tolist()
        spent.append(epochs / (60 * EPOCHS))
        kept.append(np.mean([number in ended for number in best]))
        likely.append(len(ended) / 60)
    assert np.mean(spent) < share
    assert np.mean(kept) > np.mean(likely) + 0.3  # by lot the front would be kept in the proportion of all


def test_wilcoxon_saves_folds_and_keeps_the_best_arm() -> None:
    """Instances that differ much more than the arms do: only pairs can tell."""
    folds, lost = 0, 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        worth = random.random(30)
        values = worth[:, None] + random.normal(0, 3, (1, 20)) + random.normal(0, 0.2, (30, 20))
        epochs, ended = run(WilcoxonPruner(0.1), values[:, :, None], Key(0))
        folds, lost = folds + epochs, lost + (worth.argmin() not in ended)
    assert folds < 0.55 * 12 * 30 * 20
    assert lost <= 2


def test_a_false_alarm_of_wilcoxon_at_one_look_is_as_rare_as_its_level() -> None:
    random, pruned = np.random.default_rng(0), 0
    for _ in range(1000):
        values = random.normal(size=(2, 12, 1))
        pruned += WilcoxonPruner(0.1)(1, told([[tuple(row) for row in trial] for trial in values], 1, (1.0,)), Key(0))
    assert 60 < pruned < 130  # 100 at most, 4.5 standard errors, less what lies between the values that p can have


# Settings


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: PercentilePruner(101.0), r"percentile in \[0, 100\], got 101.0"),
        (lambda: PercentilePruner(float("nan")), "got nan"),
        (lambda: MedianPruner(startup=-1), "whole number startup >= 0, got -1"),
        (lambda: MedianPruner(interval=0), "whole number interval >= 1, got 0"),
        (lambda: SuccessiveHalvingPruner(factor=1), "whole number factor >= 2, got 1"),
        (lambda: SuccessiveHalvingPruner(first=0), "whole number first >= 1, got 0"),
        (lambda: HyperbandPruner(last=3, first=9), "first <= last, got first=9 and last=3"),
        (lambda: PatientPruner(None, -1), "whole number patience >= 0, got -1"),
        (lambda: PatientPruner(None, 1, -0.1), "delta >= 0, got -0.1"),
        (lambda: ThresholdPruner(), "would keep everything"),
        (lambda: ThresholdPruner(2.0, 1.0), "lower=2.0 and upper=1.0"),
        (lambda: ThresholdPruner("low"), "lower='low'"),  # type: ignore[arg-type]
        (lambda: WilcoxonPruner(1.0), r"level p in \(0, 1\), got 1.0"),
        (lambda: WilcoxonPruner(least=1), "whole number least >= 2, got 1"),
    ],
)
def test_a_wrong_setting_is_quoted(make, sentence) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        make()


def test_the_first_report_of_the_first_trial_is_kept_by_all() -> None:
    reports = Reports()
    for pruner in (MedianPruner(startup=0), SuccessiveHalvingPruner(), HyperbandPruner(last=9), WilcoxonPruner()):
        assert not pruner(0, reports, Key(0))  # none at all
    reports.report(0, 0, [1.0])
    for pruner in (MedianPruner(startup=0), SuccessiveHalvingPruner(), HyperbandPruner(last=9), WilcoxonPruner()):
        assert not pruner(0, reports, Key(0))
