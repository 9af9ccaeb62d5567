"""What a failed evaluation does: one policy object, applied where the objective is called.

An evaluation fails when the objective raises, or returns NaN or an infinity. Interrupts are never failures: they
pass through everything.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from descend.errors import BudgetExhausted, DescendError, EvaluationFailed, InvalidValue
from descend.key import Key
from descend.oracle.ledger import Ledger

__all__ = ["OnFailure", "Penalize", "Raise", "Reject", "Retry", "evaluate"]


class OnFailure(Protocol):
    """A policy: how often to ask again, and what to answer in the end."""

    attempts: int

    def answer(self, why: str, cause: Exception | None) -> float:
        """The value that stands for the failed one, or an exception."""
        ...


@dataclass(frozen=True)
class Reject:
    """The value becomes NaN, so the step that needed it is rejected; the failure is counted and reported.

    An exception at the very first evaluation is raised all the same: there is nothing yet to go on from, and it is
    more likely a mistake in the code than a bad point.
    """

    attempts: int = 1

    def answer(self, why: str, cause: Exception | None) -> float:
        return math.nan


@dataclass(frozen=True)
class Retry:
    """Ask again with another key, up to `attempts` times in all, then reject.

    Args:
        attempts: at least 2, counting the first.
    """

    attempts: int = 3

    def __post_init__(self) -> None:
        if self.attempts < 2:
            raise InvalidValue(f"Retry needs attempts >= 2, got {self.attempts!r}; write Reject() to never ask again")

    def answer(self, why: str, cause: Exception | None) -> float:
        return math.nan


@dataclass(frozen=True)
class Penalize:
    """A failed evaluation answers this value instead.

    Args:
        value: a finite number, worse than any that the objective should reach.
    """

    value: float
    attempts: int = 1

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise InvalidValue(f"Penalize needs a finite value, got {self.value!r}; write Reject() to skip the step")

    def answer(self, why: str, cause: Exception | None) -> float:
        return self.value


@dataclass(frozen=True)
class Raise:
    """A failed evaluation raises: the objective's own exception, or `EvaluationFailed` for NaN and infinities."""

    attempts: int = 1

    def answer(self, why: str, cause: Exception | None) -> float:
        if cause is not None:
            raise cause
        raise EvaluationFailed(f"the objective failed: {why}; write on_failure=Reject() to skip such steps")


def evaluate(
    call: Callable[[Key], float], key: Key, ledger: Ledger, policy: OnFailure, kind: str = "value"
) -> float:
    """One evaluation under a policy: charged, tried, and counted as a failure where it failed."""
    why, cause = "", None
    for attempt in range(policy.attempts):
        first = not ledger.counts
        ledger.charge(kind)
        try:
            value = call(key if attempt == 0 else key.fold("retry", attempt))
        except (BudgetExhausted, DescendError) as error:
            if not isinstance(error, EvaluationFailed):
                raise  # a mistake in the question, not a bad point
            value, why, cause = math.nan, str(error), error
        except Exception as error:
            if first and not isinstance(policy, Penalize):
                raise
            value, why, cause = math.nan, f"{type(error).__name__}: {error}", error
        if math.isfinite(value):
            return value
        ledger.fail(why or f"the objective returned {value}")
        if cause is not None and ledger.failures == 1 and not isinstance(policy, Raise):
            warnings.warn(f"an evaluation failed and is handled by {policy!r}: {why}", RuntimeWarning, stacklevel=2)
    return policy.answer(ledger.last_failure, cause)
