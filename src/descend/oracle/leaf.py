"""The leaf oracles call the user's code. What they share: a ledger, a policy for failures, and quiet randomness."""

from collections.abc import Callable
from typing import TypeVar

import torch

from descend.key import Key
from descend.oracle.core import Oracle
from descend.oracle.failure import OnFailure, Reject
from descend.oracle.ledger import Ledger

__all__ = ["Leaf", "with_randomness"]

T = TypeVar("T")


def with_randomness(key: Key, call: Callable[[], T]) -> T:
    """call() with torch's global generators seeded by the key, and left as they were found.

    So an objective with dropout sees one mask for all probes of a step, another at the next step, and the user's
    own random numbers go on as if descend had not been there. CUDA generators are included once CUDA is in use.
    """
    generator = torch.default_generator
    before = generator.get_state()
    on_cuda = torch.cuda.is_initialized()
    cuda_before = torch.cuda.get_rng_state_all() if on_cuda else []
    generator.manual_seed(key.seed)
    if on_cuda:
        torch.cuda.manual_seed_all(key.seed)
    try:
        return call()
    finally:
        generator.set_state(before)
        if on_cuda:
            torch.cuda.set_rng_state_all(cuda_before)


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
