"""Trials as numbers: the points, losses and violations that a method is told, in buffers that grow with the log."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.model.modelled import Cube, History
from descend.study.frame import Frame
from descend.study.mirror import Mirror

__all__ = ["Answers", "point_of"]


def point_of(params: Mapping[str, Any]) -> str:
    """A text that two flat dicts share if and only if they are the same point."""
    return repr(sorted(params.items()))


class Answers:
    """The answers of a study, with points as a frame has them.

    Args:
        mirror: of the log.
        frame: of the points.
        constraints: c, how many violations every trial has.
        average: whether the values of trials at the same point are replaced by their mean.

    Everything that is asked for is said of the first `after` answers, whatever else is known.
    """

    def __init__(self, mirror: Mirror, frame: Frame, constraints: int, average: bool) -> None:
        self._mirror, self._frame, self._average = mirror, frame, average
        self._cube = Cube(frame.domain, frame.start)
        self._is_cube = bool((frame.domain.lower == 0).all()) and bool((frame.domain.upper == 1).all())
        d, m = frame.domain.dim, len(mirror.signs)
        self._us, self._values = np.empty((64, d)), np.empty((64, m))
        self._violations, self._constraints = np.empty((64, constraints)), (0.0,) * constraints
        self._nowhere = torch.zeros(0, d, dtype=torch.float64)
        self._filled = 0
        self._most = [-1]  # the greatest number among the first k answers, by k
        self._groups: dict[str, int] = {}
        self._group: list[int] = []

    def x(self, params: Mapping[str, Any]) -> Tensor:
        """The coordinates (d,) of a flat dict."""
        return torch.from_numpy(self._frame.encode(params))

    def losses(self, number: int) -> tuple[float, ...]:
        """What a trial that has ended says about its point, less being better; NaN if nothing."""
        row = self._mirror.rows[number]
        if row.values is None:
            return (math.nan,) * len(self._mirror.signs)
        return self._mirror.losses(row.values)

    def history(self, number: int, after: int) -> History:
        """All that a model may know when it proposes the point of a trial."""
        self._fill(after)
        answers = self._mirror.answers
        if self._most[after] == after - 1:  # all those that were asked for first
            at: slice | list[int] = slice(0, after)
        else:
            at = sorted(answers[:after])
        us, values, violations = self._us[at], self._values[at], self._violations[at]
        if self._average and len(self._groups) < len(self._group):
            values = self._averaged(values, answers[:after], at)
        start = self._cube.middle
        tables = torch.from_numpy(us), torch.from_numpy(values), torch.from_numpy(violations)
        return History(self._cube, start, *tables, self._waiting(number, after), number)

    def params(self, us: Tensor) -> dict[str, Any]:
        """The flat dict that a point (1, d) of the unit cube stands for."""
        return self._frame.decode_one((us if self._is_cube else self._cube.outside(us)).tolist()[0])

    def _inside(self, params: Mapping[str, Any]) -> np.ndarray:
        x = self._frame.encode(params)
        return x if self._is_cube else self._cube.inside(torch.from_numpy(x)[None])[0].numpy()

    def _fill(self, after: int) -> None:
        """Make rows of the answers that are new."""
        for place in range(self._filled, after):
            number = self._mirror.answers[place]
            row = self._mirror.rows[number]
            self._reserve(number)
            self._us[number] = self._inside(row.params or row.proposal or {})
            self._values[number] = self.losses(number)
            if self._constraints:
                self._violations[number] = (*row.violations, *self._constraints)[: len(self._constraints)]
            self._most.append(max(self._most[-1], number))
            if self._average:
                self._group.append(self._groups.setdefault(point_of(row.params), len(self._groups)))
        self._filled = max(self._filled, after)

    def _reserve(self, number: int) -> None:
        if number >= len(self._us):
            size = max(2 * len(self._us), number + 1)
            for name in ("_us", "_values", "_violations"):
                old = getattr(self, name)
                new = np.empty((size, old.shape[1]))
                new[: len(old)] = old
                setattr(self, name, new)

    def _waiting(self, number: int, after: int) -> Tensor:
        """The points (k, d) of the trials before this one of which no answer counts yet."""
        mirror = self._mirror
        if not mirror.open and after == len(mirror.rows):
            return self._nowhere
        if mirror.answers is mirror.order:
            numbers: Iterable[int] = sorted(n for n in (*mirror.open, *mirror.order[after:]) if n < number)
        else:
            numbers = range(after, number)
        # as they were proposed, since what they used is known the sooner the more workers there are
        proposals = [mirror.rows[n].proposal for n in numbers]
        us = [self._inside(proposal) for proposal in proposals if proposal]
        return torch.from_numpy(np.array(us).reshape(len(us), self._us.shape[1]))

    def _averaged(self, values: np.ndarray, order: Any, at: slice | list[int]) -> np.ndarray:
        """The values (n, m) with those of the same point replaced by their mean; failures stay out of it."""
        group = dict(zip(order, self._group, strict=False))
        index = np.array([group[n] for n in (range(at.stop) if isinstance(at, slice) else at)])
        fine = np.asarray(np.isfinite(values).all(1))
        sums, counts = np.zeros((len(self._groups), values.shape[1])), np.zeros(len(self._groups))
        np.add.at(sums, index[fine], values[fine])
        np.add.at(counts, index[fine], 1)
        means = (sums / np.maximum(counts, 1)[:, None])[index]
        return np.where(fine[:, None], means, values)
