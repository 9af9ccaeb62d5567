"""A Python function as an oracle: it returns a float, NumPy number or tensor, and takes a tensor or a NumPy array."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle.core import Asks
from descend.oracle.failure import OnFailure, evaluate, settle
from descend.oracle.leaf import Leaf, with_randomness
from descend.oracle.ledger import Ledger
from descend.oracle.scalar import as_float

__all__ = ["Executor", "Function"]

_TRIAL = 8
"""Points from which on a batch is worth a trial with vmap: below, its overhead costs more than a loop."""


@dataclass(frozen=True)
class _Call:
    """f as the user wrote it, on a copy of x, without a graph and with quiet randomness."""

    f: Callable[..., Any]
    takes: str
    keyed: bool

    def __call__(self, x: Tensor, key: Key) -> Any:
        given = x.numpy(force=True).copy() if self.takes == "numpy" else x.detach().clone()
        with torch.no_grad():
            return with_randomness(key, lambda: self.f(given, key) if self.keyed else self.f(given))


class Executor(Protocol):
    """Where the evaluations of a batch run: in this process, vmapped, in other processes.

    It decides where and in what order, never what: the same points and key give the same values everywhere.
    """

    def values(self, f: Callable[[Tensor, Key], Any], xs: Tensor, key: Key) -> list[float | Exception]:
        """f(x, key) for every row x of xs (n, d), in their order: a float, or the exception that f raised.

        `f` is one object for all questions of an oracle, so it may be shipped to workers once.
        """
        ...

    def close(self) -> None:
        """Let go of whatever it holds; it may be asked again afterwards."""
        ...


class Function(Leaf):
    """Answers values of f.

    Args:
        f: takes a point (d,) and returns one number. With `batched=True` it takes (n, d) and returns (n,).
        takes: what f is given, "torch" tensors or "numpy" arrays. It is always a copy that f may overwrite.
        batched: True if f takes many points at once; False if it must not be tried; None (default) tries
            ``torch.func.vmap(f)`` at the first batch of 8 or more points, and uses it from then on if it works and
            agrees with f itself. The trial's evaluations are counted.
        keyed: whether f takes a second argument, a `Key`, to draw its own randomness from.
        memory: bytes that one batch of points may take.
        executor: where the evaluations of a batch run; default in this process, as `batched` says.
        on_failure: what a failed evaluation does, default `Reject()`.
        ledger: where evaluations are counted, default a new one.

    >>> import torch
    >>> oracle = Function(lambda x: (x**2).sum())
    >>> oracle.value(torch.tensor([1.0, 2.0]), Key(0)), oracle.ledger.counts
    (5.0, {'value': 1})
    """

    answers = Asks.VALUE | Asks.VALUES

    def __init__(
        self,
        f: Callable[..., Any],
        *,
        takes: Literal["torch", "numpy"] = "torch",
        batched: bool | None = None,
        keyed: bool = False,
        memory: int = 2**22,
        executor: Executor | None = None,
        on_failure: OnFailure | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(ledger, on_failure)
        if takes not in ("torch", "numpy"):
            raise InvalidValue(f"takes={takes!r} is unknown; write takes='torch' or takes='numpy'")
        if not callable(f):
            raise InvalidValue(f"Function needs a callable, got {type(f).__name__}")
        self.f, self.takes, self.batched, self.keyed, self.memory = f, takes, batched, keyed, memory
        self.executor = executor
        self._call = _Call(f, takes, keyed)
        self._vmapped = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self.f, '__name__', type(self.f).__name__)})"

    def value(self, x: Tensor, key: Key) -> float:
        if self.batched and not self._vmapped:  # f as the user calls it, not vmapped, so that the last bit agrees
            return float(self._batch(x[None], key)[0])
        return evaluate(lambda k: as_float(self._call(x, k)), key, self.ledger, self.on_failure)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        if self.executor is not None:
            return self._executed(self.executor, xs, key)
        if self.batched is None and self.takes == "torch" and len(xs) >= _TRIAL:
            self.batched = self._vmapped = self._trial(xs, key)
        if self.batched:
            return self._batch(xs, key)
        return torch.tensor([self.value(x, key) for x in xs], dtype=torch.float64)

    def _executed(self, executor: Executor, xs: Tensor, key: Key) -> Tensor:
        """All points at once where the executor runs them; those that failed again as often as the policy says."""
        values = torch.full((len(xs),), math.nan, dtype=torch.float64)
        causes: dict[int, Exception | None] = {}
        waiting = list(range(len(xs)))
        first = not self.ledger.counts
        for attempt in range(self.on_failure.attempts):
            last = attempt == self.on_failure.attempts - 1
            self.ledger.charge("value", len(waiting))
            k = key if attempt == 0 else key.fold("retry", attempt)
            outcomes = executor.values(self._call, xs[waiting], k)
            for i, outcome in zip(waiting, outcomes, strict=True):
                values[i], causes[i] = settle(outcome, first and last and i == 0, self.ledger, self.on_failure)
            waiting = [i for i in waiting if not math.isfinite(values[i])]
            if not waiting:
                return values
        for i in waiting:
            values[i] = self.on_failure.answer(self.ledger.last_failure, causes[i])
        return values

    def _batch(self, xs: Tensor, key: Key) -> Tensor:
        """One call for all points. A function that takes many points fails for all of them if it raises."""
        first = not self.ledger.counts
        self.ledger.charge("value", len(xs))
        try:
            answer = self._mapped(xs, key) if self._vmapped else self._call(xs, key)
        except Exception as error:
            if self._vmapped:  # it does not always let itself be vmapped: from now on one point at a time
                self.batched = self._vmapped = False
                return self.values(xs, key)
            settle(error, first, self.ledger, self.on_failure)
            return torch.full((len(xs),), self.on_failure.answer(self.ledger.last_failure, error), dtype=torch.float64)
        return self._judged(answer, xs)

    def _judged(self, answer: Any, xs: Tensor) -> Tensor:
        """The answer of one call as (n,) float64 values, those that are not finite replaced as the policy says."""
        values = torch.as_tensor(np.asarray(answer) if not isinstance(answer, Tensor) else answer)
        if values.shape != (len(xs),):
            raise ShapeMismatch(
                f"a batched objective must return shape ({len(xs)},) for points of shape {tuple(xs.shape)}, "
                f"got {tuple(values.shape)}; write batched=False if it takes one point at a time"
            )
        values = values.detach().to("cpu", torch.float64)
        for i in (~torch.isfinite(values)).nonzero()[:, 0].tolist():
            settle(float(values[i]), False, self.ledger, self.on_failure)
            values[i] = self.on_failure.answer(self.ledger.last_failure, None)
        return values

    def _mapped(self, xs: Tensor, key: Key) -> Tensor:
        def one(x: Tensor) -> Tensor:
            value = self.f(x, key) if self.keyed else self.f(x)
            return value.reshape(())

        with torch.no_grad():
            return with_randomness(key, lambda: torch.func.vmap(one)(xs.detach().clone()))

    def _trial(self, xs: Tensor, key: Key) -> bool:
        """Whether vmap works on f and agrees with f itself at two of the points."""
        pair = torch.stack([xs[0], xs[-1]])
        self.ledger.charge("value", 2)
        try:
            mapped = self._mapped(pair, key)
        except Exception:
            return False  # not a pure function of tensors: NumPy inside, control flow on values, random numbers
        singles = [self.value(x, key) for x in pair]
        tolerance = 64 * torch.finfo(xs.dtype).eps
        return all(
            math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-300) for a, b in zip(singles, mapped.tolist(), strict=True)
        )
