"""Weight decay: a pull towards the origin, coupled or decoupled by its place in the chain.

Loshchilov, Hutter (2019), "Decoupled weight decay regularization", arXiv:1711.05101.
"""

from dataclasses import dataclass

from torch import Tensor

from descend.transform.chain import At, Transform
from descend.transform.check import check_not_negative

__all__ = ["WeightDecay"]


@dataclass(frozen=True)
class WeightDecay(Transform[None]):
    """direction + weight_decay * x.

    First in the chain it is the gradient of weight_decay / 2 * |x|^2, coupled to what follows, as torch.optim's SGD
    and Adam have it. Last in the chain x shrinks by the factor 1 - lr * weight_decay, decoupled, as AdamW has it.

    Args:
        weight_decay: >= 0; default 1e-2.

    Raises:
        InvalidValue: a negative or non-finite number.

    >>> from descend.descent import Descent
    >>> from descend.transform import HeavyBall
    >>> Descent(WeightDecay(1e-4), HeavyBall(0.9), lr=0.1).chain[0]
    WeightDecay(weight_decay=0.0001)
    """

    weight_decay: float = 1e-2
    reads_point = True

    def __post_init__(self) -> None:
        check_not_negative("weight_decay", self.weight_decay, 1e-2)

    def init(self, x: Tensor) -> None:
        return None

    def __call__(self, gradient: Tensor, state: None, at: At) -> tuple[Tensor, None]:
        return gradient.add_(at.x, alpha=self.weight_decay), None
