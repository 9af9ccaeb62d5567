"""What a study depends on: all that has to be the same for its trials to come out the same. It stands in the log."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cached_property
from typing import Any, Final, Literal

from descend.errors import CompositionError, InvalidValue, StateMismatch
from descend.key import Key, as_key
from descend.run.named import part_from_text, to_text
from descend.space import Space, as_space
from descend.space.leaf import leaf_from_plain
from descend.study.search import check_method
from descend.study.stated import DIRECTIONS, OWN, as_directions, is_study

__all__ = ["LEFT", "Given", "Left", "Settings", "completed", "pruner_from_text", "pruner_to_text"]

REPEATS = ("allow", "avoid", "average")


class Left:
    """The type of `LEFT`."""

    def __repr__(self) -> str:
        return "LEFT"


LEFT: Final = Left()
"""An argument that is not given: what the study was begun with, or for a new study the default."""


@dataclass(frozen=True, eq=False)
class Given:
    """What a user says of a study, `LEFT` where nothing: see `descend.study.Study`."""

    space: Any = LEFT
    method: Any = LEFT
    key: Any = LEFT
    directions: Any = LEFT
    constraints: Any = LEFT
    batch: Any = LEFT
    repeats: Any = LEFT

    @property
    def anything(self) -> bool:
        """Whether anything is said."""
        return any(getattr(self, field.name) is not LEFT for field in fields(self))


@dataclass(frozen=True, eq=False)
class Settings:
    """What a study depends on, complete: see `descend.study.Study`.

    Fields besides: space, None where objectives define it; text, the call that makes the method; given, the method
    itself, None where only the text is known; foreign, whether the log is one of something else, see
    `descend.study.foreign`.
    """

    space: Space | None
    text: str
    given: Any
    key: Key
    directions: tuple[str, ...]
    constraints: int
    batch: int | None
    repeats: Literal["allow", "avoid", "average"]
    foreign: bool = False

    @cached_property
    def method(self) -> Any:
        """What proposes points. It is read when it is needed first, since to look at a study needs none.

        Raises:
            InvalidValue: it is somebody's own, who has to give it.
        """
        if self.given is not None:
            return self.given
        if self.text.startswith(OWN):
            raise InvalidValue(
                f"the method of this study is your own: write Study(..., method={self.text[len(OWN) :]})"
            )
        return part_from_text(self.text)

    @cached_property
    def signs(self) -> tuple[float, ...]:
        """1 for what is minimized, -1 for what is maximized."""
        return tuple(DIRECTIONS[direction] for direction in self.directions)

    def header(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "kind": "study",
            "space": None
            if self.space is None
            else self.space.root.text,  # a text, since the order of parameters matters
            "conditions": 0 if self.space is None else len(self.space.conditions),
            "method": self.text,
            "key": self.key.seed,
            "directions": list(self.directions),
            "constraints": self.constraints,
            "batch": self.batch,
            "repeats": self.repeats,
        }


def completed(given: Given, known: Mapping[str, Any] | None, name: str) -> Settings:
    """What a user says, completed by the header of a study that is known, or by the defaults.

    Raises:
        CompositionError: the method cannot propose the points of a study.
        InvalidValue: something that cannot mean anything, or that only its user can give.
        StateMismatch: the header is not one of a study.
    """
    if known is not None and not is_study(known):
        if given.anything:
            raise StateMismatch(
                f"{name!r} is no study but a run of {known.get('kind', 'something else')}; name another"
            )
        return Settings(None, str(known.get("method", "")), None, Key(0), ("minimize",), 0, None, "allow", foreign=True)
    read = {} if known is None else dict(known)
    directions = as_directions(read.get("directions", "minimize") if given.directions is LEFT else given.directions)
    batch = read.get("batch") if given.batch is LEFT else given.batch
    if batch is not None and (type(batch) is not int or batch < 1):
        raise InvalidValue(f"a batch is a whole number of trials >= 1, got batch={batch!r}; write batch=4, or None")
    constraints = read.get("constraints", 0) if given.constraints is LEFT else given.constraints
    if type(constraints) is not int or constraints < 0:
        raise InvalidValue(f"constraints is how many there are, got {constraints!r}; write constraints=1")
    repeats = read.get("repeats", "allow") if given.repeats is LEFT else given.repeats
    if repeats not in REPEATS:
        raise InvalidValue(f'repeats is "allow", "avoid" or "average", got {repeats!r}')
    key = Key(read.get("key", 0)) if given.key is LEFT else as_key(given.key)
    method = _method(given, read, len(directions))
    text = read["method"] if method is None else _text(method)
    return Settings(_space(given, read), text, method, key, directions, constraints, batch, repeats)


def _space(given: Given, read: Mapping[str, Any]) -> Space | None:
    if given.space is not LEFT:
        return None if given.space is None else as_space(given.space)
    if read.get("conditions", 0):
        raise InvalidValue("the space of this study has conditions of where(), which a file cannot hold; give space=")
    return None if read.get("space") is None else as_space(leaf_from_plain(json.loads(read["space"])))


def _method(given: Given, read: Mapping[str, Any], objectives: int) -> Any:
    """The method that is given, or the default of a new study; None where the header says which."""
    if given.method is not LEFT and given.method is not None:
        if isinstance(given.method, type):
            raise CompositionError(f"method is a class, write method={given.method.__name__}()")
        check_method(given.method, objectives)
        return given.method
    return None if "method" in read else importlib.import_module("descend.model.automatic").Automatic()


def _text(method: Any) -> str:
    """The call that makes a method; of somebody's own its repr, marked as such."""
    try:
        return to_text(method, _kinds(method))
    except InvalidValue:
        return f"{OWN}{method!r}"


def _kinds(part: Any) -> dict[str, type]:
    """The classes of descend of which a part is made, by name."""
    if not is_dataclass(part) or not type(part).__module__.startswith("descend."):
        return {}
    found = {type(part).__name__: type(part)}
    for each in fields(part):
        found |= _kinds(getattr(part, each.name))
    return found


def pruner_to_text(pruner: Any) -> str | None:
    """The call that makes a pruner; None for somebody's own, and for none."""
    try:
        return None if pruner is None else to_text(pruner, _pruners())
    except InvalidValue:
        return None


def pruner_from_text(text: str | None) -> Any:
    """The inverse of `pruner_to_text`."""
    return None if text is None else part_from_text(text, _pruners())


def _pruners() -> dict[str, type]:
    room = importlib.import_module("descend.study.pruners")
    return {name: getattr(room, name) for name in room.__all__ if name != "Pruner"}
