"""The methods that are compared, a row each: what the optimizer is made of, and the settings that suit it.

Settings were chosen one method at a time by the accuracy on 300 held-back training images (`load(validation=True)`), at
the default budget, the mean of two or three seeds; the test images had no part in it. Tried were learning rates in
steps of about 1.5 to 3. On a network with a wider second layer, also radii 1e-3, 1e-2 and 1e-1, 1 to 32 directions,
and no memory or a heavy ball in place of Adam's: nothing was better by more than chance.
"""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

import descend as dd

from .task import Network

__all__ = ["METHODS", "Method"]


@dataclass(frozen=True)
class Method:
    """A method.

    Args:
        slug: its name in options and keys.
        name: its name in a sentence.
        what: how it gets its gradient, a sentence.
        settings: the code that makes the optimizer.
        cost: forward-equivalents per step.
        make: the optimizer for a network and a key; its learning rates fall to 0 along a cosine in every run.
    """

    slug: str
    name: str
    what: str
    settings: str
    cost: int
    make: Callable[[Network, dd.Key], dd.Optimizer]

    @property
    def title(self) -> str:
        """Its name in tables and pictures."""
        return self.name[0].upper() + self.name[1:]


def _autograd(network: Network, key: dd.Key) -> dd.Optimizer:
    return dd.Optimizer(network, dd.Adam(), lr=3e-3, key=key)


def _forward_gradient(network: Network, key: dd.Key) -> dd.Optimizer:
    return dd.Optimizer(network, dd.ForwardGradient(law="sign"), dd.Adam(), lr=6e-3, key=key)


def _spsa(network: Network, key: dd.Key) -> dd.Optimizer:
    return dd.Optimizer(network, dd.SPSA(radius=1e-2), dd.Adam(), lr=6e-3, key=key)


def _smoothing(network: Network, key: dd.Key) -> dd.Optimizer:
    return dd.Optimizer(network, _four_directions(), dd.Adam(), lr=1.3e-2, key=key)


def _hybrid(network: Network, key: dd.Key) -> dd.Optimizer:
    groups = [
        {"params": _without_graph(network), "estimator": _four_directions()},
        {"params": list(network.head.parameters())},
    ]
    return dd.Optimizer(groups, dd.Adam(), lr=1e-2, key=key)


def _head_only(network: Network, key: dd.Key) -> dd.Optimizer:
    _without_graph(network)
    return dd.Optimizer(network.head, dd.Adam(), lr=1e-2, key=key)


def _four_directions() -> dd.RandomDirections:
    return dd.GaussianSmoothing(radius=1e-2, samples=4, coupling="orthogonal")


def _without_graph(network: Network) -> list[nn.Parameter]:
    """The convolutions' parameters, for which autograd shall record nothing."""
    parameters = [*network.conv1.parameters(), *network.conv2.parameters()]
    for p in parameters:
        p.requires_grad_(False)
    return parameters


METHODS = (
    Method(
        "autograd",
        "autograd",
        "The exact gradient by a forward and a backward pass. Nothing beats it where it is to be had.",
        "dd.Optimizer(network, dd.Adam(), lr=3e-3)",
        3,
        _autograd,
    ),
    Method(
        "forward-gradient",
        "forward gradient",
        "The exact slope along one random direction, by one forward pass in dual numbers: no backward pass, no graph.",
        'dd.Optimizer(network, dd.ForwardGradient(law="sign"), dd.Adam(), lr=6e-3)',
        2,
        _forward_gradient,
    ),
    Method(
        "spsa",
        "SPSA",
        "The slope along one random direction, from the loss a little to both sides: two forward passes, nothing else.",
        "dd.Optimizer(network, dd.SPSA(radius=1e-2), dd.Adam(), lr=6e-3)",
        2,
        _spsa,
    ),
    Method(
        "smoothing",
        "Gaussian smoothing",
        "The mean of the slopes along four random directions, from five forward passes: fewer and better steps.",
        'dd.Optimizer(network, dd.GaussianSmoothing(radius=1e-2, samples=4, coupling="orthogonal"), '
        "dd.Adam(), lr=1.3e-2)",
        5,
        _smoothing,
    ),
    Method(
        "hybrid",
        "hybrid",
        "Autograd for the last layer and smoothing for the convolutions below it, as for a black box.",
        'dd.Optimizer([{"params": convolutions, "estimator": dd.GaussianSmoothing(radius=1e-2, samples=4, '
        'coupling="orthogonal")}, {"params": last_layer}], dd.Adam(), lr=1e-2)',
        7,
        _hybrid,
    ),
    Method(
        "last-layer",
        "last layer only",
        "The control for the hybrid: autograd for the last layer, and the convolutions stay as random as they began.",
        "dd.Optimizer(last_layer, dd.Adam(), lr=1e-2)",
        3,
        _head_only,
    ),
)
