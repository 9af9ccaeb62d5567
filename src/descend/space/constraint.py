"""Conditions between parameters: numbers that may not exceed a limit."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.space.leaf import short

__all__ = ["Constraint", "Linear", "as_constraints", "check_weights", "excesses", "linear"]


@dataclass(frozen=True)
class Constraint:
    """function(point) <= upper.

    Args:
        function: takes a point as the objective does, returns one number.
        upper: a finite number; default 0.
        name: what messages call it; default the name of the function.

    Raises:
        InvalidValue: the function cannot be called, or upper is no finite number.

    >>> budget = Constraint(lambda point: point["a"] * point["b"], upper=10, name="budget")
    >>> budget.excess({"a": 3.0, "b": 4.0}), budget.holds({"a": 2.0, "b": 4.0})
    (2.0, True)
    """

    function: Callable[[Any], float]
    upper: float = 0.0
    name: str = ""

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidValue(f"Constraint needs a function of a point, got {self.function!r}")
        if isinstance(self.upper, bool) or not isinstance(self.upper, int | float) or not math.isfinite(self.upper):
            raise InvalidValue(f"Constraint needs a finite number for upper, got upper={self.upper!r}")
        if not self.name:
            object.__setattr__(self, "name", getattr(self.function, "__name__", type(self.function).__name__))

    def excess(self, point: Any) -> float:
        """function(point) - upper: how far it is exceeded, at most 0 where it holds, NaN where it cannot be told."""
        number = self.function(point)
        try:
            return float(number) - self.upper
        except (TypeError, ValueError, RuntimeError):  # text, a list, a tensor of several
            raise ShapeMismatch(
                f"the constraint {self.name} returned {number!r} where one number was expected"
            ) from None

    def holds(self, point: Any) -> bool:
        """Whether function(point) <= upper; False where it cannot be told."""
        return self.excess(point) <= 0


@dataclass(frozen=True)
class Linear:
    """The sum of weight * parameter.

    Args:
        weights: finite numbers by the names of parameters; "opt.beta" is beta in the record opt. A parameter that is
            not there counts as 0.

    Raises:
        InvalidValue: there are none, or one is no finite number.

    >>> Linear({"a": 1.0, "b": 2.0})({"a": 3.0, "b": 4.0})
    11.0
    """

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.weights:
            raise InvalidValue('Linear needs weights by name, such as {"a": 1.0, "b": 2.0}, got none')
        for name, weight in self.weights.items():
            if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
                raise InvalidValue(f"Linear needs finite weights, got {weight!r} for {name!r}")

    @property
    def __name__(self) -> str:
        return " + ".join(f"{weight:g} {name}" for name, weight in self.weights.items())

    def __hash__(self) -> int:
        return hash(tuple(self.weights.items()))

    def __call__(self, point: Mapping[str, Any]) -> float:
        """The sum at a point.

        Raises:
            InvalidValue: the point has no names, or what is weighed is no number.
        """
        if not isinstance(point, Mapping):
            raise InvalidValue(
                f"{self.__name__} weighs parameters by name, and got the point {short(point)}, which has none; "
                "give the space with the constraints, or write a function such as lambda x: x[0] + 2 * x[1]"
            )
        return sum(weight * _at(point, name) for name, weight in self.weights.items())


def linear(weights: Mapping[str, float], lower: float = -math.inf, upper: float = math.inf) -> tuple[Constraint, ...]:
    """lower <= sum of weight * parameter <= upper, as one constraint for each side that is finite.

    Args:
        weights: as of `Linear`.
        lower, upper: numbers, lower <= upper; an infinite one is no constraint.

    Raises:
        InvalidValue: lower > upper, or neither is finite, or a weight is wrong.

    >>> [each.name for each in linear({"a": 1.0, "b": 2.0}, lower=0, upper=5)]
    ['1 a + 2 b', '-1 a + -2 b']
    """
    if not lower <= upper or not (math.isfinite(lower) or math.isfinite(upper)):
        raise InvalidValue(f"linear needs lower <= upper and one of them finite, got lower={lower!r}, upper={upper!r}")
    sides = [Constraint(Linear(weights), upper)] if math.isfinite(upper) else []
    if math.isfinite(lower):
        sides.append(Constraint(Linear({name: -weight for name, weight in weights.items()}), -lower))
    return tuple(sides)


def as_constraints(constraints: Any) -> tuple[Constraint, ...]:
    """What a user may write for constraints: one, or several in a list, a function f standing for f(point) <= 0.

    Raises:
        InvalidValue: there are none, or one cannot be called.
    """
    several = tuple(constraints) if isinstance(constraints, Iterable) and not callable(constraints) else (constraints,)
    if not several:
        raise InvalidValue("there are no constraints; write for example Constraint(lambda p: p['a'] - p['b'])")
    return tuple(each if isinstance(each, Constraint) else Constraint(each) for each in several)


def check_weights(constraints: tuple[Constraint, ...], names: Collection[str]) -> None:
    """Refuse a `Linear` constraint on parameters that a space does not have, where they would always count as 0.

    Raises:
        InvalidValue: a sentence with the name, and those that there are.
    """
    for each in constraints:
        for name in each.function.weights if isinstance(each.function, Linear) else ():
            if name not in names:
                raise InvalidValue(f"the constraint {each.name} weighs {name!r}, but there are {', '.join(names)}")


def excesses(constraints: tuple[Constraint, ...], points: list[Any]) -> Tensor:
    """(n, m) float64: by how much each of the n points exceeds each of the m constraints, inf where it is NaN."""
    rows = [[constraint.excess(point) for constraint in constraints] for point in points]
    found = torch.tensor(rows, dtype=torch.float64).reshape(len(points), len(constraints))
    return found.nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)


def _at(point: Mapping[str, Any], name: str) -> float:
    if name in point:
        try:
            return float(point[name])
        except (TypeError, ValueError):  # a list, or text
            raise InvalidValue(f"Linear weighs numbers, and {name} is {short(point[name])}; write a function") from None
    first, dot, rest = name.partition(".")
    return _at(point[first], rest) if dot and first in point else 0.0
