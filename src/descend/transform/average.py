"""Averaging of iterates: the mean of where a noisy descent has been is nearer to the minimum than where it is.

Polyak, Juditsky (1992), "Acceleration of stochastic approximation by averaging"; Ruppert (1988). The average never
enters the descent; it is read with `averaged` when it is wanted.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.transform.chain import At, Transform
from descend.tree import state

__all__ = ["IterateAverage", "IterateAverageState", "averaged"]


@state
class IterateAverageState:
    """mean (d,): of the iterates before the present one; weight: of the present one in the mean; t: steps taken."""

    mean: Tensor
    weight: float
    t: int


@dataclass(frozen=True)
class IterateAverage(Transform[IterateAverageState]):
    """Keeps the average of the iterates x_1, x_2, ... and lets every gradient pass as it is.

    Its place in the chain does not matter. The memory is one vector, in float32 at least.

    Args:
        decay: in [0, 1), how much an exponential average keeps per step; default None, the plain mean (Polyak-Ruppert).
        start: >= 0, the number of first iterates that are left out, while the descent is still on its way; default 0.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.descent import Descent
    >>> from descend.key import Key
    >>> from descend.oracle import Differentiable
    >>> oracle, descent = Differentiable(lambda x: x.square().sum()), Descent(IterateAverage(), lr=1.0)
    >>> state = descent.init(torch.ones(1), Key(0))
    >>> for _ in range(4):  # x goes 1, -1, 1, -1, 1
    ...     state = descent.advance(oracle, state)
    >>> state.x, averaged(state)
    (tensor([1.]), tensor([0.]))
    """

    decay: float | None = None
    start: int = 0
    reads_point = True

    def __post_init__(self) -> None:
        if self.decay is not None and not 0 <= self.decay < 1:
            raise InvalidValue(
                f"decay must lie in [0, 1), got decay={self.decay!r}; write decay=0.999, or None for the mean"
            )
        if self.start < 0:
            raise InvalidValue(f"start counts iterates to leave out, got start={self.start!r}; write start=0")

    def init(self, x: Tensor) -> IterateAverageState:
        return IterateAverageState(x.to(torch.promote_types(x.dtype, torch.float32), copy=True), 0.0, 0)

    def __call__(self, gradient: Tensor, state: IterateAverageState, at: At) -> tuple[Tensor, IterateAverageState]:
        state.mean.lerp_(at.x.to(state.mean.dtype), state.weight)
        return gradient, IterateAverageState(state.mean, self._weight(state.t + 1), state.t + 1)

    def _weight(self, t: int) -> float:
        """The weight of x_t in the average of x_{start+1}, ..., x_t; before these the average is x_t itself."""
        n = t - self.start
        if n <= 1:
            return 1.0
        return 1 / n if self.decay is None else 1 - self.decay


class _Stands(Protocol):
    """Where a descent stands: `DescentState`."""

    @property
    def x(self) -> Tensor: ...

    @property
    def transforms(self) -> tuple[Any, ...]: ...


def averaged(state: _Stands) -> Tensor:
    """The average of the iterates, the present one included, of a descent with `IterateAverage` in its chain.

    Args:
        state: a `DescentState`.

    Returns:
        A new (d,) tensor in the dtype of the point; the point itself before the first step.

    Raises:
        CompositionError: there is no `IterateAverage` in the chain.
    """
    for kept in state.transforms:
        if isinstance(kept, IterateAverageState):
            return kept.mean.lerp(state.x.to(kept.mean.dtype), kept.weight).to(state.x.dtype)
    raise CompositionError(
        "the descent keeps no average of its iterates; put IterateAverage() into its chain: "
        "Descent(Adam(), IterateAverage(), lr=...)"
    )
