"""How much is promised by points of which only means and deviations are known, as logarithms that never underflow.

Expected improvement: Ament, Daulton, Eriksson, Balandat and Bakshy 2023, "Unexpected improvements to expected
improvement for Bayesian optimization", equations 8 and 9. Constraints: Gardner et al. 2014, "Bayesian optimization with
inequality constraints". Two objectives: the expected gain in hypervolume, a sum over the stripes of what is not
dominated (Emmerich, Yang, Deutz, Wang and Fonseca 2016). More of them: expected improvement of a random compromise
(Knowles 2006, "ParEGO"). A promise comes with its derivatives by the means and by the deviations.

Symbols: z = (best - mean) / deviation; phi and Phi the standard normal density and distribution function;
h(z) = phi(z) + z Phi(z); psi(a) = E max(0, a - y) = deviation h((a - mean) / deviation).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = [
    "BelowLimits",
    "Compromise",
    "FrontGain",
    "Improvement",
    "Promise",
    "Several",
    "log_expected_improvement",
    "log_h",
    "log_probability_below",
]

Promise = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]
"""Means and deviations (m, k) -> values (k,), and their derivatives (m, k) by the means and by the deviations."""

_LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)
_SOFTNESS = 1e-2
"""Of what is otherwise max(0, gain), in standard deviations of the values."""
_FAR = -1e6
"""Below, 1 + z r(z) with Mills' ratio r is z^-2 to the last digit."""


def log_h(z: Tensor) -> Tensor:
    """log(phi(z) + z Phi(z)) of float64 numbers, for z down to -1e150.

    >>> [round(x, 6) for x in log_h(torch.tensor([-1e4, 0.0], dtype=torch.float64)).tolist()]
    [-50000019.339619, -0.918939]
    """
    near = z.clamp(min=-1)
    direct = (torch.exp(-0.5 * near.square() - _LOG_ROOT_2PI) + near * torch.special.ndtr(near)).log()
    far = z.clamp(_FAR, -1)
    mills = math.sqrt(math.pi / 2) * torch.special.erfcx(-far * math.sqrt(0.5))  # Phi(z) / phi(z)
    rest = torch.where(z > _FAR, _one_minus(far, mills), -2 * z.clamp(max=-1).abs().log())
    return torch.where(z > -1, direct, -0.5 * z.square() - _LOG_ROOT_2PI + rest)


def _one_minus(z: Tensor, mills: Tensor) -> Tensor:
    """log(1 + z r(z)), z <= -1, by a series where the sum would lose its digits."""
    y = z.square().reciprocal()
    series = 1 - 3 * y * (1 - 5 * y * (1 - 7 * y * (1 - 9 * y * (1 - 11 * y))))
    return torch.where(z < -50, y.log() + series.log(), torch.log1p(z * mills))


def _log_density(z: Tensor) -> Tensor:
    return -0.5 * z.square() - _LOG_ROOT_2PI


def log_expected_improvement(mean: Tensor, deviation: Tensor, best: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The log of E max(0, best - y), y normal, and its derivatives by mean and deviation, which is > 0.

    >>> value, _, _ = log_expected_improvement(torch.zeros(1).double(), torch.ones(1).double(), 0.0)
    >>> float(value.exp() * (2 * torch.pi) ** 0.5)
    1.0
    """
    z = (best - mean) / deviation
    level = log_h(z)
    below = (torch.special.log_ndtr(z) - level).exp()
    return deviation.log() + level, -below / deviation, (_log_density(z) - level).exp() / deviation


def log_probability_below(mean: Tensor, deviation: Tensor, limit: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The log of P(y <= limit), y normal, and its derivatives by mean and deviation.

    >>> float(log_probability_below(torch.zeros(1).double(), torch.ones(1).double(), 0.0)[0].exp())
    0.5
    """
    z = (limit - mean) / deviation
    level = torch.special.log_ndtr(z)
    ratio = (_log_density(z) - level).exp() / deviation
    return level, -ratio, -ratio * z


@dataclass(frozen=True, eq=False)
class Improvement:
    """The log of expected improvement, averaged over several models of one objective.

    Fields: best (j,), the least mean at a point that was seen, of each of the j models.
    """

    best: Tensor

    def __call__(self, means: Tensor, deviations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, by_mean, by_deviation = log_expected_improvement(means, deviations, self.best[:, None])
        total = values.logsumexp(0)
        share = (values - total).exp()
        return total - math.log(len(values)), share * by_mean, share * by_deviation


@dataclass(frozen=True, eq=False)
class BelowLimits:
    """The log of the probability that independent values lie below their limits (c,)."""

    limits: Tensor

    def __call__(self, means: Tensor, deviations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        values, by_mean, by_deviation = log_probability_below(means, deviations, self.limits[:, None])
        return values.sum(0), by_mean, by_deviation


@dataclass(frozen=True, eq=False)
class FrontGain:
    """The log of the expected gain in hypervolume of two objectives.

    Fields: front (k, 2), what nobody dominates, in any order, k >= 0; reference (2,), the worst that counts.
    """

    front: Tensor
    reference: Tensor

    def __post_init__(self) -> None:
        front = self.front[(self.front < self.reference).all(1)]
        object.__setattr__(self, "front", front[front[:, 0].argsort(stable=True)])

    def __call__(self, means: Tensor, deviations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # stripe i lies between the first objectives of points i - 1 and i, below the second one of point i - 1
        a = torch.cat([self.front[:, 0], self.reference[:1]])[:, None]
        b = torch.cat([self.reference[1:], self.front[:, 1]])[:, None]
        psi_a, below, density = _psi(a, means[0], deviations[0])
        psi_b, mean_b, deviation_b = log_expected_improvement(means[1], deviations[1], b)
        widths, _ = _log_steps(psi_a)
        total = (widths + psi_b).logsumexp(0)
        # psi falls with the mean by Phi, and grows with the deviation by phi: so do the widths, by differences of these
        by_a = [sign * (steps + psi_b - total).exp() for steps, sign in (_log_steps(below), _log_steps(density))]
        share = (widths + psi_b - total).exp()
        by_mean = torch.stack([-by_a[0].sum(0), (mean_b * share).sum(0)])
        by_deviation = torch.stack([by_a[1].sum(0), (deviation_b * share).sum(0)])
        return total, by_mean, by_deviation


def _psi(a: Tensor, mean: Tensor, deviation: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The logs of psi(a), of Phi(z) and of phi(z)."""
    z = (a - mean) / deviation
    return deviation.log() + log_h(z), torch.special.log_ndtr(z), _log_density(z)


def _log_steps(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Of rows (k, n), the log of how far exp(row) is from that of the row before, and in which direction.

    The row before the first one is -inf.
    """
    gap = -(rows[1:] - rows[:-1]).abs()
    shrink = torch.where(gap > -0.7, torch.log(-torch.expm1(gap)), torch.log1p(-gap.exp()))
    steps = torch.cat([rows[:1], torch.maximum(rows[1:], rows[:-1]) + shrink])
    return steps, torch.cat([torch.ones_like(rows[:1]), (rows[1:] - rows[:-1]).sign()])


@dataclass(frozen=True, eq=False)
class Compromise:
    """The log of the expected improvement of max_j weight_j y_j, softened a little, by fixed draws.

    Fields: weights (m,), > 0; best, the least compromise that was seen; draws (s, m), standard normal.
    """

    weights: Tensor
    best: float
    draws: Tensor

    def __call__(self, means: Tensor, deviations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = means[None] + deviations[None] * self.draws[:, :, None]  # (s, m, k)
        worst, which = (y * self.weights[:, None]).max(1)
        gain = (self.best - worst) / _SOFTNESS
        # log softplus, which falls like exp: no draw is ever without a slope
        level = torch.where(gain > -20, torch.nn.functional.softplus(gain.clamp(min=-20)).log(), gain) + math.log(
            _SOFTNESS
        )
        total = level.logsumexp(0)
        share = (torch.nn.functional.logsigmoid(gain) - total).exp()
        pull = torch.zeros_like(y).scatter_(1, which[:, None], share[:, None]) * self.weights[:, None]
        return total - math.log(len(y)), -pull.sum(0), -(pull * self.draws[:, :, None]).sum(0)


@dataclass(frozen=True, eq=False)
class Several:
    """The sum of independent promises. Fields: parts, each with the number of its rows."""

    parts: tuple[tuple[Promise, int], ...]

    def __call__(self, means: Tensor, deviations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        counts = [count for _, count in self.parts]
        pairs = zip(means.split(counts), deviations.split(counts), strict=True)
        found = [promise(*pair) for (promise, _), pair in zip(self.parts, pairs, strict=True)]
        values, by_mean, by_deviation = zip(*found, strict=True)
        return torch.stack(values).sum(0), torch.cat(by_mean), torch.cat(by_deviation)
