"""What the loop drives: a method, anything that can begin at a point and advance by one step.

`Descent` is one, and so is every population method and direct search; nobody has to inherit anything.
"""

from typing import Protocol, TypeVar, runtime_checkable

from torch import Tensor

from descend.key import Key
from descend.oracle import Asks, Oracle
from descend.space.domain import Domain

__all__ = ["Method", "Standing"]


class Standing(Protocol):
    """What the loop reads of a method's state, whatever else that holds."""

    @property
    def x(self) -> Tensor:
        """The iterate (d,): the point that the method would recommend now. It is not written to afterwards."""
        ...

    @property
    def value(self) -> float:
        """f(x) if the method knows it, else NaN."""
        ...

    @property
    def loss(self) -> float:
        """What the last step learned of f near the x that it began from (a mean of probes, say), else NaN."""
        ...

    @property
    def rejected(self) -> int:
        """How many steps so far came to nothing because evaluations failed."""
        ...

    @property
    def done(self) -> str:
        """Why the method has nothing more to do, empty while it goes on."""
        ...


S = TypeVar("S", bound=Standing)


@runtime_checkable
class Method(Protocol[S]):
    """How to minimize: a state, and a step from one state to the next."""

    @property
    def needs(self) -> Asks:
        """What it asks the oracle for."""
        ...

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> S:
        """The state before the first step at x (d,), in a domain or everywhere."""
        ...

    def advance(self, oracle: Oracle, state: S) -> S:
        """One step. The state passed in is consumed: what it remembers may be overwritten, but not its x."""
        ...
