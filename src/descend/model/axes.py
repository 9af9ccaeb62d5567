"""A separable function is a sum of functions of one coordinate each: find out whether it is one, and search every axis.

Each axis is searched globally by STEP (Langerman, Seront and Bersini 1994, "S.T.E.P.: the easiest way to optimize a
function"; as a solver of separable functions Posik 2009, "BBOB-benchmarking two variants of the line-search
algorithm"): halve the interval in which a parabola through both ends has to be bent least to get below the best value.
All axes are asked at once, a batch of d. Symbols: t, a place on an axis; f_b, the value to get below.
"""

import math
from bisect import bisect_left
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.key import Key
from descend.model.archive import Archive, Phase
from descend.model.secant import Secant
from descend.population.base import whole
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["Axis", "AxisSearch", "search_axes", "separable"]

_REACH = 4.0
"""How far an axis goes where it has no side, in typical lengths from the point."""
_ROUNDING = 1e6
"""How many roundings of the losses a sum of effects may be off."""
_CLOSE = 1e-9
"""Places on an axis, in typical lengths, between which no other one is asked."""
_POLISHING = 6
"""Parabolas that are put through the best place of every axis after each round."""


def separable(archive: Archive, u: Tensor, loss: float, key: Key) -> Generator[Tensor, Tensor, bool]:
    """Whether the effects of coordinates add up, as far as a few evaluations can tell.

    The coordinates are split in two halves, so many times that any two of them are once apart, ceil(log2 d) times. If
    f(u + a + b) - f(u + a) - f(u + b) + f(u) is not 0 for moves a and b of the two halves, f is not separable: three
    evaluations are enough for most functions.

    Args:
        archive: that of the search.
        u: (d,), the point to begin at.
        loss: f(u).
        key: of the splits and the moves.
    """
    d = archive.dim
    if d == 1:
        return True
    away = torch.where(u > (archive.lower + archive.upper) / 2, -1.0, 1.0).double()
    number = key.fold("split").permutation(d)
    for bit in range(math.ceil(math.log2(d))):
        move = away * (0.05 + 0.4 * key.fold("move", bit).uniform(d, like=u))
        first = (number >> bit) & 1 == 1
        both = archive.clip(u + move)
        probes = torch.stack((torch.where(first, both, u), torch.where(first, u, both), both))
        _, losses = yield from archive.ask(probes)
        if not bool(losses.isfinite().all()):
            return False
        gap = abs(float(losses[2] - losses[0] - losses[1]) + loss)
        if gap > _ROUNDING * archive.eps * max(float(losses.abs().max()), abs(loss)):
            return False
    return True


class Axis:
    """What is known along one axis: places and their values, ascending.

    Args:
        places: where.
        values: what, relative to the value at the beginning.
    """

    def __init__(self, places: list[float], values: list[float]) -> None:
        pairs = sorted(zip(places, values, strict=True))
        self.places, self.values = [t for t, _ in pairs], [f for _, f in pairs]

    def add(self, place: float, value: float) -> None:
        """One more."""
        i = bisect_left(self.places, place)
        self.places.insert(i, place)
        self.values.insert(i, value)

    @property
    def best(self) -> float:
        """The place with the least value."""
        return self.places[self.values.index(min(self.values))]

    def middle(self) -> float | None:
        """STEP: the middle of the easiest interval, or None if all are too short."""
        finite = [f for f in self.values if f < math.inf]
        if not finite:
            return None
        least = min(finite)
        below = least - max(1e-2 * (max(finite) - least) / (1 + len(finite)), 1e-12)
        easiest, at = math.inf, None
        for i in range(len(self.places) - 1):
            width = self.places[i + 1] - self.places[i]
            if width > 1e-7:
                # the parabola through both ends whose minimum is f_b has half this curvature
                bend = ((self.values[i] - below) ** 0.5 + (self.values[i + 1] - below) ** 0.5) ** 2 / width**2
                if bend < easiest:
                    easiest, at = bend, 0.5 * (self.places[i] + self.places[i + 1])
        return at

    def parabola(self) -> tuple[float, float] | None:
        """Where the parabola through the best place and its neighbours is least, and how it is bent; None at an end,
        or where it is bent downward."""
        i = self.values.index(min(self.values))
        if not 0 < i < len(self.places) - 1:
            return None
        (a, b, c), (fa, fb, fc) = self.places[i - 1 : i + 2], self.values[i - 1 : i + 2]
        if not a < b < c:  # numbers of few bits: two places became one
            return None
        left, right = (fb - fa) / (b - a), (fc - fb) / (c - b)
        bend = 2 * (right - left) / (c - a)
        if not 0 < bend < math.inf:
            return None
        return min(max(0.5 * (a + b) - left / bend, a), c), bend

    def near(self, place: float) -> bool:
        """Whether a place so close is known."""
        i = bisect_left(self.places, place)
        return any(abs(t - place) < _CLOSE for t in self.places[max(0, i - 1) : i + 1])


def search_axes(archive: Archive, u: Tensor, loss: float, rounds: int = 5) -> Phase:
    """Search every axis through u (d,), at which the loss is known, and polish the sum of what was found.

    Round k asks 16 * 2^k places of every axis; afterwards the best places together begin a quasi-Newton descent.
    It ends before its last round if one has found nothing better.
    """
    d = archive.dim
    lower = torch.where(archive.lower.isfinite(), archive.lower, u - _REACH)
    upper = torch.where(archive.upper.isfinite(), archive.upper, u + _REACH)
    low = yield from _at(archive, u, list(enumerate(lower.tolist())))
    high = yield from _at(archive, u, list(enumerate(upper.tolist())))
    axes = [
        Axis([a, t, b], [at_a - loss, 0.0, at_b - loss])
        for (a, at_a), t, (b, at_b) in zip(low, u.tolist(), high, strict=True)
    ]
    last, together = None, u[None]
    for k in range(rounds):
        before = archive.best
        for _ in range(16 * 2**k):
            yield from _ask(archive, u, loss, axes, [axis.middle() for axis in axes])
        for _ in range(_POLISHING):
            aims = [axis.parabola() for axis in axes]
            wanted = [None if a is None or x.near(a[0]) else a[0] for a, x in zip(aims, axes, strict=True)]
            yield from _ask(archive, u, loss, axes, wanted)
            together, _ = yield from archive.ask(torch.tensor([[axis.best for axis in axes]], dtype=torch.float64))
        basin = (together[0] * 1e3).round()
        if last is None or not torch.equal(basin, last):
            bends = [(axis.parabola() or (0.0, 1.0))[1] for axis in axes]
            inverse = torch.diag(1 / torch.tensor(bends, dtype=torch.float64).clamp_min(1e-8))
            descent = Secant(archive, archive.at_best.clone(), archive.best, inverse)
            yield from descent.turns(20 * d)
        last = basin
        if k > 0 and not archive.best < before:
            return f"found: {16 * 2**k} more places of every axis had nothing better"
    return f"rounds: {archive.n} evaluations have searched every axis"


def _ask(
    archive: Archive, u: Tensor, loss: float, axes: list[Axis], wanted: list[float | None]
) -> Generator[Tensor, Tensor, None]:
    """Ask one place of each axis, where one is wanted."""
    chosen = [(i, t) for i, t in enumerate(wanted) if t is not None]
    if chosen:
        for (i, _), (t, value) in zip(chosen, (yield from _at(archive, u, chosen)), strict=True):
            axes[i].add(t, value - loss)


def _at(
    archive: Archive, u: Tensor, chosen: list[tuple[int, float]]
) -> Generator[Tensor, Tensor, list[tuple[float, float]]]:
    """Places on axes (i, t) as they were asked, and the losses there."""
    probes = u.repeat(len(chosen), 1)
    rows, columns = torch.arange(len(chosen)), torch.tensor([i for i, _ in chosen])
    probes[rows, columns] = torch.tensor([t for _, t in chosen], dtype=torch.float64)
    probes, losses = yield from archive.ask(probes)
    return list(zip(probes[rows, columns].tolist(), losses.tolist(), strict=True))


@dataclass(frozen=True)
class AxisSearch(Conversation):
    """The global minimum of a separable function, however many local ones it has; Rastrigin takes 90 a coordinate.

    Args:
        rounds: >= 1; each has twice as many places on every axis as the one before, beginning with 16. Default 5.

    `separable` tells whether a function is one. On others it is a coordinate search that ends where it ends. Axes
    without a side are searched 4 typical lengths far.

    Raises:
        InvalidValue: rounds is no whole number >= 1.

    >>> from descend.oracle import Function
    >>> f = Function(lambda x: (x**2 - 10 * torch.cos(2 * torch.pi * x)).sum())
    >>> x = torch.tensor([2.2, -1.7], dtype=torch.float64)
    >>> method = AxisSearch()
    >>> state = method.init(x, Key(0), Domain.box(x - 6, x + 7))
    >>> for _ in range(80):
    ...     state = method.advance(f, state)
    >>> bool((state.x.abs() < 1e-5).all())
    True
    """

    rounds: int = 5

    def __post_init__(self) -> None:
        whole(self, "rounds", self.rounds, 1, 5)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        archive = Archive(x, domain)
        u, losses = yield from archive.ask(archive.at_best[None])
        if losses[0] == math.inf:
            return "failed: the evaluation of the first point has failed"
        return (yield from search_axes(archive, u[0], float(losses[0]), self.rounds))
