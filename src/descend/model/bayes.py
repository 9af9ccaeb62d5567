"""Bayesian optimization: a Gaussian process says what is known of the loss, and the next point promises most by it.

Jones, Schonlau and Welch 1998, "Efficient global optimization of expensive black-box functions"; the rest is in `gp`,
`acquire` and `trust_box`. Points that are being evaluated count as if their means had been seen. Where the values of
one objective look noisy, `knowledge` says where to ask.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.model.acquire import BelowLimits, Compromise, FrontGain, Improvement, Promise, Several
from descend.model.design import fill
from descend.model.gp.belief import Belief, believe, features_of, sides_of
from descend.model.gp.process import Process
from descend.model.gp.score import Score
from descend.model.gp.seek import Seek
from descend.model.gp.warp import PARTS
from descend.model.knowledge import Knowledge
from descend.model.modelled import History, Modelled
from descend.model.noise import FAINT, looks_noisy, pieces, plain_belief
from descend.model.trust_box import Region, region
from descend.pareto.sorting import front, ranks
from descend.population.base import whole

__all__ = ["Bayes"]

_ANCHORS = 8
_DRAWS = 64
_ENOUGH = 10
"""Answers from which on noise can be told from anything else."""
_HIGH = 30
"""Coordinates from which on a search is local."""
_PATIENCE = 6
"""Answers without progress after which a search becomes curious."""
_PROGRESS = 1e-4
"""What counts as progress, as a part of the distance of the best value from the median."""


@dataclass(frozen=True)
class Bayes(Modelled):
    """Bayesian optimization with a Gaussian process, for losses that take a second or longer.

    Args:
        startup: first points, which fill the space, >= 1; default 2 d + 2, and at most 10.
        warp: whether losses may be modelled on a logarithmic scale, where that explains them better; default True.
        trust: whether to look only near the best point, in a box that grows with success (TuRBO); default where there
            are 30 coordinates or more.
        draws: >= 0, how many likely models to average over (Hamiltonian Monte Carlo); default 0, the likeliest one.
        limit: >= 10, the most answers that a model is made from; default 1000. Of more, the best and the latest.
        curious: whether models become less sure of themselves while there is no progress; default True.
        bend: whether numbers may be stretched at one end, or both, where losses are explained clearly better so (input
            warping); default True, as most losses stay straight. Not where there is a region of trust, nor for
            constraints. Choices, permutations, numbers of few values and conditional ones are never bent.

    Continuous, discrete, unordered and conditional coordinates, permutations, noise, failures, constraints, several
    objectives and several questions at once are welcome. An ask takes some 20 ms after 100 answers, and grows with the
    cube of their number.

    Raises:
        InvalidValue: a hyperparameter that cannot mean anything.

    >>> from descend.oracle import Function
    >>> from descend.space.domain import Domain
    >>> method, f = Bayes(), Function(lambda x: (x[0] - 3) ** 2 + 10 * (x[1] - x[0]) ** 2)
    >>> x = torch.tensor([0.0, 1.0], dtype=torch.float64)
    >>> state = method.init(x, Key(0), Domain.box(x - 5, x + 5))
    >>> for _ in range(16):
    ...     state = method.advance(f, state)
    >>> state.value < 0.5
    True
    """

    startup: int | None = None
    warp: bool = True
    trust: bool | None = None
    draws: int = 0
    limit: int = 1000
    curious: bool = True
    bend: bool = True

    def __post_init__(self) -> None:
        if self.startup is not None:
            whole(self, "startup", self.startup, 1, 10)
        whole(self, "draws", self.draws, 0, 4)
        whole(self, "limit", self.limit, 10, 1000)
        for name, value in (("warp", self.warp), ("curious", self.curious), ("bend", self.bend), ("trust", self.trust)):
            if not isinstance(value, bool) and not (name == "trust" and value is None):
                raise InvalidValue(f"Bayes needs True or False for {name}, got {value!r}; write Bayes({name}=True)")

    def propose(self, history: History, n: int, key: Key) -> Tensor:
        startup = min(10, 2 * history.dim + 2) if self.startup is None else self.startup
        here = self._region(history, startup)
        points = self._first(history, n, startup, here, key)
        if len(points) == n:
            return points
        search = _Search.of(self, history, here, key)
        noisy = here is None and search.noisy
        while len(points) < n:
            each = key.fold("point", len(points))
            new = search.under_noise(points, each) if noisy else search.next(points, each)
            points = torch.cat([points, new[None]])
        return points

    def _first(self, history: History, n: int, startup: int, here: Region | None, key: Key) -> Tensor:
        """As many of n points as belong to the design that a search, or a region, begins with."""
        points, cube = history.us[:0], history.cube
        asked = len(history.us) + len(history.waiting)
        if not asked:
            points = cube.centre(history.start[None])
        known = int(history.fine.sum()) >= 2
        wanted = max(0, startup - asked + (here.begin if here is not None else 0)) if known else n
        more = min(n, wanted) - len(points)
        if more <= 0:
            return points
        taken = torch.cat([history.us, history.waiting, points])
        new = fill(cube, taken, more, max(startup, len(taken) + 1), key.fold("fill"))
        return torch.cat([points, cube.centre(new)])

    def _region(self, history: History, startup: int) -> Region | None:
        trusts = history.dim >= _HIGH if self.trust is None else self.trust
        if not trusts or history.values.shape[1] != 1:
            return None
        merits = torch.where(history.feasible, history.values[:, 0], math.nan)
        return region(merits, startup, history.dim)


@dataclass(frozen=True, eq=False)
class _Search:
    """Where the next point is sought.

    Fields: history; losses, a belief for each objective; others, one for each constraint; good (n,) bool, which answers
    count; anchors (a, d), good points; lower, upper (d,), the box; key, of what is the same for all points of an ask.
    """

    history: History
    losses: tuple[Belief, ...]
    others: tuple[Belief, ...]
    good: Tensor
    anchors: Tensor
    lower: Tensor
    upper: Tensor
    key: Key

    @staticmethod
    def of(method: Bayes, history: History, here: Region | None, key: Key) -> "_Search":
        """The search after a history."""
        features, m = features_of(history.cube), history.values.shape[1]
        parts = PARTS if method.warp and m == 1 else PARTS[:1]
        draws, shorter = (method.draws, _shorter(history) if method.curious else 1.0) if m == 1 else (0, 1.0)
        bend = method.bend and here is None
        losses = tuple(
            believe(features, history, column, parts, draws, method.limit, shorter, bend) for column in history.values.T
        )
        sides = sides_of(history.violations)
        others = tuple(believe(features, history, column, PARTS[:1], 0, method.limit) for column in sides.T)
        good = history.fine & history.feasible
        means = torch.stack([belief.means[0] for belief in losses], 1)
        rank = means[:, 0] if m == 1 else ranks(means).to(means)
        broken = history.violations.clamp(min=0).sum(1).nan_to_num(nan=math.inf)
        rank = torch.where(good, rank, math.inf) if bool(good.any()) else broken
        anchors = history.us[rank.argsort(stable=True)[:_ANCHORS]]
        lower, upper = torch.zeros(history.dim, dtype=torch.float64), torch.ones(history.dim, dtype=torch.float64)
        if here is not None and here.best >= 0:
            lengths = features.lengths(losses[0].processes[0].inverse)
            lower, upper = here.box(history.us[here.best], lengths)
            lower, upper = torch.where(features.smooth, lower, 0.0), torch.where(features.smooth, upper, 1.0)
            anchors = anchors.clamp(lower, upper)
        return _Search(history, losses, others, good, anchors, lower, upper, key)

    def next(self, points: Tensor, key: Key) -> Tensor:
        """The next point (d,) beside points (k, d) that are asked for together with it."""
        cube, history = self.history.cube, self.history
        busy = cube.centre(torch.cat([history.waiting, points]))
        features = features_of(cube)
        phi = features.at(busy)
        parts: list[tuple[Promise, int]] = []
        processes: list[Process] = []
        if bool(self.good.any()):
            processes += [process for belief in self.losses for process in belief.processes]
            parts.append((self._gain(phi), len(processes)))
        if self.others:
            limits = torch.cat([belief.warp(torch.zeros(1, dtype=torch.float64)) for belief in self.others])
            processes += [belief.processes[0] for belief in self.others]
            parts.append((BelowLimits(limits), len(limits)))
        score = Score(features, tuple(process.imagine(phi) for process in processes), Several(tuple(parts)))
        seen = torch.cat([cube.centre(history.us), busy])
        return Seek(score, seen, self.anchors, self.lower, self.upper)(key)

    @property
    def noisy(self) -> bool:
        """Whether there is one objective without constraints, and its values look as if they had noise."""
        enough = int(self.history.fine.sum()) >= _ENOUGH and len(self.losses) == 1 and not self.others
        # most losses are without noise, which their own model knows already
        return enough and self.losses[0].processes[0].noise > FAINT**2 and looks_noisy(self._fine)

    @cached_property
    def _fine(self) -> History:
        return pieces(self.history, self.history.fine.nonzero()[:, 0])

    def under_noise(self, points: Tensor, key: Key) -> Tensor:
        """As `next`, where the same point may have another value each time."""
        cube, posterior = self.history.cube, plain_belief(self._fine)
        known, busy = cube.centre(self._fine.us), cube.centre(torch.cat([self.history.waiting, points]))
        process = posterior.belief.processes[0].imagine(posterior.features.at(busy))
        turn, seen = self.history.asked + len(points), torch.cat([known, busy])
        return Knowledge(posterior.features, process, known, seen, turn)(key)

    def _gain(self, phi: Tensor) -> Promise:
        """What is promised of the objectives, if at features (k, p) the means were seen."""
        m = len(self.losses)
        if m == 1:
            means = [torch.cat([row[self.good], p.means(phi)]) for p, row in self.losses[0].pairs]
            return Improvement(torch.stack([row.min() for row in means]))
        columns = [torch.cat([b.means[0, self.good], b.processes[0].means(phi)]) for b in self.losses]
        known = torch.stack(columns, 1)
        best = known[front(known)]
        low, high = best.min(0).values, best.max(0).values
        # what most points are better than counts, lest a short front be the whole world
        worst = torch.maximum(high + 0.1 * (high - low), known.quantile(0.75, dim=0))
        if m == 2:
            return FrontGain(best, worst)
        weights = -self.key.fold("weights").uniform(m, like=known).clamp(min=1e-6).log()
        weights = weights / weights.sum() / torch.where(worst > low, worst - low, 1.0)
        draws = self.key.fold("draws").normal(_DRAWS, m, like=known)
        return Compromise(weights, float((known * weights).amax(1).min()), draws)


def _shorter(history: History) -> float:
    """By what to divide length scales: 1 as long as there is progress, then 1, 2 and 4 in turn.

    A model that is too sure of itself, and so searches where nothing is to be found, becomes less so in this way
    (Berkenkamp, Schoellig and Krause 2019, "No-regret Bayesian optimization with unknown hyperparameters").
    """
    values = torch.where(history.feasible, history.values[:, 0], math.inf).nan_to_num(nan=math.inf)
    least = values.cummin(0).values
    best, middle = float(least[-1]), float(values.median())
    step = _PROGRESS * (middle - best) if math.isfinite(middle) else 0.0
    idle = len(values) - 1 - int((least <= best + step).nonzero()[0])
    return 1.0 if idle < _PATIENCE else (1.0, 2.0, 4.0)[history.asked % 3]
