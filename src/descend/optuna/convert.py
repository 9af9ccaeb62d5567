"""Optuna's distributions as descend's parameters, and values both ways."""

import math
from collections.abc import Sequence
from typing import Any

from descend.errors import InvalidValue
from descend.optuna._library import optuna
from descend.space import Bool, Choice, Float, Int, Leaf, Ordinal
from descend.space.leaf import Discrete

__all__ = ["distribution_of", "leaf_of", "to_optuna", "to_plain", "widest"]

_Base = optuna.distributions.BaseDistribution
_Float = optuna.distributions.FloatDistribution
_Int = optuna.distributions.IntDistribution
_Categorical = optuna.distributions.CategoricalDistribution
_SCALARS = (str, int, float, bool, type(None))


def leaf_of(distribution: _Base, constant: bool = False) -> Leaf | None:
    """The parameter that a distribution describes; None if its only value is a number, or none of ours is like it.

    Args:
        distribution: Optuna's.
        constant: whether a number that is the only value is a choice of one.

    A choice that JSON cannot hold, and a number that is not finite, are represented by their text.

    >>> leaf_of(optuna.distributions.FloatDistribution(1e-5, 1.0, log=True))
    Float(1e-05, 1.0, log=True)
    >>> leaf_of(optuna.distributions.IntDistribution(3, 3)) is None
    True
    """
    try:
        match distribution:
            case _Categorical():
                return Choice(*map(_scalar, distribution.choices))
            case _Float() | _Int() if constant and distribution.single():
                return Choice(distribution.low)
            case _Float():
                return Float(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
            case _Int():
                return Int(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    except InvalidValue:
        return None
    return None


def widest(distributions: Sequence[_Base]) -> Leaf | None:
    """One parameter with all values of several distributions of a kind and scale; with steps where all have the same.

    >>> D = optuna.distributions
    >>> widest([D.FloatDistribution(0, 1, step=0.5), D.FloatDistribution(0, 2)]), widest([D.IntDistribution(3, 3)])
    (Float(0.0, 2.0), Choice(3))
    """
    first = distributions[0]
    if all(other == first for other in distributions):
        return leaf_of(first, constant=True)
    if isinstance(first, _Categorical):
        choices = [each for other in distributions if isinstance(other, _Categorical) for each in other.choices]
        return leaf_of(_Categorical(list(dict.fromkeys(choices))))
    ranges = [other for other in distributions if isinstance(other, _Float | _Int)]
    low, high = min(each.low for each in ranges), max(each.high for each in ranges)
    alike = len({(each.low, each.step) for each in ranges}) == 1
    if isinstance(first, _Int):
        return leaf_of(_Int(int(low), int(high), first.log, first.step if alike else 1), constant=True)
    step = ranges[0].step if alike else None
    return leaf_of(_Float(low, high, ranges[0].log, step), constant=True)


def distribution_of(leaf: Leaf, nearly: bool = False) -> _Base | None:
    """The distribution that describes a parameter; None if Optuna has none like it.

    Args:
        leaf: ours.
        nearly: whether one that has the same values on another scale will do.

    >>> distribution_of(Int(1, 64, log=True))
    IntDistribution(high=64, log=True, low=1, step=1)
    """
    match leaf:
        case Float(low=float(low), high=float(high)) if nearly or not (leaf.logit or leaf.open):
            return _Float(low, high, log=leaf.log, step=leaf.step)
        case Int():
            return _Int(leaf.low, leaf.high, log=leaf.log, step=leaf.step)
        case Choice() | Ordinal() if all(isinstance(option, _SCALARS) for option in leaf.options):
            return _Categorical(leaf.options)
        case Bool():
            return _Categorical((False, True))
    return None


def to_plain(distribution: _Base, value: Any) -> Any:
    """What stands for one of Optuna's values in a log."""
    match distribution:
        case _Categorical():
            return _scalar(distribution.choices[int(distribution.to_internal_repr(value))])
        case _Int():
            return int(value)
    return float(value)


def to_optuna(distribution: _Base, value: Any) -> Any:
    """The value of Optuna's for which it stands."""
    if not isinstance(distribution, _Categorical):
        return value
    leaf = leaf_of(distribution)
    assert isinstance(leaf, Discrete)
    return distribution.choices[int(leaf.index([value])[0])]


def _scalar(choice: Any) -> Any:
    if isinstance(choice, float) and not math.isfinite(choice):
        return repr(choice)
    return choice if isinstance(choice, _SCALARS) else repr(choice)
