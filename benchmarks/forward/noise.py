"""The noise kernels' table, which is a benchmark of its own: see `kernels.py`."""

from kernels import main

__all__ = ["main"]
