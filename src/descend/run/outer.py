"""Points as users see them, arrays like x0 or values of typed parameters, and the flat points that methods see."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.oracle.bounded import as_bounds
from descend.run.point import Start
from descend.space.core import Space, as_space
from descend.space.domain import Domain
from descend.space.leaf import Leaf

__all__ = ["Arrays", "Outer", "Typed", "by_name", "digest", "outer_of", "restored"]


class Outer(Protocol):
    """Both sides of a point."""

    @property
    def domain(self) -> Domain:
        """Where flat points may lie."""
        ...

    @property
    def start(self) -> Tensor:
        """The flat point (d,) where a search begins."""
        ...

    def points(self, xs: Tensor) -> list[Any]:
        """The users' side of flat points xs (n, d)."""
        ...

    def flat(self, points: list[Any]) -> Tensor:
        """The flat side (n, d) of users' points.

        Raises:
            DescendError: a sentence about the first point that cannot be one.
        """
        ...

    def allowed(self, points: list[Any]) -> list[bool]:
        """Whether the conditions of a space hold at each of these points."""
        ...

    def plain(self) -> dict[str, Any]:
        """As data to be saved, see `restored`."""
        ...


class Arrays:
    """Arrays in the type, shape and dtype of x0, within bounds or everywhere.

    Args:
        start: x0. One outside of the bounds is moved to the nearest point inside.
        bounds: as `minimize` takes them.
    """

    def __init__(self, start: Start, bounds: Any = None) -> None:
        self._like = start
        self.domain = Domain.free(start.x) if bounds is None else Domain.box(*as_bounds(bounds, start.x, start.shape))
        self.start = self.domain.clip(start.x)

    def points(self, xs: Tensor) -> list[Any]:
        return [self._like.shaped(x) for x in xs]

    def flat(self, points: list[Any]) -> Tensor:
        return torch.stack([self._row(point) for point in points]) if points else self.start[None][:0]

    def _row(self, point: Any) -> Tensor:
        try:
            given = Start.of(point)
        except InvalidValue as error:
            raise InvalidValue(f"a point is an array like x0, and this one cannot be: {error}") from None
        if given.shape != self._like.shape:
            raise ShapeMismatch(f"points have the shape {self._like.shape} of x0, got one of shape {given.shape}")
        x = given.x.to(self.start)
        if not bool(self.domain.contains(x)):
            i = int((~((x >= self.domain.lower) & (x <= self.domain.upper))).nonzero()[0])
            raise InvalidValue(
                f"a point lies outside of the bounds: coordinate {i} is {float(x[i]):g}, "
                f"not in [{float(self.domain.lower[i]):g}, {float(self.domain.upper[i]):g}]"
            )
        return x

    def allowed(self, points: list[Any]) -> list[bool]:
        return [True] * len(points)

    def plain(self) -> dict[str, Any]:
        box = [self.domain.lower, self.domain.upper] if self.domain.bounded else []
        return {"x0": self._like.x, "shape": list(self._like.shape), "takes": self._like.takes, "box": box}


class Typed:
    """Values of typed parameters, begun in the middle of their space."""

    def __init__(self, space: Space) -> None:
        self._space, self.domain, self.start = space, space.domain, space.middle

    def points(self, xs: Tensor) -> list[Any]:
        return self._space.decode(xs)

    def flat(self, points: list[Any]) -> Tensor:
        return self._space.encode(points)

    def allowed(self, points: list[Any]) -> list[bool]:
        return (self._space.violations(points) == 0).all(1).tolist()

    def plain(self) -> dict[str, Any]:
        if self._space.conditions:
            raise InvalidValue(
                "a search of a space with where() cannot be saved, because its conditions are functions; "
                "make a Constraint of each, for FeasibleFirst or AugmentedLagrangian"
            )
        return {"space": self._space.to_json()}


def outer_of(space: Any, bounds: Any) -> Outer:
    """What a user gives to search in: typed parameters, or an array x0, perhaps with bounds.

    Raises:
        InvalidValue: it is neither, or bounds are given with a space.
    """
    if not isinstance(space, Space | Leaf | Mapping):
        return Arrays(Start.of(space), bounds)
    if bounds is not None:
        raise InvalidValue("the parameters of a space have bounds of their own; leave bounds out")
    return Typed(as_space(space))


def restored(plain: dict[str, Any]) -> Outer:
    """The inverse of `Outer.plain`."""
    if "space" in plain:
        return Typed(Space.from_json(plain["space"]))
    shape, takes = tuple(plain["shape"]), "torch" if plain["takes"] == "torch" else "numpy"
    start = Start(plain["x0"], shape, takes)
    sides = [side.reshape(shape).numpy(force=True) for side in plain["box"]]
    return Arrays(start, tuple(sides) if sides else None)


def digest(x: Tensor) -> int:
    """63 bits that stand for a flat point (d,): equal points have equal ones, and 0.0 is -0.0."""
    numbers = x.detach().cpu().numpy()
    return int.from_bytes(blake2b((numbers + 0).tobytes(), digest_size=8).digest(), "little") >> 1


def by_name(point: Any, alone: str) -> dict[str, Any]:
    """A point as it is written down: plain values by the names of its parameters, nested ones with dots.

    Args:
        point: of a space, or an array.
        alone: the name of a point that is no dict.

    >>> by_name({"lr": 0.5, "opt": {"beta": (0.9, 0.99)}}, "x"), by_name(torch.ones(2), "x")
    ({'lr': 0.5, 'opt.beta': [0.9, 0.99]}, {'x': [1.0, 1.0]})
    """
    if not isinstance(point, dict):
        return {alone: _plain(point)}
    found: dict[str, Any] = {}
    for name, value in point.items():
        if isinstance(value, dict):
            found.update({f"{name}.{inner}": part for inner, part in by_name(value, alone).items()})
        else:
            found[str(name)] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value
