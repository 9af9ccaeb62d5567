"""Training in bfloat16 beside float32 at the same settings, and how much of a tiny update bfloat16 weights take on."""

from collections.abc import Callable
from statistics import mean

import torch
from measure import table
from torch import Tensor, nn

import descend as dd
from descend.torch_optim.rounding import Nearest, Rounding, Stochastic
from forward.digits import digits, forward_only
from forward.tools import NO_TARGET, Target

KEYS = range(5)
MEMBERS = 128
STEPS, UPDATE, WIDTH = 4, 1e-6, 4096


def _trained() -> list[list[object]]:
    data, rows = digits(), []
    found = {
        dtype: [forward_only(data, MEMBERS, seed, dtype) for seed in KEYS] for dtype in (torch.float32, torch.bfloat16)
    }
    wide, narrow = (mean(accuracies) for accuracies in found.values())
    rows.append([f"digits, {MEMBERS} members, float32, mean of {len(KEYS)} keys", f"{wide:.2f} %", "", ""])
    target = Target(least=-0.5, unit=" points").cells(narrow - wide)
    rows.append(["the same in bfloat16", f"{narrow:.2f} % ({narrow - wide:+.2f} points)", *target])
    return rows


def _moved(weights: Tensor, rounding: Rounding) -> Tensor:
    """How far a few steps of length UPDATE along random signs take these weights, whatever the loss is."""
    layer = nn.Linear(WIDTH, WIDTH, bias=False, dtype=weights.dtype)
    with torch.no_grad():
        layer.weight.copy_(weights)
    before = layer.weight.detach().double()
    step = _stepper(layer, rounding)
    for _ in range(STEPS):
        step()
    return layer.weight.detach().double() - before


def _stepper(layer: nn.Linear, rounding: Rounding) -> Callable[[], object]:
    optimizer = dd.Optimizer(layer, dd.SPSA(radius=1e-3), lr=UPDATE, key=0, rounding=rounding)
    answers = iter(torch.tensor([1e-3, -1e-3] * STEPS).tolist())
    x = torch.zeros(1, WIDTH, dtype=layer.weight.dtype)

    def loss() -> float:
        layer(x)
        return next(answers)  # the difference of the two sides is 2 radius: a slope of one

    return lambda: optimizer.step(loss)


def _realised() -> list[list[object]]:
    """<realised, intended> / <intended, intended>; intended is what float32 weights do in the same steps."""
    generator = torch.Generator().manual_seed(0)
    narrow = torch.empty(WIDTH, WIDTH).normal_(std=0.05, generator=generator).bfloat16()
    intended = _moved(narrow.float(), Nearest())
    rows = []
    for rounding in (Stochastic(), Nearest()):
        realised = _moved(narrow, rounding)
        share = float((realised * intended).sum() / intended.square().sum())
        target = Target(least=0.98, most=1.02) if isinstance(rounding, Stochastic) else NO_TARGET
        rows.append([f"{STEPS} updates of {UPDATE:g} to weights of size 0.05, realised / intended, {rounding!r}",
                     f"{share:.4f}", *target.cells(share)])  # fmt: skip
    return rows


def main() -> str:
    torch.set_num_threads(1)
    return table("bfloat16", ["what", "measured", "target", "met"], _trained() + _realised())
