"""Where estimator and method are put together: what stands in for parts that nobody named, and whether they fit."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from descend.descent import Descent
from descend.errors import CompositionError, InvalidValue
from descend.estimate.base import Estimator
from descend.estimate.gains import GainStep, calibrate
from descend.estimate.random_directions import RandomDirections
from descend.key import Key
from descend.oracle import Asks, Oracle, check_answers
from descend.run.method import Method
from descend.run.until import Evaluations, NoImprovement, Plateau, Rejections, StepNorm, Until
from descend.step.backtracking import Backtracking
from descend.transform.secant import BFGS

__all__ = ["Composition", "compose", "default_budget", "default_until"]

_VALUES = Asks.VALUE | Asks.VALUES
_PATIENCE = 500
"""Evaluations per dimension, and as many more, where nobody sets a budget: some hundred gradients by differences."""

_PLATEAU = 100
"""Likewise, those after which a search ends that has found nothing better."""


@dataclass(frozen=True)
class Composition:
    """An oracle and a method that fit together.

    Fields: oracle, without the estimator; estimator, or None; method, or None for a random-direction estimator whose
    gains are to be calibrated where the run begins.
    """

    oracle: Oracle
    estimator: Estimator | None
    method: Method[Any] | None

    @property
    def searches(self) -> bool:
        """Whether the method asks for values only, so that its iterate is the best point that it has seen."""
        return self.method is not None and self.method.needs in _VALUES

    def begin(self, x: Tensor, key: Key) -> tuple[Oracle, Method[Any]]:
        """The oracle that the method asks, and the method. A calibration makes its evaluations here, at x (d,)."""
        if self.estimator is None or self.method is not None:
            assert self.method is not None, "only an estimator waits for a calibration"
            return (self.oracle if self.estimator is None else self.estimator(self.oracle)), self.method
        assert isinstance(self.estimator, RandomDirections)
        gains = calibrate(self.oracle, self.estimator, x, key.fold("calibration"))
        estimator = self.estimator
        if estimator.radius is None:
            estimator = replace(estimator, radius=gains.radius)
        return estimator(self.oracle), Descent(GainStep(gains))


def compose(
    oracle: Oracle,
    estimator: Estimator | None,
    method: Method[Any] | None,
    budget: int | None = None,
    workers: int = 1,
) -> Composition:
    """Put an oracle, an estimator and a method together, before anything is evaluated.

    Where nothing is named, an oracle that answers no gradient is searched by the `Portfolio`. Where there are gradients
    and no method is named it is BFGS with backtracking, or, behind a random-direction estimator, plain descent with
    calibrated gains.

    Args:
        oracle: what is asked.
        estimator, method: what the user named.
        budget: evaluations, if they are limited.
        workers: how many evaluations run at once.

    Raises:
        MissingAnswer: the estimator or the method needs what the oracle, or the estimator, does not answer.
        CompositionError: one of them is something else, or the method has no use for the estimator.
    """
    if estimator is not None and not isinstance(estimator, Estimator):
        raise CompositionError(
            f"estimator={estimator!r} is not an estimator; write estimator=FiniteDifference() or SPSA()"
        )
    if estimator is None and method is None and Asks.GRADIENT not in oracle.answers:
        # imported here, because it knows every method, which take longer to import than all the rest of this room
        from descend.portfolio import Portfolio

        method = Portfolio(budget, workers, noisy=bool(oracle.varies & _VALUES))
    lifted = oracle if estimator is None else estimator(oracle)
    if method is None:
        if isinstance(estimator, RandomDirections):
            return Composition(oracle, estimator, None)
        method = Descent(BFGS(), Backtracking())
    if isinstance(method, type):
        raise CompositionError(f"method={method.__name__} is a class; write method={method.__name__}()")
    if not isinstance(method, Method):
        raise CompositionError(
            f"method={method!r} is not a method; a transform or a step rule becomes one inside Descent: "
            "write method=Descent(Adam(), lr=0.1)"
        )
    check_answers(method, method.needs, lifted)
    if estimator is not None and method.needs in _VALUES:
        raise CompositionError(
            f"{method!r} asks for values only, so {estimator!r} would be ignored; leave the estimator out, "
            "or write method=Descent(Adam(), lr=0.1)"
        )
    return Composition(oracle, estimator, method)


def default_budget(until: Until | None, d: int) -> int | None:
    """The evaluations that a run in d dimensions may make, None if they are not limited.

    Raises:
        InvalidValue: until is no stopping rule.
    """
    if until is None:
        return _PATIENCE * (d + 1)
    if not isinstance(until, Until):
        raise InvalidValue(f"until={until!r} is not a stopping rule; write until=Evaluations(1000) or Target(1e-6)")
    return until.limit


def default_until(until: Until | None, d: int, parts: Composition, named: bool) -> Until:
    """The stopping rule where nobody names one: a generous budget, and no waiting where nothing changes any more.

    Args:
        until: what somebody named, if anybody did.
        d: the dimension.
        parts: what the run is made of.
        named: whether the method was named by the user.
    """
    if until is not None:
        return until
    rule = Evaluations(_PATIENCE * (d + 1)) | Rejections()
    if parts.searches:  # the best point may stand still while the search goes on
        return rule if named else rule | Plateau(_PLATEAU * (d + 1))
    rule = rule | StepNorm(0.0, steps=3)
    # BFGS knows f at every iterate and makes it fall; in the end it may move in the last bits for long
    return rule if named or parts.method is None else rule | NoImprovement(10)
