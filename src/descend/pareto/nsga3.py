"""NSGA-III: every direction of a fan keeps the point nearest to it, so that a front of many objectives stays covered.

Deb and Jain 2014, "An evolutionary many-objective optimization algorithm using reference-point-based nondominated
sorting approach", part I; constraints as in part II (Jain and Deb 2014). Symbols: z, the least of every objective; e_j,
the extreme point of the j-th axis; a, the intercepts; w, directions; rho_w, how many have joined a direction.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from descend.key import Key
from descend.pareto.base import Crowd, Many, Selection
from descend.pareto.directions import spread
from descend.pareto.mating import Mating
from descend.pareto.nsga2 import fitting

__all__ = ["NSGA3"]


@dataclass(frozen=True, kw_only=True)
class NSGA3(Many):
    """Non-dominated sorting and niches around directions (Deb and Jain 2014).

    Args:
        popsize: points in the population and in a generation, at least 4; default 100. There are about as many
            directions, see `spread`.
        mating: how parents make children; default crossover of all pairs with index 30, as in the paper, since parents
            in different niches are far from each other.
        archive: how many points that nobody dominates are kept beside the population, default 0.

    For three and more objectives, and wherever the front should be covered evenly in all directions.

    Raises:
        InvalidValue: a number outside its range.

    >>> method = NSGA3(popsize=20)
    >>> state = method.init(torch.zeros(3), Key(0))
    >>> for _ in range(5):
    ...     state, xs = method.ask(state)
    ...     state = method.tell(state, xs, (xs[:, None] - torch.eye(3)).square().sum(2))
    >>> state.values.shape
    torch.Size([20, 3])
    """

    mating: Mating = Mating(crossover=30.0, chance=1.0)

    def select(self, values: Tensor, violations: Tensor, old: int, state: Crowd) -> Selection:
        inside, edge, rank = fitting(values, violations, self.popsize)
        v, room = values.numpy(), self.popsize - len(inside)
        memory = state.memory
        joint = np.concatenate([inside, edge])
        if np.isfinite(v[joint]).all():
            low, extremes = _corners(v[joint], rank[joint], memory)
            memory = (torch.from_numpy(low), torch.from_numpy(extremes))
            if 0 < room < len(edge):
                scaled = (v[joint] - low) / _widths(v[joint], rank[joint], low, extremes)
                niche, far = _nearest(scaled, spread(v.shape[1], self.popsize).numpy())
                key = state.key.fold("niches", state.t)
                edge = edge[_niching(niche, far, len(inside), room, key)]
        keep = np.concatenate([inside, edge[:room]])
        broken = violations.numpy()[keep]
        merit = np.zeros(len(keep), np.int64)  # of two feasible parents either, else the one that violates less
        worse = broken > 0
        merit[worse] = 1 + np.unique(broken[worse], return_inverse=True)[1]
        return Selection(torch.from_numpy(keep), torch.from_numpy(merit), memory)


def _corners(v: np.ndarray, rank: np.ndarray, memory: tuple[Tensor, ...]) -> tuple[np.ndarray, np.ndarray]:
    """z (m,), and the extreme points (m, m), those of earlier generations among the candidates."""
    first, m = v[rank == 0], v.shape[1]
    low, candidates = first.min(0), first
    if memory:
        low, candidates = np.minimum(low, memory[0].numpy()), np.concatenate([memory[1].numpy(), first])
    axes = np.where(np.eye(m) > 0, 1.0, 1e6)
    # the achievement scalarizing function ASF, equation (4), of every candidate for every axis
    reach = ((candidates - low)[None] * axes[:, None]).max(2)
    return low, candidates[reach.argmin(1)]


def _widths(v: np.ndarray, rank: np.ndarray, low: np.ndarray, extremes: np.ndarray) -> np.ndarray:
    """a (m,): where the plane through the extreme points meets the axes; or the sides of the front, if it does not."""
    sides = v[rank == 0].max(0) - low
    everything = v.max(0) - low
    width = np.where(sides > 1e-12, sides, np.where(everything > 1e-12, everything, 1.0))
    try:
        plane = np.linalg.solve(extremes - low, np.ones(v.shape[1]))
    except np.linalg.LinAlgError:
        return width
    with np.errstate(divide="ignore"):
        intercepts = 1 / plane
    sound = np.isfinite(intercepts).all() and (intercepts > 1e-6).all() and (intercepts <= everything + 1e-12).all()
    return intercepts if sound else width


def _nearest(scaled: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The direction (n,) that each point stands nearest to, and how far from its ray."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    along = scaled @ unit.T
    away = (scaled * scaled).sum(1)[:, None] - along * along
    niche = away.argmin(1)
    return niche, away[np.arange(len(niche)), niche]


def _niching(niche: np.ndarray, far: np.ndarray, inside: int, room: int, key: Key) -> np.ndarray:
    """The places (room,) in the last front of those who join, algorithm 4.

    Args:
        niche, far: (n,) of those who are in already, the first ones, and of the last front after them.
    """
    joined = np.bincount(niche[:inside], minlength=int(niche.max()) + 1).tolist()  # rho
    luck = key.uniform(len(niche), like=torch.zeros((), dtype=torch.float64)).numpy()
    waiting: dict[int, list[int]] = {}
    # in every niche the last to be taken first: the nearest at the end of the list
    for i in np.lexsort((luck[inside:], -far[inside:])).tolist():
        waiting.setdefault(int(niche[inside + i]), []).append(i)
    chance = luck[: len(waiting)].tolist()
    draw = dict(zip(sorted(waiting), chance, strict=True))
    chosen: list[int] = []
    while len(chosen) < room:
        least = min(joined[w] for w in waiting)
        for w in sorted((w for w in waiting if joined[w] == least), key=draw.__getitem__)[: room - len(chosen)]:
            chosen.append(waiting[w].pop())
            joined[w] += 1
            if not waiting[w]:
                del waiting[w]
    return np.sort(np.array(chosen, dtype=np.int64))
