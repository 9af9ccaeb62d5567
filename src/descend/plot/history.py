"""What the pictures need of a run: its losses, and where on each horizontal axis every one of them was recorded.

A finished run keeps columns of equal length in its `history` (the protocol `History`); `Trace.of` reads them. A loop
written by hand makes its `Trace` itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from descend.errors import InvalidValue, ShapeMismatch
from descend.plot.paths import as_array

__all__ = ["History", "Recorded", "Trace", "Track", "XAxis", "YAxis", "read_traces"]

Array = NDArray[np.float64]
XAxis = Literal["evaluations", "seconds", "steps"]
YAxis = Literal["loss", "best"]


class History(Protocol):
    """Columns of one length n, a row for each recorded step."""

    @property
    def steps(self) -> ArrayLike:
        """Steps taken so far."""
        ...

    @property
    def evaluations(self) -> ArrayLike:
        """Evaluations made so far."""
        ...

    @property
    def seconds(self) -> ArrayLike:
        """Seconds since the start."""
        ...

    @property
    def loss(self) -> ArrayLike:
        """f at the iterate where it is known, else what the step learned of f near it."""
        ...


class Recorded(Protocol):
    """A finished run, such as what `minimize` returns: it has a `History`."""

    @property
    def history(self) -> History:
        """The run, step by step."""
        ...


@dataclass(frozen=True, eq=False)
class Trace:
    """A label, n losses, and where they were recorded.

    Args:
        label: the name of the run in the legend; "" for none.
        losses: (n,) numbers, array or tensor. NaN and infinities are drawn as gaps.
        evaluations: (n,) evaluations made when each loss was recorded, never decreasing; None if unknown.
        seconds: (n,) seconds since the start, likewise.
        steps: (n,) steps taken, likewise; default 0, 1, ..., n - 1.

    Raises:
        ShapeMismatch: no losses, losses that are not one row of numbers, or another number of positions.
        InvalidValue: positions that are not finite, or that decrease.

    >>> Trace("Adam", [3.0, 1.0, 2.0], evaluations=[1, 3, 5]).y("best")
    array([3., 1., 1.])
    """

    label: str
    losses: ArrayLike
    evaluations: ArrayLike | None = None
    seconds: ArrayLike | None = None
    steps: ArrayLike | None = None

    def __post_init__(self) -> None:
        losses = _row(self.label, "losses", self.losses)
        if not len(losses):
            raise ShapeMismatch(f"the trace {self.label!r} has no losses; record at least one")
        object.__setattr__(self, "losses", losses)
        if self.steps is None:
            object.__setattr__(self, "steps", np.arange(len(losses), dtype=np.float64))
        for name in ("evaluations", "seconds", "steps"):
            given = getattr(self, name)
            if given is not None:
                object.__setattr__(self, name, _positions(self.label, name, given, len(losses)))

    @classmethod
    def of(cls, run: Recorded, label: str = "") -> Trace:
        """The trace of a finished run, from its `history`.

        Raises:
            InvalidValue: the object has no such history.
        """
        try:
            history = run.history
            return cls(label, history.loss, history.evaluations, history.seconds, history.steps)
        except AttributeError as missing:
            raise InvalidValue(
                f"an object of type {type(run).__name__} is not a run that can be drawn ({missing}); "
                "write Trace('name', losses, evaluations=...), or give what minimize returns"
            ) from None

    def x(self, axis: XAxis) -> Array:
        """The positions (n,) on an axis. Raises `InvalidValue` if they are unknown."""
        found = {"evaluations": self.evaluations, "seconds": self.seconds, "steps": self.steps}
        if axis not in found:
            raise InvalidValue(f"x={axis!r} is unknown; write one of {', '.join(map(repr, found))}")
        if found[axis] is None:
            raise InvalidValue(
                f"the trace {self.label!r} has no {axis}; write Trace(..., {axis}=[...]), or x='steps' in the picture"
            )
        return np.asarray(found[axis])

    def y(self, axis: YAxis) -> Array:
        """The losses (n,), or the lowest so far; NaN where there is no finite one."""
        if axis not in ("loss", "best"):
            raise InvalidValue(f"y={axis!r} is unknown; write y='loss' or y='best'")
        losses = np.asarray(self.losses)
        finite = np.where(np.isfinite(losses), losses, np.nan)
        return np.fmin.accumulate(finite) if axis == "best" else finite


Track = Trace | Recorded
"""A run as the pictures take it."""


def read_traces(histories: Track | Iterable[Track] | Mapping[str, Track], labels: Sequence[str] | None) -> list[Trace]:
    """The traces of one run, several runs, or a mapping from labels to runs, each with its label.

    Labels that are neither given nor known are left empty for one run and are "run 1", "run 2", ... for several.

    Raises:
        ShapeMismatch: no runs, or another number of labels than of runs.
    """
    if isinstance(histories, Mapping):
        runs = list(histories.values())
        labels = [str(label) for label in histories] if labels is None else labels
    else:
        runs = list(histories) if isinstance(histories, Iterable) else [histories]
    if not runs:
        raise ShapeMismatch("there are no runs to draw; give at least one")
    if labels is not None and len(labels) != len(runs):
        raise ShapeMismatch(f"there are {len(runs)} runs but {len(labels)} labels; write one label for each run")
    names = [None] * len(runs) if labels is None else labels
    return [
        _named(run, name, f"run {i + 1}" if len(runs) > 1 else "")
        for i, (run, name) in enumerate(zip(runs, names, strict=True))
    ]


def _named(run: Track, label: str | None, otherwise: str) -> Trace:
    """The run as a trace with this label, or its own, or the other one."""
    trace = run if isinstance(run, Trace) else Trace.of(run)
    return replace(trace, label=trace.label or otherwise if label is None else label)


def _row(label: str, name: str, numbers: ArrayLike) -> Array:
    try:
        row = as_array(numbers).copy()
    except ShapeMismatch:
        raise InvalidValue(f"the {name} of the trace {label!r} are not one number for each recorded step") from None
    if row.ndim != 1:
        raise ShapeMismatch(
            f"the {name} of the trace {label!r} have the shape {row.shape}; write one number for each recorded step"
        )
    row.flags.writeable = False
    return row


def _positions(label: str, name: str, numbers: ArrayLike, count: int) -> Array:
    row = _row(label, name, numbers)
    if len(row) != count:
        raise ShapeMismatch(
            f"the trace {label!r} has {count} losses but {len(row)} {name}; record both at the same steps"
        )
    if not np.isfinite(row).all() or (np.diff(row) < 0).any():
        raise InvalidValue(
            f"the {name} of the trace {label!r} are not finite or decrease; "
            "write how many there were since the start when each loss was recorded"
        )
    return row
