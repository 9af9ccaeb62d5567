"""The fast step of a symmetric pair gives the numbers of the general path bit for bit."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import descend as dd
from descend.testing.objectives import Failing
from descend.torch_optim import Optimizer

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "signs": (dd.SPSA(1e-3), {"lr": 1e-2}),
    "automatic radius": (dd.SPSA(), {"lr": 1e-2}),
    "normal": (dd.MeZO(), {"lr": 1e-3}),
    "uniform": (dd.RandomDirections("uniform", radius=1e-2), {"lr": 1e-2}),
    "radius schedule": (dd.SPSA(lambda t: 1e-2 / (t + 1)), {"lr": 1e-2}),
    "rate schedule": (dd.SPSA(1e-3), {"lr": dd.Power(1e-2)}),
    "calibrated": (dd.SPSA(), {}),
    "calibrated, normal": (dd.RDSA(), {}),
    "retried": (dd.SPSA(1e-2), {"lr": 1e-2, "on_failure": dd.Retry(3)}),
    "penalized": (dd.SPSA(1e-2), {"lr": 1e-4, "on_failure": dd.Penalize(30.0)}),
}


def _run(
    name: str,
    general: bool,
    monkeypatch: pytest.MonkeyPatch,
    dtype: torch.dtype,
    noisy: bool,
    shapes: list[tuple[int, ...]],
) -> tuple[list[Tensor], dict[str, Any], Optimizer]:
    params = [
        nn.Parameter(dd.Key(4).fold(i).normal(*shape, like=torch.zeros(1)).to(dtype)) for i, shape in enumerate(shapes)
    ]
    estimator, arguments = CASES[name]
    with monkeypatch.context() as patch:
        if general:
            patch.setattr("descend.torch_optim.optimizer.pair_step", lambda closure, estimator: None)

        def loss() -> Tensor:
            noise = torch.randn(()) if noisy else 0.0
            return sum((p.float().sin() + 0.5 * p.float()).square().sum() for p in params) + noise  # type: ignore[return-value]

        optimizer = Optimizer(params, estimator, key=2, **arguments)
        closure = Failing(loss, {31, 40})
        trace = []
        for _ in range(20):
            trace.append(optimizer.step(closure))
            trace += [p.detach().clone() for p in params]
        assert (optimizer._pair is None) == general
    return trace, optimizer.ledger.plain(), optimizer  # type: ignore[return-value]


@pytest.mark.filterwarnings("ignore:an evaluation failed:RuntimeWarning")
@pytest.mark.parametrize("shapes", [[(7,)], [(2, 3), (), (5,)]], ids=["one tensor", "three tensors"])
@pytest.mark.parametrize("noisy", [False, True], ids=["exact", "noisy"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_pair_and_general_path_agree(
    name: str, dtype: torch.dtype, noisy: bool, shapes: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, fast_ledger, one = _run(name, False, monkeypatch, dtype, noisy, shapes)
    slow, slow_ledger, other = _run(name, True, monkeypatch, dtype, noisy, shapes)
    different = [
        i for i, (a, b) in enumerate(zip(fast, slow, strict=True)) if not torch.equal(a.nan_to_num(), b.nan_to_num())
    ]
    assert not different, f"first differs at step {different[0] // (1 + len(shapes))}"
    assert fast_ledger == slow_ledger
    assert (one.t, one.rejected, one.gains) == (other.t, other.rejected, other.gains)
    assert any(math.isnan(float(v)) for v in fast[:: 1 + len(shapes)]) == ("on_failure" not in CASES[name][1])


@pytest.mark.parametrize(
    ("parts", "groups"),
    [
        ((dd.SPSA(samples=2),), 1),
        ((dd.SPSA(formula="forward"),), 1),
        ((dd.SphereSmoothing(),), 1),
        ((dd.SPSA(), dd.HeavyBall()), 1),
        ((dd.SPSA(1e-3),), 2),
        ((dd.FiniteDifference(),), 1),
    ],
    ids=repr,
)
def test_it_stands_aside_where_it_does_not_apply(parts: tuple[Any, ...], groups: int) -> None:
    params = [{"params": [nn.Parameter(torch.ones(3))]} for _ in range(groups)]
    assert Optimizer(params, *parts, lr=0.1)._pair is None


def test_it_follows_parameters_to_other_memory() -> None:
    ends = []
    for swap in (False, True):
        x = nn.Parameter(torch.ones(3))
        optimizer = Optimizer([x], dd.SPSA(1e-3), lr=1e-2, key=0)
        for _ in range(6):
            optimizer.step(lambda x=x: x.square().sum())
            if swap:
                x.data = x.data.clone()
        ends.append(x.detach())
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], torch.ones(3))
