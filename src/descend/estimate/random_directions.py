"""Gradients from values along random directions: SPSA, RDSA, Gaussian and sphere smoothing are rows of one family.

With E z z^T = I and a finite-difference formula D for the derivative along z,

    g_hat = (1/n) sum_i D f(x; z_i) z_i        (1)

is an estimate of the gradient of f smoothed over the radius h. All probes are one `along` question under one key, so
they share their minibatch and noise (common random numbers). g_hat stays a lazy combination of directions: without a
dense transform behind it nothing of size d is made, which is all that MeZO is.

Spall (1992), "Multivariate stochastic approximation using a simultaneous perturbation gradient approximation" (sign
law); Kushner and Clark (1978) (RDSA); Nesterov and Spokoiny (2017), "Random gradient-free minimization of convex
functions" (normal law); Flaxman, Kalai and McMahan (2005) (sphere); Malladi et al. (2023), "Fine-tuning language
models with just forward passes" (MeZO). Leave-one-out baseline: Kool, van Hoof and Welling (2019).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from descend.direction import BLOCK, Combination, Dense, Directions, Scaled, Stretch
from descend.direction.masked import Mask, Masked
from descend.errors import CompositionError, InvalidValue, ShapeMismatch
from descend.estimate.base import Estimator
from descend.estimate.draw import Coupling, RandomLaw, check_rank, draw, layout_of, low_rank
from descend.estimate.mask import Magnitude
from descend.estimate.stencil import Stencil, stencil
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Oracle, Slope

__all__ = ["RDSA", "SPSA", "GaussianSmoothing", "MeZO", "RandomDirections", "SphereSmoothing", "automatic_radius"]

Radius = float | Callable[[int], float] | tuple[Stretch, ...] | None


@dataclass(frozen=True)
class RandomDirections(Estimator):
    """The estimator (1).

    Args:
        law: of one direction, a `RandomLaw` or its name: "sign", "normal", "uniform", "sphere".
        formula: a row of `STENCILS` by name; "central" has the smaller error, "forward" the fewer evaluations.
        samples: n, the number of directions.
        radius: h > 0, in the units of x; a schedule from the number of steps taken to h; (start, stop, h) triples,
            one per stretch of the point; or None (default), which follows the size of x and its dtype, see
            `automatic_radius`.
        coupling: of the directions, a `Coupling` or its name: "independent", "antithetic", "orthogonal", "quasi".
        baseline: what one-sided two-point formulas subtract: "centre" (default) asks f(x); "leave-one-out" (also
            "mean": with the factor that makes it unbiased it is the same) uses the other samples and asks nothing more.
        rank: r >= 1 for directions that are low-rank on every matrix of a model, see `LowRank`: their probes can run as
            one forward, and an update is one matrix product per weight. None (default) for dense ones.
        hold: for how many steps low-rank directions keep their right factor, and with it the subspace (LOZO). The
            average over subspaces is still the gradient; default 1.
        curvature: k >= 0 weakens probes across a strong curvature c = (f(x + h z) - 2 f(x) + f(x - h z)) / h^2: they
            are multiplied by 1 / max(1, |c|^k) (1.5-SPSA, with k = 0.1). It asks f(x) once a step, and the estimate is
            no longer that of the gradient where c varies. For formula "central"; default 0, not at all.
        mask: None (default), all weights move; a rule such as `Magnitude`, which an Optimizer looks up once in the
            weights that training begins with; or the `Mask` that ``Magnitude(0.25).of([x0])`` is. For dense directions.

    A gradient takes n * m evaluations for a formula with m points off the centre, and one more where it uses the
    centre. Raises `InvalidValue` for an unknown name, a radius <= 0, fewer than 1 sample (2 with leave-one-out), or an
    odd number of antithetic ones.

    >>> from descend.oracle import Function
    >>> oracle = Function(lambda x: (x**2).sum()) | RandomDirections("sign", samples=4, coupling="orthogonal")
    >>> slope = oracle.gradient(torch.tensor([1.0, 2.0, 3.0, 4.0]), Key(0))
    >>> slope.gradient.dense(torch.zeros(())).round()
    tensor([2., 4., 6., 8.])
    """

    law: RandomLaw | str = RandomLaw.SIGN
    formula: str | Stencil = "central"
    samples: int = 1
    radius: Radius = None
    coupling: Coupling | str = Coupling.INDEPENDENT
    baseline: Literal["centre", "leave-one-out", "mean"] = "centre"
    rank: int | None = None
    hold: int = 1
    curvature: float = 0.0
    mask: Magnitude | Mask | None = None
    epoch: int = field(default=0, repr=False, compare=False)  # which subspace is held; `at` puts it
    seed: int = field(default=0, repr=False, compare=False)  # of the run whose subspaces they are
    scaled: bool = field(default=False, repr=False, compare=False)  # steps in the units of the radii; settings put it
    row: Stencil = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "law", _member(RandomLaw, self.law, "law"))
        object.__setattr__(self, "coupling", _member(Coupling, self.coupling, "coupling"))
        object.__setattr__(self, "row", stencil(self.formula))
        if self.samples < 1:
            raise InvalidValue(f"samples must be at least 1, got {self.samples!r}")
        if self.coupling is Coupling.ANTITHETIC and self.samples % 2:
            raise InvalidValue(f"antithetic directions come in pairs, got samples={self.samples}; write an even number")
        if self.baseline not in ("centre", "leave-one-out", "mean"):
            raise InvalidValue(f"unknown baseline {self.baseline!r}; write 'centre', 'leave-one-out' or 'mean'")
        if self._leaves_one_out and (self.samples < 2 or len(self.row.offsets) != 2 or not self.row.one_sided):
            raise InvalidValue(
                f"baseline={self.baseline!r} needs samples >= 2 and formula 'forward' or 'backward', "
                f"got samples={self.samples}, formula={self.row.name!r}"
            )
        check_rank(self.rank, self.hold, self.law, self.coupling)  # type: ignore[arg-type]  # they are members now
        self._check_options()
        numbers = [factor for _, _, factor in self.radius] if isinstance(self.radius, tuple) else [self.radius]
        for number in numbers:
            if number is None or callable(number):
                continue
            if not (isinstance(number, int | float) and math.isfinite(number) and number > 0):
                raise InvalidValue(
                    f"radius must be a finite number > 0, got {number!r}; write None to choose it by itself"
                )

    def _check_options(self) -> None:
        if not 0 <= self.curvature < math.inf:
            raise InvalidValue(
                f"curvature must be a finite number >= 0, got {self.curvature!r}; write 0.1, or 0 for off"
            )
        if self.curvature and (self.row.offsets != (-1.0, 1.0) or isinstance(self.radius, tuple)):
            raise InvalidValue(
                f"curvature={self.curvature!r} needs formula='central' and one radius, got {self.row.name!r} and "
                f"radius={self.radius!r}; leave it out"
            )
        if self.mask is not None and self.rank is not None:
            raise InvalidValue(f"mask={self.mask!r} leaves no matrix of low rank; drop it, or rank={self.rank}")

    def __repr__(self) -> str:
        """What differs from the defaults, so that messages stay short."""
        shown = [f"{self.law.value!r}" if isinstance(self.law, RandomLaw) else repr(self.law)]
        if self.row.name != "central2":
            shown.append(f"formula={self.row.name!r}")
        shown += [f"samples={self.samples}"] if self.samples != 1 else []
        shown += [f"radius={self.radius!r}"] if self.radius is not None else []
        if self.coupling is not Coupling.INDEPENDENT:
            shown.append(f"coupling={getattr(self.coupling, 'value', self.coupling)!r}")
        shown += [f"baseline={self.baseline!r}"] if self.baseline != "centre" else []
        shown += [f"rank={self.rank}"] if self.rank is not None else []
        shown += [f"hold={self.hold}"] if self.hold != 1 else []
        shown += [f"curvature={self.curvature!r}"] if self.curvature else []
        shown += [f"mask={self.mask!r}"] if self.mask is not None else []
        return f"RandomDirections({', '.join(shown)})"

    @property
    def _leaves_one_out(self) -> bool:
        return self.baseline != "centre"

    def at(self, t: int) -> "RandomDirections":
        if not callable(self.radius) and self.hold == 1:
            return self
        return replace(self, radius=self.radius(t) if callable(self.radius) else self.radius, epoch=t // self.hold)

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        z = self.directions(x, key, oracle.layout)
        offsets = (self.row.offsets[1],) if self._leaves_one_out else self.row.offsets
        h = 1.0
        probing: Directions = z
        if isinstance(self.radius, tuple):
            probing = Scaled(z, self.radius)
        else:
            h = automatic_radius(x, self.row.order) if self.radius is None else self.radius
            assert not callable(h), "a schedule is put by at(t) before anything is asked"
        if self.curvature:
            offsets = (-1.0, 1.0, 0.0)
        values = oracle.along(x, probing, _scales(offsets, h, self.samples), key)
        if self.curvature:
            weights, value, nearby = self._weigh_by_curvature(values, h)
        else:
            weights, value, nearby = self._weigh(values.tolist(), offsets, h)
        return Slope(self._combined(weights, z), value, nearby)

    def combination(self, weights: list[float], x: Tensor, key: Key, layout: Layout | None = None) -> Combination:
        """The estimate that these weights made at x under a key: all that is random is remade, nothing is asked."""
        made = self if len(weights) == self.samples else replace(self, samples=len(weights))
        return made._combined(weights, made.directions(x, key, layout))

    def _combined(self, weights: list[float], z: Directions) -> Combination:
        if isinstance(self.radius, tuple):  # h_g z in, z / h_g out: SPSA in the units of each stretch
            # or h_g z out: the gradient in the units x / h_g, taken back to those of x
            z = Scaled(z, self.radius if self.scaled else tuple((a, b, 1 / h) for a, b, h in self.radius))
        return Combination(((weights, z),), z.size)

    def directions(self, x: Tensor, key: Key, layout: Layout | None = None) -> Directions:
        """The directions at x under a key; small blocks are made dense at once, since they are used twice."""
        if self.rank is not None:
            held = Key(self.seed).fold("subspace", self.epoch) if self.hold > 1 else None
            return low_rank(self.law, self.coupling, self.samples, self.rank, key, layout_of(x, layout), held)  # type: ignore[arg-type]
        z = draw(self.law, self.coupling, self.samples, x, key)  # type: ignore[arg-type]  # names are members by now
        z = z if self.mask is None else self._masked(z)
        wide = x.dtype.itemsize >= 4 and not x.is_meta  # narrow ones would be rounded before they are summed
        small = wide and self.samples * x.numel() <= BLOCK and not isinstance(z, Dense)
        return Dense(z.dense(x)) if small else z

    def _masked(self, z: Directions) -> Directions:
        if not isinstance(self.mask, Mask):
            raise CompositionError(
                f"{self.mask!r} is looked up in the weights that training begins with, which an Optimizer does; "
                f"elsewhere write mask={self.mask!r}.of([x0])"
            )
        if self.mask.size != z.size:
            raise ShapeMismatch(
                f"{self.mask!r} is the mask of a point of {self.mask.size} elements, this one has {z.size}"
            )
        return Masked(z, self.mask)

    def _weigh(
        self, values: list[list[float]], offsets: tuple[float, ...], h: float
    ) -> tuple[list[float], float, float]:
        """Weights of the directions in the estimate, f(x) if it was asked, and the mean of the probes."""
        n = self.samples
        probed = [v for line in values for v, offset in zip(line, offsets, strict=True) if offset != 0.0]
        nearby = math.fsum(probed) / len(probed) if all(map(math.isfinite, probed)) else math.nan
        if self._leaves_one_out:
            scale = offsets[0] * h * (n - 1)
            return [(v - nearby) / scale for (v,) in values], math.nan, nearby
        stencil_weights = [w / (h * n) for w in self.row.weights]
        weights = [sum(w * v for w, v in zip(stencil_weights, line, strict=True)) for line in values]
        value = values[0][offsets.index(0.0)] if self.row.one_sided else math.nan
        return weights, value, nearby

    def _weigh_by_curvature(self, values: Tensor, h: float) -> tuple[list[float], float, float]:
        """As `_weigh`, for values (n, 3) at -h, h and 0: w_i = 1 / max(1, |c_i|^k)."""
        below, above, centre = values.unbind(1)
        c = ((above - centre) + (below - centre)) / h**2
        weights = (above - below) / (2 * h * self.samples) / c.abs().pow(self.curvature).clamp(min=1)
        return weights.tolist(), float(centre[0]), float(values[:, :2].mean())


@lru_cache(maxsize=256)
def _scales(offsets: tuple[float, ...], h: float, n: int) -> Tensor:
    return torch.tensor([[offset * h for offset in offsets]] * n, dtype=torch.float64)


def _member(kind: type, value: object, what: str) -> object:
    if isinstance(value, kind):
        return value
    names = [member.value for member in kind]  # type: ignore[attr-defined]
    if value not in names:
        raise InvalidValue(f"unknown {what} {value!r}; write one of {', '.join(map(repr, names))}")
    return kind(value)


def automatic_radius(x: Tensor, order: int) -> float:
    """h = eps^(1/(order + 1)) * rms(x): rounding balances truncation for a function as smooth as x is large.

    eps is that of x's dtype, and rms(x) is taken as 1 where x is zero. It is rounded to a power of two, so that it does
    not change with every step.

    >>> automatic_radius(torch.ones(4), 2)
    0.00390625
    """
    eps = torch.finfo(x.dtype).eps
    wide = torch.promote_types(x.dtype, torch.float32)
    size = float(torch.linalg.vector_norm(x, dtype=wide)) / math.sqrt(x.numel())  # no squares of size d are held
    size = size if math.isfinite(size) and size > 0 else 1.0
    return 2.0 ** round(math.log2(size * eps ** (1 / (order + 1))))


def SPSA(
    radius: Radius = None,
    samples: int = 1,
    *,
    formula: str | Stencil = "central",
    coupling: Coupling | str = Coupling.INDEPENDENT,
    baseline: Literal["centre", "leave-one-out", "mean"] = "centre",
    rank: int | None = None,
    hold: int = 1,
    curvature: float = 0.0,
    mask: Magnitude | Mask | None = None,
) -> RandomDirections:
    """Simultaneous perturbation (Spall 1992): random signs, two-sided, two evaluations per sample.

    The arguments are those of `RandomDirections`. Signs have the smallest variance of all independent laws.

    >>> SPSA(1e-3).samples
    1
    """
    return RandomDirections(RandomLaw.SIGN, formula, samples, radius, coupling, baseline, rank, hold, curvature, mask)


def MeZO(radius: Radius = 1e-3, samples: int = 1) -> RandomDirections:
    """SPSA with normal directions held as a seed (Malladi et al. 2023): nothing of size d is made.

    That holds as long as no dense transform follows. It is no estimator of its own: `SPSA` without a dense transform
    has the same memory and better constants.
    """
    return RandomDirections(RandomLaw.NORMAL, "central", samples, radius)


def RDSA(
    radius: Radius = None,
    samples: int = 1,
    *,
    formula: str | Stencil = "central",
    coupling: Coupling | str = Coupling.INDEPENDENT,
    baseline: Literal["centre", "leave-one-out", "mean"] = "centre",
) -> RandomDirections:
    """Random direction stochastic approximation (Kushner and Clark 1978): normal directions, two-sided."""
    return RandomDirections(RandomLaw.NORMAL, formula, samples, radius, coupling, baseline)


def GaussianSmoothing(
    radius: Radius = None,
    samples: int = 100,
    *,
    formula: str | Stencil = "forward",
    coupling: Coupling | str = Coupling.INDEPENDENT,
    baseline: Literal["centre", "leave-one-out", "mean"] = "centre",
) -> RandomDirections:
    """The gradient of f convolved with a Gaussian of standard deviation `radius` (Nesterov and Spokoiny 2017).

    One-sided by default: samples + 1 evaluations. A large radius smooths small-scale roughness away on purpose.
    """
    return RandomDirections(RandomLaw.NORMAL, formula, samples, radius, coupling, baseline)


def SphereSmoothing(
    radius: Radius = None,
    samples: int = 1,
    *,
    formula: str | Stencil = "central",
    coupling: Coupling | str = Coupling.INDEPENDENT,
    baseline: Literal["centre", "leave-one-out", "mean"] = "centre",
) -> RandomDirections:
    """The gradient of f averaged over a ball (Flaxman et al. 2005): directions uniform on a sphere."""
    return RandomDirections(RandomLaw.SPHERE, formula, samples, radius, coupling, baseline)
