"""A zoo of small models, each with a batch and a loss: every way we know of to reach a parameter in a forward pass.

`zoo_torch.py` holds those written in torch alone, `zoo_transformers.py` those built from `transformers` and `peft`
configs with random weights. All are made under a fixed seed, and a forward takes milliseconds.
"""

import sys
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parent))  # the tests are no package

from zoo_exhibit import Exhibit
from zoo_torch import TORCH
from zoo_transformers import TRANSFORMERS

__all__ = ["TORCH", "TRANSFORMERS", "ZOO", "Exhibit", "moved"]

ZOO: dict[str, Exhibit] = {**TORCH, **TRANSFORMERS}


@cache
def _twin(exhibit: Exhibit, dtype: torch.dtype) -> tuple[nn.Module, dict[str, Tensor]]:
    """The model made once more, and its state; no deep copy, because some models cannot be copied."""
    model, _ = exhibit.made(dtype)
    return model, {name: tensor.clone() for name, tensor in model.state_dict().items()}


def moved(exhibit: Exhibit, dtype: torch.dtype, shift: Tensor) -> nn.Module:
    """The naive reference: a model whose trainable parameters really were moved by a flat (d,) shift.

    It is the same object at every call, put back to where it began before it is moved.
    """
    model, home = _twin(exhibit, dtype)
    model.load_state_dict(home)
    start = 0
    with torch.no_grad():
        for p in (p for p in model.parameters() if p.requires_grad):
            p.add_(shift[start : start + p.numel()].view(p.shape))
            start += p.numel()
    assert start == shift.numel()
    return model
