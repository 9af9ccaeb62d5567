"""Functions as people have them: what they take, what they return, batched or not, found out by a checked trial."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from descend.direction import Coordinate
from descend.errors import BudgetExhausted, EvaluationFailed, InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle import Function, Ledger, Penalize, Raise, Retry

KEY = Key(0)
XS = torch.arange(20, dtype=torch.float64).reshape(10, 2)


def total(x: Any) -> Any:
    return (x**2).sum()


class Counted:
    """A function that counts how often Python calls it, and with what shapes."""

    def __init__(self, f: Callable[..., Any]) -> None:
        self.f, self.calls, self.shapes = f, 0, set[tuple[int, ...]]()

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        self.shapes.add(tuple(x.shape))
        return self.f(x)


EXACT = [float(total(x)) for x in XS]


# The trial


def test_a_torch_function_is_vmapped_after_a_trial_that_is_counted() -> None:
    f = Counted(total)
    oracle = Function(f)
    assert oracle.values(XS, KEY).tolist() == EXACT
    assert f.calls == 1 + 2 + 1  # traced, compared at two points, traced for all
    assert oracle.ledger.counts == {"value": 2 + 2 + 10}
    assert oracle.values(XS, KEY).tolist() == EXACT
    assert f.calls == 5
    assert oracle.ledger.total == 24


def test_a_single_value_is_f_itself_also_where_batches_are_vmapped() -> None:
    """Sums over another memory layout may differ in the last bit; `result.fun == f(result.x)` must not."""
    seen: list[str] = []

    def f(x: torch.Tensor) -> torch.Tensor:
        try:
            float(x[0])
            seen.append("plain")
        except RuntimeError:
            seen.append("vmapped")
        return torch.tensor(0.1) * x.sin().sum()

    oracle = Function(f)
    xs = torch.randn(64, 1000, generator=torch.Generator().manual_seed(0))
    oracle.values(xs, KEY)
    assert seen == ["vmapped", "plain", "plain", "vmapped"]
    for x in xs[:9]:
        assert oracle.value(x, KEY) == float(f(x))
    assert set(seen[4:]) == {"plain"}


@pytest.mark.parametrize(
    "f",
    [
        lambda x: float(total(x)),
        lambda x: total(x).item(),
        lambda x: total(x) if x[0] > 4 else 0 * x[0] + total(x),
        lambda x: np.float64(total(x).numpy()),
        lambda x: total(x) + 0 * torch.randn(()),
        Counted(lambda x, lies=iter([1e-3]): total(x) + next(lies, 0.0)),  # the traced call alone is wrong
    ],
    ids=["float", "item", "branch", "numpy", "random", "disagrees under vmap"],
)
def test_what_does_not_vmap_or_disagrees_is_asked_one_by_one(f: Any) -> None:
    oracle = Function(f)
    assert oracle.values(XS, KEY).tolist() == EXACT
    assert oracle.batched is False
    before = oracle.ledger.total
    assert oracle.values(XS, KEY).tolist() == EXACT
    assert oracle.ledger.total == before + 10


@pytest.mark.parametrize(("n", "batched"), [(7, None), (10, False)])
def test_few_points_or_a_no_are_not_tried(n: int, batched: bool | None) -> None:
    f = Counted(total)
    Function(f, batched=batched).values(XS[:n], KEY)
    assert f.calls == n


def test_a_function_that_stops_vmapping_is_asked_one_by_one_from_then_on() -> None:
    f = Counted(lambda x: total(x) if f.calls < 5 else total(x).item())
    oracle = Function(f)
    oracle.values(XS, KEY)
    assert oracle.batched
    assert oracle.values(XS, KEY).tolist() == EXACT
    assert oracle.batched is False
    assert oracle.ledger.total == 14 + 10 + 10  # the call that failed may have evaluated something


def test_the_trial_respects_the_budget() -> None:
    for limit in range(16):
        f = Counted(total)
        oracle = Function(f, ledger=Ledger(limit=limit))
        if limit < 14:
            with pytest.raises(BudgetExhausted):
                oracle.values(XS, KEY)
        else:
            oracle.values(XS, KEY)
        assert f.calls <= oracle.ledger.total <= limit


# Batched by declaration


@pytest.mark.parametrize("takes", ["torch", "numpy"])
def test_a_batched_function_gets_all_points_in_one_call(takes: Any) -> None:
    f = Counted(lambda xs: (xs**2).sum(1))
    oracle = Function(f, takes=takes, batched=True)
    assert oracle.values(XS, KEY).tolist() == EXACT
    assert oracle.value(XS[3], KEY) == EXACT[3]
    assert f.shapes == {(10, 2), (1, 2)}
    assert oracle.ledger.total == 11


def test_a_batched_function_of_the_wrong_shape_gets_a_sentence() -> None:
    with pytest.raises(ShapeMismatch, match=r"must return shape \(10,\)"):
        Function(lambda xs: xs, batched=True).values(XS, KEY)


def test_failures_within_a_batch_are_those_of_their_points() -> None:
    def f(xs: torch.Tensor) -> torch.Tensor:
        return torch.where(xs[:, 0] == 4, math.nan, torch.where(xs[:, 0] == 6, math.inf, xs[:, 0]))

    oracle = Function(f, batched=True)
    values = oracle.values(XS, KEY)
    assert values.isnan().nonzero()[:, 0].tolist() == [2, 3]
    assert (oracle.ledger.failures, oracle.ledger.last_failure) == (2, "the objective returned inf")
    assert Function(f, batched=True, on_failure=Penalize(9.0)).values(XS, KEY)[2:4].tolist() == [9, 9]
    with pytest.raises(EvaluationFailed):
        Function(f, batched=True, on_failure=Raise()).values(XS, KEY)


@pytest.mark.parametrize("batched", [True, None, False])
def test_failures_are_asked_again_however_the_points_are_asked(batched: bool | None) -> None:
    def f(x: torch.Tensor, key: Key) -> torch.Tensor:
        bad = (x[..., 0] > 4) & (x[..., 0] < 12)
        return torch.where(bad, math.nan, x[..., 0]) if key.seed % 10 < 7 else x[..., 0]

    oracle = Function(f, batched=batched, keyed=True, on_failure=Retry(30))
    assert oracle.values(XS, KEY).tolist() == XS[:, 0].tolist()
    trial = 4 if batched is None else 0
    assert oracle.ledger.failures == oracle.ledger.total - trial - 10 >= 3


def test_what_a_batched_function_returns_is_not_written_to() -> None:
    kept = torch.full((10,), math.nan, dtype=torch.float64)
    Function(lambda xs: kept, batched=True, on_failure=Penalize(1.0)).values(XS, KEY)
    assert kept.isnan().all()


def test_a_batched_function_that_raises_fails_for_all_points() -> None:
    def f(xs: torch.Tensor) -> torch.Tensor:
        if len(xs) > 1:
            raise ValueError("too many")
        return xs[:, 0]

    with pytest.raises(ValueError, match="too many"):
        Function(f, batched=True).values(XS, KEY)  # the very first evaluation
    oracle = Function(f, batched=True)
    oracle.value(XS[0], KEY)
    with pytest.warns(RuntimeWarning, match="too many"):
        assert oracle.values(XS, KEY).isnan().all()


# What f is given


@pytest.mark.parametrize("batched", [None, False])
def test_f_may_overwrite_what_it_gets(batched: bool | None) -> None:
    def f(x: Any) -> Any:
        value = total(x)
        x *= 0
        return value

    for takes in ("torch", "numpy"):
        oracle = Function(f, takes=takes, batched=batched)
        xs = XS.clone()
        assert oracle.values(xs, KEY).tolist() == EXACT
        assert oracle.value(xs[3], KEY) == EXACT[3]
        assert torch.equal(xs, XS)


def test_f_runs_without_a_graph_and_leaves_the_global_random_state() -> None:
    def f(x: torch.Tensor) -> torch.Tensor:
        assert not torch.is_grad_enabled()
        return torch.rand(()) + 0 * x.sum()

    oracle = Function(f, batched=False)
    torch.manual_seed(1)
    expected = torch.rand(4)
    torch.manual_seed(1)
    a = oracle.value(XS[0], KEY)
    assert a == oracle.value(XS[1], KEY)  # one key, one noise
    assert a != oracle.value(XS[0], Key(1))
    assert torch.equal(torch.rand(4), expected)


def test_a_keyed_function_draws_from_the_key() -> None:
    oracle = Function(lambda x, key: total(x) + key.normal(1, like=x), keyed=True, batched=False)
    assert oracle.value(XS[0], KEY) == oracle.value(XS[0], KEY) != oracle.value(XS[0], Key(1))
    along = oracle.along(XS[0], Coordinate(torch.tensor([0]), 2), torch.tensor([[0.0, 1.0]], dtype=torch.float64), KEY)
    assert along[0, 1] - along[0, 0] == pytest.approx(1.0)


def test_retries_ask_with_other_keys() -> None:
    seen: list[Key] = []

    def f(x: Any, key: Key) -> float:
        seen.append(key)
        return math.nan

    Function(f, keyed=True, on_failure=Retry(3)).value(XS[0], KEY)
    assert seen[0] == KEY
    assert len(set(seen)) == 3


@pytest.mark.parametrize("value", ["abc", None, [1.0], {}, torch.zeros(2), np.zeros(3), 1j])
def test_what_is_not_one_number_gets_a_sentence(value: Any) -> None:
    with pytest.raises(ShapeMismatch, match="one number was expected"):
        Function(lambda x: value).value(XS[0], KEY)


def test_wrong_arguments_get_a_sentence() -> None:
    with pytest.raises(InvalidValue, match="takes='torch'"):
        Function(total, takes="jax")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="needs a callable"):
        Function(3)  # type: ignore[arg-type]
