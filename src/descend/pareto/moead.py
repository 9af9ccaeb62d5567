"""MOEA/D: one problem with m objectives as n problems with one, each a direction, which learn from their neighbours.

Zhang and Li 2007, "MOEA/D: a multiobjective evolutionary algorithm based on decomposition". Symbols: lambda_i, the
direction of the i-th problem; z*, the least of every objective; g, what a problem minimizes: Tchebycheff's function for
two objectives, equation (3), and the penalty of the distance to the ray (PBI) for more, equation (5), theta being the
penalty. Who is compared with whom follows Wang, Zhang, Zhou, Gong and Jiao 2016, "Adaptive replacement strategies for
MOEA/D": a child is offered to the problem that suits it best and to that one's neighbours.

All n problems make a child at once, and the children of a generation are judged together.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from descend.key import Key
from descend.pareto.base import Crowd, Many, Selection
from descend.pareto.directions import spread
from descend.population.base import positive, whole

__all__ = ["MOEAD"]


_ABROAD = 0.1
"""The share of children whose parents are not of their neighbourhood, as in Li and Zhang 2009 (1 - delta there)."""


@dataclass(frozen=True, kw_only=True)
class MOEAD(Many):
    """Decomposition into problems of one objective (Zhang and Li 2007).

    Args:
        popsize: about how many problems, and children in a generation; at least 4, default 100, see `spread`.
        mating: how parents make children, default simulated binary crossover (15, 0.9) and polynomial mutation (20).
        archive: how many points that nobody dominates are kept beside the population, default 0.
        neighbours: how many problems share parents and children, at least 2; default 20.
        theta: > 0, the penalty of the distance to the ray, from three objectives on; default 5.

    Raises:
        InvalidValue: a number outside its range.

    >>> method = MOEAD(popsize=20)
    >>> state = method.init(torch.zeros(3), Key(0))
    >>> for _ in range(5):
    ...     state, xs = method.ask(state)
    ...     state = method.tell(state, xs, torch.stack([xs.square().sum(1), (xs - 1).square().sum(1)], 1))
    >>> state.values.shape
    torch.Size([20, 2])
    """

    neighbours: int = 20
    theta: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, "neighbours", self.neighbours, 2, 20)
        positive(self, "theta", self.theta, 5.0)

    def children(self, state: Crowd, n: int, key: Key) -> Tensor:
        """A child for each problem, of two parents of its neighbourhood, and for the first ones again if n is more."""
        near = _near(state.values.shape[1], self.popsize, self.neighbours)
        problems = np.concatenate(
            [key.fold("turn", i).permutation(len(near)).numpy() for i in range(-(-n // len(near)))]
        )
        luck = key.fold("parents").uniform(n, near.shape[1] + 3, like=torch.zeros((), dtype=torch.float64)).numpy()
        pair = np.take_along_axis(near[problems[:n]], luck[:, 3:].argsort(1)[:, :2], 1)
        # one in ten times the parents may be any, so that neighbourhoods learn from each other
        pair = np.where(luck[:, :1] < _ABROAD, (luck[:, 1:3] * len(near)).astype(np.int64), pair)
        return self.mating.cross(state.xs, pair[:, 0], pair[:, 1], state.domain, key)[:n]

    def select(self, values: Tensor, violations: Tensor, old: int, state: Crowd) -> Selection:
        v, broken = values.numpy(), violations.numpy()
        directions = spread(v.shape[1], self.popsize).numpy()
        n = len(directions)
        fine = np.isfinite(v[:, 0])  # the rows of failures are infinite in every objective
        if not fine.any():  # nothing is known but violations
            order = np.argsort(broken, kind="stable")[np.arange(n) % len(v)]
            return Selection(torch.from_numpy(order), torch.zeros(n, dtype=torch.int64), state.memory)
        low = v[fine].min(0)
        if state.memory:
            low = np.minimum(low, state.memory[0].numpy())
        width = v[fine].max(0) - low
        if old == n and np.isfinite(v[:n]).all():  # the scale of the front, not that of what was just tried
            width = v[:n].max(0) - low
        u = np.where(fine[:, None], (v - low) / np.where(width > 1e-12, width, 1.0), np.inf)
        cost = self._costs(u, directions)  # (problems, points)
        cost[:, ~fine] = np.inf
        if old == n and state.asked > self.popsize:
            suited = cost[:, n:].argmin(0)
            offered = np.zeros((n, len(v)), bool)
            offered[np.arange(n), np.arange(n)] = True  # to each what it has
            children = np.arange(n, len(v))
            offered[_near(v.shape[1], self.popsize, self.neighbours)[suited], children[:, None]] = True
            # an infeasible one may go anywhere: its costs say nothing
            offered[:, n:] |= ~fine[None, n:] | (broken[None, :n] > 0).T
        else:
            offered = np.ones((n, len(v)), bool)
        # feasibility first: least violation, then least cost, and of equal ones what was there
        grade = np.where(fine | (broken > 0), broken, np.inf)
        best = np.where(offered, grade[None], np.inf).min(1, keepdims=True)
        allowed = offered & (grade[None] <= best)
        places = np.where(allowed, np.minimum(cost, 1e300), np.inf).argmin(1)
        return Selection(torch.from_numpy(places), torch.zeros(n, dtype=torch.int64), (torch.from_numpy(low),))

    def _costs(self, u: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """g (problems, points) of points u (n, m), z* being 0."""
        if u.shape[1] <= 2:
            return (np.maximum(directions, 1e-6)[:, None] * u[None]).max(2)
        unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        finite = np.where(np.isfinite(u), u, 0.0)
        along = unit @ finite.T  # d_1
        away = np.sqrt(np.maximum((finite * finite).sum(1)[None] - along * along, 0.0))  # d_2
        return along + self.theta * away


@lru_cache(maxsize=32)
def _near(m: int, popsize: int, neighbours: int) -> np.ndarray:
    """The places (n, t) of the nearest directions of each, itself the first."""
    directions = spread(m, popsize)
    apart = torch.cdist(directions, directions, compute_mode="donot_use_mm_for_euclid_dist")
    return apart.argsort(dim=1, stable=True)[:, : min(neighbours, len(directions))].numpy()
