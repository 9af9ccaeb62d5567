"""A covariance of scales and a few long directions, as many of them as turn out to be needed: VkD-CMA-ES.

C = D (I + V^T S V) D with a diagonal D and k orthonormal rows V. A generation adds steps to it as in CMA-ES, and what
comes out, D (a I + U^T U) D, is brought back to the family: the k longest axes of U^T U are kept, the mean of the other
ones is spread over all, and D is set so that the variance of every coordinate is the exact one: Akimoto and Hansen
2016, "Projection-based restricted covariance matrix adaptation for high dimension", GECCO. k is found while searching:
Akimoto and Hansen 2016, "Online model selection for restricted covariance matrix adaptation", PPSN.

Symbols: D = `scales`, V = `vectors`, S = `lengths`, a = `fading`, U = `rows`; N = d, lambda = n, mu_eff = `mass`.
In place of the papers' two-point step size it is that of CMA-ES here, from the path of z = (I + V^T S V)^-1/2 D^-1 y.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.population.cma_rates import Rates, rates
from descend.population.covariance import Covariance, check_covariance
from descend.tree import state

__all__ = ["Restricted", "Restriction"]

_LONG = 30.0
"""A direction earns its place by a variance so many times that of the others."""
_STEADY = 0.1
"""The change of log sigma, as a part of what convergence needs, below which sigma counts as steady."""
_SETTLED = 0.1
"""The change of a log variance, as a part of what is learned in a generation, below which D counts as learned; to it
comes d^-1/2 for the chance in an average over d generations. The paper has 0.3 in all, at which d = 500 takes too many
directions and twice the evaluations on axis-parallel ellipsoids."""


@state
class Restriction:
    """C, and what tells whether k is right.

    Fields: scales (d,) > 0; vectors (k, d), orthonormal rows, or zeros where the length is 0; lengths (k,) >= 0; ends,
    bounds of the shortest and the longest semi-axis; waited, generations since k was changed; log_sigma, of the last
    generation, NaN before; sigma_drift, scale_drift (d,) and length_drift (k,), how log sigma, the log variances of
    the coordinates and log (1 + lengths) changed in a generation, on a fading average.
    """

    scales: Tensor
    vectors: Tensor
    lengths: Tensor
    ends: tuple[float, float]
    waited: int
    log_sigma: float
    sigma_drift: float
    scale_drift: Tensor
    length_drift: Tensor


@dataclass(frozen=True)
class Restricted(Covariance[Restriction]):
    """A diagonal and k directions: (k + 1) d numbers, and about k d operations a point.

    On a separable function it is as quick as `Separable`, and few long axes are found wherever they point: then it
    takes a fraction of the evaluations of `Full`. It is slower where many axes of different lengths are turned, or a
    single short one is.

    Args:
        directions: k >= 0, fixed, at most d - 1 of them are used; default None: it begins with 0, takes sqrt(2) times
            as many where neither the steps nor D change any more, and leaves out those that are not long.

    Raises:
        InvalidValue: directions is no whole number >= 0.
    """

    directions: int | None = None

    def __post_init__(self) -> None:
        if self.directions is not None and (type(self.directions) is not int or self.directions < 0):
            raise InvalidValue(
                f"directions is a whole number >= 0, or None, got directions={self.directions!r}; write Restricted(20)"
            )

    def begin(self, like: Tensor, covariance: Tensor | None = None) -> Restriction:
        d = like.shape[0]
        k = min(self.directions or 0, d - 1)
        scales, rows, lengths = torch.ones_like(like), like.new_zeros(k, d), like.new_zeros(k)
        if covariance is not None:
            check_covariance(covariance, d)
            covariance = covariance.to(like)
            scales = covariance.diagonal().sqrt()
            whole = torch.linalg.cholesky(covariance) / scales[:, None]  # of the correlation matrix
            scales, rows, lengths = _projected(whole.T.double(), scales, 0.0, k)
        ends = _ends(scales, lengths)
        return Restriction(scales, rows, lengths, ends, 0, math.nan, 0.0, torch.zeros_like(like), lengths.new_zeros(k))

    def rates(self, n: int, like: Tensor, active: bool) -> Rates:
        return rates(n, like.shape[0], False, 1.0, like.dtype, like.device)

    def paced(self, held: Restriction, rates: Rates) -> Rates:
        """The rates for (k + 1) d numbers."""
        d, mass, k = rates.d, rates.mass, len(held.lengths)
        c1 = 2 / (d * (k + 2) + 2 * (k + 2) + mass)
        cmu = min(1 - c1, 2 * (mass - 2 + 1 / mass) / (d * (k + 1) + 4 * (k + 2) + mass))
        return replace(rates, c1=c1, cmu=max(cmu, 0.0), cc=math.sqrt(c1))

    def draw(self, held: Restriction, z: Tensor) -> Tensor:
        return _turned(held, z, (1 + held.lengths).sqrt()).mul_(held.scales)

    def whiten(self, held: Restriction, y: Tensor) -> Tensor:
        return _turned(held, y / held.scales, (1 + held.lengths).rsqrt())

    def prolong(self, held: Restriction, path: Tensor, fading: float, z: Tensor, gain: float) -> Tensor:
        return path.mul_(fading).add_(z, alpha=gain)

    def learn(
        self,
        held: Restriction,
        rates: Rates,
        path: Tensor,
        stalled: float,
        y: Tensor,
        z: Tensor,
        zw: Tensor,
        sigma: float,
    ) -> Restriction:
        """As described there; the path is scaled too, since C is kept at the determinant 1."""
        k, mu, c1, cmu = len(held.lengths), rates.mu, rates.c1, rates.cmu
        fading = 1 - c1 + c1 * stalled - cmu
        rows = torch.cat(
            (
                held.vectors * (fading * held.lengths).sqrt()[:, None],
                y[:mu] / held.scales * (rates.plus[:mu, None] * cmu).sqrt_().div_(sigma),
                (path / held.scales * math.sqrt(c1))[None],
            )
        ).double()
        try:
            scales, vectors, lengths = _projected(rows, held.scales, fading, k)
        except torch.linalg.LinAlgError:  # pyright: ignore[reportPrivateImportUsage]
            return replace(held, ends=(math.nan, math.nan))  # it has overflowed
        growth = math.exp(float(scales.log().mean()) + float(lengths.log1p().sum()) / (2 * rates.d))
        scales, path = scales.div_(growth), path.div_(growth)
        if self.directions is not None:
            return replace(held, scales=scales, vectors=vectors, lengths=lengths, ends=_ends(scales, lengths))
        return _adapted(held, rates, scales, vectors, lengths, math.log(sigma))

    def deviations(self, held: Restriction) -> Tensor:
        return _variances(held.scales, held.vectors, held.lengths).sqrt_()

    def axes(self, held: Restriction) -> tuple[float, float]:
        return held.ends


def _turned(held: Restriction, x: Tensor, factors: Tensor) -> Tensor:
    """Rows x (n, d), multiplied by factors (k,) along the directions."""
    return torch.addmm(x, x @ held.vectors.T * (factors - 1), held.vectors)


def _variances(scales: Tensor, vectors: Tensor, lengths: Tensor) -> Tensor:
    """The diagonal of C (d,)."""
    return (vectors * vectors).T.mv(lengths).add_(1).mul_(scales).mul_(scales)


def _ends(scales: Tensor, lengths: Tensor) -> tuple[float, float]:
    least, most = (float(end) for end in scales.aminmax())
    return least, most * math.sqrt(1 + float(lengths[:1].sum()))  # the first is the longest, if there is one


def _projected(rows: Tensor, scales: Tensor, fading: float, k: int) -> tuple[Tensor, Tensor, Tensor]:
    """The member of the family for D (a I + U^T U) D: D (d,), V (k, d) and S (k,) in the dtype of scales (d,).

    Args:
        rows: U (r, d), float64, as squares of conditions are met here.
        fading: a.
        k: the number of directions, < d.
    """
    r, d = rows.shape
    if r < d:  # the same eigenvalues from the smaller matrix
        values, turn = torch.linalg.eigh(rows @ rows.T)
        values = values.flip(0).clamp_min_(0)
        vectors = turn.flip(1)[:, :k].T @ rows / values[:k, None].sqrt().clamp_min(torch.finfo(values.dtype).tiny)
    else:
        values, turn = torch.linalg.eigh(rows.T @ rows)
        values, vectors = values.flip(0).clamp_min_(0), turn.flip(1)[:, :k].T
    rest = values[k:].sum() / (d - k)
    lengths = (values[:k] - rest).clamp_min_(0) / (fading + rest)
    variances = (rows * rows).sum(0).add_(fading) / _variances(torch.ones_like(rows[0]), vectors, lengths)
    return variances.sqrt_().to(scales) * scales, vectors.to(scales), lengths.to(scales)


def _adapted(
    held: Restriction, rates: Rates, scales: Tensor, vectors: Tensor, lengths: Tensor, log_sigma: float
) -> Restriction:
    """With another k if it is time (PPSN 2016, section 3)."""
    d, k, learned = rates.d, len(lengths), rates.c1 + rates.cmu
    pace = 0.5 * min(1.0, rates.n / d) / 3  # of log sigma in convergence, as slow as is put up with
    change = 0.0 if math.isnan(held.log_sigma) else log_sigma - held.log_sigma
    sigma_drift = held.sigma_drift + pace * (change - held.sigma_drift)
    after, before = (_variances(*of).log_() for of in ((scales, vectors, lengths), _shape(held)))
    scale_drift = torch.lerp(held.scale_drift, after.sub_(before), 1 / d)
    length_drift = torch.lerp(held.length_drift, lengths.log1p() - held.lengths.log1p(), 1 / d)
    waited, wait = held.waited + 1, 2 * d - 1
    long = lengths + 1 > _LONG
    if waited > wait and k < d - 1 and abs(sigma_drift) < _STEADY * pace and bool(long.all()):
        if float(scale_drift.abs().max()) < (_SETTLED + d**-0.5) * learned:
            more = min(max(math.ceil(math.sqrt(2) * k), k + 1), d - 1) - k
            lengths, length_drift = (torch.cat((part, part.new_zeros(more))) for part in (lengths, length_drift))
            vectors, waited = torch.cat((vectors, vectors.new_zeros(more, d))), 0
    elif k and waited > wait * k:
        kept = long | (length_drift >= 0)
        if not bool(kept.all()):
            vectors, lengths, length_drift = vectors[kept], lengths[kept], length_drift[kept]
    ends = _ends(scales, lengths)
    return Restriction(scales, vectors, lengths, ends, waited, log_sigma, sigma_drift, scale_drift, length_drift)


def _shape(held: Restriction) -> tuple[Tensor, Tensor, Tensor]:
    return held.scales, held.vectors, held.lengths
