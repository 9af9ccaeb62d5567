"""Objectives that try a part: with a known slope, with a planted wrong gradient, and failing when they are told to."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

__all__ = ["Failing", "Planted", "ellipsoid", "rosenbrock", "shifted_sphere", "wavy"]


def shifted_sphere(x: Tensor) -> Tensor:
    """An asymmetric bowl on [10, 20]^d: a method that is drawn to the origin, or to the middle, does not find it.

    sum_i w_i (x_i - 11 - i mod 8)^2 with w_i = 1 + i / 4, twice as steep above the minimum; f = 0 at the minimum.

    >>> float(shifted_sphere(torch.tensor([11.0, 12.0, 13.0])))
    0.0
    """
    i = torch.arange(x.shape[-1], dtype=x.dtype, device=x.device)
    gap = x - 11 - i % 8
    return ((1 + i / 4) * torch.where(gap > 0, 2 * gap, gap).square()).sum(-1)


def ellipsoid(x: Tensor) -> Tensor:
    """sum_i 100^(i / (d - 1)) (x_i - 1)^2: a bowl of condition number 100, with its minimum 0 at (1, ..., 1).

    >>> float(ellipsoid(torch.tensor([0.0, 2.0])))
    101.0
    """
    d = x.shape[-1]
    weights = 100.0 ** (torch.arange(d, dtype=x.dtype, device=x.device) / max(1, d - 1))
    return (weights * (x - 1).square()).sum(-1)


def wavy(x: Tensor) -> Tensor:
    """sum_i i (x_i^2 + sin(i x_i)) / d: smooth, separable in no obvious way, with a gradient that is nowhere simple.

    >>> float(wavy(torch.zeros(3)))
    0.0
    """
    i = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
    return (i * (x.square() + torch.sin(i * x))).sum(-1) / len(i) + x[..., 0] * x[..., -1]


def rosenbrock(x: Tensor) -> Tensor:
    """Rosenbrock's valley in two or more dimensions, with its minimum 0 at (1, ..., 1).

    >>> round(float(rosenbrock(torch.tensor([-1.1, 2.5]))), 2)
    170.82
    """
    return (100 * (x[..., 1:] - x[..., :-1].square()).square() + (1 - x[..., :-1]).square()).sum(-1)


class _Lie(torch.autograd.Function):
    """The identity on a value; whoever differentiates it, in either mode, is noted and gets a wrong answer."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, x: Tensor, note: Callable[[], None]) -> Tensor:  # type: ignore[override]
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        _, x, ctx.note = inputs
        ctx.save_for_backward(x)

    @staticmethod
    def jvp(ctx: Any, value: Tensor, x: Tensor, note: None) -> Tensor:  # type: ignore[override]
        ctx.note()
        return torch.full_like(value, 777.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:  # type: ignore[override]
        ctx.note()
        (x,) = ctx.saved_tensors
        signs = torch.ones_like(x).view(-1)
        signs[1::2] = -1
        return None, 777.0 * gradient * signs.view(x.shape), None


@dataclass
class Planted:
    """An objective whose values are those of f, and whose autograd gradient is wrong: +777, -777, +777, ...

    A method that lives on values must never see it. Every differentiation is counted in `seen`.

    Args:
        f: (d,) -> ().

    >>> planted = Planted(rosenbrock)
    >>> x = torch.zeros(2, requires_grad=True)
    >>> planted(x).backward()
    >>> x.grad, planted.seen
    (tensor([ 777., -777.]), 1)
    """

    f: Callable[[Tensor], Tensor]
    seen: int = 0

    def _note(self) -> None:
        self.seen += 1

    def __call__(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            value = self.f(x.detach())
        return _Lie.apply(value, x, self._note)  # type: ignore[no-any-return]


@dataclass
class Failing:
    """An objective that fails at some of its evaluations, and counts all of them.

    Args:
        f: what is evaluated otherwise.
        at: which evaluations fail, counted from 0.
        how: what they return, NaN by default, or the exception that they raise.

    >>> f = Failing(lambda: 3.0, {1})
    >>> f(), f(), f(), f.calls
    (3.0, nan, 3.0, 3)
    """

    f: Callable[..., Any]
    at: set[int] = field(default_factory=set)
    how: float | BaseException = math.nan
    calls: int = 0

    def __call__(self, *arguments: Any) -> Any:
        value = self.f(*arguments)
        self.calls += 1
        if self.calls - 1 not in self.at:
            return value
        if isinstance(self.how, BaseException):
            raise self.how
        return self.how
