"""Traces: made by hand, or read from what a run keeps."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.plot import Trace, trace
from descend.run.result import History, Result


def result() -> Result:
    """What a run of three steps gives."""
    history = History(
        steps=np.array([1, 2, 3]),
        evaluations=np.array([2, 4, 6]),
        seconds=np.array([0.1, 0.2, 0.3]),
        loss=np.array([3.0, 2.0, 1.0]),
        value=np.array([math.nan, 2.0, math.nan]),
    )
    return Result(
        np.zeros(1), 1.0, np.zeros(1), 1.0, {"value": 6}, "enough", "CMAES()", 3, 0, 0, "", 0.3, history, Key(0)
    )


def test_a_result_is_drawn_as_it_is() -> None:
    run = Trace.of(result(), "SPSA")
    assert (list(run.x("steps")), list(run.x("evaluations")), list(run.x("seconds"))) == (
        [1, 2, 3],
        [2, 4, 6],
        [0.1, 0.2, 0.3],
    )
    assert list(run.y("loss")) == [3.0, 2.0, 1.0]
    ax = trace({"SPSA": result(), "Adam": run}).axes[0]
    assert [line.get_label() for line in ax.lines] == ["SPSA", "Adam"]


def test_labels_are_given_or_its_own_or_numbers() -> None:
    def labels(*runs: Trace, given: list[str] | None = None) -> list[str]:
        return [str(line.get_label()) for line in trace(runs, x="steps", labels=given).axes[0].lines]

    one, other = Trace("a", [1.0]), Trace("", [1.0])
    assert labels(one, other) == ["a", "run 2"]
    assert labels(one, other, given=["x", "y"]) == ["x", "y"]
    assert trace(other, x="steps").axes[0].get_legend() is None


def test_a_trace_takes_tensors_and_keeps_its_own_copy() -> None:
    losses = torch.tensor([3.0, 1.0])
    run = Trace("a", losses, seconds=[0.0, 1.0])
    losses[0] = 99.0
    assert list(run.y("loss")) == [3.0, 1.0]
    with pytest.raises(ValueError, match="read-only"):
        run.x("seconds")[0] = 5.0


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Trace("a", []), "'a' has no losses"),
        (lambda: Trace("a", [[1.0], [2.0]]), r"shape \(2, 1\)"),
        (lambda: Trace("a", ["x"]), "not one number"),
        (lambda: Trace("a", [1.0, 2.0], evaluations=[1]), "2 losses but 1 evaluations"),
        (lambda: Trace("a", [1.0, 2.0], evaluations=[2, 1]), "decrease"),
        (lambda: Trace("a", [1.0, 2.0], seconds=[0.0, math.nan]), "seconds.*not finite"),
        (lambda: Trace.of(SimpleNamespace(history=SimpleNamespace(loss=[1.0]))), "cannot? be drawn|can be drawn"),
    ],
)
def test_wrong_input_gets_a_sentence(make, sentence: str) -> None:
    with pytest.raises((InvalidValue, ShapeMismatch), match=sentence):
        make()
