"""What the numbers of a transform may be, checked when it is made."""

import math
from collections.abc import Sequence

from descend.errors import InvalidValue

__all__ = ["check_betas", "check_fraction", "check_not_negative", "check_positive"]


def check_positive(name: str, value: float, example: float) -> None:
    """Raise `InvalidValue` unless the value is a finite number > 0.

    >>> check_positive("eps", 1e-8, example=1e-8)
    """
    if not (math.isfinite(value) and value > 0):
        raise InvalidValue(f"{name} must be a finite number > 0, got {name}={value!r}; write {name}={example}")


def check_not_negative(name: str, value: float, example: float) -> None:
    """Raise `InvalidValue` unless the value is a finite number >= 0."""
    if not (math.isfinite(value) and value >= 0):
        raise InvalidValue(f"{name} must be a finite number >= 0, got {name}={value!r}; write {name}={example}")


def check_fraction(name: str, value: float, example: float) -> None:
    """Raise `InvalidValue` unless the value lies in [0, 1)."""
    if not 0 <= value < 1:
        raise InvalidValue(f"{name} must lie in [0, 1), got {name}={value!r}; write {name}={example}")


def check_betas(betas: Sequence[float], example: tuple[float, float]) -> None:
    """Raise `InvalidValue` unless there are two of them, both in [0, 1)."""
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise InvalidValue(f"betas must be two numbers in [0, 1), got betas={betas!r}; write betas={example}")
