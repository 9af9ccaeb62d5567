"""What a failed evaluation does: one policy object, applied where the objective is called.

An evaluation fails when the objective raises, or returns NaN or an infinity. Interrupts are never failures: they
pass through everything.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from descend.errors import DescendError, EvaluationFailed, InvalidValue
from descend.key import Key
from descend.oracle.ledger import Ledger

__all__ = ["OnFailure", "Penalize", "Raise", "Reject", "Retry", "derive", "evaluate", "settle"]


class OnFailure(Protocol):
    """A policy: how often to ask again, and what to answer in the end."""

    @property
    def attempts(self) -> int:
        """How often to ask in all, at least 1."""
        ...

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


def evaluate(call: Callable[[Key], float], key: Key, ledger: Ledger, policy: OnFailure, kind: str = "value") -> float:
    """One evaluation under a policy: charged, tried, and counted as a failure where it failed."""
    cause, first = None, not ledger.counts
    for attempt in range(policy.attempts):
        ledger.charge(kind)
        try:
            outcome: float | Exception = call(key if attempt == 0 else key.fold("retry", attempt))
        except Exception as error:
            outcome = error
        value, cause = settle(outcome, first and attempt == policy.attempts - 1, ledger, policy)
        if math.isfinite(value):
            return value
    return policy.answer(ledger.last_failure, cause)


def derive(
    call: Callable[[Key], Tensor], like: Tensor, key: Key, ledger: Ledger, policy: OnFailure, kind: str, n: int = 1
) -> Tensor:
    """n derivatives of one kind under a policy: as `evaluate`, and where no attempt is finite NaN, shaped as `like`.

    A penalty is a value and no derivative, so under `Penalize` the answer is NaN too.
    """
    cause, first = None, not ledger.counts
    for attempt in range(policy.attempts):
        ledger.charge(kind, n)
        try:
            found = call(key if attempt == 0 else key.fold("retry", attempt))
            outcome: float | Exception = 0.0 if bool(torch.isfinite(found).all()) else math.nan
        except Exception as error:
            found, outcome = like, error
        value, cause = settle(outcome, first and attempt == policy.attempts - 1, ledger, policy)
        if value == 0.0:
            return found
    policy.answer(ledger.last_failure, cause)
    return torch.full_like(like, math.nan)


def settle(
    outcome: float | Exception, first: bool, ledger: Ledger, policy: OnFailure
) -> tuple[float, Exception | None]:
    """What one evaluation gave: a finite value, or else a failure that is counted, with the exception behind it.

    Args:
        outcome: the value, or the exception that was raised instead.
        first: whether it was the last attempt at the very first evaluation, whose exception is raised again.
    """
    if not isinstance(outcome, Exception):
        if not math.isfinite(outcome):
            ledger.fail(f"the objective returned {outcome}")
        return outcome, None
    if isinstance(outcome, DescendError) and not isinstance(outcome, EvaluationFailed):
        raise outcome  # a mistake in the question, not a bad point
    if first and not isinstance(outcome, EvaluationFailed) and not isinstance(policy, Penalize):
        raise outcome
    why = str(outcome) if isinstance(outcome, EvaluationFailed) else f"{type(outcome).__name__}: {outcome}"
    ledger.fail(why)
    if ledger.failures == 1 and not isinstance(policy, Raise):
        warnings.warn(f"an evaluation failed and is handled by {policy!r}: {why}", RuntimeWarning, stacklevel=3)
    return math.nan, outcome
