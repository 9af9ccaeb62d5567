"""The buffers of a model, such as the statistics of a batch norm, are no business of a probe: they are put back."""

import torch
from torch import Tensor, nn

__all__ = ["Kept"]

_SMALL = 2**16  # elements that cost nothing to copy


class Kept:
    """While it is open a model may run as often as it likes; afterwards its buffers are as they were, bit for bit.

    `again` puts them back in between, so that no probe sees what the probe before it left. Large ones of integers that
    stayed as they were the first time (masks, quantised weights) are not copied again.
    """

    def __init__(self, model: nn.Module | None) -> None:
        self._model = model
        self._still: set[tuple[int, str]] = set()
        self._held: list[_Buffer] = []

    def __enter__(self) -> "Kept":
        modules = [] if self._model is None else self._model.modules()
        self._held = [
            _Buffer(m, name, b, copied=_changeable(b) or (id(m), name) not in self._still)
            for m in modules
            for name, b in m._buffers.items()
            if b is not None
        ]
        return self

    def again(self) -> None:
        """Put the buffers back."""
        for buffer in self._held:
            buffer.back()

    def __exit__(self, *exception: object) -> None:
        self.again()
        for buffer in self._held:
            (self._still.discard if buffer.changed else self._still.add)((id(buffer.module), buffer.name))
        self._held = []


def _changeable(buffer: Tensor) -> bool:
    return buffer.numel() <= _SMALL or buffer.is_floating_point()


class _Buffer:
    """One buffer, where it belongs and what was in it."""

    def __init__(self, module: nn.Module, name: str, tensor: Tensor, copied: bool) -> None:
        self.module, self.name, self.tensor = module, name, tensor
        self.copy = tensor.clone() if copied else None
        self.version, self.changed = tensor._version, False

    def back(self) -> None:
        if self.module._buffers.get(self.name) is not self.tensor:  # a forward that assigns instead of writing
            self.module._buffers[self.name], self.changed = self.tensor, True
        if self.copy is None:
            self.changed = self.changed or self.tensor._version != self.version
        elif not torch.equal(self.tensor, self.copy):  # a batch norm writes without counting a version
            self.tensor.copy_(self.copy)
            self.changed = True
