"""Which method is chosen for which problem, that it says so, and that it is the chosen method that searches."""

import math

import pytest
import torch

from descend.direct.grid import Grid
from descend.errors import InvalidValue
from descend.key import Key
from descend.model import Bayes, Relay
from descend.population.cma import CMAES
from descend.population.differential import DifferentialEvolution
from descend.population.restarts import Restarts
from descend.portfolio import ROWS, Facts, Portfolio, choose
from descend.run import Evaluations, minimize
from descend.space import Bool, Choice, Float, Int, Ordinal, Permutation, Space, When
from descend.space.domain import Domain
from descend.testing import search
from descend.tree import from_plain, same, to_plain


@pytest.mark.parametrize(
    ("facts", "kind", "word"),
    [
        (Facts(10), Relay, "descent"),
        (Facts(10, budget=10_000), Relay, "descent"),
        (Facts(10, budget=15), Restarts, "15 evaluations"),
        (Facts(10, workers=10), Relay, "descent"),
        (Facts(10, workers=11), Restarts, "11 workers"),
        (Facts(10, discrete=3), Restarts, "3 of 10"),
        (Facts(10, discrete=3, unordered=2), DifferentialEvolution, "2 of 10"),
        (Facts(10, discrete=3, noisy=True), CMAES, "uncertainty"),
        (Facts(10, budget=100, cost=30.0), Bayes, "each of 100 evaluations takes 30 s"),
        (Facts(10, discrete=3, unordered=2, budget=100, cost=30.0), Bayes, "30 s"),
        (Facts(2, discrete=2, points=12, budget=12), Grid, "no more than 12"),
        (Facts(2, discrete=2, unordered=1, points=12, budget=100), Grid, "no more than 12 of them for 100 evaluations"),
        (Facts(2, discrete=2, points=12, budget=11), Restarts, "2 of 2"),
        (Facts(2, discrete=2, points=12), Restarts, "2 of 2"),
        (Facts(2, discrete=2, points=12, budget=100, noisy=True), CMAES, "uncertainty"),
        (Facts(10, budget=100, cost=0.5), Relay, "descent"),
        (Facts(10, budget=1000, cost=30.0), Relay, "descent"),
        (Facts(10, cost=30.0), Relay, "descent"),
        (Facts(21, budget=100, cost=30.0), Relay, "descent"),
    ],
)
def test_rows(facts, kind, word):
    method, why = choose(facts)
    assert type(method) is kind
    assert word in why


def test_the_last_row_takes_everything_and_every_row_is_reached():
    assert ROWS[-1].when(Facts(1))
    assert ROWS[-1].when(Facts(1000, 3, 2, 4, 1, 1, 9, True))
    problems = [
        Facts(3),
        Facts(3, workers=9),
        Facts(9, budget=1),
        Facts(3, discrete=1),
        Facts(3, discrete=1, unordered=1),
        Facts(3, noisy=True),
        Facts(3, keys=3, permutations=1),
        Facts(4, keys=3, permutations=1),
        Facts(3, budget=50, cost=1.0),
        Facts(2, discrete=2, points=9, budget=9),
    ]
    assert {next(i for i, row in enumerate(ROWS) if row.when(facts)) for facts in problems} == set(range(len(ROWS)))


def test_facts_of_a_domain():
    lower, upper = torch.zeros(4), torch.ones(4)
    cells, unordered = torch.tensor([0, 3, 4, 0]), torch.tensor([False, False, True, False])
    facts = Facts.of(Domain.box(lower, upper, cells=cells, unordered=unordered), budget=7, workers=2)
    assert facts == Facts(4, 2, 1, 0, 0, 7, 2, False)
    orders = torch.tensor([-1, 0, 0, 1])
    facts = Facts.of(Domain.box(lower, upper, orders=orders))
    assert (facts.keys, facts.permutations) == (3, 2)


def test_it_asks_what_the_chosen_method_asks():
    x = torch.linspace(-1.0, 2.0, 4, dtype=torch.float64)
    domain = Domain.box(x - 3, x + 4)
    ours, theirs = Portfolio(), Relay()
    a, b = ours.init(x, Key(2), domain), theirs.init(x, Key(2), domain)
    for _ in range(12):
        (a, xs), (b, ys) = ours.ask(a), theirs.ask(b)
        assert torch.equal(xs, ys)
        losses = xs.square().sum(1)
        a, b = ours.tell(a, xs, losses), theirs.tell(b, ys, losses)
    assert torch.equal(a.x, b.x)
    assert (a.value, a.t, a.asked) == (b.value, b.t, b.asked)


def test_thinking_pays_where_evaluations_are_dear():
    """30 evaluations of a rugged bowl (Ackley's function) in 3 dimensions: a fraction of what the default comes to."""

    def f(xs):
        away = 0.2 * (xs - 1.3).square().mean(1).sqrt()
        return 20 - 20 * (-away).exp() + math.e - (2 * math.pi * (xs - 1.3)).cos().mean(1).exp()

    x = torch.tensor([-3.0, 4.0, 2.0], dtype=torch.float64)
    values = []
    for method in (Portfolio(budget=30, cost=60.0), Portfolio(budget=30)):
        state = method.init(x, Key(0), Domain.box(torch.full_like(x, -5.0), torch.full_like(x, 5.0)))
        while state.asked < 30:
            state, xs = method.ask(state, 1)
            state = method.tell(state, xs, f(xs))
        values.append(state.value)
    assert values[0] < 0.6 * values[1]


def test_a_saved_state_says_why_and_goes_on():
    method = Portfolio(workers=30)
    state, xs = method.ask(method.init(torch.ones(3), Key(0)))
    again = from_plain(to_plain(state))
    assert again.why == state.why
    assert again.facts == state.facts
    losses = xs.square().sum(1).double()
    assert same(method.ask(method.tell(state, xs, losses))[1], method.ask(method.tell(again, xs, losses))[1])


@pytest.mark.parametrize("contract", search.CONTRACTS, ids=lambda contract: contract.__name__)
@pytest.mark.parametrize("method", [Portfolio(), Portfolio(workers=9)], ids=repr)
def test_contract(method, contract):
    contract(method)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"budget": 0}, "budget >= 1"),
        ({"workers": 0}, "workers >= 1"),
        ({"noisy": 1}, "noisy is"),
        ({"cost": -1.0}, "got -1.0"),
        ({"cost": True}, "cost=60"),
    ],
)
def test_wrong_facts_are_refused(given, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        Portfolio(**given)


def test_all_points_of_a_small_space_are_asked_once():
    space = Space(a=Choice(*"abcd"), b=When("a", "b", Ordinal(1, 2, 3)), c=Bool())
    seen = []
    result = minimize(lambda p: seen.append(str(p)) or (p["a"] != "c") + p["c"], space, until=Evaluations(30), key=0)
    assert len(set(seen)) == 12
    assert len(seen) <= 14  # the answer is looked at once more
    assert (result.x["a"], result.x["c"], result.fun) == ("c", False, 0.0)
    assert "every point once" in result.method
    assert Facts.of(Space(a=Choice(*"abcd"), x=Float(0, 1)).domain).points == 0
    assert Facts.of(Space(order=Permutation(3)).domain).points == 0
    assert Facts.of(Space({f"n{i}": Int(1, 10**6) for i in range(5)}).domain).points == 0
