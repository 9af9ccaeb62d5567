"""The digits task: 1797 images of 8x8, an MLP 64-64-10 from scratch, batches of 128, Adam with lr 1e-2."""

from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import descend as dd
from descend.torch_optim.rounding import Stochastic

STEPS, BATCH, LR, SIGMA = 200, 128, 1e-2, 0.05


@dataclass(frozen=True)
class Digits:
    """Images (n, 64) in [0, 1] and their labels, of which a quarter is for the test."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    def batches(self, seed: int):
        """The batches of a run, (images, labels)."""
        generator = torch.Generator().manual_seed(seed)
        for _ in range(STEPS):
            chosen = torch.randint(0, len(self.train), (BATCH,), generator=generator)
            yield self.train[chosen], self.train_labels[chosen]

    def accuracy(self, model: nn.Module) -> float:
        """The share of the test images that are read right, in percent."""
        dtype = next(model.parameters()).dtype
        with torch.no_grad():
            right = model(self.test.to(dtype)).argmax(1) == self.test_labels
        return 100 * float(right.float().mean())


def digits() -> Digits:
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images / 16, labels, test_size=0.25, random_state=0, stratify=labels)
    train, test, train_labels, test_labels = (torch.as_tensor(part) for part in split)
    return Digits(train.float(), train_labels, test.float(), test_labels)


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 10))


def losses(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """(B,) cross-entropies."""
    images, labels = batch
    dtype = next(model.parameters()).dtype
    return cross_entropy(model(images.to(dtype)).float(), labels, reduction="none")


def forward_only(data: Digits, members: int, seed: int, dtype: torch.dtype = torch.float32) -> float:
    """Test accuracy after 200 steps of a population of rank-one members; narrow weights are rounded by chance."""
    model = network(seed).to(dtype)
    estimator = dd.Evolution(pairs=members // 2, rank=1, radius=SIGMA)
    optimizer = dd.Optimizer(model, estimator, dd.Adam(), lr=LR, key=seed, rounding=Stochastic())
    for batch in data.batches(seed):
        optimizer.step(losses, batch)
    return data.accuracy(model)


def backpropagated(data: Digits, seed: int) -> float:
    """The same by backpropagation."""
    model = network(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    for batch in data.batches(seed):
        optimizer.zero_grad()
        losses(model, batch).mean().backward()
        optimizer.step()
    return data.accuracy(model)
