"""Asking and telling: how a budget, a conversation and an answer from elsewhere are dealt with."""

import io
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from descend.errors import BudgetExhausted, InvalidValue, ShapeMismatch
from descend.key import Key
from descend.oracle import Function
from descend.population.base import check_point, found
from descend.population.conversation import Conversation, Talk, Turns
from descend.population.shaping import best, centred_ranks, order
from descend.run import Evaluations, minimize
from descend.space.domain import Domain
from descend.testing import search
from descend.tree import from_plain, to_plain


@dataclass(frozen=True)
class Poll(Conversation):
    """Looks to both sides along every axis, goes to the better one, else halves its step."""

    least: float = 1e-6

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        (loss,) = yield x[None]
        step = 0.2 * domain.scale
        axes = torch.cat([torch.eye(len(x)), -torch.eye(len(x))]).to(x)
        while float(step.max()) > self.least:
            xs = domain.clip(x + step * axes)
            losses = yield xs
            i = int(losses.argmin())
            if losses[i] < loss:
                x, loss = xs[i], losses[i]
            else:
                step = step / 2
        return f"the steps fell below {self.least:g}"


@pytest.mark.parametrize("contract", [*search.CONTRACTS, search.looks_at_ranks_only], ids=lambda c: c.__name__)
def test_a_conversation_keeps(contract: object) -> None:
    contract(Poll())  # type: ignore[operator]


@dataclass(frozen=True)
class One(Conversation):
    """Asks for one point after the other and keeps the answers in their order, so that the log shows them."""

    def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
        for _ in range(8):
            (loss,) = yield x[None]
            x = x + (1 if float(loss) < math.inf else 2)
        return "eight answers"


def test_a_single_answer_is_noted_as_several_are() -> None:
    """A turn of one point takes a way of its own through `tell`; here it is beside `found`, the way of all others."""
    start = torch.tensor([0.0, 1.0])
    state = One().init(start, Key(0))
    for t, loss in enumerate([math.nan, 3.0, 5.0, 2.0, 2.0, -math.inf, math.inf, 1.0]):
        state, xs = One().ask(state)
        expected = found(state, xs, losses := torch.tensor([loss], dtype=torch.float64))
        state = One().tell(state, xs, losses, torch.tensor([t]) if t % 2 else None)
        assert torch.equal(state.x, expected.x)
        assert repr((state.value, state.loss)) == repr((expected.value, expected.loss))
        assert (state.rejected, state.t, state.asked) == (expected.rejected, t + 1, t + 1)
    assert [float(answer) for answer in state.answers] == [math.inf, 3, 5, 2, 2, math.inf, math.inf, 1]
    assert (state.done, state.rejected, len(One().ask(state)[1])) == ("eight answers", 3, 0)


def test_an_answer_from_elsewhere_does_not_answer_a_single_question() -> None:
    state, xs = One().ask(One().init(torch.zeros(2), Key(0)))
    told = One().tell(state, xs + 7, torch.tensor([1.0], dtype=torch.float64), torch.tensor([-1]))
    assert (told.missing, told.value, len(told.answers)) == (1, 1.0, 0)
    told = One().tell(told, xs, torch.tensor([2.0], dtype=torch.float64), torch.tensor([0]))
    assert (told.missing, told.value, len(told.answers)) == (0, 1.0, 1)


def test_the_contracts_find_what_is_broken() -> None:
    """A poll that leaves the box, that stays in float64, and that writes to what it is told."""

    class Outside(Poll):
        def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
            yield x[None] - 5
            return ""

    class Wide(Poll):
        def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
            yield x[None].double()
            return ""

    class Greedy(Poll):
        def turns(self, x: Tensor, domain: Domain, key: Key) -> Turns:
            losses = yield torch.stack([x, x - 1])
            yield x[None] + (losses[0] - losses[1] > 50)
            return ""

        def tell(self, state: Talk, xs: Tensor, losses: Tensor, tickets: Tensor | None = None) -> Talk:
            losses[0] += 1
            return super().tell(state, xs, losses, tickets)

    for broken, contract in (
        (Outside(), search.asks_inside),
        (Wide(), search.keeps_the_dtype),
        (Greedy(), search.leaves_what_it_is_given),
        (Greedy(), search.looks_at_ranks_only),
    ):
        with pytest.raises(AssertionError):
            contract(broken)


def test_a_conversation_ends_with_its_reason() -> None:
    result = minimize(lambda x: float(((x - 3) ** 2).sum()), [0.0, 1.0], method=Poll(), bounds=(-1, 5))
    assert "fell below 1e-06" in result.reason
    assert result.fun < 1e-10


def test_a_saved_conversation_is_replayed_without_evaluations() -> None:
    oracle = Function(lambda x: (x - 3).square().sum(), batched=False)
    method, state = Poll(), Poll().init(torch.zeros(3), Key(0))
    for _ in range(9):
        state = method.advance(oracle, state)
    file = io.BytesIO()
    torch.save(to_plain(state), file)
    file.seek(0)
    made = oracle.ledger.total
    again = from_plain(torch.load(file, weights_only=True))
    again, xs = method.ask(again)
    assert oracle.ledger.total == made
    _, expected = method.ask(state)
    assert torch.equal(xs, expected)


def test_the_last_generation_of_a_budget_is_cut_to_what_is_left() -> None:
    calls = []

    def f(x: Tensor) -> float:
        calls.append(x)
        return float(x.square().sum())

    for budget in (1, 2, 3, 7, 11):
        calls.clear()
        oracle = Function(f, batched=False)
        oracle.ledger.limit = budget
        state = Poll().init(torch.ones(3), Key(0))
        exhausted = False
        while not exhausted:
            try:
                state = Poll().advance(oracle, state)
            except BudgetExhausted:
                exhausted = True
        assert len(calls) == budget
        assert state.value == min(float(x.square().sum()) for x in calls)
    assert minimize(f, torch.ones(3), method=Poll(), until=Evaluations(20)).total <= 20


def test_a_question_is_answered_once() -> None:
    state = Poll().init(torch.ones(2), Key(0))
    state, xs = Poll().ask(state)
    state = Poll().tell(state, xs, torch.ones(1))
    state, xs = Poll().ask(state)
    state = Poll().tell(state, xs[:1], torch.ones(1), torch.tensor([1]))
    with pytest.raises(InvalidValue, match="answered twice"):
        Poll().tell(state, xs[:1], torch.ones(1), torch.tensor([1]))


def test_failures_rank_last_and_share_nothing_with_large_losses() -> None:
    losses = torch.tensor([1e308, math.nan, -5.0, math.inf, -math.inf, -5.0], dtype=torch.float64)
    assert order(losses).tolist() == [2, 5, 0, 1, 3, 4]
    assert best(losses) == 2
    ranks = centred_ranks(losses)
    assert ranks.tolist() == pytest.approx([-0.1, 0.3, -0.4, 0.3, 0.3, -0.4])
    assert float(ranks.sum()) == pytest.approx(0.0)


def test_found_keeps_the_best_of_all() -> None:
    state = Poll().init(torch.ones(2), Key(0))
    xs = torch.arange(6.0).reshape(3, 2)
    first = found(state, xs, torch.tensor([3.0, math.nan, 2.0]))
    assert (first.value, first.loss, first.rejected) == (2.0, 2.0, 0)
    assert torch.equal(first.x, xs[2])
    nothing = found(state, xs, torch.full((3,), math.inf))
    assert nothing.rejected == 1
    assert math.isnan(nothing.value)


def test_what_is_no_first_point_is_refused() -> None:
    box = Domain.box(torch.zeros(2), torch.ones(2))
    with pytest.raises(InvalidValue, match=r"x\[1\] = 3 is not in \[0, 1\]"):
        check_point(torch.tensor([0.5, 3.0]), box)
    with pytest.raises(InvalidValue, match="nan"):
        check_point(torch.tensor([0.5, math.nan]), None)
    with pytest.raises(ShapeMismatch, match="3 coordinates, and its domain 2"):
        check_point(torch.ones(3), box)
