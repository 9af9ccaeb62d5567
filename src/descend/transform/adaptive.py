"""Adaptive scaling: every coordinate is divided by a running size of its own gradients.

AdaGrad: Duchi, Hazan, Singer (2011). RMSProp: Tieleman, Hinton (2012), centered: Graves (2013), arXiv:1308.0850. Adam:
Kingma, Ba (2015), arXiv:1412.6980. AdamW: Loshchilov, Hutter (2019), arXiv:1711.05101. NAdam: Dozat (2016). AMSGrad:
Reddi, Kale, Kumar (2018), arXiv:1904.09237. Symbols: g = `gradient`, m = `mean`, v = `square`, t = `t`.

Averages are kept debiased (`debiased_weight`), which is what torch.optim computes with two passes less. The memory
has the dtype of the point, except that it is float32 for float16, in which squares of gradients vanish.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from descend.transform.chain import At, Transform
from descend.transform.check import check_betas, check_fraction, check_not_negative, check_positive
from descend.transform.momentum import debiased_weight
from descend.tree import state

__all__ = ["AdaGrad", "AdaGradState", "Adam", "AdamState", "AdamW", "NAdam", "NAdamState", "RMSProp", "RMSPropState"]


def _memory(x: Tensor, fill: float = 0.0) -> Tensor:
    return torch.full_like(x, fill, dtype=torch.float32 if x.dtype == torch.float16 else x.dtype)


@state
class AdaGradState:
    """total (d,): the sum of squared gradients."""

    total: Tensor


@dataclass(frozen=True)
class AdaGrad(Transform[AdaGradState]):
    """g / (sqrt(sum of g^2) + eps): steps shrink by themselves, fastest where gradients are large.

    torch's lr_decay is a schedule here: ``lr=Power(a, alpha=1.0, stability=...)``.

    Args:
        initial_accumulator_value: >= 0, where the sum begins; default 0, so the first step has length lr everywhere.
        eps: > 0, added to the root, in units of the gradient; default 1e-10.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.descent import Descent
    >>> Descent(AdaGrad(), lr=0.1)
    Descent(AdaGrad(initial_accumulator_value=0.0, eps=1e-10), Fixed(lr=0.1))
    """

    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    def __post_init__(self) -> None:
        check_not_negative("initial_accumulator_value", self.initial_accumulator_value, 0.0)
        check_positive("eps", self.eps, 1e-10)

    def init(self, x: Tensor) -> AdaGradState:
        return AdaGradState(_memory(x, self.initial_accumulator_value))

    def __call__(self, gradient: Tensor, state: AdaGradState, at: At) -> tuple[Tensor, AdaGradState]:
        g = gradient.to(state.total.dtype)
        state.total.addcmul_(g, g)
        g.div_(state.total.sqrt().add_(self.eps))
        return g.to(gradient.dtype), state


@state
class RMSPropState:
    """square (d,): the average of squared gradients; mean (d,): that of gradients, or None if not centered."""

    square: Tensor
    mean: Tensor | None


@dataclass(frozen=True)
class RMSProp(Transform[RMSPropState]):
    """g / (sqrt(average of g^2) + eps), or divided by the standard deviation if centered; as torch.optim.RMSprop.

    torch's momentum is a composition here: ``Descent(RMSProp(), HeavyBall(0.9), lr=...)``.

    Args:
        alpha: in [0, 1), how much of the averages is kept; default 0.99. They begin at zero, so early steps are long.
        eps: > 0, added to the root, in units of the gradient; default 1e-8.
        centered: subtract the squared mean gradient under the root; costs a second vector of memory. Default False.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.descent import Descent
    >>> Descent(RMSProp(), lr=0.01)
    Descent(RMSProp(alpha=0.99, eps=1e-08, centered=False), Fixed(lr=0.01))
    """

    unit_steps = True

    alpha: float = 0.99
    eps: float = 1e-8
    centered: bool = False

    def __post_init__(self) -> None:
        check_fraction("alpha", self.alpha, 0.99)
        check_positive("eps", self.eps, 1e-8)

    def init(self, x: Tensor) -> RMSPropState:
        return RMSPropState(_memory(x), _memory(x) if self.centered else None)

    def __call__(self, gradient: Tensor, state: RMSPropState, at: At) -> tuple[Tensor, RMSPropState]:
        g = gradient.to(state.square.dtype)
        state.square.mul_(self.alpha).addcmul_(g, g, value=1 - self.alpha)
        if state.mean is None:
            size = state.square.sqrt()
        else:
            state.mean.lerp_(g, 1 - self.alpha)
            # rounding can make the variance of a constant gradient negative, and its root NaN
            size = state.square.addcmul(state.mean, state.mean, value=-1).clamp_(min=0).sqrt_()
        g.div_(size.add_(self.eps))
        return g.to(gradient.dtype), state


@state
class AdamState:
    """mean (d,), square (d,): debiased averages of g and g^2; largest (d,): AMSGrad's maximum, or None; t: steps."""

    mean: Tensor
    square: Tensor
    largest: Tensor | None
    t: int


def _adam_memory(x: Tensor, amsgrad: bool) -> AdamState:
    return AdamState(_memory(x), _memory(x), _memory(x) if amsgrad else None, 0)


def _adam(gradient: Tensor, state: AdamState, betas: tuple[float, float], eps: float) -> tuple[Tensor, AdamState]:
    """Adam's direction (Algorithm 1 of the paper); it is written over the gradient."""
    beta1, beta2 = betas
    t = state.t + 1
    g = gradient.to(state.mean.dtype)
    state.mean.lerp_(g, debiased_weight(beta1, t))
    weight = debiased_weight(beta2, t)
    state.square.mul_(1 - weight).addcmul_(g, g, value=weight)
    size = state.square
    if state.largest is not None:
        # the maximum is one of averages before their debiasing, so it takes over this step's instead of the last's
        state.largest.mul_((1 - beta2**state.t) / (1 - beta2**t))
        size = torch.maximum(state.largest, state.square, out=state.largest)
    torch.sqrt(size, out=g).add_(eps)
    torch.div(state.mean, g, out=g)
    return g.to(gradient.dtype), AdamState(state.mean, state.square, state.largest, t)


@dataclass(frozen=True)
class Adam(Transform[AdamState]):
    """m / (sqrt(v) + eps), with m and v debiased averages of the gradient and of its square; as torch.optim.Adam.

    Every coordinate moves by about lr per step whatever the scale of the objective. torch's weight_decay for Adam is
    ``WeightDecay`` before it in the chain; after it, it is `AdamW`'s.

    Args:
        betas: two numbers in [0, 1), how much of m and of v is kept; default (0.9, 0.999).
        eps: > 0, added to the root, in units of the gradient; default 1e-8.
        amsgrad: divide by the largest v so far, which repairs a proof of convergence; costs a third vector of memory.
            Default False.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.descent import Descent
    >>> Descent(Adam(), lr=1e-3)
    Descent(Adam(betas=(0.9, 0.999), eps=1e-08, amsgrad=False), Fixed(lr=0.001))
    """

    unit_steps = True

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    amsgrad: bool = False

    def __post_init__(self) -> None:
        check_betas(self.betas, (0.9, 0.999))
        check_positive("eps", self.eps, 1e-8)

    def init(self, x: Tensor) -> AdamState:
        return _adam_memory(x, self.amsgrad)

    def __call__(self, gradient: Tensor, state: AdamState, at: At) -> tuple[Tensor, AdamState]:
        return _adam(gradient, state, self.betas, self.eps)


@dataclass(frozen=True)
class AdamW(Transform[AdamState]):
    """Adam with decoupled weight decay, as torch.optim.AdamW: the chain Adam, WeightDecay as one part.

    Args:
        betas, eps, amsgrad: as in `Adam`.
        weight_decay: >= 0, the decay per step is lr * weight_decay; default 1e-2.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.descent import Descent
    >>> Descent(AdamW(weight_decay=0.1), lr=1e-3).chain[0].weight_decay
    0.1
    """

    unit_steps = True

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False
    reads_point = True

    def __post_init__(self) -> None:
        check_betas(self.betas, (0.9, 0.999))
        check_positive("eps", self.eps, 1e-8)
        check_not_negative("weight_decay", self.weight_decay, 1e-2)

    def init(self, x: Tensor) -> AdamState:
        return _adam_memory(x, self.amsgrad)

    def __call__(self, gradient: Tensor, state: AdamState, at: At) -> tuple[Tensor, AdamState]:
        direction, after = _adam(gradient, state, self.betas, self.eps)
        return direction.add_(at.x, alpha=self.weight_decay), after


@state
class NAdamState:
    """mean (d,): the average of g; square (d,): the debiased one of g^2; product: of all mu so far; t: steps taken."""

    mean: Tensor
    square: Tensor
    product: float
    t: int


@dataclass(frozen=True)
class NAdam(Transform[NAdamState]):
    """Adam with Nesterov's momentum, whose factor mu grows from beta1 / 2 to beta1; as torch.optim.NAdam.

    Args:
        betas: two numbers in [0, 1), how much of m and of v is kept; default (0.9, 0.999).
        eps: > 0, added to the root, in units of the gradient; default 1e-8.
        momentum_decay: >= 0, how fast mu approaches beta1; default 4e-3, half of the way in some 4,000 steps.

    Raises:
        InvalidValue: a number outside its range.

    >>> from descend.descent import Descent
    >>> Descent(NAdam(), lr=2e-3)
    Descent(NAdam(betas=(0.9, 0.999), eps=1e-08, momentum_decay=0.004), Fixed(lr=0.002))
    """

    unit_steps = True

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum_decay: float = 4e-3

    def __post_init__(self) -> None:
        check_betas(self.betas, (0.9, 0.999))
        check_positive("eps", self.eps, 1e-8)
        check_not_negative("momentum_decay", self.momentum_decay, 4e-3)

    def init(self, x: Tensor) -> NAdamState:
        return NAdamState(_memory(x), _memory(x), 1.0, 0)

    def __call__(self, gradient: Tensor, state: NAdamState, at: At) -> tuple[Tensor, NAdamState]:
        t = state.t + 1
        mu, mu_next = self._mu(t), self._mu(t + 1)
        product = state.product * mu
        g = gradient.to(state.mean.dtype)
        state.mean.lerp_(g, 1 - self.betas[0])
        weight = debiased_weight(self.betas[1], t)
        state.square.mul_(1 - weight).addcmul_(g, g, value=weight)
        # the mean as it will be when the next gradient is as this one
        g.mul_((1 - mu) / (1 - product)).add_(state.mean, alpha=mu_next / (1 - product * mu_next))
        g.div_(state.square.sqrt().add_(self.eps))
        return g.to(gradient.dtype), NAdamState(state.mean, state.square, product, t)

    def _mu(self, t: int) -> float:
        return self.betas[0] * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
