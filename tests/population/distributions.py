"""What the tests of the distribution and swarm methods share: problems, domains, and a loop of ask and tell."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from descend.key import Key
from descend.space.domain import Domain

SHIFT = torch.tensor([13.0, 17.5, 11.25, 18.0, 14.5], dtype=torch.float64)
CORNER = torch.tensor([20.0, 10.0, 20.0, 10.0, 20.0], dtype=torch.float64)


def sphere(x: Tensor) -> Tensor:
    return x.square().sum(-1)


def bowl(x: Tensor) -> Tensor:
    """An asymmetric one inside [10, 20]^5, 0 at SHIFT."""
    away = x - SHIFT.to(x)
    return torch.where(away > 0, away, 3 * away).square().sum(-1)


def ellipsoid(x: Tensor) -> Tensor:
    d = x.shape[-1]
    return (10 ** (6 * torch.arange(d).to(x) / (d - 1)) * x * x).sum(-1)


def rotated(f: Callable[[Tensor], Tensor], d: int) -> Callable[[Tensor], Tensor]:
    q = torch.linalg.qr(Key(99).normal(d, d, like=torch.zeros(0, dtype=torch.float64)))[0]
    return lambda x: f(x @ q.to(x))


def rosenbrock(x: Tensor) -> Tensor:
    return (100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2 + (1 - x[..., :-1]) ** 2).sum(-1)


def rastrigin(x: Tensor) -> Tensor:
    return (x * x - 10 * torch.cos(2 * math.pi * x) + 10).sum(-1)


def box(low: float, high: float, d: int, dtype: torch.dtype = torch.float64) -> Domain:
    return Domain.box(torch.full((d,), low, dtype=dtype), torch.full((d,), high, dtype=dtype))


def grid(low: float, high: float, d: int, cells: int) -> Domain:
    """[low, high]^d in which every coordinate has this many values."""
    lower, upper = (torch.full((d,), side, dtype=torch.float64) for side in (low, high))
    return Domain.box(lower, upper, cells=torch.full((d,), cells))


def search(
    method: Any,
    f: Callable[[Tensor], Tensor],
    x: Tensor,
    evaluations: int,
    domain: Domain | None = None,
    seed: int = 0,
    target: float = -math.inf,
) -> tuple[Any, int]:
    """The state after so many evaluations, or when the value is below the target, and how many there were."""
    state, made = method.init(x, Key(seed), domain), 0
    while made < evaluations and not state.value < target and not state.done:
        state, xs = method.ask(state)
        state = method.tell(state, xs, f(xs).to(torch.float64))
        made += len(xs)
    return state, made
