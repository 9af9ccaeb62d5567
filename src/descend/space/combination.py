"""Orders and selections, by random keys: one number in [0, 1] for every item.

Bean (1994), "Genetic algorithms and random keys for sequencing and optimization": sorting the items by their keys
gives an order, so that any point of the cube is one, and uniform keys give every order alike. The canonical key of the
item that comes r-th of n is (r + 1/2) / n. A selection takes the items whose key is at least 1/2; where it must have
at least or at most so many items, those with the largest keys.
"""

from functools import cached_property
from typing import Any

import numpy as np

from descend.errors import InvalidValue
from descend.space.leaf import Axes, Leaf, Misfit, short, writable
from descend.space.text import identity, to_plain

__all__ = ["Items", "Permutation", "Subset"]


class Items(Leaf):
    """Base of the parameters that are made of items.

    Attributes:
        given: the items as they were given: how many, or a tuple of them.
    """

    given: int | tuple[Any, ...]

    def __init__(self, items: Any, least: int) -> None:
        kind = type(self).__name__
        if isinstance(items, bool) or not isinstance(items, int | np.integer | list | tuple | range):
            raise InvalidValue(f"{kind} takes a number of items or a list of them, got {short(items)}")
        given = int(items) if isinstance(items, int | np.integer) else tuple(items)
        count = given if isinstance(given, int) else len(given)
        if count < least:
            raise InvalidValue(f"{kind} needs at least {least} items, got {short(items)}")
        if isinstance(given, tuple):
            given = tuple(item.item() if isinstance(item, np.generic) else item for item in given)
            for item in given:
                to_plain(item)  # refuses what JSON cannot hold
        self.given = given
        if len(self.places) < count:
            names = [identity(item) for item in self.items]
            twice = next(item for k, item in enumerate(self.items) if names[k] in names[:k])
            raise InvalidValue(f"{kind} has the item {twice!r} twice; leave one out")

    @cached_property
    def items(self) -> tuple[Any, ...]:
        """The items; 0 to n - 1 where only their number was given."""
        return tuple(range(self.given)) if isinstance(self.given, int) else self.given

    @cached_property
    def places(self) -> dict[Any, int]:
        """Where each item stands, by its identity."""
        return {identity(item): place for place, item in enumerate(self.items)}

    @property
    def _names(self) -> list[str]:
        return [f"[{item}]" for item in self.items]

    def _found(self, value: Any) -> list[int]:
        """The places of the items in a value, which is a list of them without repetition."""
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, list | tuple | set | frozenset):
            raise Misfit
        try:
            found = [self.places[_identity(item)] for item in value]
        except (KeyError, TypeError):
            raise Misfit from None
        if len({*found}) < len(found):
            raise Misfit
        return found

    def _misplaced(self, value: Any, name: str) -> str:
        """What is wrong with a value that is no list of items without repetition."""
        if isinstance(value, np.ndarray):
            value = value.tolist()
        if not isinstance(value, list | tuple | set | frozenset):
            return f"{name} must be a list of items, got {short(value)}"
        seen: set[int] = set()
        for item in value:
            try:
                place = self.places.get(_identity(item))
            except TypeError:
                place = None
            if place is None:
                return f"{name} must hold items of {short(list(self.items))}, got {short(item)}"
            if place in seen:
                return f"{name} must hold every item once, got {short(item)} twice in {short(value)}"
            seen.add(place)
        return ""


def _identity(item: Any) -> Any:
    return identity(item.item() if isinstance(item, np.generic) else item)


@writable
class Permutation(Items):
    """An order of items, given to the objective as a list of them.

    Args:
        items: a list of at least 2 different ones, of the kinds that `Choice` takes; or how many, for 0 to n - 1.

    It has n coordinates, one key for every item.

    Raises:
        InvalidValue: there are fewer than 2 items, or the same one twice, or one that JSON cannot hold.

    >>> Permutation(["a", "b", "c"]).values(np.array([[0.9, 0.1, 0.5]]))
    [['b', 'c', 'a']]
    """

    def __init__(self, items: int | list[Any] | tuple[Any, ...] | range) -> None:
        super().__init__(items, 2)

    @cached_property
    def axes(self) -> Axes:
        n = len(self.items)
        return Axes.of(self._names, (np.arange(n) + 0.5) / n, order=True)

    def column(self, values: list[Any]) -> np.ndarray:
        n = len(self.items)
        places = [self._found(value) for value in values]
        if any(len(order) != n for order in places) or any(isinstance(v, set | frozenset) for v in values):
            raise Misfit
        ranks = np.empty((len(values), n))
        np.put_along_axis(ranks, np.array(places, dtype=np.int64).reshape(-1, n), np.arange(n)[None] + 0.0, axis=1)
        return (ranks + 0.5) / n

    def values(self, u: np.ndarray) -> list[Any]:
        orders = np.argsort(u, axis=1, kind="stable")
        if isinstance(self.given, int):
            return orders.tolist()
        return [[self.items[place] for place in order] for order in orders.tolist()]

    def wrong(self, value: Any, name: str) -> str:
        if isinstance(value, set | frozenset):
            return f"{name} must be a list, which has an order, got {short(value)}"
        sentence = self._misplaced(value, name)
        if not sentence and len(value) != len(self.items):
            return f"{name} must hold all of the {len(self.items)} items, got the {len(value)} of {short(value)}"
        return sentence

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (self.given if isinstance(self.given, int) else list(self.given),), {}


@writable
class Subset(Items):
    """A selection of items, given to the objective as a list of them, in the order in which they stand here.

    Args:
        items: a list of different ones, of the kinds that `Choice` takes; or how many, for 0 to n - 1.
        at_least, at_most: how many are selected; default from none to all.

    It has n coordinates, one key for every item, canonically 3/4 where it is selected and 1/4 where not.

    Raises:
        InvalidValue: there are no items, or the same one twice, or one that JSON cannot hold; or the numbers leave no
            choice.

    >>> Subset(["age", "height", "weight"], at_least=1).values(np.array([[0.9, 0.1, 0.6], [0.1, 0.3, 0.2]]))
    [['age', 'weight'], ['height']]
    """

    at_least: int
    at_most: int

    def __init__(
        self, items: int | list[Any] | tuple[Any, ...] | range, at_least: int = 0, at_most: int | None = None
    ) -> None:
        super().__init__(items, 1)
        n = len(self.items)
        at_most = n if at_most is None else at_most
        for name, number in (("at_least", at_least), ("at_most", at_most)):
            if isinstance(number, bool) or not isinstance(number, int | np.integer):
                raise InvalidValue(f"Subset needs a whole number for {name}, got {name}={number!r}")
        if not 0 <= at_least <= at_most <= n:
            raise InvalidValue(
                f"Subset needs 0 <= at_least <= at_most <= {n}, got at_least={at_least!r}, at_most={at_most!r}"
            )
        if at_least == n or at_most == 0:
            raise InvalidValue(f"at_least={at_least}, at_most={at_most} leave no choice among {n} items")
        self.at_least = int(at_least)
        self.at_most = int(at_most)

    @property
    def _limited(self) -> bool:
        return self.at_least > 0 or self.at_most < len(self.items)

    @cached_property
    def axes(self) -> Axes:
        n = len(self.items)
        some = np.arange(n) < min(max(n // 2, self.at_least), self.at_most)
        # where the number is limited the order of the keys matters too, so that they have no cells
        return Axes.of(self._names, 0.25 + 0.5 * some, cells=0 if self._limited else 2)

    def column(self, values: list[Any]) -> np.ndarray:
        u = np.full((len(values), len(self.items)), 0.25)
        for row, value in zip(u, values, strict=True):
            found = self._found(value)
            if not self.at_least <= len(found) <= self.at_most:
                raise Misfit
            row[found] = 0.75
        return u

    def values(self, u: np.ndarray) -> list[Any]:
        selected = u >= 0.5
        if self._limited:
            order = np.argsort(-u, axis=1, kind="stable")
            ranks = np.argsort(order, axis=1, kind="stable")
            selected = (ranks < self.at_least) | (selected & (ranks < self.at_most))
        if isinstance(self.given, int):
            return [np.flatnonzero(row).tolist() for row in selected]
        return [[self.items[place] for place in np.flatnonzero(row)] for row in selected]

    def wrong(self, value: Any, name: str) -> str:
        sentence = self._misplaced(value, name)
        if not sentence and not self.at_least <= len(value) <= self.at_most:
            return f"{name} must hold {self.at_least} to {self.at_most} items, got the {len(value)} of {short(value)}"
        return sentence

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        named = {"at_least": self.at_least} if self.at_least else {}
        if self.at_most < len(self.items):
            named["at_most"] = self.at_most
        return (self.given if isinstance(self.given, int) else list(self.given),), named
