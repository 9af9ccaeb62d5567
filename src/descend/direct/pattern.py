"""Pattern search: poll around the best point in directions that span all of space; come nearer if none is better.

Audet, Dennis (2006), "Mesh adaptive direct search algorithms for constrained optimization", with the orthogonal
directions of Abramson, Audet, Dennis, Le Digabel (2009), "OrthoMADS": the columns of a random Householder matrix and
their negatives, so that in the long run every direction is polled. `poll` is their Delta^p, the distance of polled
points, and `mesh` their Delta^m, the width of the mesh on which they lie; it shrinks like the square of the other. The
way that was gone of late is polled too (Hooke, Jeeves 1961, "Direct search solution of numerical and statistical
problems"). Discrete coordinates have neighbours instead of directions (Audet, Dennis 2001, "Pattern search algorithms
for mixed variable programming").
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direct.questions import Questions, negligible
from descend.key import Key
from descend.population.base import positive, whole
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["PatternSearch"]

_FARTHEST = 1e6  # typical lengths; where nothing bounds the loss below, points stay finite

Poll = Generator[Tensor, Tensor, tuple[Tensor, float] | None]


@dataclass(frozen=True)
class PatternSearch(Conversation):
    """Mesh adaptive direct search: for losses with kinks, jumps, failures and integers. It compares only.

    Args:
        size: > 0, how far the first poll reaches, in typical lengths; default 0.1.
        at_once: how many points are asked as one batch before one that is better ends the poll; default 1, which saves
            evaluations; None asks a whole poll, 2 d points, and takes the best.
        turning: whether directions are turned at random from poll to poll, default; else they are the axes, which is
            compass search.
        accuracy: > 0, the reach of a poll that is done, in typical lengths; default 1e-10.

    A poll tries the neighbours of discrete coordinates too: of an ordered one the two that lie as far away as the poll
    reaches, of an unordered one all its values. Points outside of the domain are moved to its sides.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.oracle import Function
    >>> method, f = PatternSearch(), Function(lambda x: (x[0] - 3).abs() + (x[0] + x[1]).abs())
    >>> state = method.init(torch.tensor([0.0, 1.0], dtype=torch.float64), Key(0))
    >>> while not state.done:
    ...     state = method.advance(f, state)
    >>> [round(x, 4) for x in state.x.tolist()], state.done
    ([3.0, -3.0], 'no point within 1e-10 typical lengths is better')
    """

    size: float = 0.1
    at_once: int | None = 1
    turning: bool = True
    accuracy: float = 1e-10

    def __post_init__(self) -> None:
        positive(self, "size", self.size, 0.1)
        positive(self, "accuracy", self.accuracy, 1e-10)
        if self.at_once is not None:
            whole(self, "at_once", self.at_once, 1, 1)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        ask, t = Questions(domain), 0
        poll = torch.full_like(x, self.size)
        x = ask.place(x)
        loss = yield from ask.one(x)
        way = torch.zeros_like(x)  # the steps that were better, fading, in typical lengths
        begin = torch.full_like(x, math.inf)  # where the polls were last as long as at first
        while True:
            steps = self._steps(poll, way, x, domain, key.fold("poll", t))
            t += 1
            better = yield from self._poll(ask, x, loss, steps)
            if better is None:
                poll, least = poll / 2, negligible(x, domain, self.accuracy)
                if bool((2 * poll * domain.scale <= least).all()):
                    if not bool(((x - begin).abs() > 100 * least).any()):
                        return f"no point within {self.accuracy:g} typical lengths is better"
                    # at a kink few directions lead downhill: look for them once more
                    begin, poll = x, torch.full_like(x, self.size)
                continue
            step = better[0] - x
            x, loss = better
            way = 0.5 * way + step / domain.scale
            # Audet, Dennis (2006), section 2: what was good once is tried once more
            farther = yield from self._poll(ask, x, loss, step[None])
            if farther is not None:
                x, loss = farther
                # longer where the step was long: Audet, Le Digabel, Tribes (2016), section 3
                poll = torch.where(step.abs() > 0.1 * poll * domain.scale, 2 * poll, poll).clamp(max=_FARTHEST)

    def _poll(self, ask: Questions, x: Tensor, loss: float, steps: Tensor) -> Poll:
        """The first point x + step that is better, or the best of those asked together with it."""
        points = ask.place(x + steps)
        points = points[(points != x).any(1)]
        for some in points.split(self.at_once or max(1, len(points))):
            if not len(some):
                break
            losses = yield from ask.many(some)
            best = min(range(len(losses)), key=losses.__getitem__)
            if losses[best] < loss:
                return some[best], losses[best]
        return None

    def _steps(self, poll: Tensor, way: Tensor, x: Tensor, domain: Domain, key: Key) -> Tensor:
        """The steps (m, d) of a poll that reaches (d,) typical lengths, the most promising ones first."""
        smooth = (domain.cells == 0).nonzero()[:, 0]
        d, n = x.numel(), len(smooth)
        parts = [_neighbours(x, i, float(poll[i]), domain) for i in (domain.cells > 0).nonzero()[:, 0].tolist()]
        if n:
            axes = torch.eye(n, dtype=x.dtype, device=x.device)
            if self.turning:
                v = key.normal(n, like=x)
                axes = axes - 2 * torch.outer(v, v) / v.dot(v)
            reach = poll[smooth]
            mesh = torch.minimum(reach, reach.square() / self.size)
            steps = x.new_zeros(2 * n, d)
            axes = (axes * (reach / mesh)).round() * mesh
            steps[:, smooth] = torch.cat((axes, -axes)) * domain.scale[smooth]
            parts.append(steps)
            along = torch.where(domain.cells == 0, way, 0.0)
            if bool(along.any()):
                parts.append((along / along.norm() * reach.max() * domain.scale)[None])
        steps = torch.cat(parts)
        return steps[((steps / domain.scale) @ way).argsort(descending=True, stable=True)]


def _neighbours(x: Tensor, i: int, poll: float, domain: Domain) -> Tensor:
    """Steps (m, d) along a discrete coordinate."""
    k = int(domain.cells[i])
    width = (domain.upper[i] - domain.lower[i]) / k
    if bool(domain.unordered[i]):
        away = torch.arange(k, device=x.device) - domain.index(x)[i]
        away = away[away != 0]
    else:
        far = max(1, round(poll * float(domain.scale[i] / width)))
        away = torch.tensor([far, -far], device=x.device)
    steps = x.new_zeros(len(away), x.numel())
    steps[:, i] = away * width
    return steps
