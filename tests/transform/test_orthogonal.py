"""Orthogonalization against SciPy's polar factor, a reference in NumPy and torch.optim.Muon."""

import numpy as np
import pytest
import torch
from scipy import linalg
from torch import Tensor

from descend.descent import Descent
from descend.errors import CompositionError, ShapeMismatch
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Differentiable, Oracle
from descend.transform import At, HeavyBall, NewtonSchulz, Orthogonalize, WeightDecay, as_adam, polar, spectral

SHAPES = [(4, 4), (7, 3), (3, 7), (1, 5), (5, 1)]
AT = At(torch.zeros(0), Oracle(), Key(0), 0.0)


def matrix(rows: int, columns: int) -> Tensor:
    return Key(rows).fold(columns).normal(rows, columns, like=torch.zeros((), dtype=torch.float64))


@pytest.mark.parametrize("shape", SHAPES)
def test_polar_is_scipys(shape: tuple[int, int]) -> None:
    g = matrix(*shape)
    np.testing.assert_allclose(polar(g).numpy(), linalg.polar(g.numpy())[0], atol=1e-12)


def test_polar_leaves_out_what_has_no_direction() -> None:
    g = torch.outer(torch.tensor([3.0, 4.0, 0.0]), torch.tensor([0.0, 2.0]))
    torch.testing.assert_close(polar(g), g / 10)
    assert torch.equal(polar(torch.zeros(2, 3)), torch.zeros(2, 3))
    assert polar(g.bfloat16()).dtype == torch.bfloat16


def reference(g: np.ndarray, steps: int, a: float, b: float, c: float) -> np.ndarray:
    """The quintic acts on each singular value alone."""
    u, s, vh = np.linalg.svd(g, full_matrices=False)
    s = s / np.sqrt((s**2).sum())
    for _ in range(steps):
        s = a * s + b * s**3 + c * s**5
    return (u * s) @ vh


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("coefficients", [(3.4445, -4.7750, 2.0315), (2.0, -1.5, 0.5)])
def test_newton_schulz_is_a_polynomial_of_the_singular_values(
    shape: tuple[int, int], coefficients: tuple[float, float, float]
) -> None:
    g = matrix(*shape)
    found = NewtonSchulz(5, coefficients)(g)
    np.testing.assert_allclose(found.numpy(), reference(g.numpy(), 5, *coefficients), atol=1e-10)


def test_newton_schulz_approaches_the_polar_factor() -> None:
    g = matrix(6, 9)
    torch.testing.assert_close(NewtonSchulz(30, (2.0, -1.5, 0.5))(g), polar(g), rtol=0, atol=1e-9)
    values = torch.linalg.svdvals(NewtonSchulz()(g))
    assert 0.65 < values.min() < values.max() < 1.25
    assert torch.equal(NewtonSchulz()(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_only_matrices_of_the_layout_are_changed() -> None:
    layout = Layout(("bias", "weight", "kernel"), ((3,), (4, 2), (2, 3, 2, 1)))
    gradient = Key(0).normal(layout.size, like=torch.zeros((), dtype=torch.float64))
    direction, _ = Orthogonalize(layout, factor=polar, scale=spectral)(gradient.clone(), None, AT)
    bias, weight, kernel = layout.unflatten(gradient)
    expected = [bias, polar(weight) * 2**0.5, polar(kernel.reshape(2, 6))]
    assert torch.equal(direction, torch.cat([piece.reshape(-1) for piece in expected]))
    assert as_adam(4, 2) == pytest.approx(0.4)


def test_it_says_what_it_needs() -> None:
    free = Orthogonalize()
    with pytest.raises(CompositionError, match=r"Orthogonalize\(layout\)"):
        free(torch.zeros(4), None, AT)
    layout, other = Layout(("w",), ((2, 2),)), Layout(("w",), ((4, 1),))
    assert free.bound(layout) == Orthogonalize(layout)
    assert Orthogonalize(layout).bound(other) == Orthogonalize(layout)
    with pytest.raises(ShapeMismatch, match="layout of 4 elements"):
        Orthogonalize(layout)(torch.zeros(5), None, AT)


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_after_momentum_it_is_torchs_muon(adjust: str) -> None:
    shapes = ((6, 4), (3, 8))
    layout = Layout(("a", "b"), shapes)
    inputs = Key(3).normal(20, 4, like=torch.zeros(()))

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return (torch.tanh(inputs @ a.T @ b.T.reshape(8, 3)[:6]) - 0.3).square().sum() + 0.1 * b.square().sum()

    x = 0.5 * Key(4).normal(layout.size, like=torch.zeros(()))
    params = [torch.nn.Parameter(p.clone()) for p in layout.unflatten(x)]
    # a momentum of 1/2: torch's average is then half of the sum, with the same bits in bfloat16
    muon = torch.optim.Muon(params, lr=0.01, momentum=0.5, weight_decay=0.1, adjust_lr_fn=adjust)
    scale = spectral if adjust == "original" else as_adam
    factor = NewtonSchulz(precision=torch.bfloat16)
    descent = Descent(HeavyBall(0.5, nesterov=True), Orthogonalize(layout, factor, scale), WeightDecay(0.1), lr=0.01)
    oracle = Differentiable(lambda point: loss(*layout.unflatten(point)))
    state = descent.init(x, Key(0))
    for _ in range(30):
        state = descent.advance(oracle, state)
        muon.zero_grad()
        loss(*params).backward()
        muon.step()
    found = torch.cat([p.detach().reshape(-1) for p in params])
    assert (found - x).abs().max() > 0.1
    torch.testing.assert_close(state.x, found, rtol=0, atol=1e-5)
