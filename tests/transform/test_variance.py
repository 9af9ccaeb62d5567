"""An anchor against the noise of minibatches (SVRG)."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import descend as dd
from descend.errors import InvalidValue
from descend.estimate import SPSA
from descend.key import Key
from descend.oracle import Function
from descend.torch_optim import Optimizer
from descend.transform.chain import At
from descend.transform.variance import SVRG, SVRGState
from descend.tree import same

DOUBLE = torch.zeros((), dtype=torch.float64)
A = 1 + Key(1).uniform(10, 6, like=DOUBLE)
B = 3 * Key(2).normal(10, 6, like=DOUBLE)


def sampled(x: Tensor, key: Key) -> Tensor:
    """One of ten bowls, chosen by the key."""
    i = int(key.fold("batch").integers(0, 10, 1))
    return 0.5 * (A[i] * (x - B[i]) ** 2).sum()


def full_gradient(x: Tensor) -> Tensor:
    return (A * (x - B)).mean(0)


def applied(x: Tensor, state: SVRGState, key: Key) -> Tensor:
    oracle = Function(sampled, keyed=True, batched=False) | SPSA(1e-3)
    gradient = oracle.gradient(x, key).gradient.dense(x)  # type: ignore[union-attr]
    copy = SVRGState(state.anchor.clone(), state.full.clone(), state.age)
    return SVRG()(gradient, copy, At(x, oracle, key, math.nan))[0]


def test_it_is_unbiased_and_quiet_near_the_anchor() -> None:
    anchor = Key(3).normal(6, like=DOUBLE)
    x = anchor + 0.1 * Key(4).normal(6, like=DOUBLE)
    state = SVRGState(anchor, full_gradient(anchor), 1)
    found = torch.stack([applied(x, state, Key(i)) for i in range(600)])
    plain = Function(sampled, keyed=True, batched=False) | SPSA(1e-3)
    noisy = torch.stack([plain.gradient(x, Key(i)).gradient.dense(x) for i in range(600)])  # type: ignore[union-attr]
    error = found.std(0) / math.sqrt(600)
    assert float(((found.mean(0) - full_gradient(x)) / error).abs().max()) < 3
    # the difference of two estimates of the same probes has the variance of a gradient of length |A (x - a)|
    theory = (6 * ((A * (x - anchor)) ** 2).sum(1)).mean() - ((A.mean(0) * (x - anchor)) ** 2).sum()
    assert float(found.var(0).sum()) == pytest.approx(float(theory), rel=0.15)
    assert float(found.var(0).sum()) < float(noisy.var(0).sum()) / 50


def test_the_anchor_is_renewed_and_the_evaluations_are_those_promised() -> None:
    oracle = Function(sampled, keyed=True, batched=False) | SPSA(1e-3)
    method, ledger = dd.Descent(SVRG(every=3, samples=4), lr=0.01), oracle.ledger
    state = method.init(torch.zeros(6, dtype=torch.float64), Key(0))
    costs, anchors = [], []
    for _ in range(7):
        before, here = ledger.counts.get("value", 0), state.x.clone()
        state = method.advance(oracle, state)
        costs.append(ledger.counts["value"] - before)
        anchors.append(torch.equal(state.transforms[0].anchor, here))
    assert costs == [10, 4, 4, 10, 4, 4, 10]
    assert anchors == [True, False, False, True, False, False, True]


def test_an_anchor_that_fails_is_tried_again() -> None:
    fails = [True]

    def f(x: Tensor, key: Key) -> Tensor:
        return x.sum() * (math.nan if fails[0] else 1.0)

    oracle = Function(f, keyed=True, batched=False) | SPSA(1e-3)
    x = torch.ones(2, dtype=torch.float64)
    transform = SVRG(every=5, samples=2)
    direction, state = transform(torch.ones(2, dtype=torch.float64), transform.init(x), At(x, oracle, Key(0), 0.0))
    assert direction.tolist() == [1, 1]
    assert state.age == 0
    fails[0] = False
    _, state = transform(torch.ones(2, dtype=torch.float64), state, At(x, oracle, Key(0), 0.0))
    assert state.age == 1
    assert bool(state.full.isfinite().all())


def test_it_reaches_where_plain_estimates_only_wander() -> None:
    def end(*transforms: Any) -> float:
        """How far from stationary the last 100 of 400 steps are, on average."""
        oracle = Function(sampled, keyed=True, batched=False) | SPSA(1e-3)
        method = dd.Descent(*transforms, lr=0.02)
        state, far = method.init(torch.zeros(6, dtype=torch.float64), Key(1)), []
        for _ in range(400):
            state = method.advance(oracle, state)
            far.append(float(full_gradient(state.x).norm()))
        return sum(far[-100:]) / 100

    assert end(SVRG(every=40, samples=200)) < 0.5 * end()


def test_minimize_runs_it_with_data_made_from_a_key() -> None:
    """The same steps at the same cost as by hand."""
    method, x0 = dd.Descent(SVRG(every=5, samples=8), lr=0.02), torch.zeros(6, dtype=torch.float64)
    points: list[Tensor] = []
    dd.minimize(
        Function(sampled, keyed=True, batched=False),
        x0,
        estimator=SPSA(1e-3),
        method=method,
        key=4,
        until=dd.Steps(12),
        callback=lambda progress: points.append(progress.x.clone()),
    )
    oracle = Function(sampled, keyed=True, batched=False) | SPSA(1e-3)
    state = method.init(x0, Key(4))
    for point in points:
        state = method.advance(oracle, state)
        assert torch.equal(point, state.x)
    assert len(points) == 11  # the last step ends the run


def closure_of(model: nn.Module) -> Any:
    x, y = Key(5).normal(64, 4, like=torch.zeros(())), torch.zeros(64, 1)
    y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]]) + 2 * Key(6).normal(64, 1, like=y)

    def closure() -> Tensor:
        some = torch.randint(0, 64, (4,))  # decided by the step's key
        return (model(x[some]) - y[some]).square().mean()

    return closure


def made() -> tuple[nn.Module, Optimizer]:
    model = nn.Linear(4, 1)
    for i, p in enumerate(model.parameters()):
        p.data.copy_(Key(i).normal(*p.shape, like=p.data))
    return model, Optimizer(model, SPSA(1e-2), SVRG(every=10, samples=32), lr=0.02, key=0)


def test_a_model_trains_and_a_resumed_run_is_the_same_bit_for_bit() -> None:
    model, optimizer = made()
    closure = closure_of(model)
    for _ in range(37):
        optimizer.step(closure)
    saved, weights = optimizer.state_dict(), [p.detach().clone() for p in model.parameters()]
    for _ in range(80):
        value = optimizer.step(closure)
    other, resumed = made()
    for p, w in zip(other.parameters(), weights, strict=True):
        p.data.copy_(w)
    resumed.load_state_dict(saved)
    closure = closure_of(other)
    for _ in range(80):
        again = resumed.step(closure)
    assert torch.equal(value, again)  # type: ignore[arg-type]
    assert same(optimizer._states, resumed._states)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))
    assert float((model.weight.detach() - torch.tensor([1.0, -2.0, 0.5, 3.0])).abs().max()) < 1.0  # type: ignore[operator]


@pytest.mark.parametrize("wrong", [{"every": 0}, {"samples": 0}, {"every": 2.5}])
def test_wrong_numbers(wrong: Any) -> None:
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        SVRG(**wrong)
