"""A trial: one evaluation of an objective, which asks it for parameters and tells it how far it is."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias, TypeVar, overload

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle.scalar import as_float
from descend.space import Bool, Choice, Float, Int, Leaf
from descend.space.leaf import short
from descend.study.definitions import as_definition, as_name
from descend.study.drawing import drawn
from descend.study.plain import plain, unplain

__all__ = ["FixedTrial", "Host", "Pruned", "Trial"]

C = TypeVar("C")
Number: TypeAlias = float  # within the class, these names are methods
Count: TypeAlias = int
Flag: TypeAlias = bool


class Pruned(Exception):
    """Raised by an objective, or told, to say that a trial is given up early; what it reported last is its value.

    >>> from descend.study.trial import Pruned
    >>> raise Pruned
    Traceback (most recent call last):
    descend.study.trial.Pruned
    """


class Host(Protocol):
    """What a trial needs of its study."""

    def known(self, name: str, leaf: Leaf) -> int:
        """Have the definition of a parameter noted, and how many definitions a trial needs that has it.

        Raises:
            InvalidValue: it was something else in this study.
        """
        ...

    def report(self, number: int, step: int, values: tuple[float, ...]) -> None:
        """Write down intermediate values, in the user's sign."""
        ...

    def should_stop(self, number: int) -> bool:
        """Whether the pruner gives the trial up."""
        ...


class Trial:
    """One evaluation. A study makes it; an objective is given it.

    An objective of a define-by-run study asks for its parameters by name, as many and in such branches as it likes:
    ``trial.float("lr", 1e-5, 1, log=True)``. If the study has a `Space`, the point is there: ``trial.params``.

    Attributes:
        number: counted from 0.
        attempts: how many have begun it, more than 1 if a worker died.
        last: what was reported last.
        stopped: whether `should_stop` has said so.
        violations, noted: what `constraint` and `set` were given.
        needed: how many definitions of the study it has used.
        constraints: how many the study has; None if it has none yet, as without one.
        given: names of parameters whose values somebody has queued or fixed.
        differs: the parameters as the log is to hold them, where they are not those that were proposed.
    """

    def __init__(
        self, number: int, proposal: Mapping[str, Any] | None, key: Key, host: Host | None, *,
        point: Any = None, objectives: int = 1, attempts: int = 1,
    ) -> None:  # fmt: skip
        self.number, self.attempts = number, attempts
        self.needed = 0
        self.constraints: int | None = None
        self.given: frozenset[str] = frozenset()
        self.differs: Mapping[str, Any] | None = None
        self.violations: tuple[float, ...] = ()
        self.noted: dict[str, Any] = {}
        self.last: tuple[float, ...] | None = None
        self.stopped = False
        self._proposal = {} if proposal is None else proposal
        self._key, self._host, self._point, self._objectives = key, host, point, objectives
        self._used: dict[str, Any] = {}
        self._leaves: dict[str, Leaf] = {}

    def __repr__(self) -> str:
        return f"Trial({self.number}, {self.params!r})"

    @property
    def params(self) -> Any:
        """The point, if the study has a space; else the parameters that were asked for so far, by name."""
        return MappingProxyType(self._used) if self._point is None else self._point

    @property
    def used(self) -> dict[str, Any]:
        """The parameters as the log holds them, if the trial defines them as it runs."""
        return {name: plain(value) for name, value in self._used.items()}

    def __getitem__(self, name: str) -> Any:
        return self.params[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.params)

    def float(self, name: str, low: Number, high: Number, *, log: Flag = False, step: Number | None = None) -> Number:
        """A real number in [low, high], see `descend.Float`: on a logarithmic scale, or in steps; a constant if these
        are the same."""
        if low == high:
            return self.choice(name, low + 0.0)
        value, leaf = self._proposal.get(name), _float(low, high, log, step)
        if step is None and type(value) is float and low <= value <= high:  # the usual case, quicker
            return self._noted(name, leaf, value)
        return self.suggest(name, leaf)

    def int(self, name: str, low: Count, high: Count, *, log: Flag = False, step: Count = 1) -> Count:
        """A whole number, low <= n <= high, see `descend.Int`; a constant if these are the same."""
        if low == high:
            return self.choice(name, low)
        return self.suggest(name, _int(low, high, log, step))

    def bool(self, name: str) -> Flag:
        """False or True."""
        return self.suggest(name, _BOOL)

    @overload
    def choice(self, name: str, options: Sequence[C], /) -> C: ...
    @overload
    def choice(self, name: str, /, *options: C) -> C: ...
    def choice(self, name: str, *options: Any) -> Any:
        """One of some values without an order, given one by one or in a list.

        They are text, numbers, True, False or None. What they stand for, a function for example, is looked up in the
        objective. Options may be added while a study goes on.

        Raises:
            InvalidValue: an option is something else.
        """
        given = tuple(options[0]) if len(options) == 1 and isinstance(options[0], list | tuple) else options
        for option in given:
            if option is not None and not isinstance(option, str | float | int):
                raise InvalidValue(
                    f"an option of {name} is {short(option)}, and a study holds text, numbers, True, False and None; "
                    "write names, and look up in the objective what they stand for"
                )
        return self.suggest(name, _choice(tuple(map(type, given)), given))

    def suggest(self, name: str, leaf: Leaf) -> Any:
        """The value of any parameter, such as ``Permutation(5)``. The same name has the same value in all of a trial.

        Raises:
            InvalidValue: the name was another parameter before, in this trial or in this study.
        """
        return self._noted(name, as_definition(name, leaf), _UNKNOWN)

    def _noted(self, name: str, leaf: Leaf, value: Any) -> Any:
        """The value of a parameter, which the trial has from now on: this one, if it has none and this one is known."""
        if self._point is not None:
            raise InvalidValue(f"the parameters of this study are those of its space; write trial.params[{name!r}]")
        before = self._leaves.get(name)
        if before is not None:
            if before is leaf or before == leaf:
                return self._used[name]
            raise InvalidValue(f"{name} is {before!r} in this trial, and was asked for again as {leaf!r}")
        if self._host is not None:
            needed = self._host.known(name, leaf)
            if needed > self.needed:
                self.needed = needed
        if value is _UNKNOWN:
            value = self._chosen(name, leaf)
        self._leaves[name], self._used[name] = leaf, value
        return value

    def _chosen(self, name: str, leaf: Leaf) -> Any:
        if name in self._proposal:
            value = unplain(self._proposal[name])
            wrong = leaf.wrong(value, name)
            if not wrong:
                return value
            if name in self.given:
                raise InvalidValue(f"{wrong}, with which the trial was queued or asked for")
        return drawn(leaf, self._key.fold(name))

    def report(self, step: Count, value: Any) -> None:
        """How far the trial is: a value at a step, or a tuple of values, one for each objective.

        Args:
            step: a whole number >= 0: an epoch, a fold, the number of an instance.
            value: in the sign of the study's direction. Another report of the same step replaces it.

        Raises:
            InvalidValue: the step is no such number, or there are more or fewer values than objectives.
        """
        if isinstance(step, bool) or not isinstance(step, int) or step < 0:
            raise InvalidValue(f"a step is a whole number >= 0, got {step!r}; write trial.report(epoch, loss)")
        values = tuple(map(as_float, value)) if isinstance(value, tuple | list) else (as_float(value),)
        if len(values) != self._objectives:
            raise InvalidValue(f"the study has {self._objectives} objectives, and {len(values)} values were reported")
        self.last = values
        if self._host is not None:
            self._host.report(self.number, step, values)

    def should_stop(self) -> Flag:
        """Whether the trial is to be given up, on the strength of what it and others have reported.

        Then ``raise Pruned``, or return what there is: either way the trial counts as pruned.
        """
        if self._host is not None and not self.stopped:
            self.stopped = self._host.should_stop(self.number)
        return self.stopped

    def set(self, name: str, value: Any) -> None:
        """Note something about the trial: text, numbers, True, False, None, or lists and dicts of these.

        Raises:
            InvalidValue: the name is no text or begins with a dot, or the value is something else.
        """
        self.noted[as_name(name)] = plain(value)

    def constraint(self, *violations: Any) -> None:
        """By how much the trial breaks each constraint of the study: it keeps those that are not positive.

        Raises:
            InvalidValue: the study has more constraints, or fewer.
        """
        if self.constraints not in (None, len(violations)):
            raise InvalidValue(
                f"this study has {self.constraints} constraints, and the trial says something of {len(violations)}; "
                f"begin it with constraints={len(violations)}"
            )
        self.violations = tuple(map(as_float, violations))


_BOOL, _UNKNOWN = Bool(), object()


@lru_cache(maxsize=4096)
def _float(low: float, high: float, log: bool, step: float | None) -> Float:
    return Float(low, high, log=log, step=step)


@lru_cache(maxsize=4096)
def _int(low: int, high: int, log: bool, step: int) -> Int:
    return Int(low, high, log, step)


@lru_cache(maxsize=4096)
def _choice(kinds: tuple[type, ...], options: tuple[Any, ...]) -> Choice:
    return Choice(*options)  # the types are there because 1 == True == 1.0


class FixedTrial(Trial):
    """A trial with given parameters, to try an objective without a study.

    Args:
        params: by name, or for an objective of a space study the point.

    >>> FixedTrial({"x": 2.0}).float("x", 0, 4)
    2.0
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        super().__init__(0, {name: plain(value) for name, value in params.items()}, Key(0), None)
        self._given = params
        self.reports: dict[int, tuple[float, ...]] = {}

    @property
    def params(self) -> Any:
        """All that were given."""
        return self._given

    def report(self, step: Count, value: Any) -> None:
        """Kept in `reports`."""
        values = tuple(map(as_float, value)) if isinstance(value, tuple | list) else (as_float(value),)
        self.reports[step] = values

    def _chosen(self, name: str, leaf: Leaf) -> Any:
        if name not in self._given:
            raise InvalidValue(f"the objective asks for {name!r}, which is not among {', '.join(self._given)}")
        if sentence := leaf.wrong(self._given[name], name):
            raise InvalidValue(sentence)
        return self._given[name]
