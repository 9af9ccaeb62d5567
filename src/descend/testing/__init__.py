"""The contract kit: what every part of descend promises, as functions that a test calls.

>>> from descend.testing import parts
>>> sorted(parts.steps())[0]
'Backtracking'
"""

from descend.testing import objectives, parts

__all__ = ["objectives", "parts"]
