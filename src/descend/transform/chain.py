"""A transform turns a gradient into a direction and remembers what it needs; a chain applies several in order.

Sign convention: a direction is subtracted, x <- x - lr * direction, so plain gradient descent is the empty chain.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor

from descend.direction import BLOCK, Combination
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Asks, Oracle
from descend.tree import map_tensors, tensors

__all__ = ["At", "Transform", "apply_chain", "init_chain", "merged", "part_of"]

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class At:
    """Where a transform is applied.

    Args:
        x: the point (d,), or the same block of it as the gradient; read it, do not write to it.
        oracle: may be asked what the transform `needs`.
        key: the step's key.
        value: f(x) if it is known, else NaN.
        t: the number of steps taken before this one.
        start: where the block begins in the point.
        source: the whole gradient where it is a lazily held combination of directions that a key decides, else None.
        past: the estimate that some weights made at another step, from that step's key, number and weights; None where
            nobody can make it again.
    """

    x: Tensor
    oracle: Oracle
    key: Key
    value: float
    t: int = 0
    start: int = 0
    source: Combination | None = None
    past: Callable[[Key, int, list[float]], Combination] | None = None


class Transform(ABC, Generic[S]):
    """Gradient -> direction, with state.

    Class attributes:
        needs: what it asks the oracle for, beside the gradient it is given.
        separable: whether each coordinate is transformed alone. Separable transforms are applied block by block, so
            their temporaries stay small, and may have other hyperparameters in each parameter group.
        reads_point: whether it reads `at.x`.
        natural_length: whether its direction has the right length by itself, so that lr defaults to 1 behind it.
        unit_steps: whether the elements of its direction are about one, whatever those of the gradient.
    """

    needs: ClassVar[Asks] = Asks(0)
    separable: ClassVar[bool] = True
    reads_point: ClassVar[bool] = False
    natural_length: ClassVar[bool] = False
    unit_steps: ClassVar[bool] = False

    def bound(self, layout: Layout) -> "Transform[S]":
        """This transform for a point with a layout; those that look at shapes return another one."""
        return self

    @abstractmethod
    def init(self, x: Tensor) -> S:
        """The state before the first step at a point x (d,): a frozen dataclass made with `descend.tree.state`."""

    @abstractmethod
    def __call__(self, gradient: Tensor, state: S, at: At) -> tuple[Tensor, S]:
        """The direction (d,) and the next state. Both arguments are consumed: they may be overwritten and reused."""


def init_chain(chain: Sequence[Transform[Any]], x: Tensor) -> tuple[Any, ...]:
    """The states of a chain before the first step at x (d,)."""
    return tuple(transform.init(x) for transform in chain)


def apply_chain(
    chain: Sequence[Transform[Any]], gradient: Tensor, states: tuple[Any, ...], at: At
) -> tuple[Tensor, tuple[Any, ...]]:
    """The direction after all transforms, and their next states.

    Runs of separable transforms on long vectors are applied block by block. `gradient` is consumed.
    """
    d = gradient.numel()
    after = list(states)
    i = 0
    while i < len(chain):
        j = i
        while j < len(chain) and chain[j].separable:
            j += 1
        if j > i and d > BLOCK:
            after[i:j] = _blockwise(chain[i:j], gradient, tuple(after[i:j]), at)
            i = j
        else:
            gradient, after[i] = chain[i](gradient, after[i], at)
            i += 1
    return gradient, tuple(after)


def _blockwise(chain: Sequence[Transform[Any]], gradient: Tensor, states: tuple[Any, ...], at: At) -> tuple[Any, ...]:
    """Separable transforms applied to one block after another; the direction overwrites `gradient`."""
    d = gradient.numel()
    after: tuple[Any, ...] = states
    for start in range(0, d, BLOCK):
        stop = min(d, start + BLOCK)
        part = part_of(states, start, stop, d)
        block = gradient[start:stop]
        here = At(at.x[start:stop] if at.x.numel() == d else at.x, at.oracle, at.key, at.value)
        changed = []
        for transform, state in zip(chain, part, strict=True):
            block, new = transform(block, state, here)
            changed.append(new)
        gradient[start:stop] = block
        after = merged(states, tuple(changed), start, stop, d)
    return after


def part_of(states: Any, start: int, stop: int, d: int) -> Any:
    """The states with every (d,) tensor replaced by a view of its elements start..stop."""
    return map_tensors(lambda t: t[start:stop] if t.dim() == 1 and t.numel() == d else t, states)


def merged(states: Any, changed: Any, start: int, stop: int, d: int) -> Any:
    """`changed`, the states of a block, with every block tensor written back into the whole tensor of `states`."""
    wholes = iter(tensors(states))

    def put(block: Tensor) -> Tensor:
        whole = next(wholes)
        if whole.dim() == 1 and whole.numel() == d:
            view = whole[start:stop]
            if block.data_ptr() != view.data_ptr():
                view.copy_(block)
            return whole
        return block

    return map_tensors(put, changed)
