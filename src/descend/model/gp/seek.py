"""Where a score is highest in a mixed cube: many points tried, the best of them moved uphill and to their neighbours.

Points all over the cube and near the best ones known are scored; from the most promising a batch of quasi-Newton climbs
moves what is smooth, and exchanges of single values move what is not (after Hutter, Hoos and Leyton-Brown 2011, section
4.3), in turn.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from descend.key import Key
from descend.model.gp.descend_many import descend_many
from descend.model.gp.features import Features
from descend.model.gp.score import Score

__all__ = ["Seek", "neighbours"]

_WORK = 4e8
"""Multiplications for the first points of a search, which are fewer where observations are many."""
_EXCHANGES = 12
"""Values of an unordered coordinate, or pairs of items of a permutation, that are tried."""


@dataclass(frozen=True, eq=False)
class Seek:
    """One search.

    Fields: score; seen (n, d), centred points that are not worth a second question where all coordinates are discrete;
    anchors (a, d), the best points known, best first; lower, upper (d,), a box within the cube.
    """

    score: Score
    seen: Tensor
    anchors: Tensor
    lower: Tensor
    upper: Tensor

    @property
    def _features(self) -> Features:
        return self.score.features

    def __call__(self, key: Key, points: int = 512, starts: int = 6, turns: int = 40) -> Tensor:
        """The best point (d,) that it finds."""
        affordable = int(_WORK / max(1, len(self.seen)) ** 2)
        us = self.tries(max(64, min(points, affordable)), key)
        values = self._worth(us)
        us = _spread(us, values, starts)
        values = self._worth(us)
        rough = not bool((self._features.cube.cells == 0).all()) or bool(self._features.permutations)
        for turn in range(2 if rough else 1):
            us, values = self._climb(us, values, turns)
            if rough:
                us, values = self._exchange(us, values, key.fold("exchange", turn))
        return us[int(values.argmax())]

    def tries(self, n: int, key: Key) -> Tensor:
        """Points (n, d) to begin with, half of them anywhere, half of them near anchors, the better ones more often."""
        d, cube = self.seen.shape[1], self._features.cube
        many = n // 2
        anywhere = self.lower + (self.upper - self.lower) * key.fold("anywhere").uniform(many, d, like=self.lower)
        if not len(self.anchors):
            return cube.centre(anywhere)
        draw = key.fold("near").uniform(4, n - many, d, like=self.lower)
        which = (draw[0, :, 0].square() * len(self.anchors)).long()
        base = self.anchors[which]
        # steps of every size from the whole box to a ten-thousandth, in a few coordinates or in all
        size = 10 ** (-4 * draw[0, :, 1:2]) if d > 1 else 10 ** (-4 * draw[1, :, :1])
        share = torch.maximum(draw[1, :, :1], torch.full_like(draw[1, :, :1], 1 / d))
        moved = draw[2] < share
        step = torch.special.ndtri(draw[3].clamp(1e-9, 1 - 1e-9)) * size * (self.upper - self.lower) * 0.5
        near = torch.where(moved & self._features.smooth, base + step, base)
        fresh = anywhere[torch.arange(n - many) % many] if many else base
        jump = moved & ~self._features.smooth & (draw[3] < 0.5)
        near = torch.where(jump, fresh, near).clamp(self.lower, self.upper)
        return cube.centre(torch.cat([anywhere, near]))

    def _worth(self, us: Tensor) -> Tensor:
        """The scores of centred points, -inf where nothing new would be learnt."""
        values, old = self.score(us), self._old
        if not len(old):
            return values
        return torch.where(torch.cdist(self._features.at(us), old).min(1).values < 1e-9, -math.inf, values)

    @cached_property
    def _old(self) -> Tensor:
        """The features (n, p) of what was seen, or no rows where it may be asked a second time."""
        once = bool((self._features.cube.cells > 0).all()) or bool(self._features.permutations)
        return self._features.at(self.seen if once else self.seen[:0])

    def _climb(self, us: Tensor, values: Tensor, turns: int) -> tuple[Tensor, Tensor]:
        """Points moved uphill in what is smooth, (s, d), then centred, and their scores."""
        if not bool(self._features.smooth.any()):
            return us, values

        def loss(points: Tensor) -> tuple[Tensor, Tensor]:
            value, slope = self.score.with_slopes(points)
            return -value, -slope

        moved, _ = descend_many(loss, us, self.lower, self.upper, turns, 0.1, 1e-7)
        return self._better(us, values, self._features.cube.centre(moved))

    def _better(self, us: Tensor, values: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
        new = self._worth(others)
        better = new > values
        return torch.where(better[:, None], others, us), torch.where(better, new, values)

    def _exchange(self, us: Tensor, values: Tensor, key: Key) -> tuple[Tensor, Tensor]:
        """Points after the best exchanges of single values, as long as these help."""
        for turn in range(6):
            near = [neighbours(self._features, u, key.fold(turn, i)) for i, u in enumerate(us)]
            worth = self._worth(torch.cat(near)).split([len(some) for some in near])
            best = [int(some.argmax()) for some in worth]
            new = torch.stack([some[i] for some, i in zip(worth, best, strict=True)])
            better = new > values
            if not bool(better.any()):
                break
            others = torch.stack([some[i] for some, i in zip(near, best, strict=True)])
            us, values = torch.where(better[:, None], others, us), torch.where(better, new, values)
        return us, values


def _spread(us: Tensor, values: Tensor, n: int) -> Tensor:
    """Of points (k, d) the n that begin climbs: the best, and those that promise most among ever more distant ones."""
    order = values.argsort(descending=True, stable=True)[: max(n, len(us) // 4)]
    us = us[order]
    chosen = [0]
    far = (us - us[0]).abs().amax(1)
    for i in range(1, min(n, len(us))):
        apart = 0.2 * 0.5 ** (i / 2)
        open_ = (far > apart).nonzero()[:, 0]
        pick = int(open_[0]) if len(open_) else int(far.argmax())
        chosen.append(pick)
        far = torch.minimum(far, (us - us[pick]).abs().amax(1))
    return us[chosen]


def neighbours(features: Features, u: Tensor, key: Key) -> Tensor:
    """Points (k, d) that differ from u (d,) in one discrete coordinate that is there, or in two items' places."""
    cube = features.cube
    active, cells = cube.active(u[None])[0], cube.cells
    rows = []
    for i in (active & (cells > 0)).nonzero()[:, 0].tolist():
        k = int(cells[i])
        here = min(int(float(u[i]) * k), k - 1)
        if bool(cube.unordered[i]) and k > _EXCHANGES:
            places = key.fold("values", i).permutation(k)[:_EXCHANGES].tolist()
        elif bool(cube.unordered[i]) or k <= _EXCHANGES:
            places = list(range(k))
        else:
            places = [p for p in (here - 2, here - 1, here + 1, here + 2) if 0 <= p < k]
        for place in places:
            if place != here:
                row = u.clone()
                row[i] = (place + 0.5) / k
                rows.append(row)
    for items in features.permutations:
        pairs = torch.combinations(items)
        pairs = pairs[key.fold("pairs", int(items[0])).permutation(len(pairs))[: 3 * _EXCHANGES]]
        for a, b in pairs.tolist():
            row = u.clone()
            row[a], row[b] = u[b], u[a]
            rows.append(row)
    return torch.stack(rows) if rows else u[None]
