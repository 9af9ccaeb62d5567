"""Nelder-Mead: a simplex of d + 1 points that replaces its worst corner by one mirrored at the others' centre.

Nelder, Mead (1965), "A simplex method for function minimization", with coefficients for the dimension of Gao, Han
(2012), "Implementing the Nelder-Mead simplex algorithm with adaptive parameters", and the oriented restart of Kelley
(1999), "Detection and remediation of stagnation in the Nelder-Mead algorithm". reflect, expand, contract and shrink
are their alpha, beta, gamma and delta.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direct.questions import Questions, negligible
from descend.key import Key
from descend.population.base import positive
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["NelderMead"]

_FLAT = 1e7
"""The longest over the shortest axis of a simplex above which it is degenerate: it has lost a dimension. On a valley
whose curvatures differ by a factor c a healthy one has about sqrt(c)."""

Step = Generator[Tensor, Tensor, tuple[Tensor, list[float]]]


@dataclass(frozen=True)
class NelderMead(Conversation):
    """The simplex method of Nelder and Mead, for few dimensions and losses that are not too noisy. It compares only.

    Args:
        size: > 0, the edges of the first simplex, in typical lengths of each coordinate; default 0.1.
        adaptive: milder coefficients in more dimensions (Gao, Han 2012), default; else 1, 2, 1/2, 1/2 everywhere, which
            is the same thing in two.
        restarts: whether a simplex that has become flat is replaced by one whose edges are the axes, downhill
            (Kelley 1999); default True. Without, it may stop where f has a slope.
        accuracy: > 0, the size of a simplex that is done, in typical lengths; default 1e-10.

    The first d + 1 points and the d of a shrinking are asked as batches, all others one by one. Points outside of the
    domain are moved to its sides.

    Raises:
        InvalidValue: size or accuracy is not positive and finite.

    >>> from descend.oracle import Function
    >>> method, f = NelderMead(), Function(lambda x: (x[0] - 3) ** 2 + 10 * x[1] ** 2)
    >>> state = method.init(torch.tensor([0.0, 1.0], dtype=torch.float64), Key(0))
    >>> while not state.done:
    ...     state = method.advance(f, state)
    >>> [round(x, 6) for x in state.x.tolist()], state.done
    ([3.0, 0.0], 'the simplex is smaller than 1e-10 typical lengths')
    """

    size: float = 0.1
    adaptive: bool = True
    restarts: bool = True
    accuracy: float = 1e-10

    def __post_init__(self) -> None:
        positive(self, "size", self.size, 0.1)
        positive(self, "accuracy", self.accuracy, 1e-10)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        ask, d = Questions(domain), x.numel()
        simplex, losses = yield from _ranked(ask, self._first(x, domain))
        steps, restarted = 0, torch.full_like(x, math.inf)
        while True:
            simplex, losses = yield from self._step(ask, simplex, losses)
            steps += 1
            if steps % (d + 1):
                continue
            least = negligible(simplex[0], domain, self.accuracy)
            small = bool(((simplex[1:] - simplex[0]).abs() <= least).all())
            moved = bool(((simplex[0] - restarted).abs() > 100 * least).any())
            if self.restarts and moved and _is_flat(simplex, domain, faces=not small):
                restarted = simplex[0]
                edges = _oriented(simplex, losses, domain)
                corners, answers = yield from _ranked(ask, _corner(simplex[0], edges, domain)[1:])
                simplex, losses = _merged(simplex[:1], losses[:1], corners, answers)
            elif small:
                return f"the simplex is smaller than {self.accuracy:g} typical lengths"

    def _first(self, x: Tensor, domain: Domain) -> Tensor:
        """The simplex (d + 1, d) that it begins with."""
        return _corner(x, self.size * domain.scale, domain)

    def _step(self, ask: Questions, simplex: Tensor, losses: list[float]) -> Step:
        """One step of a simplex (d + 1, d), sorted by its losses."""
        clip, d = ask.domain.clip, simplex.shape[1]
        # Gao, Han (2012), eq. 4.1; below two dimensions they would shrink it to a point
        n = max(d, 2) if self.adaptive else 2
        reflect, expand, contract, shrink = 1.0, 1 + 2 / n, 0.75 - 1 / (2 * n), 1 - 1 / n
        centre, worst = simplex[:-1].sum(0) / d, simplex[-1]
        mirrored = clip((1 + reflect) * centre - reflect * worst)
        loss = yield from ask.one(mirrored)
        if loss < losses[0]:
            far = clip((1 + reflect * expand) * centre - reflect * expand * worst)
            farther = yield from ask.one(far)
            return _with(simplex, losses, *((far, farther) if farther < loss else (mirrored, loss)))
        if loss < losses[-2]:
            return _with(simplex, losses, mirrored, loss)
        if loss < losses[-1]:
            near = clip((1 + contract * reflect) * centre - contract * reflect * worst)
            nearer = yield from ask.one(near)
            if nearer <= loss:
                return _with(simplex, losses, near, nearer)
        else:
            near = clip((1 - contract) * centre + contract * worst)
            nearer = yield from ask.one(near)
            if nearer < losses[-1]:
                return _with(simplex, losses, near, nearer)
        corners, answers = yield from _ranked(ask, clip(simplex[0] + shrink * (simplex[1:] - simplex[0])))
        return _merged(simplex[:1], losses[:1], corners, answers)


def _ranked(ask: Questions, points: Tensor) -> Step:
    """Points (m, d) with their losses, from the best to the worst."""
    losses = yield from ask.many(points)
    order = sorted(range(len(losses)), key=losses.__getitem__)
    return points[order], [losses[i] for i in order]


def _with(simplex: Tensor, losses: list[float], x: Tensor, loss: float) -> tuple[Tensor, list[float]]:
    """The worst corner gives way to x (d,), which is sorted in."""
    place = bisect_right(losses, loss, 0, len(losses) - 1)
    return (
        torch.cat((simplex[:place], x[None], simplex[place:-1])),
        [*losses[:place], loss, *losses[place:-1]],
    )


def _merged(best: Tensor, least: list[float], corners: Tensor, losses: list[float]) -> tuple[Tensor, list[float]]:
    """The best corner (1, d) and others, which are sorted among themselves."""
    place = bisect_left(losses, least[0])
    return torch.cat((corners[:place], best, corners[place:])), [*losses[:place], *least, *losses[place:]]


def _corner(x: Tensor, edges: Tensor, domain: Domain) -> Tensor:
    """x (d,) and its neighbours along the axes, edges (d,) away, on the other side where there is no room."""
    there, back = domain.clip(x + edges), domain.clip(x - edges)
    # not simply the farther one: without sides that would be decided by rounding
    room = ((there - x).abs() > 0.5 * edges.abs()) | ((there - x).abs() >= (back - x).abs())
    ends = torch.where(room, there, back)
    return domain.clip(torch.cat((x[None], x + torch.diag(ends - x))))


def _is_flat(simplex: Tensor, domain: Domain, faces: bool) -> bool:
    """Whether a simplex (d + 1, d) has lost a dimension; with `faces`, one that lies in a side of the domain may."""
    edges = (simplex[1:] - simplex[0]) / domain.scale
    if faces:
        at_side = ((simplex == domain.lower) | (simplex == domain.upper)).all(0)
        edges = edges[:, ~at_side]
    if edges.numel() == 0:
        return False
    axes = torch.linalg.svdvals(edges)
    return not float(axes[-1]) * min(_FLAT, 0.1 / torch.finfo(edges.dtype).eps) > float(axes[0])


def _oriented(simplex: Tensor, losses: list[float], domain: Domain) -> Tensor:
    """Edges (d,) along the axes, half as long as the longest, down the slope of the plane through the corners."""
    edges = (simplex[1:] - simplex[0]) / domain.scale
    rises = torch.tensor(losses[1:], dtype=torch.float64).sub(losses[0]).nan_to_num(nan=0.0, posinf=0.0)
    slope = torch.linalg.pinv(edges) @ rises.to(edges)
    length = 0.5 * edges.norm(dim=1).max()
    return torch.where(slope > 0, -length, length) * domain.scale
