"""Steps far below a narrow type's spacing arrive, on average exactly, and with the same bits however they are cut."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from descend.direction import Combination, Seeded
from descend.key import Key
from descend.layout import Parameters
from descend.noise import Law, fill
from descend.oracle import Closure
from descend.torch_optim.blocks import blocks_of, update_blocks
from descend.torch_optim.rounding import Feedback, Nearest, Rounding, Stochastic
from descend.transform import Adam, HeavyBall
from descend.transform.chain import Transform, init_chain
from descend.tree import from_plain, to_plain

NARROW = (torch.bfloat16, torch.float16)
N = 300_000


def weights(n: int, dtype: torch.dtype, std: float = 0.05) -> Tensor:
    return (std * torch.randn(n, generator=torch.Generator().manual_seed(n))).to(dtype)


def update(
    tensors: list[Tensor],
    source: Any,
    rounding: Rounding,
    rate: float,
    t: int,
    *chain: Transform[Any],
    states: Any = (),
    residual: Tensor | None = None,
) -> Any:
    """One step as the optimizer makes it."""
    parameters = Parameters(tensors)
    oracle = Closure(parameters, lambda: 0.0)
    blocks = blocks_of(parameters, [0] * len(tensors))
    key = Key(5).fold(t)
    return update_blocks(parameters, blocks, [chain], [rate], source, states, oracle, key, 0.0, rounding, residual)


def realised(dtype: torch.dtype, rounding: Rounding, steps: int = 4, size: float = 1e-6) -> float:
    """The part of steps along fixed signs that arrives in the weights, and in what is kept beside them."""
    x = weights(N, dtype)
    before, residual = x.double(), rounding.init([x])
    direction = Seeded(Key(3), Law.SIGN, 1, N)
    for t in range(steps):
        update([x], Combination((([1.0], direction),), N), rounding, size, t, residual=residual)
    moved = x.double() - before + (0 if residual is None else residual.double())
    return -(moved @ direction.dense(moved)[0]).item() / (steps * size * N)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("rounding", [Stochastic(), Feedback()])
def test_small_steps_arrive(rounding: Rounding, dtype: torch.dtype) -> None:
    assert realised(dtype, rounding) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("dtype", NARROW)
def test_with_feedback_so_do_steps_that_float32_would_round(dtype: torch.dtype) -> None:
    """A step of 2e-8 is also below the remainder's own spacing."""
    assert realised(dtype, Feedback(), size=2e-8) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize(("dtype", "part"), [(torch.bfloat16, 0.0115), (torch.float16, 0.094)])
def test_rounded_to_nearest_they_do_not(dtype: torch.dtype, part: float) -> None:
    assert realised(dtype, Nearest()) == pytest.approx(part, rel=0.15)


@pytest.mark.parametrize("dtype", NARROW)
@pytest.mark.parametrize("rounding", [Stochastic(), Feedback()])
@pytest.mark.parametrize("chain", [(), (HeavyBall(),)])
def test_any_storage_of_the_point_gives_the_same_bits(
    chain: tuple[Transform[Any], ...], rounding: Rounding, dtype: torch.dtype
) -> None:
    shapes = [(300, 1100), (7,), (5, 3), (1,), (40, 50)]
    sizes = [math.prod(shape) for shape in shapes]
    flat = weights(sum(sizes), dtype)

    def run(tensors: list[Tensor]) -> tuple[Tensor, Tensor]:
        residual = rounding.init(tensors)
        states = init_chain(chain, torch.zeros(flat.numel()))
        for t in range(3):
            z = Combination((([0.3, -0.7], Seeded(Key(t), Law.SIGN, 2, flat.numel())),), flat.numel())
            states = update(tensors, z, rounding, 1e-4, t, *chain, states=states, residual=residual)
        gathered = torch.cat([p.reshape(-1) for p in tensors])
        return gathered, torch.zeros(0) if residual is None else residual

    whole = run([flat.clone()])
    pieces = [part.clone().view(shape) for part, shape in zip(flat.split(sizes), shapes, strict=True)]
    transposed = [p.t().contiguous().t() if p.dim() == 2 else p.clone() for p in pieces]
    for other in (run(pieces), run(transposed)):
        assert all(torch.equal(a, b) for a, b in zip(whole, other, strict=True))
    assert not torch.equal(whole[0], flat)


def test_two_steps_and_two_parameters_are_rounded_independently() -> None:
    ups = []
    for t in range(2):
        x = torch.ones(N, dtype=torch.bfloat16)
        update([x[: N // 2], x[N // 2 :]], torch.full((N,), -1.0), Stochastic(), 2.0**-8, t)
        ups.append((x > 1).double() - 0.5)
    for a, b in ((ups[0], ups[1]), (ups[0][: N // 2], ups[0][N // 2 :])):
        assert abs((a @ b).item()) * 4 < 4 * math.sqrt(len(a))


@pytest.mark.parametrize("rounding", [Nearest(), Stochastic(), Feedback()])
@pytest.mark.parametrize("chain", [(), (HeavyBall(),)])
def test_wide_parameters_take_steps_as_they_are(chain: tuple[Transform[Any], ...], rounding: Rounding) -> None:
    """Beside a bfloat16 weight, a float32 one moves as it would alone."""
    wide, narrow = weights(100, torch.float32), weights(50, torch.bfloat16)
    alone = wide.clone()
    z = torch.randn(150, generator=torch.Generator().manual_seed(0))
    residual, apart = rounding.init([wide, narrow]), narrow.clone()
    rounding.add([apart], -0.1 * z[100:], 1.0, Key(5).fold(0), 100, rounding.init([apart]))
    update([wide, narrow], z.clone(), rounding, 0.1, 0, *chain, states=init_chain(chain, z), residual=residual)
    update([alone], z[:100].clone(), Nearest(), 0.1, 0, *chain, states=init_chain(chain, z[:100]))
    assert torch.equal(wide, alone)
    assert chain or torch.equal(narrow, apart)
    assert rounding.init([wide]) is None
    assert residual is None or residual.dtype == torch.bfloat16


def test_nearest_is_what_torch_does() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        x, z = weights(1000, dtype), weights(1000, dtype, 1.0)
        expected = x.clone().add_(z, alpha=-0.01)
        update([x], z, Nearest(), 0.01, 0)
        assert torch.equal(x, expected)


@pytest.mark.parametrize("rounding", [Nearest(), Stochastic(), Feedback()])
def test_a_direction_is_not_changed_since_it_may_be_a_memory(rounding: Rounding) -> None:
    x, direction = weights(100, torch.bfloat16), torch.ones(100)
    rounding.add([x[:60], x[60:]], direction, -0.25, Key(0), 0, rounding.init([x]))
    assert (direction == 1).all()


def quadratic(rounding: Rounding, dtype: torch.dtype, chain: tuple[Transform[Any], ...], rate: float) -> float:
    """Distance from the optimum of |x - 1|^2 / 2 after 2000 steps of gradient descent from noise."""
    x = weights(2000, dtype)
    residual = rounding.init([x])
    states = init_chain(chain, x.to(rounding.working(dtype)))
    for t in range(2000):
        states = update([x], x.float() - 1, rounding, rate, t, *chain, states=states, residual=residual)
    return (x.float() - 1).abs().mean().item()


def test_descent_ends_where_float32_does_and_to_nearest_it_stalls() -> None:
    chains: list[tuple[tuple[Transform[Any], ...], float]] = [((), 2e-3), ((Adam(),), 1e-3)]
    for chain, rate in chains:
        reference = quadratic(Nearest(), torch.float32, chain, rate)
        assert reference < 0.03
        assert quadratic(Stochastic(), torch.bfloat16, chain, rate) < reference + 0.02
        assert quadratic(Feedback(), torch.bfloat16, chain, rate) < reference + 0.005
    assert quadratic(Nearest(), torch.bfloat16, (), 2e-3) > 0.4


def test_feedback_is_less_noisy_than_chance() -> None:
    errors: dict[str, float] = {}
    makers: list[Callable[[], Rounding]] = [Stochastic, Feedback]
    for make in makers:
        rounding = make()
        x = weights(20_000, torch.bfloat16)
        before, residual = x.double(), rounding.init([x])
        for t in range(50):
            update([x], torch.ones(20_000), rounding, 1e-5, t, residual=residual)
        errors[repr(rounding)] = (x.double() - before + 50 * 1e-5).square().mean().sqrt().item()
    assert errors["Feedback()"] < 0.5 * errors["Stochastic()"]


def test_the_remainder_is_saved_and_restored_and_an_overflow_leaves_none() -> None:
    feedback, x = Feedback(), weights(1000, torch.bfloat16)
    residual = feedback.init([x])
    update([x], torch.ones(1000), feedback, 1e-5, 0, residual=residual)
    other, kept = x.clone(), from_plain(to_plain(residual))
    update([x], torch.ones(1000), feedback, 1e-5, 1, residual=residual)
    update([other], torch.ones(1000), feedback, 1e-5, 1, residual=kept)
    assert torch.equal(x, other)
    assert torch.equal(residual, kept)
    huge = torch.tensor([60000.0], dtype=torch.float16)
    rest = feedback.init([huge])
    update([huge], torch.tensor([-1e5]), feedback, 1.0, 0, residual=rest)
    assert huge.item() == math.inf
    assert rest is not None
    assert rest.item() == 0


def test_random_numbers_do_not_repeat_those_of_the_directions() -> None:
    z = fill(torch.empty(N), Key(5).fold(0).seed, Law.UNIFORM)
    x = torch.ones(N, dtype=torch.bfloat16)
    update([x], torch.full((N,), -1.0), Stochastic(), 2.0**-8, 0)
    assert abs(((x > 1).float() - 0.5) @ z).item() < 4 * 0.5 * math.sqrt(N)
