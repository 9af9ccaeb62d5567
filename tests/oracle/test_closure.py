"""The closure oracle: exact answers about live parameters, which are left as they were."""

import pytest
import torch
from torch import nn

from descend.direction import Dense, Seeded
from descend.key import Key
from descend.layout import Parameters
from descend.noise import Law
from descend.oracle import Closure, Module


def setting(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).double()
    inputs = torch.randn(4, 5, dtype=torch.float64)
    return model, lambda: model(inputs).square().mean(), inputs


def test_gradient_jvp_and_hvp_equal_the_module_oracle():
    model, loss, inputs = setting()
    point = Parameters(model.parameters())
    closure = Closure(point, loss)
    module = Module(model, lambda m, b: m(b).square().mean(), inputs)
    x = point.gather()
    v = Key(1).normal(x.numel(), like=x)
    assert closure.value(x, Key(0)) == module.value(x, Key(0))
    torch.testing.assert_close(closure.gradient(x, Key(0)).gradient, module.gradient(x, Key(0)).gradient)
    torch.testing.assert_close(closure.jvp(x, Dense(v[None]), Key(0)), module.jvp(x, Dense(v[None]), Key(0)))
    torch.testing.assert_close(closure.hvp(x, v, Key(0)), module.hvp(x, v, Key(0)))
    assert torch.equal(point.gather(), x)


@pytest.mark.parametrize("large", [False, True])
def test_along_equals_values_at_the_points(large, monkeypatch):
    """Both ways of moving parameters, the flat scratch and in place, ask about the same points."""
    if large:
        monkeypatch.setattr("descend.oracle.closure.BLOCK", 16)
    model, loss, _ = setting()
    point = Parameters(model.parameters())
    closure = Closure(point, loss)
    x = point.gather()
    block = Seeded(Key(3), Law.NORMAL, 2, x.numel())
    scales = torch.tensor([[0.0, 0.1, -0.2], [0.3, 0.0, 1.0]], dtype=torch.float64)
    found = closure.along(x, block, scales, Key(0))
    closure.restore(x)
    z = block.dense(x)
    for i in range(2):
        for k in range(3):
            assert found[i, k] == pytest.approx(closure.value(x + scales[i, k] * z[i], Key(0)), rel=1e-12)


def test_the_intercepted_forward_sees_the_same_values_and_writes_nothing():
    model, loss, _ = setting()
    point = Parameters(model.parameters())
    closure = Closure(point, loss)
    x = point.gather()
    before = [p._version for p in point.tensors]
    block = Seeded(Key(3), Law.SIGN, 2, x.numel())
    scales = torch.tensor([[0.0, 0.1], [-0.2, 0.0]], dtype=torch.float64)
    here = closure.along(torch.empty(x.numel(), device="meta"), block, scales, Key(0))
    assert [p._version for p in point.tensors] == before
    torch.testing.assert_close(here, closure.along(x, block, scales, Key(0)), rtol=1e-12, atol=0)
    assert not closure.population.unseen


def test_one_evaluation_at_the_centre_serves_all_directions():
    model, loss, _ = setting()
    point = Parameters(model.parameters())
    closure = Closure(point, loss)
    x = point.gather()
    for where in (x, torch.empty(x.numel(), device="meta")):
        closure.ledger.counts.clear()
        block = Seeded(Key(3), Law.SIGN, 3, x.numel())
        closure.along(where, block, torch.tensor([[0.0, 0.1]] * 3, dtype=torch.float64), Key(0))
        assert closure.ledger.counts == {"value": 4}
        closure.restore(x)


def test_randomness_is_shared_by_the_probes_and_the_users_is_untouched():
    point = Parameters([torch.zeros(3)])
    closure = Closure(point, lambda: torch.rand(()) + 0 * point.tensors[0].sum())
    torch.manual_seed(5)
    before = torch.get_rng_state()
    block = Seeded(Key(3), Law.SIGN, 4, 3)
    values = closure.along(point.gather(), block, torch.tensor([[-1e-3, 0.0, 1e-3]] * 4, dtype=torch.float64), Key(0))
    assert (values == values[0, 0]).all()
    assert values[0, 0] != closure.value(point.gather(), Key(1))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", ["returns", "calls backward", "takes a flag"])
def test_every_kind_of_closure(kind):
    x = nn.Parameter(torch.tensor([1.0, 2.0]))

    def returns():
        return x.square().sum()

    def calls():
        x.grad = None
        loss = x.square().sum()
        loss.backward()
        return loss

    def flagged(backward=True):
        assert backward or not torch.is_grad_enabled()
        return calls() if backward else returns()

    closure = Closure(Parameters([x]), {"returns": returns, "calls backward": calls, "takes a flag": flagged}[kind])
    here = closure.parameters.gather()
    assert closure.value(here, Key(0)) == 5.0
    assert closure.gradient(here, Key(0)).gradient.tolist() == [2.0, 4.0]
    assert closure.value(here, Key(0)) == 5.0


def test_values_build_no_graph():
    x = nn.Parameter(torch.ones(2))
    graphs = []
    closure = Closure(Parameters([x]), lambda: graphs.append(x.sum().grad_fn) or x.sum())
    closure.value(torch.ones(2), Key(0))
    assert graphs == [None]
