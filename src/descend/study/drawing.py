"""Values of one parameter at random, a function of a key: for parameters of which a method knows nothing yet."""

from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from descend.key import Key
from descend.space import Leaf

__all__ = ["drawn"]

_NORMAL = NormalDist()


def drawn(leaf: Leaf, key: Key, fits: Callable[[Any], bool] | None = None) -> Any:
    """A value: uniform coordinates, standard normal ones where they are unbounded.

    Args:
        leaf: of which parameter.
        key: of the trial and of the parameter's name.
        fits: which values are wanted, default all; if 1000 are not, the last one is returned.

    >>> from descend.space import Int
    >>> drawn(Int(1, 6), Key(0)) == drawn(Int(1, 6), Key(0)) in range(1, 7)
    True
    """
    axes, value = leaf.axes, None
    bounded = np.isfinite(axes.lower) & np.isfinite(axes.upper)
    for turn in range(1000):
        # 53 bits of each key, in the middle of their interval, so that neither 0 nor 1 comes out
        shares = [((key.fold(turn, j).seed >> 11) + 0.5) * 2.0**-53 for j in range(leaf.dim)]
        us = [share if inside else _NORMAL.inv_cdf(share) for share, inside in zip(shares, bounded, strict=True)]
        value = leaf.values(np.clip(np.array([us]).reshape(1, leaf.dim), axes.lower, axes.upper))[0]
        if fits is None or fits(value):
            break
    return value
