"""A tuning problem as every library can be given it: parameters, some of them conditional, and an objective.

Parameters are rows of data, because each library writes its spaces in a way of its own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

__all__ = ["Parameter", "Params", "Task", "choice", "decoded", "encoded", "integer", "number", "shown"]

Params = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A float, an int between low and high, or one of some options; there only if its parent has a certain value."""

    name: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    options: tuple[Any, ...] = ()
    parent: str = ""
    value: Any = None

    def there(self, params: Mapping[str, Any]) -> bool:
        """Whether it is there beside these parameters."""
        return not self.parent or (self.parent in params and params[self.parent] == self.value)

    def given(self, parent: str, value: Any) -> "Parameter":
        """The same parameter, only where the parent has this value."""
        return replace(self, parent=parent, value=value)


def number(name: str, low: float, high: float, log: bool = False) -> Parameter:
    """A float."""
    return Parameter(name, "float", low, high, log)


def integer(name: str, low: int, high: int, log: bool = False) -> Parameter:
    """An int."""
    return Parameter(name, "int", low, high, log)


def choice(name: str, *options: Any) -> Parameter:
    """One of some options."""
    return Parameter(name, "choice", options=options)


@dataclass(frozen=True)
class Task:
    """What is tuned. least: the known minimum, or None; truth: without noise, where the objective has some."""

    parameters: tuple[Parameter, ...]
    objective: Callable[[Params], float]
    least: float | None = None
    truth: Callable[[Params], float] | None = None


def shown(parameters: Sequence[Parameter], params: Mapping[str, Any]) -> Params:
    """Only the parameters that are there; parents stand before their children."""
    found: Params = {}
    for parameter in parameters:
        if parameter.there(found):
            found[parameter.name] = params[parameter.name]
    return found


def _ends(parameter: Parameter) -> tuple[float, float]:
    half = 0.5 if parameter.kind == "int" else 0.0
    low, high = parameter.low - half, parameter.high + half
    return (math.log(low), math.log(high)) if parameter.log else (low, high)


def decoded(parameters: Sequence[Parameter], row: Sequence[float]) -> Params:
    """Coordinates of a cube as parameters, an option taking as many coordinates as there are options."""
    found, rest = {}, list(row)
    for parameter in parameters:
        if parameter.kind == "choice":
            part, rest = rest[: len(parameter.options)], rest[len(parameter.options) :]
            found[parameter.name] = parameter.options[int(np.argmax(part))]
            continue
        low, high = _ends(parameter)
        place = low + float(rest.pop(0)) * (high - low)
        value = min(max(math.exp(place) if parameter.log else place, parameter.low), parameter.high)
        found[parameter.name] = round(value) if parameter.kind == "int" else value
    return found


def encoded(parameters: Sequence[Parameter], params: Mapping[str, Any]) -> list[float]:
    """The inverse of `decoded`, all parameters given."""
    row: list[float] = []
    for parameter in parameters:
        if parameter.kind == "choice":
            row += [float(option == params[parameter.name]) for option in parameter.options]
            continue
        low, high = _ends(parameter)
        value = float(params[parameter.name])
        row.append(((math.log(value) if parameter.log else value) - low) / (high - low))
    return row
