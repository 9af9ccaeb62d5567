"""The fixed step: x - lr * direction, with lr a number or a schedule."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Oracle, Slope
from descend.step.base import Moved, Step
from descend.tree import state

__all__ = ["Fixed", "FixedState", "as_rate"]

Rate = float | Callable[[int], float]


def as_rate(lr: Rate) -> Callable[[int], float]:
    """A learning rate as a function of the number of steps taken."""
    return lr if callable(lr) else lambda t: lr


@state
class FixedState:
    """t: the number of steps taken."""

    t: int


@dataclass(frozen=True)
class Fixed(Step[FixedState]):
    """x - lr * direction.

    Args:
        lr: the learning rate, a number >= 0 or a schedule: any callable from the number of steps taken to a number.

    Raises:
        InvalidValue: a negative or non-finite number.

    >>> Fixed(0.1)
    Fixed(lr=0.1)
    """

    lr: Rate

    def __post_init__(self) -> None:
        if not callable(self.lr) and not (math.isfinite(self.lr) and self.lr >= 0):
            raise InvalidValue(f"the learning rate must be a finite number >= 0, got lr={self.lr!r}; write lr=1e-2")

    def init(self, x: Tensor) -> FixedState:
        return FixedState(0)

    def __call__(
        self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, state: FixedState, key: Key
    ) -> Moved[FixedState]:
        rate = as_rate(self.lr)(state.t)
        return Moved(oracle.project(x.sub(direction, alpha=rate)), math.nan, FixedState(state.t + 1))
