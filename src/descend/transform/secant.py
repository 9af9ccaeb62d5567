"""Quasi-Newton directions: learn the inverse Hessian from how the gradient changed along the steps that were taken.

BFGS: Broyden, Fletcher, Goldfarb and Shanno (1970). L-BFGS: Nocedal (1980), "Updating quasi-Newton matrices with
limited storage". SR1: Davidon (1959). All in chapters 6 and 7 of Nocedal and Wright (2006), "Numerical Optimization".

Symbols: s = x - x_before, y = gradient - gradient_before, H the inverse Hessian approximation, H y = s, rho = 1 / s.y.
s and y are what happened, whatever the step rule did, so any step rule will do. One that stayed at x shows that the
last direction was of no use: what was learned is then forgotten, and the next direction is the gradient.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.transform.chain import At, Transform
from descend.transform.inner import cautious, dot, last_gain, norm, wide
from descend.tree import state

__all__ = ["BFGS", "LBFGS", "SR1", "BFGSState", "LimitedState", "SecantState", "bfgs_update", "sr1_update", "two_loop"]

_FLAT = 1e-8
"""The cosine between two vectors below which their inner product is taken for rounding."""


@state
class SecantState:
    """Where SR1 stands.

    Fields: x (d,) and gradient (d,), those of the last step; inverse (d, d), the inverse Hessian approximation;
    steps, how many gradients were seen; pairs, how many (s, y) the inverse has learned from.
    """

    x: Tensor
    gradient: Tensor
    inverse: Tensor
    steps: int
    pairs: int


def bfgs_update(inverse: Tensor, s: Tensor, y: Tensor) -> bool:
    """Eq. 6.17, in place: the symmetric matrix nearest to `inverse` (d, d) that takes y (d,) to s (d,).

    Returns:
        Whether it was made: without positive curvature, s.y > 0, it would not stay positive definite.
    """
    sy = dot(s, y)
    if not sy > _FLAT * norm(s) * norm(y):
        return False
    _turn(inverse, s, y, sy, 1.0)
    return True


def _turn(matrix: Tensor, s: Tensor, y: Tensor, sy: float, learned: float) -> None:
    """V' M V + learned * rho s s' with V = I - rho y s', in place; eq. 6.17 if `learned` is 1."""
    my = matrix @ y
    # (learned + rho y.My) rho s s' - rho (My s' + s My') = w s' + s w', exactly symmetric also after rounding
    w = (s * ((learned + dot(y, my) / sy) / 2) - my) / sy
    change = torch.outer(w, s)
    matrix.add_(change + change.T)


def sr1_update(inverse: Tensor, s: Tensor, y: Tensor) -> bool:
    """Eq. 6.25, in place: the one matrix of rank one that makes `inverse` (d, d) take y (d,) to s (d,).

    Returns:
        Whether it was made: it is skipped where its denominator vanishes (eq. 6.26).
    """
    error = s - inverse @ y
    denominator = dot(error, y)
    if not abs(denominator) > _FLAT * norm(error) * norm(y):
        return False
    inverse.add_(torch.outer(error, error / denominator))
    return True


def _forgotten(inverse: Tensor) -> None:
    inverse.zero_().diagonal().fill_(1.0)


def _descending(direction: Tensor, gradient: Tensor) -> Tensor:
    """The direction if it descends, else the gradient, at most 1 long."""
    descends = dot(gradient, direction) > _FLAT * norm(gradient) * norm(direction)
    return direction if descends else cautious(gradient)


@state
class BFGSState:
    """Where BFGS stands. Its inverse Hessian approximation is H = learned + scale * prior.

    Fields: x (d,) and gradient (d,), those of the last step; learned (d, d), what the pairs (s, y) say; prior (d, d),
    what they have left of the identity; scale, the size of the inverse where nothing was learned; steps, how many
    gradients were seen; pairs, how many (s, y) H has learned from.
    """

    x: Tensor
    gradient: Tensor
    learned: Tensor
    prior: Tensor
    scale: float
    steps: int
    pairs: int


@dataclass(frozen=True)
class BFGS(Transform[BFGSState]):
    """H g, with H the BFGS approximation of the inverse Hessian, always positive definite.

    Needs two (d, d) matrices of memory and as many operations per step; `LBFGS` is the one for many parameters. Pairs
    without positive curvature are skipped; a step rule that ensures it, `StrongWolfe`, makes every step count.

    H is what the pairs say plus what they have left of a multiple of the identity, and that multiple is made |s| / |y|
    anew at every step, as L-BFGS does with its own. Kept as it was at the first step it took up to seven times as many
    steps: at 1, where the curvature is far from 1; at the size along the first pair, where that is the largest one.
    The first direction is the gradient, at most 1 long. While H is still larger than the true inverse, H g is
    shortened until it promises no more than what the last step gained; so the unit step is the one to try at every
    step, and even a fixed one seldom overshoots.

    >>> from descend.descent import Descent
    >>> from descend.key import Key
    >>> from descend.oracle import Differentiable
    >>> from descend.step import StrongWolfe
    >>> bowl = Differentiable(lambda x: (x[0] - 1) ** 2 + 100 * (x[1] + 2) ** 2)
    >>> descent = Descent(BFGS(), StrongWolfe())
    >>> state = descent.init(torch.zeros(2), Key(0))
    >>> for _ in range(10):
    ...     state = descent.advance(bowl, state)
    >>> bool((state.x - torch.tensor([1.0, -2.0])).norm() < 1e-3)
    True
    """

    separable: ClassVar[bool] = False
    reads_point: ClassVar[bool] = True
    natural_length: ClassVar[bool] = True

    def init(self, x: Tensor) -> BFGSState:
        like = wide(x)
        prior = torch.eye(x.numel(), dtype=like.dtype, device=like.device)
        return BFGSState(like.clone(), torch.zeros_like(like), torch.zeros_like(prior), prior, 1.0, 0, 0)

    def __call__(self, gradient: Tensor, state: BFGSState, at: At) -> tuple[Tensor, BFGSState]:
        gradient, x, scale, pairs, gain = wide(gradient).clone(), wide(at.x).clone(), state.scale, state.pairs, 0.0
        if state.steps > 0:
            s, y = x - state.x, gradient - state.gradient
            if not s.any():
                state.learned.zero_()
                _forgotten(state.prior)
                pairs = 0
            else:
                if bfgs_update(state.learned, s, y):
                    _turn(state.prior, s, y, dot(s, y), 0.0)
                    scale, pairs = norm(s) / norm(y), pairs + 1
                gain = last_gain(s, gradient, state.gradient)
        after = BFGSState(x, gradient, state.learned, state.prior, scale, state.steps + 1, pairs)
        if pairs == 0:
            return cautious(gradient).to(at.x.dtype), after
        direction = torch.addmv(state.learned @ gradient, state.prior, gradient, alpha=scale)
        direction = _descending(direction, gradient)
        promise = dot(gradient, direction)
        if 0 < 1.01 * gain < promise:  # a little more than 1, so that the unit step wins in the end
            direction *= 1.01 * gain / promise
        return direction.to(at.x.dtype), after


@dataclass(frozen=True)
class SR1(Transform[SecantState]):
    """H g, with H the symmetric rank-one approximation of the inverse Hessian.

    H may be indefinite, as the Hessian may be: it follows the true curvature more closely than `BFGS` where that is
    not positive, and on a quadratic it is exact after d independent steps of any length. Where H g does not descend,
    the direction is the gradient, at most 1 long. The first H is s.s / s.y times the identity. Needs (d, d) numbers of
    memory.

    >>> from descend.descent import Descent
    >>> from descend.step import Backtracking
    >>> Descent(SR1(), Backtracking()).needs.words()
    'VALUE, GRADIENT'
    """

    separable: ClassVar[bool] = False
    reads_point: ClassVar[bool] = True
    natural_length: ClassVar[bool] = True

    def init(self, x: Tensor) -> SecantState:
        like = wide(x)
        identity = torch.eye(x.numel(), dtype=like.dtype, device=like.device)
        return SecantState(like.clone(), torch.zeros_like(like), identity, 0, 0)

    def __call__(self, gradient: Tensor, state: SecantState, at: At) -> tuple[Tensor, SecantState]:
        gradient, x, pairs = wide(gradient).clone(), wide(at.x).clone(), state.pairs
        if state.steps > 0:
            s, y = x - state.x, gradient - state.gradient
            if not s.any():
                _forgotten(state.inverse)
                pairs = 0
            else:
                if pairs == 0 and (sy := dot(s, y)) > _FLAT * norm(s) * norm(y):
                    state.inverse.mul_(dot(s, s) / sy)
                pairs += sr1_update(state.inverse, s, y)
        after = SecantState(x, gradient, state.inverse, state.steps + 1, pairs)
        direction = cautious(gradient) if pairs == 0 else _descending(state.inverse @ gradient, gradient)
        return direction.to(at.x.dtype), after


@state
class LimitedState:
    """Where L-BFGS stands.

    Fields: x (d,) and gradient (d,), those of the last step; s and y, (history, d) rings of which `pairs` rows, up to
    row `newest`, are in use; steps, how many gradients were seen.
    """

    x: Tensor
    gradient: Tensor
    s: Tensor
    y: Tensor
    newest: int
    pairs: int
    steps: int


def two_loop(gradient: Tensor, s: list[Tensor], y: list[Tensor]) -> Tensor:
    """H g for the BFGS matrix that the pairs define, beginning with s.y / y.y times the identity (algorithm 7.4).

    Args:
        gradient: (d,).
        s, y: at least one pair of (d,) vectors, the oldest first.
    """
    q = gradient.clone()
    curvatures = [torch.dot(a, b) for a, b in zip(s, y, strict=True)]  # 0-d tensors: the host need not wait for them
    alphas = []
    for a, b, sy in zip(reversed(s), reversed(y), reversed(curvatures), strict=True):
        alpha = torch.dot(a, q) / sy
        q -= alpha * b
        alphas.append(alpha)
    q *= curvatures[-1] / torch.dot(y[-1], y[-1])
    for a, b, sy, alpha in zip(s, y, curvatures, reversed(alphas), strict=True):
        q += (alpha - torch.dot(b, q) / sy) * a
    return q


@dataclass(frozen=True)
class LBFGS(Transform[LimitedState]):
    """H g, with H the BFGS approximation that the last few steps define; it is never formed.

    The first direction is the gradient, at most 1 long. Pairs without positive curvature are skipped.

    Args:
        history: how many pairs (s, y) are kept, at least 1; default 10. Memory is 2 * history + 2 vectors of length d,
            in float32 for 16-bit points.

    Raises:
        InvalidValue: a history of less than 1.

    >>> from descend.step import StrongWolfe
    >>> from descend.descent import Descent
    >>> Descent(LBFGS(history=5), StrongWolfe()).needs.words()
    'VALUE, GRADIENT'
    """

    history: int = 10

    separable: ClassVar[bool] = False
    reads_point: ClassVar[bool] = True
    natural_length: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.history < 1:
            raise InvalidValue(f"LBFGS keeps at least one pair, got history={self.history!r}; write history=10")

    def init(self, x: Tensor) -> LimitedState:
        like = wide(x)
        ring = torch.zeros(self.history, x.numel(), dtype=like.dtype, device=like.device)
        return LimitedState(like.clone(), torch.zeros_like(like), ring, ring.clone(), -1, 0, 0)

    def __call__(self, gradient: Tensor, state: LimitedState, at: At) -> tuple[Tensor, LimitedState]:
        gradient, x = wide(gradient).clone(), wide(at.x).clone()
        newest, pairs = state.newest, state.pairs
        if state.steps > 0:
            s, y = x - state.x, gradient - state.gradient
            if not s.any():
                newest, pairs = -1, 0
            elif dot(s, y) > _FLAT * norm(s) * norm(y):
                newest, pairs = (newest + 1) % self.history, min(pairs + 1, self.history)
                state.s[newest], state.y[newest] = s, y
        after = LimitedState(x, gradient, state.s, state.y, newest, pairs, state.steps + 1)
        return self._direction(gradient, after).to(at.x.dtype), after

    def _direction(self, gradient: Tensor, state: LimitedState) -> Tensor:
        if state.pairs == 0:
            return cautious(gradient)
        rows = [(state.newest - back) % self.history for back in range(state.pairs)][::-1]
        direction = two_loop(gradient, [state.s[i] for i in rows], [state.y[i] for i in rows])
        descends = dot(gradient, direction) > 0
        return direction if descends else cautious(gradient)
