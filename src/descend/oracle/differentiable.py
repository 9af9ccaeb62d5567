"""A torch function that autograd can differentiate: answers gradients, directional and second derivatives exactly."""

import math

import torch
from torch import Tensor

from descend.direction import Directions
from descend.key import Key
from descend.oracle.core import Asks, Slope
from descend.oracle.failure import derive, evaluate
from descend.oracle.function import Function
from descend.oracle.leaf import with_randomness
from descend.oracle.scalar import as_float

__all__ = ["Differentiable"]


class Differentiable(Function):
    """Answers values, gradients, JVPs and HVPs of a torch function f: (d,) -> ().

    Gradients come from reverse mode (one forward and one backward pass), JVPs from forward mode (no graph is
    kept), HVPs from reverse over reverse. The arguments are those of `Function`, except that f takes tensors.

    >>> import torch
    >>> oracle = Differentiable(lambda x: (x**3).sum())
    >>> oracle.gradient(torch.tensor([1.0, 2.0]), Key(0)).gradient
    tensor([ 3., 12.])
    """

    answers = Asks.VALUE | Asks.VALUES | Asks.GRADIENT | Asks.JVP | Asks.HVP

    def gradient(self, x: Tensor, key: Key) -> Slope:
        found = torch.full_like(x, math.nan)  # what a failed gradient is, so that the step is rejected

        def ask(k: Key) -> float:
            nonlocal found
            with torch.enable_grad():
                leaf = x.detach().clone().requires_grad_()
                value = self._graph(leaf, k)
                (found,) = torch.autograd.grad(value, leaf)
            return as_float(value)

        value = evaluate(ask, key, self.ledger, self.on_failure, "gradient")
        return Slope(found if math.isfinite(value) else torch.full_like(x, math.nan), value)

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        tangents = directions.dense(x)

        def ask(k: Key) -> Tensor:
            def one(tangent: Tensor) -> Tensor:
                return torch.func.jvp(lambda y: self._plain(y, k), (x.detach(),), (tangent,))[1]

            with torch.no_grad():
                if len(tangents) == 1:
                    return with_randomness(k, lambda: one(tangents[0])[None])
                many = torch.func.vmap(one, chunk_size=self._chunk(x), randomness="same")
                return with_randomness(k, lambda: many(tangents))

        nothing = torch.empty(directions.count, dtype=torch.float64)
        found = derive(ask, nothing, key, self.ledger, self.on_failure, "jvp", directions.count)
        return found.to("cpu", torch.float64)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        def ask(k: Key) -> Tensor:
            with torch.enable_grad():
                leaf = x.detach().clone().requires_grad_()
                (gradient,) = torch.autograd.grad(self._graph(leaf, k), leaf, create_graph=True)
                if not gradient.requires_grad:  # f is linear in x
                    return torch.zeros_like(x)
                (product,) = torch.autograd.grad(gradient, leaf, direction, allow_unused=True)
            return torch.zeros_like(x) if product is None else product

        return derive(ask, x, key, self.ledger, self.on_failure, "hvp")

    def _chunk(self, x: Tensor) -> int:
        return max(1, self.memory // max(1, x.numel() * x.element_size()))

    def _plain(self, x: Tensor, key: Key) -> Tensor:
        """f at one point as a 0-d tensor, differentiable, whatever way f takes points."""
        points = x[None] if self.batched and not self._vmapped else x
        value = self.f(points, key) if self.keyed else self.f(points)
        return value.reshape(())

    def _graph(self, leaf: Tensor, key: Key) -> Tensor:
        return with_randomness(key, lambda: self._plain(leaf, key))
