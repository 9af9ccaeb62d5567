"""Every contract of the kit can be broken: for each there is a toy that breaks it, and is caught in a sentence."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

import descend as dd
from descend.direction import as_dense
from descend.estimate.base import Estimator
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Oracle, Slope
from descend.step import Fixed, Moved, Step
from descend.step.fixed import FixedState
from descend.testing import estimator as of_estimators
from descend.testing import method as of_methods
from descend.testing import oracle as of_oracles
from descend.testing import step as of_steps
from descend.testing import transform as of_transforms
from descend.testing.objectives import wavy
from descend.transform import At, Transform
from descend.transform.momentum import Velocity

BOOM = AssertionError


@dataclass(frozen=True)
class ToyEstimator(Estimator):
    """SPSA, with something wrong that `wrong` does to its slope."""

    wrong: Callable[[Slope, Oracle, Tensor, Key], Slope]
    gives = Asks.GRADIENT
    keeps = Asks.VALUE | Asks.VALUES

    def gradient(self, oracle: Oracle, x: Tensor, key: Key) -> Slope:
        return self.wrong(dd.SPSA().gradient(oracle, x, key), oracle, x, key)


class Leaky(ToyEstimator):
    """Hands the oracle below on as it is."""

    def __call__(self, oracle: Oracle) -> Any:
        return oracle


def _times(factor: float) -> Callable[..., Slope]:
    return lambda slope, oracle, x, key: replace(slope, gradient=factor * as_dense(slope.gradient, x))


def _uncounted(slope: Slope, oracle: Oracle, x: Tensor, key: Key) -> Slope:
    oracle.f(x)  # type: ignore[attr-defined]
    return slope


def _overwriting(slope: Slope, oracle: Oracle, x: Tensor, key: Key) -> Slope:
    x.add_(1e-3)
    return slope


def _hopeful(slope: Slope, oracle: Oracle, x: Tensor, key: Key) -> Slope:
    return Slope(as_dense(slope.gradient, x).nan_to_num(), slope.value, slope.nearby)


def _restless(slope: Slope, oracle: Oracle, x: Tensor, key: Key) -> Slope:
    return dd.SPSA().gradient(oracle, x, Key.fresh())


BROKEN_ESTIMATORS: list[tuple[Callable[[Estimator], None], Estimator, str]] = [
    (of_estimators.asks_what_it_needs, ToyEstimator(lambda s, o, x, k: o.gradient(x, k)), "more than"),
    (of_estimators.hides_what_it_does_not_give, Leaky(_times(1.0)), "answers VALUE.*JVP"),
    (of_estimators.never_differentiates, ToyEstimator(lambda s, o, x, k: o.gradient(x, k)), "differentiated"),
    (of_estimators.repeats_under_a_key, ToyEstimator(_restless), "asked again"),
    (of_estimators.leaves_everything_as_it_was, ToyEstimator(_overwriting), "changed the point"),
    (
        of_estimators.keeps_dtype_and_size,
        ToyEstimator(lambda s, o, x, k: Slope(as_dense(s.gradient, x).double())),
        "float64",
    ),
    (of_estimators.keeps_dtype_and_size, ToyEstimator(_times(-1.0)), "downhill"),
    (of_estimators.counts_every_evaluation, ToyEstimator(_uncounted), "ledger"),
    (of_estimators.rejects_what_failed, ToyEstimator(_hopeful), "hides"),
    (of_estimators.right_mean, ToyEstimator(_times(1.5)), "off by"),
    (lambda e: of_estimators.right_second_moment(e, 6.0), ToyEstimator(_times(1.05)), "second moment"),
    (lambda e: of_estimators.right_second_moment(e, 6.0), dd.SPSA(samples=2), "second moment"),
    (lambda e: of_estimators.right_count(e, 2), dd.SPSA(samples=2), "4 evaluations .* instead of 2"),
]


@pytest.mark.parametrize(("contract", "toy", "sentence"), BROKEN_ESTIMATORS)
def test_a_broken_estimator_is_caught(contract: Callable[[Estimator], None], toy: Estimator, sentence: str) -> None:
    with pytest.raises(BOOM, match=sentence):
        contract(toy)


@dataclass(frozen=True, eq=False)
class ToyTransform(Transform[Velocity]):
    """Momentum that is wrong in one way."""

    wrong: Callable[[Tensor, Velocity, At], Tensor]

    def init(self, x: Tensor) -> Velocity:
        return Velocity(torch.zeros_like(x), 0)

    def __call__(self, gradient: Tensor, state: Velocity, at: At) -> tuple[Tensor, Velocity]:
        state.velocity.mul_(0.9).add_(gradient)
        return self.wrong(gradient.copy_(state.velocity), state, at), Velocity(state.velocity, state.t + 1)


@dataclass(frozen=True, eq=False)
class Hidden(ToyTransform):
    """Remembers something outside of its state."""

    def init(self, x: Tensor) -> Velocity:
        object.__setattr__(self, "calls", 0)
        return super().init(x)

    def __call__(self, gradient: Tensor, state: Velocity, at: At) -> tuple[Tensor, Velocity]:
        object.__setattr__(self, "calls", self.calls + 1)  # type: ignore[attr-defined]
        return super().__call__(gradient * self.calls, state, at)  # type: ignore[attr-defined]


def _scribbling(direction: Tensor, state: Velocity, at: At) -> Tensor:
    at.x.add_(1.0)
    return direction


BROKEN_TRANSFORMS: list[tuple[Callable[[Transform[Any]], None], Transform[Any], str]] = [
    (of_transforms.repeats, ToyTransform(lambda g, s, at: g + Key.fresh().normal(8, like=g)), "other directions"),
    (of_transforms.resumes_at_every_step, Hidden(lambda g, s, at: g), "resumed at step"),
    (of_transforms.leaves_the_point_alone, ToyTransform(_scribbling), "writes to the point"),
    (of_transforms.leaves_the_point_alone, ToyTransform(lambda g, s, at: s.velocity), "shares memory"),
    (of_transforms.reads_the_point_only_if_it_says_so, ToyTransform(lambda g, s, at: g + at.x), "reads_point"),
    (of_transforms.keeps_dtype_and_shape, ToyTransform(lambda g, s, at: g.double()), "float64"),
    (of_transforms.keeps_dtype_and_shape, ToyTransform(lambda g, s, at: g[None]), "shape"),
    (of_transforms.walks_in_blocks_if_separable, ToyTransform(lambda g, s, at: g / g.norm()), "not alone"),
    (of_transforms.is_finite_whatever_comes, ToyTransform(lambda g, s, at: g / g.norm()), "not finite"),
]


@pytest.mark.parametrize(("contract", "toy", "sentence"), BROKEN_TRANSFORMS)
def test_a_broken_transform_is_caught(contract: Callable[..., None], toy: Transform[Any], sentence: str) -> None:
    with pytest.raises(BOOM, match=sentence):
        contract(toy)


@dataclass(frozen=True, eq=False)
class ToyStep(Step[FixedState]):
    """A fixed step that is wrong in one way; what it calls decides how."""

    wrong: Callable[[Oracle, Tensor, Tensor, FixedState, Key], Moved[FixedState]]
    needs = Asks.VALUE

    def init(self, x: Tensor) -> FixedState:
        return FixedState(0)

    def __call__(self, oracle: Oracle, x: Tensor, direction: Tensor, slope: Slope, state: FixedState, key: Key) -> Any:
        return self.wrong(oracle, x, direction, FixedState(state.t + 1), key)


def _to(x: Tensor, state: FixedState, value: float = math.nan) -> Moved[FixedState]:
    return Moved(x, value, state)


def _endless(oracle: Oracle, x: Tensor, direction: Tensor, state: FixedState, key: Key) -> Moved[FixedState]:
    for k in range(200):
        oracle.value(x - 0.5**k * direction, key)
    return _to(x, state)


_CALLS = [0]


def _drifting(oracle: Oracle, x: Tensor, direction: Tensor, state: FixedState, key: Key) -> Moved[FixedState]:
    _CALLS[0] += 1
    return _to(x - 1e-4 * _CALLS[0] * direction, state)


BROKEN_STEPS: list[tuple[Callable[[Step[Any]], None], Step[Any], str]] = [
    (
        of_steps.tells_the_value_where_it_leads,
        ToyStep(lambda o, x, d, s, k: _to(x - 1e-3 * d, s, o.value(x, k))),
        "says f =",
    ),
    (of_steps.descends_if_it_asks, ToyStep(lambda o, x, d, s, k: _to(x - 1e-3 * d, s)), "uphill"),
    (
        of_steps.leaves_its_inputs_alone,
        ToyStep(lambda o, x, d, s, k: _to(x - d.mul_(1e-3), s)),
        "overwrites the direction",
    ),
    (of_steps.leaves_its_inputs_alone, ToyStep(lambda o, x, d, s, k: _to(x.sub_(d), s)), "overwrites the iterate"),
    (of_steps.resumes_at_every_step, ToyStep(_drifting), "resumed at step"),
    (of_steps.gives_up_in_words_and_time, ToyStep(_endless), "evaluations"),
    (of_steps.gives_up_in_words_and_time, ToyStep(lambda o, x, d, s, k: _to(x - 1e308 * d, s)), "not finite"),
    (of_steps.gives_up_in_words_and_time, ToyStep(lambda o, x, d, s, k: _to(x, s, math.inf)), "returns the value"),
]


@pytest.mark.parametrize(("contract", "toy", "sentence"), BROKEN_STEPS)
def test_a_broken_step_rule_is_caught(contract: Callable[..., None], toy: Step[Any], sentence: str) -> None:
    _CALLS[0] = 0
    with pytest.raises(BOOM, match=sentence):
        contract(toy)


@dataclass(frozen=True, eq=False)
class ToyMethod:
    """Gradient descent that is wrong in one way."""

    wrong: Callable[[Oracle, Any, Any], Any]
    good: Any = dd.Descent(lr=1e-3)

    @property
    def needs(self) -> Asks:
        return Asks.GRADIENT

    def init(self, x: Tensor, key: Key, domain: dd.Domain | None = None) -> Any:
        return self.good.init(x, key)

    def advance(self, oracle: Oracle, state: Any) -> Any:
        return self.wrong(oracle, state, self.good.advance(oracle, state))


class Careless(ToyMethod):
    """Takes anything for a point."""

    def init(self, x: Tensor, key: Key, domain: dd.Domain | None = None) -> Any:
        return self.good.init(torch.zeros(2), key)


def _moved(change: Callable[[Any, Any], Tensor]) -> ToyMethod:
    return ToyMethod(lambda oracle, before, after: replace(after, x=change(before, after)))


def _drift(before: Any, after: Any) -> Tensor:
    _CALLS[0] += 1
    return after.x + 1e-6 * _CALLS[0]


def _give_up(oracle: Oracle, before: Any, after: Any) -> Any:
    return replace(before, t=before.t + 1)


BROKEN_METHODS: list[tuple[Callable[..., None], Any, str]] = [
    (of_methods.repeats_under_a_key, _moved(_drift), "repeat"),
    (of_methods.resumes_at_every_step, _moved(_drift), "resumed at step"),
    (of_methods.ignores_where_the_origin_is, _moved(lambda b, a: 0.99 * a.x), "origin"),
    (of_methods.survives_failures, _moved(lambda b, a: torch.full_like(a.x, math.nan)), "finite"),
    (of_methods.survives_failures, ToyMethod(_give_up), "never moves again"),
    (of_methods.refuses_what_is_no_point, Careless(lambda o, b, a: a), r"takes \(2, 3\) for a point"),
    (lambda m: of_methods.solves(m, None, 30), dd.Descent(lr=1e-4), "ends at"),
    (lambda m: of_methods.solves(m, None, 2000), _moved(lambda b, a: 0.99 * a.x), "ends at"),
]


@pytest.mark.parametrize(("contract", "toy", "sentence"), BROKEN_METHODS)
def test_a_broken_method_is_caught(contract: Callable[..., None], toy: Any, sentence: str) -> None:
    _CALLS[0] = 0
    with pytest.raises(BOOM, match=sentence):
        contract(toy)


def _sneaky(oracle: Oracle, before: Any, after: Any) -> Any:
    oracle.base.f(before.x)  # type: ignore[attr-defined]  # an evaluation behind the ledger's back
    return after


def test_an_evaluation_that_is_not_counted_is_noticed() -> None:
    """`minimize` evaluates what it reports itself, so only the counts can be wrong."""
    of_methods.reports_what_it_evaluated(ToyMethod(lambda oracle, before, after: after))
    with pytest.raises(BOOM, match="evaluations and reports"):
        of_methods.reports_what_it_evaluated(ToyMethod(_sneaky))


class ToyOracle(Differentiable):
    """An oracle that is wrong in one way."""

    def __init__(self, **wrong: Callable[..., Any]) -> None:
        super().__init__(wavy, batched=False)
        self.wrong = wrong

    def value(self, x: Tensor, key: Key) -> Any:
        value = super().value(x, key)
        return self.wrong["value"](self, x, value) if "value" in self.wrong else value

    def gradient(self, x: Tensor, key: Key) -> Slope:
        slope = super().gradient(x, key)
        return self.wrong["gradient"](self, x, slope) if "gradient" in self.wrong else slope

    def hvp(self, x: Tensor, direction: Tensor, key: Key) -> Tensor:
        product = super().hvp(x, direction, key)
        return self.wrong["hvp"](self, x, product) if "hvp" in self.wrong else product


class Boastful(Function):
    """Declares less than it answers."""

    answers = Asks.VALUES


def _noisy(oracle: Any, x: Tensor, value: float) -> float:
    return value + float(torch.rand(()))


def _free_of_charge(oracle: Any, x: Tensor, slope: Slope) -> Slope:
    oracle.ledger.counts.clear()
    return slope


BROKEN_ORACLES: list[tuple[Callable[[Oracle, Tensor], None], Callable[[], Oracle], str]] = [
    (of_oracles.answers_what_it_declares, lambda: Boastful(wavy, batched=False), "does not declare"),
    (of_oracles.answers_in_float64, lambda: ToyOracle(value=lambda o, x, v: torch.tensor(v)), "float"),
    (
        of_oracles.answers_in_float64,
        lambda: ToyOracle(gradient=lambda o, x, s: Slope(as_dense(s.gradient, x).float())),
        "float32",
    ),
    (of_oracles.repeats_under_a_key, lambda: ToyOracle(value=_noisy), "second time"),
    (of_oracles.leaves_everything_as_it_was, lambda: ToyOracle(value=_noisy), "random state"),
    (
        of_oracles.leaves_everything_as_it_was,
        lambda: ToyOracle(value=lambda o, x, v: (x.add_(1), v)[1]),
        "changes the point",
    ),
    (of_oracles.counts_what_it_is_asked, lambda: ToyOracle(gradient=_free_of_charge), "without counting"),
    (
        of_oracles.derivatives_agree_with_values,
        lambda: ToyOracle(gradient=lambda o, x, s: Slope(-as_dense(s.gradient, x))),
        "gradient",
    ),
    (of_oracles.derivatives_agree_with_values, lambda: ToyOracle(hvp=lambda o, x, h: 2 * h), "hvp"),
]


@pytest.mark.parametrize(("contract", "make", "sentence"), BROKEN_ORACLES)
def test_a_broken_oracle_is_caught(contract: Callable[..., None], make: Callable[[], Oracle], sentence: str) -> None:
    random = torch.get_rng_state()
    with pytest.raises(BOOM, match=sentence):
        contract(make(), torch.tensor([0.5, -1.25, 2.0], dtype=torch.float64))
    torch.set_rng_state(random)


def test_every_contract_is_shown_broken() -> None:
    shown = {
        c
        for rows in (BROKEN_ESTIMATORS, BROKEN_TRANSFORMS, BROKEN_STEPS, BROKEN_METHODS, BROKEN_ORACLES)
        for c, *_ in rows
    }
    every = {c for kit in (of_estimators, of_transforms, of_steps, of_methods, of_oracles) for c in kit.CONTRACTS}
    assert every - shown == {of_methods.reports_what_it_evaluated}  # shown above, in a test of its own
    assert isinstance(Fixed(1.0), Step)
