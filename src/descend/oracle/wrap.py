"""Oracles around an oracle: each changes what is answered, and answers no kind of question that it cannot get right.

Counting, failures and budgets are not here: they live where the user's code is called (`Leaf`).
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.direction import Combination, Directions, as_dense
from descend.errors import InvalidValue
from descend.key import Key
from descend.layout import Layout
from descend.oracle.core import Asks, Oracle, Slope
from descend.oracle.ledger import Ledger
from descend.space.domain import Domain

__all__ = ["Averaged", "Cached", "Clipped", "Negated", "Penalized", "Wrapped"]

_VALUES = Asks.VALUE | Asks.VALUES
_LINEAR = _VALUES | Asks.GRADIENT | Asks.JVP | Asks.HVP
"""What a linear change of the objective changes linearly."""


@dataclass(frozen=True, eq=False)
class Wrapped(Oracle):
    """Base of the oracles around an oracle: passes every question on. A subclass overrides what it changes.

    Args:
        base: the oracle inside.

    `along` is not passed on: it makes its points and asks this oracle's own `values`.
    """

    base: Oracle

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return self.base.answers

    @property
    def memory(self) -> int:  # type: ignore[override]
        return self.base.memory

    @property
    def ledger(self) -> Ledger:  # type: ignore[override]
        return self.base.ledger

    @property
    def cost(self) -> int:  # type: ignore[override]
        return self.base.cost

    @property
    def varies(self) -> Asks:  # type: ignore[override]
        return self.base.varies

    @property
    def layout(self) -> Layout | None:  # type: ignore[override]
        return self.base.layout

    @property
    def domain(self) -> Domain | None:  # type: ignore[override]
        return self.base.domain

    def at(self, t: int) -> Oracle:
        base = self.base.at(t)
        return self if base is self.base else replace(self, base=base)

    def project(self, x: Tensor) -> Tensor:
        return self.base.project(x)

    def free(self, x: Tensor, gradient: Tensor) -> Tensor | None:
        return self.base.free(x, gradient)

    def value(self, x: Tensor, key: Key) -> float:
        return self.base.value(x, key)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return self.base.values(xs, key)

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return self._inside(Asks.GRADIENT).gradient(x, key)

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        return self._inside(Asks.JVP).jvp(x, directions, key)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        return self._inside(Asks.HVP).hvp(x, direction, key)

    def residuals(self, x: Tensor, key: Key) -> Tensor:
        return self._inside(Asks.RESIDUALS).residuals(x, key)

    def jacobian(self, x: Tensor, key: Key) -> Tensor:
        return self._inside(Asks.JACOBIAN).jacobian(x, key)

    def examples(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        return self._inside(Asks.EXAMPLES).examples(x, directions, scales, key)

    def apart(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        return self._inside(Asks.EXAMPLES).apart(x, directions, scales, key)

    def over(self, batch: Any) -> AbstractContextManager[None]:
        return self._inside(Asks.EXAMPLES).over(batch)

    @property
    def batch(self) -> Any:  # type: ignore[override]
        return self.base.batch

    def _inside(self, kind: Asks) -> Oracle:
        """The oracle inside, if its answer to this kind holds for this one too."""
        if kind not in self.answers:
            raise self._refuse(kind)
        return self.base


@dataclass(frozen=True, eq=False)
class Negated(Wrapped):
    """-f, for those who maximize: descend itself only minimizes.

    >>> from descend.oracle import Function
    >>> Negated(Function(lambda x: x.sum())).value(torch.ones(3), Key(0))
    -3.0
    """

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return self.base.answers & _LINEAR

    def value(self, x: Tensor, key: Key) -> float:
        return -self.base.value(x, key)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return -self.base.values(xs, key)

    def gradient(self, x: Tensor, key: Key) -> Slope:
        slope = self._inside(Asks.GRADIENT).gradient(x, key)
        g = slope.gradient
        return Slope(g.scaled(-1.0) if isinstance(g, Combination) else -g, -slope.value, -slope.nearby)

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        return -self._inside(Asks.JVP).jvp(x, directions, key)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        return -self._inside(Asks.HVP).hvp(x, direction, key)


@dataclass(frozen=True, eq=False)
class Averaged(Wrapped):
    """The mean of n answers under n independent keys: noise of standard deviation s becomes s / sqrt(n).

    Args:
        base: the oracle inside.
        n: how many answers, at least 1; every question costs that many evaluations.

    Keys are folded, so two points asked with one key still share their n noises (common random numbers).

    >>> from descend.oracle import Function
    >>> oracle = Averaged(Function(lambda x: x.sum() + torch.randn(())), 100)
    >>> abs(oracle.value(torch.zeros(2), Key(0))) < 0.4, oracle.ledger.total
    (True, 100)
    """

    n: int

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 1:
            raise InvalidValue(f"Averaged needs n >= 1 answers, got n={self.n!r}; write Averaged(oracle, 4)")

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return self.base.answers & _LINEAR

    @property
    def cost(self) -> int:  # type: ignore[override]
        return self.n * self.base.cost

    def _keys(self, key: Key) -> list[Key]:
        return [key.fold("averaged", i) for i in range(self.n)]

    def value(self, x: Tensor, key: Key) -> float:
        return sum(self.base.value(x, k) for k in self._keys(key)) / self.n

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return torch.stack([self.base.values(xs, k) for k in self._keys(key)]).mean(0)

    def gradient(self, x: Tensor, key: Key) -> Slope:
        slopes = [self._inside(Asks.GRADIENT).gradient(x, k) for k in self._keys(key)]
        mean = torch.stack([as_dense(slope.gradient, x) for slope in slopes]).mean(0)
        return Slope(mean, sum(s.value for s in slopes) / self.n, sum(s.nearby for s in slopes) / self.n)

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        inside = self._inside(Asks.JVP)
        return torch.stack([inside.jvp(x, directions, k) for k in self._keys(key)]).mean(0)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        inside = self._inside(Asks.HVP)
        return torch.stack([inside.hvp(x, direction, k) for k in self._keys(key)]).mean(0)


@dataclass(frozen=True, eq=False)
class Clipped(Wrapped):
    """min(max(f, low), high): a few absurd values no longer rule an estimate. It answers values only.

    Args:
        base: the oracle inside.
        low, high: numbers, low < high; the default of each is not to clip. A failed evaluation stays NaN.

    >>> from descend.oracle import Function
    >>> Clipped(Function(lambda x: x.sum()), high=10.0).value(torch.tensor([99.0]), Key(0))
    10.0
    """

    low: float = -float("inf")
    high: float = float("inf")

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise InvalidValue(f"Clipped needs low < high, got low={self.low!r}, high={self.high!r}")

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return self.base.answers & _VALUES

    def value(self, x: Tensor, key: Key) -> float:
        value = self.base.value(x, key)
        return value if value != value else min(max(value, self.low), self.high)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return self.base.values(xs, key).clamp(self.low, self.high)


@dataclass(frozen=True, eq=False)
class Penalized(Wrapped):
    """f(x) + weight * sum(max(g(x), 0)^2): constraints g(x) <= 0 as a quadratic penalty. It answers values only.

    Courant (1943), "Variational methods for the solution of problems of equilibrium and vibrations". The minimizer
    lies outside of the feasible set by an amount that vanishes as 1 / weight.

    Args:
        base: the oracle inside.
        g: takes a point (d,), returns one number or a tensor or array of them, each <= 0 where x is feasible.
        weight: a number > 0.

    >>> from descend.oracle import Function
    >>> oracle = Penalized(Function(lambda x: x.sum()), lambda x: 1 - x, weight=100.0)  # x >= 1
    >>> oracle.value(torch.tensor([0.5, 2.0]), Key(0))
    27.5
    """

    g: Callable[[Tensor], Any]
    weight: float

    def __post_init__(self) -> None:
        if not (self.weight > 0 and self.weight < float("inf")):
            raise InvalidValue(f"Penalized needs a finite weight > 0, got weight={self.weight!r}; write weight=100.0")
        if not callable(self.g):
            raise InvalidValue(f"Penalized needs a function g with g(x) <= 0 where x is feasible, got {self.g!r}")

    @property
    def answers(self) -> Asks:  # type: ignore[override]
        return self.base.answers & _VALUES

    def _penalty(self, x: Tensor) -> float:
        with torch.no_grad():
            g = self.g(x.detach().clone())
        violation = torch.as_tensor(g if isinstance(g, Tensor) else np.asarray(g)).to("cpu", torch.float64)
        return self.weight * float(violation.clamp(min=0).square().sum())

    def value(self, x: Tensor, key: Key) -> float:
        return self.base.value(x, key) + self._penalty(x)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        penalties = torch.tensor([self._penalty(x) for x in xs], dtype=torch.float64)
        return self.base.values(xs, key) + penalties


@dataclass(frozen=True, eq=False)
class Cached(Wrapped):
    """Remembers the values of the last points, and does not ask for the same point twice.

    For objectives that repeat themselves exactly: the key is ignored, so noise would be frozen. Gradients and other
    questions are passed on. A failed value is not remembered.

    Args:
        base: the oracle inside.
        size: how many points, default 4096; the one that was not asked for longest is forgotten first.

    >>> from descend.oracle import Function
    >>> oracle = Cached(Function(lambda x: x.sum()))
    >>> oracle.value(torch.ones(2), Key(0)), oracle.value(torch.ones(2), Key(1)), oracle.ledger.total
    (2.0, 2.0, 1)
    """

    size: int = 4096
    _known: OrderedDict[bytes, float] = field(default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.size, int) or self.size < 1:
            raise InvalidValue(f"Cached needs a size >= 1, got size={self.size!r}; leave it out for 4096 points")

    def _recall(self, name: bytes) -> float | None:
        if name in self._known:
            self._known.move_to_end(name)
        return self._known.get(name)

    def _keep(self, name: bytes, value: float) -> None:
        if value == value:
            self._known[name] = value
            if len(self._known) > self.size:
                self._known.popitem(last=False)

    def value(self, x: Tensor, key: Key) -> float:
        name = _name(x)
        known = self._recall(name)
        if known is None:
            known = self.base.value(x, key)
            self._keep(name, known)
        return known

    def values(self, xs: Tensor, key: Key) -> Tensor:
        names = [_name(x) for x in xs]
        answers = {name: value for name in names if (value := self._recall(name)) is not None}
        new = {name: i for i, name in enumerate(names) if name not in answers}  # each new point once
        if new:
            for name, value in zip(new, self.base.values(xs[list(new.values())], key).tolist(), strict=True):
                answers[name] = value
                self._keep(name, value)
        return torch.tensor([answers[name] for name in names], dtype=torch.float64)


def _name(x: Tensor) -> bytes:
    """A digest of a point's bits, so that a cache of large points stays small."""
    data = x.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
    return blake2b(data, digest_size=16, person=str(x.dtype).encode()[-16:]).digest()
