"""First-order chains walk the same path as their counterparts in torch.optim."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from descend.descent import Descent
from descend.key import Key
from descend.oracle import Differentiable
from descend.transform import (
    AdaGrad,
    Adam,
    AdamW,
    HeavyBall,
    NAdam,
    RMSProp,
    Rprop,
    WeightDecay,
)
from descend.tree import tensors

D = 23  # odd, so that vectorized loops have a tail
STEPS = 40
Torch = Callable[[list[Tensor]], torch.optim.Optimizer]


def objective(x: Tensor) -> Tensor:
    """Curved from 1/2 to 50, with waves and a coupling; gradients change their signs on the way."""
    curvature = torch.logspace(-0.3, 1.7, D, dtype=torch.float64).to(x.dtype)
    return (curvature * (x - 0.7).square()).sum() / 2 + torch.cos(3 * x).sum() + 0.1 * x.sum().square()


def start(dtype: torch.dtype) -> Tensor:
    return Key(1).normal(D, like=torch.zeros((), dtype=torch.float64)).to(dtype)


def ours(parts: tuple[Any, ...], lr: float, dtype: torch.dtype, steps: int = STEPS) -> Tensor:
    """The iterates (steps, d) of a descent."""
    descent, oracle = Descent(*parts, lr=lr), Differentiable(objective)
    state = descent.init(start(dtype), Key(0))
    path = []
    for _ in range(steps):
        state = descent.advance(oracle, state)
        path.append(state.x)
    assert state.rejected == 0
    return torch.stack(path)


def theirs(make: Torch, dtype: torch.dtype, steps: int = STEPS) -> Tensor:
    """The iterates (steps, d) of a torch optimizer."""
    p = torch.nn.Parameter(start(dtype))
    optimizer = make([p])
    path = []
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps the product of its momenta in this dtype
    try:
        for _ in range(steps):
            optimizer.zero_grad()
            objective(p).backward()
            optimizer.step()
            path.append(p.detach().clone())
    finally:
        torch.set_default_dtype(default)
    return torch.stack(path)


PAIRS: dict[str, tuple[tuple[Any, ...], float, Torch]] = {
    "sgd": ((), 0.01, lambda p: torch.optim.SGD(p, 0.01)),
    "sgd decay": ((WeightDecay(0.1),), 0.01, lambda p: torch.optim.SGD(p, 0.01, weight_decay=0.1)),
    "momentum": ((HeavyBall(0.9),), 0.005, lambda p: torch.optim.SGD(p, 0.005, momentum=0.9)),
    "dampening": (
        (HeavyBall(0.9, dampening=0.4),),
        0.01,
        lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, dampening=0.4),
    ),
    "nesterov": (
        (HeavyBall(0.9, nesterov=True),),
        0.005,
        lambda p: torch.optim.SGD(p, 0.005, momentum=0.9, nesterov=True),
    ),
    "momentum decay": (
        (WeightDecay(0.1), HeavyBall(0.8, dampening=0.1)),
        0.01,
        lambda p: torch.optim.SGD(p, 0.01, momentum=0.8, dampening=0.1, weight_decay=0.1),
    ),
    "adagrad": (
        (AdaGrad(initial_accumulator_value=0.2, eps=1e-3),),
        0.1,
        lambda p: torch.optim.Adagrad(p, 0.1, initial_accumulator_value=0.2, eps=1e-3),
    ),
    "adagrad defaults": ((AdaGrad(),), 0.1, lambda p: torch.optim.Adagrad(p, 0.1)),
    "rmsprop": ((RMSProp(),), 0.01, lambda p: torch.optim.RMSprop(p, 0.01)),
    "rmsprop centered": (
        (RMSProp(0.95, centered=True, eps=0.1),),  # eps keeps a variance that cancels from being divided by
        0.01,
        lambda p: torch.optim.RMSprop(p, 0.01, alpha=0.95, centered=True, eps=0.1),
    ),
    "rmsprop centered momentum": (
        (WeightDecay(0.1), RMSProp(0.95, centered=True, eps=1e-3), HeavyBall(0.7)),
        0.005,
        lambda p: torch.optim.RMSprop(p, 0.005, alpha=0.95, eps=1e-3, centered=True, momentum=0.7, weight_decay=0.1),
    ),
    "adam": ((Adam(),), 0.1, lambda p: torch.optim.Adam(p, 0.1)),
    "adam betas": (
        (Adam((0.5, 0.9), eps=1e-2),),
        0.1,
        lambda p: torch.optim.Adam(p, 0.1, betas=(0.5, 0.9), eps=1e-2),
    ),
    "adam decay": (
        (WeightDecay(0.5), Adam()),
        0.1,
        lambda p: torch.optim.Adam(p, 0.1, weight_decay=0.5),
    ),
    "amsgrad": (
        (Adam((0.5, 0.9), amsgrad=True),),
        0.1,
        lambda p: torch.optim.Adam(p, 0.1, betas=(0.5, 0.9), amsgrad=True),
    ),
    "adamw": ((AdamW(weight_decay=0.5),), 0.1, lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.5)),
    "adamw composed": (
        (Adam(), WeightDecay(0.5)),
        0.1,
        lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.5),
    ),
    "adamw amsgrad": (
        (AdamW((0.5, 0.9), amsgrad=True),),
        0.1,
        lambda p: torch.optim.AdamW(p, 0.1, betas=(0.5, 0.9), amsgrad=True),
    ),
    "nadam": ((NAdam(),), 0.1, lambda p: torch.optim.NAdam(p, 0.1)),
    "nadam decays": (
        (NAdam((0.8, 0.95), eps=1e-2, momentum_decay=0.5), WeightDecay(0.2)),
        0.1,
        lambda p: torch.optim.NAdam(
            p, 0.1, (0.8, 0.95), 1e-2, momentum_decay=0.5, weight_decay=0.2, decoupled_weight_decay=True
        ),
    ),
    "rprop": ((Rprop(initial=0.1),), 1.0, lambda p: torch.optim.Rprop(p, 0.1)),
    "rprop limits": (
        (Rprop(0.1, etas=(0.4, 1.5), step_sizes=(0.01, 0.15)),),
        1.0,
        lambda p: torch.optim.Rprop(p, 0.1, etas=(0.4, 1.5), step_sizes=(0.01, 0.15)),
    ),
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", PAIRS)
def test_walks_torchs_path(name: str, dtype: torch.dtype) -> None:
    parts, lr, make = PAIRS[name]
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(ours(parts, lr, dtype), theirs(make, dtype), rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["momentum", "adagrad", "rmsprop", "adam", "amsgrad", "adamw", "nadam"])
def test_in_bfloat16_it_is_as_exact_as_torch(name: str) -> None:
    parts, lr, make = PAIRS[name]
    truth = theirs(make, torch.float64)
    apart = (theirs(make, torch.bfloat16).double() - truth).square().mean().sqrt()
    mine = ours(parts, lr, torch.bfloat16)
    assert mine.dtype == torch.bfloat16
    assert (mine.double() - truth).square().mean().sqrt() < 1.5 * apart


@pytest.mark.parametrize(
    "transform", [HeavyBall(), AdaGrad(), RMSProp(), Adam(amsgrad=True), NAdam(), Rprop()], ids=repr
)
def test_memory_has_the_dtype_of_the_point(transform: Any) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        assert {t.dtype for t in tensors(transform.init(torch.ones(3, dtype=dtype)))} == {dtype}
