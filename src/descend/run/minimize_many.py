"""minimize_many: several objectives at once, within a budget, whatever fails."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from descend.errors import BudgetExhausted, CompositionError, InvalidValue
from descend.key import Key, as_key
from descend.oracle import OnFailure
from descend.oracle.bounded import as_bounds
from descend.oracle.ledger import Ledger
from descend.pareto.base import Crowd, Many, front_of
from descend.pareto.nsga2 import NSGA2
from descend.run.front import Front
from descend.run.point import Start
from descend.run.rows import Rows
from descend.run.until import Both, Either, Evaluations, NoImprovement, Progress, StepNorm, Target, Until
from descend.space import Leaf, Space, as_space
from descend.space.domain import Domain

__all__ = ["minimize_many"]

_IDLE = 1000
"""Generations without an evaluation after which a run ends: all points violate constraints, and none is near."""


def minimize_many(
    f: Callable[..., Any],
    x0: Any,
    *,
    method: Many | None = None,
    until: Until | None = None,
    bounds: Any = None,
    constraints: Any = None,
    limits: int = 0,
    batched: bool = False,
    key: Key | int | None = None,
    callback: Callable[[Crowd], Any] | None = None,
    on_failure: OnFailure | None = None,
) -> Front:
    """The points that no other one is better than in every objective.

    Args:
        f: takes an array like x0, or a point of the space, and returns m numbers, all to be small. It may raise, or
            return NaN: then the point is worse than all others.
        x0: where to look: a tensor, an array, a list or a number, which is one of the first points; or a `Space`.
        method: `NSGA2()` by default; `SMSEMOA()` for the best hypervolume of two or three objectives, `NSGA3()` or
            `MOEAD()` for a front that is covered evenly in all directions.
        until: `Evaluations`, `Steps` (generations) or `Seconds`; default 250 generations.
        bounds: (low, high), as for `minimize`. Without bounds the first points are normal around x0, 1 being a typical
            length, so that bounds help a lot.
        constraints: a function g of a point, or a `Constraint`, or several, that hold where g(point) <= 0. They are
            cheap: they are not counted, and f is not evaluated where one does not hold.
        limits: how many of the numbers that f returns, the last ones, are no objectives but constraints, which hold
            where they are <= 0; default 0.
        batched: whether f takes all points of a generation at once, (n, ...) or a list of points of the space, and
            returns (n, m); default False.
        key: randomness, a `Key` or an integer; default fresh entropy.
        callback: called with the method's state after every generation, see `front_of`; the run stops if it returns
            True.
        on_failure: what a failed evaluation does, default `Reject()`.

    Returns:
        The front and how it was found, see `Front`. Ctrl-C at any time ends the run and returns it too.

    Raises:
        InvalidValue, CompositionError, ShapeMismatch: an argument, or an answer of f, that cannot mean anything.
        Exception: whatever f raises at its very first evaluation, or at any with ``on_failure=Raise()``.

    >>> front = minimize_many(
    ...     lambda x: (x[0] ** 2, (x[0] - 2) ** 2), [0.0], bounds=(-5, 5), until=Evaluations(2000), key=0
    ... )
    >>> len(front), bool((front.points >= -0.01).all() and (front.points <= 2.01).all()), front.knee().point.round(1)
    (100, True, array([1.]))
    """
    method = NSGA2() if method is None else method
    if not isinstance(method, Many):
        raise CompositionError(
            f"method={method!r} minimizes one number; write NSGA2(), NSGA3(), MOEAD() or SMSEMOA(), or minimize(f, x0)"
        )
    rule = Evaluations(250 * method.popsize) if until is None else until
    _check_rule(rule)
    if callback is not None and not callable(callback):
        raise InvalidValue(f"callback={callback!r} cannot be called; write a function of one argument, the state")
    if type(limits) is not int or limits < 0:
        raise InvalidValue(f"limits is how many of f's numbers are constraints, got limits={limits!r}; write limits=1")
    begin, domain = _region(x0, bounds)
    key, ledger = as_key(key), Ledger(limit=rule.limit)
    rows = Rows(f, begin, ledger, constraints=constraints, limits=limits, batched=batched, on_failure=on_failure)
    began = time.perf_counter()
    state = method.init(domain.clip(begin.x), key, domain)
    memory, steps, idle, reason = rule.init(), 0, 0, ""
    while not reason:
        try:
            made, rejected = ledger.total, state.rejected
            state, xs = method.ask(state)
            state = method.tell(state, *rows.answers(xs, key.fold("values", state.asked)))
        except BudgetExhausted:
            reason = f"the budget of {rule.limit} evaluations is spent"
            break
        except KeyboardInterrupt:
            reason = "interrupted by the user"
            break
        steps += 1
        idle = idle + 1 if ledger.total == made else 0
        progress = Progress(
            steps, ledger.total, time.perf_counter() - began, math.nan, math.nan, math.nan,
            state.rejected, state.rejected > rejected, state.x, state.x, begin.shaped,
        )  # fmt: skip
        reason, memory = rule(progress, memory)
        if not reason and idle == _IDLE:
            reason = f"{_IDLE} generations in a row met no constraints"
        if not reason and callback is not None and callback(state) is True:
            reason = "the callback returned True"
    return _found(state, begin, ledger, steps, time.perf_counter() - began, reason, key)


def _region(x0: Any, bounds: Any) -> tuple[Start, Domain]:
    if isinstance(x0, Space | Leaf | Mapping):
        if bounds is not None:
            raise CompositionError("a space says itself where its parameters lie; leave bounds out")
        begin = Start.within(as_space(x0))
        assert begin.space is not None
        return begin, begin.space.domain
    begin = Start.of(x0)
    domain = Domain.free(begin.x) if bounds is None else Domain.box(*as_bounds(bounds, begin.x, begin.shape))
    return begin, domain


def _check_rule(rule: Any) -> None:
    if not isinstance(rule, Until):
        raise InvalidValue(f"until={rule!r} is no stopping rule; write until=Evaluations(25_000)")
    if isinstance(rule, Either | Both):
        _check_rule(rule.first)
        _check_rule(rule.second)
    elif isinstance(rule, Target | NoImprovement | StepNorm):
        raise CompositionError(
            f"{rule!r} looks at a single loss, and there are several; write Evaluations(n), Steps(n) or Seconds(n)"
        )


def _found(state: Crowd, begin: Start, ledger: Ledger, steps: int, seconds: float, reason: str, key: Key) -> Front:
    xs, values = front_of(state)
    if len(xs):
        order = values[:, 0].argsort(stable=True)
        xs, values = xs[order.to(xs.device)], values[order]
    points: Any
    if begin.space is not None:
        points = begin.space.decode(xs)
    else:
        points = xs.detach().clone().reshape(-1, *begin.shape)
        points = points if begin.takes == "torch" else points.numpy()
    as_given = values if begin.takes == "torch" and begin.space is None else values.numpy()
    return Front(
        points, as_given, ledger.total, steps, seconds, reason, state.rejected, ledger.failures,
        ledger.last_failure, key, state,
    )  # fmt: skip
