"""What the tests of this folder share: a run without a driver, and naive references."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descend.key import Key
from descend.pareto import Crowd, Many
from descend.problems.multi import MultiProblem
from descend.space.domain import Domain


def box_of(problem: MultiProblem, dtype: torch.dtype = torch.float64) -> Domain:
    return Domain.box(torch.tensor(problem.low, dtype=dtype), torch.tensor(problem.high, dtype=dtype))


def run(
    method: Many, problem: MultiProblem, turns: int, key: int = 0, f: Callable[[Tensor], Tensor] | None = None
) -> Crowd:
    """The state after some generations of a problem."""
    state = method.init(problem.start, Key(key), box_of(problem))
    for _ in range(turns):
        state, xs = method.ask(state)
        state = tell(method, state, xs, problem if f is None else f, problem.m)
    return state


def tell(method: Many, state: Crowd, xs: Tensor, f: Callable[[Tensor], Tensor], m: int) -> Crowd:
    rows = f(xs)
    violations = rows[:, m:].clamp(min=0).sum(1) if rows.shape[1] > m else None
    return method.tell(state, xs, rows[:, :m], violations)


def dominates_by_hand(a: Any, b: Any, broken_a: float = 0.0, broken_b: float = 0.0) -> bool:
    """Whether a dominates b, by the words of the definition."""
    failed_a, failed_b = not all(map(math.isfinite, a)), not all(map(math.isfinite, b))
    if broken_a == broken_b == 0 and (failed_a or failed_b):
        return failed_b and not failed_a
    if broken_a or broken_b:
        return (math.inf if failed_a and not broken_a else broken_a) < (
            math.inf if failed_b and not broken_b else broken_b
        )
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def ranks_by_hand(values: list[Any], violations: list[float]) -> list[int]:
    """Fronts peeled off one by one."""
    rank, level, left = [-1] * len(values), 0, set(range(len(values)))
    while left:
        here = {
            j
            for j in left
            if not any(dominates_by_hand(values[i], values[j], violations[i], violations[j]) for i in left)
        }
        for j in here:
            rank[j] = level
        left -= here
        level += 1
    return rank
