"""An estimator lifts an oracle: it asks what the oracle can answer and gives what it could not.

The lifted oracle answers values, and what the estimator gives. Everything else that the oracle below could answer is
hidden on purpose: a second-order method must not silently go round the estimator to autograd.
"""

from abc import ABC
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from descend.direction import Directions
from descend.errors import CompositionError
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope, Wrapped, check_answers

__all__ = ["Estimator", "Lifted"]


class Estimator(ABC):  # noqa: B024  (a subclass implements what it gives, so nothing is abstract for all)
    """Oracle -> Oracle. A subclass implements the questions that it `gives`.

    Class attributes:
        needs: what it asks of the oracle below.
        gives: what the lifted oracle answers through it.
        keeps: what the lifted oracle still answers from below, beside what it gives.
        forgives: whether a failed evaluation is left out of the estimate instead of failing it.
        random: whether its answers hang on what it draws from the key, so that another key shows something new.
    """

    needs: ClassVar[Asks] = Asks.VALUES
    gives: ClassVar[Asks] = Asks.GRADIENT
    keeps: ClassVar[Asks] = Asks.VALUE | Asks.VALUES | Asks.RESIDUALS
    forgives: ClassVar[bool] = False
    random: ClassVar[bool] = True

    def __call__(self, oracle: Oracle) -> "Lifted":
        if not isinstance(oracle, Oracle):
            raise CompositionError(
                f"{self!r} lifts an oracle, got {type(oracle).__name__}; write Function(f) | {type(self).__name__}(...)"
            )
        check_answers(self, self.needs, oracle)
        return Lifted(oracle, self)

    def at(self, t: int) -> "Estimator":
        """This estimator at step t, with every schedule replaced by its number."""
        return self

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        """The estimated gradient at x (d,)."""
        raise oracle._refuse(Asks.GRADIENT)

    def hvp(self, oracle: Oracle, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        """The estimated Hessian-vector product at x (d,)."""
        raise oracle._refuse(Asks.HVP)

    def jvp(self, oracle: Oracle, x: Tensor, directions: Directions, key: Key) -> Tensor:
        """The estimated directional derivatives at x (d,), float64 (n,)."""
        raise oracle._refuse(Asks.JVP)

    def jacobian(self, oracle: Oracle, x: Tensor, key: Key) -> Tensor:
        """The estimated Jacobian of the residuals at x: (m, d)."""
        raise oracle._refuse(Asks.JACOBIAN)


@dataclass(frozen=True, eq=False)
class Lifted(Wrapped):
    """An oracle under an estimator; made by ``oracle | estimator``."""

    estimator: Estimator

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return (self.base.answers & self.estimator.keeps) | self.estimator.gives

    @property
    def varies(self) -> Asks:  # type: ignore[override]
        below = self.base.varies
        estimated = self.estimator.random or bool(self.estimator.needs & below)
        return (below & self.estimator.keeps) | (self.estimator.gives if estimated else Asks(0))

    def __repr__(self) -> str:
        return f"{self.base!r} | {self.estimator!r}"

    def at(self, t: int) -> Oracle:
        base, estimator = self.base.at(t), self.estimator.at(t)
        return self if base is self.base and estimator is self.estimator else Lifted(base, estimator)

    def along(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        return self.base.along(x, directions, scales, key)

    def gradient(self, x: Tensor, key: Key) -> Slope:
        if Asks.GRADIENT in self.estimator.gives:
            return self.estimator.gradient(self.base, x, key)
        return super().gradient(x, key)

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        if Asks.JVP in self.estimator.gives:
            return self.estimator.jvp(self.base, x, directions, key)
        return super().jvp(x, directions, key)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        if Asks.HVP in self.estimator.gives:
            return self.estimator.hvp(self.base, x, direction, key)
        return super().hvp(x, direction, key)

    def jacobian(self, x: Tensor, key: Key) -> Tensor:
        if Asks.JACOBIAN in self.estimator.gives:
            return self.estimator.jacobian(self.base, x, key)
        return super().jacobian(x, key)
