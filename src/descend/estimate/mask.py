"""Only some weights move: a rule that says which, looked up once in the weights that training begins with.

With z zero outside a mask, an estimate is that of the gradient within the mask, and its variance is that of as many
dimensions as the mask has. The mask is the same at both ends of a probe and in the update, and it follows from the base
model alone: taken from perturbed or trained weights it would be another one every time.

Liu, Zhu, Gong and others (2024), "Sparse MeZO: less parameters for better performance in zeroth-order LLM fine-tuning",
arXiv 2402.15751, whose masks hold the small weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction import BLOCK
from descend.direction.masked import Mask
from descend.errors import InvalidValue

__all__ = ["Magnitude", "ranked"]


@dataclass(frozen=True)
class Magnitude:
    """The smallest weights of every matrix, or the largest ones.

    Args:
        fraction: in (0, 1], how many of its elements move; default 0.25, the paper's sparsity of 0.75.
        largest: those of the largest magnitude instead; default False.

    Vectors, such as biases and the weights of norms, move as a whole beside matrices. Elements of one magnitude go
    together, so the mask may hold a few more.

    Raises:
        InvalidValue: fraction is not in (0, 1].

    >>> Magnitude(0.5).of([torch.tensor([0.3, -0.1, 0.2, -0.4])]).tile(0, 4, torch.zeros(()))
    tensor([0., 1., 1., 0.])
    """

    fraction: float = 0.25
    largest: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise InvalidValue(f"fraction must lie in (0, 1], got {self.fraction!r}; write fraction=0.25")

    def of(self, tensors: Sequence[Tensor]) -> Mask:
        """The mask of these weights, one after the other."""
        matrices = any(t.dim() > 1 for t in tensors)
        return Mask.of(self._piece(t.detach(), t.dim() > 1 or not matrices) for t in tensors)

    def _piece(self, weight: Tensor, chooses: bool) -> Tensor:
        if not chooses or weight.numel() == 0:
            return torch.ones(weight.shape, dtype=torch.bool, device=weight.device)
        n = weight.numel()
        some = max(1, round(self.fraction * n))
        if self.largest:
            return _sizes(weight) >= ranked(weight, n - some)
        return _sizes(weight) <= ranked(weight, some - 1)


def _sizes(weight: Tensor) -> Tensor:
    return weight.abs().float()


def ranked(weight: Tensor, k: int) -> float:
    """The k-th smallest magnitude, k = 0, 1, ..., as float32, without sorting: nothing of the weight's size is made.

    Positive floating point numbers stand in the order of their bits, so 31 bits are found by halving, each by counting
    how many elements are not larger.

    >>> ranked(torch.tensor([3.0, -1.0, 2.0]), 1)
    2.0
    """
    flat = weight.reshape(-1)
    low, high = 0, 0x7F800000  # zero and infinity
    while low < high:
        middle = (low + high) // 2
        bound = torch.tensor(middle, dtype=torch.int32).view(torch.float32).item()
        if sum(int((_sizes(part) <= bound).sum()) for part in flat.split(BLOCK)) > k:
            high = middle
        else:
            low = middle + 1
    return torch.tensor(low, dtype=torch.int32).view(torch.float32).item()
