"""What every step rule promises. Each contract raises an AssertionError with a sentence if the promise is broken."""

import io
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descend.direction import as_dense
from descend.key import Key
from descend.oracle import Asks, Residuals, Slope
from descend.step.base import Moved, Step
from descend.tree import from_plain, map_tensors, to_plain

__all__ = [
    "CONTRACTS",
    "descends_if_it_asks",
    "gives_up_in_words_and_time",
    "leaves_its_inputs_alone",
    "resumes_at_every_step",
    "tells_the_value_where_it_leads",
]

_STEPS = 6
_PATIENCE = 100
"""Evaluations after which a step rule has to have given up, in 4 dimensions."""


def _forward(x: Tensor) -> Tensor:
    """A curved fit in 4 dimensions with condition number 100, as residuals, so that a rule may ask for anything."""
    weights = torch.tensor([1.0, 2.0, 5.0, 10.0], dtype=x.dtype)
    return weights * (x - 1 + 0.1 * x.roll(1).square())


def _start() -> Tensor:
    return torch.tensor([-1.0, 2.0, 0.5, -0.5], dtype=torch.float64)


def _moved(rule: Step[Any], oracle: Residuals, x: Tensor, state: Any, k: int, longer: float = 1.0) -> Moved[Any]:
    """One step along the gradient times a number."""
    slope = oracle.gradient(x, Key(k))
    gradient = as_dense(slope.gradient, x)
    return rule(oracle, x, longer * gradient, Slope(gradient.clone(), slope.value), state, Key(k))


def tells_the_value_where_it_leads(rule: Step[Any]) -> None:
    """The value that it states is f at the point that it returns."""
    oracle, x = Residuals(_forward), _start()
    state = rule.init(x)
    for k in range(_STEPS):
        moved = _moved(rule, oracle, x, state, k)
        x, state = moved.x, moved.state
        if not math.isnan(moved.value):
            truth = oracle.value(x, Key(0))
            assert math.isclose(moved.value, truth, rel_tol=1e-12), (
                f"{rule!r} says f = {moved.value}, and it is {truth}"
            )


def descends_if_it_asks(rule: Step[Any]) -> None:
    """A rule that asks for values never leads uphill, however long or wrong the direction."""
    if not rule.needs & (Asks.VALUE | Asks.RESIDUALS):
        return
    for longer in (1.0, 1e6, 1e-6, -1.0, 0.0):
        oracle, x = Residuals(_forward), _start()
        state = rule.init(x)
        for k in range(3):
            before = oracle.value(x, Key(0))
            moved = _moved(rule, oracle, x, state, k, longer)
            x, state = moved.x, moved.state
            after = oracle.value(x, Key(0))
            assert after <= before, f"{rule!r} went uphill from {before} to {after} along {longer:g} times the gradient"


def leaves_its_inputs_alone(rule: Step[Any]) -> None:
    """Neither the iterate nor the direction nor the gradient is overwritten."""
    oracle, x = Residuals(_forward), _start()
    slope = oracle.gradient(x, Key(0))
    gradient = as_dense(slope.gradient, x)
    direction = 0.5 * gradient
    kept = [t.clone() for t in (x, direction, gradient)]
    rule(oracle, x, direction, slope, rule.init(x), Key(0))
    for name, now, before in zip(("iterate", "direction", "gradient"), (x, direction, gradient), kept, strict=True):
        assert torch.equal(now, before), f"{rule!r} overwrites the {name}"


def resumes_at_every_step(rule: Step[Any]) -> None:
    """Its state, saved without code after any step and loaded again, goes on bit for bit."""
    oracle, x = Residuals(_forward), _start()
    state = rule.init(x)
    points, states = [x], [map_tensors(lambda t: t.clone(), state)]
    for k in range(_STEPS):
        moved = _moved(rule, oracle, points[-1], state, k)
        state = moved.state
        points.append(moved.x)
        states.append(map_tensors(lambda t: t.clone(), state))
    for k in range(_STEPS):
        file = io.BytesIO()
        torch.save(to_plain(states[k]), file)
        file.seek(0)
        state, x = from_plain(torch.load(file, weights_only=True)), points[k]
        for j in range(k, _STEPS):
            moved = _moved(rule, oracle, x, state, j)
            x, state = moved.x, moved.state
            assert torch.equal(x, points[j + 1]), f"{rule!r} resumed at step {k} differs at step {j}"


class _Hostile:
    """Residuals that are as they should be at the start, and elsewhere constant or not finite."""

    def __init__(self, elsewhere: float) -> None:
        self.elsewhere, self.home = elsewhere, _start()

    def __call__(self, x: Tensor) -> Tensor:
        at_home = (x.detach() == self.home).all()
        return torch.where(at_home, _forward(x), _forward(x) * 0 + self.elsewhere)


def gives_up_in_words_and_time(rule: Step[Any]) -> None:
    """Where f is constant, NaN or infinite everywhere else, the point stays finite and the search ends soon."""
    for elsewhere in (math.nan, math.inf, 1e200, 1e3, 0.0):
        x = _start()
        honest = Residuals(_forward).gradient(x, Key(0))
        gradient = as_dense(honest.gradient, x)
        state = rule.init(x)
        for longer in (1.0, 1e8):
            oracle = Residuals(_Hostile(elsewhere))
            moved = rule(oracle, x, longer * gradient, Slope(gradient.clone(), honest.value), state, Key(0))
            state = moved.state
            assert torch.isfinite(moved.x).all(), f"{rule!r} leads to a point that is not finite where f is {elsewhere}"
            made = oracle.ledger.total
            assert made <= _PATIENCE, f"{rule!r} made {made} evaluations of a function that is {elsewhere} elsewhere"
            if not math.isnan(moved.value):
                assert math.isfinite(moved.value), f"{rule!r} returns the value {moved.value}"


CONTRACTS: tuple[Callable[[Step[Any]], None], ...] = (
    tells_the_value_where_it_leads,
    descends_if_it_asks,
    leaves_its_inputs_alone,
    resumes_at_every_step,
    gives_up_in_words_and_time,
)
"""What holds for every step rule."""
