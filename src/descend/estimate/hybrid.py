"""Some stretches of the point by an estimator, the rest by autograd, in one gradient.

For a stretch S the estimator asks values of f with everything outside S held fixed; autograd answers once for all the
rest, and is not asked about S: a model builds no graph for the parameters in S, so where only the last layers are by
autograd a step takes the memory of a forward. With SPSA on one stretch that is one gradient and two values per step.
Low-rank directions and mixtures of this kind: "ElasticZO" (2025), arXiv 2501.04287.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from descend.direction import Combination, Directions, Factors, as_dense
from descend.direction.low_rank import matrix_shape
from descend.errors import InvalidValue, ShapeMismatch
from descend.estimate.base import Estimator
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Asks, Ledger, Oracle, Slope, trainable

__all__ = ["Embedded", "Hybrid", "Restricted", "span"]


@dataclass(frozen=True)
class Hybrid(Estimator):
    """Autograd, except on the stretches that have an estimator.

    Args:
        parts: pairs ((start, stop), estimator): elements start..stop of the flat point are estimated. Stretches may not
            overlap; `span` says where a part of a model lies. In `descend.Optimizer` a parameter group with an
            `estimator` says the same.

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
        d = x.numel()
        if max(stop for (_, stop), _ in self.parts) > d:
            raise ShapeMismatch(f"the stretches {[s for s, _ in self.parts]} reach beyond the point of size {d}")
        stretches = [stretch for stretch, _ in self.parts]
        if sum(stop - start for start, stop in stretches) == d:
            exact = Slope(Combination((), d))  # nothing is left for autograd
        else:
            exact = oracle.gradient_outside(x, stretches, key)
        found: list[tuple[Restricted, Slope]] = []
        for (start, stop), estimator in self.parts:
            part = Restricted(oracle, x, start, stop, exact.value, key)
            # other directions for each
            found.append((part, estimator(part).gradient(x[start:stop], key.fold("hybrid", start))))
        nearby = found[0][1].loss if math.isnan(exact.value) else exact.nearby
        if not isinstance(exact.gradient, Tensor) and not any(isinstance(s.gradient, Tensor) for _, s in found):
            terms = exact.gradient.terms
            for part, slope in found:
                terms += tuple((weights, part.embedded(z)) for weights, z in slope.gradient.terms)  # type: ignore[union-attr]
            return Slope(Combination(terms, d), exact.value, nearby)
        whole = as_dense(exact.gradient, x).clone()
        for part, slope in found:
            whole[part.start : part.stop] = as_dense(slope.gradient, x)
        return Slope(whole, exact.value, nearby)


def span(model: nn.Module, part: nn.Module) -> tuple[int, int]:
    """Where the parameters of a part of a model lie in the point of the model.

    Raises:
        InvalidValue: the part has none that are trained, or others lie between them.

    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    >>> span(model, model[1])
    (9, 13)
    """
    own, (names, tensors) = {id(p) for p in part.parameters()}, trainable(model)
    ends = [0]
    for p in tensors:
        ends.append(ends[-1] + p.numel())
    places = [i for i, p in enumerate(tensors) if id(p) in own]
    if not places:
        raise InvalidValue(f"{type(part).__name__} has no parameter that {type(model).__name__} trains")
    between = [names[i] for i in range(places[0], places[-1]) if i not in places]
    if between:
        raise InvalidValue(
            f"the parameters of {type(part).__name__} are not one stretch: {between[0]} of another part lies between "
            "them; give Hybrid one stretch for each side"
        )
    return ends[places[0]], ends[places[-1] + 1]


@dataclass(frozen=True, eq=False, slots=True)
class Embedded(Directions):
    """Directions of a stretch, with zeros around them.

    Args:
        base: directions of the stretch.
        start: where it begins.
        size: of the whole point.
        first, last: which parameters of the point lie in it; none where nobody knows of parameters.
    """

    base: Directions
    start: int
    size: int
    first: int = 0
    last: int = 0

    @property
    def count(self) -> int:  # type: ignore[override]
        return self.base.count

    @property
    def acts(self) -> bool:  # type: ignore[override]
        return self.base.acts

    def factors(self, place: int, rows: list[int] | Tensor, like: Tensor) -> Factors | None:
        if self.first <= place < self.last:
            return self.base.factors(place - self.first, rows, like)
        matrix = matrix_shape(tuple(like.shape), 1) if self.base.acts else None
        if matrix is None:
            return None
        m, n = (torch.zeros(1, k, 1, device=like.device) for k in matrix)  # it stays where it is
        return Factors(m, n, torch.zeros(len(rows), dtype=torch.int64, device=like.device), [0.0] * len(rows))

    def start_of(self, place: int) -> int:
        return self.base.start_of(place - self.first) + self.start

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
        self.first = self.last = 0
        if base.layout is not None:
            ends = (*base.layout.offsets, base.layout.size)
            if start in ends and stop in ends:  # whole parameters; part of one is a vector like any other
                self.first, self.last = ends.index(start), ends.index(stop)
                names, shapes = base.layout.names, base.layout.shapes
                self.layout = Layout(names[self.first : self.last], shapes[self.first : self.last])

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
            return self.base.along(self._whole(x[None])[0], self.embedded(directions), scales, self.key)
        columns = asked.all(0).nonzero()[:, 0]
        answers = torch.full_like(scales, self.known)
        answers[:, columns] = self.base.along(
            self._whole(x[None])[0], self.embedded(directions), scales[:, columns], self.key
        )
        return answers

    def project(self, x: Tensor) -> Tensor:
        return self.base.project(self._whole(x[None])[0])[self.start : self.stop]

    def embedded(self, directions: Directions) -> Embedded:
        """Directions of the stretch as directions of the whole point."""
        return Embedded(directions, self.start, self.x.numel(), self.first, self.last)

    def _whole(self, xs: Tensor) -> Tensor:
        whole = self.x.repeat(len(xs), 1)
        whole[:, self.start : self.stop] = xs
        return whole
