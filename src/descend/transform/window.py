"""Adam without memory: its averages are made again from the last steps, of which a key and a few numbers are kept.

With g_{t-j} the estimate of j steps ago and K steps in the window,

    m = sum_j beta1^j g_{t-j} / sum_j beta1^j,   v = sum_j beta2^j g_{t-j}^2 / sum_j beta2^j,   j = 0 .. K - 1    (1)

and the direction m / (sqrt(v) + eps): Adam itself (Kingma, Ba 2015) for the first K steps, and afterwards Adam that
forgets what is older. An estimate along seeded directions is its weights, so K steps are K numbers, whatever the size
of the model; each is drawn again, block by block, at every step. Along one sign direction g^2 is one number.

"AdaMeZO: Adam-style zeroth-order optimizer for LLM fine-tuning without maintaining the moments" (2026), arXiv
2605.00650, from its abstract.
"""

from dataclasses import dataclass

from torch import Tensor

from descend.direction import Combination, Directions, LowRank, Seeded
from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.noise import Law
from descend.transform.chain import At, Transform
from descend.transform.check import check_betas, check_positive
from descend.tree import state

__all__ = ["PastStep", "WindowAdam", "WindowAdamState"]


@state
class PastStep:
    """A step that can be made again: its key, its number and the weights of its directions."""

    key: Key
    t: int
    weights: tuple[float, ...]


@state
class WindowAdamState:
    """window: the last steps, the newest last."""

    window: tuple[PastStep, ...]


@dataclass(frozen=True)
class WindowAdam(Transform[WindowAdamState]):
    """The transform (1), for estimates along random directions in an `Optimizer`.

    Args:
        betas: of the averages of g and of g^2, in [0, 1); default (0.9, 0.99): a window sees no further than its
            length, and an average over 1000 steps is not among what it can see.
        eps: > 0, added to the root, in units of the gradient; default 1e-8.
        window: K >= 1; default 16, which leaves out a fifth of the weight that 0.9 has in all. A step draws the
            directions of K steps.

    Raises:
        InvalidValue: a number outside its range.
        CompositionError: where it is asked with a gradient that no key can make again.

    >>> import torch
    >>> from torch import nn
    >>> from descend.estimate import SPSA
    >>> from descend.torch_optim import Optimizer
    >>> model = nn.Linear(3, 1)
    >>> optimizer = Optimizer(model, SPSA(radius=1e-2), WindowAdam(), lr=0.03, key=0)
    >>> x, y = torch.eye(3), torch.ones(3, 1)
    >>> for _ in range(200):
    ...     loss = optimizer.step(lambda: (model(x) - y).square().mean())
    >>> bool(loss < 0.01)
    True
    """

    betas: tuple[float, float] = (0.9, 0.99)
    eps: float = 1e-8
    window: int = 16

    def __post_init__(self) -> None:
        check_betas(self.betas, (0.9, 0.99))
        check_positive("eps", self.eps, 1e-8)
        if type(self.window) is not int or self.window < 1:
            raise InvalidValue(f"window is a number of steps, at least 1, got window={self.window!r}; write window=16")

    def init(self, x: Tensor) -> WindowAdamState:
        return WindowAdamState(())

    def __call__(self, gradient: Tensor, state: WindowAdamState, at: At) -> tuple[Tensor, WindowAdamState]:
        if at.source is None or at.past is None or len(at.source.terms) != 1:
            raise CompositionError(
                f"{self!r} makes past estimates again from their keys, and this gradient has none; write "
                "Optimizer(model, SPSA(...), WindowAdam(), lr=...), or Adam(), which keeps its averages"
            )
        weights, directions = at.source.terms[0]
        window = (*state.window, PastStep(at.key, at.t, tuple(weights)))[-self.window :]
        steps = [(past, at.past(past.key, past.t, list(past.weights))) for past in reversed(window[:-1])]
        first, second = ([beta**j for j in range(len(window))] for beta in self.betas)
        mean = gradient.mul_(1 / sum(first))
        if _is_one_sign(directions):
            sizes = [w * w for w in (weights[0], *(past.weights[0] for past, _ in steps))]
            size = sum(b * s for b, s in zip(second, sizes, strict=True)) / sum(second)
            for b, (_, estimate) in zip(first[1:], steps, strict=True):
                estimate.add_to(mean, b / sum(first), at.start)
            return mean.div_(size**0.5 + self.eps), WindowAdamState(window)
        square = gradient.square().mul_(sum(first) ** 2 / sum(second))
        for b1, b2, (_, estimate) in zip(first[1:], second[1:], steps, strict=True):
            g = _block(estimate, at.start, mean)
            mean.add_(g, alpha=b1 / sum(first))
            square.addcmul_(g, g, value=b2 / sum(second))
        return mean.div_(square.sqrt_().add_(self.eps)), WindowAdamState(window)


def _block(estimate: Combination, start: int, like: Tensor) -> Tensor:
    return estimate.tile(start, start + like.numel(), like)


def _is_one_sign(directions: Directions) -> bool:
    """Whether every element of the only direction is a sign."""
    if isinstance(directions, LowRank):
        return directions.count == directions.rank == 1 and directions.law is Law.SIGN
    return isinstance(directions, Seeded) and directions.count == 1 and directions.law is Law.SIGN
