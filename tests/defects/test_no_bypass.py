"""A method that lives on values never sees autograd's gradient, whatever it is composed of.

The objective has the right values and a planted wrong gradient, and notes whoever asks for it. Every composition of an
estimator, a transform and a step rule either never asks, or is refused in words when it is made.
"""

import pytest
import torch

import descend as dd
from descend.errors import CompositionError, MissingAnswer
from descend.estimate.base import Estimator
from descend.oracle import Asks, Differentiable
from descend.run import Steps, minimize
from descend.testing.objectives import Planted, ellipsoid
from descend.testing.parts import estimators, steps, transforms
from descend.torch_optim import Optimizer

D = 5
BLIND = {name: e for name, e in estimators(D).items() if not e.needs & (Asks.GRADIENT | Asks.JVP | Asks.HVP)}
RULES = {name: step for name, step in steps().items() if not isinstance(step, dd.Fixed) or name == "Cosine"}
EVERY_TRANSFORM = {name: part for name, part in transforms(D).items() if " " not in name}
START = torch.linspace(-1.0, 2.0, D, dtype=torch.float64)


def _minimized(estimator: Estimator, parts: list[object]) -> Planted:
    planted = Planted(ellipsoid)
    minimize(
        Differentiable(planted), START, estimator=estimator, method=dd.Descent(*parts), until=Steps(2), key=0,
    )  # fmt: skip
    return planted


def _stepped(estimator: Estimator, parts: list[object]) -> Planted:
    planted = Planted(ellipsoid)
    x = torch.nn.Parameter(START.clone())
    optimizer = Optimizer([x], estimator, *parts, key=0)
    for _ in range(2):
        optimizer.step(lambda: planted(x))
    return planted


@pytest.mark.parametrize("face", [_minimized, _stepped], ids=["minimize", "Optimizer"])
@pytest.mark.parametrize("name", BLIND)
def test_no_composition_goes_round_the_estimator(name: str, face) -> None:
    refused, ran = [], 0
    chains = {"none": None} | EVERY_TRANSFORM
    if " " in name:  # variants of an estimator go the same ways
        chains = {kind: chains[kind] for kind in ("none", "Adam", "BFGS", "Newton", "GaussNewton", "NewtonCG")}
    for transform_name, transform in chains.items():
        for step_name, step in RULES.items():
            parts = [part for part in (transform, step) if part is not None]
            try:
                planted = face(BLIND[name], parts)
            except MissingAnswer:
                refused.append((transform_name, step_name))
                continue
            assert planted.seen == 0, f"{name}, {transform_name}, {step_name} differentiated the objective"
            ran += 1
    asks_more = {"Newton", "NewtonCG", "GaussNewton", "TrustRegion", "LevenbergMarquardt"}
    assert all(asks_more & {t, s} for t, s in refused)
    assert ran == (len(chains) - 3) * (len(RULES) - 2)


@pytest.mark.parametrize("curious", [dd.Newton(), dd.NewtonCG(), dd.TrustRegion()], ids=repr)
def test_a_second_order_part_behind_an_estimator_is_refused_naming_both(curious) -> None:
    x = torch.nn.Parameter(START.clone())
    with pytest.raises(CompositionError) as refusal:
        Optimizer([x], dd.FiniteDifference(), curious)
    assert type(curious).__name__ in str(refusal.value)
    assert "FiniteDifference" in str(refusal.value)
    with pytest.raises(CompositionError, match="FiniteDifference"):
        minimize(Differentiable(ellipsoid), START, estimator=dd.FiniteDifference(), method=dd.Descent(curious))


@pytest.mark.parametrize("curious", [dd.Newton(), dd.NewtonCG(), dd.TrustRegion()], ids=repr)
def test_curvature_of_an_estimated_gradient_stays_with_the_estimator(curious) -> None:
    planted = Planted(ellipsoid)
    x = torch.nn.Parameter(START.clone())
    optimizer = Optimizer([x], dd.FiniteDifference(), dd.DifferencedHvp(), curious, key=0)
    for _ in range(4):
        optimizer.step(lambda: planted(x))
    assert planted.seen == 0
    assert float(ellipsoid(x.detach())) < 0.01 * float(ellipsoid(START))


@pytest.mark.parametrize("name", BLIND)
def test_an_estimator_after_a_transform_is_refused_naming_both(name: str) -> None:
    x = torch.nn.Parameter(START.clone())
    with pytest.raises(CompositionError) as refusal:
        Optimizer([x], dd.Adam(), BLIND[name], lr=0.1)
    assert repr(BLIND[name]) in str(refusal.value)
    assert "Adam" in str(refusal.value)
    with pytest.raises(CompositionError) as refusal:
        dd.Descent(dd.Adam(), BLIND[name], lr=0.1)
    assert repr(BLIND[name]) in str(refusal.value)


def test_a_step_rule_that_is_not_last_is_refused() -> None:
    x = torch.nn.Parameter(START.clone())
    with pytest.raises(CompositionError, match=r"Backtracking.*must come last"):
        Optimizer([x], dd.SPSA(), dd.Backtracking(), dd.Adam(), lr=0.1)


def test_the_trap_works() -> None:
    """Without an estimator every face and every kind of question falls into it."""
    planted = Planted(ellipsoid)
    x = torch.nn.Parameter(START.clone())
    Optimizer([x], lr=1e-3).step(lambda: planted(x))
    assert planted.seen == 1
    assert (START - x.detach()).mul(1000).round().tolist() == [777, -777, 777, -777, 777]
    for ask in ("gradient", "jvp"):
        planted = Planted(ellipsoid)
        oracle = Differentiable(planted)
        arguments = (START, dd.Key(0)) if ask == "gradient" else (START, dd.direction.Dense(START[None]), dd.Key(0))
        getattr(oracle, ask)(*arguments)
        assert planted.seen == 1
