"""Step size and radius for random directions that nobody has set: Spall's gain sequences, calibrated by asking.

    a_t = a ((A + 1) / (A + t + 1))^alpha,   c_t = c / (t + 1)^gamma        (1)

with Spall's alpha = 0.602, gamma = 0.101 (Spall 1998, "Implementation of the simultaneous perturbation algorithm for
stochastic optimization"). Both stay constant where the objective repeats itself exactly: the estimator's own variance
vanishes with the gradient, so decreasing gains would only slow it down. The calibration takes at most 20 evaluations:

1. the value at x four times, under four keys: their spread is the noise sigma;
2. up to four symmetric pairs along fresh directions, the radius growing until a difference stands out of the noise;
3. a line search along the steepest of them, whose curvature q = z'Hz gives a = 1/(2q): for random signs z'Hz is the
   trace of the Hessian on average, and a = 1/tr H is the best constant step on an isotropic quadratic.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction import Directions
from descend.errors import EvaluationFailed
from descend.estimate.draw import Coupling, RandomLaw, draw
from descend.estimate.random_directions import RandomDirections, automatic_radius
from descend.key import Key
from descend.oracle import Oracle, Slope
from descend.step.base import Moved, Step
from descend.step.fixed import FixedState
from descend.tree import state

__all__ = ["CALIBRATION", "GainStep", "Gains", "calibrate"]

CALIBRATION = 20
"""The most evaluations that a calibration takes."""

_ALPHA, _GAMMA, _STABILITY = 0.602, 0.101, 50
_REPEATS, _PAIRS, _SEARCH = 4, 4, 8


@state
class Gains:
    """The sequences (1).

    Fields: a, the first step size; c, the first radius; limit, the longest step in the units of x; sigma, the
    standard deviation of the noise, 0 for an objective that repeats itself.
    """

    a: float
    c: float
    limit: float
    sigma: float

    def lr(self, t: int) -> float:
        """Step size after t steps."""
        return self.a if self.sigma == 0 else self.a * ((_STABILITY + 1) / (_STABILITY + t + 1)) ** _ALPHA

    def radius(self, t: int) -> float:
        """Radius after t steps."""
        return self.c if self.sigma == 0 else self.c / (t + 1) ** _GAMMA

    def rate(self, t: int, length: float) -> float:
        """Step size for a direction of this length: `lr`, shortened where the step would exceed the limit."""
        lr = self.lr(t)
        return lr if lr * length <= self.limit else self.limit / length


@dataclass(frozen=True)
class GainStep(Step[FixedState]):
    """A fixed step whose size follows calibrated gains."""

    gains: Gains

    def init(self, x: Tensor) -> FixedState:
        return FixedState(0)

    def __call__(
        self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, state: FixedState, key: Key
    ) -> Moved[FixedState]:
        rate = self.gains.rate(state.t, float(direction.norm()))
        return Moved(oracle.project(x.sub(direction, alpha=rate)), math.nan, FixedState(state.t + 1))


def calibrate(oracle: Oracle, estimator: RandomDirections, x: Tensor, key: Key) -> Gains:
    """Gains for an estimator at a point x (d,), from at most `CALIBRATION` values of the oracle.

    A radius that the estimator states is kept.

    Raises:
        EvaluationFailed: none of the values at x was finite.

    >>> from descend.oracle import Function
    >>> gains = calibrate(Function(lambda x: 3 * x.square().sum()), RandomDirections(), torch.ones(4), Key(0))
    >>> abs(gains.a - 1 / 48) < 1e-3, gains.sigma
    (True, 0.0)
    """
    centre, sigma = _noise(oracle, x, key)
    c, z, derivative = _steepest(oracle, estimator, x, sigma, key)
    curvature, reach = _search(oracle, x, z, derivative, c, centre, key)
    a = reach / max(abs(derivative), 1e-300) if curvature <= 0 else 0.5 / curvature
    if sigma > 0 and estimator.radius is None and curvature > 0:
        c = max(c, math.sqrt(sigma / curvature))  # there the bend of f over the radius equals the noise
    if isinstance(estimator.radius, float):
        c = estimator.radius
    return Gains(a, c, 4 * reach * math.sqrt(x.numel()), sigma)


def _noise(oracle: Oracle, x: Tensor, key: Key) -> tuple[float, float]:
    """Mean and standard deviation of the value at x under several keys."""
    values = [oracle.value(x, key.fold("noise", i)) for i in range(_REPEATS)]
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        raise EvaluationFailed("every evaluation at the start failed, so nothing can be calibrated; start elsewhere")
    mean = math.fsum(finite) / len(finite)
    spread = math.fsum((v - mean) ** 2 for v in finite)
    return mean, math.sqrt(spread / max(1, len(finite) - 1)) if min(finite) != max(finite) else 0.0


def _steepest(
    oracle: Oracle, estimator: RandomDirections, x: Tensor, sigma: float, key: Key
) -> tuple[float, Directions, float]:
    """A radius at which differences stand out of the noise, the steepest direction met, and the derivative along it."""
    size = float(x.double().square().mean().sqrt()) or 1.0
    c = estimator.radius if isinstance(estimator.radius, float) else automatic_radius(x, 2)
    if sigma > 0 and estimator.radius is None:
        c = max(c, 0.02 * size)
    best: tuple[float, Directions, float] | None = None
    law = estimator.law if isinstance(estimator.law, RandomLaw) else RandomLaw(estimator.law)
    for i in range(_PAIRS):
        z = draw(law, Coupling.INDEPENDENT, 1, x, key.fold("direction", i))
        low, high = oracle.along(x, z, torch.tensor([[-c, c]], dtype=torch.float64), key.fold("pair", i))[0].tolist()
        derivative = (high - low) / (2 * c)
        if math.isfinite(derivative) and (best is None or abs(derivative) > abs(best[2]) or c > best[0]):
            best = (c, z, derivative)
        if not math.isfinite(derivative):
            c /= 8
        elif abs(high - low) < 8 * sigma:
            c *= 4
    if best is None:
        raise EvaluationFailed("every evaluation near the start failed, so nothing can be calibrated; start elsewhere")
    return best


def _search(
    oracle: Oracle, x: Tensor, z: Directions, derivative: float, c: float, centre: float, key: Key
) -> tuple[float, float]:
    """Walk downhill along z in growing steps until f rises: the curvature there, and the best distance."""
    sign = -1.0 if derivative > 0 else 1.0

    def at(s: float) -> float:
        value = float(oracle.along(x, z, torch.tensor([[sign * s]], dtype=torch.float64), key.fold("search"))[0, 0])
        return value if math.isfinite(value) else math.inf

    best, reach, s, asked = centre, c, c, 0
    beyond = math.inf, math.inf
    while asked < _SEARCH - 1:
        value = at(s)
        asked += 1
        if value >= best and s > c:
            beyond = s, value
            break
        if value < best:
            best, reach = value, s
        s *= 4
    if math.isfinite(beyond[0]):  # look once between the best and the one beyond it
        middle = math.sqrt(reach * beyond[0])
        value = at(middle)
        if value < best:
            best, reach = value, middle
        elif math.isfinite(value):
            beyond = middle, value
    bends = [
        2 * (value - centre + abs(derivative) * s) / s**2
        for s, value in ((reach, best), beyond)
        if math.isfinite(s) and math.isfinite(value)
    ]
    return max(bends, default=0.0), reach
