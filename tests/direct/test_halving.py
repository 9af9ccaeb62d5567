import io
import math

import numpy as np
import pytest
import torch

from descend.direct import Grid, LatinHypercube, SuccessiveHalving, Uniform
from descend.errors import CompositionError, InvalidValue
from descend.key import Key
from descend.space.domain import Domain
from descend.tree import from_plain, to_plain


def box(low, high):
    return Domain.box(torch.tensor(low, dtype=torch.float64), torch.tensor(high, dtype=torch.float64))


RAW = box([0.0, 0.0, 1.0], [1.0, 1.0, 81.0])  # two parameters, and 1 to 81 epochs


def begun(method, domain=RAW, key=0):
    return method.init((domain.lower + domain.upper) / 2, Key(key), domain)


def learning(xs):
    """A loss that falls with the budget and ends at the distance from (0.3, 0.6)."""
    end = (xs[:, :2] - torch.tensor([0.3, 0.6])).norm(dim=1)
    return (end + 1 / xs[:, 2]).double()


def test_one_after_the_other_it_is_successive_halving():
    """81 points with 1 epoch, told; then 27 with 3, 9 with 9, 3 with 27 and 1 with 81, and those are the best."""
    method = SuccessiveHalving()
    state, best = begun(method), None
    for n, budget in ((81, 1), (27, 3), (9, 9), (3, 27), (1, 81)):
        state, xs = method.ask(state, n)
        assert xs[:, 2].tolist() == [budget] * n
        losses = learning(xs)
        if best is not None:
            assert sorted(map(tuple, xs[:, :2].tolist())) == sorted(map(tuple, best[:n].tolist()))
        best = xs[losses.argsort(), :2]
        state = method.tell(state, xs, losses)
    assert state.spent == 5 * 81
    assert float(state.x[2]) == 81
    assert state.value == float(learning(state.x[None])[0])


def reference(method, tickets, ladder):
    """What algorithm 2 of Li et al. (2020) asks next, from lists: (configuration, level), the losses being known."""
    rungs = [{} for _ in ladder]
    promoted = [set() for _ in ladder]
    count = 0

    def job():
        nonlocal count
        for k in range(len(ladder) - 2, -1, -1):
            ranked = sorted(rungs[k], key=lambda c: (rungs[k][c], c))[: len(rungs[k]) // method.eta]
            free = [c for c in ranked if c not in promoted[k] and math.isfinite(rungs[k][c])]
            if free:
                promoted[k].add(free[0])
                return free[0], k + 1
        count += 1
        return count - 1, 0

    return job, rungs


def test_asked_one_by_one_by_unequal_workers_it_is_asha():
    method = SuccessiveHalving(eta=2, levels=4)
    state = begun(method)
    job, rungs = reference(method, None, range(4))
    waiting, turn = [], 0
    random = np.random.default_rng(0)
    while turn < 300:
        if len(waiting) < 5:
            state, xs = method.ask(state, 1)
            where = job()
            assert tuple(state.questions[-1].tolist()) == where
            assert xs[0, 2] == 81 / 2 ** (3 - where[1])
            waiting.append((state.asked - 1, xs, where))
        else:
            ticket, xs, (configuration, level) = waiting.pop(random.integers(5))
            loss = math.inf if turn % 7 == 0 else float(random.normal())
            rungs[level][configuration] = loss
            state = method.tell(state, xs, torch.tensor([loss], dtype=torch.float64), torch.tensor([ticket]))
        turn += 1
    assert len(rungs[3]) > 2


def test_those_that_came_far_go_on_first():
    method = SuccessiveHalving(eta=2, levels=4)
    state = begun(method)
    for n in (8, 8):
        state, xs = method.ask(state, n)
        state = method.tell(state, xs, learning(xs))
    state, xs = method.ask(state, 5)
    levels = state.questions[-5:, 1].tolist()
    assert levels == sorted(levels, reverse=True)
    assert levels[:3] == [2, 2, 1]


def test_it_finds_more_with_the_same_budget_than_full_evaluations():
    spent, values, full = 0.0, [], []
    for key in range(10):
        method = SuccessiveHalving()
        state = begun(method, key=key)
        while state.spent < 40 * 81:
            state, xs = method.ask(state)
            state = method.tell(state, xs, learning(xs))
        spent = max(spent, state.spent)
        values.append(state.value)
        state = Uniform().init(torch.tensor([0.5, 0.5], dtype=torch.float64), Key(key), box([0.0, 0.0], [1.0, 1.0]))
        xs = Uniform().ask(state, math.ceil(spent / 81))[1]
        full.append(float(learning(torch.cat((xs, torch.full((len(xs), 1), 81.0)), 1)).min()))
    assert np.mean(values) - 1 / 81 < 0.5 * (np.mean(full) - 1 / 81)


def test_brackets_begin_in_hyperbands_proportions():
    method = SuccessiveHalving(brackets=5)
    state, xs = method.ask(begun(method), 1000)
    counts = torch.tensor([int((xs[:, 2] == budget).sum()) for budget in (1.0, 3.0, 9.0, 27.0, 81.0)])
    shares = torch.tensor([81 / 5, 27 / 4, 9 / 3, 3 / 2, 1 / 1])
    assert float((counts - 1000 * shares / shares.sum()).abs().max()) <= 2
    # and so they are at any time
    small = SuccessiveHalving(brackets=5)
    state = begun(small)
    for _ in range(100):
        state, _ = small.ask(state, 1)
    assert torch.equal(state.bottom, small._bottoms(state, 100))
    assert torch.equal(state.bottom, small._bottoms(state, 400)[:100])


def test_points_rise_within_their_bracket():
    method = SuccessiveHalving(brackets=2)
    state = begun(method)
    for _ in range(20):
        state, xs = method.ask(state)
        state = method.tell(state, xs, learning(xs))
    state, _ = method.ask(state, 400)  # all that may rise have risen
    for bottom in (0, 1):
        mine = state.bottom == bottom
        for level in range(bottom, 4):
            here = mine & ~state.answers[:, level].isnan()
            went_on = mine & (state.level > level)
            assert int(went_on.sum()) <= int(here.sum())
            if int(here.sum()) >= 30:
                assert int(went_on.sum()) >= int(here.sum()) // 3
                stayed = here & ~went_on
                assert state.answers[went_on, level].mean() < state.answers[stayed, level].mean() - 0.05
        assert state.answers[mine, :bottom].isnan().all()


def test_a_logarithmic_budget_has_evenly_spaced_levels():
    domain = Domain.box(
        torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64), cells=torch.tensor([81, 0])
    )
    method = SuccessiveHalving(levels=5, coordinate=0)
    state, xs = method.ask(begun(method, domain), 9)
    assert state.ladder.tolist() == pytest.approx([0.5 / 81, 20.5 / 81, 40.5 / 81, 60.5 / 81, 80.5 / 81])
    assert xs[:, 0].tolist() == pytest.approx([0.5 / 81] * 9)
    assert len(xs[:, 1].unique()) == 9


def test_the_largest_budget_counts_most():
    method = SuccessiveHalving(eta=2, levels=2, size=2)
    state = begun(method)
    state, xs = method.ask(state)
    state = method.tell(state, xs, torch.tensor([0.1, 0.2], dtype=torch.float64))
    state, xs = method.ask(state, 1)
    assert xs[0, 2] == 81
    state = method.tell(state, xs, torch.tensor([5.0], dtype=torch.float64))
    assert state.value == 5.0
    assert torch.equal(state.x, xs[0])
    assert method.recommends
    state, xs = method.ask(state, 2)
    state = method.tell(state, xs, torch.tensor([0.01, 0.02], dtype=torch.float64))
    assert state.value == 5.0
    assert state.loss == 0.01
    told = torch.tensor([[0.3, 0.6, 81.0]], dtype=torch.float64)  # somebody else found it
    state = method.tell(state, told, torch.tensor([0.012], dtype=torch.float64), torch.tensor([-1]))
    assert torch.equal(state.x, told[0])


def test_the_method_that_proposes_is_told_and_may_end():
    method = SuccessiveHalving(Grid(3, size=9), eta=3, levels=2)
    state, turns = begun(method), 0
    while not state.done:
        state, xs = method.ask(state)
        if len(xs):
            state = method.tell(state, xs, learning(xs))
        turns += 1
        assert turns < 20
    assert state.done == "all 9 points of the grid are evaluated"
    assert state.asked == 9 + 3
    assert state.proposals.value == min(state.answers[:, 0].tolist())
    assert state.x.tolist() == [0.5, 0.5, 81.0]


def test_a_saved_race_goes_on():
    method = SuccessiveHalving(LatinHypercube(16), brackets=2)
    state = begun(method)
    for turn in range(12):
        if turn == 6:
            file = io.BytesIO()
            torch.save(to_plain(state), file)
            file.seek(0)
            again = from_plain(torch.load(file, weights_only=True))
        state, xs = method.ask(state)
        state = method.tell(state, xs, learning(xs))
        if turn >= 6:
            again, same = method.ask(again)
            assert torch.equal(xs, same)
            again = method.tell(again, same, learning(same))


def test_failures_never_rise():
    method = SuccessiveHalving(eta=2)
    state = begun(method)
    for _ in range(10):
        state, xs = method.ask(state)
        assert bool((xs[:, 2] < 2).all())
        state = method.tell(state, xs, torch.full((len(xs),), math.nan, dtype=torch.float64))
    assert state.rejected == 10
    assert math.isnan(state.value)


def test_wrong_numbers_are_refused_in_a_sentence():
    for name, wrong, least in (("eta", 1, 2), ("levels", 1, 2), ("brackets", 0, 1), ("size", 0, 1)):
        with pytest.raises(InvalidValue, match=f"{name} >= {least}, got {wrong}; write SuccessiveHalving"):
            SuccessiveHalving(**{name: wrong})
    with pytest.raises(CompositionError, match="needs a proposals that asks for values, got 0"):
        SuccessiveHalving(0)  # pyright: ignore[reportArgumentType]
    with pytest.raises(InvalidValue, match=r"a coordinate, got 0\.5"):
        SuccessiveHalving(coordinate=0.5)  # pyright: ignore[reportArgumentType]
    with pytest.raises(CompositionError, match="coordinate 3, and at least one coordinate more, got 3 in all"):
        begun(SuccessiveHalving(coordinate=3))
    with pytest.raises(CompositionError, match="got 1 in all"):
        begun(SuccessiveHalving(), box([1.0], [81.0]))
    with pytest.raises(InvalidValue, match="needs two sides"):
        SuccessiveHalving().init(torch.zeros(2), Key(0))
    with pytest.raises(InvalidValue, match=r"room for 5 budgets, each 3 times the one before, .* needs 6"):
        begun(SuccessiveHalving(levels=6))
