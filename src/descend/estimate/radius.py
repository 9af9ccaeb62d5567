"""How far to look: finite-difference steps from the scale of the point, the precision of its dtype and the noise.

A formula of order p with weights w errs by T tau^p (truncation) and R |w| / tau (noise of the values), where tau is the
step in units u_i of the size of coordinate i and R the standard deviation of one value. Their sum of squares is
least at

    tau* = (R |w| / (sqrt(p) T))^(1/(p+1))                                                                 (1)

after Gill, Murray, Saunders and Wright (1983), "Computing forward-difference intervals for numerical optimization".
`plain` guesses T for nothing; `tuned` measures it on a few coordinates.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from descend.estimate.stencil import Stencil

__all__ = ["plain", "precision", "tuned", "typical"]

_ROUNDING = 0.3
"""Standard deviation of the rounding of f in units of eps |f|: 0.15 to 0.6 over the functions it was measured on."""

_NEIGHBOURS = 64
"""Coordinates that are taken to be alike: parameters of one tensor lie side by side."""

_ONE_SCALE = 1.6
"""Up to this spread of ln|x_i| the coordinates have one scale; those of a normal law around zero spread by 1.11."""

_ABOVE = 0.3
"""The mean of ln|z| for a standard normal z is -0.635; this puts the typical size between it and the rms."""

Ask = Callable[[Tensor], tuple[Tensor, Tensor]]


def typical(x: Tensor, indices: Tensor) -> Tensor:
    """The size u_i of a sensible move of coordinate i: float64 (n,) on the CPU, positive.

    Neighbours of one scale share the typical size of their block, so that a coordinate that happens to be near zero
    is not taken for a tiny one. Where the logarithms of a block spread over several scales, each coordinate
    has its own. Zeros take the size of their block, a block of zeros that of the whole point, and zero itself 1.

    Args:
        x: (d,).
        indices: (n,) int64, the coordinates that are asked for.

    >>> typical(torch.tensor([1e-6, 3e-6, 0.0, -2e-6]), torch.arange(4)).log10().round()
    tensor([-6., -6., -6., -6.], dtype=torch.float64)
    """
    d = x.numel()
    blocks = -(-d // _NEIGHBOURS)
    owners, block = torch.unique(indices * blocks // d, return_inverse=True)
    starts = -(-owners * d // blocks)
    # every block is as long as the longest; the shorter ones borrow one neighbour
    members = (starts[:, None] + torch.arange(-(-d // blocks))).clamp_max(d - 1)
    logs = _logs(x[members.to(x.device)])
    inside = torch.isfinite(logs)
    count = inside.sum(1)
    mean = logs.where(inside, torch.zeros(())).sum(1) / count
    spread = ((logs - mean[:, None]).where(inside, torch.zeros(())).square().sum(1) / count).sqrt()
    if bool((count == 0).any()):
        everywhere = _logs(x)
        everywhere = everywhere[torch.isfinite(everywhere)]
        mean = mean.where(
            count > 0, everywhere.mean() if len(everywhere) else torch.tensor(-_ABOVE, dtype=torch.float64)
        )
        spread = spread.where(count > 0, torch.zeros(()))
    usual, own = mean[block] + _ABOVE, _logs(x[indices.to(x.device)])
    several = (spread[block] - _ONE_SCALE).clamp(0, 1)
    blend = torch.where(torch.isfinite(own), (1 - several) * usual + several * own, usual)
    return torch.maximum(blend, own - math.log(8)).exp()  # an outlier of its block is no neighbour


def _logs(values: Tensor) -> Tensor:
    return values.detach().to("cpu", torch.float64).abs().log()


def precision(eps: float, noise: float, value: float) -> float:
    """The eps of a dtype whose rounding would be as large as this noise of values about as large as `value`."""
    return max(eps, min(1.0, noise / max(_ROUNDING * abs(value), 1e-300))) if noise else eps


def plain(row: Stencil, d: int, precision: float) -> float:
    """The step tau in units of `typical` where nothing is known of f but that it changes over such distances.

    Then its derivatives along one coordinate are about f^(k) u^k = k! |f| / d, one coordinate's share, and (1) has
    T = 0.5 |sum_k w_k o_k^(p+1)| |f| / d and R = 0.3 eps |f|.

    Args:
        row: the formula.
        d: dimension of the point.
        precision: eps of the dtype, or what `precision` makes of the noise.
    """
    moment = abs(sum(w * o ** (row.order + 1) for w, o in zip(row.weights, row.offsets, strict=True)))
    ratio = _ROUNDING * precision * d * _norm(row) / (0.5 * math.sqrt(row.order) * max(moment, 1e-2))
    return ratio ** (1 / (row.order + 1))


def tuned(row: Stencil, guess: float, sizes: Tensor, eps: float, noise: float, ask: Ask) -> float:
    """The step tau in units of `typical` after a look at four steps on a few coordinates.

    The quotients at a wide step and at the next differ by the truncation error of the wide one; those at the guess and
    at a narrow step differ by noise, if there is more of it than rounding explains.

    Args:
        row: the formula.
        guess: the step of `plain`.
        sizes: (k,), `typical` at the coordinates that are looked at.
        eps: of the dtype of the values.
        noise: standard deviation of the noise of one value beside rounding, 0 if there is none.
        ask: steps tau (4,) -> the quotients (k, 4) of those coordinates, and the values that they were made of.
    """
    p, root = row.order, math.sqrt(row.order)
    # where there is no noise, a step of 4 times the coordinate is too wild to be worth a failed evaluation
    top = 32 * guess if noise else min(32 * guess, 4.0)
    guess = min(guess, top / 8)
    taus = torch.tensor([top, top / 4, guess, guess / 8], dtype=torch.float64)
    slopes, values = ask(taus)
    scatter = _norm(row) * float((1 / sizes).square().mean().sqrt())  # of a quotient at tau = 1 per noise of a value
    gaps = (slopes[:, :-1] - slopes[:, 1:]).square().nanmean(0).sqrt()
    units = scatter * (1 / taus[:-1].square() + 1 / taus[1:].square()).sqrt()
    wide, middle, narrow = gaps.tolist()
    level = max(noise, _ROUNDING * eps * float(values.abs().nanmedian()))
    if not noise and narrow > 3 * level * float(units[2]):  # terms that cancel inside f leave their rounding
        level = narrow / float(units[2])
    truncation = math.sqrt(max(0.0, wide**2 - (level * float(units[0])) ** 2)) / top**p
    if middle > 3 * level * float(units[1]):  # where f wiggles, the wide step does not see how much it bends
        truncation = max(truncation, middle / (top / 4) ** p)
    least = level * scatter / (root * top ** (p + 1))  # keeps the answer below top
    best = (level * scatter / (root * max(truncation, least, 1e-300))) ** (1 / (p + 1))
    return best if math.isfinite(best) and best > 0 else guess


def _norm(row: Stencil) -> float:
    return math.sqrt(sum(w * w for w in row.weights))
