"""One evaluation of an objective: what it returns, or how it fails, as the answer of a trial."""

import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from descend.errors import DescendError, EvaluationFailed, ShapeMismatch
from descend.oracle.scalar import as_float
from descend.study.trial import Pruned, Trial

__all__ = ["Objective", "Outcome", "as_outcome", "evaluated", "told"]

Objective = Callable[[Trial], Any]
"""Takes a trial; returns a number, or a tuple of them."""

_HOME = str(Path(__file__).parents[1])
"""Where descend lies: of its own lines, a user learns nothing about an objective."""

_LONGEST = 20_000
"""Characters of a traceback that are kept, its end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an evaluation gave: "done", "pruned" or "failed", a value for each objective, why it failed, and the
    exception behind it."""

    state: str
    values: tuple[float, ...] | None
    error: str | None = None
    cause: Exception | None = None


def evaluated(objective: Objective, trial: Trial, objectives: int) -> Outcome:
    """The objective of a trial. Interrupts pass through."""
    try:
        return as_outcome(objective(trial), trial, objectives)
    except Exception as error:
        return as_outcome(error, trial, objectives)


def as_outcome(answer: Any, trial: Trial, objectives: int) -> Outcome:
    """What was returned or raised, as an outcome.

    Raises:
        ShapeMismatch: it is not as many numbers as there are objectives.
    """
    if isinstance(answer, Pruned) or (trial.stopped and answer is None):
        return Outcome("pruned", trial.last)
    if isinstance(answer, Exception):
        return Outcome("failed", None, _traceback(answer), answer)
    values = told(answer, objectives)
    if trial.stopped:
        return Outcome("pruned", values)
    if not all(map(math.isfinite, values)):
        shown = values[0] if objectives == 1 else values
        return Outcome("failed", None, f"the objective returned {shown}", EvaluationFailed(f"{shown} was returned"))
    return Outcome("done", values)


def told(answer: Any, objectives: int) -> tuple[float, ...]:
    """The values that an objective returned.

    Raises:
        ShapeMismatch: it is not as many numbers as there are objectives.
    """
    if objectives == 1 and not isinstance(answer, tuple | list):
        return (as_float(answer),)
    several = answer.tolist() if isinstance(answer, Tensor | np.ndarray) else answer
    if not isinstance(several, tuple | list) or len(several) != objectives:
        wanted = "one number" if objectives == 1 else f"a tuple of {objectives} numbers"
        raise ShapeMismatch(f"the objective returned {answer!r} where {wanted} was expected")
    return tuple(map(as_float, several))


def _traceback(error: Exception) -> str:
    """The traceback of an exception, as far as it is in the user's code; of descend's own sentences only these."""
    if isinstance(error, DescendError) or error.__traceback__ is None:
        return f"{type(error).__name__}: {error}"
    found = traceback.TracebackException.from_exception(error)
    own = [frame for frame in found.stack if not frame.filename.startswith(_HOME)]
    found.stack = traceback.StackSummary.from_list(own)
    return "".join(found.format())[-_LONGEST:].rstrip()
