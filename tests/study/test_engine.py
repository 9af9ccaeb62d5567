"""Who asks first gets the number, and whoever lost asks as if they had never tried: whatever happens, a log can be
replayed."""

from pathlib import Path
from typing import Any

import pytest

from descend.direct.filling import Uniform
from descend.direct.grid import Grid
from descend.errors import InvalidValue, StateMismatch
from descend.key import Key
from descend.log import Memory
from descend.model.tpe import TPE
from descend.pareto.nsga2 import NSGA2
from descend.population.cma import CMAES
from descend.population.differential import DifferentialEvolution
from descend.space import Choice, Float, Int, Space, When
from descend.study import Study, Trial
from descend.study.engine import Engine
from descend.study.mirror import Mirror
from descend.study.search import Conversation

SPACE = Space(x=Float(-4, 4), n=Int(0, 3), kind=Choice("a", "b"), d=When("kind", "b", Float(0, 1)))
METHODS = [Uniform(), CMAES(), DifferentialEvolution(popsize=6), TPE()]


def names_of(method: Any) -> str:
    return type(method).__name__


def suggest(trial: Trial) -> float:
    """Asks for parameters, where these are defined by running."""
    if trial.number % 3 and trial.bool("more"):
        trial.float("y", 0, 1)
    return (trial.float("x", -4, 4) - 1) ** 2


def replayed(study: Study) -> None:
    """A fresh engine comes through the whole log and proposes what those did that wrote it."""
    study.session.mirror.sync()
    fresh, s = Mirror(study.log, study.settings.signs), study.settings
    fresh.sync()
    engine = Engine(fresh, s.method, s.key, s.space)
    number, after = len(fresh.rows), len(fresh.order)
    assert engine.propose(number, after) == study.session.engine.propose(number, after)


@pytest.mark.parametrize("method", METHODS, ids=names_of)
@pytest.mark.parametrize("space", [SPACE, None], ids=["space", "defining"])
def test_whoever_is_slower_asks_as_if_he_had_not_asked(method: Any, space: Space | None, tmp_path: Path) -> None:
    """Two processes; whenever the first has made up its mind, the second asks and tells before that is written down."""
    first = Study(tmp_path / "s.db", space=space, method=method)
    second = Study(tmp_path / "s.db")
    open_: list[tuple[Study, Trial]] = []
    ask = first.log.ask
    asked = 0

    def too_late(*question: Any) -> bool:
        nonlocal asked
        asked += 1
        if asked % 6 == 4:
            waiting = [pair for pair in open_ if pair[0] is second]
            for pair in waiting[:1]:  # so that the same number is asked for on more answers
                open_.remove(pair)
                tell(*pair)
        if asked % 3 == 1:
            tell(second, second.ask())
        done = ask(*question)
        assert done == (asked % 3 != 1)
        return done

    def tell(study: Study, trial: Trial) -> None:
        study.tell(trial, (trial["x"] - 1) ** 2 if space is not None else suggest(trial))

    first.log.ask = too_late  # type: ignore[method-assign]
    for step in range(30):
        open_.append((first, first.ask()))
        if step % 3 == 0:
            open_.append((second, second.ask()))
        while len(open_) > 4:
            study, trial = open_.pop(step % 2)
            tell(study, trial)
    if space is None or not isinstance(method, Uniform):  # points that wait for nothing are asked for in another way
        assert asked == 30 + 15
    replayed(first)
    replayed(second)
    first.close()
    second.close()


@pytest.mark.parametrize("method", METHODS, ids=names_of)
def test_an_engine_may_be_asked_any_number_of_times(method: Any) -> None:
    """To propose is to change nothing."""
    study = Study(space=SPACE, method=method)
    for number in range(25):
        study.session.mirror.sync()
        engine = study.session.engine
        points = [engine.propose(number, number) for _ in range(3)]
        assert points[0] == points[1] == points[2]
        fixed = engine.propose(number, number, {"kind": "b", "n": 2})
        assert fixed is not None
        assert (fixed["kind"], fixed["n"]) == ("b", 2)
        trial = study.ask()
        assert trial.params == points[0]
        study.tell(trial, trial["x"] ** 2)


def test_a_method_is_told_what_it_asked_and_not_what_was_made_of_it() -> None:
    """CMA-ES learns from the points that it drew: told the values of cells instead, it would find less."""
    space = Space(x=Float(-4, 4), n=Int(1, 9, log=True))
    study = Study(space=space, method=CMAES())
    study.run(lambda trial: trial["x"] ** 2 + trial["n"], trials=5)
    search = study.session.engine._at.search
    assert isinstance(search, Conversation)
    for number, (x, ticket, params) in search._asked.items():
        assert ticket == number
        assert params == study.trials[number].params
        assert abs(space.encode([params])[0, 1] - x[1]) > 1e-6


def test_a_method_that_waits_for_answers_keeps_nobody_waiting() -> None:
    for method in (CMAES(popsize=6), NSGA2(popsize=8)):
        directions = ("minimize",) if isinstance(method, CMAES) else ("minimize", "minimize")
        study = Study(space=SPACE, method=method, directions=directions)
        trials = [study.ask() for _ in range(20)]
        assert len({repr(trial.params) for trial in trials}) == 20
        for trial in reversed(trials):
            study.tell(trial, (trial["x"],) * len(directions))
        replayed(study)


def test_an_answer_that_comes_after_somebody_else_took_over_is_refused(tmp_path: Path) -> None:
    with Study(tmp_path / "s.db", space=SPACE, method=Uniform()) as study:
        trial = study.ask()
        study.log.release(trial.number, study.session.owner)
        row = study.log.claim("somebody", 30.0)
        assert row is not None
        with pytest.raises(StateMismatch, match="trial 0 was taken over by somebody else, whose answer counts"):
            study.tell(trial, 1.0)
        study.log.tell(0, "somebody", "done", [2.0])
        assert study.record(0).value == 2.0

        def late(trial: Trial) -> float:
            if trial.number == 1:
                study.log.tell(1, study.session.owner, "done", [7.0])
            return trial["x"]

        study.run(late, trials=3)
        assert [record.state for record in study.trials] == ["done"] * 4
        assert study.record(1).value == 7.0


def test_constraints_lead_the_methods_that_know_nothing_of_them() -> None:
    """The least value lies where a constraint is broken."""

    def f(trial: Trial) -> float:
        trial.constraint(trial["x"] - 1)
        return (trial["x"] - 3) ** 2

    for method in (CMAES(), DifferentialEvolution(popsize=8)):
        study = Study(space=Space(x=Float(-4, 4), y=Float(0, 1)), method=method, constraints=1)
        study.run(f, trials=120)
        assert study.best.params["x"] <= 1
        assert study.best.value < 4.1
        blind = Study(space=Space(x=Float(-4, 4), y=Float(0, 1)), method=method)
        blind.run(lambda trial: (trial["x"] - 3) ** 2, trials=120)
        assert sum(r.params["x"] <= 1 for r in blind.trials) < sum(r.params["x"] <= 1 for r in study.trials)


def test_failures_are_told_as_failures() -> None:
    study = Study(space=Space(x=Float(-4, 4), y=Float(0, 1)), method=CMAES())

    def f(trial: Trial) -> float:
        if trial["x"] < 0:
            raise ValueError
        return (trial["x"] + 0.5) ** 2

    study.run(f, trials=120)
    late = study.trials[60:]
    assert sum(record.state == "failed" for record in late) < 40
    assert study.best.params["x"] < 0.1


def test_a_space_with_conditions_is_kept_to_by_every_kind_of_method() -> None:
    def triangle(point: dict[str, float]) -> bool:
        return point["a"] + point["b"] <= 0.6

    space = Space(a=Float(0, 1), b=Float(0, 1)).where(triangle)
    for method in METHODS:
        study = Study(space=space, method=method)
        study.run(lambda trial: -trial["a"] - trial["b"], trials=25)
        assert all(triangle(record.params) for record in study.trials)
        replayed(study)


def test_the_key_is_used_by_trial_and_nothing_else() -> None:
    a, b = (Study(method=TPE(), key=Key(3)) for _ in range(2))
    for study in (a, b):
        study.run(suggest, trials=12)
    assert [r.params for r in a.trials] == [r.params for r in b.trials]
    assert isinstance(a.log, Memory)


def test_what_was_added_before_it_was_defined_is_taken_for_what_it_is() -> None:
    study = Study(method=TPE())
    study.add({"x": 1.0, "kind": "z", "y": "no number"}, 0.0)
    study.add({"x": 0.5}, 0.25)
    study.run(lambda trial: (trial.float("x", -4, 4) - 1) ** 2 + (trial.choice("kind", "a", "b") == "a"), trials=20)
    study.run(lambda trial: trial.float("y", 0, 1) + trial.choice("kind", "a", "b", "z").count("a"), trials=10)
    assert [record.state for record in study.trials] == ["done"] * 32
    assert study.trials[-1].params.keys() == {"y", "kind"}


def whole(study: Study) -> list[Any]:
    return [(trial.number, trial.params) for trial in study.trials]


@pytest.mark.parametrize("seed", range(4))
def test_points_that_wait_for_nothing_are_asked_for_without_looking(seed: int, tmp_path: Path) -> None:
    """Three at once who do not read what the others do: a fourth who compares everything finds it right."""
    path, key = tmp_path / "s.db", Key(seed)
    space = Space(x=Float(0, 1), n=Int(1, 9))
    studies = [Study(path, "s", space=space, method=Uniform(), key=7) for _ in range(3)]
    asked: list[tuple[Study, Trial]] = []
    for i, (who, what) in enumerate(key.integers(0, 12, 150, 2).tolist()):
        study = studies[who % 3]
        if what == 0:
            study.enqueue({"x": 0.5})
        elif what == 1:
            study.add({"x": 0.25, "n": 3}, i)
        elif what == 2:
            asked.append((study, study.ask({"n": 5})))
        elif what < 8 or not asked:
            asked.append((study, study.ask()))
        else:
            one, trial = asked.pop(who % len(asked))
            one.tell(trial, float(i))
    trials = studies[0].trials
    assert [trial.number for trial in trials] == list(range(len(trials)))
    alone = Study(space=space, method=Uniform(), key=7)
    points = [alone.ask().params for _ in trials]
    made = [trial for trial in trials if trial.origin == "asked"]
    assert [trial.params["x"] for trial in made] == [point["x"] for point in points[: len(made)]]
    assert len(made) > 40
    Study(path, "s").ask()  # who opens it compares all with the method


def test_a_grid_is_asked_once_by_all_together(tmp_path: Path) -> None:
    space = Space(x=Float(0, 1), n=Int(1, 5))
    studies = [Study(tmp_path / "s.db", "s", space=space, method=Grid(steps=4), key=0) for _ in range(3)]
    for i in range(20):
        study = studies[i * i % 3]
        study.tell(study.ask(), 0.0)
    points = [tuple(trial.params.values()) for trial in studies[0].trials]
    assert len({*points}) == 20
    for study in studies:
        with pytest.raises(InvalidValue, match="nothing left to ask"):
            study.ask()
