"""A copy of a log is the log, in whatever order its changes come; and what a model is told is what the log says."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from descend.key import Key
from descend.log import Memory
from descend.model.modelled import History, Modelled
from descend.space import Choice, Float, Space
from descend.study import Pruned, Study, Trial
from descend.study.mirror import Mirror


def told(log: Memory, *numbers: int) -> None:
    for number in numbers:
        log.tell(number, "me", "done", [float(number)])


@pytest.mark.parametrize("step", [1, 3, 100])
def test_a_mirror_that_is_behind_comes_to_the_same(step: int) -> None:
    log, followed = Memory(), Mirror(Memory(), (1.0,))
    followed._log = log
    acts = [
        *(lambda n=n: log.ask(n, 0, {"x": n}, "me", 30.0) for n in range(6)),
        lambda: told(log, 4, 1, 5),
        lambda: log.note(4, {"seen": 1}),
        lambda: log.enqueue({"x": 9}),
        lambda: told(log, 0, 3),
        lambda: log.note(1, {".definitions": 3}),
        lambda: log.note(0, {"seen": 2}),
    ]
    for turn, act in enumerate(acts):
        act()
        if turn % step == step - 1:
            followed.sync()
    followed.sync()
    fresh = Mirror(log, (1.0,))
    fresh.sync()
    for mirror in (followed, fresh):
        assert mirror.rows == sorted(log.sync(0)[0], key=lambda row: row.number)
        assert mirror.order == [4, 1, 5, 0, 3]
        assert sorted(mirror.open) == [2, 6]
        assert mirror.recorded == 3


def test_reports_have_the_sign_of_what_is_minimized_and_know_what_became_of_trials() -> None:
    study = Study(space=Space(x=Float(0, 1)), method=Spy(), directions=("maximize", "minimize"))

    def f(trial: Trial) -> tuple[float, float]:
        trial.report(3, (1.0, 2.0))
        if trial.number:
            raise Pruned
        return 5.0, 6.0

    study.run(f, trials=2)
    reports = study.reports
    assert reports.curve(0).values.tolist() == [[-1.0, 2.0]]
    assert (reports.curve(0).state, reports.curve(1).state) == ("done", "pruned")
    assert reports.results()[1].tolist() == [[-5.0, 6.0]]
    assert study.record(1).reports == {3: (1.0, 2.0)}
    assert study.record(1).values == (1.0, 2.0)


@dataclass(frozen=True)
class Spy(Modelled):
    """Random points, and a note of all that it was told."""

    notes: ClassVar[list[tuple[History, Key]]] = []

    def propose(self, history: History, n: int, key: Key) -> Tensor:
        self.notes.append((history, key))
        return key.uniform(n, history.dim, like=history.us)


def test_a_model_is_told_what_the_log_says() -> None:
    space = Space(x=Float(-4, 4), k=Choice("a", "b", "c"), free=Float(location=2, scale=3))
    study = Study(space=space, method=Spy(), directions="maximize", constraints=1, key=5)
    Spy.notes.clear()
    trials = [study.ask() for _ in range(4)]
    for number in (2, 0):
        trials[number].constraint(number - 1.0)
        study.tell(trials[number], 10.0 + number)
    study.tell(trials[3], math.nan)
    study.add({"x": 1.0, "k": "b", "free": 5.0}, 7.0)
    last = study.ask()
    history, key = Spy.notes[-1]
    assert [noted for _, noted in Spy.notes] == [Key(5).fold("trial", number) for number in (0, 1, 2, 3, 5)]
    assert key == Key(5).fold("trial", last.number)
    # in the order in which they were asked for; what is maximized has the other sign
    assert torch.equal(history.values[:, 0].nan_to_num(nan=99.0), torch.tensor([-10.0, -12.0, 99.0, -7.0]).double())
    assert history.violations.tolist() == [[-1.0], [1.0], [0.0], [0.0]]
    points = [study.trials[number].params for number in (0, 2, 3, 4)]
    expected = history.cube.inside(space.encode(points))
    assert history.us.shape == expected.shape
    assert torch.allclose(history.us, expected, rtol=0, atol=1e-12)
    waiting = history.cube.inside(space.encode([trials[1].params]))
    assert history.waiting.shape == waiting.shape
    assert torch.allclose(history.waiting, waiting, rtol=0, atol=1e-12)
    assert history.asked == 5


def test_a_model_in_batches_is_told_whole_batches_and_what_was_asked_for_since() -> None:
    study = Study(space=Space(x=Float(0, 1)), method=Spy(), batch=3)
    Spy.notes.clear()
    trials: list[Any] = []
    for number in range(9):
        trials.append(study.ask())
        if number % 3 == 2:
            for trial in reversed(trials):
                study.tell(trial, float(trial.number))
            trials.clear()
        elif number == 4:
            study.tell(trials.pop(), 4.0)  # nobody may see it before the batch is complete
    for number, (history, _) in enumerate(Spy.notes):
        first = number // 3 * 3
        assert history.values[:, 0].tolist() == [float(n) for n in range(first)]
        assert len(history.waiting) == number - first
        shown = [study.trials[n].params["x"] for n in range(first, number)]
        assert np.allclose(history.waiting[:, 0], shown, rtol=0, atol=1e-15)
