"""Search by a random forest: what improves most on the best, as far as trees can tell, in spaces of any kind.

Hutter, Hoos, Leyton-Brown (2011), "Sequential model-based optimization for general algorithm configuration" (SMAC);
Lindauer et al. (2022), "SMAC3", for the scaling of losses. Symbols: y, the losses, the smaller ones pulled apart; m and
v, the mean and the variance of y at a point.

A question that waits for its answer counts against points that share leaves with it, so that many workers go apart.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.model.acquire import log_expected_improvement
from descend.model.design import fill
from descend.model.forest_near import canonical, neighbours, same_rows
from descend.model.forest_trees import Columns, Trees, grow
from descend.model.modelled import Cube, History, Modelled
from descend.population.base import whole

__all__ = ["Forest", "losses_of", "scaled"]

_STARTS = 10
"""Points among the best by the model, and as many among the best answers, from which neighbours are climbed."""
_ROUNDS = 10
_STEPS = 4
_FRESH = 32
"""Answers for every tree of which all but one wait for their turn to be grown anew."""
_SHARE = 0.8
"""Of the coordinates, among which a node looks for its split."""
_NARROW = 1e-4
"""The least deviation, of losses whose deviation is 1."""


@dataclass(frozen=True)
class Forest(Modelled):
    """Expected improvement on a random forest: for discrete and conditional parameters, and losses with steps.

    Args:
        startup: >= 1, points of a Latin hypercube before the forest is asked; default 10.
        trees: >= 1; default 10.
        candidates: >= 1, random points among which neighbours begin; default 500.
        every: >= 0; each so many-th point is random, for what the forest cannot know; 0 is never, default 5.

    Beyond 32 answers only some of the trees are grown anew for a question; all learn all answers.

    Raises:
        InvalidValue: a number outside its range.

    >>> method = Forest()
    >>> box = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    >>> from descend.space.domain import Domain
    >>> state = method.init(box[0] + 0.5, Key(0), Domain.box(*box))
    >>> for _ in range(40):
    ...     state, xs = method.ask(state)
    ...     state = method.tell(state, xs, ((xs - 0.3) ** 2).sum(1))
    >>> state.value < 0.01
    True
    """

    startup: int = 10
    trees: int = 10
    candidates: int = 500
    every: int = 5

    def __post_init__(self) -> None:
        whole(self, "startup", self.startup, 1, 10)
        whole(self, "trees", self.trees, 1, 10)
        whole(self, "candidates", self.candidates, 1, 500)
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 0:
            raise InvalidValue(f"Forest needs a whole number every >= 0, got {self.every!r}; write Forest(every=5)")

    def propose(self, history: History, n: int, key: Key) -> Tensor:
        cube = history.cube
        if int(history.fine.sum()) < self.startup:
            asked = torch.cat([history.us, history.waiting])
            return canonical(cube, fill(cube, asked, n, self.startup, key.fold("fill")))
        busy = canonical(cube, history.waiting)
        y = scaled(losses_of(history, key.fold("weights")))
        y = (y - y.mean()) / max(float(y.std()), 1e-300)
        model = _Model(self, cube, canonical(cube, history.us), y)
        found: list[Tensor] = []
        for i in range(n):
            waiting = torch.cat([busy, *found])
            here = key.fold("point", i)
            if self.every and (history.asked + i) % self.every == self.every - 1:
                u = _uniform(cube, 1, here)
            else:
                u = self._one(model, y, waiting, here)
            found.append(u)
        return torch.cat(found)

    def _one(self, model: "_Model", y: Tensor, waiting: Tensor, key: Key) -> Tensor:
        """The point (1, d) that improves most."""
        cube, us = model.cube, model.us
        known = torch.cat([us, waiting])
        us_random = _uniform(cube, self.candidates, key.fold("random"))
        gains = model.log_improvement(us_random, waiting)
        best = gains.argsort(descending=True)[:_STARTS]
        old = us[y.argsort()[:_STARTS]]
        at = torch.cat([us_random[best], old])
        value = model.log_improvement(at, waiting)
        value[same_rows(at, known)] = -math.inf
        for turn in range(_ROUNDS):
            near = neighbours(cube, at, _STEPS, key.fold("near", turn))
            flat = near.reshape(-1, near.shape[2])
            gain = model.log_improvement(flat, waiting)
            gain[same_rows(flat, known)] = -math.inf
            most, which = gain.reshape(len(at), -1).max(1)
            better = most > value
            if not bool(better.any()):
                break
            at = torch.where(better[:, None], near[torch.arange(len(at)), which], at)
            value = torch.where(better, most, value)
        if float(value.max()) == -math.inf:
            return us_random[:1]
        return at[value.argmax()][None]


class _Model:
    """The forest of some answers.

    Args:
        forest: its hyperparameters.
        cube: where.
        us: (n, d), canonical.
        y: (n,) losses, of which none is missing.
    """

    def __init__(self, forest: Forest, cube: Cube, us: Tensor, y: Tensor) -> None:
        self.cube, self.us, self.columns, self.best = cube, us, Columns.of(cube), float(y.min())
        features = self._features(us)
        self.groups: list[tuple[Trees, np.ndarray, np.ndarray]] = []
        turns = max(1, min(forest.trees, len(y) // _FRESH))
        for turn in range(turns):
            m = len(y) - (len(y) + turn) % turns
            trees = _grown(forest, self.columns, features[:m], y.numpy()[:m], turn, turns)
            self.groups.append((trees, *trees.statistics(features, y.numpy())))

    def _features(self, us: Tensor) -> np.ndarray:
        return self.columns.features(us.numpy(), self.cube.active(us).numpy())

    def log_improvement(self, us: Tensor, waiting: Tensor) -> Tensor:
        """log EI (n,) at points (n, d), less where they share leaves with those that wait (k, d)."""
        features, held = self._features(us), self._features(waiting)
        means, variances, shared = [], [], np.zeros(len(us))
        for trees, mean, variance in self.groups:
            leaf = trees.leaves(features)
            means.append(mean[leaf])
            variances.append(variance[leaf])
            if len(held):
                other = trees.leaves(held)
                shared += (leaf[:, :, None] == other[:, None, :]).any(2).sum(0)
        every = np.concatenate(means)
        m = torch.from_numpy(every.mean(0))
        v = torch.from_numpy(every.var(0) + np.concatenate(variances).mean(0))
        alone = torch.from_numpy(1 - shared / (len(every) + 1))
        gain, _, _ = log_expected_improvement(m, v.sqrt().clamp(min=_NARROW), self.best)
        return gain + alone.log()


def losses_of(history: History, key: Key) -> Tensor:
    """One loss (n,) for every answer, finite: failures are as bad as the worst, and what breaks a constraint worse.

    Several objectives, scaled to [0, 1], make the greatest of their weighted values and a twentieth of the sum (Knowles
    2006, "ParEGO"), with weights uniform on the simplex by the key.
    """
    values, fine = history.values, history.fine
    if values.shape[1] == 1:
        loss = values[:, 0]
    else:
        low, high = values[fine].min(0).values, values[fine].max(0).values
        weights = -key.uniform(values.shape[1], like=values).clamp(min=1e-12).log()
        parts = weights / weights.sum() * (values - low) / (high - low).clamp(min=1e-300)
        loss = parts.max(1).values + 0.05 * parts.sum(1)
    worst, spread = loss[fine].max(), (loss[fine].max() - loss[fine].min()).clamp(min=1e-12)
    loss = torch.where(fine, loss, worst)
    broken = history.violations.clamp(min=0).nan_to_num(posinf=1e300).sum(1)
    much = broken / broken.max().clamp(min=1e-300)
    return torch.where(history.feasible, loss, worst + spread * much) if bool((~history.feasible).any()) else loss


def scaled(loss: Tensor) -> Tensor:
    """Losses (n,), the smaller ones pulled apart: log of how far they are above a point below the best one.

    That point is as far below the best as the best is below the median.
    """
    order = loss.sort().values
    least, width = float(order[0]), float(order[-1] - order[0])
    if width == 0:
        return loss - least
    gap = (float(order[len(order) // 2]) - least) or 1e-3 * width
    return (loss - least + gap).log()


def _uniform(cube: Cube, n: int, key: Key) -> Tensor:
    return canonical(cube, key.uniform(n, cube.domain.dim, like=torch.zeros(0, dtype=torch.float64)))


_KEPT: OrderedDict[bytes, Trees] = OrderedDict()
_MOST_KEPT = 64


def _grown(forest: Forest, columns: Columns, features: np.ndarray, y: np.ndarray, turn: int, turns: int) -> Trees:
    """Those of a forest's trees whose turn it is; a function of its arguments, kept while it may be asked for again."""
    text = repr((forest, turn, turns, features.shape, columns.cells.tolist(), columns.unordered.tolist()))
    mark = blake2b(text.encode() + features.tobytes() + y.tobytes(), digest_size=16).digest()
    if mark not in _KEPT:
        n, trees = len(y), len(range(turn, forest.trees, turns))
        draws = np.random.Generator(np.random.PCG64(Key(n).fold("forest", turn).seed))
        _KEPT[mark] = grow(columns, features, y, trees, _SHARE, draws)
        while len(_KEPT) > _MOST_KEPT:
            _KEPT.popitem(last=False)
    _KEPT.move_to_end(mark)
    return _KEPT[mark]
