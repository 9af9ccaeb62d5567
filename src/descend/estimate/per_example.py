"""Every example of the batch moves along a direction of its own, and all of them run as one forward.

With the loss f_b of example b, B of them, and directions z_b,

    g_hat = (1/B) sum_b (f_b(x + h z_b) - f_b(x - h z_b)) / (2h) z_b        (1)

A direction that all examples share averages their losses before it is weighed; here every example is weighed by itself,
so one pass learns B slopes. The mean is the gradient either way, and the second moment (d - 1)/B * mean_b |g_b|^2 +
|g|^2 instead of d |g|^2: the better, the more the examples' gradients g_b agree.

Wen et al. (2018), "Flipout"; "Group-relative zeroth-order optimization" (GRZO, arXiv 2606.02857), from its
description: flipout signs for fine-tuning by forward passes, and slopes in units of their spread over the batch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.direction import Combination, Directions, LowRank
from descend.direction.flipout import Flipout
from descend.errors import InvalidValue, MissingAnswer
from descend.estimate.base import Estimator
from descend.estimate.draw import Coupling, RandomLaw, check_rank, layout_of
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Asks, Oracle, Slope
from descend.oracle.examples import Examples

__all__ = ["PerExample"]


@dataclass(frozen=True)
class PerExample(Estimator):
    """The estimator (1), for a loss of a model over a batch.

    Args:
        radius: h > 0 in the units of x, or a schedule of it; default 1e-3, as in MeZO.
        samples: how many directions every example gets, one after the other; default 1.
        rank: None (default) for flipout signs, see `Flipout`, which cost one more product of the size of the layer's
            own; r >= 1 for signs that are low-rank on every matrix, see `LowRank`, which cost next to nothing.
        relative: divide the slopes by their root mean square over the batch, so that lr has the unit of x whatever the
            loss is measured in; default False.

    A gradient takes 2 samples evaluations of the batch. An example whose loss is not finite is left out. The loss sees
    batches of one example, so what it returns for them is that example's loss; a model with batch norms has to be in
    evaluation mode.

    Raises:
        InvalidValue: a number out of range.
        MissingAnswer: the oracle knows no batch.

    >>> from torch import nn
    >>> from descend.torch_optim import Optimizer
    >>> model, batch = nn.Linear(2, 1, bias=False), (torch.eye(2), torch.ones(2, 1))
    >>> optimizer = Optimizer(model, PerExample(radius=0.1), lr=0.5, key=0)
    >>> for _ in range(20):
    ...     loss = optimizer.step(lambda m, b: (m(b[0]) - b[1]).square().mean(), batch)
    >>> bool(loss < 0.2)
    True
    """

    radius: float | Callable[[int], float] = 1e-3
    samples: int = 1
    rank: int | None = None
    relative: bool = False

    needs = Asks.EXAMPLES

    def __post_init__(self) -> None:
        if type(self.samples) is not int or self.samples < 1:
            raise InvalidValue(f"samples must be an integer of at least 1, got {self.samples!r}; write samples=1")
        check_rank(self.rank, 1, RandomLaw.SIGN, Coupling.INDEPENDENT)
        if not callable(self.radius) and not (math.isfinite(self.radius) and self.radius > 0):
            raise InvalidValue(f"radius must be a finite number > 0, got {self.radius!r}; write radius=1e-3")

    def at(self, t: int) -> "PerExample":
        return replace(self, radius=self.radius(t)) if callable(self.radius) else self

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        if oracle.batch is None:
            raise MissingAnswer(
                f"{self!r} moves every example by itself, and {oracle!r} knows no batch; write "
                "Optimizer(model, ...).step(loss, batch) with loss(model, batch)"
            )
        h = self.radius
        assert not callable(h), "a schedule is put by at(t) before anything is asked"
        z = self.directions(self.samples * Examples(oracle.batch).count, x, key, oracle.layout)
        scales = torch.tensor([[-h, h]], dtype=torch.float64).expand(z.count, 2)
        weights, nearby = self._weigh(oracle.apart(x, z, scales, key), h)
        return Slope(Combination(((weights, z),), z.size), math.nan, nearby)

    def _weigh(self, values: Tensor, h: float) -> tuple[list[float], float]:
        """The weights of (1) for losses (n, 2), and the mean of the losses."""
        good = torch.isfinite(values).all(1)
        count = int(good.sum())
        if count == 0:
            return [math.nan] * len(values), math.nan
        slopes = torch.zeros(len(values), dtype=torch.float64)
        slopes[good] = (values[good, 1] - values[good, 0]) / (2 * h)
        if self.relative:
            size = float(slopes[good].square().mean().sqrt())
            slopes = slopes / size if size > 0 else slopes
        return (slopes / count).tolist(), float(values[good].mean())

    def combination(self, weights: list[float], x: Tensor, key: Key, layout: Layout | None = None) -> Combination:
        """The estimate that these weights made at x under a key: all that is random is remade, nothing is asked."""
        z = self.directions(len(weights), x, key, layout)
        return Combination(((weights, z),), z.size)

    def directions(self, count: int, x: Tensor, key: Key, layout: Layout | None = None) -> Directions:
        """`count` directions at x under a key."""
        whole = layout_of(x, layout)
        if self.rank is None:
            return Flipout(key, count, whole)
        return LowRank(key, RandomLaw.SIGN.element, count, self.rank, whole)
