"""Steps on the GPT by name: those of descend, of its peers, and of backpropagation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from forward.networks import next_word, next_word_each

Step = Callable[[], object]
LR = 1e-9


def step_of(what: str, model: nn.Module, batch: Tensor) -> Step:
    """One step of a method on a batch, as a call without arguments."""
    if what in _PEERS:
        return _PEERS[what](model, batch)
    import descend as dd

    rank = None if what.startswith("signs") else 1
    if what == "population":
        estimator = dd.Evolution(pairs=4, rank=1, radius=1e-3)
    else:
        estimator = dd.SPSA(radius=1e-3, rank=rank)
    optimizer = dd.Optimizer(model, estimator, lr=LR, key=0)
    if what == "signs":
        return lambda: optimizer.step(lambda: next_word(model, batch))
    if what == "rank one":
        optimizer.population.activations = 1  # so that no two members run as one forward
    loss = next_word_each if what == "population" else next_word
    return lambda: optimizer.step(loss, batch)


def _recipe(model: nn.Module, batch: Tensor) -> Step:
    from forward.peers import Recipe

    recipe = Recipe(model, lr=LR)
    return lambda: recipe.step(lambda: next_word(model, batch))


def _torchzero(model: nn.Module, batch: Tensor) -> Step:
    from forward.peers import torchzero_mezo

    step = torchzero_mezo(model, LR)
    return lambda: step(lambda: next_word(model, batch))


def _backpropagation(model: nn.Module, batch: Tensor) -> Step:
    optimizer = torch.optim.SGD(model.parameters(), LR)

    def step() -> None:
        optimizer.zero_grad()
        with torch.enable_grad():
            next_word(model, batch).backward()
        optimizer.step()

    return step


_PEERS = {"recipe": _recipe, "torchzero": _torchzero, "backpropagation": _backpropagation}
