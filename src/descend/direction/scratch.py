"""Memory that is used again and again: the page faults of a new tensor cost more than what is done to it."""

import torch
from torch import Tensor

__all__ = ["Scratch"]


class Scratch:
    """Memory that is used over and over."""

    def __init__(self) -> None:
        self._held: Tensor | None = None

    def take(self, count: int, dtype: torch.dtype, device: torch.device) -> Tensor:
        """`count` numbers of any value; what was taken before is void."""
        held = self._held
        if held is None or held.numel() < count or held.dtype != dtype or held.device != device:
            self._held = held = torch.empty(count, dtype=dtype, device=device)
        return held[:count]
