"""What is compared, a row each: which layers learn, from what, and the settings.

Settings were chosen by the loss on the validation snippets. The test snippets had no part in it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import descend as dd
from descend.estimate.settings import SETTLING

from .problem import Batch, Problem, cross_entropy, mistakes

__all__ = ["BACKWARD", "EXTRA", "METHODS", "Method", "stairs"]

BACKWARD = 2
"""What a backward pass costs in forward passes, because it makes two matrix products where a forward makes one."""

STAGES = 8
"""A learning rate that is given falls in so many steps. A trajectory notes it whenever it changes."""

LOOK = 1 / 16
"""What it costs a step, in forwards, to pace a learning rate that is not given."""


@dataclass(frozen=True)
class Method:
    """A way to train.

    Args:
        slug: its name in options and files.
        title: its name in tables.
        what: what it does, a sentence.
        settings: the code that makes the optimizer.
        fresh: the model before training.
        make: the optimizer for a model, a key and the number of forwards of a run.
        loss: of a mini-batch ().
        cost: forward passes of a step; 3 is one forward and one backward pass.
        settles: whether it finds its learning rate by itself, and paces it.
        share: of the forwards of a run that it gets; backpropagation needs fewer.
        weight: how long a forward takes, in forwards of the last two layers. For the time that is left.
        keys: runs of it, if they are fewer than those of the others.
    """

    slug: str
    title: str
    what: str
    settings: str
    fresh: Callable[[Problem], nn.Module]
    make: Callable[[nn.Module, dd.Key, int], torch.optim.Optimizer]
    loss: Callable[[nn.Module, Batch], Tensor] = cross_entropy
    cost: float = 2
    settles: bool = False
    share: float = 1.0
    weight: int = 1
    keys: int | None = None

    def steps(self, forwards: int) -> int:
        """Steps of a run of so many forwards."""
        return max(STAGES, int((forwards * self.share - self.settles * SETTLING) / self.cost))


def stairs(step: int, steps: int) -> float:
    """By what the learning rate is multiplied: from 1 down towards 0, in `STAGES` equal steps."""
    return 1 - step * STAGES // steps / STAGES


def _automatic(model: nn.Module, key: dd.Key, forwards: int) -> dd.Optimizer:
    return dd.Optimizer(_groups(model), dd.SPSA(radius=1e-3), key=key, model=model)


def _spsa(model: nn.Module, key: dd.Key, forwards: int) -> dd.Optimizer:
    # chance leads the weights away by lr times the root of the number of steps: as far in a long run as in a short one
    lr = 8e-4 * (1200 / forwards) ** 0.5
    matrices, vectors = _groups(model)
    return dd.Optimizer([matrices, {**vectors, "lr": 100 * lr}], dd.SPSA(radius=1e-3), lr=lr, key=key)


def _groups(model: nn.Module) -> list[dict[str, Any]]:
    """The matrices; and biases and scales, which bear ten times the radius, so a hundred times the learning rate."""
    learners = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    vectors = [pair for pair in learners if pair[1].dim() == 1]
    return [
        {"params": [pair for pair in learners if pair[1].dim() > 1]},
        {"params": vectors, "radius": 1e-2},
    ]


def _adam(model: nn.Module, key: dd.Key, forwards: int) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=1e-4)


_AUTOMATIC = """groups = [{"params": matrices}, {"params": vectors, "radius": 1e-2}]
dd.Optimizer(groups, dd.SPSA(radius=1e-3), model=model)"""

_SPSA = """lr = 8e-4 * (1200 / forwards) ** 0.5
groups = [{"params": matrices}, {"params": vectors, "radius": 1e-2, "lr": 100 * lr}]
dd.Optimizer(groups, dd.SPSA(radius=1e-3), lr=lr)"""

METHODS = (
    Method(
        "forward-only",
        "forward-only",
        "The slope along one random direction, from the loss a little to both sides of the weights: two forward "
        "passes a step, no backward pass, and no memory beside the model. Biases and scales are probed ten times as "
        "far as matrices.",
        _SPSA,
        Problem.head,
        _spsa,
    ),
    Method(
        "backpropagation",
        "backpropagation",
        "The exact gradient, by a forward and a backward pass, and Adam: the same layers, and mini-batches of the same "
        "stream.",
        "torch.optim.Adam(model.parameters(), lr=1e-4)",
        Problem.head,
        _adam,
        cost=1 + BACKWARD,
        share=0.5,
    ),
)
"""What every job compares."""

EXTRA = (
    Method(
        "automatic",
        "forward-only, no learning rate given",
        "The learning rate is found in some 16 forwards before the first step, and follows the run.",
        _AUTOMATIC,
        Problem.head,
        _automatic,
        cost=2 + LOOK,
        settles=True,
        share=0.12,
        keys=1,
    ),
    Method(
        "accuracy",
        "forward-only, mistakes as the loss",
        "The number of mistakes in the mini-batch is the loss. It has no gradient: it is a number that changes now and "
        "then by a whole mistake. The radius and the learning rate are the same.",
        _SPSA,
        Problem.head,
        _spsa,
        mistakes,
        share=0.5,
        keys=1,
    ),
    Method(
        "all-layers",
        "forward-only, all layers",
        "All six layers learn, 10.6 million weights. Nothing can be kept, so a forward pass takes three times as long.",
        _SPSA,
        lambda problem: problem.whole(6),
        _spsa,
        share=0.3,
        weight=3,
        keys=1,
    ),
)
"""What --full compares beside them."""
