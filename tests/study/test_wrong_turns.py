"""What users of studies get wrong, and what others have written: a sentence each, or what was meant."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from descend.direct.filling import Uniform
from descend.errors import DescendError, InvalidValue, StateMismatch
from descend.space import Choice, Float, Int, Space, When
from descend.study import Study

SPACE = Space(x=Float(0, 1), kind=Choice("a", "b"), d=When("kind", "b", Int(1, 3)))


def random(path: Any = None, **given: Any) -> Study:
    return Study(path, method=Uniform(), **given)


def test_a_trial_says_as_much_of_constraints_as_the_study_has() -> None:
    with pytest.raises(InvalidValue, match="has 0 constraints, and the trial says something of 1; begin it with const"):
        Study(space=SPACE).ask().constraint(1.0)
    with pytest.raises(InvalidValue, match="has 1 constraints, and the trial says something of 2"):
        Study(space=SPACE, constraints=1).ask().constraint(1.0, 0.0)


def test_what_breaks_a_constraint_is_not_the_best_even_where_none_was_announced() -> None:
    study = random(space=SPACE)
    for loss, violation in ((1.0, 0.5), (2.0, -1.0)):
        trial = study.ask()
        trial.violations = (violation,)  # as another program might have written it
        study.tell(trial, loss)
    assert study.best.number == 1


def test_a_wrong_answer_later_on_does_not_end_the_night() -> None:
    study = random(space=SPACE)
    study.run(lambda trial: None if trial.number in (2, 4) else 1.0, trials=6)
    assert [trial.state for trial in study.trials] == ["done", "done", "failed", "done", "failed", "done"]
    assert "returned None" in str(study.trials[2].error)
    with pytest.raises(DescendError):  # at first it is a mistake
        random(space=SPACE).run(lambda trial: None, trials=6)
    with pytest.raises(DescendError):
        random(space=SPACE).run(lambda trial: None if trial.number else 1.0, trials=6, catch=False)


def test_values_are_taken_over_from_a_study_of_the_same_directions_only() -> None:
    less, more = random(space=SPACE), random(space=SPACE, directions="maximize")
    less.run(lambda trial: 1.0, trials=3)
    with pytest.raises(StateMismatch, match="are those of minimize, and this study is to maximize; leave out values"):
        more.warm_start(less, values=True)
    assert more.warm_start(less) == 3


def test_bounds_that_are_the_same_are_a_constant() -> None:
    study = random()
    found = []
    study.run(
        lambda trial: found.append((trial.float("a", 1, 1), trial.int("b", 3, 3), trial.float("x", 0, 1))) or 0.0, 3
    )
    assert [(type(a), a, type(b), b) for a, b, _ in found] == [(float, 1.0, int, 3)] * 3
    assert study.best.params["a"] == 1.0


def test_a_queued_value_that_does_not_fit_is_no_other_value() -> None:
    study = random()
    study.run(lambda trial: trial.float("x", 0, 1), trials=1)
    study.enqueue({"x": 7})
    study.run(lambda trial: trial.float("x", 0, 1), trials=2)
    assert [trial.state for trial in study.trials] == ["done", "failed", "done"]
    assert r"x must lie in [0.0, 1.0], got 7, with which the trial was queued" in str(study.trials[1].error)
    trial = study.ask({"x": -1})
    with pytest.raises(InvalidValue, match=r"x must lie in \[0.0, 1.0\], got -1, with which"):
        trial.float("x", 0, 1)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"pruner": 3}, r"pruner=3 gives no trial up; write pruner=MedianPruner\(\)"),
        ({"name": ""}, "the name of a study is a text, got ''"),
        ({"name": 3}, "the name of a study is a text, got 3"),
        ({"durability": "x"}, "durability is 'x'; write"),
        ({"path": 3}, "path=3 is no file"),
        ({"path": ""}, "path='' is no file"),
    ],
)
def test_arguments_of_another_kind_are_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        Study(**given)


def test_an_executor_is_one() -> None:
    with pytest.raises(InvalidValue, match=r"executor=4 evaluates no trials; write Processes\(4\)"):
        random(space=SPACE).run(lambda trial: 1.0, trials=1, executor=4)


def test_of_few_trials_nothing_is_known_of_the_noise() -> None:
    study = random(space=SPACE)
    study.run(lambda trial: trial["x"] ** 2, trials=2)
    found = study.recommended()
    assert found.mean == study.best.value
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_exports_have_what_the_user_has_set(tmp_path: Path) -> None:
    study = random()
    trial = study.ask()
    trial.float("x", 0, 1)
    trial.set("note", {"a": [1]})
    study.tell(trial, 1.0)
    study.export(tmp_path / "t.json")
    (row,) = json.loads((tmp_path / "t.json").read_text())
    assert row["attributes"] == {"note": {"a": [1]}}
    study.export(tmp_path / "t.csv")
    assert "definitions" not in (tmp_path / "t.csv").read_text()
