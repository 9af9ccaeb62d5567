"""The sampler inside of Optuna: by Optuna's own tests, by resuming, and by what descend's studies do with the same."""

import copy
import importlib
import json
import pickle
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
)

from descend.direct import Grid, Uniform
from descend.errors import CompositionError, InvalidValue, MissingExtra
from descend.model.tpe import TPE
from descend.optuna import Sampler, read_optuna, write_optuna
from descend.optuna.convert import distribution_of, leaf_of, to_optuna, to_plain
from descend.optuna.history import PROPOSAL, STATES
from descend.pareto import NSGA2
from descend.population import CMAES
from descend.space import Bool, Choice, Float, Int, Ordinal, Permutation, Space
from descend.study.study import Study
from descend.study.trial import Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

D = optuna.distributions

METHODS: dict[str, Callable[[], Any]] = {"TPE": TPE, "CMAES": CMAES, "Uniform": Uniform}


class OfMethods:
    @pytest.fixture(params=METHODS)
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], Sampler]:
        return lambda: Sampler(METHODS[request.param](), key=0)


class TestAsOptunaTestsAnySampler(OfMethods, BasicSamplerTestCase): ...


class TestAsOptunaTestsARelativeSampler(OfMethods, RelativeSamplerTestCase): ...


class TestAsOptunaTestsSeveralObjectives(MultiObjectiveSamplerTestCase):
    @pytest.fixture(params=[NSGA2, TPE, Uniform])
    def sampler(self, request: pytest.FixtureRequest) -> Callable[[], Sampler]:
        return lambda: Sampler(request.param(), key=0)


def branching(trial: optuna.Trial) -> float:
    """A conditional space with every kind of parameter."""
    x = trial.suggest_float("x", -5, 5)
    kind = trial.suggest_categorical("kind", ["a", "b", None])
    if kind == "a":
        rest = trial.suggest_int("n", 1, 64, log=True) / 64
    else:
        rest = abs(trial.suggest_float("z", 0, 1, step=0.25) - 0.5)
    if trial.number % 7 == 3:
        raise ValueError("a failure")
    for step in range(3):
        trial.report(x * x + rest + 1 / (1 + step), step)
        if trial.number % 5 == 2 and step == 1:
            raise optuna.TrialPruned
    trial.set_constraint("c", x - 2)
    return x * x + rest


def run(study: optuna.Study, n: int, objective: Callable[[optuna.Trial], Any] = branching) -> list[dict[str, Any]]:
    study.optimize(objective, n_trials=n, catch=ValueError)
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("method", METHODS)
def test_a_study_goes_on_as_if_it_had_not_been_interrupted(method: str, tmp_path: Any) -> None:
    whole = run(optuna.create_study(sampler=Sampler(METHODS[method](), key=5)), 40)
    journal = optuna.storages.journal.JournalFileBackend(str(tmp_path / "journal"))
    storage = optuna.storages.JournalStorage(journal) if method == "CMAES" else None
    study = optuna.create_study(sampler=Sampler(METHODS[method](), key=5), storage=storage)
    for cut in (1, 2, 9, 16, 40):
        name = study.study_name
        study.sampler = Sampler(METHODS[method](), key=5)
        if storage is not None:
            study = optuna.load_study(study_name=name, storage=storage, sampler=Sampler(METHODS[method](), key=5))
        parts = run(study, cut - len(study.trials))
    assert parts == whole
    assert len({json.dumps(params) for params in whole}) == 40  # no point twice
    other = run(optuna.create_study(sampler=Sampler(METHODS[method](), key=6)), 10)
    assert other != whole[:10]


def test_what_a_sampler_keeps_for_speed_changes_nothing() -> None:
    for method in METHODS:
        warm, cold = (optuna.create_study(sampler=Sampler(METHODS[method](), key=1)) for _ in range(2))
        for _ in range(25):
            cold.sampler = copy.deepcopy(pickle.loads(pickle.dumps(cold.sampler)))
            run(cold, 1)
        assert run(warm, 25) == [trial.params for trial in cold.trials]


def test_a_better_method_is_better() -> None:
    """The proposals reach the objective, with the right sign, and conditional parameters are modelled."""

    def objective(trial: optuna.Trial) -> float:
        x, kind = trial.suggest_float("x", -5, 5), trial.suggest_categorical("kind", ["a", "b", "c"])
        if kind != "b":
            return -20.0 - x * x
        return -((trial.suggest_float("y", -5, 5) - 2) ** 2) - (x - 1) ** 2

    best: dict[str, list[float]] = {"TPE": [], "Uniform": []}
    for method, values in best.items():
        for key in range(5):
            study = optuna.create_study(sampler=Sampler(METHODS[method](), key), direction="maximize")
            run(study, 60, objective)
            values.append(study.best_value)
    assert np.median(best["TPE"]) > np.median(best["Uniform"]) + 0.1, best
    assert np.median(best["TPE"]) > -0.2


def test_a_conditional_parameter_is_proposed_with_its_condition() -> None:
    study = optuna.create_study(sampler=Sampler(TPE(), key=0))
    run(study, 30)
    points = [json.loads(trial.system_attrs[PROPOSAL])["point"] for trial in study.trials[12:]]
    assert all(
        ("n" in point) == (point["kind"] == "a") and ("z" in point) == (point["kind"] != "a") for point in points
    )
    for trial, point in zip(study.trials[12:], points, strict=True):
        assert trial.params == point


def test_failed_pruned_infeasible_and_running_trials_are_told() -> None:
    study = optuna.create_study(sampler=Sampler(TPE(), key=0), direction="maximize")
    run(study, 9)
    waiting = study.ask()
    waiting.suggest_float("x", -5, 5)
    sampler = study.sampler
    assert isinstance(sampler, Sampler)
    study.ask().suggest_float("x", -5, 5)
    follower = sampler._follower
    assert follower is not None
    rows = follower._mirror.rows
    assert [row.state for row in rows] == [
        *("done", "done", "pruned", "failed", "done", "done", "done", "pruned", "done", "running")
    ]
    assert rows[2].values == (study.trials[2].intermediate_values[1],)
    assert rows[3].values is None
    assert rows[4].violations == (study.trials[4].params["x"] - 2,)
    assert rows[9].params == {"x": waiting.params["x"]}


def test_an_enqueued_trial_keeps_what_is_fixed_and_the_rest_is_proposed() -> None:
    study = optuna.create_study(sampler=Sampler(CMAES(), key=0))
    run(study, 10)
    study.enqueue_trial({"x": 1.25, "kind": "b"})
    run(study, 1)
    made = json.loads(study.trials[10].system_attrs[PROPOSAL])
    assert study.trials[10].params["x"] == 1.25
    assert made["fixed"] == {"x": 1.25, "kind": "b"}
    assert made["point"]["x"] == 1.25
    assert "z" in made["point"]
    whole = run(study, 9)
    study.sampler = Sampler(CMAES(), key=0)
    again = optuna.create_study(sampler=Sampler(CMAES(), key=0))
    run(again, 10)
    again.enqueue_trial({"x": 1.25, "kind": "b"})
    run(again, 3)
    again.sampler = Sampler(CMAES(), key=0)  # asks itself all questions of the past again
    assert run(again, 7) == whole
    assert len({json.loads(trial.system_attrs[PROPOSAL])["who"] for trial in again.trials[1:]}) == 1


def test_another_sampler_before_is_another_history_and_no_error() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    run(study, 15)
    study.sampler = Sampler(CMAES(), key=0)
    run(study, 10)
    study.sampler = Sampler(CMAES(), key=1)
    points = run(study, 10)
    assert len({json.dumps(params) for params in points}) == 35
    study.sampler = Sampler(TPE(), key=1)
    assert len(run(study, 5)) == 40


def test_trials_that_seem_to_have_come_in_another_order_are_no_error() -> None:
    """Clocks of several machines differ: then the past cannot be replayed, and the method begins anew."""
    study = optuna.create_study(sampler=Sampler(CMAES(popsize=4), key=0))
    run(study, 25)
    trials = study.trials
    trials[10].datetime_complete, trials[14].datetime_complete = (
        trials[14].datetime_complete,
        trials[10].datetime_complete,
    )
    copied = optuna.create_study(sampler=Sampler(CMAES(popsize=4), key=0))
    copied.add_trials(trials)
    points = run(copied, 10)
    assert len({json.dumps(params) for params in points}) == 35


def test_parameters_that_change_in_mid_study() -> None:
    """Ranges and options may grow; what becomes something else is drawn at random from then on."""

    def objective(trial: optuna.Trial) -> float:
        late = trial.number >= 12
        x = trial.suggest_float("x", 0, 4 if late else 1)
        trial.suggest_float("s", 0, 1, step=0.25 if late else 0.5)
        trial.suggest_int("constant", 3, 3)
        return (x - 3) ** 2

    study = optuna.create_study(sampler=Sampler(TPE(startup=5), key=0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's, about the ranges
        points = run(study, 60, objective)
    assert all(p["x"] <= 1 for p in points[:12])
    assert study.best_value < 0.05
    assert {p["s"] for p in points[12:]} == {0, 0.25, 0.5, 0.75, 1}
    made = json.loads(study.trials[-1].system_attrs[PROPOSAL])["point"]
    assert made.keys() == {"x"}


def test_a_grid_is_seen_whole_and_optuna_may_go_on() -> None:
    study = optuna.create_study(sampler=Sampler(Grid(), key=0))

    def objective(trial: optuna.Trial) -> float:
        return trial.suggest_int("a", 1, 4) + trial.suggest_categorical("b", [0, 10, 20])

    points = run(study, 13, objective)[1:]  # the first is asked for before anything is known
    assert len({json.dumps(p) for p in points}) == 12
    assert len(run(study, 2, objective)) == 15


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_constraints_with_two_objectives(threads: int) -> None:
    study = optuna.create_study(sampler=Sampler(NSGA2(popsize=8), key=0), directions=["minimize", "maximize"])

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        x, y = trial.suggest_float("x", 0, 1), trial.suggest_float("y", 0, 1)
        trial.set_constraint("sum", x + y - 1)
        return x, y

    study.optimize(objective, n_trials=60, n_jobs=threads)
    assert len(study.trials) == 60
    assert len({json.dumps(t.params) for t in study.trials}) > 40  # 30 if both threads were given the same
    if threads == 1:  # what two of them come to depends on their luck
        feasible = [t for t in study.trials if t.params["x"] + t.params["y"] <= 1]
        assert len(feasible) > 44  # 30 at random, with a deviation of 4


def test_a_pruner_that_shows_a_part_of_the_study_hides_nothing() -> None:
    pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=9)
    study = optuna.create_study(sampler=Sampler(CMAES(popsize=6), key=0), pruner=pruner, study_name="parts")

    def objective(trial: optuna.Trial) -> float:
        x, y = trial.suggest_float("x", -5, 5), trial.suggest_float("y", -5, 5)
        for step in range(9):
            trial.report(x * x + y * y + 9 / (1 + step), step)
            if trial.should_prune():
                raise optuna.TrialPruned
        return x * x + y * y

    points = run(study, 60, objective)
    assert len({json.dumps(point) for point in points}) == 60
    assert {trial.state.name for trial in study.trials} == {"COMPLETE", "PRUNED"}
    made = [json.loads(trial.system_attrs[PROPOSAL])["who"] for trial in study.trials[1:]]
    assert set(made) == {made[0]}  # it has never begun anew
    assert study.best_value < 1


def test_the_automatic_choice_is_the_default() -> None:
    study = optuna.create_study(sampler=Sampler(), direction="maximize")
    run(study, 25, lambda trial: -abs(trial.suggest_float("x", 0, 1) - 0.3))
    assert study.best_value > -0.01
    assert repr(study.sampler).startswith("Sampler(Automatic(")


def test_a_method_that_cannot_be_asked_is_refused() -> None:
    with pytest.raises(CompositionError, match="Sampler needs a method that asks for values, got 'TPE'"):
        Sampler("TPE")
    study = optuna.create_study(sampler=Sampler(CMAES(), key=0), directions=["minimize"] * 2)
    with pytest.raises(CompositionError, match="is for one objective, and there are 2"):
        study.optimize(lambda t: (t.suggest_float("x", 0, 1),) * 2, n_trials=3)


# Distributions


@pytest.mark.parametrize(
    ("distribution", "leaf"),
    [
        (D.FloatDistribution(-1, 2.5), Float(-1, 2.5)),
        (D.FloatDistribution(1e-6, 1, log=True), Float(1e-6, 1, log=True)),
        (D.FloatDistribution(0, 1, step=0.1), Float(0, 1, step=0.1)),
        (D.IntDistribution(1, 64, log=True), Int(1, 64, log=True)),
        (D.IntDistribution(0, 30, step=10), Int(0, 30, step=10)),
        (D.CategoricalDistribution(["a", 1, 1.5, False, None]), Choice("a", 1, 1.5, False, None)),
    ],
)
def test_distributions_and_parameters_are_the_same_both_ways(distribution: Any, leaf: Any) -> None:
    assert leaf_of(distribution) == leaf
    assert distribution_of(leaf) == distribution
    for value in leaf.values(np.linspace(0, 1, 7)[:, None]):
        theirs = to_optuna(distribution, value)
        assert distribution._contains(distribution.to_internal_repr(theirs))
        assert to_plain(distribution, theirs) == value
        assert type(to_plain(distribution, theirs)) is type(value)


def test_what_the_other_side_does_not_have() -> None:
    assert leaf_of(D.FloatDistribution(2, 2)) is None
    assert leaf_of(D.IntDistribution(0, 10**17)) is None
    assert [distribution_of(leaf) for leaf in (Float(), Permutation(3), Float(0, 1, logit=True))] == [None] * 3
    assert distribution_of(Bool()) == D.CategoricalDistribution([False, True])
    assert distribution_of(Ordinal(1, 2, 4)) == D.CategoricalDistribution([1, 2, 4])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna's, about choices that are no scalars
        odd = D.CategoricalDistribution([(1, 2), "x", float("nan")])
    assert leaf_of(odd) == Choice("(1, 2)", "x", "nan")
    assert to_optuna(odd, "(1, 2)") == (1, 2)
    assert to_plain(odd, (1, 2)) == "(1, 2)"


# Storages


def _told(study: optuna.Study) -> list[Any]:
    """All that is said of trials, as plain values."""
    return [
        (t.number, t.state, t.params, t.values, t.user_attrs, t.intermediate_values, t.constraints, t.datetime_start,
         t.datetime_complete, t.distributions, t.system_attrs.get("fixed_params"))
        for t in study.trials
    ]  # fmt: skip


def _full(direction: str = "minimize") -> optuna.Study:
    """A study with everything that Optuna has."""
    study = optuna.create_study(study_name="full", direction=direction, sampler=optuna.samplers.RandomSampler(seed=0))
    study.set_user_attr("purpose", {"of": ["tests", 1, None]})

    def objective(trial: optuna.Trial) -> float:
        trial.set_user_attr("note", f"trial {trial.number}")
        trial.set_user_attr("shape", [1, {"deep": 2.5}])
        return branching(trial)

    run(study, 15, objective)
    study.enqueue_trial({"x": 1.5, "kind": "a"}, user_attrs={"by": "hand"})
    return study


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.parametrize("place", ["memory", "file"])
def test_a_study_goes_over_and_comes_back_the_same(direction: str, place: str, tmp_path: Any) -> None:
    theirs = _full(direction)
    path = None if place == "memory" else tmp_path / "ours.db"
    with read_optuna(theirs._storage, "full", path, method=TPE()) as ours:
        assert (ours.name, ours.directions) == ("full", (direction,))
        assert [r.state for r in ours.trials] == [STATES[t.state] for t in theirs.trials]
        assert ours.best.number == theirs.best_trial.number
        assert ours.best.value == theirs.best_value
        assert ours.trials[0].params == theirs.trials[0].params
        assert ours.trials[0].reports == theirs.trials[0].intermediate_values
        assert ours.trials[4].violations == tuple(theirs.trials[4].constraints.values())
        assert ours.trials[5].attributes == theirs.trials[5].user_attrs
        assert ours.trials[2].value == theirs.trials[2].intermediate_values[1]  # it was pruned there
        assert ours.attributes["purpose"] == {"of": ["tests", 1, None]}
        assert dict(ours.parameters) == {
            "x": Float(-5, 5),
            "kind": Choice("a", "b", None),
            "n": Int(1, 64, log=True),
            "z": Float(0, 1, step=0.25),
        }
        back = write_optuna(ours, optuna.storages.InMemoryStorage())
    assert back.study_name == "full"
    assert back.user_attrs == theirs.user_attrs
    for one, two in zip(_told(back), _told(theirs), strict=True):
        assert one == two


def test_a_study_that_was_read_goes_on(tmp_path: Any) -> None:
    theirs = _full()
    with read_optuna(theirs._storage, "full", tmp_path / "ours.db", "mine", method=TPE(startup=10), key=3) as ours:
        ours.run(_ours, trials=30)
    with Study(tmp_path / "ours.db") as ours:
        assert len(ours.trials) == 45
        assert ours.trials[15].state == "done"  # the queued one was first
        assert (ours.trials[15].params["x"], ours.trials[15].params["kind"]) == (1.5, "a")
        assert ours.best.number > 15
        assert all(("n" in r.params) == (r.params["kind"] == "a") for r in ours.trials)
        back = write_optuna(ours, optuna.storages.InMemoryStorage(), "again")
        assert back.best_value == ours.best.value < theirs.best_value
    with pytest.raises(InvalidValue, match="has a study 'mine' with trials already; give another name"):
        read_optuna(theirs._storage, "full", tmp_path / "ours.db", "mine", method=TPE(startup=10), key=3)


def test_a_storage_or_a_study_that_is_not_there_is_named_and_not_made(tmp_path: Any) -> None:
    file, url = tmp_path / "theirs.db", f"sqlite:///{tmp_path / 'theirs.db'}"
    with pytest.raises(InvalidValue, match=r"there is no file .*theirs.db"):
        read_optuna(url, "full")
    assert not file.exists()
    with pytest.raises(InvalidValue, match=r"a storage of Optuna's is a URL, got .*write 'sqlite:///"):
        read_optuna(str(file))
    storage = optuna.storages.RDBStorage(url)
    with pytest.raises(InvalidValue, match=r"there is no study of Optuna in 'sqlite:///.*theirs.db'"):
        read_optuna(url)
    for name in ("one", "two"):
        optuna.create_study(study_name=name, storage=storage).add_trial(optuna.create_trial(value=1.0))
    with pytest.raises(InvalidValue, match="has 2 studies; write study_name=, one of 'one', 'two'"):
        read_optuna(url)
    with pytest.raises(InvalidValue, match="the storage has no study 'three'; write study_name="):
        read_optuna(storage, "three")
    assert read_optuna(url, "two").best.value == 1.0


def _ours(trial: Trial) -> float:
    x, kind = trial.float("x", -5, 5), trial.choice("kind", "a", "b", None)
    trial.constraint(x - 2)
    if kind == "a":
        return x * x + trial.int("n", 1, 64, log=True) / 64
    return x * x + abs(trial.float("z", 0, 1, step=0.25) - 0.5)


def test_several_objectives_go_over_and_come_back() -> None:
    theirs = optuna.create_study(directions=["minimize", "maximize"], study_name="two")
    theirs.optimize(lambda t: (t.suggest_float("x", 0, 1), t.suggest_int("y", 0, 9)), n_trials=12)
    ours = read_optuna(theirs._storage, "two", method=NSGA2(), name="zwei")
    assert ours.name == "zwei"
    assert [r.values for r in ours.trials] == [tuple(t.values) for t in theirs.trials]
    assert sorted(r.number for r in ours.front) == sorted(t.number for t in theirs.best_trials)
    assert _told(write_optuna(ours, optuna.storages.InMemoryStorage())) == _told(theirs)


def test_what_changed_its_range_has_the_widest_and_odd_choices_their_text() -> None:
    theirs = optuna.create_study(study_name="odd")

    def objective(trial: optuna.Trial) -> float:
        late = trial.number % 2
        trial.suggest_float("step", 0, 1, step=0.25 if late else 0.5)
        trial.suggest_int("n", 1 + late, 1 + late)
        trial.suggest_int("one", 7, 7)
        trial.suggest_float("log", 1e-3, 1 + late, log=True)
        trial.suggest_categorical("odd", [(1, 2), "x"])
        if trial.number == 3:
            return float("inf")
        return 0.0

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.optimize(objective, n_trials=6)
    ours = read_optuna(theirs._storage, "odd", method=TPE())
    assert dict(ours.parameters) == {
        "step": Float(0, 1), "n": Int(1, 2), "one": Choice(7), "log": Float(1e-3, 2, log=True),
        "odd": Choice("(1, 2)", "x"),
    }  # fmt: skip
    for mine, their in zip(ours.trials, theirs.trials, strict=True):
        assert mine.params == {name: str(v) if isinstance(v, tuple) else v for name, v in their.params.items()}
    assert (ours.trials[3].state, ours.trials[3].error) == ("failed", "the values are (inf,)")


def test_what_optuna_has_nothing_like_becomes_an_attribute() -> None:
    space = Space(order=Permutation(3), net=Space(rate=Float(0, 1, logit=True), free=Float()), flag=Bool())
    ours = Study(space=space, method=Uniform(), key=1)
    ours.run(_failing, trials=5)
    ours.enqueue({"flag": True})
    theirs = write_optuna(ours, optuna.storages.InMemoryStorage(), "theirs")
    for mine, trial in zip(ours.trials[:5], theirs.trials, strict=False):
        assert trial.params == {"net.rate": mine.params["net"]["rate"], "flag": mine.params["flag"]}
        assert trial.user_attrs["order"] == mine.params["order"]
        assert trial.user_attrs["net.free"] == mine.params["net"]["free"]
    assert [t.state.name for t in theirs.trials] == ["COMPLETE", "COMPLETE", "FAIL", "COMPLETE", "COMPLETE", "WAITING"]
    assert theirs.trials[5].system_attrs["fixed_params"] == {"flag": True}
    again = read_optuna(theirs._storage, "theirs", method=Uniform())
    assert again.trials[2].error == ours.trials[2].error
    assert "no luck" in (again.trials[2].error or "")


def _failing(trial: Trial) -> float:
    if trial.number == 2:
        raise ValueError("no luck")
    return trial["net"]["rate"]


def test_without_optuna_it_is_said_which_extra_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "descend.optuna._library")
    with pytest.raises(MissingExtra, match=r"pip install 'descend\[optuna\]'"):
        importlib.import_module("descend.optuna._library")
