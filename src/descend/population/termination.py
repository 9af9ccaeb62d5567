"""When CMA-ES has nothing more to find: the losses, the steps, or the numbers themselves say so.

The criteria are those of Hansen 2009, "Benchmarking a BI-population CMA-ES on the BBOB-2009 function testbed", section
2; each ends in a sentence that begins with its usual name.
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
_KEPT = 60
"""Generations that are remembered for long, evenly spread over the time that is looked back on."""


@state
class Trace:
    """What the losses were: the best and the median one of late, newest last, and the first sigma.

    `bests` has every generation of a window; `quiet` counts the last generations whose losses were all alike;
    `thin_bests` and `thin_medians` a few of a much longer one.
    """

    bests: tuple[float, ...]
    quiet: int
    thin_bests: tuple[float, ...]
    thin_medians: tuple[float, ...]
    sigma: float


@dataclass(frozen=True)
class Stops:
    """The tolerances. A zero turns one off.

    Args:
        tolfun: >= 0, in units of the loss: stop when the losses of each of the last 10 + 30 d / n generations,
            and the best ones of all of them, lie within it; default 1e-12. What floats cannot tell apart always does.
        tolx: >= 0, in units of the first step: stop when no axis of the distribution is longer; default 1e-12.
        condition: > 1, of the covariance: stop where it is larger; default 1e14.
        growth: > 1: stop when the longest axis is so many times the first step; default 1e8.
        stagnation: whether to stop when neither the best nor the median losses have improved over the last fifth of
            the run and 100 + 100 d^1.5 / n generations at least; default yes.

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

    def watch(
        self,
        trace: Trace,
        ranked: list[float],
        gauss: Gaussian,
        family: Covariance[Any],
        slow: bool = False,
        rough: bool = False,
    ) -> tuple[Trace, str]:
        """Note the losses of a generation, ascending, failures as inf; and why to stop, or "".

        A search that is slow by intention does not stop for stagnation. One that is rough never has generations whose
        losses are all alike, as discrete coordinates are kept alive, and only its best ones count.
        """
        g, n, d = gauss.g, len(ranked), gauss.mean.shape[0]
        window = 10 + math.ceil(30 * d / n)
        best, why = ranked[0], ""
        bests = (*trace.bests[1 - window if len(trace.bests) >= window else 0 :], best)
        quiet = trace.quiet + 1 if not ranked[-1] - best > max(self.tolfun, 4 * math.ulp(best)) else 0
        if (rough or quiet >= window) and len(bests) == window:
            why = self._flat(bests)
        thin_bests, thin_medians = trace.thin_bests, trace.thin_medians
        span = 100 + 100 * d**1.5 / n  # generations that are looked back on, or a fifth of the run
        if g % (1 + int(span + g / 5) // _KEPT) == 0:
            thin_bests = (*thin_bests[1 - _KEPT :], best)
            thin_medians = (*thin_medians[1 - _KEPT :], ranked[n // 2])
            if self.stagnation and not slow and not why and len(thin_bests) == _KEPT:
                why = _stagnant(thin_bests, thin_medians)
        if g % _EVERY == 0 and not why:
            why = self._steps(gauss, family, trace.sigma)
        return Trace(bests, quiet, thin_bests, thin_medians, trace.sigma), why

    def _flat(self, bests: tuple[float, ...]) -> str:
        least = min(bests)
        if least == math.inf:
            return f"failures: every evaluation of {len(bests)} generations failed"
        if max(bests) - least > max(self.tolfun, 4 * math.ulp(least)):
            return ""
        return f"tolfun: the losses of {len(bests)} generations lie within {self.tolfun:g}"

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
    return "stagnation: neither the best nor the median losses have improved for long"
