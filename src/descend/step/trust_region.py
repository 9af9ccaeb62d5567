"""Trust regions: minimize a model of f where it is to be trusted, and trust it as far as it has been right.

`TrustRegion`: Steihaug (1983), "The conjugate gradient method and trust regions in large scale optimization", with
the radius of algorithm 4.1 of Nocedal and Wright (2006), "Numerical Optimization". `LevenbergMarquardt`: Levenberg
(1944) and Marquardt (1963), with the damping of Nielsen (1999), "Damping parameter in Marquardt's method", and the
scaling of More (1978), "The Levenberg-Marquardt algorithm: implementation and theory".

Symbols: z the step, m(z) the model's change of f; gain = (f(x) - f(x + z)) / -m(z), 1 where the model is right;
r the residuals, J their Jacobian, D a diagonal scale.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from descend.direction import as_dense
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope
from descend.step.base import Moved, Step
from descend.transform.inner import dot, norm, wide
from descend.transform.krylov import forcing, held, truncated_cg
from descend.transform.newton import DampedLeastSquares
from descend.tree import state

__all__ = ["LevenbergMarquardt", "MarquardtState", "RegionState", "TrustRegion"]


@state
class RegionState:
    """radius: how far the quadratic model is trusted."""

    radius: float


@dataclass(frozen=True)
class TrustRegion(Step[RegionState]):
    """The minimizer of the quadratic model of f within a ball whose radius follows how well the model predicts.

    The model is made of the gradient and of Hessian-vector products, and minimized by truncated conjugate gradients,
    which follow negative curvature to the boundary. The direction is not used: put no transforms before it. A step
    that does not gain enough is tried again within a smaller ball, up to `max_evals` times; then x stays.

    Args:
        radius: the first radius, > 0, a length in the space of points; default 1.0.
        max_radius: what the radius never exceeds; default 1000.
        accept: the gain from which on a step is taken, in [0, 1/4); default 0.1.
        max_products: Hessian-vector products per model, at least 1; default None, twice the number of parameters.
        max_evals: evaluations per step, beside one at x where f(x) is not known; default 10.

    Raises:
        InvalidValue: a hyperparameter outside its range.

    >>> from descend.descent import Descent
    >>> from descend.oracle import Differentiable
    >>> rosenbrock = Differentiable(lambda x: (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2)
    >>> descent = Descent(TrustRegion())
    >>> state = descent.init(torch.tensor([-1.1, 2.5], dtype=torch.float64), Key(0))
    >>> for _ in range(60):
    ...     state = descent.advance(rosenbrock, state)
    >>> state.value < 1e-12
    True
    """

    radius: float = 1.0
    max_radius: float = 1000.0
    accept: float = 0.1
    max_products: int | None = None
    max_evals: int = 10

    needs: ClassVar[Asks] = Asks.VALUE | Asks.HVP

    def __post_init__(self) -> None:
        if not (math.isfinite(self.radius) and 0 < self.radius <= self.max_radius):
            raise InvalidValue(
                f"TrustRegion needs a finite radius in (0, max_radius], got radius={self.radius!r} and "
                f"max_radius={self.max_radius!r}; write radius=1.0"
            )
        if not 0 <= self.accept < 0.25:
            raise InvalidValue(f"TrustRegion needs 0 <= accept < 1/4, got accept={self.accept!r}; write accept=0.1")
        if self.max_products is not None and self.max_products < 1:
            raise InvalidValue(f"a model takes at least 1 product, got max_products={self.max_products!r}; write None")
        if self.max_evals < 1:
            raise InvalidValue(f"a step needs at least one evaluation, got max_evals={self.max_evals!r}; write 10")

    def init(self, x: Tensor) -> RegionState:
        return RegionState(self.radius)

    def __call__(
        self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, state: RegionState, key: Key
    ) -> Moved[RegionState]:
        g = wide(as_dense(slope.gradient, x))
        length, radius = norm(g), state.radius
        if length == 0:
            return Moved(x, slope.value, state)
        value = _known(oracle, x, slope, key)
        mask = held(oracle, x, g)

        def product(v: Tensor) -> Tensor:
            return wide(oracle.hvp(x, v.to(x.dtype), key))

        def inside(v: Tensor) -> Tensor:
            return product(v) if mask is None else product(v) * mask

        limit = 2 * x.numel() if self.max_products is None else self.max_products
        for _ in range(self.max_evals):
            model = truncated_cg(inside, g, radius=radius, tolerance=forcing(length), limit=limit)
            moved = _moved(oracle, x, model.step)
            if moved is None:
                break
            point, z, bent = moved
            decrease = -dot(g, z) - dot(z, product(z)) / 2 if bent else model.decrease
            found = _failed_is_worst(oracle.value(point, key))
            gain = _gain(value, found, decrease)
            radius = self._next(radius, gain, norm(model.step), model.boundary)
            if gain > self.accept:
                return Moved(point, found, RegionState(radius))
        # not for good: under noise the next model may be worth more
        return Moved(x, slope.value if math.isinf(value) else value, RegionState(max(radius, 1e-6 * self.radius)))

    def _next(self, radius: float, gain: float, length: float, boundary: bool) -> float:
        if not gain >= 0.25:
            return 0.25 * min(radius, length)
        return min(2 * radius, self.max_radius) if gain > 0.75 and boundary else radius


@state
class MarquardtState:
    """Where Levenberg-Marquardt stands.

    Fields: damping, lambda; growth, what it is multiplied by at the next failure; scale (d,), the largest length that
    each column of the Jacobian has had.
    """

    damping: float
    growth: float
    scale: Tensor


@dataclass(frozen=True)
class LevenbergMarquardt(Step[MarquardtState]):
    """The solution of (J'J + lambda D^2) z = -J'r, with lambda following how well the linear model of r predicts.

    For objectives f = |r|^2 / 2: it asks for the residuals and their Jacobian. D holds the largest length that each
    column of J has had, so the units of the parameters do not matter. The direction is not used, and of the
    gradient only which coordinates a bound holds: put no transforms before it. A step that gains nothing is tried again
    with more damping, up to `max_evals` times, from one factorization of J; then x stays.

    Args:
        damping: the first lambda, relative to the squared columns of J, > 0; default 1e-3, which suits a start that is
            not far from the solution; write 1 for one that is.
        max_evals: evaluations of the residuals per step beside one at x; default 10.

    Raises:
        InvalidValue: a hyperparameter outside its range.

    >>> from descend.descent import Descent
    >>> from descend.oracle import Residuals
    >>> rosenbrock = Residuals(lambda x: torch.stack([1 - x[0], 10 * (x[1] - x[0] ** 2)]))
    >>> descent = Descent(LevenbergMarquardt())
    >>> state = descent.init(torch.tensor([-1.1, 2.5], dtype=torch.float64), Key(0))
    >>> for _ in range(30):
    ...     state = descent.advance(rosenbrock, state)
    >>> state.value < 1e-12
    True
    """

    damping: float = 1e-3
    max_evals: int = 10

    needs: ClassVar[Asks] = Asks.RESIDUALS | Asks.JACOBIAN

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping > 0):
            raise InvalidValue(
                f"LevenbergMarquardt needs a finite damping > 0, got damping={self.damping!r}; write damping=1e-3"
            )
        if self.max_evals < 1:
            raise InvalidValue(f"a step needs at least one evaluation, got max_evals={self.max_evals!r}; write 10")

    def init(self, x: Tensor) -> MarquardtState:
        return MarquardtState(self.damping, 2.0, torch.zeros_like(wide(x)))

    def __call__(
        self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, state: MarquardtState, key: Key
    ) -> Moved[MarquardtState]:
        r, jacobian = wide(oracle.residuals(x, key)), wide(oracle.jacobian(x, key))
        value = _half_square(r)
        if not math.isfinite(value) or not torch.isfinite(jacobian).all():
            return Moved(x, slope.value, state)
        mask = held(oracle, x, as_dense(slope.gradient, x))
        if mask is not None:
            jacobian = jacobian * mask
        scale = torch.maximum(state.scale, torch.linalg.vector_norm(jacobian, dim=0))
        if not scale.any():
            return Moved(x, value, state)
        model = DampedLeastSquares(jacobian, r, torch.where(scale > 0, scale, 1.0))
        damping, growth = state.damping, state.growth
        for _ in range(self.max_evals):
            moved = _moved(oracle, x, -model.solve(damping))
            if moved is None:
                break
            point, z, _ = moved
            change = jacobian @ z
            decrease = -dot(r, change) - dot(change, change) / 2
            found = _half_square(oracle.residuals(point, key))
            gain = _gain(value, found, decrease)
            if gain > 0:
                # the cubic is Nielsen's: less damping where the gain is near 1, a little more where it is near 0
                damping = max(damping * max(1 / 3, 1 - (2 * gain - 1) ** 3), _LEAST)
                return Moved(point, found, MarquardtState(damping, 2.0, scale))
            damping, growth = damping * growth, growth * 2
        # not for good: under noise the next model may be worth more
        return Moved(x, value, MarquardtState(min(damping, 1.0), 2.0, scale))


_LEAST = 1e-15
"""The least damping: below, it changes nothing, and growing back from it would take many failures."""


def _known(oracle: Oracle, x: Tensor, slope: Slope, key: Key) -> float:
    return _failed_is_worst(oracle.value(x, key) if math.isnan(slope.value) else slope.value)


def _failed_is_worst(value: float) -> float:
    return value if math.isfinite(value) else math.inf


def _half_square(r: Tensor) -> float:
    return _failed_is_worst(dot(r, r) / 2)


def _moved(oracle: Oracle, x: Tensor, step: Tensor) -> tuple[Tensor, Tensor, bool] | None:
    """The point a step leads to, the way there, and whether a bound bent it; None if it is x or not finite."""
    raw = x + step.to(x.dtype)
    point = oracle.project(raw)
    if torch.equal(point, x) or not torch.isfinite(point).all():
        return None
    return (point, step, False) if point is raw else (point, wide(point) - wide(x), True)


def _gain(before: float, after: float, decrease: float) -> float:
    """The decrease of f as a fraction of the one predicted; -inf where f failed or none was predicted."""
    if math.isinf(after) or not decrease > 0:
        return -math.inf
    return math.inf if math.isinf(before) else (before - after) / decrease
