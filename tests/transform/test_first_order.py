"""What every first-order transform promises, whatever it computes."""

import io
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from descend.descent import Descent, DescentState
from descend.errors import InvalidValue
from descend.key import Key
from descend.layout import Layout
from descend.oracle import Asks, Differentiable, Oracle, Slope
from descend.transform import (
    AdaGrad,
    Adam,
    AdamW,
    At,
    ClipNorm,
    ClipValue,
    HeavyBall,
    IterateAverage,
    LeakyAverage,
    Lion,
    NAdam,
    NewtonSchulz,
    Orthogonalize,
    RMSProp,
    Rprop,
    Sign,
    Transform,
    WeightDecay,
)
from descend.transform import chain as chain_module
from descend.tree import from_plain, map_tensors, same, tensors, to_plain

D = 300
MATRICES = Layout(("weight", "bias", "kernel"), ((12, 15), (20,), (5, 2, 10)))
ALL: list[Transform[Any]] = [
    HeavyBall(0.9),
    HeavyBall(0.9, dampening=0.3),
    HeavyBall(0.9, nesterov=True),
    LeakyAverage(0.8),
    LeakyAverage(0.8, debias=True),
    AdaGrad(),
    RMSProp(),
    RMSProp(centered=True),
    Adam(),
    Adam(amsgrad=True),
    AdamW(weight_decay=0.1),
    NAdam(),
    Sign(),
    Lion(),
    Rprop(),
    ClipNorm(1.0),
    ClipValue(0.5),
    WeightDecay(0.1),
    Orthogonalize(MATRICES),
    IterateAverage(),
    IterateAverage(decay=0.9, start=2),
]
every = pytest.mark.parametrize("transform", ALL, ids=repr)


def objective(x: Tensor) -> Tensor:
    return (torch.linspace(0.5, 3, D).to(x) * (x - 0.5).square()).sum() / 2 + torch.cos(3 * x).sum()


def begin(descent: Descent, dtype: torch.dtype = torch.float32) -> DescentState:
    return descent.init(Key(2).normal(D, like=torch.zeros((), dtype=dtype)), Key(0))


def run(descent: Descent, state: DescentState, steps: int) -> DescentState:
    oracle = Differentiable(objective)
    for _ in range(steps):
        state = descent.advance(oracle, state)
    return state


def copied(state: DescentState) -> DescentState:
    return map_tensors(torch.clone, state)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
def test_block_by_block_gives_the_same_bits(
    transform: Transform[Any], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    descent = Descent(transform, HeavyBall(0.5), lr=0.05)
    whole = run(descent, begin(descent, dtype), 8)
    monkeypatch.setattr(chain_module, "BLOCK", 64)
    parts = run(descent, begin(descent, dtype), 8)
    assert whole.rejected == 0
    assert same(whole, parts)
    assert to_plain(map_tensors(lambda t: None, whole)) == to_plain(map_tensors(lambda t: None, parts))


@every
def test_resumes_from_saved_data_bit_for_bit(transform: Transform[Any]) -> None:
    descent = Descent(transform, lr=0.05)
    state = run(descent, begin(descent), 5)
    file = io.BytesIO()
    torch.save(to_plain(state), file)
    onwards = run(descent, state, 5)
    file.seek(0)
    loaded = from_plain(torch.load(file, weights_only=True))
    assert same(onwards, run(descent, loaded, 5))


class Stumbles(Oracle):
    """Answers NaN at every third question."""

    answers = Asks.GRADIENT

    def __init__(self) -> None:
        self.base = Differentiable(objective)
        self.asked = 0

    def gradient(self, x: Tensor, key: Key) -> Slope:
        self.asked += 1
        slope = self.base.gradient(x, key)
        return replace(slope, gradient=slope.gradient * float("nan")) if self.asked % 3 == 0 else slope


@every
def test_a_rejected_step_leaves_states_alone(transform: Transform[Any]) -> None:
    descent, oracle = Descent(transform, lr=0.05), Stumbles()
    state = begin(descent)
    for _ in range(9):
        before = copied(state)
        state = descent.advance(oracle, state)
        if state.rejected > before.rejected:
            assert same((state.x, state.transforms), (before.x, before.transforms))
            assert replace(state, x=before.x, transforms=before.transforms, t=before.t, rejected=0).step == before.step
    assert state.rejected == 3
    plain = run(descent, begin(descent), 6)
    assert same((state.x, state.transforms), (plain.x, plain.transforms))


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_directions_keep_dtype_and_are_finite_where_gradients_vanish(
    transform: Transform[Any], dtype: torch.dtype
) -> None:
    x = torch.ones(D, dtype=dtype)
    state = transform.init(x)
    for scale in (1.0, 1e-3, 0.0):
        gradient = scale * Key(3).normal(D, like=x)
        gradient[::2] = 0.0
        direction, state = transform(gradient, state, At(x, Oracle(), Key(0), 0.0))
        assert direction.dtype == dtype
        assert torch.isfinite(direction).all()
    assert torch.equal(x, torch.ones(D, dtype=dtype))


@every
def test_who_comes_next_may_overwrite_the_direction(transform: Transform[Any]) -> None:
    x = Key(4).normal(D, like=torch.zeros(()))
    at = At(x, Oracle(), Key(0), 0.0)
    direction, state = transform(Key(5).normal(D, like=x), transform.init(x), at)
    kept = [t.clone() for t in tensors((state, x))]
    direction.fill_(7.0)
    assert all(torch.equal(a, b) for a, b in zip(kept, tensors((state, x)), strict=True))


@every
def test_the_memory_is_its_own(transform: Transform[Any]) -> None:
    x, gradient = torch.ones(D), torch.ones(D)
    _, state = transform(gradient, transform.init(x), At(x, Oracle(), Key(0), 0.0))
    memory = {t.data_ptr() for t in tensors(state)}
    assert len(memory) == len(tensors(state))
    assert not memory & {x.data_ptr(), gradient.data_ptr()}


@pytest.mark.parametrize(
    ("make", "quoted"),
    [
        (lambda: HeavyBall(1.0), "momentum=1.0"),
        (lambda: HeavyBall(0.9, dampening=-0.1), "dampening=-0.1"),
        (lambda: HeavyBall(0.9, dampening=0.5, nesterov=True), "dampening=0.5"),
        (lambda: LeakyAverage(-1.0), "beta=-1.0"),
        (lambda: AdaGrad(initial_accumulator_value=-2.0), "initial_accumulator_value=-2.0"),
        (lambda: AdaGrad(eps=0.0), "eps=0.0"),
        (lambda: RMSProp(alpha=1.5), "alpha=1.5"),
        (lambda: RMSProp(eps=float("nan")), "eps=nan"),
        (lambda: Adam((0.9, 1.0)), r"betas=\(0.9, 1.0\)"),
        (lambda: Adam((0.9,)), r"betas=\(0.9,\)"),  # type: ignore[arg-type]
        (lambda: Adam(eps=-1e-8), "eps=-1e-08"),
        (lambda: AdamW(betas=(-0.1, 0.9)), r"betas=\(-0.1, 0.9\)"),
        (lambda: AdamW(eps=float("inf")), "eps=inf"),
        (lambda: AdamW(weight_decay=-1.0), "weight_decay=-1.0"),
        (lambda: NAdam(betas=(0.9, float("nan"))), "nan"),
        (lambda: NAdam(eps=0.0), "eps=0.0"),
        (lambda: NAdam(momentum_decay=-1.0), "momentum_decay=-1.0"),
        (lambda: Lion((1.0, 0.9)), r"betas=\(1.0, 0.9\)"),
        (lambda: Rprop(initial=0.0), "initial=0.0"),
        (lambda: Rprop(etas=(1.1, 1.2)), r"etas=\(1.1, 1.2\)"),
        (lambda: Rprop(step_sizes=(1.0, 0.5)), r"step_sizes=\(1.0, 0.5\)"),
        (lambda: ClipNorm(0.0), "max_norm=0.0"),
        (lambda: ClipValue(-1.0), "clip_value=-1.0"),
        (lambda: WeightDecay(float("nan")), "weight_decay=nan"),
        (lambda: NewtonSchulz(steps=0), "steps=0"),
        (lambda: NewtonSchulz(coefficients=(1.0, 2.0)), r"\(1.0, 2.0\)"),  # type: ignore[arg-type]
        (lambda: NewtonSchulz(eps=0.0), "eps=0.0"),
        (lambda: IterateAverage(decay=1.0), "decay=1.0"),
        (lambda: IterateAverage(start=-1), "start=-1"),
    ],
)
def test_a_value_that_means_nothing_is_quoted(make: Any, quoted: str) -> None:
    with pytest.raises(InvalidValue, match=quoted) as caught:
        make()
    assert "write" in str(caught.value)
