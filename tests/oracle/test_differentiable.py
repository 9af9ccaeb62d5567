"""Differentiable, Module and Residuals answer as torch.func does, count what they ask, and leave the model alone."""

import pytest
import torch
from torch import nn

from descend.direction import Dense
from descend.errors import MissingAnswer
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Module, Residuals

X = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
V = torch.tensor([[1.0, 0.5, -2.0], [0.0, 1.0, 1.0]], dtype=torch.float64)


def f(x):
    return (x.sin() * x.roll(1) ** 2).sum()


def test_derivatives_equal_torch_func():
    oracle = Differentiable(f)
    slope = oracle.gradient(X, Key(0))
    torch.testing.assert_close(slope.gradient, torch.func.grad(f)(X))
    assert slope.value == float(f(X))
    torch.testing.assert_close(oracle.jvp(X, Dense(V), Key(0)), V @ torch.func.grad(f)(X))
    torch.testing.assert_close(oracle.hvp(X, V[0], Key(0)), torch.func.hessian(f)(X) @ V[0])
    assert oracle.ledger.counts == {"gradient": 1, "jvp": 2, "hvp": 1}


def test_a_linear_function_has_a_zero_hessian():
    assert (Differentiable(lambda x: x.sum()).hvp(X, V[0], Key(0)) == 0).all()


@pytest.mark.parametrize("batched", [True, False, None])
def test_batches_and_singles_agree(batched):
    def g(x):
        return (x.sin() * x.roll(1, -1) ** 2).sum(-1)

    oracle = Differentiable(g, batched=batched)
    xs = Key(1).normal(20, 3, like=X)
    singles = torch.tensor([float(g(x)) for x in xs], dtype=torch.float64)
    torch.testing.assert_close(oracle.values(xs, Key(0)), singles)
    torch.testing.assert_close(oracle.gradient(X, Key(0)).gradient, torch.func.grad(g)(X))


def net():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    model[0].bias.requires_grad_(False)
    return model


def loss(model, batch):
    return model(batch).square().mean()


def test_module_answers_for_what_is_trainable_and_writes_nothing():
    model, batch = net(), torch.randn(6, 4, dtype=torch.float64)
    oracle = Module(model, loss, batch)
    before = [p.clone() for p in model.parameters()]
    x = oracle.point()
    assert x.numel() == sum(p.numel() for p in model.parameters() if p.requires_grad)
    slope = oracle.gradient(x, Key(0))
    loss(model, batch).backward()
    expected = torch.cat([p.grad.reshape(-1) for p in model.parameters() if p.requires_grad])
    torch.testing.assert_close(slope.gradient, expected)
    values = oracle.values(torch.stack([x + 0.1 * i for i in range(9)]), Key(0))
    assert oracle.batched is True  # vmap over models was tried and agreed
    oracle.write(x + 0.3)
    assert float(loss(model, batch)) == pytest.approx(float(values[3]), rel=1e-12)
    oracle.write(x)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_the_same_key_is_the_same_minibatch():
    data = torch.randn(100, 4, dtype=torch.float64)
    oracle = Module(net(), loss, lambda key: data[key.integers(0, 100, 8)])
    x = oracle.point()
    assert oracle.value(x, Key(1)) == oracle.value(x, Key(1))
    assert oracle.value(x, Key(1)) != oracle.value(x, Key(2))


def test_tied_parameters_stand_once():
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    oracle = Module(model, loss, torch.ones(2, 3))
    assert oracle.point().numel() == 12
    slope = oracle.gradient(oracle.point(), Key(0))
    loss(model, torch.ones(2, 3)).backward()
    torch.testing.assert_close(slope.gradient, torch.cat([p.grad.reshape(-1) for p in model.parameters()]))


@pytest.mark.parametrize("rows", [2, 9])
def test_residuals_and_their_jacobian(rows):
    a = Key(3).normal(rows, 3, like=X)
    data = torch.ones(rows, dtype=torch.float64)
    fit = Residuals(lambda x: (a @ x).tanh(), data)
    torch.testing.assert_close(fit.residuals(X, Key(0)), (a @ X).tanh() - 1)
    jacobian = fit.jacobian(X, Key(0))
    torch.testing.assert_close(jacobian, (1 - (a @ X).tanh() ** 2)[:, None] * a)
    gradient = fit.gradient(X, Key(0)).gradient
    torch.testing.assert_close(gradient, jacobian.T @ fit.residuals(X, Key(0)))


def test_what_is_not_answered_is_refused_in_words():
    oracle = Function(lambda x: 0.0)
    for kind, ask in {
        Asks.GRADIENT: lambda: oracle.gradient(X, Key(0)),
        Asks.HVP: lambda: oracle.hvp(X, X, Key(0)),
        Asks.JVP: lambda: oracle.jvp(X, Dense(V), Key(0)),
        Asks.RESIDUALS: lambda: oracle.residuals(X, Key(0)),
        Asks.JACOBIAN: lambda: oracle.jacobian(X, Key(0)),
    }.items():
        with pytest.raises(MissingAnswer, match=kind.name) as refusal:
            ask()
        assert "VALUE, VALUES" in str(refusal.value)
