"""Feasible points first: what breaks a constraint is worse than all that does not, by how much it breaks it.

Deb (2000), "An efficient constraint handling method for genetic algorithms": of two feasible points the one with the
lower f is better, a feasible point is better than an infeasible one, and of two infeasible points the one with the
smaller violation v = sum_j max(0, g_j). These rules are an order of all points, so here they are a value: f itself
where v = 0, else a number beyond 10^300 that increases with v. It is the same at any time, so that methods which
compare with what they found long ago may rely on it.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from descend.errors import CompositionError
from descend.key import Key
from descend.oracle.core import Asks, Oracle
from descend.oracle.template import parameter_names
from descend.oracle.wrap import Wrapped
from descend.space import Space
from descend.space.constraint import Constraint, as_constraints, check_weights, excesses

__all__ = ["FeasibleFirst"]

_WORSE = 1e300
"""Beyond all values of an objective."""


@dataclass(frozen=True, eq=False)
class FeasibleFirst(Wrapped):
    """An oracle under constraints, for methods that compare values and do nothing else with them.

    The objective is not evaluated where a constraint is broken, which costs nothing. The result lies outside of the
    constraints, with fun > 1e300, only if no feasible point was found. `AugmentedLagrangian` is often quicker where the
    best point lies on smooth constraints, and less safe.

    Args:
        base: the oracle inside.
        constraints: a `Constraint`, or several; a function g stands for g(point) <= 0. They should be of one scale,
            since their excesses are added, and cheap, since they are not counted.
        space: what the points of the constraints are; None (default) for flat points (d,).

    Raises:
        InvalidValue: there are no constraints, or one that cannot be called or is about an unknown parameter.
        CompositionError: the base is no oracle.

    >>> from descend.oracle import Function
    >>> oracle = FeasibleFirst(Function(lambda x: x.sum()), lambda x: 1 - x[0])  # x0 >= 1
    >>> far, near, fine = oracle.values(torch.tensor([[-1.0, 0.0], [0.5, 0.0], [2.0, 1.0]]), Key(0)).tolist()
    >>> far > near > 1e300, fine, oracle.ledger.total
    (True, 3.0, 1)
    """

    constraints: Any
    space: Space | None = None
    _constraints: tuple[Constraint, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_constraints", as_constraints(self.constraints))
        if not isinstance(self.base, Oracle):
            raise CompositionError(
                f"FeasibleFirst is around an oracle, got {self.base!r}; write FeasibleFirst(Encoded(f, space), "
                "constraints, space), or FeasibleFirst(Function(f), constraints)"
            )
        if self.space is not None:
            check_weights(self._constraints, parameter_names(self.space))

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return self.base.answers & (Asks.VALUE | Asks.VALUES)

    def value(self, x: Tensor, key: Key) -> float:
        violation = float(self._violations(x[None])[0])
        return self.base.value(x, key) if violation == 0 else _beyond(violation)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        violations = self._violations(xs)
        values = torch.tensor([_beyond(violation) for violation in violations.tolist()], dtype=torch.float64)
        feasible = violations == 0
        if bool(feasible.any()):
            values[feasible] = self.base.values(xs[feasible.to(xs.device)], key)
        return values

    def _violations(self, xs: Tensor) -> Tensor:
        """(n,)"""
        points = list(xs.detach().clone()) if self.space is None else self.space.decode(xs)
        return excesses(self._constraints, points).clamp(min=0).sum(1)


def _beyond(violation: float) -> float:
    """A finite number > 10^300 that increases with the violation over all floats."""
    if violation == math.inf:
        return 3 * _WORSE
    # the logarithm of a positive float lies in [-745, 710]
    return _WORSE * (2 + math.log(max(violation, 5e-324)) / 1000)
