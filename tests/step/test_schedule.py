"""Schedules against torch.optim.lr_scheduler."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from descend.descent import Descent
from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Differentiable
from descend.step import Cosine, Exponential, Fixed, PiecewiseConstant, Polynomial, Power, WarmUp

Make = Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]


def warmed(then: Make, steps: int) -> Make:
    def make(optimizer: torch.optim.Optimizer) -> lr_scheduler.LRScheduler:
        up = lr_scheduler.LinearLR(optimizer, start_factor=1 / (steps + 1), total_iters=steps)
        return lr_scheduler.SequentialLR(optimizer, [up, then(optimizer)], milestones=[steps])

    return make


PAIRS: list[tuple[Any, Make]] = [
    (
        PiecewiseConstant((0.4, 0.04, 0.004), boundaries=(30, 70)),
        lambda o: lr_scheduler.MultiStepLR(o, [30, 70], gamma=0.1),
    ),
    (PiecewiseConstant((0.1, 0.4), (12,)), lambda o: lr_scheduler.ConstantLR(o, 0.25, total_iters=12)),
    (Exponential(0.4, 0.97), lambda o: lr_scheduler.ExponentialLR(o, 0.97)),
    (Exponential(0.4, 0.5, every=7), lambda o: lr_scheduler.StepLR(o, 7, gamma=0.5)),
    (Polynomial(0.4, 60, power=2.0), lambda o: lr_scheduler.PolynomialLR(o, 60, power=2.0)),
    (Polynomial(0.4, 80, final=0.1), lambda o: lr_scheduler.LinearLR(o, 1.0, 0.25, total_iters=80)),
    (Cosine(0.4, 100, final=0.05), lambda o: lr_scheduler.CosineAnnealingLR(o, 100, eta_min=0.05)),
    (Power(3.2, alpha=0.7, stability=7.0), lambda o: lr_scheduler.LambdaLR(o, lambda t: 8.0 / (8 + t) ** 0.7)),
    (
        WarmUp(Cosine(0.4, 90), steps=10),
        warmed(lambda o: lr_scheduler.CosineAnnealingLR(o, 90), 10),
    ),
    (WarmUp(0.4, steps=9), warmed(lambda o: lr_scheduler.ConstantLR(o, 1.0), 9)),
]


@pytest.mark.filterwarnings("ignore:The epoch parameter")
@pytest.mark.parametrize(("schedule", "make"), PAIRS, ids=lambda part: repr(part) if not callable(part) else None)
def test_it_is_torchs_schedule(schedule: Any, make: Make) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
    scheduler = make(optimizer)
    for t in range(101):
        assert schedule(t) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-12), t
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(("schedule", "last"), [(Cosine(1.0, 50, 0.2), 0.2), (Polynomial(1.0, 50, 3.0, 0.1), 0.1)])
def test_after_its_end_it_stays(schedule: Any, last: float) -> None:
    assert [schedule(t) for t in (50, 51, 100, 10**9)] == pytest.approx(4 * [last])


def test_a_descent_follows_its_schedule() -> None:
    descent = Descent(Fixed(PiecewiseConstant((1.0, 0.25), (2,))))
    state = descent.init(torch.zeros(1), Key(0))
    path = []
    for _ in range(4):
        state = descent.advance(Differentiable(lambda x: -x.sum()), state)
        path.append(state.x.item())
    assert path == [1.0, 2.0, 2.25, 2.5]
    assert Descent(lr=Cosine(1.0, 10)) == Descent(lr=Cosine(1.0, 10))


@pytest.mark.parametrize(
    ("make", "quoted"),
    [
        (lambda: PiecewiseConstant((0.1, 0.2), ()), "2 values and 0 boundaries"),
        (lambda: PiecewiseConstant((0.1, -0.2), (3,)), "values=-0.2"),
        (lambda: PiecewiseConstant((0.1, 0.2, 0.3), (3, 3)), r"boundaries=\(3, 3\)"),
        (lambda: Exponential(-1.0, 0.9), "initial=-1.0"),
        (lambda: Exponential(1.0, 0.0), "gamma=0.0"),
        (lambda: Exponential(1.0, 1.1), "gamma=1.1"),
        (lambda: Exponential(1.0, 0.9, every=0), "every=0"),
        (lambda: Polynomial(1.0, 0), "steps=0"),
        (lambda: Polynomial(float("nan"), 5), "initial=nan"),
        (lambda: Polynomial(1.0, 5, power=0.0), "power=0.0"),
        (lambda: Polynomial(1.0, 5, final=-1.0), "final=-1.0"),
        (lambda: Cosine(float("inf"), 5), "initial=inf"),
        (lambda: Cosine(1.0, -3), "steps=-3"),
        (lambda: Cosine(1.0, 3, final=-0.5), "final=-0.5"),
        (lambda: Power(-1.0), "a=-1.0"),
        (lambda: Power(1.0, alpha=-0.5), "alpha=-0.5"),
        (lambda: Power(1.0, stability=-1.0), "stability=-1.0"),
        (lambda: WarmUp(0.1, steps=0), "steps=0"),
        (lambda: WarmUp(-0.1, steps=3), "lr=-0.1"),
    ],
)
def test_a_value_that_means_nothing_is_quoted(make: Any, quoted: str) -> None:
    with pytest.raises(InvalidValue, match=quoted) as caught:
        make()
    assert "write" in str(caught.value) or "sort" in str(caught.value)
