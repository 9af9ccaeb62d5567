"""Stopping rules by hand-made progress: when they stop, what they say, and how they combine."""

import math
from typing import Any

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue
from descend.run.until import (
    Evaluations,
    NoImprovement,
    Plateau,
    Progress,
    Rejections,
    Seconds,
    StepNorm,
    Steps,
    Target,
    Until,
)


def at(steps: int, *, best: float = 1.0, moved: float = 1.0, refused: bool = False) -> Progress:
    """A step whose other numbers follow from how many were made."""
    here = torch.zeros(2)
    there = here if moved == 0 else torch.tensor([0.6, 0.8]) * moved
    return Progress(
        steps, 10 * steps, 0.5 * steps, best, best, best, 0, refused, there, here, lambda x: x.numpy()
    )  # fmt: skip


def stops_at(rule: Until, run: list[Progress]) -> int:
    """After which step the rule stops a run, 0 if never."""
    memory = rule.init()
    for progress in run:
        reason, memory = rule(progress, memory)
        if reason:
            return progress.steps
    return 0


STILL = [at(i, moved=0.0) for i in range(1, 30)]
RUN = [at(i, best=1 / i, moved=1 / i) for i in range(1, 30)]


@pytest.mark.parametrize(
    ("rule", "run", "stop"),
    [
        (Steps(7), RUN, 7),
        (Evaluations(70), RUN, 7),
        (Evaluations(71), RUN, 8),
        (Seconds(3.5), RUN, 7),
        (Target(0.1), RUN, 10),
        (Target(-1.0), RUN, 0),
        (StepNorm(0.101, steps=3), RUN, 12),
        (StepNorm(0.0), RUN, 0),
        (StepNorm(0.0), STILL, 5),
        (StepNorm(0.0, steps=2), [at(1, moved=0), at(2), at(3, moved=0), at(4, moved=0)], 4),
        (StepNorm(0.0, steps=2), [at(1, moved=0), at(2, moved=0, refused=True), at(3, moved=0)], 3),
        (NoImprovement(4), RUN, 0),
        (NoImprovement(4), STILL, 5),
        (NoImprovement(4, tol=0.5), RUN, 7),  # 1/3 is the last to be better by more than 0.5
        (NoImprovement(4, tol=0.1), RUN, 9),  # 1, 1/2, 1/3, 1/5 count
        (NoImprovement(3), [at(i, best=math.nan) for i in range(1, 9)], 3),
        (NoImprovement(3), [at(i, best=math.nan if i < 3 else 1.0) for i in range(1, 9)], 6),
        (NoImprovement(3), [at(i, refused=i % 2 == 0) for i in range(1, 9)], 7),
        (Rejections(3), [at(i, refused=i != 4) for i in range(1, 9)], 3),
        (Rejections(4), [at(i, refused=i != 4) for i in range(1, 9)], 8),
        (Steps(7) | Target(0.2), RUN, 5),
        (Target(0.1) | Steps(7), RUN, 7),
        (Steps(7) & Target(0.2), RUN, 7),
        (Target(0.1) & Steps(7), RUN, 10),
        (Steps(2) & (Target(0.1) | Steps(5)), RUN, 5),
        (StepNorm(0.0) & Steps(8), STILL, 8),
        (NoImprovement(2) | StepNorm(0.0), STILL, 3),
    ],
    ids=lambda value: repr(value)[:60] if isinstance(value, Until) else "",
)
def test_a_rule_stops_at_the_step_it_names(rule: Until, run: list[Progress], stop: int) -> None:
    assert stops_at(rule, run) == stop
    assert stops_at(rule, run) == stop  # a rule keeps nothing itself


def test_the_reason_is_that_of_the_rule_that_stopped() -> None:
    rule = Steps(3) | Target(0.5)
    assert rule(at(1, best=0.25), rule.init())[0] == "the loss 0.25 is at or below the target 0.5"
    both = Steps(3) & Target(0.5)
    assert both(at(3, best=0.5), both.init())[0] == (
        "3 steps were taken, and the loss 0.5 is at or below the target 0.5"
    )


@pytest.mark.parametrize(
    ("rule", "limit"),
    [
        (Evaluations(5), 5),
        (Evaluations(5) | Evaluations(3) | Steps(1), 3),
        (Steps(1) | Target(0), None),
        (Evaluations(5) & Evaluations(3), 5),
        (Evaluations(5) & Steps(3), None),
        ((Evaluations(5) & Steps(3)) | Evaluations(9), 9),
    ],
    ids=repr,
)
def test_the_limit_is_what_no_run_may_exceed(rule: Until, limit: int | None) -> None:
    assert rule.limit == limit


def test_rules_are_values() -> None:
    assert Steps(3) | Target(0.5) == Steps(3) | Target(0.5)
    assert len({Evaluations(3), Evaluations(3), Evaluations(4)}) == 2
    assert repr((Steps(3) | Target(0.5)) & Seconds(1)) == "(Steps(n=3) | Target(f=0.5)) & Seconds(n=1)"


def test_progress_measures_the_step_in_the_precision_of_the_point() -> None:
    assert at(1, moved=5.0).moved == pytest.approx(5.0)
    assert at(1, moved=0.0).moved == 0.0
    assert np.array_equal(at(1, moved=0.0).x, [0, 0])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Evaluations(0),
        lambda: Evaluations(1e3),  # type: ignore[arg-type]
        lambda: Evaluations(True),
        lambda: Steps(-1),
        lambda: Seconds(0),
        lambda: Seconds(math.nan),
        lambda: Seconds("60"),  # type: ignore[arg-type]
        lambda: Target(math.nan),
        lambda: Target(None),  # type: ignore[arg-type]
        lambda: StepNorm(-1.0),
        lambda: StepNorm(math.inf),
        lambda: StepNorm(0.0, steps=0),
        lambda: NoImprovement(0),
        lambda: NoImprovement(3, tol=-1.0),
        lambda: Rejections(0),
        lambda: Steps(3) | 100,  # type: ignore[operator]
        lambda: Steps(3) & None,  # type: ignore[operator]
    ],
)
def test_wrong_numbers_get_a_sentence(make: Any) -> None:
    with pytest.raises(InvalidValue, match=r"needs|is combined with"):
        make()


def test_a_plateau_is_so_many_evaluations_without_a_fall() -> None:
    rule = Plateau(100)
    memory = rule.init()
    told = []
    for steps, best in ((1, math.nan), (6, 5.0), (12, 5.0 - 1e-9), (15, 5.0), (16, 5.0)):  # 10 evaluations each
        reason, memory = rule(at(steps, best=best), memory)
        told.append(bool(reason))
    assert told == [False, False, False, False, True]
    reason, memory = rule(at(17, best=4.0), memory)
    assert not reason
    with pytest.raises(InvalidValue, match="Plateau needs a whole number evaluations >= 1, got 0"):
        Plateau(0)
