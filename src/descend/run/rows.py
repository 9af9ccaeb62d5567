"""A function that returns several numbers, asked about many points: rows of objectives, violations of constraints."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.errors import BudgetExhausted, InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle.failure import OnFailure, Reject, derive, settle
from descend.oracle.leaf import with_randomness
from descend.oracle.ledger import Ledger
from descend.run.point import Start
from descend.space.constraint import as_constraints, excesses

__all__ = ["Rows"]


class Rows:
    """Answers points (n, d) with objectives (n, m) and violations (n,).

    Args:
        f: takes a point as users see it, or with `batched` all of them, and returns m + limits numbers each.
        start: what points look like.
        ledger: where evaluations are counted.
        constraints, limits, batched, on_failure: as of `minimize_many`.

    Raises:
        InvalidValue: f cannot be called.
    """

    def __init__(
        self,
        f: Callable[..., Any],
        start: Start,
        ledger: Ledger,
        *,
        constraints: Any = None,
        limits: int = 0,
        batched: bool = False,
        on_failure: OnFailure | None = None,
    ) -> None:
        if not callable(f):
            raise InvalidValue(f"f must be a function that returns several numbers, got {f!r}")
        self._f, self._start, self._ledger, self._limits = f, start, ledger, limits
        self._constraints = () if constraints is None else as_constraints(constraints)
        self._batched, self._on_failure = batched, Reject() if on_failure is None else on_failure
        self._columns = 0  # m + limits, as soon as it is known

    def answers(self, xs: Tensor, key: Key) -> tuple[Tensor, Tensor, Tensor]:
        """The points that were looked at (n, d), their objectives (n, m), NaN where they failed or were not evaluated
        because they violate constraints, and their violations (n,).

        Raises:
            BudgetExhausted: none of the points can be evaluated any more.
        """
        violations = self._violations(xs)
        feasible = (violations == 0).nonzero()[:, 0]
        left = len(feasible) if self._ledger.limit is None else self._ledger.limit - self._ledger.total
        if left <= 0 < len(feasible) or left < 0:
            raise BudgetExhausted(f"the budget of {self._ledger.limit} evaluations is spent")
        if len(feasible) > left:
            end = int(feasible[left])
            xs, violations, feasible = xs[:end], violations[:end], feasible[:left]
        left_out = len(xs) - len(feasible)
        rows = self._evaluated(xs if left_out == 0 else xs[feasible.to(xs.device)], key) if len(feasible) else None
        # as long as nothing is known of f, not even how many numbers it returns, one NaN stands for them
        m = max(1, self._columns - self._limits)
        if rows is not None and rows.shape[1] == m + self._limits and left_out == 0:
            numbers = rows
        else:
            numbers = torch.full((len(xs), m + self._limits), math.nan, dtype=torch.float64)
            if rows is not None and rows.shape[1]:
                numbers[feasible] = rows
        if not self._limits:
            return xs, numbers, violations
        broken = numbers[:, m:].clamp(min=0).sum(1).nan_to_num(nan=0.0)
        return xs, numbers[:, :m], violations + broken

    def _violations(self, xs: Tensor) -> Tensor:
        """(n,): what constraints and the conditions of a space say before f is asked."""
        found = torch.zeros(len(xs), dtype=torch.float64)
        space = self._start.space
        if not self._constraints and (space is None or not space.conditions):
            return found
        points = self._points(xs)
        if space is not None and space.conditions:
            found = found + space.violations(points).sum(1)
        return found + excesses(self._constraints, points).clamp(min=0).sum(1)

    def _points(self, xs: Tensor) -> list[Any]:
        if self._start.space is not None:
            return self._start.space.decode(xs)
        return [self._start.shaped(x) for x in xs]

    def _evaluated(self, xs: Tensor, key: Key) -> Tensor:
        """The numbers (n, m + limits), rows of NaN where f failed; (n, 0) if it always did, so that m is not known."""
        if self._batched:
            return self._at_once(xs, key)
        rows = []
        for point in self._points(xs):
            like = torch.full((self._columns,), math.nan, dtype=torch.float64)
            rows.append(derive(_Single(self, point), like, key, self._ledger, self._on_failure, "value"))
        missing = torch.full((self._columns,), math.nan, dtype=torch.float64)
        return torch.stack([row if len(row) else missing for row in rows])

    def _at_once(self, xs: Tensor, key: Key) -> Tensor:
        first = not self._ledger.counts
        self._ledger.charge("value", len(xs))
        start = self._start
        points: Any
        if start.space is not None:
            points = start.space.decode(xs)
        else:
            points = xs.detach().clone().reshape(-1, *start.shape)
            points = points if start.takes == "torch" else points.numpy(force=True)
        try:
            answer = self._ask(points, key)
        except Exception as error:
            _, cause = settle(error, first, self._ledger, self._on_failure)
            self._on_failure.answer(self._ledger.last_failure, cause)
            return torch.full((len(xs), self._columns), math.nan, dtype=torch.float64)
        rows = _numbers(answer)
        if rows.dim() != 2 or len(rows) != len(xs):
            raise ShapeMismatch(
                f"a batched objective must return a row of m numbers for each of {len(xs)} points, got shape "
                f"{tuple(rows.shape)}; write batched=False if it takes one point at a time"
            )
        self._note(rows.shape[1])
        if not bool(rows.isfinite().all()):
            for _ in range(int((~rows.isfinite().all(1)).sum())):
                self._ledger.fail("the objective returned NaN or an infinity")
                self._on_failure.answer(self._ledger.last_failure, None)
            rows = torch.where(rows.isfinite().all(1, keepdim=True), rows, math.nan)
        return rows

    def _ask(self, points: Any, key: Key) -> Any:
        with torch.no_grad():
            return with_randomness(key, lambda: self._f(points))

    def _note(self, columns: int) -> None:
        """That f returned so many numbers."""
        if columns <= self._limits:
            raise ShapeMismatch(
                f"the objective returned {columns} numbers, of which the last {self._limits} are constraints: "
                "there is nothing to minimize; write a smaller limits"
            )
        if self._columns and columns != self._columns:
            raise ShapeMismatch(f"the objective returned {self._columns} numbers before, and now {columns}")
        self._columns = columns


class _Single:
    """f at one point, as `derive` calls it."""

    def __init__(self, rows: Rows, point: Any) -> None:
        self._rows, self._point = rows, point

    def __call__(self, key: Key) -> Tensor:
        row = _numbers(self._rows._ask(self._point, key))
        if row.dim() != 1:
            raise ShapeMismatch(
                f"the objective must return m numbers for one point, got shape {tuple(row.shape)}; "
                "write minimize(f, x0) for a single number, and batched=True for a function of many points"
            )
        self._rows._note(len(row))
        return row


def _numbers(answer: Any) -> Tensor:
    """What an objective returned, as float64 on the CPU: a tensor, an array, or lists and tuples of numbers."""
    if isinstance(answer, Tensor):
        return answer.detach().to("cpu", torch.float64)
    if isinstance(answer, tuple | list) and any(isinstance(part, Tensor) for part in answer):
        return torch.stack([torch.as_tensor(part, dtype=torch.float64).cpu() for part in answer])
    try:
        return torch.from_numpy(np.array(answer, dtype=np.float64))
    except (TypeError, ValueError):
        raise ShapeMismatch(
            f"the objective returned {type(answer).__name__} where several numbers were expected; "
            "return a tuple of floats, an array or a tensor"
        ) from None
