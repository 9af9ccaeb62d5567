"""Momentum: the direction is a sum, or an average, of past gradients in which old ones fade.

Polyak (1964), "Some methods of speeding up the convergence of iteration methods"; Nesterov (1983), in the form of
Sutskever, Martens, Dahl, Hinton (2013), "On the importance of initialization and momentum in deep learning".
Symbols: mu = `momentum` or `beta`, tau = `dampening`, v = `velocity` or `mean`, g = `gradient`.
"""

from dataclasses import dataclass

from torch import Tensor

from descend.errors import InvalidValue
from descend.transform.chain import At, Transform
from descend.transform.check import check_fraction
from descend.tree import state

__all__ = ["HeavyBall", "LeakyAverage", "LeakyAverageState", "Velocity", "debiased_weight"]


def debiased_weight(beta: float, t: int) -> float:
    """The weight of the newest of t values in their exponential average, so that all t weights sum to one.

    Folding each value in with this weight gives at once what dividing the average that began at zero by
    1 - beta^t gives afterwards, without a pass over the memory.

    >>> debiased_weight(0.9, 1), round(debiased_weight(0.9, 1000), 12)
    (1.0, 0.1)
    """
    return (1 - beta) / (1 - beta**t)


@state
class Velocity:
    """velocity (d,): the fading sum of gradients; t: steps taken."""

    velocity: Tensor
    t: int


@dataclass(frozen=True)
class HeavyBall(Transform[Velocity]):
    """v <- mu v + (1 - tau) g, and the direction is v, or g + mu v for Nesterov's momentum; as torch.optim.SGD.

    The first gradient is not dampened. A direction is up to 1 / (1 - mu) times as long as a gradient, so `lr` should
    be shorter than without momentum; `LeakyAverage` keeps the length.

    Args:
        momentum: mu in [0, 1), how much of the velocity is kept; default 0.9, which remembers some ten gradients.
        dampening: tau in [0, 1), how much of a new gradient is left out; default 0.
        nesterov: look ahead along the velocity; default False.

    Raises:
        InvalidValue: a number outside its range, or dampening together with nesterov, which has no meaning.

    >>> from descend.descent import Descent
    >>> Descent(HeavyBall(0.9), lr=0.01)
    Descent(HeavyBall(momentum=0.9, dampening=0.0, nesterov=False), Fixed(lr=0.01))
    """

    momentum: float = 0.9
    dampening: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        check_fraction("momentum", self.momentum, 0.9)
        check_fraction("dampening", self.dampening, 0.0)
        if self.nesterov and self.dampening:
            raise InvalidValue(
                f"Nesterov's momentum is not dampened, got dampening={self.dampening!r}; write dampening=0"
            )

    def init(self, x: Tensor) -> Velocity:
        return Velocity(x.new_zeros(x.shape), 0)

    def __call__(self, gradient: Tensor, state: Velocity, at: At) -> tuple[Tensor, Velocity]:
        v = state.velocity
        v.mul_(self.momentum).add_(gradient, alpha=1 - self.dampening if state.t else 1.0)
        if self.nesterov:
            gradient.add_(v, alpha=self.momentum)
        else:
            gradient.copy_(v)  # whoever comes next in the chain may overwrite the direction, but not v
        return gradient, Velocity(v, state.t + 1)


@state
class LeakyAverageState:
    """mean (d,): the average of gradients; t: steps taken."""

    mean: Tensor
    t: int


@dataclass(frozen=True)
class LeakyAverage(Transform[LeakyAverageState]):
    """The exponential moving average of gradients, v <- beta v + (1 - beta) g, is the direction.

    Args:
        beta: in [0, 1), how much of the average is kept; default 0.9, which averages some ten gradients.
        debias: give the weights of the gradients seen so far the sum one, as Adam does; without it the average begins
            at zero, so the first steps are short. Default False.

    Raises:
        InvalidValue: beta outside [0, 1).

    >>> from descend.descent import Descent
    >>> Descent(LeakyAverage(0.9, debias=True), lr=0.1)
    Descent(LeakyAverage(beta=0.9, debias=True), Fixed(lr=0.1))
    """

    beta: float = 0.9
    debias: bool = False

    def __post_init__(self) -> None:
        check_fraction("beta", self.beta, 0.9)

    def init(self, x: Tensor) -> LeakyAverageState:
        return LeakyAverageState(x.new_zeros(x.shape), 0)

    def __call__(self, gradient: Tensor, state: LeakyAverageState, at: At) -> tuple[Tensor, LeakyAverageState]:
        t = state.t + 1
        state.mean.lerp_(gradient, debiased_weight(self.beta, t) if self.debias else 1 - self.beta)
        return gradient.copy_(state.mean), LeakyAverageState(state.mean, t)
