"""Constraints as a changing penalty: an augmented Lagrangian whose multipliers are learned while a method searches.

Atamna, Auger and Hansen (2017), "Linearly convergent evolution strategies via augmented Lagrangian constraint
handling". With the excesses g_j(x) <= 0, multipliers gamma_j and weights omega_j, the method minimizes

    h(x) = f(x) + sum_j phi(g_j(x)),   phi(g) = gamma g + omega g^2 / 2  where gamma + omega g >= 0,
                                                else -gamma^2 / (2 omega)

There g and h are asked at the mean of the distribution. Here no evaluation is spent on that: g is asked at the mean m
of the better half of the points that were told, and h(m) is the mean over that half. k1, k2, d_gamma, d_omega and chi
are the paper's.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from descend.errors import CompositionError
from descend.key import Key
from descend.oracle.template import parameter_names
from descend.population.base import Around, AskTell
from descend.population.shaping import best, order, settled
from descend.space import Space
from descend.space.constraint import Constraint, as_constraints, check_weights, excesses
from descend.space.domain import Domain
from descend.tree import state

__all__ = ["AugmentedLagrangian", "LagrangianState", "penalty"]

_DAMPING = 5.0  # d_gamma and d_omega
_K1, _K2 = 3.0, 5.0
_URGENCY = 1.1


@state
class LagrangianState(Around):
    """The method's own state, and what is known of the constraints.

    Fields: x (d,), the best feasible point, or the one with the least violation while there is none; value, f(x), NaN
    while there is none; violation, of x, +inf before anything is known; loss, the best feasible one of the last
    answers; rejected and t as ever; inner, the state of the method; gamma, omega (m,), multipliers and weights, omega 0
    before the first answers; excess (m,), g(m) at the last update; height, h(m) then.
    """

    x: Tensor
    value: float
    violation: float
    loss: float
    rejected: int
    t: int
    inner: Any
    gamma: Tensor
    omega: Tensor
    excess: Tensor
    height: float


@dataclass(frozen=True)
class AugmentedLagrangian(AskTell[LagrangianState]):
    """A method under constraints, which it may break on the way.

    The recommended point is the best one that breaks none. On bowls and linear functions in ten dimensions, whose
    minimum is held by linear or spherical constraints, `CMAES` takes 0.6 to 0.9 of the evaluations that it takes under
    `FeasibleFirst` to a millionth; on Rosenbrock's valley as many. But where what is allowed is a thin sickle it can
    miss it, and its last digits take longer. The method should forget old values, as `CMAES`, `XNES` and `SNES` do,
    because what a point is worth changes with the multipliers; one that keeps its best points, such as differential
    evolution, goes with `FeasibleFirst`.

    Args:
        method: any `AskTell` method.
        constraints: a `Constraint`, or several; a function g stands for g(point) <= 0. They are asked at every point
            and once more in every generation, and are not counted.
        space: what the points of the constraints are; None (default) for flat points (d,).

    Raises:
        CompositionError: the method cannot be asked for points.
        InvalidValue: there are no constraints, or one that cannot be called or is about an unknown parameter.

    >>> from descend.population.snes import SNES
    >>> from descend.run import Evaluations, minimize
    >>> method = AugmentedLagrangian(SNES(), lambda x: 1 - x[0])  # x0 >= 1
    >>> result = minimize(lambda x: x.square().sum(), torch.tensor([3.0, 2.0]), method=method, key=0,
    ...     until=Evaluations(2000))
    >>> bool(result.x[0] >= 1), round(result.fun, 2)
    (True, 1.0)
    """

    method: AskTell[Any]
    constraints: Any
    space: Space | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.method, AskTell):
            raise CompositionError(
                f"AugmentedLagrangian needs a method that asks for values, such as CMAES(), got {self.method!r}"
            )
        object.__setattr__(self, "constraints", as_constraints(self.constraints))
        if self.space is not None:
            check_weights(self.constraints, parameter_names(self.space))

    @property
    def recommends(self) -> bool:
        return True

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> LagrangianState:
        inner = self.method.init(x, key, domain)
        none = torch.zeros(len(self._several), dtype=torch.float64)
        return LagrangianState(inner.x, math.nan, math.inf, math.nan, 0, 0, inner, none, none, none, math.nan)

    def batch(self, state: LagrangianState) -> int:
        return self.method.batch(state.inner)

    def ask(self, state: LagrangianState, n: int | None = None) -> tuple[LagrangianState, Tensor]:
        inner, xs = self.method.ask(state.inner, n)
        return replace(state, inner=inner), xs

    def tell(
        self, state: LagrangianState, xs: Tensor, losses: Tensor, tickets: Tensor | None = None
    ) -> LagrangianState:
        g = self._excesses(xs)
        fine = settled(losses)
        gamma, omega = state.gamma, state.omega
        if not bool(omega.any()):
            omega = _first_weights(fine, g)
        h = fine + penalty(g, gamma, omega)
        state = self._updated(self._noted(state, xs, fine, g), xs, h, gamma, omega)
        return replace(state, inner=self.method.tell(state.inner, xs, h, tickets))

    @property
    def _several(self) -> tuple[Constraint, ...]:
        return self.constraints

    def _excesses(self, xs: Tensor) -> Tensor:
        """(n, m)"""
        points = list(xs.detach().clone()) if self.space is None else self.space.decode(xs)
        return excesses(self._several, points)

    def _noted(self, state: LagrangianState, xs: Tensor, losses: Tensor, g: Tensor) -> LagrangianState:
        """With the best point, by the rules of feasible points first."""
        violations = g.clamp(min=0).sum(1)
        violations[losses == math.inf] = math.inf
        feasible = torch.where(violations == 0, losses, math.inf)
        i = best(feasible) if bool((violations == 0).any()) else best(violations)
        loss, violation = float(feasible[i]), float(violations[i])
        rejected = state.rejected + (1 if bool((losses == math.inf).all()) else 0)
        state = replace(state, t=state.t + 1, loss=loss if violation == 0 else math.nan, rejected=rejected)
        if violation < state.violation or (violation == state.violation == 0 and loss < state.value):
            value = loss if violation == 0 else math.nan
            return replace(state, x=xs[i].clone(), value=value, violation=violation)
        return state

    def _updated(self, state: LagrangianState, xs: Tensor, h: Tensor, gamma: Tensor, omega: Tensor) -> LagrangianState:
        """With multipliers and weights for the next generation."""
        better = order(h)[: max(1, len(h) // 2)]
        better = better[h[better].isfinite()]
        if not len(better) or not bool(omega.any()):
            return state
        excess, height = self._excesses(xs[better].mean(0, keepdim=True))[0], float(h[better].mean())
        if not bool(excess.isfinite().all()):
            return replace(state, gamma=gamma, omega=omega)
        chi = 2 ** (1 / xs.shape[1])
        if math.isfinite(state.height):
            # grow where the penalty is small beside the change of h, or g hardly changes
            small = omega * excess**2 < _K1 * abs(height - state.height) / xs.shape[1]
            stuck = _K2 * (excess - state.excess).abs() < state.excess.abs()
            omega = torch.where(small | stuck, omega * chi**0.25, omega * chi ** (-1 / _DAMPING))
            if state.violation > 0:  # not in the paper: where nothing feasible is known, feasibility comes first
                omega = torch.where(excess > 0, omega * _URGENCY, omega)
        gamma = (gamma + omega / _DAMPING * excess).clamp(min=0)
        return replace(state, gamma=gamma, omega=omega, excess=excess, height=height)


def penalty(g: Tensor, gamma: Tensor, omega: Tensor) -> Tensor:
    """sum_j phi(g_j), (n,).

    Args:
        g: (n, m) excesses. gamma, omega: (m,) multipliers >= 0 and weights > 0, or both 0 for no penalty.
    """
    active = gamma * g + omega / 2 * g.square()
    idle = -gamma.square() / (2 * omega).clamp(min=1e-300)
    return torch.where(gamma + omega * g >= 0, active, idle).nan_to_num(nan=0.0, posinf=math.inf).sum(1)


def _first_weights(losses: Tensor, g: Tensor) -> Tensor:
    """Weights (m,) with which the penalty spreads as f does, over the points (n, m) of a first generation; or 0."""
    fine = losses.isfinite() & g.isfinite().all(1)
    if int(fine.sum()) < 2:
        return torch.zeros(g.shape[1], dtype=torch.float64)
    spread, scale = losses[fine].std(), g[fine].square().std(0)
    return (spread.clamp(min=1e-12) / scale.clamp(min=1e-12)).clamp(1e-12, 1e12)
