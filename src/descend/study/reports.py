"""What trials have reported on their way, as pruners read it: by trial, by step, and as rungs of a ladder.

Everything is to be minimized here: whoever fills it has changed the signs of what is to be maximized. A report that is
not finite is a failure, +inf in every objective, as everywhere in descend.
"""

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from descend.errors import InvalidValue, ShapeMismatch

__all__ = ["Curve", "Reports"]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """The reports of one trial.

    Fields: steps (k,) int64, increasing; values (k, m) float64, of each step the last report, smaller being better;
    state, "running" until the trial has ended.
    """

    steps: np.ndarray
    values: np.ndarray
    state: str


class Reports:
    """All reports so far of all trials of a study. It only grows, so it is filled as the log is read.

    Args:
        signs: m numbers, 1 for an objective that the user minimizes, -1 for one that is maximized: the user's own
            value is the sign times what stands here. Default one objective, minimized.

    Raises:
        InvalidValue: there are no signs, or others than 1 and -1.

    >>> reports = Reports()
    >>> reports.report(0, step=2, values=[0.5])
    >>> reports.report(0, step=1, values=[0.75])
    >>> reports.close(0, "done", [0.5])
    >>> reports.curve(0).steps.tolist(), reports.at(1).tolist(), reports.done
    ([1, 2], [[0.75]], 1)
    """

    def __init__(self, signs: Sequence[float] = (1.0,)) -> None:
        self.signs = tuple(float(sign) for sign in signs)
        if not self.signs or any(abs(sign) != 1 for sign in self.signs):
            raise InvalidValue(f"signs are 1 or -1, one for each objective, got {tuple(signs)!r}; write (1.0,)")
        self._values: dict[int, dict[int, tuple[float, ...]]] = {}
        self._steps: dict[int, list[int]] = {}
        self._at: dict[int, dict[int, tuple[float, ...]]] = {}
        self._states: dict[int, str] = {}
        self._results: dict[int, tuple[float, ...]] = {}
        self._done = 0

    @property
    def objectives(self) -> int:
        """m, the number of objectives."""
        return len(self.signs)

    @property
    def done(self) -> int:
        """How many trials were evaluated to their end."""
        return self._done

    def __iter__(self) -> Iterator[int]:
        """The numbers of the trials that have reported, in order."""
        return iter(sorted(self._values))

    def report(self, number: int, step: int, values: Sequence[float]) -> None:
        """A trial's values at a step; a later report of the same step replaces it.

        Args:
            number: of the trial.
            step: how far it is, at least 0: an epoch, a fold, the number of an instance.
            values: m numbers, smaller being better.

        Raises:
            ShapeMismatch: there are more or fewer values than objectives.
            InvalidValue: the step is no whole number >= 0.
        """
        if isinstance(step, bool) or not isinstance(step, int | np.integer) or step < 0:
            raise InvalidValue(f"a step is a whole number >= 0, got {step!r}; write trial.report(epoch, loss)")
        row, step = self._row(values), int(step)
        if step not in self._values.setdefault(number, {}):
            insort(self._steps.setdefault(number, []), step)
        self._values[number][step] = self._at.setdefault(step, {})[number] = row

    def close(self, number: int, state: str, values: Sequence[float] | None = None, feasible: bool = True) -> None:
        """A trial has ended.

        Args:
            number: of the trial.
            state: "done", "pruned" or "failed".
            values: m numbers, what came out; None if nothing did.
            feasible: whether it keeps the constraints.

        Raises:
            ShapeMismatch: there are more or fewer values than objectives.
        """
        self._done += (state == "done") - (self._states.get(number) == "done")
        self._states[number] = state
        self._results.pop(number, None)
        if state == "done" and feasible and values is not None and math.isfinite((row := self._row(values))[0]):
            self._results[number] = row

    def curve(self, number: int) -> Curve:
        """The reports of one trial, none if it has made none."""
        steps, values = self._steps.get(number, []), self._values.get(number, {})
        table = self._table([values[step] for step in steps])
        return Curve(np.array(steps, dtype=np.int64), table, self._states.get(number, "running"))

    def at(self, step: int) -> np.ndarray:
        """(n, m): what trials that are done have reported at a step, in any order, without failures."""
        states, rows = self._states, self._at.get(step, {})
        done = [row for number, row in rows.items() if states.get(number) == "done" and row[0] < math.inf]
        return self._table(done)

    def reached(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The trials, whatever became of them, that came as far as a step, and what they reported first from there on.

        Returns:
            Numbers (n,) int64, increasing, and values (n, m), +inf for failures.
        """
        numbers, rows = [], []
        for number in self:
            steps = self._steps[number]
            if steps[-1] >= step:
                numbers.append(number)
                rows.append(self._values[number][steps[bisect_left(steps, step)]])
        return np.array(numbers, dtype=np.int64), self._table(rows)

    def results(self) -> tuple[np.ndarray, np.ndarray]:
        """The trials that are done and keep the constraints: numbers (n,) int64, increasing, and results (n, m)."""
        numbers = sorted(self._results)
        return np.array(numbers, dtype=np.int64), self._table([self._results[number] for number in numbers])

    def _row(self, values: Sequence[float]) -> tuple[float, ...]:
        row = tuple(float(value) for value in values)
        if len(row) != self.objectives:
            raise ShapeMismatch(f"the study has {self.objectives} objectives, got {len(row)} values: {row!r}")
        return row if all(map(math.isfinite, row)) else (math.inf,) * len(row)

    def _table(self, rows: list[tuple[float, ...]]) -> np.ndarray:
        return np.array(rows, dtype=np.float64).reshape(len(rows), self.objectives)
