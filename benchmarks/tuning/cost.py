"""What a question costs: CPU time of one ask and tell after so many answers, of ten floats and a trivial objective."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tuning.peers import Tuner
from tuning.problem import Params, number

__all__ = ["Cost", "measured"]

_WINDOW = 11
"""Questions about the place that is measured, of which the median is taken."""


class _Enough(Exception):
    """All places are measured, or the time is over."""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a question after so many answers, by their number, and an error."""

    tuner: str
    seconds: dict[int, float]
    error: str = ""


def measured(name: str, tune: Tuner, at: Sequence[int], limit: float) -> Cost:
    """The cost of one tuner at some numbers of answers, as far as it comes in `limit` CPU seconds."""
    gaps: list[float] = []
    first = begun = time.process_time()

    def objective(params: Params) -> float:
        nonlocal begun
        now = time.process_time()
        gaps.append(now - begun)
        if len(gaps) > max(at) + _WINDOW or now - first > limit:
            raise _Enough
        loss = sum(value * value for value in params.values())
        begun = time.process_time()
        return loss

    error = ""
    try:
        tune([number(f"x{i}", -5, 5) for i in range(10)], objective, max(at) + 2 * _WINDOW, 0)
    except _Enough:
        pass
    except Exception as failure:  # a peer that fails has a line of its own
        error = f"{type(failure).__name__}: {failure}"[:200]
    found = {k: float(np.median(gaps[k - _WINDOW // 2 : k + _WINDOW // 2 + 1])) for k in at if len(gaps) > k + _WINDOW}
    return Cost(name, found, error)
