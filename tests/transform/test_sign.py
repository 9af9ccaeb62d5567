"""Sign, Lion and Rprop against references in NumPy."""

import numpy as np
import torch
from torch import Tensor

from descend.descent import Descent
from descend.key import Key
from descend.oracle import Asks, Differentiable, Oracle, Slope
from descend.transform import Lion, Rprop, Sign, WeightDecay

CURVATURE = np.linspace(0.5, 4.0, 9)


def gradient_of(x: np.ndarray) -> np.ndarray:
    return CURVATURE * x - 0.3 * np.sin(3 * x)


def objective(x: Tensor) -> Tensor:
    return (torch.from_numpy(CURVATURE) * x.square()).sum() / 2 + 0.1 * torch.cos(3 * x).sum()


def test_lion_walks_the_path_of_its_paper() -> None:
    lr, decay, beta1, beta2 = 0.03, 0.2, 0.8, 0.95
    descent = Descent(Lion((beta1, beta2)), WeightDecay(decay), lr=lr)
    x = np.linspace(-1.5, 2.0, 9)
    state, m = descent.init(torch.from_numpy(x.copy()), Key(0)), np.zeros(9)
    for _ in range(60):
        state = descent.advance(Differentiable(objective), state)
        g = gradient_of(x)
        x = x - lr * (np.sign(beta1 * m + (1 - beta1) * g) + decay * x)
        m = beta2 * m + (1 - beta2) * g
        np.testing.assert_allclose(state.x.numpy(), x, rtol=0, atol=1e-12)


def test_sign_moves_every_coordinate_by_the_rate() -> None:
    descent = Descent(Sign(), lr=0.25)
    state = descent.advance(
        Differentiable(lambda x: (x**2).sum()), descent.init(torch.tensor([2.0, -1e-20, 0.0]), Key(0))
    )
    assert state.x.tolist() == [1.75, 0.25, 0.0]


class Slopes(Oracle):
    """Answers one gradient after another."""

    answers = Asks.GRADIENT

    def __init__(self, *gradients: float) -> None:
        self.gradients = iter(gradients)

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return Slope(torch.full_like(x, next(self.gradients)))


def test_rprop_sees_the_signs_of_gradients_whose_product_vanishes() -> None:
    descent = Descent(Rprop(initial=1.0, etas=(0.5, 1.5)), lr=1.0)
    state, oracle, path = descent.init(torch.zeros(1), Key(0)), Slopes(-1e-30, -1e-30, 1e-30, 1e-30), []
    for _ in range(4):
        state = descent.advance(oracle, state)
        path.append(state.x.item())
    # a step of 1, one of 1.5, none after the turn while the step halves, and then one of 0.75 back
    assert path == [1.0, 2.5, 2.5, 1.75]
