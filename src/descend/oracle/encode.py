"""Typed points outside, flat tensors inside: a function of what a space describes, as an oracle over its coordinates.

Many methods compare values only, so a flat point means what the space makes of it: that of its cell, the order of its
keys. Points that break a condition of the space are never evaluated; their value is NaN, and they cost nothing.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle.failure import OnFailure
from descend.oracle.function import Executor, Function
from descend.oracle.ledger import Ledger
from descend.space import Space, as_space

__all__ = ["Encoded"]


class Encoded(Function):
    """Answers values of f, which takes points of a space, at their coordinates.

    Args:
        f: takes a point as ``space.decode`` gives it, a dict of its own or, if the space is a single parameter, its
            value, and returns one number. With `batched=True` it takes a list of n points and returns (n,).
        space: a `Space`, or what `as_space` makes one of.
        batched: whether f takes many points at once, default False.
        keyed, noisy, executor, on_failure, ledger: as of `Function`.

    Attributes:
        space: the space.
        domain: what a method may search, the space's.

    Raises:
        InvalidValue: f cannot be called, or the space is none.

    >>> from descend.space import Choice, Float, Space
    >>> space = Space(lr=Float(0.001, 1, log=True), kind=Choice("a", "b"))
    >>> oracle = Encoded(lambda p: p["lr"] if p["kind"] == "a" else 2.0, space)
    >>> oracle.values(torch.tensor([[0.0, 0.1], [0.5, 0.9]]), Key(0)), oracle.ledger.total
    (tensor([1.0000e-03, 2.0000e+00], dtype=torch.float64), 2)
    """

    def __init__(
        self,
        f: Callable[..., Any],
        space: Any,
        *,
        batched: bool = False,
        keyed: bool = False,
        noisy: bool = False,
        executor: Executor | None = None,
        on_failure: OnFailure | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        if not callable(f):
            raise InvalidValue(f"Encoded needs a callable, got {type(f).__name__}")
        self.space = as_space(space)
        self.domain = self.space.domain
        self._decoded = _Decoded(f, self.space)
        super().__init__(
            self._decoded,
            batched=batched,
            keyed=keyed,
            noisy=noisy,
            executor=executor,
            on_failure=on_failure,
            ledger=ledger,
        )

    def value(self, x: Tensor, key: Key) -> float:
        if self.space.conditions and not self._allowed(self.space.decode(x[None]))[0]:
            return float("nan")
        return super().value(x, key)

    def consume(self, points: Tensor, key: Key) -> Tensor:
        decoded = self.space.decode(points)
        if not self.space.conditions:
            return self._ahead(points, decoded, key)
        allowed = self._allowed(decoded)
        values = torch.full((len(points),), float("nan"), dtype=torch.float64)
        if bool(allowed.any()):
            kept = [point for point, fine in zip(decoded, allowed.tolist(), strict=True) if fine]
            values[allowed] = self._ahead(points[allowed.to(points.device)], kept, key)
        return values

    def _allowed(self, points: list[Any]) -> Tensor:
        """Which of these points (n,) meet the conditions."""
        return (self.space.violations(points) == 0).all(1)

    def _ahead(self, xs: Tensor, points: list[Any], key: Key) -> Tensor:
        """The values (n,) at xs (n, d), of which the points are known."""
        if self.executor is None and not self.batched:
            self._decoded.known = dict(zip(map(_bits, xs), points, strict=True))
        try:
            return super().consume(xs, key)
        finally:
            self._decoded.known = {}


class _Decoded:
    """f as a function of coordinates. What was decoded ahead, many points at once, is not decoded again."""

    def __init__(self, f: Callable[..., Any], space: Space) -> None:
        self.f, self.space = f, space
        self.known: dict[bytes, Any] = {}

    @property
    def __name__(self) -> str:
        return getattr(self.f, "__name__", type(self.f).__name__)

    def __call__(self, x: Tensor, *key: Key) -> Any:
        if x.dim() == 2:
            return self.f(self.space.decode(x), *key)
        # taken out, because f may keep or change what it gets
        point = self.known.pop(_bits(x), None) if self.known else None
        return self.f(self.space.decode(x[None])[0] if point is None else point, *key)


def _bits(x: Tensor) -> bytes:
    return x.detach().cpu().numpy().tobytes()
