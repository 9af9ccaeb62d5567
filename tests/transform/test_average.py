"""Averages of iterates against torch.optim.swa_utils and against what they are for."""

import pytest
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from descend.descent import Descent
from descend.errors import CompositionError
from descend.key import Key
from descend.oracle import Asks, Differentiable, Oracle, Slope
from descend.transform import HeavyBall, IterateAverage, averaged


@pytest.mark.parametrize("decay", [None, 0.0, 0.8])
@pytest.mark.parametrize("start", [0, 3])
def test_it_is_the_average_that_torch_keeps(decay: float | None, start: int) -> None:
    descent = Descent(IterateAverage(decay, start), HeavyBall(0.5), lr=0.3)
    oracle = Differentiable(lambda x: (x - 1).square().sum() + torch.sin(5 * x).sum())
    state = descent.init(torch.linspace(-2, 2, 6, dtype=torch.float64), Key(0))
    assert torch.equal(averaged(state), state.x)
    model = torch.nn.ParameterList([torch.zeros(6, dtype=torch.float64)])
    kept = AveragedModel(model, multi_avg_fn=None if decay is None else get_ema_multi_avg_fn(decay))
    for t in range(20):
        state = descent.advance(oracle, state)
        if t >= start:
            model[0].data.copy_(state.x)
            kept.update_parameters(model)
        expected = kept.module[0].detach() if t >= start else state.x
        torch.testing.assert_close(averaged(state), expected, rtol=1e-12, atol=1e-12)


def test_it_does_not_change_the_descent() -> None:
    oracle = Differentiable(lambda x: x.square().sum())
    paths = []
    for parts in ((HeavyBall(),), (IterateAverage(), HeavyBall())):
        descent = Descent(*parts, lr=0.1)
        state = descent.init(torch.ones(3), Key(0))
        for _ in range(5):
            state = descent.advance(oracle, state)
        averaged(state) if len(parts) > 1 else None
        paths.append(state.x)
    assert torch.equal(*paths)


def test_in_bfloat16_the_mean_is_not_rounded_away() -> None:
    descent = Descent(IterateAverage(), lr=0.0)
    state = descent.init(torch.full((2,), 1.0, dtype=torch.bfloat16), Key(0))
    for t in range(1, 1001):
        state = descent.advance(Differentiable(lambda x: x.sum()), state)
        state.x.fill_(1.0 if t <= 200 else 2.0)
    assert averaged(state).dtype == torch.bfloat16
    assert averaged(state).tolist() == pytest.approx([1.8, 1.8], rel=5e-3)


class Noisy(Oracle):
    """The gradient of |x|^2 / 2 and normal noise."""

    answers = Asks.GRADIENT

    def gradient(self, x: Tensor, key: Key) -> Slope:
        return Slope(x + key.normal(len(x), like=x))


def test_the_average_has_the_error_that_theory_gives() -> None:
    # x' = (1 - a) x - a z has variance a / (2 - a) when it is stationary; the mean of n such iterates 1 / n
    a, n, d = 0.5, 400, 2000
    descent = Descent(IterateAverage(start=50), lr=a)
    state = descent.init(torch.zeros(d, dtype=torch.float64), Key(7))
    for _ in range(50 + n):
        state = descent.advance(Noisy(), state)
    assert float(state.x.var()) == pytest.approx(a / (2 - a), rel=0.15)  # 4.7 standard errors
    assert float(averaged(state).var()) == pytest.approx(1 / n, rel=0.15)


def test_without_an_average_it_says_what_to_write() -> None:
    with pytest.raises(CompositionError, match=r"IterateAverage\(\)"):
        averaged(Descent(HeavyBall()).init(torch.ones(2), Key(0)))
