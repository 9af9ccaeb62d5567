"""Adam whose averages are made again from the last steps: the same numbers as Adam, and no memory."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from descend.direction import BLOCK
from descend.errors import CompositionError, InvalidValue
from descend.estimate import SPSA, Evolution
from descend.estimate.mask import Magnitude
from descend.torch_optim import Optimizer
from descend.torch_optim.replay import replay
from descend.transform import Adam
from descend.transform.window import WindowAdam
from descend.tree import tensors


class Bowl(nn.Module):
    """A loss whose scales differ by 400 between parameters."""

    def __init__(self, big: int = 0) -> None:
        super().__init__()
        self.a, self.b = nn.Parameter(torch.ones(6, 7)), nn.Parameter(torch.ones(5))
        if big:
            self.c = nn.Parameter(torch.ones(big))

    def forward(self) -> Tensor:
        total = 10 * self.a.square().sum() + 0.5 * (self.b - 2).square().sum()
        return total + self.c.square().mean() if hasattr(self, "c") else total


ESTIMATORS = [
    SPSA(1e-2),
    SPSA(1e-2, 3),
    SPSA(1e-2, 4, coupling="antithetic"),
    SPSA(1e-2, rank=1),
    SPSA(1e-2, 2, rank=2, hold=3),
    SPSA(1e-2, mask=Magnitude(0.5)),
    Evolution(4, 1e-2),
]


def run(model: Bowl, estimator: Any, transform: Any, steps: int, lr: float = 0.02) -> Optimizer:
    optimizer = Optimizer(model, estimator, transform, lr=lr, key=3)
    for _ in range(steps):
        optimizer.step(lambda: model())
    return optimizer


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=str)
def test_within_the_window_it_is_adam(estimator: Any) -> None:
    one, other = Bowl(), Bowl()
    remembers = run(one, estimator, Adam(betas=(0.9, 0.99)), 12)
    forgets = run(other, estimator, WindowAdam(window=12), 12)
    assert len(tensors(remembers._states)) > 0
    assert tensors(forgets._states) == []
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, atol=2e-5)
        assert float((p.detach() - 1).abs().max()) > 0.05


@pytest.mark.parametrize("estimator", [SPSA(1e-2), SPSA(1e-2, 2), SPSA(1e-2, rank=1)], ids=str)
def test_a_point_of_many_blocks(estimator: Any) -> None:
    """Seeded directions, of which one is a plain sign and has one number for its second moment."""
    one, other = Bowl(BLOCK + 1000), Bowl(BLOCK + 1000)
    run(one, estimator, Adam(betas=(0.9, 0.99)), 5)
    run(other, estimator, WindowAdam(window=5), 5)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, atol=2e-5)


def test_beyond_the_window_it_is_the_sums_over_the_window() -> None:
    model = Bowl()
    transform = WindowAdam((0.8, 0.9), 1e-6, window=4)
    optimizer = Optimizer(model, SPSA(1e-2, 2), transform, lr=0.02, key=3)
    optimizer._closure.closure, estimates, before = lambda: model(), [], torch.zeros(0)
    for t in range(9):
        home = optimizer.parameters.gather()
        before = home.clone()
        estimates.append(optimizer._lifted.at(t).gradient(home, optimizer.key.fold(t)).gradient.dense(home))  # type: ignore[union-attr]
        optimizer.parameters.scatter(home)
        optimizer.step(lambda: model())
    last = torch.stack(estimates[:4:-1])
    first, second = (torch.tensor([b**j for j in range(4)])[:, None] for b in (0.8, 0.9))
    mean, square = (first * last).sum(0) / first.sum(), (second * last**2).sum(0) / second.sum()
    expected = before - 0.02 * mean / (square.sqrt() + 1e-6)
    assert torch.allclose(optimizer.parameters.gather(), expected, atol=1e-5)
    window = optimizer._states[0].window  # type: ignore[index]
    assert [past.t for past in window] == [5, 6, 7, 8]
    assert all(len(past.weights) == 2 for past in window)


def test_a_resumed_run_is_the_same_bit_for_bit() -> None:
    model = Bowl()
    optimizer = run(model, SPSA(1e-2, 2, rank=1, hold=4), WindowAdam(window=6), 11)
    saved, weights = optimizer.state_dict(), [p.detach().clone() for p in model.parameters()]
    for _ in range(9):
        optimizer.step(lambda: model())
    other = Bowl()
    for p, w in zip(other.parameters(), weights, strict=True):
        p.data.copy_(w)
    resumed = Optimizer(other, SPSA(1e-2, 2, rank=1, hold=4), WindowAdam(window=6), lr=0.02, key=0)
    resumed.load_state_dict(saved)
    for _ in range(9):
        resumed.step(lambda: other())
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), other.parameters(), strict=True))


def test_a_recorded_run_is_made_again_bit_for_bit(tmp_path: Any) -> None:
    model = Bowl(BLOCK)  # several blocks, over which a replay takes many steps at once
    optimizer = Optimizer(model, SPSA(1e-2, rank=1, hold=3), WindowAdam(window=4), lr=0.02, key=3)
    with optimizer.record(tmp_path / "run.descend"):
        for _ in range(40):
            optimizer.step(lambda: model())
    again = replay(Bowl(BLOCK), tmp_path / "run.descend")
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), again.parameters(), strict=True))


def test_it_trains() -> None:
    model = Bowl()
    run(model, SPSA(1e-2, 4), WindowAdam(), 300, lr=0.03)
    assert float(model().detach()) < 0.2 * float(Bowl()().detach())


def test_a_gradient_without_a_key_says_so() -> None:
    model = Bowl()
    with pytest.raises(CompositionError, match=r"this gradient has none.*Adam\(\)"):
        Optimizer(model, WindowAdam(), lr=0.1).step(lambda: model())
    for wrong in ({"window": 0}, {"betas": (0.9, 1.0)}, {"eps": 0.0}):
        with pytest.raises(InvalidValue, match=next(iter(wrong))):
            WindowAdam(**wrong)  # type: ignore[arg-type]
