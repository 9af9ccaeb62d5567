"""The one first-order loop: a gradient, transformed into a direction, and a step along it.

x_{k+1} = step(x_k, transform(gradient(x_k))). A step whose gradient is not finite is rejected: the iterate and every
state stay as they were, and the next step draws other randomness. One that leads to a point that is not finite leaves
the iterate where it was.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from descend.direction import as_dense
from descend.errors import CompositionError, ShapeMismatch
from descend.key import Key
from descend.oracle import Asks, Oracle, Slope
from descend.space.domain import Domain
from descend.step.base import Step
from descend.step.fixed import Fixed, Rate
from descend.transform.chain import At, Transform, apply_chain, init_chain
from descend.tree import state

__all__ = ["Descent", "DescentState", "split_parts"]


@state
class DescentState:
    """Where a descent stands.

    Fields: x (d,); value, f(x) or NaN if it was not asked; loss, what is known of f near the last x; t, steps
    taken; rejected, how many of them were; key; the states of the transforms and of the step rule; gradient (d,), what
    the oracle said of it at x if it has been asked there, else None.
    """

    x: Tensor
    value: float
    loss: float
    t: int
    rejected: int
    key: Key
    transforms: tuple[Any, ...]
    step: Any
    gradient: Tensor | None = None

    @property
    def done(self) -> str:
        """Nothing: a descent can always be asked for another step."""
        return ""


@dataclass(frozen=True, init=False)
class Descent:
    """A chain of transforms and a step rule as a method.

    Args:
        parts: transforms in the order in which they are applied, and at most one step rule, last.
        lr: the learning rate of a fixed step, a number or a schedule, where there is no step rule; default 1.0,
            which suits second-order transforms only.

    Raises:
        CompositionError: a part that is neither, a step rule that is not last, or both a step rule and lr.

    >>> import descend as dd
    >>> dd.Descent(dd.ClipNorm(1.0), dd.Sign(), lr=0.1)
    Descent(ClipNorm(max_norm=1.0), Sign(), Fixed(lr=0.1))
    """

    chain: tuple[Transform[Any], ...]
    step: Step[Any]

    def __init__(self, *parts: Transform[Any] | Step[Any], lr: Rate | None = None) -> None:
        chain, step = split_parts(parts)
        if step is not None and lr is not None:
            raise CompositionError(f"{step!r} decides the length of a step, so lr={lr!r} would be ignored; drop one")
        object.__setattr__(self, "chain", chain)
        object.__setattr__(self, "step", step or Fixed(1.0 if lr is None else lr))

    def __repr__(self) -> str:
        return f"Descent({', '.join(repr(part) for part in (*self.chain, self.step))})"

    @property
    def needs(self) -> Asks:
        """What its parts ask the oracle for."""
        needs = Asks.GRADIENT | self.step.needs
        for transform in self.chain:
            needs |= transform.needs
        return needs

    def init(self, x: Tensor, key: Key, domain: Domain | None = None) -> DescentState:
        """The state before the first step at x (d,); of the domain the oracle takes care.

        Raises:
            ShapeMismatch: x is not flat, or not floating point.
        """
        if x.dim() != 1 or not x.is_floating_point():
            raise ShapeMismatch(
                f"a point is a flat (d,) tensor of floating point numbers, got shape {tuple(x.shape)} of {x.dtype}; "
                "write x.reshape(-1), or minimize(f, x0), which takes any shape"
            )
        return DescentState(x, math.nan, math.nan, 0, 0, key, init_chain(self.chain, x), self.step.init(x))

    def advance(self, oracle: Oracle, state: DescentState) -> DescentState:
        """One step."""
        key = state.key.fold(state.t)
        oracle = oracle.at(state.t)
        slope = _slope(oracle, state, key)
        if not slope.is_finite():
            return replace(state, t=state.t + 1, rejected=state.rejected + 1)
        whole = as_dense(slope.gradient, state.x)
        free = oracle.free(state.x, whole)
        gradient = whole if free is None else whole * free
        slope = Slope(gradient, slope.value, slope.nearby)
        at = At(state.x, oracle, key, slope.value)
        # a transform may overwrite its gradient, while the step rule still wants to read it
        direction, transforms = apply_chain(self.chain, gradient.clone(), state.transforms, at)
        if free is not None:
            direction = direction * free
        moved = self.step(oracle, state.x, direction, slope, state.step, key)
        if not torch.isfinite(moved.x.sum()) and not torch.isfinite(moved.x).all():
            # the gradient was finite and the transforms have taken it in, but the point it led to is not a point
            return replace(state, transforms=transforms, t=state.t + 1, rejected=state.rejected + 1)
        # at a point that a step stayed at nothing is kept: if the noise is one that nobody declared, asking again helps
        return DescentState(
            moved.x,
            moved.value,
            slope.loss,
            state.t + 1,
            state.rejected,
            state.key,
            transforms,
            moved.state,
            moved.gradient,
        )


def _slope(oracle: Oracle, state: DescentState, key: Key) -> Slope:
    """The slope at x, of which what the last step learned under its own key is not asked again if it still holds."""
    value = math.nan if Asks.VALUE in oracle.varies else state.value
    if state.gradient is not None and Asks.GRADIENT not in oracle.varies and not math.isnan(value):
        return Slope(state.gradient, value)
    slope = oracle.gradient(state.x, key)
    return replace(slope, value=value) if math.isnan(slope.value) else slope


def split_parts(parts: tuple[Any, ...]) -> tuple[tuple[Transform[Any], ...], Step[Any] | None]:
    """Transforms and the step rule of a list of parts, in words if they do not fit."""
    step = parts[-1] if parts and isinstance(parts[-1], Step) else None
    chain = parts[: len(parts) - (step is not None)]
    for part in chain:
        if isinstance(part, Step):
            raise CompositionError(
                f"the step rule {part!r} must come last; it decides how far the direction is followed"
            )
        if not isinstance(part, Transform):
            raise CompositionError(
                f"{part!r} is neither a transform nor a step rule; an estimator comes first, before every transform: "
                "minimize(f, x0, estimator=..., method=Descent(...)) or Optimizer(model, estimator, transform, ...)"
            )
    return chain, step
