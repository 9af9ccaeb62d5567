"""A step rule decides how far to go along a direction."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from torch import Tensor

from descend.key import Key
from descend.oracle import Asks, Oracle, Slope

__all__ = ["Moved", "Step"]

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Moved(Generic[S]):
    """Where a step led.

    Args:
        x: the new point (d,); the old one itself if nothing was better.
        value: f there if it was learned, else NaN.
        state: the step rule's next state.
        gradient: (d,), what the oracle said of it at x, held coordinates included, if it was asked; else None.
    """

    x: Tensor
    value: float
    state: S
    gradient: Tensor | None = None


class Step(ABC, Generic[S]):
    """Class attributes:
    needs: what it asks the oracle for.
    """

    needs: ClassVar[Asks] = Asks(0)

    @abstractmethod
    def init(self, x: Tensor) -> S:
        """The state before the first step at a point x (d,)."""

    @abstractmethod
    def __call__(self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, state: S, key: Key) -> Moved[S]:
        """A new point near x - t * direction.

        Every point that is asked about or returned goes through ``oracle.project`` first, so bounds hold.

        Args:
            oracle: to be asked what the rule `needs`; one key throughout, so values can be compared under noise.
            x: the iterate (d,); not to be overwritten.
            direction: (d,), to be subtracted; after the transforms.
            slope: the gradient before the transforms, and f(x) where it is known (`slope.value`, else NaN).
            state: consumed.
            key: the step's key.
        """
