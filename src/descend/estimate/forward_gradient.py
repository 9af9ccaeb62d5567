"""Forward gradient: directional derivatives by forward-mode autodiff, which keeps no graph, along random tangents.

    g_hat = (1/n) sum_i <grad f(x), z_i> z_i,    E z z^T = I                                                   (1)

Baydin, Pearlmutter, Syme, Wood and Torr (2022), "Gradients without backpropagation". It is unbiased where a finite
difference is not, and its second moment is that of `RandomDirections` with the same law: (d - 1 + m4) |g|^2 for one
tangent, (d / n) |g|^2 for n orthogonal ones.
"""

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from descend.direction import Combination
from descend.errors import InvalidValue
from descend.estimate.base import Estimator
from descend.estimate.draw import Coupling, RandomLaw
from descend.estimate.random_directions import Radius, RandomDirections
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope

__all__ = ["ForwardGradient"]


@dataclass(frozen=True)
class ForwardGradient(Estimator):
    """The estimator (1).

    Args:
        samples: n, the number of tangents.
        law: of one tangent, a `RandomLaw` or its name, default "normal".
        jvp: "exact" (default) asks the oracle for directional derivatives, each at about the cost of a value;
            "forward" and "central" difference values, as `RandomDirections` does.
        orthonormal: whether the tangents of one gradient are made orthogonal to each other and of one length,
            sqrt d, which keeps the mean and lowers the variance; d of them are the exact gradient.
        radius: of a differenced derivative; as in `RandomDirections`, whose arguments it shares.

    Raises:
        InvalidValue: an unknown law or jvp, fewer than one sample, a radius <= 0 or with an exact jvp.

    >>> import torch
    >>> from descend.oracle import Differentiable
    >>> oracle = Differentiable(lambda x: (x**2).sum()) | ForwardGradient(samples=3, orthonormal=True)
    >>> oracle.gradient(torch.tensor([1.0, 2.0, 3.0]), Key(0)).gradient.dense(torch.zeros(())).round()
    tensor([2., 4., 6.])
    """

    samples: int = 1
    law: RandomLaw | str = RandomLaw.NORMAL
    jvp: Literal["exact", "forward", "central"] = "exact"  # type: ignore[assignment]  # the question has this name too
    orthonormal: bool = False
    radius: Radius = None
    differenced: RandomDirections = field(init=False, repr=False, compare=False)
    """The same directions with differences for derivatives; it checks the arguments that they share."""

    def __post_init__(self) -> None:
        if self.jvp not in ("exact", "forward", "central"):
            raise InvalidValue(f"jvp={self.jvp!r} is unknown; write 'exact', 'forward' or 'central'")
        if self.jvp == "exact" and self.radius is not None:
            raise InvalidValue(f"an exact jvp has no radius, got {self.radius!r}; write jvp='central', or no radius")
        coupling = Coupling.ORTHOGONAL if self.orthonormal else Coupling.INDEPENDENT
        formula = "central" if self.jvp == "exact" else self.jvp
        directions = RandomDirections(self.law, formula, self.samples, self.radius, coupling)
        object.__setattr__(self, "differenced", directions)
        object.__setattr__(self, "law", directions.law)

    @property
    def needs(self) -> Asks:  # type: ignore[override]
        """Directional derivatives if they are exact, else values."""
        return Asks.JVP if self.jvp == "exact" else Asks.VALUES

    def at(self, t: int) -> Estimator:
        return self if self.jvp == "exact" else self.differenced.at(t)

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        if self.jvp != "exact":
            return self.differenced.gradient(oracle, x, key)
        z = self.differenced.directions(x, key)
        weights = (oracle.jvp(x, z, key) / self.samples).tolist()
        return Slope(Combination(((weights, z),), x.numel()))
