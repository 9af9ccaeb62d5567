"""Guided evolution strategies: random directions that lean towards the subspace of a surrogate's gradients.

A surrogate gradient, biased or stale or truncated as it may be, says where to look; values of f say what is there:

    z ~ N(0, S),   S = (alpha / d) I + ((1 - alpha) / k) U U^T                                                 (1)
    g_hat = (beta / n) sum_i (f(x + h z_i) - f(x - h z_i)) / (2 h) z_i,   E g_hat = beta S grad f + O(h^2)     (2)

U (d, k) is an orthonormal basis of the surrogate gradients, n is `samples`, h is `radius`. Maheswaranathan, Metz,
Tucker, Choi and Sohl-Dickstein (2019), "Guided evolutionary strategies: augmenting random search with surrogate
gradients", equations 1 and 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from descend.direction import Combination, Dense, as_dense
from descend.errors import InvalidValue, ShapeMismatch
from descend.estimate.base import Estimator
from descend.estimate.draw import Coupling, RandomLaw, draw
from descend.estimate.random_directions import automatic_radius
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope, check_answers

__all__ = ["Guided"]

Surrogate = Oracle | Callable[[Tensor, Key], Tensor]


@dataclass(frozen=True, eq=False)
class Guided(Estimator):
    """The estimator (2).

    Args:
        surrogate: an oracle that answers gradients, or a function of (x, key) that returns a surrogate gradient (d,)
            or k of them (k, d), k < d. It is asked once per gradient.
        samples: n, pairs of symmetric probes.
        alpha: in [0, 1], how much to look outside the subspace; 1 ignores the surrogate, 0 trusts it alone.
        beta: > 0, the scale of the estimate. With the default 2 and alpha = 0.5 the part along a single surrogate
            gradient has about its true size, the rest is d times shorter.
        radius: h > 0, about the Euclidean length of a probe's move, since E |z|^2 = 1. None (default) follows the
            size and the dtype of the point.

    A gradient takes 2 n evaluations and one surrogate gradient, and n vectors of memory. Where the surrogate is zero
    or not finite the directions are those of alpha = 1.

    Raises:
        InvalidValue: alpha outside [0, 1], beta or radius not positive, samples < 1.
        MissingAnswer: the surrogate is an oracle without gradients.
        ShapeMismatch: at the first gradient, a surrogate gradient of another size than the point.

    >>> from descend.oracle import Function
    >>> guided = Guided(lambda x, key: x, alpha=0.0)
    >>> oracle = Function(lambda x: (x**2).sum(), batched=False) | guided
    >>> g = oracle.gradient(torch.tensor([3.0, 4.0]), Key(0)).gradient.dense(torch.zeros(()))
    >>> abs(float(g[1] / g[0]) - 4 / 3) < 1e-6
    True
    """

    surrogate: Surrogate
    samples: int = 1
    alpha: float = 0.5
    beta: float = 2.0
    radius: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise InvalidValue(f"alpha must lie in [0, 1], got {self.alpha!r}; write 0.5 to trust both halves alike")
        for name, number in (("beta", self.beta), ("radius", self.radius)):
            if number is not None and not (math.isfinite(number) and number > 0):
                raise InvalidValue(f"{name} must be a finite number > 0, got {number!r}")
        if self.samples < 1:
            raise InvalidValue(f"samples must be at least 1, got {self.samples!r}")
        if isinstance(self.surrogate, Oracle):
            check_answers("Guided(surrogate)", Asks.GRADIENT, self.surrogate)

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        h = automatic_radius(x, 2) * math.sqrt(x.numel()) if self.radius is None else self.radius
        z = self.directions(x, key)
        scales = torch.tensor([[-h, h]] * self.samples, dtype=torch.float64)
        values = oracle.along(x, Dense(z), scales, key)
        weights = self.beta / self.samples * (values[:, 1] - values[:, 0]) / (2 * h)
        return Slope(Combination(((weights.tolist(), Dense(z)),), x.numel()), math.nan, float(values.mean()))

    def directions(self, x: Tensor, key: Key) -> Tensor:
        """The directions (1) at x (d,): (samples, d)."""
        d = x.numel()
        isotropic = draw(RandomLaw.NORMAL, Coupling.INDEPENDENT, self.samples, x, key.fold("space")).dense(x)
        basis = self._basis(x, key)
        k = basis.shape[1]
        if k == 0:
            return isotropic / math.sqrt(d)
        inside = key.fold("guide").normal(self.samples, k, like=basis)
        z = math.sqrt(self.alpha / d) * isotropic.to(basis) + math.sqrt((1 - self.alpha) / k) * inside @ basis.T
        return z.to(x)

    def _basis(self, x: Tensor, key: Key) -> Tensor:
        """U: an orthonormal basis (d, k) of the surrogate gradients, without those that say nothing new."""
        if isinstance(self.surrogate, Oracle):
            found = as_dense(self.surrogate.gradient(x, key).gradient, x)
        else:
            found = self.surrogate(x, key)
        guides = torch.atleast_2d(found).to(torch.promote_types(x.dtype, torch.float32))
        if guides.shape[1] != x.numel():
            raise ShapeMismatch(
                f"a surrogate gradient must have the point's {x.numel()} elements, got shape {tuple(found.shape)}"
            )
        lengths = guides.norm(dim=1, keepdim=True)
        usable = (lengths > 0) & torch.isfinite(lengths)
        basis, triangle = torch.linalg.qr((guides / lengths)[usable[:, 0]].T)
        independent = triangle.diagonal().abs() > 1e-5
        return basis[:, independent]
