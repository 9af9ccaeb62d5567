"""The leaf oracles call the user's code. What they share: a ledger, a policy for failures, and quiet randomness."""

from collections.abc import Callable
from typing import TypeVar

import torch

from descend.key import Key
from descend.oracle.core import Oracle
from descend.oracle.failure import OnFailure, Reject
from descend.oracle.ledger import Ledger

__all__ = ["Leaf", "Randomness", "with_randomness"]

T = TypeVar("T")
_GENERATOR = torch.default_generator


class Randomness:
    """While open, torch's global generators are seeded by a key; when it closes they are as they were found.

    So an objective with dropout sees one mask for all probes of a step, another at the next step, and the user's
    own random numbers go on as if descend had not been there. `again` seeds them anew, for the next probe of the
    same step. CUDA generators are included once CUDA is in use. A class with slots and no generator function,
    because it is entered at every evaluation.
    """

    __slots__ = ("_cuda", "_found", "_seed", "_seeded")

    def __init__(self, key: Key) -> None:
        self._seed = key.seed

    def __enter__(self) -> "Randomness":
        self._found = _GENERATOR.get_state()
        _GENERATOR.manual_seed(self._seed)
        self._seeded = _GENERATOR.get_state()  # to be set again, which is quicker than seeding again
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        if self._cuda is not None:
            torch.cuda.manual_seed_all(self._seed)
        return self

    def again(self) -> None:
        """Seed the generators as they were when this was opened."""
        _GENERATOR.set_state(self._seeded)
        if self._cuda is not None:
            torch.cuda.manual_seed_all(self._seed)

    def __exit__(self, *exception: object) -> None:
        _GENERATOR.set_state(self._found)
        if self._cuda is not None:
            torch.cuda.set_rng_state_all(self._cuda)


def with_randomness(key: Key, call: Callable[[], T]) -> T:
    """call() under `Randomness`."""
    with Randomness(key):
        return call()


class Leaf(Oracle):
    """Base of the oracles that call the user's code.

    Attributes:
        ledger: counts every evaluation before it is made.
        on_failure: what a failed evaluation does.
    """

    ledger: Ledger
    on_failure: OnFailure

    def __init__(self, ledger: Ledger | None = None, on_failure: OnFailure | None = None) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        self.on_failure = Reject() if on_failure is None else on_failure
