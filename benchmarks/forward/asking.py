"""Estimates of the gradient at the live parameters of a model, without an update."""

from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor, nn

import descend as dd
from descend.layout import Parameters
from descend.oracle import Closure


def asking(model: nn.Module, loss: Callable[[], Tensor], estimator: dd.estimate.Estimator) -> Callable[[], object]:
    """A call that makes one estimate, another one each time."""
    names, tensors = zip(*model.named_parameters(), strict=True)
    parameters = Parameters(list(tensors), list(names))
    oracle = Closure(parameters, loss, model=model) | estimator
    here = torch.empty(parameters.size, dtype=parameters.dtype, device="meta")  # where the parameters are
    keys = count()

    def ask() -> object:
        with torch.no_grad():
            return oracle.gradient(here, dd.Key(next(keys)))

    return ask
