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

__all__ = ["Executor", "Function", "Outcome", "attempt"]

_TRIAL = 8
"""Points from which on a batch is worth a trial with vmap: below, its overhead costs more than a loop."""


@dataclass(frozen=True)
class _Call:
    """f as the user wrote it, on a copy of x, without a graph and with quiet randomness."""

    f: Callable[..., Any]
    takes: str
    keyed: bool

    def __call__(self, x: Tensor, key: Key) -> Any:
        return self.consume(x.detach().clone(), key)

    def consume(self, x: Tensor, key: Key) -> Any:
        """f of a point that nobody needs afterwards, so that it may be overwritten."""
        given = x.numpy(force=True) if self.takes == "numpy" else x
        with torch.no_grad():
            return with_randomness(key, lambda: self.f(given, key) if self.keyed else self.f(given))


Outcome = float | Exception
"""What one evaluation gave: a value, or the exception that was raised instead."""

_Ask = Callable[[Tensor, Key], Tensor | list[Outcome]]


class Executor(Protocol):
    """Where the evaluations of a batch run: in this process, vmapped, in other processes.

    It decides where and in what order, never what: the same points and key give the same values everywhere.
    """

    @property
    def workers(self) -> int:
        """How many evaluations run at once."""
        ...

    def values(self, f: Callable[[Tensor, Key], Any], xs: Tensor, key: Key) -> list[Outcome]:
        """f(x, key) for every row x of xs (n, d), in their order: a float, or the exception that f raised.

        `f` is one object for all questions of an oracle, so it may be shipped to workers once.
        """
        ...

    def close(self) -> None:
        """Let go of whatever it holds; it may be asked again afterwards."""
        ...


def attempt(f: Callable[[Tensor, Key], Any], x: Tensor, key: Key) -> Outcome:
    """f at one point, its exception caught."""
    try:
        return as_float(f(x, key))
    except Exception as error:
        return error


class Function(Leaf):
    """Answers values of f.

    Args:
        f: takes a point (d,) and returns one number. With `batched=True` it takes (n, d) and returns (n,).
        takes: what f is given, "torch" tensors or "numpy" arrays. It is always a copy that f may overwrite.
        batched: True if f takes many points at once; False if it must not be tried; None (default) tries
            ``torch.func.vmap(f)`` at the first batch of 8 or more points, and uses it from then on if it works and
            agrees with f itself. The trial's evaluations are counted.
        keyed: whether f takes a second argument, a `Key`, to draw its own randomness from.
        noisy: whether f is random in another way, by torch's generators (which the key seeds), by NumPy's, or because
            it measures something. What is `keyed` or `noisy` is asked again where a method could otherwise go on with
            what f(x) was at the step before; default False.
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
        noisy: bool = False,
        memory: int = 2**19,
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
        self.varies = self.answers if keyed or noisy else Asks(0)
        self._call = _Call(f, takes, keyed)
        self._vmapped = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({getattr(self.f, '__name__', type(self.f).__name__)})"

    def value(self, x: Tensor, key: Key) -> float:
        if self.batched and not self._vmapped:  # f as the user calls it, not vmapped, so that the last bit agrees
            return float(self._settled(self._batch, x[None], key)[0])
        return evaluate(lambda k: as_float(self._call(x, k)), key, self.ledger, self.on_failure)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return self.consume(xs.detach().clone(), key)

    def consume(self, points: Tensor, key: Key) -> Tensor:
        xs, executor = points, self.executor
        if executor is not None:
            return self._settled(lambda points, k: executor.values(self._call, points, k), xs, key)
        if self.batched is None and self.takes == "torch" and len(xs) >= _TRIAL:
            self.batched = self._vmapped = self._trial(xs, key)
        if self.batched:
            return self._settled(self._batch, xs, key)
        return torch.tensor([self.value(x, key) for x in xs], dtype=torch.float64)

    def _settled(self, ask: _Ask, xs: Tensor, key: Key) -> Tensor:
        """All points at once, and those that failed again as often as the policy says."""
        first = not self.ledger.counts
        self.ledger.charge("value", len(xs))
        outcomes = ask(xs, key)
        values = _numbers(outcomes)
        return values if bool(values.isfinite().all()) else self._mended(ask, xs, key, outcomes, values, first)

    def _mended(
        self, ask: _Ask, xs: Tensor, key: Key, outcomes: Tensor | list[Outcome], values: Tensor, first: bool
    ) -> Tensor:
        """The values (n,) with those that failed asked again, and at last replaced as the policy says."""
        at = failed = (~values.isfinite()).nonzero()[:, 0]
        causes: dict[int, Exception | None] = {}
        for turn in range(1, self.on_failure.attempts + 1):
            last = turn == self.on_failure.attempts
            for k, i in zip(at.tolist(), failed.tolist(), strict=True):
                outcome = float(outcomes[k]) if isinstance(outcomes, Tensor) else outcomes[k]
                causes[i] = settle(outcome, first and last and i == 0, self.ledger, self.on_failure)[1]
            if last:
                break
            self.ledger.charge("value", len(failed))
            outcomes = ask(xs[failed], key.fold("retry", turn))
            found = _numbers(outcomes)
            values[failed] = found
            at = (~found.isfinite()).nonzero()[:, 0]
            failed = failed[at]
        for i in failed.tolist():
            values[i] = self.on_failure.answer(self.ledger.last_failure, causes[i])
        return values

    def _batch(self, xs: Tensor, key: Key) -> Tensor | list[Outcome]:
        """One call for all points. If it raises, it fails for all of them."""
        try:
            # points are kept only for a policy that may ask about them again
            given = xs if self.on_failure.attempts == 1 and not self._vmapped else xs.clone()
            answer = self._mapped(given, key) if self._vmapped else self._call.consume(given, key)
        except Exception as error:
            if not self._vmapped:
                alike: list[Outcome] = [error] * len(xs)
                return alike
            # it does not always let itself be vmapped: from now on one point at a time
            self.batched = self._vmapped = False
            self.ledger.charge("value", len(xs))
            return [attempt(self._call, x, key) for x in xs]
        values = answer if isinstance(answer, Tensor) else torch.as_tensor(np.asarray(answer))
        if values.shape != (len(xs),):
            raise ShapeMismatch(
                f"a batched objective must return shape ({len(xs)},) for points of shape {tuple(xs.shape)}, "
                f"got {tuple(values.shape)}; write batched=False if it takes one point at a time"
            )
        return values

    def _mapped(self, xs: Tensor, key: Key) -> Tensor:
        def one(x: Tensor) -> Tensor:
            value = self.f(x, key) if self.keyed else self.f(x)
            return value.reshape(())

        with torch.no_grad():
            return with_randomness(key, lambda: torch.func.vmap(one)(xs))

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


def _numbers(outcomes: Tensor | list[Outcome]) -> Tensor:
    """Outcomes as a new float64 tensor on the CPU, NaN where there is an exception."""
    if isinstance(outcomes, Tensor):
        return outcomes.detach().to("cpu", torch.float64, copy=True)
    numbers = [math.nan if isinstance(outcome, Exception) else outcome for outcome in outcomes]
    return torch.tensor(numbers, dtype=torch.float64)
