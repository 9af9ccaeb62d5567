"""Functions of points (n, d), and a way to drive a method or a phase that counts evaluations."""

import math
from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import Tensor

from descend.key import Key
from descend.population.base import AskTell
from descend.space.domain import Domain


def box(d: int, low: float = -5.0, high: float = 5.0) -> Domain:
    return Domain.box(torch.full((d,), low, dtype=torch.float64), torch.full((d,), high, dtype=torch.float64))


def rotation(d: int, key: Key) -> Tensor:
    return torch.linalg.qr(key.normal(d, d, like=torch.zeros((), dtype=torch.float64)))[0]


def sphere(xs: Tensor) -> Tensor:
    return (xs - 1.5).square().sum(1)


def ellipsoid(xs: Tensor, condition: float = 1e6) -> Tensor:
    """Rotated, with its minimum at (1, ..., 1)."""
    d = xs.shape[1]
    z = (xs - 1) @ rotation(d, Key(5))
    return (z.square() * torch.logspace(0, math.log10(condition), d, dtype=torch.float64)).sum(1)


def rosenbrock(xs: Tensor) -> Tensor:
    a, b = xs[:, :-1], xs[:, 1:]
    return (100 * (b - a * a).square() + (1 - a).square()).sum(1)


def rastrigin(xs: Tensor) -> Tensor:
    z = xs - 0.7
    return (z.square() - 10 * torch.cos(2 * math.pi * z) + 10).sum(1)


def begun(d: int) -> Tensor:
    return torch.linspace(-3.0, 2.5, d, dtype=torch.float64)


def evaluations_to(
    method: AskTell[Any],
    f: Callable[[Tensor], Tensor],
    d: int,
    target: float,
    most: int,
    key: int = 0,
    domain: Domain | None = None,
) -> float:
    """How many evaluations it takes to get to the target; inf if more than `most`, or if the method ends before."""
    state, n = method.init(begun(d), Key(key), box(d) if domain is None else domain), 0
    while n < most and not state.done:
        state, xs = method.ask(state)
        if not len(xs):
            break
        losses = f(xs)
        reached = (losses <= target).nonzero()
        if len(reached):
            return n + int(reached[0]) + 1
        n += len(xs)
        state = method.tell(state, xs, losses)
    return math.inf


def answered(phase: Generator[Tensor, Tensor, Any], f: Callable[[Tensor], Tensor]) -> tuple[Any, int]:
    """What a phase returns, and how many evaluations it took."""
    n = 0
    try:
        xs = next(phase)
        while True:
            n += len(xs)
            xs = phase.send(f(xs))
    except StopIteration as end:
        return end.value, n
