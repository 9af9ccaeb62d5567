"""An optimizer that can stop recording as a dead process does, and small runs for it."""

import copy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from descend.key import Key
from descend.torch_optim.optimizer import Optimizer


class Recording(Optimizer):
    def left(self) -> None:
        """End as a dead process does: nothing more is written, and others may write."""
        assert self._recorder is not None
        self._recorder._file.close()


def network(width: int = 16, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Two layers and a norm, always the same numbers."""
    model = nn.Sequential(nn.Linear(8, width), nn.LayerNorm(width), nn.Tanh(), nn.Linear(width, 3))
    for i, p in enumerate(model.parameters()):
        p.data = 0.3 * Key(5).fold(i).normal(*p.shape, like=p)
    return model.to(dtype)


INPUTS = Key(6).normal(40, 8, like=torch.zeros(()))
LABELS = Key(7).integers(0, 3, 40)


def loss_of(model: nn.Module, t: int) -> Tensor:
    """The loss of the minibatch of step t."""
    some = Key(8).fold(t).permutation(40)[:10]
    x = INPUTS[some].to(next(model.parameters()).dtype)
    return nn.functional.cross_entropy(model(x).float(), LABELS[some])


def train(optimizer: Optimizer, model: nn.Module, until: int) -> None:
    """Go on to this number of steps."""
    while optimizer.t < until:
        optimizer.step(partial(loss_of, model, optimizer.t))


def recorded(model: nn.Module, path: Path, steps: int, *parts: Any, lr: Any = 0.05, every: int | None = None) -> Any:
    """Train a copy of the model, recorded; the copy and its optimizer."""
    trained = copy.deepcopy(model)
    optimizer = Recording(trained, *parts, lr=lr, key=11)
    with optimizer.record(path, snapshot_every=every):
        train(optimizer, trained, steps)
    return trained, optimizer


def equal(a: nn.Module, b: nn.Module) -> bool:
    """Whether all parameters are the same, bit for bit."""
    return all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
