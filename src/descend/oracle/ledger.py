"""The ledger counts every evaluation before it is made, so a budget is never overrun by one.

It is charged by the leaf oracles, the only ones that call the user's code. Counting in a wrapper was rejected:
retries, trial batches and a failed batch that is asked again one by one happen below any wrapper.
"""

from dataclasses import dataclass, field
from typing import Any

from descend.errors import BudgetExhausted

__all__ = ["Ledger"]


@dataclass(slots=True)
class Ledger:
    """Evaluations by kind, failures, and the limit that they may not exceed.

    A gradient by autograd counts as one evaluation of kind "gradient" (one forward and one backward pass), a
    Hessian-vector product as one of kind "hvp", a batch of n points as n of kind "value".
    """

    counts: dict[str, int] = field(default_factory=dict)
    limit: int | None = None
    failures: int = 0
    last_failure: str = ""

    @property
    def total(self) -> int:
        """All evaluations, of whatever kind."""
        return sum(self.counts.values())

    def charge(self, kind: str, n: int = 1) -> None:
        """Count n evaluations that are about to be made.

        Raises:
            BudgetExhausted: they would exceed the limit; nothing is counted.
        """
        if self.limit is not None and self.total + n > self.limit:
            raise BudgetExhausted(f"{n} more would exceed the budget of {self.limit} evaluations ({self.total} made)")
        self.counts[kind] = self.counts.get(kind, 0) + n

    def fail(self, why: str) -> None:
        """Note one failed evaluation and its reason."""
        self.failures += 1
        self.last_failure = why

    def plain(self) -> dict[str, Any]:
        """As data to be saved."""
        return {"counts": dict(self.counts), "failures": self.failures, "last_failure": self.last_failure}

    def restore(self, plain: dict[str, Any]) -> None:
        """The inverse of `plain`, in place."""
        self.counts = dict(plain["counts"])
        self.failures, self.last_failure = plain["failures"], plain["last_failure"]
