"""Clipping: a gradient that is too long is shortened, so that one outlier cannot undo many steps.

Pascanu, Mikolov, Bengio (2013), "On the difficulty of training recurrent neural networks", arXiv:1211.5063.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.transform.chain import At, Transform
from descend.transform.check import check_positive

__all__ = ["ClipNorm", "ClipValue"]


@dataclass(frozen=True)
class ClipNorm(Transform[None]):
    """The gradient, scaled to Euclidean norm `max_norm` where it is longer; its direction stays.

    The norm is that of the whole point, all parameters together, accumulated in float32 at least.

    Args:
        max_norm: > 0, in units of the gradient; no default, because it depends on the objective's scale.

    Raises:
        InvalidValue: max_norm is not a positive number.

    >>> from descend.descent import Descent
    >>> Descent(ClipNorm(1.0), lr=0.1)
    Descent(ClipNorm(max_norm=1.0), Fixed(lr=0.1))
    """

    max_norm: float
    separable = False

    def __post_init__(self) -> None:
        check_positive("max_norm", self.max_norm, 1.0)

    def init(self, x: Tensor) -> None:
        return None

    def __call__(self, gradient: Tensor, state: None, at: At) -> tuple[Tensor, None]:
        wide = torch.promote_types(gradient.dtype, torch.float32)
        norm = torch.linalg.vector_norm(gradient, dtype=wide)
        # a tensor, not a number, so that no device is waited for; of norm 0 it is the minimum of 1 and infinity
        return gradient.mul_((self.max_norm / norm).clamp(max=1.0)), None


@dataclass(frozen=True)
class ClipValue(Transform[None]):
    """Every coordinate of the gradient, moved into [-clip_value, clip_value].

    Args:
        clip_value: > 0, in units of the gradient; no default, because it depends on the objective's scale.

    Raises:
        InvalidValue: clip_value is not a positive number.

    >>> from descend.descent import Descent
    >>> Descent(ClipValue(0.5), lr=0.1)
    Descent(ClipValue(clip_value=0.5), Fixed(lr=0.1))
    """

    clip_value: float

    def __post_init__(self) -> None:
        check_positive("clip_value", self.clip_value, 1.0)

    def init(self, x: Tensor) -> None:
        return None

    def __call__(self, gradient: Tensor, state: None, at: At) -> tuple[Tensor, None]:
        return gradient.clamp_(-self.clip_value, self.clip_value), None
