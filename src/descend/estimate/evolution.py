"""Evolution strategies: mirrored members around the point, their losses shaped, give one direction to go.

With pairs x + h z_i and x - h z_i, N members in all, and shaped losses s,

    g_hat = (1/N) sum_i (s_i+ - s_i-) z_i        (1)

Unshaped (s = f / h) that is the antithetic estimate of the gradient of f smoothed over h. Shaped, the 1/h is left out
and s has no unit, so g_hat is about as long as the gradient in units of its own spread, whatever the loss is measured
in: lr then has the unit of x.

Salimans et al. (2017), "Evolution strategies as a scalable alternative to reinforcement learning" (centred ranks);
Sarkar et al. (2025), "Evolution strategies at the hyperscale" (EGGROLL: rank one, z-scores); Qiu et al. (2025),
"Evolution strategies at scale". Per-example baselines: Shao et al. (2024), "DeepSeekMath" (group-relative advantage).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from descend.direction import Combination, Directions, Scaled, Stretch
from descend.errors import InvalidValue
from descend.estimate.base import Estimator
from descend.estimate.draw import Coupling, RandomLaw, check_rank, draw, layout_of, low_rank
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Asks, Oracle, Slope

__all__ = ["EGGROLL", "SHAPINGS", "Evolution"]


def _raw(values: Tensor) -> Tensor:
    return values


def _z_score(values: Tensor) -> Tensor:
    spread = values.std(unbiased=False)
    return (values - values.mean()) / spread if float(spread) > 0 else torch.zeros_like(values)


def _ranks(values: Tensor) -> Tensor:
    """From -1/2 for the least to 1/2; equal values share the mean of their ranks, so that a tie says nothing."""
    flat = values.reshape(-1)
    ordered = flat.sort().values
    below, up_to = (torch.searchsorted(ordered, flat, right=right).double() for right in (False, True))
    return (((below + up_to - 1) / 2) / (len(flat) - 1) - 0.5).view(values.shape)


def _per_example(values: Tensor) -> Tensor:
    """Every example's losses as z-scores over the members, then their mean: (k, 2, b) -> (k, 2)."""
    centred = values - values.mean((0, 1))
    spread = values.std((0, 1), unbiased=False)
    return (centred / spread.where(spread > 0, torch.ones(()))).mean(2)


SHAPINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": _raw,
    "z-score": _z_score,
    "ranks": _ranks,
    "per-example": _per_example,
}
"""Losses (k, 2) of the members, in float64, to what stands for them in (1); "per-example" takes (k, 2, b)."""


@dataclass(frozen=True)
class Evolution(Estimator):
    """The estimator (1).

    Args:
        pairs: mirrored pairs of members, N = 2 pairs evaluations; default 16.
        radius: h > 0 in the units of x, a schedule of it, or (start, stop, h) triples; default 1e-2, which suits
            networks whose weights are some hundredths. Training from scratch likes 0.02 to 0.1.
        rank: of the directions on matrices, see `LowRank`; default 1. None for dense directions, whose members are
            asked one at a time.
        shaping: "z-score" (default), "ranks" (centred ranks, which no outlier moves), "per-example" (z-scores within
            every example of the batch, then their mean: a hard question then weighs no more than an easy one; the loss
            must return one number per example), or "none" (the plain losses: an estimate of the gradient).
        law: of the elements, "sign" (default; then an update is the same bits everywhere), "normal" or "uniform".
        hold: as in `RandomDirections`.

    A member whose loss is not finite takes its pair out of the sum; if all losses are equal nothing moves.

    Raises:
        InvalidValue: a number out of range, an unknown name.

    >>> Evolution(pairs=8)
    Evolution(pairs=8, radius=0.01, rank=1, shaping='z-score')
    """

    pairs: int = 16
    radius: float | Callable[[int], float] | tuple[Stretch, ...] = 1e-2
    rank: int | None = 1
    shaping: str = "z-score"
    law: RandomLaw | str = RandomLaw.SIGN
    hold: int = 1
    epoch: int = field(default=0, repr=False, compare=False)  # which subspace is held; `at` puts it
    seed: int = field(default=0, repr=False, compare=False)  # of the run whose subspaces they are

    forgives = True

    def __post_init__(self) -> None:
        if isinstance(self.law, str):
            names = [law.value for law in RandomLaw]
            if self.law not in names:
                raise InvalidValue(f"unknown law {self.law!r}; write one of {', '.join(map(repr, names))}")
            object.__setattr__(self, "law", RandomLaw(self.law))
        if type(self.pairs) is not int or self.pairs < 1:
            raise InvalidValue(f"pairs must be an integer of at least 1, got {self.pairs!r}; write pairs=16")
        if self.shaping not in SHAPINGS:
            raise InvalidValue(f"unknown shaping {self.shaping!r}; write one of {', '.join(map(repr, SHAPINGS))}")
        check_rank(self.rank, self.hold, self.law, Coupling.INDEPENDENT)  # type: ignore[arg-type]
        radii = [h for *_, h in self.radius] if isinstance(self.radius, tuple) else [self.radius]
        for h in radii:
            if not callable(h) and not (isinstance(h, int | float) and math.isfinite(h) and h > 0):
                raise InvalidValue(f"radius must be a finite number > 0, got {h!r}; write radius=1e-2")

    def __repr__(self) -> str:
        """What differs from the defaults, beside what one always wants to know."""
        shown = [f"pairs={self.pairs}", f"radius={self.radius!r}", f"rank={self.rank}", f"shaping={self.shaping!r}"]
        shown += [f"law={self.law.value!r}"] if isinstance(self.law, RandomLaw) and self.law.value != "sign" else []
        shown += [f"hold={self.hold}"] if self.hold != 1 else []
        return f"Evolution({', '.join(shown)})"

    @property
    def needs(self) -> Asks:  # type: ignore[override]
        """Values; losses of examples where they are shaped one by one."""
        return Asks.EXAMPLES if self.shaping == "per-example" else Asks.VALUES

    def at(self, t: int) -> "Evolution":
        if not callable(self.radius) and self.hold == 1:
            return self
        return replace(self, radius=self.radius(t) if callable(self.radius) else self.radius, epoch=t // self.hold)

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        z = self.directions(x, key, oracle.layout)
        h, probing = (1.0, Scaled(z, self.radius)) if isinstance(self.radius, tuple) else (self.radius, z)
        assert not callable(h), "a schedule is put by at(t) before anything is asked"
        scales = torch.tensor([[-h, h]], dtype=torch.float64).expand(self.pairs, 2)
        if self.shaping == "per-example":
            values = oracle.examples(x, probing, scales, key)
            finite = torch.isfinite(values).all(2)
        else:
            values = oracle.along(x, probing, scales, key)
            finite = torch.isfinite(values)
        weights, nearby = self._weigh(values, finite.all(1), h)
        return Slope(self._combined(weights, z), math.nan, nearby)

    def _weigh(self, values: Tensor, good: Tensor, h: float) -> tuple[list[float], float]:
        """The weights of (1), and the mean of the losses; a pair that is not `good` weighs nothing."""
        count = int(good.sum())
        if count == 0:
            return [math.nan] * self.pairs, math.nan
        shaped = SHAPINGS[self.shaping](values[good])
        unit = h if self.shaping == "none" else 1.0
        weights = torch.zeros(self.pairs, dtype=torch.float64)
        weights[good] = (shaped[:, 1] - shaped[:, 0]) / (2 * count * unit)
        return weights.tolist(), float(values[good].mean())

    def combination(self, weights: list[float], x: Tensor, key: Key, layout: Layout | None = None) -> Combination:
        """The estimate that these weights made at x under a key: all that is random is remade, nothing is asked."""
        made = self if len(weights) == self.pairs else replace(self, pairs=len(weights))
        return made._combined(weights, made.directions(x, key, layout))

    def _combined(self, weights: list[float], z: Directions) -> Combination:
        if isinstance(self.radius, tuple) and self.shaping == "none":  # as in RandomDirections
            z = Scaled(z, tuple((a, b, 1 / h) for a, b, h in self.radius))
        elif isinstance(self.radius, tuple):
            z = Scaled(z, self.radius)
        return Combination(((weights, z),), z.size)

    def directions(self, x: Tensor, key: Key, layout: Layout | None = None) -> Directions:
        """The directions at x under a key, one per pair."""
        assert isinstance(self.law, RandomLaw)
        if self.rank is None:
            return draw(self.law, Coupling.INDEPENDENT, self.pairs, x, key)
        held = Key(self.seed).fold("subspace", self.epoch) if self.hold > 1 else None
        return low_rank(self.law, Coupling.INDEPENDENT, self.pairs, self.rank, key, layout_of(x, layout), held)


def EGGROLL(pairs: int = 16, radius: float | Callable[[int], float] = 1e-2) -> Evolution:
    """Rank-one members with normal factors and z-scored losses, as in the paper of that name (Sarkar et al. 2025).

    `Evolution` has signs for factors, whose estimate has the smaller variance.

    >>> EGGROLL(4).rank
    1
    """
    return Evolution(pairs, radius, 1, "z-score", RandomLaw.NORMAL)
