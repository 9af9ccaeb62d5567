"""Counter-based random directions: `z[i]` is a pure function of (seed, member, law, i), with the same bits everywhere.

`law.py` freezes the number format, `reference.py` defines the numbers in torch, `cpu.py` makes them fast where numba
is installed, `backend.py` checks the question and chooses who answers.
"""

from .backend import add, combine, dot, fill
from .law import Law

__all__ = ["Law", "add", "combine", "dot", "fill"]
