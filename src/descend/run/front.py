"""What a run with several objectives found: a front of points, none of which is better than another in everything."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.pareto.base import Crowd
from descend.pareto.choice import compromise, knee, pseudo_weights
from descend.pareto.indicators import hypervolume

__all__ = ["Chosen", "Front"]


@dataclass(frozen=True, eq=False)
class Chosen:
    """One point of a front.

    Fields: place, which one it is; point, as f takes it; values (m,), what f returned.
    """

    place: int
    point: Any
    values: Any


@dataclass(frozen=True, eq=False)
class Front:
    """What `minimize_many` found, in the order of the first objective.

    Fields:
        points: k of them, none of which is better than another in everything, all feasible: an array (k, ...) in the
            type and dtype of x0, or a list of points of the space.
        values: (k, m), float64, an array, or a tensor if x0 is one.
        evaluations, steps, seconds: made, generations, and wall-clock time.
        reason: why the run stopped, a sentence.
        rejected, failures, last_failure: generations of failures only, failed evaluations, and what was wrong with
            the last one.
        key: repeats the run bit for bit.
        state: that of the method; its population includes points that others dominate.

    Pictures are made by `descend.plot.pareto`: `front` and `parallel`.
    """

    points: Any
    values: Any
    evaluations: int
    steps: int
    seconds: float
    reason: str
    rejected: int
    failures: int
    last_failure: str
    key: Key
    state: Crowd

    def __len__(self) -> int:
        return len(self.values)

    def knee(self) -> Chosen:
        """The point where a little less of one objective costs a lot of the others, see `descend.pareto.knee`.

        Raises:
            InvalidValue: the front is empty.
        """
        return self._chosen(knee(self._values()))

    def choose(self, weights: Sequence[float]) -> Chosen:
        """The point that suits m weights >= 0, the larger the more an objective matters: `descend.pareto.compromise`.

        Raises:
            InvalidValue: the front is empty, or the weights are not m such numbers.
        """
        return self._chosen(compromise(self._values(), weights))

    def weights(self) -> Any:
        """(k, m), rows that sum to 1: what each point seems to care for, see `descend.pareto.pseudo_weights`.

        Raises:
            InvalidValue: the front is empty.
        """
        found = pseudo_weights(self._values())
        return found if isinstance(self.values, Tensor) else found.numpy()

    def hypervolume(self, reference: Sequence[float]) -> float:
        """The volume that the front dominates within a reference point (m,), which has to be worse than its points.

        Raises:
            ShapeMismatch: not m numbers.
            MissingExtra: m >= 3 and moocore is not installed: pip install 'descend[pareto]'.
        """
        return hypervolume(torch.as_tensor(self.values), reference)

    def _values(self) -> Tensor:
        if not len(self):
            raise InvalidValue("the front is empty: no feasible point was found; give the run more evaluations")
        return torch.as_tensor(self.values)

    def _chosen(self, place: int) -> Chosen:
        return Chosen(place, self.points[place], self.values[place])

    def __repr__(self) -> str:
        values = torch.as_tensor(self.values)
        lines = [
            f"Front of {len(self)} points in {self.steps} generations, {self.evaluations} evaluations, "
            f"{self.seconds:.3g} s"
        ]
        if len(self):
            sides = zip(values.min(0).values.tolist(), values.max(0).values.tolist(), strict=True)
            lines += [f"  f[{j}]     {low:.6g} to {high:.6g}" for j, (low, high) in enumerate(sides)]
        elif len(self.state.violations):
            lines.append(f"  no feasible point; the least violation is {float(self.state.violations.min()):.3g}")
        lines.append(f"  stopped  {self.reason}")
        if self.failures:
            lines.append(f"  failed   {self.failures} evaluations; {self.last_failure}")
        return "\n".join([*lines, f"  key      {self.key!r}"])
