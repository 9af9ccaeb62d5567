"""Finite differences: every coordinate moved alone, all probes in one question, any row of the table of formulas.

    g_i = sum_k w_k f(x + t_ik e_i) / sum_k w_k t_ik                                                           (1)

where t_ik is the displacement that x_i really makes in its dtype, (x_i + o_k h_i) - x_i after rounding, so that no
rounding of the probes enters the denominator (Gill, Murray and Wright 1981, "Practical Optimization", section 8.6).
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from descend.direction import Coordinate
from descend.errors import InvalidValue, ShapeMismatch
from descend.estimate.base import Estimator
from descend.estimate.noise_level import noise_level
from descend.estimate.radius import plain, precision, tuned, typical
from descend.estimate.stencil import Stencil, stencil
from descend.key import Key
from descend.oracle import Oracle, Slope

__all__ = ["FiniteDifference", "check_radius", "given_steps", "quotients"]

_WORTHWHILE, _MANY, _FEW = 128, 8, 4
"""Dimension from which on steps are tuned, and on how many coordinates: there it costs a quarter of the gradient, and
less and less above; below it, where noise makes it necessary, on few."""


@dataclass(frozen=True, eq=False)
class FiniteDifference(Estimator):
    """The gradient, coordinate by coordinate.

    Args:
        formula: a row of `STENCILS` by name, default "central", or a `Stencil` of your own.
        radius: the step h > 0 in the units of x: a number, or a (d,) tensor with one step per coordinate. It is made
            at least as large as the dtype can resolve. None (default) chooses it from the scale of the point, its
            dtype and the noise, see `descend.estimate.radius`.
        noise: standard deviation of the objective's noise beside rounding, in the units of f; "auto" measures it
            at every gradient with 7 more evaluations (see `noise_level`); None (default) means rounding only. It has
            a say only where `radius` is None.
        look: on how many coordinates automatic steps are tuned, see `tuned`. None (default): on 8 where the point has
            128 coordinates or more, on 4 where noise is stated, else on none, since it would cost more than it is
            worth; 0: never.

    With m points in the formula a gradient takes m d evaluations, or (m - 1) d + 1 if one of them is the centre. Tuning
    takes 4 times as many per coordinate that is looked at, and noise one more.

    How good automatic steps are, against the best of all fixed steps on twelve smooth functions, sizes of x from
    1e-6 to 1e6, two-point formulas: tuned (128 coordinates or more, or ``look=4`` at any number) the error of the
    gradient is within 2 times the best on all of them in float64 and float32, and on ten of twelve in bfloat16
    (within 3 on all). Not tuned it is within 2 times on three quarters of them with "forward" and on half with
    "central", within 5 on nearly all; the exceptions (up to 14) bend only over distances much longer than x.

    Raises:
        InvalidValue: an unknown formula, a radius that is not positive, a negative noise or look.
        ShapeMismatch: at the first gradient, a radius of another shape than the point.

    >>> from descend.oracle import Function
    >>> oracle = Function(lambda x: x[0] ** 2 + 3 * x[1], batched=False) | FiniteDifference()
    >>> oracle.gradient(torch.tensor([2.0, 1.0], dtype=torch.float64), Key(0)).gradient.round(decimals=6)
    tensor([4., 3.], dtype=torch.float64)
    >>> oracle.ledger.counts
    {'value': 4}
    """

    random = False

    formula: str | Stencil = "central"
    radius: float | Tensor | None = None
    noise: float | Literal["auto"] | None = None
    look: int | None = None
    row: Stencil = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "row", stencil(self.formula))
        check_radius(self.radius)
        if isinstance(self.noise, str) and self.noise != "auto":
            raise InvalidValue(f"noise={self.noise!r} is unknown; write a standard deviation, 'auto' or None")
        if isinstance(self.noise, float | int) and not (math.isfinite(self.noise) and self.noise >= 0):
            raise InvalidValue(f"noise is a standard deviation >= 0, got {self.noise!r}; write None for none")
        if self.look is not None and self.look < 0:
            raise InvalidValue(f"look counts coordinates, got {self.look!r}; write 0 to never tune the steps")

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        d = x.numel()
        indices = torch.arange(d)
        value = math.nan
        if self.radius is None:
            steps, value = self._automatic(oracle, x, key)
        else:
            steps = given_steps(self.radius, x, indices)
        slopes, values = quotients(oracle, x, self.row, indices, steps[:, None], key)
        if self.row.one_sided:
            value = float(values[0, 0, self.row.offsets.index(0.0)])
        return Slope(slopes[:, 0].to(x), value, float(values.mean()))

    def _automatic(self, oracle: Oracle, x: Tensor, key: Key) -> tuple[Tensor, float]:
        """Steps (d,), and f(x) if it was asked on the way, else NaN."""
        d, eps, value, noise = x.numel(), torch.finfo(x.dtype).eps, math.nan, 0.0
        if self.noise is not None:
            value = oracle.value(x, key)
            noise = noise_level(oracle, x, key) if isinstance(self.noise, str) else float(self.noise)
        sizes = typical(x, torch.arange(d))
        guess = plain(self.row, d, precision(eps, noise, value))
        some = key.fold("look").permutation(d)[: self._looks(d)]
        if len(some) == 0:
            return sizes * guess, value

        def ask(taus: Tensor) -> tuple[Tensor, Tensor]:
            return quotients(oracle, x, self.row, some, sizes[some, None] * taus, key)

        return sizes * tuned(self.row, guess, sizes[some], eps, noise, ask), value

    def _looks(self, d: int) -> int:
        """On how many coordinates the steps are tuned."""
        if self.look is not None:
            return self.look
        return _MANY if d >= _WORTHWHILE else 0 if self.noise is None else _FEW


def quotients(
    oracle: Oracle, x: Tensor, row: Stencil, indices: Tensor, steps: Tensor, key: Key
) -> tuple[Tensor, Tensor]:
    """Difference quotients (1), several steps for each of some coordinates, in one question.

    Args:
        oracle: answers `along`.
        x: (d,).
        row: the formula, with m points.
        indices: (n,) int64, on the CPU.
        steps: (n, j) float64, on the CPU.
        key: of the question.

    Returns:
        The quotients (n, j) and the values (n, j, m), float64 on the CPU.
    """
    here = x.detach()[indices.to(x.device)].cpu()[:, None, None]
    smallest = torch.finfo(x.dtype).eps * here.abs().double()  # from here on x_i + h differs from x_i
    reach = torch.maximum(steps[:, :, None], smallest) * torch.tensor(row.offsets, dtype=torch.float64)
    scales = (here.double() + reach).to(x.dtype) - here
    moved = (here + scales).double() - here.double()
    n, j, m = scales.shape
    values = oracle.along(x, Coordinate(indices, x.numel()), scales.double().reshape(n, j * m), key).reshape(n, j, m)
    weights = torch.tensor(row.weights, dtype=torch.float64)
    return (values @ weights) / (moved @ weights), values


def given_steps(radius: float | Tensor, x: Tensor, indices: Tensor) -> Tensor:
    """The steps (n,) at some coordinates that a radius given as a number or a (d,) tensor means."""
    if not isinstance(radius, Tensor):
        return torch.full((len(indices),), float(radius), dtype=torch.float64)
    if radius.dim() and radius.shape != x.shape:
        raise ShapeMismatch(
            f"the radius has shape {tuple(radius.shape)} and the point {tuple(x.shape)}; give one step per coordinate"
        )
    return radius.detach().to("cpu", torch.float64).expand(x.shape)[indices]


def check_radius(radius: float | Tensor | None) -> None:
    """Raise `InvalidValue` unless a radius is None or positive and finite."""
    if radius is None:
        return
    numbers = torch.as_tensor(radius, dtype=torch.float64)
    if not bool((torch.isfinite(numbers) & (numbers > 0)).all()):
        raise InvalidValue(f"radius must be finite and > 0, got {radius!r}; write None to choose it by itself")
