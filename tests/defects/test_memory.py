"""Memory follows from the composition: without a dense transform nothing of the size of the model is made.

Every tensor that torch allocates is counted while it lives, so no process, noise or allocator is in the way.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode

import descend as dd
from descend.torch_optim import Optimizer

TILE = 2**18  # elements of a weight that are moved at once
WIDTH = 1100
"""Two layers of 1.2 million parameters: well above the block in which directions are made."""


class Tally(TorchDispatchMode):
    """Bytes of the storages that were made while it is on, and are alive; `peak` is the most at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, tuple[StorageWeakRef, int]] = {}
        self.known: set[int] = set()
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for leaf in _leaves((args, kwargs or {})):
            key = leaf.untyped_storage()._cdata
            if key not in self.sizes:  # it was there before
                self.known.add(key)
        out = func(*args, **(kwargs or {}))
        for leaf in _leaves(out):
            storage = leaf.untyped_storage()
            if storage._cdata not in self.known and leaf.device.type != "meta":
                self.sizes[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.peak = max(self.peak, self.alive())
        return out

    def alive(self) -> int:
        """Bytes that are alive now."""
        self.sizes = {key: pair for key, pair in self.sizes.items() if not pair[0].expired()}
        return sum(size for _, size in self.sizes.values())


def _leaves(tree: Any) -> list[Tensor]:
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = list(tree.values())
    return [leaf for part in tree for leaf in _leaves(part)] if isinstance(tree, list | tuple) else []


def _model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH))


def _measured(*parts: Any, lr: float | None = 1e-4, steps: int = 2) -> tuple[float, float, Any]:
    """Peak and what is still held afterwards, both in units of the parameters; and the optimizer."""
    model = _model()
    x = torch.ones(4, 8)
    size = sum(p.numel() * p.element_size() for p in model.parameters())
    optimizer = Optimizer(model, *parts, lr=lr, key=0)
    optimizer.population.tile = TILE
    graphs = []

    def closure() -> Tensor:
        loss = model(x).square().mean()
        graphs.append(loss.requires_grad)
        return loss

    before = [p.detach().clone() for p in model.parameters()]
    with Tally() as tally:
        for _ in range(steps):
            optimizer.step(closure)
        held = tally.alive()
    assert any(not torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    assert not any(graphs) or not optimizer.estimators
    return tally.peak / size, held / size, optimizer


def test_the_tally_counts() -> None:
    with Tally() as tally:
        a = torch.ones(1000)
        b = a + a
        del b
        c = a.view(10, 100)
        assert (tally.alive(), tally.peak) == (4000, 8000)
        del a, c
        assert tally.alive() == 0


@pytest.mark.parametrize(
    "parts",
    [(dd.MeZO(),), (dd.SPSA(1e-3),), (dd.RandomDirections("uniform", radius=1e-3),)],
    ids=["MeZO", "SPSA", "uniform"],
)
def test_spsa_of_a_large_model_takes_a_block(parts: tuple[Any, ...]) -> None:
    peak, held, optimizer = _measured(*parts)
    blocks = 4 * 2**18 / (4 * optimizer.parameters.size)  # of the size of the model: a model of 50 million needs 0.02
    assert peak < 3.5 * blocks, peak
    assert held <= blocks  # one tile is kept for the next step
    assert optimizer.ledger.counts == {"value": 4}


@pytest.mark.parametrize(
    ("parts", "most", "kept"),
    [
        ((dd.SPSA(),), 1.5, 0.0),  # the automatic radius reads the point, and a copy of it is kept for the step
        ((dd.GaussianSmoothing(1e-2, samples=100),), 2.0, 0.0),
        ((dd.GaussianSmoothing(samples=10),), 2.0, 0.0),
        ((dd.SPSA(1e-3), dd.HeavyBall()), 2.5, 1.0),
        ((dd.SPSA(1e-3), dd.Adam()), 3.5, 2.0),
        ((dd.Adam(),), 3.5, 3.0),  # the gradients are autograd's
        ((dd.HeavyBall(),), 2.5, 2.0),
    ],
    ids=["SPSA", "100 samples", "10 samples", "SPSA, HeavyBall", "SPSA, Adam", "Adam", "HeavyBall"],
)
def test_the_memory_is_that_of_the_composition(parts: tuple[Any, ...], most: float, kept: float) -> None:
    peak, held, optimizer = _measured(*parts, steps=1 if "samples=100" in repr(parts) else 2)
    assert peak < most, peak
    tile = 4 * TILE / (4 * optimizer.parameters.size)
    assert held == pytest.approx(kept, abs=0.01) or held == pytest.approx(kept + tile, abs=0.01)


def test_no_probe_builds_a_graph() -> None:
    """Activations of the forward are let go of layer by layer: many layers take no more than a few."""
    deep = nn.Sequential(*(nn.Sequential(nn.Linear(16, 16), nn.Tanh()) for _ in range(24)))
    x = torch.ones(4096, 16)
    activation = x.numel() * x.element_size()

    def peak(step: Callable[[], Any]) -> float:
        with Tally() as tally:
            step()
        return tally.peak / activation

    def closure() -> Tensor:
        return deep(x).square().mean()

    with torch.no_grad():
        bare = peak(closure)
    for parts in ((dd.SPSA(),), (dd.MeZO(), dd.Adam()), (dd.GaussianSmoothing(samples=3),)):
        optimizer = Optimizer(deep, *parts, lr=1e-3, key=0)
        assert peak(lambda o=optimizer: o.step(closure)) < bare + 0.7
    assert peak(lambda: Optimizer(deep, lr=1e-3).step(closure)) > bare + 20
