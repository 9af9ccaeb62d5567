"""Variance reduction by an anchor: what a minibatch says is corrected by what it says at a point that is known well.

    g = g_B(x; z) - g_B(a; z) + g_full(a)        (1)

with the same minibatch B and the same directions z at the point x and at the anchor a, which a key decides, and
g_full(a) an average over many keys. The first two share the noise of the minibatch, so near the anchor it cancels; the
noise of the directions cancels in the difference as well, and what is left of it in g_full(a) stands still.

Johnson and Zhang (2013), "Accelerating stochastic gradient descent using predictive variance reduction" (SVRG); Gautam
et al. (2024), "Variance-reduced zeroth-order methods for fine-tuning language models" (MeZO-SVRG), arXiv 2404.08080.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.direction import as_dense
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Oracle
from descend.transform.chain import At, Transform
from descend.tree import state

__all__ = ["SVRG", "SVRGState"]


@state
class SVRGState:
    """anchor (d,): a; full (d,): g_full(a); age: steps since it was renewed, 0 before the first."""

    anchor: Tensor
    full: Tensor
    age: int


@dataclass(frozen=True)
class SVRG(Transform[SVRGState]):
    """The transform (1): an anchor that is renewed every so many steps.

    Args:
        every: steps between anchors, at least 1; default 50. The first step renews it.
        samples: how many keys g_full is averaged over, at least 1; default 16. With an objective that draws its
            minibatch from the key each is another minibatch and other directions.

    A step asks one gradient more, one that renews the anchor `samples` more. The memory is two vectors. A closure draws
    its minibatch from the key if it draws it with torch's global random numbers.

    Raises:
        InvalidValue: a number below 1.

    >>> import descend as dd, torch
    >>> data = torch.tensor([[3.0, 1.0], [-1.0, 2.0], [1.0, 0.0]])
    >>> def f(x, key):
    ...     return ((x - data[int(key.integers(0, 3, 1))]) ** 2).sum()
    >>> method, oracle = dd.Descent(SVRG(every=20, samples=200), lr=0.1), dd.Function(f, keyed=True) | dd.SPSA(0.1)
    >>> state = method.init(torch.zeros(2), dd.Key(0))
    >>> for _ in range(60):
    ...     state = method.advance(oracle, state)
    >>> bool((state.x - data.mean(0)).abs().max() < 0.5)
    True
    """

    every: int = 50
    samples: int = 16

    needs = Asks.GRADIENT
    separable = False
    reads_point = True

    def __post_init__(self) -> None:
        for name, number, example in (("every", self.every, 50), ("samples", self.samples, 16)):
            if type(number) is not int or number < 1:
                raise InvalidValue(f"{name} must be an integer of at least 1, got {number!r}; write {name}={example}")

    def init(self, x: Tensor) -> SVRGState:
        return SVRGState(x.clone(), torch.zeros_like(x), 0)

    def __call__(self, gradient: Tensor, state: SVRGState, at: At) -> tuple[Tensor, SVRGState]:
        if state.age == 0 or state.age >= self.every:
            full = self._averaged(at.oracle, at.x, at.key)
            if full is None:  # every one of them failed: go on without, and try again at the next step
                return gradient, replace(state, age=0)
            state.anchor.copy_(at.x)
            state.full.copy_(full)
            return gradient.copy_(full), SVRGState(state.anchor, state.full, 1)
        there = as_dense(at.oracle.gradient(state.anchor, at.key).gradient, at.x)
        return gradient.sub_(there).add_(state.full), replace(state, age=state.age + 1)

    def _averaged(self, oracle: Oracle, x: Tensor, key: Key) -> Tensor | None:
        """The mean over the keys whose gradients are finite, None if there is none."""
        total, count = torch.zeros_like(x), 0
        for sample in range(self.samples):
            slope = oracle.gradient(x, key.fold("anchor", sample))
            if slope.is_finite():
                total += as_dense(slope.gradient, x)
                count += 1
        return total / count if count else None
