"""What a step learned at the point it accepted is not asked again at the next one, unless another key may change it."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from descend.descent import Descent, DescentState
from descend.estimate import SPSA, DifferencedHvp, DifferencedJacobian, FiniteDifference
from descend.key import Key
from descend.oracle import Asks, Differentiable, Function, Module, Oracle, Residuals
from descend.oracle.bounded import Bounded
from descend.oracle.wrap import Averaged, Negated
from descend.problems import rosenbrock
from descend.step import Backtracking, StrongWolfe
from descend.transform import BFGS, LBFGS
from descend.tree import from_plain, same, to_plain

START = torch.tensor([-1.2, 1.0, -0.5, 0.8], dtype=torch.float64)
NOTHING, VALUES = Asks(0), Asks.VALUE | Asks.VALUES


def boxed(noisy: bool) -> Oracle:
    box = torch.full((4,), -2.0, dtype=torch.float64), torch.full((4,), 0.5, dtype=torch.float64)
    return Bounded(Differentiable(rosenbrock, noisy=noisy), *box)


def path(oracle: Oracle, descent: Descent, steps: int, saved: bool = False) -> list[DescentState]:
    state = descent.init(oracle.project(START), Key(0))
    found = []
    for _ in range(steps):
        state = descent.advance(oracle, from_plain(to_plain(state)) if saved else state)
        found.append(state)
    return found


@pytest.mark.parametrize("make", [lambda noisy: Differentiable(rosenbrock, noisy=noisy), boxed])
@pytest.mark.parametrize("transform", [BFGS(), LBFGS()], ids=lambda part: type(part).__name__)
def test_an_accepted_gradient_is_asked_once_and_the_path_is_the_same(make: Any, transform: Any) -> None:
    once, twice = make(False), make(True)
    descent = Descent(transform, StrongWolfe())
    ours, theirs = path(once, descent, 14), path(twice, descent, 14)
    assert [state.x.tolist() for state in ours] == [state.x.tolist() for state in theirs]
    assert twice.ledger.counts["gradient"] - once.ledger.counts["gradient"] == 13
    held = 0
    for state in ours:
        assert state.gradient is not None
        assert torch.equal(state.gradient, once.gradient(state.x, Key(0)).gradient)  # that of held coordinates too
        held += int((state.x == 0.5).any())
    assert make is not boxed or held > 0


def test_a_saved_path_goes_on_bit_for_bit_without_asking_again() -> None:
    descent, through, saved = Descent(BFGS(), StrongWolfe()), boxed(False), boxed(False)
    ends = path(through, descent, 15)[-1], path(saved, descent, 15, saved=True)[-1]
    assert same(*ends)
    assert through.ledger.counts == saved.ledger.counts


def test_a_point_that_a_step_stayed_at_is_asked_again() -> None:
    oracle = Differentiable(lambda x: x.abs().sum())
    descent = Descent(StrongWolfe())
    state = descent.init(torch.zeros(2), Key(0))
    stuck = descent.advance(oracle, replace(state, value=0.0))
    assert stuck.gradient is None


def test_a_value_under_another_key_is_no_f_of_x() -> None:
    for keyed, known in ((False, 1), (True, 0)):

        def f(x: Tensor, key: Key = Key(0)) -> Tensor:
            return (x - 1).square().sum() + 1e-3 * key.normal(1, like=x)[0]

        oracle = Differentiable(f, keyed=keyed)
        descent = Descent(Backtracking(max_evals=1))
        state = descent.advance(oracle, descent.init(torch.zeros(2, dtype=torch.float64), Key(0)))
        before = oracle.ledger.counts["value"]
        lifted = oracle | SPSA()
        descent.advance(lifted, state)
        # two probes, one trial, and f(x) itself where it is not known
        assert oracle.ledger.counts["value"] - before == 4 - known
        assert not math.isnan(state.value)


def test_a_gradient_along_drawn_directions_is_drawn_anew() -> None:
    """One direction looked along twice shows nothing new: descent would go on along it."""
    oracle = Function(lambda x: (x - 1).square().sum(), batched=False)
    lifted, descent = oracle | SPSA(), Descent(StrongWolfe())
    state = descent.advance(lifted, descent.init(torch.zeros(5, dtype=torch.float64), Key(0)))
    assert state.gradient is not None
    after = descent.advance(lifted, state)
    fresh = lifted.at(1).gradient(state.x, Key(0).fold(1)).gradient
    move = after.x - state.x
    assert not isinstance(fresh, Tensor)
    along = fresh.dense(state.x)
    assert move.norm() > 0
    assert abs(move @ along) == pytest.approx(float(move.norm() * along.norm()))
    assert abs(move @ state.gradient) < 0.9 * move.norm() * state.gradient.norm()


def test_every_oracle_says_what_another_key_may_change() -> None:
    def f(x: Tensor) -> Tensor:
        return x.square().sum()

    quiet, noisy = Differentiable(f), Differentiable(f, noisy=True)
    assert (Function(f).varies, Function(f, noisy=True).varies) == (NOTHING, VALUES)
    assert Function(lambda x, key: 0.0, keyed=True).varies == VALUES
    assert (quiet.varies, noisy.varies) == (NOTHING, noisy.answers)

    model = nn.Linear(2, 1)
    assert Module(model, lambda m, b: m(b).sum(), torch.ones(3, 2)).varies == NOTHING
    assert Module(model, lambda m, b: m(b).sum(), torch.ones(3, 2), noisy=True).varies == quiet.answers
    assert Module(model, lambda m, b: m(b).sum(), lambda key: torch.ones(3, 2)).varies == quiet.answers

    for wrap in (Negated, lambda o: Averaged(o, 2), lambda o: Bounded(o, -torch.ones(2), torch.ones(2))):
        assert (wrap(quiet).varies, wrap(noisy).varies) == (NOTHING, noisy.answers)


def test_a_lifted_oracle_varies_with_what_its_estimator_draws() -> None:
    quiet, noisy = Function(lambda x: x.sum()), Function(lambda x: x.sum(), noisy=True)
    assert (quiet | FiniteDifference()).varies == NOTHING
    assert (noisy | FiniteDifference()).varies == VALUES | Asks.GRADIENT
    assert (quiet | SPSA()).varies == Asks.GRADIENT
    assert (quiet | FiniteDifference() | DifferencedHvp()).varies == NOTHING
    assert (quiet | SPSA() | DifferencedHvp()).varies == Asks.GRADIENT | Asks.HVP
    assert (Residuals(lambda x: x) | DifferencedJacobian()).varies == NOTHING
