"""What a run found, and how it went."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from descend.key import Key

__all__ = ["History", "Result", "Trace"]


@dataclass(frozen=True, eq=False)
class History:
    """How a run went, as arrays of one length, one entry per recorded step.

    A long run is thinned evenly to at most `Trace.LENGTH` entries; the last step is always there.

    Fields:
        steps: (n,) int64, steps taken.
        evaluations: (n,) int64, evaluations made by then.
        seconds: (n,) float64, since the run began.
        loss: (n,) float64, f at the iterate where it is known, else what the step learned of f near the iterate.
        value: (n,) float64, f at the iterate, NaN where the method did not ask.
    """

    steps: np.ndarray
    evaluations: np.ndarray
    seconds: np.ndarray
    loss: np.ndarray
    value: np.ndarray

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        return f"History of {len(self)} steps"


Row = tuple[int, int, float, float, float]


@dataclass(slots=True)
class Trace:
    """Collects a history in bounded memory: when it is full, every second entry is forgotten and half as many kept."""

    LENGTH = 2048

    rows: list[Row] = field(default_factory=list)
    every: int = 1
    seen: int = 0
    last: Row | None = None

    def add(self, row: Row) -> None:
        """One step: (steps, evaluations, seconds, loss, value)."""
        self.last = row
        if self.seen % self.every == 0:
            self.rows.append(row)
            if len(self.rows) == self.LENGTH:
                self.rows = self.rows[::2]
                self.every *= 2
        self.seen += 1

    def history(self) -> History:
        """What was collected."""
        rows = self.rows if self.last is None or self.rows[-1] is self.last else [*self.rows, self.last]
        columns = list(zip(*rows, strict=True)) if rows else [()] * 5
        whole, real = np.int64, np.float64
        kinds = (whole, whole, real, real, real)
        return History(*(np.array(column, dtype=kind) for column, kind in zip(columns, kinds, strict=True)))


@dataclass(frozen=True, eq=False)
class Result:
    """What `minimize` found.

    Fields:
        x: the best iterate, in the type, dtype and shape of x0 (a list or number gives a NumPy array), or a point of
            the space. Never a probe.
        fun: f(x), from an evaluation of x alone, so calling f again gives the same bits; NaN if x could not be
            evaluated.
        last_x, last_fun: the last iterate and f there, evaluated in the same way; after an interrupt NaN if the method
            had not asked for it.
        evaluations: how many, by kind ("value", "gradient", "hvp", ...).
        reason: why the run stopped, a sentence.
        method: what searched, and if it was chosen for the problem, why it was.
        steps, rejected: steps taken, and how many of them came to nothing because evaluations failed.
        failures, last_failure: failed evaluations, and what was wrong with the last one.
        seconds: wall-clock time.
        history: see `History`.
        key: repeats the run bit for bit as ``minimize(..., key=result.key)``.
    """

    x: Any
    fun: float
    last_x: Any
    last_fun: float
    evaluations: dict[str, int]
    reason: str
    method: str
    steps: int
    rejected: int
    failures: int
    last_failure: str
    seconds: float
    history: History
    key: Key

    @property
    def total(self) -> int:
        """All evaluations, of whatever kind."""
        return sum(self.evaluations.values())

    def __repr__(self) -> str:
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.evaluations.items())
        lines = [
            f"Result of {self.steps} steps, {self.total} evaluations ({kinds or 'none'}), {self.seconds:.3g} s",
            f"  fun      {self.fun!r}",
            f"  x        {_in_one_line(self.x)}",
        ]
        if self.last_fun != self.fun and not math.isnan(self.last_fun):
            lines.append(f"  last_fun {self.last_fun!r}")
        lines.append(f"  method   {self.method}")
        lines.append(f"  stopped  {self.reason}")
        if self.rejected or self.failures:
            lines.append(f"  failed   {self.failures} evaluations, {self.rejected} steps rejected; {self.last_failure}")
        return "\n".join([*lines, f"  key      {self.key!r}"])


def _in_one_line(x: Any, length: int = 100) -> str:
    if not isinstance(x, np.ndarray | Tensor):  # a point of a space
        text = " ".join(repr(x).split())
        return text if len(text) <= 4 * length else f"{text[: 4 * length]} ..."
    text = " ".join(repr(x).split()) if math.prod(x.shape) < 1000 else ""
    if 0 < len(text) <= length:
        return text
    kind = type(x).__name__
    return f"{kind} of shape {tuple(x.shape)}, {x.dtype}"
