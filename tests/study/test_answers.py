"""What a model may know: of the answers in their order, and of the questions without one."""

import math

import torch

from descend.model.tpe import TPE
from descend.space import Float, Space
from descend.study import Study
from descend.study.answers import Answers
from descend.study.frame import Frame

SPACE = Space(x=Float(-4, 4), y=Float(1, 100, log=True))


def known(study, number, after, constraints=0):
    mirror = study.session.mirror
    mirror.sync()
    return Answers(mirror, Frame(SPACE), constraints, False).history(number, after)


def coordinates(trial):
    return [(trial["x"] + 4) / 8, math.log(trial["y"]) / math.log(100)]


def test_questions_without_an_answer_wait():
    study = Study(space=SPACE, method=TPE())
    trials = [study.ask() for _ in range(3)]
    points = torch.tensor([coordinates(trial) for trial in trials], dtype=torch.float64)
    torch.testing.assert_close(known(study, 3, 0).waiting, points)
    study.tell(trials[1], 7.0)
    found = known(study, 3, 1)
    torch.testing.assert_close(found.us, points[1:2])
    torch.testing.assert_close(found.waiting, points[[0, 2]])
    study.tell(trials[2], 5.0)
    study.tell(trials[0], 6.0)
    found = known(study, 3, 3)
    assert found.waiting.shape == (0, 2)
    assert found.values[:, 0].tolist() == [6.0, 7.0, 5.0]  # as they were asked for
    torch.testing.assert_close(found.us, points)
    # what was known before the last two answers came
    torch.testing.assert_close(known(study, 3, 1).waiting, points[[0, 2]])
    torch.testing.assert_close(known(study, 1, 0).waiting, points[:1])


def test_violations_that_nobody_stated_are_none():
    study = Study(space=SPACE, method=TPE(), constraints=2)
    trial = study.ask()
    trial.constraint(0.5, -1.0)
    study.tell(trial, 1.0)
    study.add({"x": 0.0, "y": 10.0}, 2.0)
    assert known(study, 2, 2, 2).violations.tolist() == [[0.5, -1.0], [0.0, 0.0]]
    assert known(study, 2, 2).violations.shape == (2, 0)
