"""The ways in which an optimizer over live parameters comes to its gradient, or to its next point."""

import math
import warnings
from typing import TYPE_CHECKING

import torch

from descend.descent import Descent, DescentState
from descend.key import Key
from descend.oracle import Closure, Oracle, Slope
from descend.step.fixed import Fixed, FixedState
from descend.torch_optim.groups import Rates

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["flat_step", "slope_of"]


def slope_of(closure: Closure, lifted: Oracle, key: Key, in_place: bool) -> Slope:
    """The estimated gradient at the live parameters.

    Args:
        in_place: make it without a copy of the parameters, the forward itself is moved. If a parameter turns out to be
            reached in a way that cannot be intercepted, the copying way is taken for good.
    """
    parameters = closure.parameters
    if in_place and not closure.population.escaped:
        slope = lifted.gradient(torch.empty(parameters.size, dtype=parameters.dtype, device="meta"), key)
        if not _escape(closure, key):
            return slope
    home = parameters.gather()
    try:
        return lifted.gradient(home, key)
    finally:
        closure.restore(home)


def _escape(closure: Closure, key: Key) -> bool:
    """Whether parameters that no function was seen to use are used nevertheless; asked once, of the loss itself."""
    population = closure.population
    if not population.unseen:
        return False
    _, escaped = closure.sort_out(population.unseen, key)
    population.unseen, population.escaped = set(), escaped
    if escaped:
        names = ", ".join(closure.parameters.layout.names[i] for i in sorted(escaped))
        warnings.warn(
            f"the forward uses {names} in a way that cannot be intercepted (NumPy, compiled code), so probes are "
            "written into the parameters, which takes a copy of them; check_forward(model, batch) says more",
            RuntimeWarning,
            stacklevel=6,
        )
    return bool(escaped)


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
