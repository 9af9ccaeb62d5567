"""Counter-based random directions: `z[i]` is a pure function of (seed, member, law, i), with the same bits everywhere.

`law.py` freezes the number format, `reference.py` defines the numbers in torch, `cpu.py` makes them fast where numba
is installed and `cuda.py` where Triton is, `backend.py` checks the question and chooses who answers. `rounding.py`
rounds to narrow types with the same random bits.
"""

from .backend import add, combine, dot, fill, shift
from .law import Law
from .rounding import round_stochastically

__all__ = ["Law", "add", "combine", "dot", "fill", "round_stochastically", "shift"]
