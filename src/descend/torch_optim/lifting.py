"""The oracle that an optimizer asks: its closure, shared out or not, under the estimators as they are at this step."""

from dataclasses import replace
from typing import TYPE_CHECKING

from descend.errors import CompositionError
from descend.estimate.evolution import Evolution
from descend.estimate.hybrid import Hybrid
from descend.estimate.random_directions import RandomDirections
from descend.oracle import Oracle
from descend.torch_optim.groups import with_masks, with_radii
from descend.torch_optim.pacing import with_settings

if TYPE_CHECKING:
    from descend.torch_optim.optimizer import Optimizer

__all__ = ["lift"]


def lift(optimizer: "Optimizer") -> Oracle:
    """The closure's oracle under the estimators, or under the groups' own ones."""
    estimators = with_masks(optimizer.estimators, optimizer._masks)
    own = [(s, e) for s, e in zip(optimizer._stretches, optimizer._own, strict=True) if e is not None]
    if own and estimators:
        raise CompositionError(
            f"a group has the estimator {own[0][1]!r} of its own, so the other groups are by autograd, and "
            f"{estimators[0]!r} would have nothing to do; drop one of them"
        )
    if own:
        estimators = [Hybrid(tuple(own))]
    oracle: Oracle = optimizer._base
    for estimator in estimators:
        if optimizer.settings is not None:
            estimator = with_settings(estimator, optimizer.settings)
        elif isinstance(estimator, RandomDirections | Evolution):
            estimator = with_radii(estimator, optimizer.gains, optimizer.param_groups, optimizer._stretches)
        if isinstance(estimator, RandomDirections | Evolution) and estimator.hold > 1:
            estimator = replace(estimator, seed=optimizer.key.seed)
        oracle = oracle | estimator
    return oracle
