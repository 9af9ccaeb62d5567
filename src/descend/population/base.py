"""A method that asks and is told: points out, losses in, and nothing in between that has to run in this process.

Whoever drives it may ask for any number of points and tell answers in any order. `advance` is what `minimize` does:
ask, evaluate, tell.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, final

import torch
from torch import Tensor

from descend.errors import BudgetExhausted, CompositionError, InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle import Asks, Oracle
from descend.population.shaping import settled
from descend.space.domain import Domain
from descend.tree import state as as_state

__all__ = [
    "Around",
    "AskTell",
    "Found",
    "Search",
    "Searching",
    "asks_for_values",
    "check_point",
    "found",
    "positive",
    "whole",
]


class Search(Protocol):
    """What everybody reads of the state of an `AskTell` method, whatever else it holds.

    Fields: x (d,), the best point so far, or what a method recommends that knows of noise; value, its loss, NaN if it
    is not known; loss, the best of the last answers; rejected, how often all of them had failed; t, how often it was
    told; asked, the number of questions so far; key; domain; done, why it has nothing more to ask, else "".
    """

    @property
    def x(self) -> Tensor: ...
    @property
    def value(self) -> float: ...
    @property
    def loss(self) -> float: ...
    @property
    def rejected(self) -> int: ...
    @property
    def t(self) -> int: ...
    @property
    def asked(self) -> int: ...
    @property
    def key(self) -> Key: ...
    @property
    def domain(self) -> Domain: ...
    @property
    def done(self) -> str: ...


@as_state
class Searching:
    """What the states of methods begin with: the fields of `Search`."""

    x: Tensor
    value: float
    loss: float
    rejected: int
    t: int
    asked: int
    key: Key
    domain: Domain
    done: str


class Around:
    """Base of the states of methods around a method, in `inner`: what its questions are is what that one asks."""

    inner: Any

    @property
    def asked(self) -> int:
        """The number of questions so far."""
        return self.inner.asked

    @property
    def key(self) -> Key:
        """Of everything random."""
        return self.inner.key

    @property
    def domain(self) -> Domain:
        """Where points may lie."""
        return self.inner.domain

    @property
    def done(self) -> str:
        """Why there is nothing more to ask, else ""."""
        return self.inner.done


S = TypeVar("S", bound=Search)


class AskTell(ABC, Generic[S]):
    """Base of the methods that ask for values only. A subclass is a frozen dataclass of hyperparameters."""

    @property
    def needs(self) -> Asks:
        """Values of many points."""
        return Asks.VALUES

    @property
    def recommends(self) -> bool:
        """Whether it knows of noise, so that its last x is the result and not the one with the luckiest value."""
        return False

    def trusts(self, state: S) -> bool:
        """Whether its x is a recommendation in this state: always, if it knows of noise from the beginning."""
        return self.recommends

    def described(self, state: S) -> str:
        """What searches, in words, for the result of a run."""
        return repr(self)

    @abstractmethod
    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> S:
        """The state before the first question.

        Args:
            x: (d,), where to begin.
            key: of everything random.
            domain: where points may lie, default everywhere, 1 being a typical length.

        Raises:
            ShapeMismatch: x is no flat point of floating point numbers.
        """

    @abstractmethod
    def ask(self, state: S, n: int | None = None) -> tuple[S, Tensor]:
        """Points (m, d) to be evaluated, m = n or, by default, as many as a generation has.

        A method that must wait for answers gives fewer than n, perhaps none.
        """

    @abstractmethod
    def tell(self, state: S, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> S:
        """Answers.

        Args:
            xs: (n, d), n >= 1, in any order; points that were never asked for are welcome.
            losses: (n,) float64 on the CPU; NaN and infinities are failures.
            tickets: (n,) int64, the running number of the question that each answers, counted from 0 since `init`,
                or -1 where it was never asked; default: the points of the last `ask`, all of them, in their order.
        """

    def batch(self, state: S) -> int:
        """How many answers it likes to be told at once."""
        return 1

    @final
    def advance(self, oracle: Oracle, state: S) -> S:
        """Ask, evaluate, tell; of the last generation of a budget only as much as it still pays for.

        Raises:
            BudgetExhausted: nothing can be evaluated any more.
        """
        t, ledger = state.t, oracle.ledger
        left = None if ledger.limit is None else (ledger.limit - ledger.total) // oracle.cost
        if left is not None and left < 1:
            raise BudgetExhausted(f"the budget of {ledger.limit} evaluations is spent")
        state, xs = self.ask(state)
        tickets = None
        if left is not None and left < len(xs):
            tickets = torch.arange(state.asked - len(xs), state.asked - len(xs) + left)
            xs = xs[:left]
        if len(xs) == 0:
            return state
        return self.tell(state, xs, oracle.values(xs, state.key.fold("values", t)), tickets)


@dataclass(frozen=True, slots=True)
class Found:
    """What answers say: the best point (d,) so far and its loss, the best loss among them, how often all had failed."""

    x: Tensor
    value: float
    loss: float
    rejected: int


def found(state: Search, xs: Tensor, losses: Tensor) -> Found:
    """The best of what a state knows and of answers (n, d), (n,)."""
    fine = settled(losses)
    loss, i = fine.min(0)
    least = float(loss)
    if least == math.inf:
        return Found(state.x, state.value, math.nan, state.rejected + 1)
    if least < state.value or math.isnan(state.value):
        return Found(xs[int(i)].clone(), least, least, state.rejected)
    return Found(state.x, state.value, least, state.rejected)


def check_point(x: Tensor, domain: Domain | None) -> Domain:
    """The domain for a point x (d,), inside of which it must lie.

    Raises:
        ShapeMismatch: x is no flat point of floating point numbers, or the domain has another dimension.
        InvalidValue: x lies outside of the domain, or is not finite.
    """
    if x.dim() != 1 or not x.is_floating_point():
        raise ShapeMismatch(
            f"a point is a flat (d,) tensor of floating point numbers, got shape {tuple(x.shape)} of {x.dtype}; "
            "write x.reshape(-1), or minimize(f, x0), which takes any shape"
        )
    if domain is None:
        domain = Domain.free(x)
    if domain.dim != x.numel():
        raise ShapeMismatch(f"x has {x.numel()} coordinates, and its domain {domain.dim}")
    domain = domain.like(x)
    if not bool(domain.contains(x)) or not bool(x.isfinite().all()):
        i = int((~((x >= domain.lower) & (x <= domain.upper) & x.isfinite())).nonzero()[0])
        sides = f"[{float(domain.lower[i]):g}, {float(domain.upper[i]):g}]"
        raise InvalidValue(f"the first point must lie in its domain, but x[{i}] = {float(x[i]):g} is not in {sides}")
    return domain


def asks_for_values(owner: object, name: str, method: Any) -> None:
    """Refuse a method inside of another that cannot be asked for points.

    Raises:
        CompositionError: a sentence with the name, the value, and what to write.
    """
    if not isinstance(method, AskTell):
        kind = type(owner).__name__
        raise CompositionError(
            f"{kind} needs a {name} that asks for values, got {method!r}; write {kind}({name}=CMAES())"
        )


def whole(owner: object, name: str, value: Any, least: int, suggestion: object) -> None:
    """Refuse a hyperparameter that is no whole number >= least.

    Raises:
        InvalidValue: a sentence with the name, the value, and what to write.
    """
    if type(value) is not int or value < least:
        kind = type(owner).__name__
        raise InvalidValue(
            f"{kind} needs a whole number {name} >= {least}, got {value!r}; write {kind}({name}={suggestion})"
        )


def positive(owner: object, name: str, value: Any, suggestion: object) -> None:
    """Refuse a hyperparameter that is no finite number > 0.

    Raises:
        InvalidValue: a sentence with the name, the value, and what to write.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        kind = type(owner).__name__
        raise InvalidValue(f"{kind} needs a finite {name} > 0, got {value!r}; write {kind}({name}={suggestion})")
