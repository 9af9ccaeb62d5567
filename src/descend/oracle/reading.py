"""Where in the output of a program its loss is: on its last line, in its JSON, behind some words, or its exit code."""

import json
import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from descend.errors import EvaluationFailed, InvalidValue

__all__ = ["ExitCode", "Json", "LastLine", "Reading", "Regex"]


class Reading(ABC):
    """How to find the loss."""

    fails_on_exit_code = True
    """Whether an exit code that is not 0 is a failure."""

    @abstractmethod
    def loss(self, output: str, code: int) -> float:
        """The loss in what a program wrote to its standard output, or in its exit code.

        Raises:
            EvaluationFailed: there is none; the sentence says what is there instead.
        """


@dataclass(frozen=True)
class LastLine(Reading):
    """The last line that is not empty is a number.

    >>> LastLine().loss("reading data ...\\n0.25\\n", 0)
    0.25
    """

    def loss(self, output: str, code: int) -> float:
        line = _last_line(output)
        return _number(line, f"the last line of the output is {_short(line)}, not a number")


@dataclass(frozen=True)
class Json(Reading):
    """A number within JSON: the whole output, or its last line.

    Args:
        path: keys and places in lists with dots between them, ``metrics.loss`` or ``runs.0.loss``; empty where the
            JSON is the number itself.

    >>> Json("runs.0.loss").loss('{"runs": [{"loss": 0.25}]}', 0)
    0.25
    """

    path: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or (self.path and not all(self.path.split("."))):
            raise InvalidValue(
                f"a path into JSON is keys with dots between them, got {self.path!r}; write metrics.loss"
            )

    def loss(self, output: str, code: int) -> float:
        value = _json(output)
        for key in self.path.split(".") if self.path else ():
            if isinstance(value, dict) and key in value:
                value = value[key]
            elif isinstance(value, list) and key.lstrip("-").isdigit() and -len(value) <= int(key) < len(value):
                value = value[int(key)]
            else:
                there = ", ".join(value) if isinstance(value, dict) else _short(value)
                raise EvaluationFailed(f"the output has no {self.path!r}: where {key!r} should be, there is {there}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise EvaluationFailed(f"{self.path or 'the JSON'} in the output is {_short(value)}, not a number")
        return float(value)


@dataclass(frozen=True)
class Regex(Reading):
    r"""What a regular expression finds last: its first group if it has one, else all of it.

    Args:
        pattern: as in Python's re; ^ and $ stand for the ends of lines.

    >>> Regex(r"loss = (\S+)").loss("epoch 1: loss = 0.5\nepoch 2: loss = 0.25\n", 0)
    0.25
    """

    pattern: str

    def __post_init__(self) -> None:
        try:
            re.compile(self.pattern)
        except (re.error, TypeError) as error:
            raise InvalidValue(f"{self.pattern!r} is not a regular expression: {error}") from None

    def loss(self, output: str, code: int) -> float:
        # without the newline at its end, behind which ^ would find one more line
        found = list(re.finditer(self.pattern, output.rstrip(), re.MULTILINE))
        if not found:
            raise EvaluationFailed(
                f"nothing in the output matches {self.pattern!r}; its last line is {_short(_last_line(output))}"
            )
        text = found[-1].group(1 if found[-1].re.groups else 0)
        return _number(text, f"{self.pattern!r} found {_short(text)}, not a number")


@dataclass(frozen=True)
class ExitCode(Reading):
    """The exit code itself, 0 to 255; only the end by a signal is a failure."""

    fails_on_exit_code = False

    def loss(self, output: str, code: int) -> float:
        return float(code)


def _last_line(output: str) -> str:
    lines = output.strip().splitlines()
    return lines[-1].strip() if lines else ""


def _json(output: str) -> Any:
    for text in (output, _last_line(output)):
        try:
            return json.loads(text)
        except ValueError:
            continue
    raise EvaluationFailed(f"neither the output nor its last line is JSON: {_short(_last_line(output))}")


def _number(text: str | None, otherwise: str) -> float:
    try:
        return math.nan if text is None else float(text)
    except ValueError:
        raise EvaluationFailed(otherwise) from None


def _short(value: Any) -> str:
    text = repr(value)
    return "empty" if value == "" else text if len(text) <= 80 else text[:77] + "..."
