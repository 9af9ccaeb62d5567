"""Only the sign of a gradient says which way; how far is said elsewhere, so its scale and its outliers do not matter.

Sign: Bernstein, Wang, Azizzadenesheli, Anandkumar (2018), arXiv:1802.04434. Lion: Chen et al. (2023),
arXiv:2302.06675. Rprop: Riedmiller, Braun (1993), the variant without backtracking of Igel, Hüsken (2000).
Symbols: g = `gradient`, m = `mean`, eta = `etas`, Delta = `size`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.transform.chain import At, Transform
from descend.transform.check import check_betas, check_positive
from descend.tree import state

__all__ = ["Lion", "LionState", "Rprop", "RpropState", "Sign"]


@dataclass(frozen=True)
class Sign(Transform[None]):
    """The sign of every coordinate: all move by lr, or not at all where the gradient is zero.

    After a momentum it is signSGD with momentum (Signum): ``Descent(LeakyAverage(0.9), Sign(), lr=...)``.

    >>> from descend.descent import Descent
    >>> Descent(Sign(), lr=1e-3)
    Descent(Sign(), Fixed(lr=0.001))
    """

    unit_steps = True

    def init(self, x: Tensor) -> None:
        return None

    def __call__(self, gradient: Tensor, state: None, at: At) -> tuple[Tensor, None]:
        return gradient.sign_(), None


@state
class LionState:
    """mean (d,): the average of gradients."""

    mean: Tensor


@dataclass(frozen=True)
class Lion(Transform[LionState]):
    """sign(beta1 m + (1 - beta1) g), then m <- beta2 m + (1 - beta2) g: half of Adam's memory.

    Use a third to a tenth of Adam's lr. The paper's decoupled weight decay is a composition, with three to ten times
    AdamW's factor: ``Descent(Lion(), WeightDecay(0.1), lr=1e-4)``.

    Args:
        betas: two numbers in [0, 1), how much of m goes into the direction, and how much is kept; default (0.9, 0.99).

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.descent import Descent
    >>> Descent(Lion(), lr=1e-4)
    Descent(Lion(betas=(0.9, 0.99)), Fixed(lr=0.0001))
    """

    unit_steps = True

    betas: tuple[float, float] = (0.9, 0.99)

    def __post_init__(self) -> None:
        check_betas(self.betas, (0.9, 0.99))

    def init(self, x: Tensor) -> LionState:
        return LionState(x.new_zeros(x.shape))

    def __call__(self, gradient: Tensor, state: LionState, at: At) -> tuple[Tensor, LionState]:
        beta1, beta2 = self.betas
        direction = gradient.lerp(state.mean, beta1).sign_()
        state.mean.lerp_(gradient, 1 - beta2)
        return direction, state


@state
class RpropState:
    """sign (d,): of the last gradient, 0 after a change of sign; size (d,): of the next step, per coordinate."""

    sign: Tensor
    size: Tensor


@dataclass(frozen=True)
class Rprop(Transform[RpropState]):
    """Every coordinate has a step size of its own, which grows while its gradient keeps its sign and shrinks else.

    The direction is a whole step, so use it with ``lr=1``, which makes it torch.optim.Rprop. It is for exact gradients:
    noise that flips signs shrinks every step.

    Args:
        initial: > 0, the first step of every coordinate, in units of the point; default 1e-2 (torch calls it lr).
        etas: (shrink, grow) with 0 < shrink < 1 < grow; default (0.5, 1.2).
        step_sizes: (smallest, largest) step, in units of the point; default (1e-6, 50).

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.descent import Descent
    >>> Descent(Rprop(initial=0.1), lr=1.0).chain[0].initial
    0.1
    """

    initial: float = 1e-2
    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)
    natural_length = True

    def __post_init__(self) -> None:
        check_positive("initial", self.initial, 1e-2)
        if len(self.etas) != 2 or not 0 < self.etas[0] < 1 < self.etas[1]:
            raise InvalidValue(
                f"etas are a factor in (0, 1) and one above 1, got etas={self.etas!r}; write etas=(0.5, 1.2)"
            )
        if len(self.step_sizes) != 2 or not 0 < self.step_sizes[0] <= self.step_sizes[1]:
            raise InvalidValue(
                "step_sizes are the smallest and the largest step, both > 0, "
                f"got step_sizes={self.step_sizes!r}; write step_sizes=(1e-6, 50)"
            )

    def init(self, x: Tensor) -> RpropState:
        return RpropState(x.new_zeros(x.shape), torch.full_like(x, self.initial))

    def __call__(self, gradient: Tensor, state: RpropState, at: At) -> tuple[Tensor, RpropState]:
        sign, size = state.sign, state.size
        gradient.sign_()
        sign.mul_(gradient)  # of signs, because the product of two small gradients can vanish
        kept, turned = sign > 0, sign < 0
        sign.fill_(1.0).masked_fill_(kept, self.etas[1]).masked_fill_(turned, self.etas[0])
        size.mul_(sign).clamp_(*self.step_sizes)
        gradient.masked_fill_(turned, 0.0)
        sign.copy_(gradient)
        return gradient.mul_(size), state
