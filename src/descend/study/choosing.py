"""Which trials are the best: of one objective, of several, and when values are noisy."""

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from descend.errors import InvalidValue
from descend.log import Row
from descend.model.modelled import History
from descend.pareto.sorting import front
from descend.study.answers import Answers, point_of
from descend.study.engine import Engine
from descend.study.header import Settings
from descend.study.mirror import Mirror
from descend.study.record import Record, broken

__all__ = ["Recommended", "best_of", "front_of", "history_of", "recommended_of"]


@dataclass(frozen=True, slots=True)
class Recommended:
    """The trial whose point is believed to be the best.

    Fields: record, the trial; mean, what its value would be on average, in the user's sign; low and high, between which
    that lies with a probability of about 95 %; NaN where nothing is known of the noise.
    """

    record: Record
    mean: float
    low: float
    high: float


def best_of(rows: Sequence[Row], settings: Settings) -> int:
    """The number of the best trial that is done; of those at one point that are averaged, the first.

    Raises:
        InvalidValue: there are several objectives, or none is done.
    """
    count = len(settings.signs)
    if count > 1:
        raise InvalidValue(f"there are {count} objectives, of which no trial is the best; write .front")
    sign = settings.signs[0]
    losses = {row.number: sign * row.values[0] for row in rows if row.state == "done" and row.values}
    if not losses:
        raise InvalidValue("no trial is done, so there is no best one; run the study first")
    if settings.repeats == "average":
        groups: dict[str, list[int]] = {}
        for number in losses:
            groups.setdefault(point_of(rows[number].params), []).append(number)
        losses = {each[0]: math.fsum(losses[number] for number in each) / len(each) for each in groups.values()}
    return min(losses, key=lambda number: (broken(rows[number].violations), losses[number]))


def front_of(rows: Sequence[Row], settings: Settings) -> list[int]:
    """The numbers of the trials that are done and that no other dominates; of those with the same values all."""
    done = [row for row in rows if row.state == "done" and row.values is not None]
    if not done:
        return []
    values = torch.tensor([row.values for row in done], dtype=torch.float64) * torch.tensor(settings.signs)
    places = front(values, torch.tensor([broken(row.violations) for row in done], dtype=torch.float64))
    return sorted(done[place].number for place in places.tolist())


def history_of(mirror: Mirror, settings: Settings, engine: Engine) -> History | None:
    """All that a model may know; None while nothing is known of the space."""
    frame = engine.frame_at(len(mirror.order))
    if frame is None:
        return None
    answers = Answers(mirror, frame, settings.constraints, average=False)
    return answers.history(len(mirror.rows), len(mirror.order))


def recommended_of(mirror: Mirror, settings: Settings, engine: Engine) -> tuple[int, float, float, float]:
    """The number of the trial whose point is believed to be the best, and its mean, low and high in the user's sign.

    Raises:
        InvalidValue: as of `best_of`.
    """
    best = best_of(mirror.rows, settings)
    history = history_of(mirror, settings, engine)
    if history is None:
        row = mirror.rows[best]
        assert row.values is not None
        return best, row.values[0], math.nan, math.nan
    recommend: Any = importlib.import_module("descend.model.recommend").recommend
    numbers = sorted(mirror.order)
    done = torch.tensor([mirror.rows[number].state == "done" for number in numbers])
    found = recommend(replace(history, values=torch.where(done[:, None], history.values, math.nan)))
    sign = settings.signs[0]
    low, high = sorted((sign * found.low, sign * found.high))
    return numbers[found.index], sign * found.mean, low, high
