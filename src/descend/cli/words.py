"""What is typed after the options that describe parameters: ``a=0:1``, ``kernel=rbf,poly``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from descend.errors import InvalidValue
from descend.space import Bool, Choice, Float, Int, Leaf, Ordinal, Space

__all__ = ["Parameters", "pairs", "space_of"]


@dataclass(frozen=True)
class Parameters:
    """The words of each option, as they were typed: `floats` ``a=0:1`` or ``a``, `ints` ``n=1:64``, `choices` and
    `ordinals` ``kernel=rbf,poly``, `bools` names, `logs` and `logits` names, `steps` ``a=0.1``."""

    floats: Sequence[str] = ()
    ints: Sequence[str] = ()
    choices: Sequence[str] = ()
    ordinals: Sequence[str] = ()
    bools: Sequence[str] = ()
    logs: Sequence[str] = ()
    logits: Sequence[str] = ()
    steps: Sequence[str] = ()

    def space(self) -> Space:
        """The space that they describe.

        Raises:
            InvalidValue: a sentence about the first word that cannot be meant, or if there are none.
        """
        steps = pairs("--step", "NAME=NUMBER", self.steps)
        found: dict[str, Leaf] = {}
        for option, words, make in (
            ("--float", self.floats, self._float),
            ("--int", self.ints, self._int),
            ("--choice", self.choices, lambda name, text, step: Choice(*_listed("--choice", name, text))),
            ("--ordinal", self.ordinals, lambda name, text, step: Ordinal(*_listed("--ordinal", name, text))),
            ("--bool", self.bools, _bool),
        ):
            for word in words:
                name, equals, text = word.partition("=")
                if not name:
                    raise InvalidValue(f"{option} {word!r} has no name; write {option} name=...")
                if name in found:
                    raise InvalidValue(f"the parameter {name} is there twice; leave one out")
                try:
                    found[name] = make(name, text if equals else None, steps.get(name))
                except InvalidValue as error:
                    raise InvalidValue(f"{option} {word}: {error}") from None
        numbers = {word.partition("=")[0] for word in (*self.floats, *self.ints)}
        for option, names in (("--log", self.logs), ("--logit", self.logits), ("--step", steps)):
            for name in names:
                if name not in numbers:
                    raise InvalidValue(f"{option} {name}: there is no --float or --int of this name")
        if not found:
            raise InvalidValue("there is nothing to search; write for example --float x=0:1")
        return Space(found)

    def _float(self, name: str, text: str | None, step: str | None) -> Leaf:
        log, logit = name in self.logs, name in self.logits
        if text is None:
            if log or logit or step is not None:
                raise InvalidValue(f"a scale or a step needs two sides, write {name}=0:1")
            return Float()
        low, high = _range(name, text)
        return Float(low, high, log=log, logit=logit, step=None if step is None else _number(step))

    def _int(self, name: str, text: str | None, step: str | None) -> Leaf:
        if name in self.logits:
            raise InvalidValue("--logit is for a --float between 0 and 1")
        low, high = _range(name, text)
        log = name in self.logs
        if not (low.is_integer() and high.is_integer()):
            raise InvalidValue(f"the sides must be whole numbers, got {text}")
        return Int(int(low), int(high), log=log) if step is None else Int(int(low), int(high), log, _whole(step))


def space_of(words: Parameters, path: str | None) -> Space:
    """The space that words describe, or that a file holds as JSON, as `Space.to_json` writes it.

    Raises:
        InvalidValue: as of `Parameters.space`; there are words and a file; there is no such file, or no space in it.
    """
    if path is None:
        return words.space()
    if words != Parameters([], [], [], [], [], [], [], []):
        raise InvalidValue("--space holds all parameters; leave the options for single ones out")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue(f"--space {path}: the file cannot be read: {error}") from None
    try:
        return Space.from_json(text)
    except InvalidValue as error:
        raise InvalidValue(f"--space {path}: {error}") from None


def pairs(option: str, form: str, words: Sequence[str]) -> Mapping[str, str]:
    """Words NAME=TEXT as a dict.

    Raises:
        InvalidValue: a word without a name or a sign of equality, or a name that is there twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not name or not equals:
            raise InvalidValue(f"{option} {word!r} is not of the form {form}")
        if name in found:
            raise InvalidValue(f"{option} {name} is there twice; leave one out")
        found[name] = text
    return found


def _range(name: str, text: str | None) -> tuple[float, float]:
    low, colon, high = (text or "").partition(":")
    if not colon:
        raise InvalidValue(f"two numbers with a colon between them are missing; write {name}=0:1")
    return _number(low), _number(high)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidValue(f"{text!r} is not a number") from None


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidValue(f"the step must be a whole number, got {text!r}") from None


def _listed(option: str, name: str, text: str | None) -> list[Any]:
    if text is None:
        raise InvalidValue(f"the values are missing; write {option} {name}=one,two")
    return text.split(",")


def _bool(name: str, text: str | None, step: str | None) -> Leaf:
    if text is not None:
        raise InvalidValue(f"it takes a name only; write --bool {name}")
    return Bool()
