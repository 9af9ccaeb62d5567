"""The result: a bounded history, and a repr that fits on a screen."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from descend.key import Key
from descend.run.result import Result, Trace


def traced(n: int) -> Trace:
    trace = Trace()
    for i in range(1, n + 1):
        trace.add((i, 2 * i, 0.1 * i, 1 / i, math.nan))
    return trace


@pytest.mark.parametrize("n", [0, 1, 2, 2047, 2048, 2049, 4096, 5000, 100_000])
def test_a_history_is_even_bounded_and_ends_with_the_last_step(n: int) -> None:
    trace = traced(n)
    assert len(trace.rows) < Trace.LENGTH
    history = trace.history()
    assert len(history) <= Trace.LENGTH
    if n:
        assert history.steps[0] == 1
        assert history.steps[-1] == n
        assert len(history) >= min(n, Trace.LENGTH // 2)
        gaps = np.diff(history.steps)
        assert len(set(gaps[:-1])) <= 1  # even, but for the last
        assert np.array_equal(history.evaluations, 2 * history.steps)
    assert np.isnan(history.value).all()
    assert history.steps.dtype == np.int64


def result(x: Any, **changes: Any) -> Result:
    found = Result(
        x=x, fun=0.5, last_x=x, last_fun=0.5, evaluations={"value": 7, "gradient": 2}, reason="7 steps were taken",
        method="CMAES()", steps=7, rejected=0, failures=0, last_failure="", seconds=0.25,
        history=traced(7).history(), key=Key(3),
    )  # fmt: skip
    return replace(found, **changes)


def test_repr_says_what_was_found_and_why_the_run_stopped() -> None:
    assert repr(result(np.array([1.0, 2.0]))).splitlines() == [
        "Result of 7 steps, 9 evaluations (7 value, 2 gradient), 0.25 s",
        "  fun      0.5",
        "  x        array([1., 2.])",
        "  method   CMAES()",
        "  stopped  7 steps were taken",
        "  key      Key(seed=3)",
    ]
    assert result(np.zeros(1)).total == 9


@pytest.mark.parametrize("x", [np.zeros((40, 40)), torch.zeros(10**6), np.linspace(0, 1, 50)])
def test_repr_stays_short(x: Any) -> None:
    text = repr(result(x, last_fun=3.0, failures=4, rejected=2, last_failure="ValueError: outside"))
    assert len(text) < 500
    assert f"of shape {tuple(x.shape)}" in text
    assert "last_fun 3.0" in text
    assert "4 evaluations, 2 steps rejected; ValueError: outside" in text
