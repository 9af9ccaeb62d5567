"""When CMA-ES has nothing more to find: the losses, the steps, or the numbers themselves say so.

The criteria are those of Hansen 2009, "Benchmarking a BI-population CMA-ES on the BBOB-2009 function testbed", section 2,
each of which ends in a sentence that begins with its usual name.
"""

import math
from dataclasses import dataclass
from statistics import median
from typing import Any

from descend.errors import InvalidValue
from descend.population.cma_update import Gaussian
from descend.population.covariance import Covariance
from descend.tree import state

__all__ = ["Stops", "Trace"]

_EVERY = 10
"""Generations between two looks at the steps, which cost more than the look at the losses."""


@state
class Trace:
    """What the losses were: the best and the median one of late, newest last, and the first sigma.

    `bests` has every generation of a window; `thin_bests` and `thin_medians` a fifth of the run, thinned out.
    """

    bests: tuple[float, ...]
    thin_bests: tuple[float, ...]
    thin_medians: tuple[float, ...]
    sigma: float


@dataclass(frozen=True)
class Stops:
    """The tolerances. A zero turns one off.

    Args:
        tolfun: >= 0, in units of the loss: stop when all losses of a generation and the best ones of the last
            10 + 30 d / n generations lie within it; default 1e-12. What a float cannot tell apart is always within.
        tolx: >= 0, in units of the first step: stop when no axis of the distribution is longer; default 1e-12.
        condition: > 1, of the covariance: stop where it is larger; default 1e14.
        growth: > 1: stop when the longest axis is so many times the first step; default 1e8.
        stagnation: whether to stop when neither the best nor the median losses have improved over the last fifth of
            the run and 120 + 30 d / n generations at least; default yes.

    Raises:
        InvalidValue: a number outside its range.
    """

    tolfun: float = 1e-12
    tolx: float = 1e-12
    condition: float = 1e14
    growth: float = 1e8
    stagnation: bool = True

    def __post_init__(self) -> None:
        for name in ("tolfun", "tolx"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise InvalidValue(f"{name} must be finite and >= 0, got {name}={value!r}; write {name}=1e-12")
        for name, usual in (("condition", 1e14), ("growth", 1e8)):
            value = getattr(self, name)
            if not value > 1:
                raise InvalidValue(f"{name} must be > 1, got {name}={value!r}; write {name}={usual:g}")

    def watch(self, trace: Trace, ranked: list[float], gauss: Gaussian, family: Covariance[Any]) -> tuple[Trace, str]:
        """Note the losses of a generation, ascending, failures as inf; and why to stop, or ""."""
        g, n, d = gauss.g, len(ranked), gauss.mean.shape[0]
        window = 10 + math.ceil(30 * d / n)
        best, bests = ranked[0], trace.bests
        bests = (*bests[1 - window :], best) if window > 1 else (best,)
        why = ""
        if len(bests) == window and bests[0] - best <= self._resolution(best):
            why = self._flat(bests, ranked)
        thin_bests, thin_medians, keep = trace.thin_bests, trace.thin_medians, 110 + window
        if g % (1 + g // (5 * keep)) == 0:
            thin_bests = (*thin_bests[1 - keep :], best)
            thin_medians = (*thin_medians[1 - keep :], ranked[n // 2])
        if g % _EVERY == 0 and not why:
            if self.stagnation and len(thin_bests) == keep:
                why = _stagnant(thin_bests, thin_medians)
            why = why or self._steps(gauss, family, trace.sigma)
        return Trace(bests, thin_bests, thin_medians, trace.sigma), why

    def _resolution(self, best: float) -> float:
        return max(self.tolfun, 4 * math.ulp(best)) if math.isfinite(best) else math.inf

    def _flat(self, bests: tuple[float, ...], ranked: list[float]) -> str:
        range_of_bests, best = max(bests) - min(bests), ranked[0]
        if not math.isfinite(best):
            return f"failures: every evaluation of {len(bests)} generations failed" if min(bests) == math.inf else ""
        if max(range_of_bests, ranked[-1] - best) > self._resolution(best):
            return ""
        return f"tolfun: the best losses of {len(bests)} generations and all of the last one lie within {self.tolfun:g}"

    def _steps(self, gauss: Gaussian, family: Covariance[Any], first: float) -> str:
        shortest, longest = family.axes(gauss.held)
        if math.isnan(longest) or not math.isfinite(gauss.sigma):
            return "overflow: the covariance is not finite any more"
        if longest > shortest * math.sqrt(self.condition):
            return f"condition: the covariance has a condition number above {self.condition:g}"
        if longest * gauss.sigma < self.tolx * first:
            return f"tolx: no step is longer than {self.tolx:g} of the first ones"
        if longest * gauss.sigma > self.growth * first:
            return f"growth: steps are {self.growth:g} times as long as the first ones"
        steps = family.deviations(gauss.held) * gauss.scale * (0.2 * gauss.sigma)
        if bool((gauss.mean + steps == gauss.mean).all()):
            return "resolution: steps are too small to change the floating point numbers of the mean"
        return ""


def _stagnant(bests: tuple[float, ...], medians: tuple[float, ...]) -> str:
    part = 3 * len(bests) // 10
    for losses in (bests, medians):
        if median(losses[-part:]) < median(losses[:part]):
            return ""
    return "stagnation: neither the best nor the median losses have improved over the last fifth of the run"
