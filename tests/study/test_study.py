"""Studies as their users have them: opening, asking, telling, queueing, and what is seen of them afterwards."""

import math
import sqlite3
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from descend.direct.filling import Uniform
from descend.errors import CompositionError, InvalidValue, ShapeMismatch, StateMismatch
from descend.key import Key
from descend.log import Row, Store
from descend.model.tpe import TPE
from descend.population.cma import CMAES
from descend.space import Choice, Float, Int, Space, When
from descend.study import STATES, FixedTrial, Pruned, Study, Trial
from descend.study.pruners import MedianPruner, PatientPruner

SPACE = Space(x=Float(0, 1), kind=Choice("a", "b"), d=When("kind", "b", Int(1, 3)))


def random(path: Any = None, **given: Any) -> Study:
    return Study(path, method=Uniform(), **given)


def x(trial: Trial) -> float:
    return trial.float("x", 0, 1)


# Opening


def test_a_study_is_opened_by_its_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with Study(path, space=SPACE, method=TPE(), key=7, directions="maximize", constraints=1, batch=2, repeats="avoid"):
        pass
    with Study(path) as study:
        s = study.settings
        assert (study.name, study.space, study.method, study.key) == ("study", SPACE, TPE(), Key(7))
        assert (study.directions, s.constraints, s.batch, s.repeats) == (("maximize",), 1, 2, "avoid")


def test_a_name_that_does_not_exist_lists_those_that_do(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    random(path, name="first").close()
    with Study(path) as only:
        assert only.name == "first"
    random(path, name="second").close()
    with pytest.raises(InvalidValue) as found:
        Study(path, "frist")
    assert "has no study 'frist'; write one of 'first', 'second', or to begin a new one" in str(found.value)
    with pytest.raises(InvalidValue, match="has no study 'study'; write one of 'first', 'second'"):
        Study(path)
    with Study(path, "third", key=0, method=Uniform()) as third:
        assert third.name == "third"


def test_a_pruner_is_noted_and_says_that_a_new_study_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    random(path).close()
    with Study(path, "new", pruner=MedianPruner(startup=3)):
        pass
    with Study(path, "new") as study:
        assert study.session.pruner == MedianPruner(startup=3)
    with Study(path, "new", pruner=PatientPruner(MedianPruner(), 2)):
        pass
    with Study(path, "new", readonly=True) as study:
        assert study.session.pruner == PatientPruner(MedianPruner(), 2)
        assert study.attributes == {}


def test_a_key_of_none_is_fresh_and_written_down(tmp_path: Path) -> None:
    with random(tmp_path / "s.db", key=None) as study:
        key = study.key
    with Study(tmp_path / "s.db") as study:
        assert study.key == key
    assert random(key=None).key != key


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"directions": "up"}, "directions is"),
        ({"directions": ()}, "directions is"),
        ({"batch": 0}, "batch=0; write batch=4"),
        ({"constraints": -1}, "constraints is how many there are, got -1"),
        ({"repeats": "never"}, "repeats is"),
        ({"lease": 0}, "lease=0; write lease=30"),
        ({"space": 3}, "a space is a Space"),
    ],
)
def test_what_cannot_mean_anything_is_refused(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidValue, match=sentence):
        random(**given)


def test_a_method_that_cannot_search_so_is_refused() -> None:
    with pytest.raises(CompositionError, match="is for one objective, and there are 2; write NSGA2"):
        Study(method=CMAES(), space=SPACE, directions=("minimize", "maximize"))
    with pytest.raises(CompositionError, match="write method=CMAES"):
        Study(method=CMAES)
    with pytest.raises(CompositionError, match="needs a method that asks for values"):
        Study(method=3, space=SPACE)
    with pytest.raises(CompositionError, match=r"got 'TPE'; write method=TPE\(\)"):
        Study(method="TPE")


def test_a_study_that_is_only_read_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    with random(path) as study:
        study.run(x, trials=3)
    path.chmod(stat.S_IRUSR)
    content = path.read_bytes()
    with Study(path, readonly=True) as study:
        assert study.best.value == min(record.value for record in study.trials)
        for act in (study.ask, lambda: study.run(x, trials=1), lambda: study.enqueue({"x": 0.5})):
            with pytest.raises(InvalidValue, match="opened with readonly=True"):
                act()
    assert path.read_bytes() == content


def test_there_is_no_pickle_in_a_file(tmp_path: Path) -> None:
    with random(tmp_path / "s.db", space=SPACE) as study:
        study.set("note", {"a": [1, 2.5, None]})
        study.run(lambda trial: trial.set("seen", True) or trial["x"], trials=3)
        assert study.attributes == {"note": {"a": [1, 2.5, None]}}
        assert study.trials[0].attributes == {"seen": True}
    connection = sqlite3.connect(tmp_path / "s.db")
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        for row in connection.execute(f"SELECT * FROM {table}"):
            assert not any(isinstance(value, bytes) for value in row)


def test_runs_of_other_kinds_can_be_looked_at(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        log = store.open("minimize", {"kind": "minimize", "method": "BFGS()"})
        log.add(Row(params={"x": (1.0, 2.0), "k": "a"}, values=(3.0,)))
        log.add(Row(params={"x": (0.5, 2.5), "k": "b"}, values=(1.0,)))
    with Study(tmp_path / "s.db") as study:
        assert study.best.value == 1.0
        assert study.table().columns["x[0]"].numbers.tolist() == [1.0, 0.5]
        assert study.parameters["k"] == Choice("a", "b")
        with pytest.raises(InvalidValue, match="is no study but a run of another kind"):
            study.ask()
    with pytest.raises(StateMismatch, match="'minimize' is no study but a run of minimize"):
        Study(tmp_path / "s.db", "minimize", key=0)


# Asking and telling


def test_trials_are_told_in_any_order_and_once() -> None:
    study = random(space=SPACE)
    first, second = study.ask(), study.ask()
    study.tell(second, 2.0)
    study.tell(first.number, torch.tensor(1.0))
    assert [record.value for record in study.trials] == [1.0, 2.0]
    with pytest.raises(StateMismatch, match="trial 0 is done, and was not asked for here or has been told"):
        study.tell(first, 3.0)
    with pytest.raises(StateMismatch, match="trial 9 does not exist"):
        study.tell(9, 3.0)


@pytest.mark.parametrize(
    ("outcome", "state", "error"),
    [
        (math.nan, "failed", "the objective returned nan"),
        (-math.inf, "failed", "the objective returned -inf"),
        (ValueError("no"), "failed", "ValueError: no"),
        (Pruned(), "pruned", None),
        (np.float32(2), "done", None),
    ],
)
def test_outcomes_have_their_states(outcome: Any, state: str, error: str | None) -> None:
    study = random(space=SPACE)
    study.tell(study.ask(), outcome)
    record = study.record(0)
    assert (record.state, record.error) == (state, error)
    assert record.values == ((2.0,) if state == "done" else None)


def test_more_or_fewer_values_than_objectives_are_refused() -> None:
    study = random(space=SPACE, directions=("minimize", "minimize"))
    trial = study.ask()
    for outcome in (1.0, (1.0,), (1.0, 2.0, 3.0)):
        with pytest.raises(ShapeMismatch, match="where a tuple of 2 numbers was expected"):
            study.tell(trial, outcome)
    study.tell(trial, (1.0, 2.0))
    assert study.record(0).values == (1.0, 2.0)


def test_given_values_are_kept_and_the_others_are_proposed() -> None:
    for method in (Uniform(), CMAES(), TPE()):
        study = Study(space=SPACE, method=method)
        for k in range(12):
            trial = study.ask({"kind": "b"} if k % 2 else {"d": 2})
            assert trial.params["kind"] == "b"
            assert k % 2 or trial.params["d"] == 2
            study.tell(trial, trial["x"])
        assert len({record.params["x"] for record in study.trials}) == 12
    with pytest.raises(InvalidValue, match="no parameter 'y'"):
        random(space=SPACE).ask({"y": 1})


def test_given_values_of_a_defining_study_are_what_the_objective_gets(tmp_path: Path) -> None:
    values = []
    for _ in range(2):
        with Study(tmp_path / "s.db", method=CMAES()) as study:
            for _ in range(6):
                trial = study.ask({"n": 7})
                values.append(trial.int("n", 1, 9))
                study.tell(trial, trial.float("x", 0, 1))
    assert values == [7] * 12


def test_queued_points_come_first_and_keep_their_numbers() -> None:
    study = random(space=SPACE)
    study.tell(study.ask(), 1.0)
    assert study.enqueue({"x": 0.25, "kind": "a"}, {"why": "guess"}) == 1
    assert study.enqueue({"d": 3}) == 2
    assert [record.state for record in study.trials] == ["done", "queued", "queued"]
    first, second, third = study.ask(), study.ask(), study.ask()
    assert (first.number, second.number, third.number) == (1, 2, 3)
    assert first.params == {"x": 0.25, "kind": "a"}
    assert second.params["d"] == 3
    assert SPACE.contains(second.params)
    study.tell(second, 1.0)
    assert study.record(2).params == second.params
    assert study.record(1).attributes == {"why": "guess"}
    with pytest.raises(InvalidValue, match=r"d must lie in \[1, 3\], got 4"):
        study.enqueue({"d": 4})


def test_queued_points_do_not_change_what_is_proposed() -> None:
    plain, queued = random(space=SPACE), random(space=SPACE)
    plain.run(lambda trial: trial["x"], trials=5)
    queued.enqueue({"x": 0.5, "kind": "a"})
    queued.run(lambda trial: trial["x"], trials=6)
    assert [r.params for r in queued.trials[1:]] == [r.params for r in plain.trials]


def test_added_trials_count_as_answers() -> None:
    study = random(space=SPACE, directions="maximize")
    study.add({"x": 0.5, "kind": "a"}, 3.0, {"from": "paper"})
    study.add({"x": 0.25, "kind": "a"}, RuntimeError("no"))
    assert study.best.value == 3.0
    assert [record.state for record in study.trials] == ["done", "failed"]
    with pytest.raises(InvalidValue, match="x must lie in"):
        study.add({"x": 2.0, "kind": "a"}, 1.0)


def test_a_warm_start_queues_the_best_points_of_another_study_or_takes_its_trials() -> None:
    other = random(space=SPACE, key=3, directions="maximize")
    other.run(lambda trial: trial["x"], trials=20)
    best = sorted(other.trials, key=lambda record: -record.value)
    study = random(space=SPACE, directions="maximize")
    assert study.warm_start(other, trials=3) == 3
    assert [record.params for record in study.trials] == [record.params for record in best[:3]]
    taken = random(space=SPACE, directions="maximize")
    assert taken.warm_start(other, values=True) == 20
    assert taken.best.params == best[0].params
    narrow = random(space=Space(x=Float(0, 0.5), kind=Choice("a")), directions="maximize")
    fitting = [r for r in best if r.params["x"] <= 0.5 and r.params["kind"] == "a"]
    assert narrow.warm_start(other, trials=20) == len(fitting) > 0


def test_what_was_asked_and_not_told_is_given_back_when_a_study_is_closed(tmp_path: Path) -> None:
    with random(tmp_path / "s.db", space=SPACE) as study:
        point = study.ask().params
        assert study.workers()[0].running == (0,)
    with Study(tmp_path / "s.db") as study:
        assert study.record(0).state == "queued"
        trial = study.ask()
        assert (trial.number, trial.params) == (0, point)


def test_a_batch_waits_for_its_answers() -> None:
    study = random(space=SPACE, batch=3)
    trials = [study.ask() for _ in range(3)]
    with pytest.raises(InvalidValue, match="all 3 trials of the batch are asked for"):
        study.ask()
    for trial in trials:
        study.tell(trial, 1.0)
    assert study.ask().number == 3


# Repeats


@pytest.mark.parametrize("method", [Uniform(), TPE(), CMAES()], ids=lambda method: type(method).__name__)
def test_no_point_is_evaluated_twice_where_repeats_are_avoided(method: Any) -> None:
    space = Space(a=Int(0, 3), b=Choice("u", "v", "w"))
    study = Study(space=space, method=method, repeats="avoid")
    reason = study.run(lambda trial: trial["a"], trials=100)
    assert len(study.trials) == len({repr(record.params) for record in study.trials}) == 12
    assert "was not evaluated before" in reason
    allowed = Study(space=space, method=method)
    allowed.run(lambda trial: trial["a"], trials=30)
    assert len({repr(record.params) for record in allowed.trials}) < 30


def test_repeats_are_averaged_where_that_is_wanted() -> None:
    study = random(space=Space(k=Choice("a", "b")), repeats="average")
    for k, value in [("a", 0.0), ("a", 4.0), ("b", 1.0), ("b", 2.0)]:
        study.add({"k": k}, value)
    assert study.best.params == {"k": "b"}
    history = answers_of(study)
    assert history == [2.0, 2.0, 1.5, 1.5]
    assert random(space=Space(k=Choice("a", "b"))).settings.repeats == "allow"


def answers_of(study: Study) -> list[float]:
    from descend.study.answers import Answers

    assert study.session.frame is not None
    study.session.mirror.sync()
    answers = Answers(study.session.mirror, study.session.frame, 0, study.settings.repeats == "average")
    count = len(study.session.mirror.order)
    return answers.history(count, count).values[:, 0].tolist()


# Several objectives, constraints, signs


def test_the_best_trial_keeps_the_constraints_if_any_does() -> None:
    study = random(space=SPACE, constraints=2, directions="maximize")

    def f(trial: Trial) -> float:
        trial.constraint(trial["x"] - 0.5, -1.0)
        return trial["x"]

    study.run(f, trials=30)
    assert study.best.value == max(r.value for r in study.trials if r.params["x"] <= 0.5)
    assert study.best.feasible
    assert study.table().violation.max() == max(r.params["x"] for r in study.trials) - 0.5
    broken = random(space=SPACE, constraints=1)
    broken.add({"x": 0.5, "kind": "a"}, 1.0)
    broken.run(lambda trial: trial.constraint(1 + trial["x"]) or -1.0, trials=2)
    assert broken.best.number == 0


def test_a_front_has_what_nobody_dominates_in_the_signs_of_the_user() -> None:
    study = random(space=Space(x=Float(0, 1)), directions=("minimize", "maximize"))
    for a, b in [(1, 1), (2, 3), (3, 2), (0, 0), (2, 3)]:
        study.add({"x": 0.5}, (a, b))
    assert [record.number for record in study.front] == [0, 1, 3, 4]
    with pytest.raises(InvalidValue, match=r"there are 2 objectives, .* write .front"):
        _ = study.best


def test_maximizing_is_minimizing_the_negative() -> None:
    for method in (CMAES(), TPE()):
        up = Study(space=SPACE, method=method, directions="maximize")
        down = Study(space=SPACE, method=method)
        up.run(lambda trial: -((trial["x"] - 0.3) ** 2), trials=25)
        down.run(lambda trial: (trial["x"] - 0.3) ** 2, trials=25)
        assert [r.params for r in up.trials] == [r.params for r in down.trials]
        assert up.best.value == -down.best.value
        up.reports.report(0, 0, [1.0])


# The table


def test_a_table_says_what_the_trials_say() -> None:
    study = random(space=SPACE, directions=("minimize", "maximize"))

    def f(trial: Trial) -> tuple[float, float]:
        if trial.number % 5 == 4:
            raise ValueError
        return trial["x"], trial.number

    study.run(f, trials=20)
    study.enqueue({"x": 0.5, "kind": "a"})
    study.ask()
    table, records = study.table(), study.trials
    assert len(table) == 21
    assert [STATES[state] for state in table.states] == [record.state for record in records]
    for k, record in enumerate(records):
        values = record.values or (math.nan, math.nan)
        assert np.array_equal(table.values[k], values, equal_nan=True)
        for name, column in table.columns.items():
            number = column.numbers[k]
            if name not in record.params:
                assert math.isnan(number)
            elif column.labels is None:
                assert number == record.params[name]
            else:
                assert column.labels
                assert column.labels[int(number)] == record.params[name]
    assert study.table() is table
    study.run(f, trials=1)
    assert study.table() is not table


def test_labels_tell_apart_what_is_equal_in_python() -> None:
    study = random(space=Space(k=Choice(1, True, 1.0, None, "1")))
    study.run(lambda trial: 0.0, trials=40)
    column = study.table().columns["k"]
    assert column.labels == ("1", "True", "1.0", "None", "'1'")
    for number, record in zip(column.numbers, study.trials, strict=True):
        assert ("1", "True", "1.0", "None", "'1'")[int(number)] == repr(record.params["k"])


def test_a_table_grows_with_its_study() -> None:
    study = random(space=SPACE)
    for _ in range(5):
        for k in range(200):
            study.log.add(Row(params={"x": k / 200, "kind": "a"}, values=(float(k),)))
        assert study.table().columns["x"].numbers[-1] == 199 / 200
    assert len(study.table()) == 1000


# Trials


def test_a_name_is_one_thing_in_a_trial_and_in_a_study() -> None:
    study = random()
    trial = study.ask()
    assert trial.float("x", 0, 1) == trial.float("x", 0, 1) == trial["x"]
    with pytest.raises(InvalidValue, match=r"x is Float.* in this trial, and was asked for again as Float"):
        trial.float("x", 0, 2)
    study.tell(trial, 1.0)
    with pytest.raises(
        InvalidValue, match=r"x was Float.* in this study, and is now Int.*; give what is something else"
    ):
        study.ask().int("x", 0, 1)


def test_choices_may_grow_and_ranges_widen() -> None:
    study = Study(method=TPE())
    for k in range(30):
        trial = study.ask()
        kinds = ["a", "b"] if k < 10 else ["a", "b", "c"]
        high = 1 if k < 10 else 2
        study.tell(trial, (trial.choice("kind", kinds) != "c") + trial.float("x", 0, high))
        assert trial["kind"] in kinds
        assert trial["x"] <= high
    assert study.parameters == {"kind": Choice("a", "b", "c"), "x": Float(0, 2)}
    assert study.best.params["kind"] == "c"
    # an objective that has fewer options gets one of these
    for _ in range(20):
        trial = study.ask()
        assert trial.choice("kind", "a", "b") in ("a", "b")
        study.tell(trial, 0.0)


@pytest.mark.parametrize("option", [len, (1, 2), [1], object(), Float(0, 1)])
def test_options_are_plain(option: Any) -> None:
    with pytest.raises(InvalidValue, match="write names, and look up in the objective"):
        random().ask().choice("k", option, "a")


def test_the_first_trials_draw_every_parameter_by_its_name_and_number() -> None:
    """So that branches, and the order of asking, change nothing else."""
    one, other = random().ask(), random().ask()
    a, b = one.float("a", 0, 1), one.int("b", 1, 1000)
    assert (other.int("b", 1, 1000), other.float("a", 0, 1)) == (b, a)
    assert random(key=1).ask().float("a", 0, 1) != a
    values = [random(key=k).ask().float("a", 0, 1) for k in range(400)]
    assert abs(np.mean(values) - 0.5) < 4 * math.sqrt(1 / 12 / 400)
    assert abs(np.var(values) - 1 / 12) < 0.015


def test_trials_of_a_space_study_have_their_point() -> None:
    trial = random(space=SPACE).ask()
    assert trial["x"] == trial.params["x"]
    assert isinstance(trial.params, Mapping)
    with pytest.raises(InvalidValue, match=r"write trial.params\['x'\]"):
        trial.float("x", 0, 1)


def test_an_objective_is_tried_without_a_study() -> None:
    def f(trial: Trial) -> float:
        trial.report(0, 2.5)
        trial.set("seen", 1)
        return trial.float("x", 0, 1) + trial.int("n", 1, 3) + (trial.choice("k", "a", "b") == "a")

    trial = FixedTrial({"x": 0.5, "n": 2, "k": "b"})
    assert f(trial) == 2.5
    assert trial.reports == {0: (2.5,)}
    assert not trial.should_stop()
    with pytest.raises(InvalidValue, match="asks for 'n', which is not among x"):
        f(FixedTrial({"x": 0.5}))
    with pytest.raises(InvalidValue, match=r"x must lie in \[0.0, 1.0\], got 2"):
        f(FixedTrial({"x": 2}))


@pytest.mark.parametrize("name", ["", ".mine", 3])
def test_names_are_texts_without_a_dot_in_front(name: Any) -> None:
    trial = random().ask()
    for act in (lambda: trial.set(name, 1), lambda: trial.float(name, 0, 1)):
        with pytest.raises(InvalidValue, match="a text that does not begin with a dot"):
            act()
