"""Where the evaluations of a batch run: one after the other, vmapped, in threads or in other processes.

An executor decides where, never what: the points, the key and the order of the answers are the same everywhere, so
every executor leads to the same trajectory.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from descend.errors import CompositionError
from descend.key import Key
from descend.oracle.function import Executor, Outcome, attempt
from descend.oracle.leaf import with_randomness
from descend.run.processes import Processes
from descend.run.threads import Threads
from descend.run.worker import Objective

__all__ = ["Batched", "Executor", "Processes", "Serial", "Threads"]


class Serial:
    """One point after the other, in this process, without a trial whether f can be vmapped.

    >>> Serial().values(lambda x, key: x.sum(), torch.eye(2), Key(0))
    [1.0, 1.0]
    """

    workers = 1

    def __repr__(self) -> str:
        return "Serial()"

    def values(self, f: Objective, xs: Tensor, key: Key) -> list[Outcome]:
        return [attempt(f, x, key) for x in xs]

    def stream(self, f: Objective, xs: Iterable[Any], key: Key) -> Iterator[tuple[int, Outcome]]:
        """(i, outcome) of f(x, key) for the i-th x; the next is taken from `xs` after the last was handed out."""
        for i, x in enumerate(xs):
            yield i, attempt(f, x, key)

    def close(self) -> None:
        """There is nothing to let go of."""


class Batched:
    """All points in one call of ``torch.func.vmap(f)``: f must be made of torch functions of tensors.

    An f that takes many points itself is declared by ``Function(f, batched=True)`` and needs no executor.

    >>> Batched().values(lambda x, key: x.square().sum(), torch.eye(2), Key(0))
    [1.0, 1.0]
    """

    workers = 1

    def __repr__(self) -> str:
        return "Batched()"

    def values(self, f: Objective, xs: Tensor, key: Key) -> list[Outcome]:
        """As `Executor.values`.

        Raises:
            CompositionError: f cannot be vmapped.
        """

        def mapped() -> Tensor:
            return torch.func.vmap(lambda x: f(x, key).reshape(()), randomness="same")(xs)

        try:
            return with_randomness(key, mapped).tolist()
        except Exception as error:
            raise CompositionError(
                f"Batched() could not vmap the objective: {type(error).__name__}: {error}; write executor=Serial(), or "
                "leave the executor out, and points are asked one by one"
            ) from error

    def close(self) -> None:
        """There is nothing to let go of."""
