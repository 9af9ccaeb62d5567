"""Some coordinates at a time: the gradient on a random or cyclic block of them, and zero elsewhere.

With a block B of b of the d coordinates, drawn without replacement,

    g_hat = (d / b) sum_{i in B} D_i f e_i                                                                     (1)

has the gradient for its mean and a second moment of (d / b) |g|^2; without the factor d / b it is a step of block
coordinate descent (Nesterov 2012, "Efficiency of coordinate descent methods on huge-scale optimization problems").
"""

import math
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from descend.direction import Combination, Coordinate
from descend.errors import InvalidValue
from descend.estimate.base import Estimator
from descend.estimate.finite_difference import check_radius, given_steps, quotients
from descend.estimate.radius import plain, typical
from descend.estimate.stencil import Stencil, stencil
from descend.key import Key
from descend.oracle import Oracle, Slope

__all__ = ["RandomCoordinates"]


@dataclass(frozen=True, eq=False)
class RandomCoordinates(Estimator):
    """The estimator (1): differences on a block of coordinates.

    Args:
        block: b, how many coordinates; one as large as the point is the whole gradient.
        formula: a row of `STENCILS` by name, default "central".
        cyclic: False (default) draws the block anew for every gradient; True goes through the coordinates in order,
            b more at every step.
        unbiased: True (default) multiplies by d / b, so that the mean is the gradient (of a cyclic one: over a
            cycle); False leaves the derivatives as they are, which suits coordinate descent.
        radius: as in `FiniteDifference`; None (default) follows the scale and the dtype of the point.
        step: where a cyclic one stands; a method's loop sets it through `at`.

    A gradient with m points in the formula takes m b evaluations, one-sided (m - 1) b + 1, and is lazy: nothing of size
    d is made.

    Raises:
        InvalidValue: an unknown formula, a block < 1, or a radius that is not positive.

    >>> from descend.oracle import Function
    >>> oracle = Function(lambda x: (x**2).sum()) | RandomCoordinates(2, cyclic=True, unbiased=False, radius=0.5)
    >>> oracle.at(1).gradient(torch.tensor([1.0, 2.0, 3.0]), Key(0)).gradient.dense(torch.zeros(()))
    tensor([2., 0., 6.])
    """

    block: int = 1
    formula: str | Stencil = "central"
    cyclic: bool = False
    unbiased: bool = True
    radius: float | Tensor | None = None
    step: int = 0
    row: Stencil = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", stencil(self.formula))
        check_radius(self.radius)
        if self.block < 1:
            raise InvalidValue(f"a block has at least one coordinate, got block={self.block!r}")

    def at(self, t: int) -> "RandomCoordinates":
        return replace(self, step=t) if self.cyclic else self

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        d = x.numel()
        indices = self.indices(d, key)
        if self.radius is None:
            steps = typical(x, indices) * plain(self.row, d, torch.finfo(x.dtype).eps)
        else:
            steps = given_steps(self.radius, x, indices)
        slopes, values = quotients(oracle, x, self.row, indices, steps[:, None], key)
        factor = d / len(indices) if self.unbiased else 1.0
        weights = (factor * slopes[:, 0]).tolist()
        value = float(values[0, 0, self.row.offsets.index(0.0)]) if self.row.one_sided else math.nan
        return Slope(Combination(((weights, Coordinate(indices, d)),), d), value, float(values.mean()))

    def indices(self, d: int, key: Key) -> Tensor:
        """The block's coordinates among d: (min(block, d),) int64."""
        b = min(self.block, d)
        if self.cyclic:
            return (self.step * b + torch.arange(b)) % d
        key = key.fold("block")
        if 8 * b >= d:
            return key.permutation(d)[:b]
        # drawn until b different ones are found, in the order of their first draw: nothing of size d is made
        drawn = dict.fromkeys(key.integers(0, d, 2 * b + 16).tolist())
        more = 1
        while len(drawn) < b:
            drawn |= dict.fromkeys(key.fold(more).integers(0, d, b).tolist())
            more += 1
        return torch.tensor(list(drawn)[:b])
