"""A study is a function of its log: ended anywhere, it goes on as if it had not been, bit for bit, by any method."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from descend.direct.filling import Filling, Uniform
from descend.direct.grid import Grid
from descend.errors import InvalidValue, StateMismatch
from descend.key import Key
from descend.model.modelled import Modelled
from descend.pareto.nsga2 import NSGA2
from descend.population.cma import CMAES
from descend.population.local_search import LocalSearch
from descend.run.named import method_names, part_from_text
from descend.space import Choice, Float, Int, Permutation, Space, When
from descend.study import Study, Trial

SPACE = Space(
    x=Float(-4, 4), n=Int(1, 64, log=True), kind=Choice("a", "b", "c"), d=When("kind", ("b", "c"), Float(0, 1))
)
ARGUMENTS = {
    "Racing": "Racing(CMAES())",
    "Restarts": "Restarts(CMAES())",
    "AugmentedLagrangian": "",
    "FeasibleFirst": "",
}
"""Methods around a method; those for constraints have no use here."""

Entry = tuple[Any, tuple[float, ...] | None]


def of_space(trial: Trial) -> float:
    p = trial.params
    return (p["x"] - 1) ** 2 + (p["kind"] == "a") + p.get("d", 0.3) + p["n"] / 64


def defining(trial: Trial) -> float:
    x, n = trial.float("x", -4, 4), trial.int("n", 1, 64, log=True)
    kind = trial.choice("kind", "a", "b", "c")
    d = trial.float("d", 0, 1) if kind != "a" else 0.3
    return (x - 1) ** 2 + (kind == "a") + d + n / 64


def entries(study: Study) -> list[Entry]:
    return [(record.params, record.values) for record in study.trials]


def method_of(name: str) -> Any:
    text = ARGUMENTS.get(name, name)
    return part_from_text(text) if text else None


@pytest.mark.parametrize("name", method_names())
@pytest.mark.parametrize("objective", [of_space, defining])
def test_every_method_resumes_bit_for_bit(name: str, objective: Callable[[Trial], float], tmp_path: Path) -> None:
    method = method_of(name)
    if method is None:
        return
    n, cut = (13, 6) if isinstance(method, Modelled) else (26, 13)
    space: Any = SPACE if objective is of_space else None
    if isinstance(method, LocalSearch):
        space = Space(order=Permutation(5))
        objective = lambda trial: sum(abs(k - item) for k, item in enumerate(trial["order"]))  # noqa: E731
    whole = Study(space=space, method=method, key=5)
    whole.run(objective, trials=n)
    with Study(tmp_path / "s.db", space=space, method=method, key=5) as part:
        part.run(objective, trials=cut)
    with Study(tmp_path / "s.db") as rest:  # all that is not said stands in the file
        rest.run(objective, trials=n - cut)
        assert entries(rest) == entries(whole)
    # enough was asked to tell two runs apart
    other = Study(space=space, method=method, key=6)
    other.run(objective, trials=n)
    assert entries(other) != entries(whole) or isinstance(method, Grid) or name in DETERMINISTIC


DETERMINISTIC = {
    "AxisSearch", "CoordinateSearch", "NelderMead", "PatternSearch", "Portfolio", "Powell", "QuasiNewton", "Relay",
    "RotatingCoordinates", "Tabu",
}  # fmt: skip
"""In these few trials nothing is drawn."""


def names_of(method: Any) -> str:
    return type(method).__name__


def cut(method: Any, objective: Callable[[Trial], float], folder: Path, seeds: range) -> None:
    """Compare a whole run of 30 trials with runs that end at up to six random places."""
    space = SPACE if objective is of_space else None
    whole = Study(space=space, method=method)
    whole.run(objective, trials=30)
    for seed in seeds:
        cuts = sorted({0, 30, *Key(seed).integers(1, 30, 6).tolist()})
        for first, last in pairwise(cuts):
            with Study(folder / f"{seed}.db", space=space, method=method) as study:
                study.run(objective, trials=last - first)
        with Study(folder / f"{seed}.db", readonly=True) as study:
            assert entries(study) == entries(whole), cuts


@pytest.mark.parametrize("method", [Uniform(), CMAES(), part_from_text("TPE")], ids=names_of)
@pytest.mark.parametrize("objective", [of_space, defining])
def test_cuts_at_any_place_change_nothing(method: Any, objective: Callable[[Trial], float], tmp_path: Path) -> None:
    cut(method, objective, tmp_path, range(1))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Uniform", "CMAES", "DifferentialEvolution", "TPE", "Bayes", "Forest", "Automatic"])
@pytest.mark.parametrize("objective", [of_space, defining])
def test_a_hundred_cuts_change_nothing(name: str, objective: Callable[[Trial], float], tmp_path: Path) -> None:
    cut(part_from_text(name), objective, tmp_path, range(1, 18))


def test_resumed_random_search_repeats_no_point(tmp_path: Path) -> None:
    for trials in (20, 40):
        with Study(tmp_path / "s.db", space=SPACE, method=Uniform()) as study:
            study.run(of_space, trials=20)
            assert len({repr(record.params) for record in study.trials}) == len(study.trials) == trials


def test_several_objectives_resume(tmp_path: Path) -> None:
    def two(trial: Trial) -> tuple[float, float]:
        return trial.float("x", 0, 1), (trial["x"] - 0.5) ** 2 + trial.float("y", 0, 1)

    method, directions = NSGA2(popsize=8), ("maximize", "minimize")
    whole = Study(method=method, directions=directions)
    whole.run(two, trials=40)
    for _ in range(2):
        with Study(tmp_path / "s.db", method=method, directions=directions) as study:
            study.run(two, trials=20)
    with Study(tmp_path / "s.db") as study:
        assert entries(study) == entries(whole)
    front = whole.front
    assert all(
        not (b.values[0] >= a.values[0] and b.values[1] <= a.values[1] and a.values != b.values)
        for a in front
        for b in whole.trials
        if a.values and b.values
    )


@pytest.mark.parametrize("method", [Uniform(), CMAES(), part_from_text("TPE")], ids=names_of)
def test_answers_that_come_late_and_out_of_order_resume_too(method: Any, tmp_path: Path) -> None:
    """Four trials are always under way, and what is answered is drawn; the log is opened again at every tenth."""

    def go(study: Study, order: list[int], waiting: list[Any], steps: range) -> None:
        for step in steps:
            while len(waiting) < 4:
                waiting.append(study.ask())
            trial = waiting.pop(order[step] % len(waiting))
            study.tell(trial, math.nan if trial.number % 7 == 3 else of_space(trial))

    order = torch.randint(0, 4, (40,), generator=Key(8).generator()).tolist()
    whole = Study(space=SPACE, method=method)
    go(whole, order, [], range(40))
    study = Study(tmp_path / "s.db", space=SPACE, method=method)
    waiting: list[Any] = []
    for first in range(0, 40, 10):
        go(study, order, waiting, range(first, first + 10))
        # an engine that has read the same log from its beginning asks the same
        with Study(tmp_path / "s.db") as again:
            again.session.mirror.sync()
            number = len(again.session.mirror.rows)
            anew = again.session.engine.propose(number, len(again.session.mirror.order))
        study.session.mirror.sync()
        assert study.session.engine.propose(number, len(study.session.mirror.order)) == anew
    assert [(r.params, r.state) for r in study.trials] == [(r.params, r.state) for r in whole.trials]
    study.close()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"method": Uniform(size=16)},
            "was begun with another method: Uniform(size=32), and now it is Uniform(size=16)",
        ),
        ({"key": 1}, "was begun with another key: 0, and now it is 1"),
        ({"space": Space(x=Float(0, 1))}, "was begun with another space"),
        ({"directions": "maximize"}, "was begun with another directions"),
        ({"repeats": "avoid"}, "was begun with another repeats: allow, and now it is avoid"),
        ({"batch": 2}, "was begun with another batch"),
        ({"constraints": 1}, "was begun with another constraints: 0, and now it is 1"),
    ],
)
def test_a_study_that_was_begun_with_something_else_is_refused_and_left_alone(
    change: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.db"
    with Study(path, space=SPACE, method=Uniform()) as study:
        study.run(of_space, trials=3)
        before = entries(study)
    content = path.read_bytes()
    with pytest.raises(StateMismatch) as found:
        Study(path, **change)
    assert sentence in str(found.value)
    assert path.read_bytes() == content
    with Study(path, readonly=True) as study:
        assert entries(study) == before


def test_a_log_of_another_method_is_noticed_at_the_first_trial_that_differs(tmp_path: Path) -> None:
    class Sly(Filling):
        """Random points that are not a function of the key."""

        size = 1
        shift = 0.0

        def __repr__(self) -> str:
            return "Sly()"

        def cube(self, block: int, key: Key, d: int) -> torch.Tensor:
            numbers = torch.arange(self.rows * d, dtype=torch.float64).reshape(self.rows, d) / (self.rows * d)
            numbers[7:] += self.shift
            return numbers.remainder(1.0)

    space = Space(x=Float(0, 1))
    with Study(tmp_path / "s.db", space=space, method=Sly()) as study:
        study.run(lambda trial: trial["x"], trials=10)
    Sly.shift = 0.125
    with Study(tmp_path / "s.db", method=Sly()) as study:
        with pytest.raises(StateMismatch, match=r"trial 7 was made at \{'x': 0.02\d+\}, and now \{'x': 0.15\d+\}"):
            study.run(lambda trial: trial["x"], trials=1)
        assert len(study.trials) == 10


def test_a_method_of_ones_own_has_to_be_given_again(tmp_path: Path) -> None:
    class Mine(Uniform):
        pass

    with Study(tmp_path / "s.db", space=SPACE, method=Mine()) as study:
        study.run(of_space, trials=2)
    with Study(tmp_path / "s.db") as study:
        assert len(study.trials) == 2  # to look at it, nobody is needed
        with pytest.raises(InvalidValue, match="your own: write Study"):
            study.ask()
    with Study(tmp_path / "s.db", method=Mine()) as study:
        study.run(of_space, trials=1)


def test_a_grid_is_asked_to_its_end_in_any_number_of_sittings(tmp_path: Path) -> None:
    space = Space(k=Choice("a", "b"), n=Int(1, 3))
    reasons, points = [], []
    for _ in range(4):
        with Study(tmp_path / "s.db", space=space, method=Grid()) as study:
            reasons.append(study.run(lambda trial: trial["n"], trials=2))
            points = [tuple(record.params.values()) for record in study.trials]
    assert sorted(points) == [(k, n) for k in "ab" for n in (1, 2, 3)]
    assert reasons[:3] == ["2 trials were made"] * 3
    assert "all points that Grid" in reasons[3]
