"""Newton directions: solve the quadratic model, exactly, by truncated conjugate gradients, or by least squares.

Newton with modified eigenvalues: section 3.4 of Nocedal and Wright (2006), "Numerical Optimization", and Dauphin et
al. (2014), "Identifying and attacking the saddle point problem in high-dimensional non-convex optimization".
Newton-CG: Dembo and Steihaug (1983), "Truncated-Newton algorithms for large-scale unconstrained optimization".
Gauss-Newton: section 10.3 of Nocedal and Wright.

Symbols: g the gradient, H the Hessian, r the residuals, J their Jacobian.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Asks, Oracle
from descend.transform.chain import At, Transform
from descend.transform.inner import norm, wide
from descend.transform.krylov import forcing, held, truncated_cg
from descend.tree import state

__all__ = ["DampedLeastSquares", "GaussNewton", "Newton", "NewtonCG", "NewtonState", "hessian", "saddle_free"]


@state
class NewtonState:
    """Newton methods remember nothing."""


def hessian(oracle: Oracle, x: Tensor, key: Key) -> Tensor:
    """The Hessian at x (d,) from d Hessian-vector products, symmetrized: (d, d)."""
    like = wide(x)
    rows = torch.empty(x.numel(), x.numel(), dtype=like.dtype, device=like.device)
    unit = torch.zeros_like(x)
    for i in range(x.numel()):
        unit[i] = 1
        rows[i] = oracle.hvp(x, unit, key)
        unit[i] = 0
    return (rows + rows.T) / 2


def saddle_free(matrix: Tensor, gradient: Tensor, floor: float) -> Tensor:
    """The solution p of |matrix| p = gradient, with eigenvalues replaced by their size, at least floor * the largest.

    The floor is never below the rounding of the eigenvalues, d times that of the dtype.

    >>> saddle_free(torch.diag(torch.tensor([2.0, -4.0])), torch.tensor([2.0, 4.0]), 1e-6)
    tensor([1., 1.])
    """
    values, vectors = torch.linalg.eigh(matrix)
    size = values.abs()
    floor = max(floor, size.numel() * torch.finfo(size.dtype).eps)
    return vectors @ ((vectors.T @ gradient) / size.clamp(min=floor * float(size.max())))


@dataclass(frozen=True)
class Newton(Transform[NewtonState]):
    """|H|^-1 g: the Newton direction, away from saddle points and maxima where curvature is negative.

    Asks for d Hessian-vector products per step and solves an eigenvalue problem of size d, so it suits up to about a
    thousand parameters; `NewtonCG` is the one for more. Where H has a number that is not finite or is zero, the
    direction is the gradient.

    Args:
        floor: the least size of an eigenvalue, as a fraction of the largest, in (0, 1); default 1e-12. It bounds how
            far a step goes along directions that are nearly flat.

    Raises:
        InvalidValue: a floor outside (0, 1).

    >>> from descend.descent import Descent
    >>> from descend.oracle import Differentiable
    >>> bowl = Differentiable(lambda x: (x[0] - 1) ** 2 + 100 * (x[1] + 2) ** 2)
    >>> descent = Descent(Newton())
    >>> descent.advance(bowl, descent.init(torch.zeros(2), Key(0))).x
    tensor([ 1., -2.])
    """

    floor: float = 1e-12

    needs: ClassVar[Asks] = Asks.HVP
    separable: ClassVar[bool] = False
    reads_point: ClassVar[bool] = True
    natural_length: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.floor < 1:
            raise InvalidValue(f"Newton needs 0 < floor < 1, a fraction, got floor={self.floor!r}; write floor=1e-12")

    def init(self, x: Tensor) -> NewtonState:
        return NewtonState()

    def __call__(self, gradient: Tensor, state: NewtonState, at: At) -> tuple[Tensor, NewtonState]:
        matrix = hessian(at.oracle, at.x, at.key)
        mask = held(at.oracle, at.x, gradient)
        if mask is not None:
            matrix = matrix * mask * mask[:, None]
        if not torch.isfinite(matrix).all() or not matrix.any():
            return gradient, state
        return saddle_free(matrix, wide(gradient), self.floor).to(at.x.dtype), state


@dataclass(frozen=True)
class NewtonCG(Transform[NewtonState]):
    """The Newton direction by conjugate gradients, stopped once the model is solved as well as it deserves.

    Asks for Hessian-vector products only and keeps a handful of vectors. The residual must fall to
    min(0.1, sqrt|g|) |g|, which makes the convergence of Newton's method superlinear. A direction of negative
    curvature ends it with what was found so far, the gradient if nothing was.

    Args:
        max_products: Hessian-vector products per step, at least 1; default None, twice the number of parameters.

    Raises:
        InvalidValue: max_products less than 1.

    >>> from descend.descent import Descent
    >>> from descend.step import Backtracking
    >>> Descent(NewtonCG(), Backtracking()).needs.words()
    'VALUE, GRADIENT, HVP'
    """

    max_products: int | None = None

    needs: ClassVar[Asks] = Asks.HVP
    separable: ClassVar[bool] = False
    reads_point: ClassVar[bool] = True
    natural_length: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.max_products is not None and self.max_products < 1:
            raise InvalidValue(
                f"NewtonCG needs at least one product per step, got max_products={self.max_products!r}; "
                "write max_products=None for twice the number of parameters"
            )

    def init(self, x: Tensor) -> NewtonState:
        return NewtonState()

    def __call__(self, gradient: Tensor, state: NewtonState, at: At) -> tuple[Tensor, NewtonState]:
        g = wide(gradient)
        mask = held(at.oracle, at.x, gradient)

        def product(v: Tensor) -> Tensor:
            hv = wide(at.oracle.hvp(at.x, v.to(at.x.dtype), at.key))
            return hv if mask is None else hv * mask

        limit = 2 * g.numel() if self.max_products is None else self.max_products
        inside = truncated_cg(product, g, radius=math.inf, tolerance=forcing(norm(g)), limit=limit)
        if not inside.decrease > 0:
            return gradient, state
        return -inside.step.to(at.x.dtype), state


class DampedLeastSquares:
    """The minimizer of |J p - r|^2 + damping |D p|^2 for any damping, from one factorization.

    Args:
        jacobian: J (m, d).
        residuals: r (m,).
        scale: the diagonal of D, (d,), all > 0; default ones.

    >>> squares = DampedLeastSquares(torch.eye(2), torch.tensor([2.0, 4.0]))
    >>> squares.solve(0.0), squares.solve(1.0)
    (tensor([2., 4.]), tensor([1., 2.]))
    """

    def __init__(self, jacobian: Tensor, residuals: Tensor, scale: Tensor | None = None) -> None:
        self.scale = scale
        # with q = D p the damping is that of the identity; singular values do not square the condition of J
        scaled = jacobian if scale is None else jacobian / scale
        u, self.sizes, self.right = torch.linalg.svd(scaled, full_matrices=False)
        self.coefficients = u.T @ residuals

    def solve(self, damping: float) -> Tensor:
        """p (d,); with damping 0 the shortest one, in which singular values at the level of rounding count as 0."""
        s = self.sizes
        kept = s > torch.finfo(s.dtype).eps * max(self.right.shape) * s.max()
        filters = torch.where(kept, 1 / s, 0.0) if damping == 0 else s / (s * s + damping)
        q = self.right.T @ (filters * self.coefficients)
        return q if self.scale is None else q / self.scale


@dataclass(frozen=True)
class GaussNewton(Transform[NewtonState]):
    """The solution p of J'J p = J'r: the Newton direction of f = |r|^2 / 2 without the curvature of r itself.

    Asks for the residuals and their Jacobian; of the gradient it is given it uses only which coordinates a bound
    holds. Solved by singular values, so a rank-deficient J gives the shortest solution. Where a number is not
    finite, the direction is the gradient.

    Args:
        damping: lambda >= 0 in (J'J + lambda) p = J'r; default 0. `LevenbergMarquardt` adapts it.

    Raises:
        InvalidValue: a negative or non-finite damping.

    >>> from descend.descent import Descent
    >>> from descend.oracle import Residuals
    >>> fit = Residuals(lambda x: torch.stack([x[0] - 1, 10 * (x[1] + 2)]))
    >>> descent = Descent(GaussNewton())
    >>> descent.advance(fit, descent.init(torch.zeros(2), Key(0))).x
    tensor([ 1., -2.])
    """

    damping: float = 0.0

    needs: ClassVar[Asks] = Asks.RESIDUALS | Asks.JACOBIAN
    separable: ClassVar[bool] = False
    reads_point: ClassVar[bool] = True
    natural_length: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.damping) and self.damping >= 0):
            raise InvalidValue(f"damping must be a finite number >= 0, got damping={self.damping!r}; write damping=0.0")

    def init(self, x: Tensor) -> NewtonState:
        return NewtonState()

    def __call__(self, gradient: Tensor, state: NewtonState, at: At) -> tuple[Tensor, NewtonState]:
        residuals = wide(at.oracle.residuals(at.x, at.key))
        jacobian = wide(at.oracle.jacobian(at.x, at.key))
        mask = held(at.oracle, at.x, gradient)
        if mask is not None:
            jacobian = jacobian * mask
        if not torch.isfinite(residuals).all() or not torch.isfinite(jacobian).all():
            return gradient, state
        return DampedLeastSquares(jacobian, residuals).solve(self.damping).to(at.x.dtype), state
