"""Bounds: every point that is asked about lies within them, and probes keep their symmetry at the boundary.

A symmetric difference at a point on a bound would leave the box. Sadegh (1997), "Constrained optimization via
stochastic approximation with a simultaneous perturbation gradient approximation", moves the centre inward by as much
as the probes need: x -> P(x), low + |s z| <= P(x) <= high - |s z|. Here that is done for each direction alone, so a
coordinate direction moves the centre in its own coordinate only. Formulas that use f(x) itself cannot move it; there
an infeasible probe is replaced by the odd reflection f(x + s z) ~ 2 f(x) - f(x - s z), which turns a forward
difference into a backward one of the same order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from descend.direction import Directions
from descend.errors import InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle.core import Slope
from descend.oracle.wrap import Wrapped
from descend.space.domain import Domain

__all__ = ["Bounded", "as_bounds"]


@dataclass(frozen=True, eq=False)
class Bounded(Wrapped):
    """An oracle within low <= x <= high.

    Args:
        base: the oracle inside.
        low, high: (d,) in the points' dtype and on their device, low < high; infinite where there is no bound.

    Raises:
        ShapeMismatch: low and high have different shapes.
        InvalidValue: low >= high somewhere, or NaN.

    >>> from descend.oracle import Function
    >>> box = Bounded(Function(lambda x: x.sum()), torch.zeros(2), torch.ones(2))
    >>> box.value(torch.tensor([-3.0, 0.5]), Key(0)), box.project(torch.tensor([-3.0, 0.5]))
    (0.5, tensor([0.0000, 0.5000]))
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        if self.low.shape != self.high.shape or self.low.dim() != 1:
            raise ShapeMismatch(
                "Bounded needs low and high of one shape (d,), "
                f"got {tuple(self.low.shape)} and {tuple(self.high.shape)}"
            )
        wrong = (~(self.low < self.high)).nonzero()[:, 0].tolist()
        if wrong:
            i = wrong[0]
            low, high = float(self.low[i]), float(self.high[i])
            advice = (
                "a fixed coordinate is no coordinate: leave it out of x0"
                if low == high
                else "the first of a pair is the lower bound"
            )
            raise InvalidValue(f"bounds need low < high, got low={low:g}, high={high:g} for coordinate {i}; {advice}")

    def __repr__(self) -> str:
        return f"Bounded({self.base!r})"

    @property
    def domain(self) -> Domain:  # type: ignore[override]
        return Domain.box(self.low, self.high)

    def project(self, x: Tensor) -> Tensor:
        return torch.clamp(self.base.project(x), self.low, self.high)

    def free(self, x: Tensor, gradient: Tensor) -> Tensor | None:
        held = ((x <= self.low) & (gradient > 0)) | ((x >= self.high) & (gradient < 0))
        below = self.base.free(x, gradient)
        if not bool(held.any()):
            return below
        return ~held if below is None else ~held & below

    def value(self, x: Tensor, key: Key) -> float:
        return self.base.value(self.project(x), key)

    def values(self, xs: Tensor, key: Key) -> Tensor:
        return self.base.values(self.project(xs), key)

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return super().gradient(self.project(x), key)

    def jvp(self, x: Tensor, directions: Directions, key: Key) -> Tensor:
        return super().jvp(self.project(x), directions, key)

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        return super().hvp(self.project(x), direction, key)

    def residuals(self, x: Tensor, key: Key) -> Tensor:
        return super().residuals(self.project(x), key)

    def jacobian(self, x: Tensor, key: Key) -> Tensor:
        return super().jacobian(self.project(x), key)

    def along(self, x: Tensor, directions: Directions, scales: Tensor, key: Key) -> Tensor:
        x = self.project(x)
        answers = torch.empty_like(scales)
        at_x = scales == 0
        centre = self.value(x, key) if bool(at_x.any()) else None
        if centre is not None:
            answers[at_x] = centre
        rows = max(1, self.memory // max(1, scales.shape[1] * x.numel() * x.element_size()))
        for first in range(0, len(scales), rows):
            part = slice(first, min(len(scales), first + rows))
            z = directions.tile(part.start, part.stop, 0, x.numel(), x)
            if centre is None:
                points, mirrored = self._moved_inward(x, z, scales[part]), None
            else:
                points, mirrored = self._mirrored(x, z, scales[part])
            asked = ~at_x[part]
            values = self.values(points[asked.to(x.device)], key)
            if mirrored is not None and centre is not None:
                values = torch.where(mirrored[asked], 2 * centre - values, values)
            answers[part][asked] = values
        return answers

    def _moved_inward(self, x: Tensor, z: Tensor, scales: Tensor) -> Tensor:
        """Probes (n, m, d) around centres that are moved inward, each as far as its own direction needs."""
        s = scales.to(x)
        least, most = s.amin(1, keepdim=True) * z, s.amax(1, keepdim=True) * z
        nothing = torch.zeros_like(z)
        reach_down = torch.minimum(torch.minimum(least, most), nothing)
        reach_up = torch.maximum(torch.maximum(least, most), nothing)
        centres = torch.clamp(x, self.low - reach_down, self.high - reach_up)
        return torch.clamp(centres[:, None] + s[:, :, None] * z[:, None], self.low, self.high)

    def _mirrored(self, x: Tensor, z: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
        """Probes (n, m, d) around x itself, and which of them (n, m) were reflected through x to stay inside."""
        step = scales.to(x)[:, :, None] * z[:, None]
        there, back = x + step, x - step
        inside, other = self._holds(there), self._holds(back)
        mirrored = ~inside & other
        points = torch.where(mirrored[:, :, None], back, there)
        return torch.clamp(points, self.low, self.high), mirrored.cpu()

    def _holds(self, points: Tensor) -> Tensor:
        return ((points >= self.low) & (points <= self.high)).all(-1)


def as_bounds(bounds: Any, x: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """What users write for bounds as two flat (d,) tensors like x.

    Args:
        bounds: a tuple (low, high), each a number or an array that broadcasts to x0's shape; or a list with one pair
            (low, high) per coordinate, as SciPy takes it. None stands for no bound.
        x: the flat point (d,).
        shape: of x0.

    A bound that the points' dtype cannot hold exactly is rounded inward.

    >>> as_bounds([(0, 1), (None, 2)], torch.zeros(2), (2,))
    (tensor([0., -inf]), tensor([1., 2.]))
    """
    low, high = _sides(bounds, x.numel(), shape)
    return (
        _inward(_side(low, "low", -np.inf, shape), x, 1),
        _inward(_side(high, "high", np.inf, shape), x, -1),
    )


def _sides(bounds: Any, d: int, shape: tuple[int, ...]) -> tuple[Any, ...]:
    if isinstance(bounds, list):
        if len(bounds) != d or not all(isinstance(pair, Sequence | np.ndarray) and len(pair) == 2 for pair in bounds):
            raise InvalidValue(
                f"a list of bounds holds one pair (low, high) for each of the {d} coordinates, got {_short(bounds)}; "
                "write bounds=(low, high) for the same bounds everywhere"
            )
        return tuple(
            np.array([free if pair[i] is None else pair[i] for pair in bounds], dtype=object).reshape(shape)
            for i, free in ((0, -np.inf), (1, np.inf))
        )
    if not isinstance(bounds, tuple) or len(bounds) != 2:
        raise InvalidValue(f"bounds must be a tuple (low, high) or a list of pairs, got {_short(bounds)}")
    low, high = bounds
    if isinstance(low, Sequence) and isinstance(high, Sequence) and len(low) == len(high) == d == 2:
        raise InvalidValue(
            f"bounds={_short(bounds)} could mean two pairs or (low, high); write a list [(low, high), (low, high)] for "
            "pairs, or a tuple of two arrays for low and high"
        )
    return low, high


def _side(side: Any, name: str, free: float, shape: tuple[int, ...]) -> np.ndarray:
    """One side as a float64 array of x0's shape; None means free."""
    if isinstance(side, Tensor):
        side = side.detach().cpu().to(torch.float64).numpy()
    if side is None:
        side = free
    elif isinstance(side, Sequence) and not isinstance(side, str):
        side = [free if one is None else one for one in side]
    try:
        return np.broadcast_to(np.asarray(side, dtype=np.float64), shape)
    except (TypeError, ValueError):
        raise InvalidValue(
            f"the {name} bound must be a number or numbers of x0's shape {shape}, got {_short(side)}"
        ) from None


def _inward(side: np.ndarray, x: Tensor, towards: int) -> Tensor:
    """A side in the dtype of x; where rounding went outward, the next number inward."""
    exact = torch.tensor(side.reshape(-1).copy(), dtype=torch.float64)
    near = exact.to(x.dtype)
    outside = (near.double() - exact) * towards < 0
    stepped = torch.nextafter(near, torch.full_like(near, towards * float("inf"))) if bool(outside.any()) else near
    return torch.where(outside, stepped, near).to(x.device)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
