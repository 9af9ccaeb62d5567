"""The ways in which an optimizer over live parameters comes to its gradient, or to its next point."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from descend.descent import Descent, DescentState
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Closure, Oracle, Slope
from descend.oracle.examples import Over
from descend.step.fixed import Fixed, FixedState
from descend.torch_optim.groups import Rates

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["about", "flat_step", "no_closure", "over", "slope_of"]


def no_closure() -> float:
    """What is asked before there is a closure."""
    raise InvalidValue("the optimizer has no closure to ask; write step(closure)")


def over(model: nn.Module | None, loss: Callable[..., Any] | None, batch: Any) -> Callable[[], Any]:
    """The closure of a loss over a batch."""
    if model is None or loss is None:
        raise InvalidValue(
            "step(loss, batch) asks loss(model, batch), and this optimizer was given "
            f"{'no loss' if model is not None else 'parameters without their module'}; write "
            f"{'step(loss, batch)' if model is not None else 'Optimizer(model, ...), or step(closure)'}"
        )
    return Over(loss, model, batch)


def slope_of(closure: Closure, lifted: Oracle, key: Key, in_place: bool) -> Slope:
    """The estimated gradient at the live parameters; `in_place` makes no copy of them, the forward itself is moved."""
    parameters = closure.parameters
    if in_place:
        return lifted.gradient(torch.empty(parameters.size, dtype=parameters.dtype, device="meta"), key)
    home = parameters.gather()
    try:
        return lifted.gradient(home, key)
    finally:
        closure.restore(home)


def about(optimizer: "Optimizer") -> dict[str, str]:
    """What has to be the same on all ranks; not the learning rate, which schedulers change."""
    layout = optimizer.parameters.layout
    shapes = zip(layout.names, layout.shapes, strict=True)
    return {
        "key": str(optimizer.key),
        "parts": str(optimizer.parts),
        "parameters": ", ".join(f"{name} {shape}" for name, shape in shapes),
    }


def flat_step(optimizer: "Optimizer") -> float:
    """One step of `Descent` on the gathered point; returns the loss."""
    home = optimizer.parameters.gather()
    pieces = zip(optimizer._stretches, optimizer._rates, strict=True)
    scale = Rates(tuple((start, stop, rate) for (start, stop), rate in pieces))
    method = Descent(*optimizer._chains[0], scale, optimizer._rule or Fixed(1.0))
    before = DescentState(
        home,
        math.nan,
        math.nan,
        optimizer.t,
        0,
        optimizer.key,
        (*(optimizer._states or ()), None),
        FixedState(optimizer.t) if optimizer._rule is None else optimizer._rule_state,
    )
    goal = home
    try:
        after = method.advance(optimizer._lifted, before)
        goal = after.x
    finally:
        optimizer._closure.restore(goal)
    optimizer.t, optimizer.rejected = after.t, optimizer.rejected + after.rejected
    optimizer._states, optimizer._rule_state = after.transforms[:-1], after.step
    return after.loss
