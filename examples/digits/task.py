"""The task: 1,797 handwritten digits of 8 x 8 pixels, a split that never changes, and a small convolutional network."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import descend as dd

__all__ = ["BATCH", "Digits", "Network", "batches", "load", "loss_and_accuracy"]

BATCH = 64
"""Images in a mini-batch, the same for all methods, so that a forward pass is the same work for all."""


@dataclass(frozen=True, eq=False)
class Digits:
    """Images (n, 1, 8, 8), standardised by the mean and the spread of the training images, and labels (n,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor


def load(validation: bool = False) -> Digits:
    """Scikit-learn's digits: 1,437 images to learn from and 360 to test on, all digits equally often in both.

    Args:
        validation: hold back 300 of the training images and call them the test images. The settings of the methods
            were chosen so; the real test images had no part in it.
    """
    pixels, labels = load_digits(return_X_y=True)
    train, test = train_test_split(range(len(labels)), test_size=360, random_state=0, stratify=labels)
    if validation:
        train, test = train_test_split(train, test_size=300, random_state=1, stratify=labels[train])
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 8, 8)
    images = (images - images[train].mean()) / images[train].std()
    answers = torch.tensor(labels)
    return Digits(images[train], answers[train], images[test], answers[test])


class Network(nn.Module):
    """Two convolutions and a linear layer: 2,582 parameters, images (n, 1, 8, 8) to scores (n, 10).

    tanh, because an estimate from differences likes a smooth loss; a narrow second layer, because behind a wide one
    the last layer learns well enough from random features, and it would not be seen how well the convolutions learn.
    """

    def __init__(self, key: dd.Key) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 4, stride=2, padding=1)
        self.conv2 = nn.Conv2d(32, 12, 2, stride=2)
        self.head = nn.Linear(48, 10)
        for name, p in self.named_parameters():
            if p.dim() == 1:
                nn.init.zeros_(p)
            else:
                spread = math.sqrt((1 if name.startswith("head") else 2) / p[0].numel())
                p.data = key.fold(name).normal(*p.shape, like=p.data) * spread

    def forward(self, images: Tensor) -> Tensor:
        features = torch.tanh(self.conv2(torch.tanh(self.conv1(images))))
        return self.head(features.flatten(1))


def batches(data: Digits, key: dd.Key) -> Iterator[tuple[Tensor, Tensor]]:
    """Mini-batches of the training images for ever, every epoch in a new order; its incomplete last one is left out."""
    n, epoch = len(data.train_labels), 0
    while True:
        order = key.fold(epoch).permutation(n)
        for start in range(0, n - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            yield data.train_images[chosen], data.train_labels[chosen]
        epoch += 1


@torch.no_grad()
def loss_and_accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    """Mean cross-entropy, and the share of images that are recognised."""
    scores = network(images)
    return float(F.cross_entropy(scores, labels)), float((scores.argmax(1) == labels).float().mean())
