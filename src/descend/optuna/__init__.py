"""Optuna's face: descend's methods in an Optuna study, and studies brought over from its storages and back."""

from descend.optuna.sampler import Sampler
from descend.optuna.storage import read_optuna, write_optuna

__all__ = ["Sampler", "read_optuna", "write_optuna"]
