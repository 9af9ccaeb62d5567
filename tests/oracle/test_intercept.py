"""The perturbed forward equals a model whose parameters really were moved."""

import pytest
import torch
from torch import nn

from descend.direction import BLOCK, Seeded
from descend.key import Key
from descend.layout import Parameters
from descend.noise import Law
from descend.oracle.intercept import Intercept, Move


class Odd(nn.Module):
    """Parameters reached through views, lists, methods and operators."""

    def __init__(self):
        super().__init__()
        self.w, self.v, self.s = (nn.Parameter(torch.randn(shape)) for shape in ((6, 6), (6,), ()))

    def forward(self, x):
        y = x @ self.w.t() + self.v
        return torch.cat([y * self.s, torch.stack([self.v, self.v])]).mul(self.w.sum()) + self.w.shape[0]


def convolutions():
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4).eval(), nn.ConvTranspose2d(4, 1, 2))


MODELS = {
    "mlp": (lambda: nn.Sequential(nn.Linear(6, 9), nn.LayerNorm(9), nn.Linear(9, 2, bias=False)), (4, 6)),
    "large linear": (lambda: nn.Linear(600, BLOCK // 600 + 50), (3, 600)),
    "convolutions": (convolutions, (2, 2, 6, 6)),
    "lstm": (lambda: nn.LSTM(6, 5), (3, 2, 6)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0).eval(), (3, 2, 8)),
    "odd": (Odd, (4, 6)),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("law", [Law.SIGN, Law.NORMAL])
def test_equals_the_materialised_model(name, law):
    torch.manual_seed(0)
    make, shape = MODELS[name]
    model, inputs = make(), torch.randn(*shape)
    point = Parameters(model.parameters())
    x, z = point.gather(), Seeded(Key(4), law, 2, point.size)

    def output():
        with torch.no_grad():
            found = model(inputs)
        return found[0] if isinstance(found, tuple) else found

    with Intercept(Move(point, z, [1], [0.01])) as mode:
        intercepted = output()
    assert torch.equal(point.gather(), x)
    assert mode.move.seen == set(range(len(point.tensors)))
    plain = output()
    point.scatter(x + 0.01 * z.dense(x)[1])
    torch.testing.assert_close(intercepted, output(), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(intercepted, plain, rtol=1e-4, atol=1e-5)


def test_a_tied_parameter_is_moved_once():
    shared = nn.Linear(3, 3, bias=False)
    model = nn.Sequential(shared, shared)
    point = Parameters(model.parameters())
    z = Seeded(Key(4), Law.SIGN, 1, 9)
    with torch.no_grad(), Intercept(Move(point, z, [0], [0.5])):
        found = model(torch.eye(3))
    w = shared.weight.detach() + 0.5 * z.dense(shared.weight.detach())[0].view(3, 3)
    torch.testing.assert_close(found, w.T @ w.T)


def test_a_parameter_reached_outside_torch_is_noticed():
    w = nn.Parameter(torch.ones(3))
    alias = w.detach().numpy()
    point = Parameters([w])
    with torch.no_grad(), Intercept(Move(point, Seeded(Key(4), Law.SIGN, 1, 3), [0], [0.5])) as mode:
        alias.sum()
    assert mode.move.seen == set()
