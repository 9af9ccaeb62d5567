"""How far the loss looks linear along random directions: its slope, its bend, and the noise of one value.

Five values on a fine line give the noise, then pairs of probes at three distances, each distance where the last one saw
slope and bend meet, give root mean squares of the slope p and of the bend c along a direction; (1) in `settings`.

Moré and Wild (2011), "Estimating computational noise".
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, repeat

import torch
from torch import Tensor

from descend.direction import Directions, Scaled, Stretch
from descend.errors import EvaluationFailed
from descend.estimate.evolution import Evolution
from descend.estimate.noise_level import difference_table_noise
from descend.estimate.random_directions import RandomDirections
from descend.key import Key
from descend.oracle import Oracle

__all__ = ["SETTLING", "Reach", "measure_reach", "typical_size"]

SETTLING = 24
"""The most evaluations that settling takes.

It is 5 on the line, 8 in pairs, and a centre for each of three distances: 16; up to 8 more where a line has to be wider
for the loss to change at all.
"""

_SPACINGS = (2.0**-10, 2.0**-6, 2.0**-2)
"""Of the line, in units of the point's size."""

_PAIRS = (1, 1, 2)
_NOWHERE = "every evaluation near the start failed, so nothing can be settled; start elsewhere"


@dataclass(frozen=True)
class Reach:
    """What was found.

    Args:
        loss: at the point.
        noise: standard deviation of one value that a common key leaves, rounding included.
        rounding: whether it is no more than that.
        distance: the reach, in the units of x.
        slope: root mean square of the derivative along a direction.
        curvature: root mean square of the second derivative along a direction.
        trace: mean of those second derivatives, whose expectation is the trace of the Hessian.
        looks: second derivatives that were seen.
        rise: half the difference of the probes at the radius that was given, root mean square; NaN without one.
        asked: evaluations.
        flat: no probe stood out of the noise.
    """

    loss: float
    noise: float
    rounding: bool
    distance: float
    slope: float
    curvature: float
    trace: float
    looks: int
    rise: float
    asked: int
    flat: bool

    def words(self) -> str:
        """All of it in a sentence."""
        noise = "no noise beyond rounding" if self.rounding else f"noise of {self.noise:.1e}"
        return (
            f"measured: loss {self.loss:.4g} with {noise}; along a random direction it changes by {self.slope:.3g} per "
            f"unit, and bends as much as that at a distance of {self.distance:.2g} per parameter."
        )


def typical_size(tensors: Iterable[Tensor], units: Iterable[float] = ()) -> float:
    """Root mean square of all elements, 1 where they are all zero: the unit of a point that is not gathered.

    Args:
        tensors: the point.
        units: what each of them is measured in; default 1.

    >>> typical_size([torch.tensor([3.0, 4.0]), torch.zeros(2)])
    2.5
    >>> typical_size([torch.tensor([3.0, 40.0])], units=[10.0]) == typical_size([torch.tensor([0.3, 4.0])])
    True
    """
    total, count = 0.0, 0
    for p, unit in zip(tensors, chain(units, repeat(1.0))):  # noqa: B905  # the units go on for ever
        wide = torch.promote_types(p.dtype, torch.float32)
        total += (
            float(torch.linalg.vector_norm(p.detach(), dtype=wide)) / unit
        ) ** 2  # no squares of its size are held
        count += p.numel()
    size = math.sqrt(total / max(1, count))
    return size if 0 < size < math.inf else 1.0


def measure_reach(
    oracle: Oracle,
    estimator: RandomDirections | Evolution,
    x: Tensor,
    key: Key,
    size: float,
    given: float | None = None,
    units: tuple[Stretch, ...] = (),
) -> Reach:
    """Slope, bend and noise of the loss along an estimator's directions, from at most `SETTLING` values.

    Args:
        oracle: answers values.
        estimator: gives the law of the directions.
        x: (d,), or on the meta device where the oracle takes that for the live parameters.
        key: of the directions, and of the questions.
        size: of the point, root mean square: where to begin.
        given: a radius to begin at instead, whose difference of probes is then told as `rise`.
        units: by what the directions are multiplied on each stretch of the point; default nothing.

    Raises:
        EvaluationFailed: no value near x was finite.
    """
    probing = _Probing(oracle, estimator, x, key, units)
    loss, noise, rounding = _noise(probing, size)
    rungs: list[_Rung] = []
    h = size / 32 if given is None else given
    edge = math.inf  # where evaluations fail
    for i, pairs in enumerate(_PAIRS):
        rung = _rung(probing, h, pairs, f"pairs {i}")
        if len(rung.rises) == 0:
            edge, h = h, h / 64
            continue
        rungs.append(rung)
        seen = rung.rise > 3 * noise
        h = min(max(rung.reach(noise), h / 4096), 64 * h) if seen else max(16 * h, size / 32)
        h = min(h, edge / 8)
    if not rungs:
        raise EvaluationFailed(_NOWHERE)
    flat = all(r.rise <= 3 * noise for r in rungs)
    rise = rungs[0].rise if rungs[0].h == given else math.nan
    distance, slope, bends = _pooled(rungs, noise)
    return Reach(
        loss,
        noise,
        rounding,
        min(distance, edge / 8),
        slope,
        _rms(bends),
        float(bends.mean()),
        len(bends),
        rise,
        probing.asked,
        flat,
    )


@dataclass
class _Probing:
    """Asks along fresh directions of the estimator's law and counts what it asked."""

    oracle: Oracle
    estimator: RandomDirections | Evolution
    x: Tensor
    key: Key
    units: tuple[Stretch, ...] = ()
    asked: int = 0

    def ask(self, count: int, distances: Sequence[float], tag: str) -> Tensor:
        """(count, len(distances)) values along `count` directions; the centre, distance 0, is asked once."""
        estimator, key = self.estimator, self.key.fold("settings", tag)
        if isinstance(estimator, Evolution):
            some = replace(estimator, pairs=count)
        else:
            some = replace(estimator, samples=count, coupling="independent", formula="central", baseline="centre")
        z: Directions = some.directions(self.x, key, self.oracle.layout)
        z = Scaled(z, self.units) if self.units else z
        scales = torch.tensor([list(distances)] * count, dtype=torch.float64)
        self.asked += count * sum(h != 0 for h in distances) + (0.0 in distances)
        return self.oracle.along(self.x, z, scales, key.fold("values"))


@dataclass
class _Rung:
    """Pairs at one distance h: half the differences of their values, and their bends, as float64 (pairs,)."""

    h: float
    rises: Tensor
    bends: Tensor

    @property
    def rise(self) -> float:
        return _rms(self.rises)

    @property
    def bend(self) -> float:
        return _rms(self.bends)

    def reach(self, noise: float) -> float:
        """The reach as this distance sees it; a bend in the noise only says that it is far."""
        if self.bend > 3 * noise:
            return self.h * self.rise / self.bend
        return self.h * max(16.0, self.rise / (3 * noise))


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())


def _rung(probing: _Probing, h: float, pairs: int, tag: str) -> _Rung:
    values = probing.ask(pairs, (-h, 0.0, h), tag)
    low, centre, high = values[torch.isfinite(values).all(1)].unbind(1)
    return _Rung(h, (high - low) / 2, (high + low) / 2 - centre)


def _pooled(rungs: list[_Rung], noise: float) -> tuple[float, float, Tensor]:
    """Reach, slope and second derivatives from all distances within the reach that stand out of the noise."""
    last = rungs[-1]
    distance = min(max(last.reach(noise), last.h / 16), last.h * 16)
    within = [r for r in rungs if r.h <= 2 * distance and r.rise > 3 * noise] or [last]
    bent = [r for r in within if r.bend > 3 * noise]
    slope = _rms(torch.cat([r.rises / r.h for r in within]))
    slope = max(slope, noise / max(r.h for r in rungs))  # less than that cannot be told from nothing
    if not bent:
        return distance, slope, torch.tensor([2 * slope / distance], dtype=torch.float64)
    seconds = torch.cat([2 * r.bends / r.h**2 for r in bent])
    return 2 * slope / _rms(seconds), slope, seconds


def _noise(probing: _Probing, size: float) -> tuple[float, float, bool]:
    """The loss, the standard deviation of one value under a common key, and whether that is no more than rounding."""
    loss, values = math.nan, torch.zeros(0)
    for s in _SPACINGS:
        distances = [k * s * size for k in (-2, -1, 0, 1, 2) if k or math.isnan(loss)]
        line = probing.ask(1, distances, "line")[0]
        if math.isnan(loss):
            loss, values = float(line[2]), line
        else:
            values = torch.cat([line[:2], values[2:3], line[2:]])
        if bool((values != values[2]).any()):  # else the loss, or the point, is told in coarser steps than that
            break
    finite = values[torch.isfinite(values)]
    if len(finite) == 0:
        raise EvaluationFailed(_NOWHERE)
    eps = torch.finfo(torch.float64 if probing.x.dtype == torch.float64 else torch.float32).eps
    rounding = max(0.3 * eps * float(finite.abs().median()), 1e-150)  # not zero: its square divides
    noise = max(rounding, _least_difference(values)) if len(finite) == len(values) else rounding
    return float(finite.median()), noise, noise < 100 * rounding


def _least_difference(values: Tensor) -> float:
    """Noise by the difference table; where no column shows it, its third and fourth columns bound it."""
    found = difference_table_noise(values)
    if math.isfinite(found):
        return found
    third, fourth = values.diff(n=3).square().mean() / 20, values.diff(n=4).square().mean() / 70
    return math.sqrt(float(torch.minimum(third, fourth)))
