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
from descend.oracle import Asks, Ledger, Oracle, Slope, check_answers

__all__ = ["Estimator", "Lifted"]


class Estimator(ABC):  # noqa: B024  (a subclass implements what it gives, so nothing is abstract for all)
    """Oracle -> Oracle. A subclass implements the questions that it `gives`.

    Class attributes:
        needs: what it asks of the oracle below.
        gives: what the lifted oracle answers through it.
        keeps: what the lifted oracle still answers from below, beside what it gives.
        random: whether its answers hang on what it draws from the key, so that another key shows something new.
    """

    needs: ClassVar[Asks] = Asks.VALUES
    gives: ClassVar[Asks] = Asks.GRADIENT
    keeps: ClassVar[Asks] = Asks.VALUE | Asks.VALUES | Asks.RESIDUALS
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
class Lifted(Oracle):
    """An oracle under an estimator; made by ``oracle | estimator``."""

    base: Oracle
    estimator: Estimator

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return (self.base.answers & self.estimator.keeps) | self.estimator.gives

    @property
    def memory(self) -> int:  # type: ignore[override]
        return self.base.memory

    @property
    def ledger(self) -> Ledger:  # type: ignore[override]
        return self.base.ledger

    @property
    def cost(self) -> int:  # type: ignore[override]
        return self.base.cost

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

    def value(self, x: Tensor, key: Key) -> float:
        return self.base.value(x, key)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return self.base.values(xs, key)

    def along(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        return self.base.along(x, directions, scales, key)

    def project(self, x: Tensor) -> Tensor:
        return self.base.project(x)

    def free(self, x: Tensor, gradient: Tensor) -> Tensor | None:
        return self.base.free(x, gradient)

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return (
            self.estimator.gradient(self.base, x, key)
            if Asks.GRADIENT in self.estimator.gives
            else self._below(Asks.GRADIENT).gradient(x, key)
        )

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        return (
            self.estimator.jvp(self.base, x, directions, key)
            if Asks.JVP in self.estimator.gives
            else self._below(Asks.JVP).jvp(x, directions, key)
        )

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        return (
            self.estimator.hvp(self.base, x, direction, key)
            if Asks.HVP in self.estimator.gives
            else self._below(Asks.HVP).hvp(x, direction, key)
        )

    def residuals(self, x: Tensor, key: Key) -> Tensor:
        return self._below(Asks.RESIDUALS).residuals(x, key)

    def jacobian(self, x: Tensor, key: Key) -> Tensor:
        return (
            self.estimator.jacobian(self.base, x, key)
            if Asks.JACOBIAN in self.estimator.gives
            else self._below(Asks.JACOBIAN).jacobian(x, key)
        )

    def _below(self, kind: Asks) -> Oracle:
        """The oracle below, if what it says about this kind may pass the estimator."""
        if kind not in self.answers:
            raise self._refuse(kind)
        return self.base
