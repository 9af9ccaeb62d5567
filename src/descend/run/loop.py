"""minimize: one loop for every method, so that budgets, interrupts and reasons are in one place."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from descend.errors import BudgetExhausted, CompositionError, InvalidValue
from descend.estimate.base import Estimator, Lifted
from descend.key import Key, as_key
from descend.oracle import Function, OnFailure, Oracle
from descend.oracle.bounded import Bounded, as_bounds
from descend.oracle.encode import Encoded
from descend.oracle.function import Executor
from descend.oracle.wrap import Wrapped
from descend.population.base import AskTell
from descend.run.compose import Composition, compose, default_budget, default_until
from descend.run.method import Method
from descend.run.point import Start
from descend.run.record import FINAL_VALUES, Record, Watched
from descend.run.remembering import Alone, Place, written
from descend.run.report import Report
from descend.run.result import Result
from descend.run.until import Progress, Until
from descend.space import Leaf, Space, as_space

__all__ = ["minimize"]

_IDLE = 100
"""Steps without an evaluation after which a run ends: only a cache can answer so many, and it will go on to."""


def minimize(
    f: Callable[..., Any] | Oracle,
    x0: Any,
    *,
    start: Any = None,
    estimator: Estimator | None = None,
    method: Method[Any] | None = None,
    until: Until | None = None,
    executor: Executor | None = None,
    key: Key | int | None = None,
    callback: Callable[[Progress], Any] | None = None,
    bounds: Any = None,
    on_failure: OnFailure | None = None,
    progress: bool | None = None,
    study: Place | None = None,
) -> Result:
    """Minimize f from x0, or over a space.

    Args:
        f: takes an array like x0 (NumPy, or torch if x0 is a tensor) and returns one number: a float, a NumPy number,
            a one-element array or tensor. It gets a copy, so it may overwrite it; it may raise, or return NaN. Or an
            `Oracle`, such as ``Differentiable(f)``, which is asked about flat points (d,).
        x0: a tensor, a NumPy array, a list or a number; of any shape and floating dtype, integers become float64.
            It is not changed. Or a `Space` of typed parameters, whose points f is given then.
        start: a point of the space where to begin, default its middle.
        estimator: what makes gradients of values, for methods that ask for them.
        method: anything with `needs`, `init` and `advance`, see `Method`. Default where f answers values only: the
            `Portfolio`, which begins with a quick descent, goes on with restarted CMA-ES, and says in `result.method`
            what it chose; where there are gradients, BFGS with backtracking, or, behind a random-direction estimator,
            descent with calibrated gains.
        until: when to stop; rules are combined with | and &. Default 500 * (d + 1) evaluations, or when 20 steps in a
            row failed; for the default search also when f has not fallen in 100 * (d + 1) evaluations; for a descent
            when the iterate has not moved in 3 steps, and with the default BFGS when f has not fallen in 10.
        executor: where the evaluations of a batch run, `Serial()`, `Batched()` or `Processes(n)`; default in this
            process, vmapped if f takes tensors and a checked trial shows that it can be. It is closed at the end.
        key: randomness, a `Key` or an integer; default fresh entropy. The same key repeats the run bit for bit.
        callback: called with a `Progress` after every step; the run stops if it returns True.
        bounds: (low, high), numbers or arrays like x0, or a list with a pair (low, high) per coordinate. Every
            evaluated point lies within them; an x0 outside is moved to the nearest point inside.
        on_failure: what a failed evaluation does, default `Reject()`: the step is rejected and counted.
        progress: whether to show a progress line; default where the standard error is a terminal, after a second.
        study: a file, such as "runs.db", where every evaluation is written down before and after it is made, or the
            file and the name of the run in it, ("runs.db", "second"). However a run was ended, the same call goes on
            where it was and evaluates nothing twice; key=None goes on with the key of the file. f must be a function.

    Returns:
        The best iterate and how it was found, see `Result`. Ctrl-C at any time ends the run and returns it too.

    Raises:
        MissingAnswer: the method needs what neither f nor the estimator answers; raised before any evaluation.
        InvalidValue, CompositionError: an argument that cannot mean anything, or parts that do not fit.
        StateMismatch: the study was begun with something else, or by another version that asks other questions.
        Exception: whatever f raises at its very first evaluation, or at any with ``on_failure=Raise()``.

    >>> result = minimize(lambda x: ((x - 3) ** 2).sum(), [0.0, 1.0])
    >>> result.x.round(3), result.fun < 1e-8
    (array([3., 3.]), True)
    """
    begin, workers = _start(x0, start), _workers(executor)
    try:
        if study is None:
            oracle = _within(_as_oracle(f, begin, executor, on_failure), begin, bounds, estimator)
            return _minimized(oracle, begin, workers, key, estimator, method, until, callback, progress)
        with written(study, key, _header(f, begin, bounds, estimator, method, on_failure)) as log:
            oracle = Alone(_as_oracle(f, begin, log.executor(executor, begin), on_failure))
            oracle = _within(oracle, begin, bounds, estimator)
            return _minimized(oracle, begin, workers, log.key, estimator, method, until, callback, progress)
    finally:
        if executor is not None:
            executor.close()


def _within(oracle: Oracle, begin: Start, bounds: Any, estimator: Estimator | None) -> Oracle:
    """The oracle asked about points within bounds only, where there are any."""
    if bounds is not None:
        return _bounded(oracle, bounds, begin)
    if begin.space is not None and estimator is not None:
        return Bounded(oracle, begin.space.domain.lower, begin.space.domain.upper)
    return oracle


def _header(
    f: Any, begin: Start, bounds: Any, estimator: Estimator | None, method: Method[Any] | None, on_failure: Any
) -> dict[str, Any]:
    """All that the evaluations of a run depend on, beside its key.

    Raises:
        CompositionError: f is an oracle.
    """
    if isinstance(f, Oracle):
        raise CompositionError(f"study= writes down what a function returns, and {f!r} is an oracle; give the function")
    space, conditions = begin.space, () if begin.space is None else begin.space.conditions
    return {
        "from": begin.x.tolist() if space is None else space.root.to_plain(),
        "start": begin.x.tolist(),
        "where": [getattr(condition, "__name__", type(condition).__name__) for condition in conditions],
        "bounds": repr(bounds),
        "estimator": repr(estimator),
        "method": "default" if method is None else repr(method),
        "on_failure": repr(on_failure),
    }


def _minimized(
    oracle: Oracle,
    begin: Start,
    workers: int,
    key: Key | int | None,
    estimator: Estimator | None,
    method: Method[Any] | None,
    until: Until | None,
    callback: Callable[[Progress], Any] | None,
    progress: bool | None,
) -> Result:
    d = begin.x.numel()
    parts = compose(oracle, estimator, method, default_budget(until, d), workers)
    rule = default_until(until, d, parts, named=method is not None)
    if callback is not None and not callable(callback):
        raise InvalidValue(f"callback={callback!r} cannot be called; write a function of one argument, a Progress")
    ledger, outer = oracle.ledger, oracle.ledger.limit
    limits = [n for n in (outer, None if rule.limit is None else ledger.total + rule.limit) if n is not None]
    limit = min(limits, default=None)
    budget = None if limit is None else max(0, limit - ledger.total)
    record = Record(begin, oracle.project(begin.x), ledger, as_key(key))
    interrupted = False
    try:
        with Report(progress, budget) as report:
            ledger.limit = None if limit is None else max(ledger.total, limit - FINAL_VALUES * oracle.cost)
            try:
                reason = _drive(record, parts, rule, callback, report)
            except BudgetExhausted:
                reason = f"the budget of {budget} evaluations is spent"
            except KeyboardInterrupt:
                report.say("interrupted; evaluating the best iterate (Ctrl-C again to do without)")
                reason, interrupted = "interrupted by the user", True
            ledger.limit = limit
            if not record.evaluations and begin.space is not None and begin.space.conditions and not interrupted:
                raise InvalidValue(
                    f"no point met the conditions of where() in {record.steps} steps, so that f was never evaluated; "
                    "write start= a point that does, narrow the space, or make a Constraint of a condition"
                )
            return record.result(oracle, reason, interrupted)
    finally:
        ledger.limit = outer


def _drive(
    record: Record, parts: Composition, rule: Until, callback: Callable[[Progress], Any] | None, report: Report
) -> str:
    """Step until something says why to stop; the reason."""
    memory, idle, made = rule.init(), 0, -1
    lifted, method = parts.begin(record.last.x, record.key)
    oracle = Watched(lifted)
    space = record.start.space  # what the coordinates mean that an oracle is asked about, if it does not say so itself
    domain = space.domain if oracle.domain is None and space is not None else oracle.domain
    state = method.init(record.last.x, record.key, domain)
    search = method if isinstance(method, AskTell) else None
    record.method = repr(method) if search is None else search.described(state)
    while True:
        before, state = state, method.advance(oracle, state)
        record.recommends = search is not None and search.trusts(state)
        progress = record.step(before, state, oracle)
        report.show(progress)
        reason, memory = rule(progress, memory)
        if reason or state.done:
            return reason or state.done
        if callback is not None and _is_true(callback(progress)):
            return "the callback returned True"
        idle = idle + 1 if progress.evaluations == made else 0
        made = progress.evaluations
        if idle == _IDLE:
            return f"{_IDLE} steps in a row evaluated nothing"


def _start(x0: Any, point: Any) -> Start:
    if isinstance(x0, Space | Leaf | Mapping):
        return Start.within(as_space(x0), point)
    if point is not None:
        raise InvalidValue(f"start={point!r} says where to begin in a space; without one that is x0, got x0={x0!r}")
    return Start.of(x0)


def _workers(executor: Executor | None) -> int:
    if executor is None:
        return 1
    if isinstance(executor, int | str | type):
        raise InvalidValue(f"executor={executor!r} is none; write executor=Processes(4), Threads(4) or Serial()")
    return executor.workers


def _is_true(answer: Any) -> bool:
    # not simply its truth: a callback may return something by accident, as a lambda that stores a loss does
    return isinstance(answer, bool | np.bool_) and bool(answer)


def _as_oracle(f: Any, start: Start, executor: Executor | None, on_failure: OnFailure | None) -> Oracle:
    if isinstance(f, Oracle):
        for name, given in (("executor", executor), ("on_failure", on_failure)):
            if given is not None:
                raise CompositionError(
                    f"{name} belongs to the oracle: write Function(f, {name}=...) and leave it out here"
                )
        return f
    if start.space is not None:
        return Encoded(f, start.space, executor=executor, on_failure=on_failure)
    if not callable(f):
        raise InvalidValue(f"f must be a function that returns a number, or an oracle, got {f!r}")
    return Function(start.of_flat_points(f), takes=start.takes, executor=executor, on_failure=on_failure)


def _bounded(oracle: Oracle, bounds: Any, start: Start) -> Oracle:
    if start.space is not None:
        raise CompositionError(
            "a space says itself where its parameters lie; leave bounds out, and write Float(low, high)"
        )
    inside = oracle
    while isinstance(inside, Wrapped) and not isinstance(inside, Lifted):
        inside = inside.base
    if isinstance(inside, Lifted):
        raise CompositionError(
            f"bounds must hold for the probes of {inside.estimator!r} too, so they belong inside: "
            "write minimize(f, x0, estimator=..., bounds=...), or Bounded(f, low, high) | estimator"
        )
    return Bounded(oracle, *as_bounds(bounds, start.x, start.shape))
