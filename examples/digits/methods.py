"""The methods that are compared, a row each: what the optimizer is made of, and the settings that suit it.

Settings were chosen one method at a time by the accuracy on 300 held-back training images (`load(validation=True)`), at
the default budget, the mean of three seeds; the test images had no part in it. Tried were learning rates in steps of
about 1.5 to 2, radii 1e-3, 1e-2 and 1e-1, 1 to 32 directions, and for each method with and without Adam's memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

import descend as dd
from examples.digits.task import Network

__all__ = ["METHODS", "Method"]


@dataclass(frozen=True)
class Method:
    """A method.

    Args:
        slug: its name in options and keys.
        name: its name in tables and pictures.
        what: how it gets its gradient, a sentence.
        settings: the code that makes the optimizer.
        cost: forward-equivalents per step.
        make: the optimizer for a network, a number of steps, and a key.
    """

    slug: str
    name: str
    what: str
    settings: str
    cost: int
    make: Callable[[Network, int, dd.Key], dd.Optimizer]
