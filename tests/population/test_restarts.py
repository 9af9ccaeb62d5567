"""Restarts: what the schedules do, whose answers belong to which run, and problems that one run does not solve."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.population.cma import CMAES
from descend.population.one_plus_one import OnePlusOne
from descend.population.racing import Racing
from descend.population.restarts import BIPOP, IPOP, Past, Plain, Restarts, RestartsState, Run, Schedule
from descend.population.termination import Stops
from descend.space.domain import Domain
from descend.testing import search
from descend.tree import from_plain, same, to_plain

DOUBLE = torch.float64
QUICK = CMAES(stops=Stops(tolfun=1e-3))


def rastrigin(xs: Tensor) -> Tensor:
    return (xs * xs - 10 * torch.cos(2 * math.pi * xs) + 10).sum(1)


def box(d: int, side: float = 5.0) -> Domain:
    return Domain.box(torch.full((d,), -side, dtype=DOUBLE), torch.full((d,), side, dtype=DOUBLE))


def runs(method: Restarts, most: int, d: int = 2, f: Callable[[Tensor], Tensor] = rastrigin) -> list[RestartsState]:
    """The state after every generation."""
    state = method.init(torch.full((d,), 3.0, dtype=DOUBLE), Key(1), box(d))
    states = [state]
    while state.asked < most:
        state, xs = method.ask(state)
        state = method.tell(state, xs, f(xs))
        states.append(state)
    return states


@pytest.mark.parametrize("contract", search.CONTRACTS, ids=lambda c: c.__name__)
def test_it_keeps(contract: Callable[..., None]) -> None:
    contract(Restarts(CMAES(), "bipop"))


def test_a_run_that_restarts_in_between_resumes_bit_for_bit() -> None:
    method = Restarts(QUICK, "bipop")
    state = runs(method, 2000)[-1]
    assert state.past.runs >= 3
    other = from_plain(to_plain(state))
    for _ in range(150):
        state, xs = method.ask(state)
        state = method.tell(state, xs, rastrigin(xs))
        other, ys = method.ask(other)
        other = method.tell(other, ys, rastrigin(ys))
    assert same(state, other)
    assert state.past.runs > 3


def test_ipop_doubles_the_population() -> None:
    sizes = []
    for state in runs(Restarts(QUICK, IPOP(doublings=3)), 9000):
        if len(sizes) <= state.past.runs:
            sizes.append(Restarts(QUICK).batch(state))
    assert sizes[:6] == [6, 12, 24, 48, 6, 12]


def test_bipop_shares_the_evaluations() -> None:
    """Small runs have at most half the evaluations of the last large one; both regimes get about the same in all."""
    method = Restarts(QUICK, "bipop")
    seen: dict[int, tuple[Run, int, int]] = {}
    states = runs(method, 20000)
    for state in states:
        seen[state.past.runs] = (state.run, state.asked - state.began, method.batch(state))
    small = [(run, taken, n) for run, taken, n in seen.values() if run.small]
    large = [n for run, _, n in seen.values() if run.doublings and not run.small]
    assert large == [6 * 2**k for k in range(1, len(large) + 1)]
    assert len(small) > 3
    for run, taken, n in small:
        assert run.limit is not None
        assert taken < run.limit + n
        assert 6 <= n <= 6 * 2 ** (run.doublings - 1)
        assert 0.01 <= run.step <= 1
    past = states[-1].past
    assert past.spent_small <= past.spent_large + past.last_large
    assert past.spent_small > 0.4 * past.spent_large


def test_a_small_run_is_as_the_paper_says() -> None:
    """The population lambda_0 (lambda_l / 2 lambda_0)^(u^2): its smallest and its median over many keys."""
    past = Past(4, 10, 5, False, 1000, 0, 600)
    drawn = [BIPOP().following(past, Key(k)) for k in range(400)]
    sizes = sorted(run.popsize for run in drawn)
    assert sizes[0] == 10
    assert sizes[-1] <= 160
    assert all(run.small and run.limit == 300 for run in drawn)
    assert abs(sizes[200] - 10 * 16 ** (0.5**2)) <= 2
    steps = sorted(math.log10(run.step) for run in drawn)
    assert steps[0] < -1.9
    assert steps[-1] > -0.1
    assert abs(steps[200] + 1) < 0.12


def test_starts_are_uniform_and_the_best_is_kept() -> None:
    states = runs(Restarts(QUICK, "plain"), 9000)
    means = {state.past.runs: state.inner.x for state in states if state.asked == state.began and state.past.runs}
    starts = torch.stack(list(means.values()))
    assert len(starts) > 10
    assert bool((starts.abs() <= 5).all())
    assert float(starts.std()) == pytest.approx(10 / math.sqrt(12), rel=0.35)
    values = [state.value for state in states[1:]]
    assert values == sorted(values, reverse=True)
    assert float(rastrigin(states[-1].x[None])[0]) == states[-1].value < values[5]
    assert all(state.done == "" for state in states)


def test_restarts_solve_what_one_run_does_not() -> None:
    """Rastrigin's function in 4 dimensions: no run of the default population, but IPOP each time."""
    one, many = CMAES(), Restarts(CMAES(), "ipop")
    for key in range(2):
        x = torch.full((4,), 3.0, dtype=DOUBLE)
        state, other = one.init(x, Key(key), box(4)), many.init(x, Key(key), box(4))
        while not state.done:
            state, xs = one.ask(state)
            state = one.tell(state, xs, rastrigin(xs))
        while other.asked < 30000 and not other.value < 1e-8:
            other, xs = many.ask(other)
            other = many.tell(other, xs, rastrigin(xs))
        assert other.value < 1e-8 < 0.9 < state.value


def test_tickets_are_counted_through_all_runs() -> None:
    """With their tickets, backwards, the answers lead where they lead without, also after restarts."""
    method = Restarts(QUICK, "ipop")
    states = [method.init(torch.full((2,), 3.0, dtype=DOUBLE), Key(1), box(2)) for _ in range(2)]
    for _ in range(160):
        told = []
        for i, state in enumerate(states):
            state, xs = method.ask(state)
            if i:
                back = torch.arange(len(xs) - 1, -1, -1)
                states[i] = method.tell(state, xs[back], rastrigin(xs[back]), state.asked - len(xs) + back)
            else:
                states[i] = method.tell(state, xs, rastrigin(xs))
            told.append(xs)
        torch.testing.assert_close(told[0], told[1], rtol=1e-6, atol=1e-6)
    assert states[0].past.runs == states[1].past.runs >= 2


def test_late_answers_of_an_earlier_run_only_count_as_found() -> None:
    method = Restarts(QUICK, "plain")
    state = method.init(torch.full((2,), 3.0, dtype=DOUBLE), Key(1), box(2))
    state, early = method.ask(state)
    n, tickets = len(early), torch.arange(len(early))
    while not state.past.runs:
        first = state.asked
        state, xs = method.ask(state)
        state = method.tell(state, xs, rastrigin(xs), torch.arange(first, first + len(xs)))
    before = state.inner
    state = method.tell(state, early, torch.full((n,), -5.0, dtype=DOUBLE), tickets)
    assert state.value == -5.0
    assert torch.equal(state.x, early[0])
    assert state.inner is before


def test_any_method_can_be_restarted() -> None:
    """One without a population: every run begins anew, with shorter steps where the schedule says so."""
    method = Restarts(OnePlusOne(), "bipop")
    state = runs(method, 3000)[-1]
    assert state.past.runs >= 3
    assert state.value < 2


def test_a_schedule_of_ones_own() -> None:
    @dataclass(frozen=True)
    class Thrice(Schedule):
        def following(self, past: Past, key: Key) -> Run:
            return Run(3 * past.popsize, 0.1, 90, True, 0)

    states = runs(Restarts(CMAES(), Thrice()), 1500)
    last = states[-1]
    assert last.past.runs > 5
    assert Restarts(CMAES(), Thrice()).batch(last) == 18
    assert last.inner.trace.sigma == pytest.approx(0.02)
    assert Plain().following(last.past, Key(0)).popsize == 6


def test_wrong_schedules_get_a_sentence() -> None:
    with pytest.raises(InvalidValue, match="one of 'plain', 'ipop', 'bipop'"):
        Restarts(CMAES(), "ipo")
    for kind in (Restarts, Racing):
        with pytest.raises(CompositionError, match=f"asks for values, got 3; write {kind.__name__}"):
            kind(3)  # type: ignore[arg-type]
    for kind in (IPOP, BIPOP):
        with pytest.raises(InvalidValue, match="doublings >= 0, got -1"):
            kind(doublings=-1)
