"""Curvature from differences: Hessian-vector products of gradients, Jacobians of residuals, Hutchinson's diagonal.

    H v ~ sum_k w_k grad f(x + o_k t v) / t                                                                    (1)

with one key for all the gradients, so that a minibatch, a dropout mask or an estimator's random directions are common
to them and cancel; the gradient may itself be estimated. Pearlmutter (1994), "Fast exact multiplication by the
Hessian", compares (1) with the exact product.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from descend.direction import as_dense
from descend.errors import InvalidValue
from descend.estimate.base import Estimator
from descend.estimate.draw import Coupling, RandomLaw, draw
from descend.estimate.finite_difference import check_radius, given_steps
from descend.estimate.radius import plain, typical
from descend.estimate.stencil import Stencil, stencil
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope, check_answers

__all__ = ["DifferencedHvp", "DifferencedJacobian", "hutchinson_diagonal"]


@dataclass(frozen=True)
class DifferencedHvp(Estimator):
    """Hessian-vector products (1) for an oracle that answers gradients, exact or estimated ones.

    Args:
        formula: a row of `STENCILS` by name; "central" (default) and "forward" both take two gradients.
        radius: the Euclidean length |t v| of the move, > 0. None (default) moves the largest coordinate of v by
            eps^(1/(p + 2)) rms(x) for a formula of order p: longer than would suit exact gradients, because
            estimated ones carry more noise.

    Everything that the oracle below answers is kept, except its own Hessian-vector products.

    Raises:
        InvalidValue: an unknown formula, or a radius that is not positive.

    >>> from descend.estimate import FiniteDifference
    >>> from descend.oracle import Function
    >>> f = Function(lambda x: x[0] ** 2 + 5 * x[0] * x[1], batched=False)
    >>> oracle = f | FiniteDifference() | DifferencedHvp()
    >>> oracle.hvp(torch.ones(2, dtype=torch.float64), torch.tensor([1.0, 0.0]).double(), Key(0)).round(decimals=4)
    tensor([2., 5.], dtype=torch.float64)
    """

    formula: str | Stencil = "central"
    radius: float | None = None
    row: Stencil = field(init=False, repr=False, compare=False)

    needs = Asks.GRADIENT
    gives = Asks.HVP
    random = False
    keeps = Asks.VALUE | Asks.VALUES | Asks.GRADIENT | Asks.JVP | Asks.RESIDUALS | Asks.JACOBIAN

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", stencil(self.formula))
        check_radius(self.radius)

    def hvp(self, oracle: Oracle, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        largest = float(direction.abs().max())
        if largest == 0.0:
            return torch.zeros_like(x)
        if self.radius is None:
            size = float(x.to(torch.promote_types(x.dtype, torch.float32)).square().mean().sqrt()) or 1.0
            t = torch.finfo(x.dtype).eps ** (1 / (self.row.order + 2)) * size / largest
        else:
            t = self.radius / float(direction.to(torch.promote_types(x.dtype, torch.float32)).norm())
        product = torch.zeros_like(x)
        for offset, weight in zip(self.row.offsets, self.row.weights, strict=True):
            slope = oracle.gradient(torch.add(x, direction, alpha=offset * t), key)
            product.add_(as_dense(slope.gradient, x), alpha=weight / t)
        return product


@dataclass(frozen=True, eq=False)
class DifferencedJacobian(Estimator):
    """The Jacobian of residuals that are a black box, column by column, and the gradient J^T r that comes with it.

    Args:
        formula: a row of `STENCILS` by name; "forward" (default) asks for d + 1 residual vectors, "central" for 2 d
            (2 d + 1 for the gradient).
        radius: as in `FiniteDifference`; None (default) follows the scale and the dtype of the point.

    Raises:
        InvalidValue: an unknown formula, or a radius that is not positive.

    >>> from descend.oracle import Residuals
    >>> oracle = Residuals(lambda x: torch.stack([x[0] * x[1], x[1]])) | DifferencedJacobian("central", radius=0.5)
    >>> oracle.jacobian(torch.tensor([1.0, 2.0]), Key(0))
    tensor([[2., 1.],
            [0., 1.]])
    """

    formula: str | Stencil = "forward"
    radius: float | Tensor | None = None
    row: Stencil = field(init=False, repr=False)

    needs = Asks.RESIDUALS
    gives = Asks.JACOBIAN | Asks.GRADIENT
    random = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", stencil(self.formula))
        check_radius(self.radius)

    def jacobian(self, oracle: Oracle, x: Tensor, key: Key) -> Tensor:
        centre = oracle.residuals(x, key) if self.row.one_sided else None
        return self._columns(oracle, x, centre, key)

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        centre = oracle.residuals(x, key)
        jacobian = self._columns(oracle, x, centre, key)
        return Slope((jacobian.T @ centre).to(x), float(centre.double().square().sum()) / 2)

    def _columns(self, oracle: Oracle, x: Tensor, centre: Tensor | None, key: Key) -> Tensor:
        indices = torch.arange(x.numel())
        if self.radius is None:
            # every residual is rounded alone, so no share of a sum over the coordinates comes in: d = 1
            steps = typical(x, indices) * plain(self.row, 1, torch.finfo(x.dtype).eps)
        else:
            steps = given_steps(self.radius, x, indices)
        columns = []
        for i, step in enumerate(steps.tolist()):
            total, span = torch.zeros(()), 0.0
            for offset, weight in zip(self.row.offsets, self.row.weights, strict=True):
                point = x.clone()
                point[i] += offset * max(step, torch.finfo(x.dtype).eps * abs(float(x[i])))
                span += weight * (float(point[i]) - float(x[i]))  # as far as x_i really moves
                there = centre if offset == 0.0 and centre is not None else oracle.residuals(point, key)
                total = total + weight * there
            columns.append(total / span)
        return torch.stack(columns, 1)


def hutchinson_diagonal(
    oracle: Oracle, x: Tensor, key: Key, samples: int = 1, law: RandomLaw | str = RandomLaw.SIGN
) -> Tensor:
    """The diagonal of the Hessian at x (d,), estimated as the mean of z * H z over random directions: (d,).

    Unbiased for every law; with the default signs element i has the variance sum_{j != i} H_ij^2 / samples, so a
    diagonal Hessian is found exactly by one. Bekas, Kokiopoulou and Saad (2007), "An estimator for the diagonal of a
    matrix".

    Args:
        oracle: answers Hessian-vector products, exact ones or those of `DifferencedHvp`.
        x: (d,).
        key: decides the directions; all products are asked with it.
        samples: how many products, at least 1.
        law: of the directions, a `RandomLaw` or its name.

    Raises:
        MissingAnswer: the oracle answers no Hessian-vector products.
        InvalidValue: samples < 1, or an unknown law.

    >>> from descend.oracle import Differentiable
    >>> hutchinson_diagonal(Differentiable(lambda x: (x**3).sum()), torch.tensor([1.0, 2.0]), Key(0))
    tensor([ 6., 12.])
    """
    check_answers("hutchinson_diagonal", Asks.HVP, oracle)
    if samples < 1:
        raise InvalidValue(f"samples must be at least 1, got {samples!r}")
    names = [member.value for member in RandomLaw]
    if not isinstance(law, RandomLaw) and law not in names:
        raise InvalidValue(f"unknown law {law!r}; write one of {', '.join(map(repr, names))}")
    z = draw(RandomLaw(law), Coupling.INDEPENDENT, samples, x, key)
    total = torch.zeros_like(x)
    for i in range(samples):
        direction = z.tile(i, i + 1, 0, x.numel(), x)[0]
        total += direction * oracle.hvp(x, direction, key)
    return total / samples
