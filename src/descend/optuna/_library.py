"""Optuna, which is not always there: the only file of this room that imports it."""

from descend.errors import MissingExtra

try:
    import optuna
except ImportError:
    raise MissingExtra("optuna", "optuna") from None

__all__ = ["optuna"]
