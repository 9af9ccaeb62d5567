"""From what objectives return to a float, and from points to what objectives take."""

from typing import Any

import numpy as np
from torch import Tensor

from descend.errors import ShapeMismatch

__all__ = ["as_float"]


def as_float(value: Any) -> float:
    """The number that an objective returned: a float, a NumPy scalar, a 0-d or one-element tensor or array.

    Raises:
        ShapeMismatch: it is not one number; the sentence says what it was.

    >>> import torch
    >>> as_float(torch.tensor([2.5])), as_float(3)
    (2.5, 3.0)
    """
    kind = type(value)
    if kind is float:
        return value
    if isinstance(value, Tensor):
        if value.numel() == 1:
            return float(value.item())
    elif isinstance(value, np.ndarray):
        if value.size == 1:
            return float(value.reshape(()))
    elif isinstance(value, int | float | np.number | np.bool_):
        return float(value)
    shape = f" of shape {tuple(value.shape)}" if isinstance(value, Tensor | np.ndarray) else ""
    raise ShapeMismatch(
        f"the objective returned {kind.__name__}{shape} where one number was expected; "
        "return a float or a 0-d tensor (reduce a batch of losses with .mean())"
    )
