"""An nn.Module and a loss over data as an oracle: a differentiable function of the module's flat parameters.

The module itself is never written to: every answer comes from a functional call with other parameters.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from descend.key import Key
from descend.layout import Parameters
from descend.oracle.core import Asks
from descend.oracle.differentiable import Differentiable
from descend.oracle.failure import OnFailure
from descend.oracle.ledger import Ledger

__all__ = ["Module", "trainable"]


def trainable(model: nn.Module) -> tuple[list[str], list[nn.Parameter]]:
    """Names and parameters that are to be optimized: those with requires_grad, or all of them if none has it.

    Tied parameters stand once, under their first name.
    """
    named = list(model.named_parameters())
    chosen = [(name, p) for name, p in named if p.requires_grad] or named
    return [name for name, _ in chosen], [p for _, p in chosen]


class _Loss(nn.Module):
    """loss(model, batch) as the forward of a module, so that a functional call swaps the model's parameters."""

    def __init__(self, model: nn.Module, loss: Callable[[nn.Module, Any], Tensor]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, batch: Any) -> Tensor:
        return self.loss(self.model, batch)


class Module(Differentiable):
    """Answers questions about loss(model, batch) as a function of the model's flat parameters.

    Args:
        model: any nn.Module; frozen parameters (requires_grad=False) stay as they are.
        loss: loss(model, batch) -> a 0-d tensor.
        data: a batch, or a callable that makes one from a `Key` (the same key, the same minibatch).
        noisy: whether the model draws random numbers, as dropout does; see `Function`. With data made from a key the
            loss is noisy anyway.
        batched, memory, on_failure, ledger: as in `Function`; `batched=None` tries vmap over models.

    >>> import torch
    >>> model = torch.nn.Linear(2, 1)
    >>> oracle = Module(model, lambda m, x: m(x).square().mean(), torch.ones(4, 2))
    >>> oracle.point().shape
    torch.Size([3])
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[nn.Module, Any], Tensor],
        data: Any | Callable[[Key], Any],
        *,
        noisy: bool = False,
        batched: bool | None = None,
        memory: int = 2**19,
        on_failure: OnFailure | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        names, tensors = trainable(model)
        self.parameters = Parameters(tensors, names)
        self._wrapped = _Loss(model, loss)
        self._slots = _slots(self._wrapped, tensors)
        self._data = data if callable(data) else lambda _: data
        super().__init__(
            self._functional, batched=batched, keyed=True, memory=memory, on_failure=on_failure, ledger=ledger
        )
        self.varies = self.answers if noisy or callable(data) else Asks(0)

    def __repr__(self) -> str:
        return f"Module({type(self._wrapped.model).__name__}, {self.parameters.size} parameters)"

    def point(self) -> Tensor:
        """The module's parameters as a flat point (d,)."""
        return self.parameters.gather()

    def write(self, x: Tensor) -> None:
        """Give the module the parameters of a flat point (d,)."""
        self.parameters.scatter(x)

    def _functional(self, x: Tensor, key: Key) -> Tensor:
        pieces = self.parameters.layout.unflatten(x)
        cast = [piece.to(p.dtype) for piece, p in zip(pieces, self.parameters.tensors, strict=True)]
        swapped = {name: cast[i] for name, i in self._slots}
        return torch.func.functional_call(self._wrapped, swapped, (self._data(key),), tie_weights=False)


def _slots(module: nn.Module, tensors: list[nn.Parameter]) -> list[tuple[str, int]]:
    """Every place where a module holds one of the tensors, once: its full name, and which tensor it is.

    torch's own tying swaps a module that stands under two names twice, and then restores the wrong tensor.
    """
    index = {id(p): i for i, p in enumerate(tensors)}
    return [
        (f"{path}.{name}" if path else name, index[id(p)])
        for path, part in module.named_modules()
        for name, p in part.named_parameters(recurse=False, remove_duplicate=False)
        if id(p) in index
    ]
