"""(1+1)-ES: known numbers of evaluations, the covariance update, edges, cells, late answers."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from descend.errors import InvalidValue
from descend.key import Key
from descend.population.one_plus_one import OnePlusOne, OnePlusOneState, _learned
from descend.space.domain import Domain
from descend.testing import search

DOUBLE = torch.float64
METHODS = [OnePlusOne(), OnePlusOne(covariance=False)]


def ellipsoid(xs: Tensor) -> Tensor:
    d = xs.shape[1]
    return (10 ** (4 * torch.arange(d).to(xs) / (d - 1)) * xs * xs).sum(1)


def sphere(xs: Tensor) -> Tensor:
    return (xs * xs).sum(1)


def solve(
    method: OnePlusOne, f: Callable[[Tensor], Tensor], x: Tensor, most: int, *, key: int = 0, **options: Any
) -> OnePlusOneState:
    state = method.init(x, Key(key), options.get("domain"))
    while state.asked < most and not state.value < options.get("target", 1e-9) and not state.done:
        state, xs = method.ask(state)
        state = method.tell(state, xs, f(xs))
    return state


@pytest.mark.parametrize("contract", [*search.CONTRACTS, search.looks_at_ranks_only], ids=lambda c: c.__name__)
@pytest.mark.parametrize("method", METHODS, ids=["covariance", "isotropic"])
def test_it_keeps(method: OnePlusOne, contract: Callable[..., None]) -> None:
    contract(method)


@pytest.mark.parametrize("method", METHODS, ids=["covariance", "isotropic"])
def test_a_sphere_takes_what_theory_says(method: OnePlusOne) -> None:
    """Progress on a sphere is at best a factor exp(-0.202 / d) of the distance a step (Rechenberg 1973)."""
    d = 10
    taken = sorted(solve(method, sphere, torch.full((d,), 1.5, dtype=DOUBLE), 4000, key=k).asked for k in range(5))[2]
    ideal = math.log(1.5 * math.sqrt(d) / math.sqrt(1e-9)) * d / 0.202
    assert ideal < taken < 2.2 * ideal


def test_the_covariance_is_learned() -> None:
    """An ellipsoid of condition 10^4: about 3000 evaluations at d = 10 with it, and never without."""
    x = torch.full((10,), 1.5, dtype=DOUBLE)
    assert solve(OnePlusOne(), ellipsoid, x, 4500).value < 1e-9
    assert solve(OnePlusOne(covariance=False), ellipsoid, x, 4500).value > 1e-3


@pytest.mark.parametrize("rate", [0.2, 0.6])
def test_the_factor_is_that_of_the_covariance(rate: float) -> None:
    """A A^T = alpha C + beta v v^T, against the update of the matrix itself."""
    d = 5
    factor = torch.eye(d, dtype=DOUBLE) + 0.3 * Key(1).normal(d, d, like=torch.zeros(0, dtype=DOUBLE))
    path, z = Key(2).normal(d, like=factor), Key(3).normal(d, like=factor)
    cc, ccov = 2 / (d + 2), 2 / (d * d + 6)
    step = math.sqrt(cc * (2 - cc)) * (factor @ z)
    v = (1 - cc) * path + (step if rate < 0.44 else 0)
    alpha = 1 - ccov + (0 if rate < 0.44 else ccov * cc * (2 - cc))
    expected = alpha * factor @ factor.T + ccov * torch.outer(v, v)
    learned, prolonged = _learned(factor, path, z, rate)
    torch.testing.assert_close(prolonged, v)
    torch.testing.assert_close(learned @ learned.T, expected)


def test_steps_grow_after_successes_and_shrink_after_failures() -> None:
    for method in METHODS:
        for falling in (True, False):
            state = method.init(torch.zeros(3, dtype=DOUBLE), Key(0))
            for t in range(40):
                state, xs = method.ask(state)
                state = method.tell(state, xs, torch.tensor([-float(t) if falling else float(t)], dtype=DOUBLE))
            assert (state.sigma > 10 * 0.3) if falling else (state.sigma < 0.2 * 0.3)


def test_it_reaches_a_corner_and_says_when_it_is_done() -> None:
    domain = Domain.box(torch.full((3,), 10.0, dtype=DOUBLE), torch.full((3,), 20.0, dtype=DOUBLE))
    x = torch.tensor([11.0, 15.0, 19.0], dtype=DOUBLE)
    state = solve(OnePlusOne(), lambda xs: sphere(xs - 22), x, 5000, domain=domain, target=-1)
    assert state.value == pytest.approx(12, abs=1e-4)
    assert state.done.startswith("stagnation")


def test_cells_are_crossed_however_small_the_steps() -> None:
    k = 30
    low = torch.full((4,), -0.5, dtype=DOUBLE)
    domain = Domain.box(low, low + k, cells=torch.full((4,), k))
    goal = torch.tensor([3.0, 28.0, 17.0, 0.0], dtype=DOUBLE)

    def f(xs: Tensor) -> Tensor:
        assert torch.equal(xs, domain.centre(xs))
        return ((xs - goal) ** 2).sum(1)

    for key in range(3):
        state = solve(OnePlusOne(), f, torch.full((4,), 15.0, dtype=DOUBLE), 4000, domain=domain, key=key)
        assert state.value == 0
        assert torch.equal(state.x, goal)


def test_a_tiny_step_still_reaches_the_next_cell() -> None:
    low = torch.full((3,), -0.5, dtype=DOUBLE)
    domain = Domain.box(low, low + 9, cells=torch.full((3,), 9))
    state = OnePlusOne(sigma=1e-9).init(torch.full((3,), 4.0, dtype=DOUBLE), Key(0), domain)
    _, xs = OnePlusOne(sigma=1e-9).ask(state, 2000)
    # a standard deviation of half a cell leaves it with probability 2 (1 - Phi(1))
    assert float((xs != 4).double().mean()) == pytest.approx(0.317, abs=0.03)


def test_children_of_an_older_parent_still_count() -> None:
    """Four at a time, told in pairs and backwards."""
    method = OnePlusOne()
    state = method.init(torch.full((5,), 3.0, dtype=DOUBLE), Key(0))
    while state.asked < 6000 and not state.value < 1e-8:
        first = state.asked
        state, xs = method.ask(state, 4)
        for pair in ([3, 1], [2, 0]):
            state = method.tell(state, xs[pair], ellipsoid(xs[pair]), torch.tensor(pair) + first)
    assert state.value < 1e-8


def test_wrong_steps_get_a_sentence() -> None:
    with pytest.raises(InvalidValue, match="sigma > 0, got -1"):
        OnePlusOne(sigma=-1)
