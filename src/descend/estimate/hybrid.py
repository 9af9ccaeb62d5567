"""Some stretches of the point by an estimator, the rest by autograd, in one gradient.

For a stretch S the estimator asks values of f with everything outside S held fixed; autograd answers once for all the
rest, and is not asked about S. With SPSA on one stretch that is one gradient and two values per step.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction import Directions, as_dense
from descend.errors import InvalidValue, ShapeMismatch
from descend.estimate.base import Estimator
from descend.key import Key
from descend.oracle import Asks, Ledger, Oracle, Slope

__all__ = ["Embedded", "Hybrid", "Restricted"]


@dataclass(frozen=True)
class Hybrid(Estimator):
    """Autograd, except on the stretches that have an estimator.

    Args:
        parts: pairs ((start, stop), estimator): elements start..stop of the flat point are estimated. Stretches may not
            overlap. In `descend.Optimizer` a parameter group with an `estimator` says the same.

    The autograd part is plain autograd, bit for bit. f(x), which comes with it, is not asked again by the estimators.

    Raises:
        InvalidValue: no parts, a stretch that is empty or overlaps another, or an estimator that needs gradients.

    >>> from descend.estimate import SPSA
    >>> from descend.oracle import Differentiable
    >>> f = Differentiable(lambda x: (x[0].round() - 3) ** 2 + x[1] ** 2)
    >>> slope = (f | Hybrid((((0, 1), SPSA(1.0)),))).gradient(torch.tensor([1.1, 2.0]), Key(0))
    >>> slope.gradient
    tensor([-4.,  4.])
    """

    parts: tuple[tuple[tuple[int, int], Estimator], ...]

    needs = Asks.GRADIENT | Asks.VALUES
    gives = Asks.GRADIENT

    def __post_init__(self) -> None:
        if not self.parts:
            raise InvalidValue("Hybrid needs at least one ((start, stop), estimator); without any it is plain autograd")
        end = 0
        for (start, stop), estimator in sorted(self.parts, key=lambda part: part[0]):
            if not end <= start < stop:
                raise InvalidValue(f"the stretch ({start}, {stop}) is empty or overlaps another of {self.parts}")
            if Asks.GRADIENT in estimator.needs or Asks.GRADIENT not in estimator.gives:
                raise InvalidValue(
                    f"Hybrid needs estimators of gradients from values, such as SPSA(), got {estimator!r}"
                )
            end = stop

    def at(self, t: int) -> "Hybrid":
        parts = tuple((stretch, estimator.at(t)) for stretch, estimator in self.parts)
        return self if parts == self.parts else Hybrid(parts)

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        if max(stop for (_, stop), _ in self.parts) > x.numel():
            raise ShapeMismatch(
                f"the stretches {[s for s, _ in self.parts]} reach beyond the point of size {x.numel()}"
            )
        exact = oracle.gradient(x, key)
        whole = as_dense(exact.gradient, x).clone()
        for (start, stop), estimator in self.parts:
            part = Restricted(oracle, x, start, stop, exact.value, key)
            slope = estimator(part).gradient(x[start:stop], key.fold("hybrid", start))  # other directions for each
            whole[start:stop] = as_dense(slope.gradient, x)
        return Slope(whole, exact.value, exact.nearby)


@dataclass(frozen=True, eq=False, slots=True)
class Embedded(Directions):
    """Directions of a stretch, with zeros around them."""

    base: Directions
    start: int
    size: int

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.base.count

    def _inside(self, start: int, stop: int) -> tuple[int, int]:
        """Which elements of start..stop lie in the stretch; low >= high if none does."""
        return max(start, self.start), min(stop, self.start + self.base.size)

    def tile(self, first: int, last: int, start: int, stop: int, like: Tensor) -> Tensor:
        out = torch.zeros(last - first, stop - start, dtype=like.dtype, device=like.device)
        low, high = self._inside(start, stop)
        if low < high:
            out[:, low - start : high - start] = self.base.tile(first, last, low - self.start, high - self.start, like)
        return out

    def perturb(self, points: Tensor, rows: list[int] | Tensor, scales: Tensor, start: int = 0) -> None:
        low, high = self._inside(start, start + points.shape[1])
        if low < high:
            self.base.perturb(points[:, low - start : high - start], rows, scales, low - self.start)

    def add_to(self, out: Tensor, weights: list[float], start: int = 0) -> None:
        low, high = self._inside(start, start + out.numel())
        if low < high:
            self.base.add_to(out[low - start : high - start], weights, low - self.start)


class Restricted(Oracle):
    """Values of an oracle as a function of one stretch of the point, the rest being held at x.

    Args:
        base: answers values at whole points.
        x: the whole point (d,).
        start: where the stretch begins.
        stop: where it ends.
        value: f(x) if it is known, else NaN.
        key: of every question, so that values can be compared with f(x) whatever key the directions come from.
    """

    answers = Asks.VALUE | Asks.VALUES

    def __init__(self, base: Oracle, x: Tensor, start: int, stop: int, value: float, key: Key) -> None:
        self.base, self.x, self.start, self.stop, self.known, self.key = base, x, start, stop, value, key
        self.memory = base.memory

    def __repr__(self) -> str:
        return f"{self.base!r} on [{self.start}:{self.stop}]"

    @property
    def ledger(self) -> Ledger:  # type: ignore[override]
        return self.base.ledger

    def value(self, x: Tensor, key: Key) -> float:
        return self.base.value(self._whole(x[None])[0], self.key)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return self.base.values(self._whole(xs), self.key)

    def along(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        # the centre came with the exact gradient, under the same key
        asked = scales != 0
        if bool(asked.all()) or self.known != self.known:
            return self.base.along(self._whole(x[None])[0], self._embedded(directions), scales, self.key)
        columns = asked.all(0).nonzero()[:, 0]
        answers = torch.full_like(scales, self.known)
        answers[:, columns] = self.base.along(
            self._whole(x[None])[0], self._embedded(directions), scales[:, columns], self.key
        )
        return answers

    def project(self, x: Tensor) -> Tensor:
        return self.base.project(self._whole(x[None])[0])[self.start : self.stop]

    def _embedded(self, directions: Directions) -> Embedded:
        return Embedded(directions, self.start, self.x.numel())

    def _whole(self, xs: Tensor) -> Tensor:
        whole = self.x.repeat(len(xs), 1)
        whole[:, self.start : self.stop] = xs
        return whole
