"""What every method promises. Each contract raises an AssertionError with a sentence if the promise is broken.

A method is anything with `needs`, `init` and `advance`. A contract is also given an estimator, or None where gradients
come from autograd.
"""

import io
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descend.errors import DescendError
from descend.estimate.base import Estimator
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Oracle
from descend.run import Evaluations, Method, Steps, minimize
from descend.testing.objectives import Failing, ellipsoid, shifted_sphere
from descend.tree import from_plain, map_tensors, to_plain

__all__ = [
    "CONTRACTS",
    "ignores_where_the_origin_is",
    "refuses_what_is_no_point",
    "repeats_under_a_key",
    "reports_what_it_evaluated",
    "resumes_at_every_step",
    "solves",
    "survives_failures",
]

_D = 5
_STEPS = 6


def _oracle(f: Callable[[Tensor], Any], estimator: Estimator | None) -> Oracle:
    if estimator is None:
        return Differentiable(f, batched=False)
    exact = estimator.needs & (Asks.GRADIENT | Asks.JVP)
    return (Differentiable if exact else Function)(f, batched=False) | estimator


def _start() -> Tensor:
    return torch.linspace(-1.0, 2.0, _D, dtype=torch.float64)


def _run(method: Method[Any], oracle: Oracle, x: Tensor, state: Any = None, steps: int = _STEPS) -> list[Any]:
    """The states from the first one on, each with memory of its own."""
    state = method.init(x, Key(5)) if state is None else state
    states = [_owned(state)]
    for _ in range(steps):
        state = method.advance(oracle, state)
        states.append(_owned(state))
    return states


def _owned(state: Any) -> Any:
    return map_tensors(lambda t: t.clone(), state)


def repeats_under_a_key(method: Method[Any], estimator: Estimator | None = None) -> None:
    """The same key gives the same iterates bit for bit, and the global random state is left alone."""
    random = torch.get_rng_state()
    first, again = (_run(method, _oracle(ellipsoid, estimator), _start()) for _ in range(2))
    assert all(torch.equal(a.x, b.x) for a, b in zip(first, again, strict=True)), f"{method!r} does not repeat itself"
    assert torch.equal(torch.get_rng_state(), random), f"{method!r} changes torch's global random state"


def resumes_at_every_step(method: Method[Any], estimator: Estimator | None = None) -> None:
    """Its state, saved without code after any step and loaded again, goes on bit for bit."""
    states = _run(method, _oracle(ellipsoid, estimator), _start())
    for k in range(_STEPS):
        file = io.BytesIO()
        torch.save(to_plain(states[k]), file)
        file.seek(0)
        loaded = from_plain(torch.load(file, weights_only=True))
        again = _run(method, _oracle(ellipsoid, estimator), _start(), loaded, _STEPS - k)
        same = all(torch.equal(a.x, b.x) for a, b in zip(states[k:], again, strict=True))
        assert same, f"{method!r} goes another way when it is resumed at step {k}"


def ignores_where_the_origin_is(method: Method[Any], estimator: Estimator | None = None) -> None:
    """Moving the problem moves the iterates with it. (Not for weight decay, nor for a radius that follows x.)"""
    shift = torch.full((_D,), 4.0, dtype=torch.float64)  # exact in binary, as far as it goes
    here = _run(method, _oracle(ellipsoid, estimator), _start())
    there = _run(method, _oracle(lambda x: ellipsoid(x - shift), estimator), _start() + shift)
    for k, (a, b) in enumerate(zip(here, there, strict=True)):
        error = float((b.x - shift - a.x).norm() / (1 + a.x.norm()))
        assert error < 1e-5, f"{method!r} goes another way where the origin is elsewhere: {error:.2g} after {k} steps"


def survives_failures(method: Method[Any], estimator: Estimator | None = None) -> None:
    """A few NaN, infinite or raising evaluations, or a constant objective: the iterate stays finite, and it goes on."""
    for how in (math.nan, math.inf, ValueError("no such point")):
        f = Failing(ellipsoid, {3, 4, 9, 20, 30}, how)
        states = _run(method, _quiet(f, estimator), _start(), steps=12)
        assert all(torch.isfinite(s.x).all() for s in states), f"{method!r} does not stay finite after {how!r}"
        solved = float(ellipsoid(states[-1].x)) < 1e-6 * float(ellipsoid(_start()))
        moved = not torch.equal(states[-1].x, states[-4].x)
        assert moved or solved, f"{method!r} never moves again after {how!r}"
    states = _run(method, _oracle(lambda x: 0 * x.sum() + 3.0, estimator), _start(), steps=8)
    assert torch.isfinite(states[-1].x).all(), f"{method!r} does not stay finite on a constant"


def _quiet(f: Failing, estimator: Estimator | None) -> Oracle:
    """An oracle that has failed before, so that it neither warns nor takes the first failure for a mistake."""
    oracle = _oracle(f, estimator)
    oracle.ledger.fail("before")
    oracle.ledger.charge("value")
    return oracle


def refuses_what_is_no_point(method: Method[Any], estimator: Estimator | None = None) -> None:
    """A matrix, or a tensor of integers, is refused in a sentence that says what it was."""
    for wrong, word in ((torch.zeros(2, 3), "(2, 3)"), (torch.zeros(3, dtype=torch.long), "int64")):
        said = _refusal(method, wrong)
        assert said is not None, f"{method!r} takes {word} for a point"
        assert word in said, f"{method!r} refuses {word} without saying so: {said}"


def _refusal(method: Method[Any], x: Tensor) -> str | None:
    try:
        method.init(x, Key(0))
    except DescendError as error:
        return str(error)
    return None


def reports_what_it_evaluated(method: Method[Any], estimator: Estimator | None = None) -> None:
    """`minimize` reports an x that was evaluated, with the value that evaluating it again gives."""
    seen = []

    def f(x: Tensor) -> Tensor:
        seen.append(x.detach().clone())
        return ellipsoid(x)

    exact = estimator is None or bool(estimator.needs & (Asks.GRADIENT | Asks.JVP))
    objective = (Differentiable if exact else Function)(f, batched=False)
    result = minimize(objective, _start(), estimator=estimator, method=method, until=Steps(8), key=0)
    assert result.fun == float(ellipsoid(result.x)), f"{method!r} reports {result.fun}, and f(x) is something else"
    assert any(torch.equal(x, result.x) for x in seen), f"{method!r} reports a point that was never evaluated"
    if estimator is None or not estimator.needs & Asks.JVP:  # forward mode may run several tangents in one call
        assert result.total == len(seen), f"{method!r} made {len(seen)} evaluations and reports {result.total}"


def solves(
    method: Method[Any],
    estimator: Estimator | None,
    evaluations: int,
    *,
    f: Callable[[Tensor], Tensor] = shifted_sphere,
    accuracy: float = 1e-6,
    x0: Tensor | None = None,
) -> None:
    """Within this many evaluations f falls below `accuracy` times its value at the start.

    Args:
        evaluations: of whatever kind; a gradient by autograd counts as one.
        f: with minimum 0; default an asymmetric bowl on [10, 20]^5, started in a corner.
        x0: where to start, default (20, 10, 20, 10, 20).
    """
    start = torch.tensor([20.0, 10.0, 20.0, 10.0, 20.0], dtype=torch.float64) if x0 is None else x0
    exact = estimator is None or bool(estimator.needs & (Asks.GRADIENT | Asks.JVP))
    oracle = (Differentiable if exact else Function)(f)
    result = minimize(oracle, start, estimator=estimator, method=method, until=Evaluations(evaluations), key=0)
    assert result.total <= evaluations, f"{method!r} made {result.total} evaluations of {evaluations}"
    reached = result.last_fun / float(f(start))
    assert reached <= accuracy, f"{method!r} ends at {reached:.2g} of the start after {result.total} evaluations"


CONTRACTS: tuple[Callable[..., None], ...] = (
    repeats_under_a_key,
    resumes_at_every_step,
    ignores_where_the_origin_is,
    survives_failures,
    refuses_what_is_no_point,
    reports_what_it_evaluated,
)
"""What holds for every method; `solves` needs a budget."""
