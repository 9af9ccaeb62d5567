"""One run of one method: its budget, its learning curve, and what it counted."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.lr_scheduler import CosineAnnealingLR

import descend as dd

from .methods import Method
from .task import Digits, Network, batches, loss_and_accuracy

__all__ = ["COST", "Run", "forward_equivalents", "train"]

COST = {"value": 1, "gradient": 3, "jvp": 2}
"""Forward-equivalents of an evaluation: a forward pass is 1 and a backward pass 2, so a gradient is 3; a forward pass
in dual numbers carries every activation and its derivative, so it is 2."""

_RECORDS = 60, 25
"""Points of a learning curve at equal distances on a logarithmic axis, and on a linear one."""


def forward_equivalents(counts: Mapping[str, int]) -> int:
    """What the evaluations in an optimizer's ledger cost, in forward passes of one mini-batch."""
    return sum(COST[kind] * n for kind, n in counts.items())


@dataclass(eq=False)
class Run:
    """A method with a seed, and what is known of it so far; an interrupted run is one with fewer records.

    Fields: columns of one length, a row per record: forward-equivalents spent, loss over all training images, share of
    test images recognised; evaluations by kind; seconds of training, without those of the records; the first layer's
    filters and the answers to the test images at the last record; whether the run spent its budget.
    """

    method: Method
    seed: int
    spent: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    filters: Tensor = field(default_factory=lambda: torch.zeros(0))
    answers: Tensor = field(default_factory=lambda: torch.zeros(0))
    done: bool = False

    def record(self, network: Network, data: Digits, counts: Mapping[str, int]) -> None:
        """A row of the learning curve. Nothing of it is used for training."""
        self.counts = dict(counts)
        self.spent.append(forward_equivalents(counts))
        self.loss.append(loss_and_accuracy(network, data.train_images, data.train_labels)[0])
        self.accuracy.append(loss_and_accuracy(network, data.test_images, data.test_labels)[1])
        with torch.no_grad():
            self.answers = network(data.test_images).argmax(1)
        self.filters = network.conv1.weight.detach()[:, 0].clone()

    def first(self, accuracy: float) -> int | None:
        """Forward-equivalents spent when this accuracy was first recorded, if it was."""
        return next((spent for spent, a in zip(self.spent, self.accuracy, strict=True) if a >= accuracy), None)


def train(run: Run, data: Digits, budget: int, key: dd.Key, watch: Callable[[Run], None]) -> None:
    """Spend the budget, filling in the run as it goes.

    Args:
        run: the method and the seed; filled in place, so that an interrupt leaves what is there.
        budget: in forward-equivalents; never exceeded, but that a step is made even if it costs more.
        key: of everything random; all methods start from the same network and see the same mini-batches.
        watch: called after every record.
    """
    key = key.fold("seed", run.seed)
    network = Network(key.fold("network"))
    steps = max(1, budget // run.method.cost)
    optimizer = run.method.make(network, key.fold(run.method.slug))
    schedule = CosineAnnealingLR(optimizer, steps)  # torch's own
    source = batches(data, key.fold("batches"))
    early, evenly = _RECORDS
    due = {round(steps ** (i / early)) for i in range(early + 1)} | {steps * i // evenly for i in range(1, evenly + 1)}
    run.record(network, data, optimizer.ledger.counts)
    start = time.perf_counter()
    for t in range(1, steps + 1):
        images, labels = next(source)
        optimizer.step(lambda x=images, y=labels: F.cross_entropy(network(x), y))
        schedule.step()
        if t in due:
            run.seconds += time.perf_counter() - start
            run.record(network, data, optimizer.ledger.counts)
            run.done = t == steps
            watch(run)
            start = time.perf_counter()
