"""A quadratic model of the last few hundred points, in which the better ones count more.

Linear, diagonal or full quadratic, whatever the number of points can determine, by least squares with weights that fall
linearly with the rank of the loss. Hansen 2019, "A global surrogate assisted CMA-ES" (GECCO), section 3.
Symbols: z (d,) = white coordinates; phi(z) = `features`; beta = `coefficients`; w = weights; G = (phi^T w^2 phi)^-1.

A full model has about d^2 / 2 coefficients and a fit costs d^6 / 8, so most points only correct the last fit (recursive
least squares) in its old white coordinates; a new fit is made every d^2 / 60 points.
"""

import torch
from torch import Tensor

__all__ = ["QuadraticModel", "agreement"]

_HEAVIEST = 20.0
"""The weight of the best point; that of the last one is 1."""
_KEPT = 2.0
"""Points that are remembered, for each coefficient of the full model."""
_BEST = 0.75
"""The part of them, the best, that a fit uses."""
_SPARE = 1.1
"""Points for each coefficient, before a richer model is used."""
_LARGEST_FULL = 45
"""The dimension up to which the model has mixed terms; a fit took 0.17 s there."""


class QuadraticModel:
    """What the points told so far say about the loss.

    Fields: level, 0 linear, 1 diagonal or 2 full; ready, whether there was a fit; points (n, d) and losses (n,), the
    last ones that it was told.
    """

    def __init__(self, d: int) -> None:
        self.d, self.level, self.ready = d, 0, False
        self._sizes = (d + 1, 2 * d + 1, d * (d + 3) // 2 + 1)
        self._top = 2 if d <= _LARGEST_FULL else 1
        self._rows, self._columns = torch.triu_indices(d, d, 1)
        self._period = max(1, self._sizes[self._top] // 30)
        self.points, self.losses = torch.empty(0, d, dtype=torch.float64), torch.empty(0, dtype=torch.float64)
        self._age, self._new = 0, 0
        self._normal: Tensor | None = None

    def tell(self, points: Tensor, losses: Tensor) -> None:
        """Points (n, d) and their losses (n,); failures are left out."""
        fine = losses.isfinite()
        if not bool(fine.all()):
            points, losses = points[fine], losses[fine]
        kept = int(_KEPT * self._sizes[self._top])
        self.points = torch.cat((self.points, points))[-kept:]
        self.losses = torch.cat((self.losses, losses))[-kept:]
        self._new += len(losses)

    def fit(self, mean: Tensor, whitening: Tensor) -> None:
        """Learn from what was told since; a new fit uses z = whitening @ (u - mean), (d, d) and (d,)."""
        n = len(self.losses)
        if n == 0:
            return
        level = max((k for k in range(self._top + 1) if _BEST * n >= _SPARE * self._sizes[k]), default=0)
        self._age += 1
        if self._normal is not None and level == self.level and self._age < self._period:
            self._correct(min(self._new, n))
        else:
            self.level, self._mean, self._whitening = level, mean.clone(), whitening
            self._regress()
            self._age = 0
        self._new = 0

    def __call__(self, points: Tensor) -> Tensor:
        """The model's losses (n,) at points (n, d), but for a constant."""
        return self._features(points) @ self._beta

    def minimum(self) -> Tensor | None:
        """Where the model is stationary (d,), or None if it is linear or has no such point."""
        if self.level == 0:
            return None
        d, beta = self.d, self._beta
        hessian = torch.diag(2 * beta[d + 1 : 2 * d + 1])
        if self.level == 2:
            hessian[self._rows, self._columns] = hessian[self._columns, self._rows] = beta[2 * d + 1 :]
        z = -torch.linalg.lstsq(hessian, beta[1 : d + 1, None], driver="gelsd", rcond=1e-12).solution[:, 0]
        point = self._mean + torch.linalg.solve(self._whitening, z)
        return point if bool(point.isfinite().all()) else None

    def _features(self, points: Tensor) -> Tensor:
        z = (points - self._mean) @ self._whitening.T
        parts = [torch.ones(len(z), 1, dtype=z.dtype), z]
        if self.level > 0:
            parts.append(z * z)
        if self.level > 1:
            parts.append(z[:, self._rows] * z[:, self._columns])
        return torch.cat(parts, 1)

    def _regress(self) -> None:
        n, size = len(self.losses), self._sizes[self.level]
        m = min(n, max(size + 2, int(_BEST * (n + 1))))
        order = self.losses.argsort(stable=True)[:m]
        weights = torch.linspace(_HEAVIEST, 1.0, m, dtype=torch.float64)
        self._ranked = self.losses[order]
        weighted = self._features(self.points[order]) * weights[:, None]
        target = (self._ranked - self._ranked[0]) * weights
        self._normal, self.ready = None, True
        if m <= size + 2:
            self._beta = torch.linalg.lstsq(weighted, target[:, None], driver="gelsd", rcond=1e-12).solution[:, 0]
            return
        gram = weighted.T @ weighted
        unit = gram.diagonal().clamp_min(1e-300).rsqrt()
        gram = gram * unit[:, None] * unit
        gram.diagonal().add_(1e-12)
        normal = torch.linalg.inv(gram) * unit[:, None] * unit
        beta = normal @ (weighted.T @ target)
        self._beta = beta + normal @ (weighted.T @ (target - weighted @ beta))  # refined: the inverse was rounded
        if self._period > 1:
            self._normal = normal

    def _correct(self, new: int) -> None:
        """Recursive least squares with the last points, whose weights are those of their neighbours in rank."""
        if new == 0 or self._normal is None:
            return
        places = torch.searchsorted(self._ranked, self.losses[-new:])
        last = len(self._ranked) - 1
        features = self._features(self.points[-new:])
        for phi, loss, place in zip(features, self.losses[-new:], places.tolist(), strict=True):
            if place > last:
                continue
            weight = _HEAVIEST + (1.0 - _HEAVIEST) * place / last
            gain = self._normal @ phi
            gain_phi = gain / (1 / weight**2 + phi @ gain)
            self._beta = self._beta + gain_phi * (loss - self._ranked[0] - phi @ self._beta)
            self._normal = self._normal - torch.outer(gain_phi, gain)


def agreement(a: Tensor, b: Tensor) -> float:
    """Kendall's rank correlation of two lists (n,), n >= 2; a tie in one of them counts 0.

    >>> round(agreement(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 3.0, 2.0])), 4)
    0.3333
    """
    n = len(a)
    signs = (a[:, None] - a).sign() * (b[:, None] - b).sign()
    return float(signs.sum()) / (n * (n - 1))
