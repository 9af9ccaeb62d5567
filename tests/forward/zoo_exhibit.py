"""What one model of the zoo consists of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Exhibit", "read"]


def read(output: Tensor) -> Tensor:
    """A weighted mean of the output, so that no symmetry hides a part; a plain one of a layer norm is constant."""
    weights = torch.cos(torch.arange(output[0].numel(), dtype=output.dtype)).view(output.shape[1:])
    return (output * weights).mean() + (output * weights).square().mean()


def _output(model: nn.Module, batch: Any) -> Tensor:
    return read(model(batch))


@dataclass(frozen=True)
class Exhibit:
    """A model, a batch and a loss.

    Attributes:
        build: makes the model; it is called under a fixed seed.
        batch: makes the batch, likewise.
        loss: (model, batch) -> a 0-d tensor.
        idle: matches the names of the trainable parameters that the loss does not depend on.
        single: it runs in float32 only.
        apart: the members of a population cannot run as one forward.
    """

    build: Callable[[], nn.Module]
    batch: Callable[[], Any]
    loss: Callable[[nn.Module, Any], Tensor] = _output
    idle: str = "nothing"
    single: bool = False
    apart: bool = False

    def made(self, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, Any]:
        """The model and the batch, the same at every call; the global generator is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = self.build().to(dtype)
            batch = self.batch()
        return model, _cast(batch, dtype)


def _cast(batch: Any, dtype: torch.dtype) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(dtype) if batch.is_floating_point() else batch
    if isinstance(batch, dict):
        return {name: _cast(value, dtype) for name, value in batch.items()}
    return type(batch)(_cast(value, dtype) for value in batch) if isinstance(batch, tuple | list) else batch
