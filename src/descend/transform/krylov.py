"""Truncated conjugate gradients: minimize a quadratic model inside a ball, asking only for Hessian-vector products.

Steihaug (1983), "The conjugate gradient method and trust regions in large scale optimization"; algorithm 7.2 of
Nocedal and Wright (2006), "Numerical Optimization".

Symbols: the model is m(z) = g.z + z.Hz / 2; z the step, r = g + Hz its residual, p the search direction.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.oracle import Oracle
from descend.transform.inner import dot, wide

__all__ = ["Inside", "forcing", "held", "truncated_cg"]


@dataclass(frozen=True, slots=True)
class Inside:
    """What truncated conjugate gradients found.

    Fields: step z (d,); decrease, -m(z) >= 0; boundary, whether |z| is the radius; bends, whether a direction of
    curvature <= 0 ended it.
    """

    step: Tensor
    decrease: float
    boundary: bool
    bends: bool


def forcing(length: float) -> float:
    """The residual that is small enough for a gradient of this length (Dembo, Eisenstat and Steihaug 1982).

    Its ratio to the length goes to zero with the gradient, which makes the convergence superlinear; it is at most
    0.1, where the customary 0.5 took two to five times as many steps in curved valleys.
    """
    return min(0.1, math.sqrt(length)) * length


def truncated_cg(
    product: Callable[[Tensor], Tensor], gradient: Tensor, *, radius: float, tolerance: float, limit: int
) -> Inside:
    """Minimize g.z + z.Hz / 2 over |z| <= radius until |g + Hz| <= tolerance, or after `limit` products.

    Args:
        product: v -> Hv, both (d,).
        gradient: g (d,).
        radius: may be infinite; then negative curvature ends the search where it stands, at z = 0 if it is met first.
        tolerance: of the residual, an absolute length.
        limit: of the number of products.

    >>> H, g = torch.diag(torch.tensor([1.0, 4.0])), torch.tensor([1.0, 4.0])
    >>> step = truncated_cg(lambda v: H @ v, g, radius=9.0, tolerance=1e-6, limit=2).step
    >>> torch.allclose(step, torch.tensor([-1.0, -1.0]))
    True
    """
    z, r = torch.zeros_like(gradient), gradient
    p = -r
    rr, decrease = dot(r, r), 0.0
    for _ in range(limit):
        if not math.sqrt(rr) > tolerance:
            break
        hp = product(p)
        curvature = dot(p, hp)
        if not math.isfinite(curvature):  # the model breaks off here; what has been found so far still holds
            break
        bends = curvature <= 0
        reach = _to_boundary(z, p, radius)
        alpha = math.inf if bends else rr / curvature
        if alpha >= reach:
            if math.isfinite(reach):
                decrease += reach * rr - reach * reach * curvature / 2  # r.p = -r.r
                return Inside(z + reach * p, decrease, True, bends)
            return Inside(z, decrease, False, True)
        z = z + alpha * p
        decrease += alpha * rr / 2
        r = r + alpha * hp
        before, rr = rr, dot(r, r)
        p = (rr / before) * p - r
    return Inside(z, decrease, False, False)


def _to_boundary(z: Tensor, p: Tensor, radius: float) -> float:
    """The positive root of |z + tau p| = radius."""
    if math.isinf(radius):
        return math.inf
    zz, zp, pp = dot(z, z), dot(z, p), dot(p, p)
    gap = max(0.0, radius * radius - zz)
    root = math.sqrt(zp * zp + pp * gap)
    # of the two equal formulas the one without cancellation
    return gap / (zp + root) if zp > 0 else (root - zp) / pp


def held(oracle: Oracle, x: Tensor, gradient: Tensor) -> Tensor | None:
    """A (d,) mask, 0 at coordinates that a bound holds and 1 where the quadratic model may move; None without bounds.

    `gradient` (d,) is already zero where a bound holds a coordinate. Curvature must not pull such a coordinate along:
    the model does not know the slope that holds it.
    """
    nudge = math.sqrt(torch.finfo(x.dtype).eps) * x.abs().clamp(min=1.0)
    above, below = x + nudge, x - nudge
    inside_above, inside_below = oracle.project(above), oracle.project(below)
    if inside_above is above and inside_below is below:
        return None
    at_bound = (inside_above == x) | (inside_below == x)
    return wide((~(at_bound & (gradient == 0))).to(x.dtype))
