"""Quasi-Newton search with values only: differences make a gradient, and steps make a curvature.

BFGS (Nocedal and Wright 2006, "Numerical Optimization", eq. 6.17) on forward differences, which become central where
forward ones are no longer exact. Symbols: H = `inverse`, s = a step, y = the change of the gradient over it, p = -H g.

What differs from the textbook, measured on instances 1 and 2 of BBOB at d = 10 and 20:
- The first H is 10 times the largest |s|^2 / s.y so far, and the first 2 d steps are learned anew on each such H. A
  direction that nobody has seen yet is softer than the ones seen, which were the steepest; a step that is too long
  costs one evaluation, and one that is too short costs a gradient, which is d. With |s|^2 / s.y alone or s.y / |y|^2,
  rotated ellipsoids with a condition of 1e6 take twice as long; with 1e4 times as much, rounder functions take a
  third longer. In many dimensions the first d steps are all that one waits for, and there |s| / |y|, which lies
  between the soft directions and the steep ones, is better on six functions of seven at d = 80 and d = 160 (bent cigar,
  discus, step ellipsoid, Rosenbrock ... after 100 d evaluations), and on three of seven at d = 40.
- A difference steps so far along a coordinate that the loss changes by the root of its rounding, as H knows.
- Where a straight line fits three values, the minimum is where it leaves the box.
- What a step gains is compared with what the model has promised, |g.p| / 2. On most smooth functions the mean
  of late stays above 0.15; where it falls below a tenth, this is not the method.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.key import Key
from descend.model.archive import Archive, Phase
from descend.population.base import positive
from descend.population.conversation import Conversation, Turns
from descend.space.domain import Domain

__all__ = ["QuasiNewton", "Secant", "bfgs"]

_GROWTH = 4.0
"""How many times as long as the last step the next one may be."""
_SURPLUS = 10.0
"""By how much the first H is taken to be larger than what was seen."""
_MANY = 60
"""The dimension from which on the first H is |s| / |y|."""
_FORGETFUL = 2
"""The first so many steps per dimension are learned anew whenever the first H changes; at most 100."""
_SUFFICIENT = 1e-4
"""The decrease that a step must have, in terms of its length and the slope (Armijo)."""
_STRAIGHT = 1e-5
"""Curvature along a line, relative to its slope, that differences cannot tell from none."""


class Secant:
    """One quasi-Newton descent, as a phase of a search.

    Args:
        archive: that of the search.
        u: (d,), where it begins, in the archive's coordinates.
        loss: f(u).
        inverse: (d, d), an estimate of the inverse Hessian; default none.
        patience: in [0, 1), the part of its promises that the model must keep; 0 waits for ever.
        radius: > 0, the first step.

    Fields: u (d,), loss, gradient (d,) and inverse (d, d), as far as they are known; steps, how many it has made; kept,
    the part of its promises that the model has kept of late.
    """

    def __init__(
        self,
        archive: Archive,
        u: Tensor,
        loss: float,
        inverse: Tensor | None = None,
        patience: float = 0.1,
        radius: float = 0.1,
    ) -> None:
        self.archive, self.u, self.loss, self.inverse = archive, u, loss, inverse
        self.gradient: Tensor | None = None
        self.steps, self.kept = 0, 1.0
        self._patience, self._radius, self._informed = patience, radius, inverse is not None
        self._pairs: list[tuple[Tensor, Tensor]] = []
        self._central = self._begun_again = False

    def turns(self, evaluations: float = math.inf) -> Phase:
        """Go on, for so many evaluations at most."""
        archive = self.archive
        stop = archive.n + evaluations
        if self.gradient is None:
            self.gradient = yield from self._differences()
        while archive.n < stop:
            g = self.gradient
            if not bool(g.isfinite().all()):
                return "failed: an evaluation beside the point has failed"
            p, slope = self._direction(g)
            if slope == 0:
                return "flat: the loss does not change beside the point"
            u, loss = yield from self._line(p, slope)
            self.steps += 1
            gain = self.loss - loss
            promise = -slope / 2
            self.kept += (min(gain / promise, 1.0) - self.kept) / (4 + archive.dim / 3)
            if gain <= 0:
                if not self._sharpen():
                    return "converged: no step makes the loss fall any more"
                if self._central and self.inverse is not None:
                    self.gradient = yield from self._differences()
                continue
            s = u - self.u
            self._radius = _GROWTH * float(s.norm())
            self.u, before, self.loss = u, self.loss, loss
            self.gradient = yield from self._differences()
            self._learn(s, self.gradient - g)
            if gain > 1e-9 * abs(before):
                self._begun_again = False
            if not self._central and gain < 1e-13 * abs(before):
                self._central = True
                self.gradient = yield from self._differences()
            if self.kept < self._patience:
                return "unpaid: steps gain less than a tenth of what a smooth function would give"
        return "limit: the evaluations of this phase are spent"

    def _sharpen(self) -> bool:
        """After a step that gained nothing: central differences, then a new beginning; whether either is left."""
        if not self._central:
            self._central = True
            return True
        if self._begun_again or self.inverse is None:
            return False
        self._begun_again, self._radius = True, max(1e-3 * self._radius, 1e-11)
        self._forget()
        return True

    def _forget(self) -> None:
        self.inverse, self._informed, self._pairs = None, False, []

    def _direction(self, g: Tensor) -> tuple[Tensor, float]:
        """p = -H g within the sides (d,), and the slope g.p < 0; or a slope of 0."""
        archive = self.archive
        held = ((self.u <= archive.lower) & (g > 0)) | ((self.u >= archive.upper) & (g < 0))
        free = torch.where(held, 0.0, g)
        if self.inverse is not None:
            p = torch.where(held, 0.0, -(self.inverse @ free))
            slope = float(p @ g)
            if slope < 0:
                return p, slope
            self._forget()
        return -free, -float(free @ free)

    def _difference_steps(self) -> Tensor:
        """How far (d,) to step along each coordinate for a difference."""
        archive = self.archive
        usual = math.sqrt(archive.eps) * self.archive.offset.clamp_min(0.1)
        if self.inverse is None:
            return usual
        bend = torch.linalg.inv(self.inverse).diagonal().abs().clamp_min(1e-300)
        visible = (4 * archive.eps * max(abs(self.loss), 1e-300) / bend).sqrt()
        return (visible * (50 if self._central else 2)).clamp_max(1e-3).maximum(usual / 15)

    def _differences(self) -> Generator[Tensor, Tensor, Tensor]:
        """The gradient (d,) at the point, one batch."""
        archive, u, d = self.archive, self.u, self.archive.dim
        t = self._difference_steps()
        t = torch.where(u + t > archive.upper, -t, t)
        probes = u + torch.diag(t)
        if self._central:
            probes = torch.cat((probes, u - torch.diag(t)))
        probes, losses = yield from archive.ask(probes)
        along = probes[:d].diagonal()
        if not self._central:
            return (losses - self.loss) / (along - u)
        return (losses[:d] - losses[d:]) / (along - probes[d:].diagonal())

    def _line(self, p: Tensor, slope: float) -> Generator[Tensor, Tensor, tuple[Tensor, float]]:
        """The best point (d,) found along p (d,), projected into the box, and its loss."""
        length = float(p.norm())
        fresh = self.inverse is None
        t = self._radius / length if fresh else min(1.0, self._radius / length)
        near, far = (0.999, 1.001) if fresh else (0.7, 1.4)
        best, least = self.u, self.loss
        for trial in range(12):
            asked, losses = yield from self.archive.ask((self.u + t * p)[None])
            u, loss = asked[0], float(losses[0])
            if loss < least:
                best, least = u, loss
            aim = _parabola(self.loss, slope, t, loss)
            if loss <= self.loss + _SUFFICIENT * slope * t:
                longer = loss == least and aim > far * t and trial < 4
                if longer and (trial < 2 or aim > 3 * t) and self._can_go_on(p, t, u):
                    t = self._all_the_way(p, t) if aim == math.inf else min(aim, 5 * t)
                elif trial < 2 and aim < near * t:
                    t = aim
                else:
                    break
            elif least < self.loss or t * length < 1e-16 * max(1.0, float(self.u.norm())):
                break
            else:
                t = min(max(aim, 0.05 * t), 0.5 * t)
        return best, least

    def _can_go_on(self, p: Tensor, t: float, u: Tensor) -> bool:
        """Whether a step of 2 t leads elsewhere than u (d,), that is: not all of it is held by the sides."""
        return not bool(torch.isclose(self.archive.clip(self.u + 2 * t * p), u, rtol=0, atol=1e-15).all())

    def _all_the_way(self, p: Tensor, t: float) -> float:
        """How far a straight line goes down: to where every coordinate has met its side."""
        side = torch.where(p > 0, self.archive.upper, self.archive.lower)
        meets = torch.where(p == 0, 0.0, (side - self.u) / p)
        return max(10 * t, float(meets.max()) * (1 + 1e-9)) if bool(meets.isfinite().all()) else 10 * t

    def _learn(self, s: Tensor, y: Tensor) -> None:
        """BFGS with a step and the change of the gradient; nothing where the loss is not convex along the step."""
        bend = float(s @ y)
        if not bend > 1e-10 * float(s.norm()) * float(y.norm()):
            return
        self._pairs.append((s, y))
        inverse, pairs = self.inverse, self._pairs[-1:]
        if inverse is None or (not self._informed and len(self._pairs) <= min(100, _FORGETFUL * self.archive.dim)):
            pairs = self._pairs
            if len(s) < _MANY:
                softness = _SURPLUS * max(float(a @ a) / float(a @ b) for a, b in pairs)
            else:
                softness = float(s.norm()) / float(y.norm())
            inverse = torch.eye(len(s), dtype=s.dtype) * softness
        for a, b in pairs:
            inverse = bfgs(inverse, a, b)
        self.inverse = inverse


def bfgs(inverse: Tensor, s: Tensor, y: Tensor) -> Tensor:
    """The inverse Hessian (d, d) after a step s (d,) over which the gradient changed by y (d,), s.y > 0; eq. 6.17."""
    bend, hy = s @ y, inverse @ y
    cross = torch.outer(hy / bend, s)
    return inverse + torch.outer(s, s) * ((1 + (y @ hy) / bend) / bend) - cross - cross.T


def _parabola(at_0: float, slope: float, t: float, at_t: float) -> float:
    """Where the parabola with this slope at 0 and these values at 0 and t is least; inf where it has no minimum."""
    if not math.isfinite(at_t):
        return 0.1 * t
    bend = at_t - at_0 - slope * t
    return math.inf if bend <= _STRAIGHT * abs(slope * t) else -slope * t * t / (2 * bend)


@dataclass(frozen=True)
class QuasiNewton(Conversation):
    """BFGS for black boxes: the quickest way down a smooth function without noise.

    Args:
        size: > 0, the first step, in typical lengths of the domain; default 0.1.

    A gradient is one batch of d differences (2 d near the end), which can be evaluated in parallel. It ends in the next
    local minimum; inside a box it follows the sides. What is rugged, noisy or discrete wants another method.

    Raises:
        InvalidValue: size is not positive and finite.

    >>> from descend.oracle import Function
    >>> method, f = QuasiNewton(), Function(lambda x: (x[0] + x[1] - 3) ** 2 + 10 * (x[0] - x[1]) ** 2)
    >>> state = method.init(torch.tensor([0.0, 1.0], dtype=torch.float64), Key(0))
    >>> for _ in range(20):
    ...     state = method.advance(f, state)
    >>> [round(x, 4) for x in state.x.tolist()]
    [1.5, 1.5]
    """

    size: float = 0.1

    def __post_init__(self) -> None:
        positive(self, "size", self.size, 0.1)

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        archive = Archive(x, domain)
        u, losses = yield from archive.ask(archive.at_best[None])
        if losses[0] == math.inf:
            return "failed: the evaluation of the first point has failed"
        descent = Secant(archive, u[0], float(losses[0]), patience=0.0, radius=self.size)
        return (yield from descent.turns())
