"""Genetic algorithms: what a crossing keeps, who becomes a parent, who survives, and mixtures of kinds."""

from collections import Counter
from itertools import pairwise

import pytest
import torch
from scipy.stats import chisquare

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Function
from descend.population.breeding import Breeding, insertion
from descend.population.genetic import SELECTIONS, Genetic
from descend.population.kinds import another, keyed, kinds, tours
from descend.problems.combinatorial import ft06, knapsack
from descend.run import Evaluations, minimize
from descend.space import Choice, Float, Int, Permutation, Space, Subset
from descend.testing.search import CONTRACTS, looks_at_ranks_only

MIXED = Space(a=Float(-1, 1), n=Int(0, 30), kind=Choice("x", "y", "z"), order=Permutation(5), some=Subset(3))
METHODS = (Genetic(), Genetic(popsize=10, elite=1), Genetic(popsize=10, children=1), Genetic(selection="rank"))


@pytest.mark.parametrize("contract", [*CONTRACTS, looks_at_ranks_only], ids=lambda contract: contract.__name__)
@pytest.mark.parametrize("method", METHODS, ids=("plus", "generations", "steady", "ranks"))
def test_it_keeps(contract, method):
    contract(method)


def test_a_domain_has_kinds():
    kind = kinds(MIXED.domain)
    assert int(kind.numbers.sum()) == 2
    assert int(kind.lists.sum()) == 1 + 3
    assert [len(columns) for columns in kind.orders] == [5]
    assert not bool((kind.numbers & kind.lists).any())


def test_keys_of_a_permutation_mean_that_permutation():
    order = torch.stack([Key(i).permutation(6) for i in range(20)])
    columns = torch.tensor([7, 1, 2, 3, 4, 0])
    xs = torch.rand(20, 8, generator=Key(0).generator(), dtype=torch.float64)
    after = keyed(xs, columns, order)
    assert torch.equal(tours(after, columns), order)
    assert torch.equal(after[:, 5:7], xs[:, 5:7])
    space = Space(p=Permutation(6))
    assert [point["p"] for point in space.decode(after[:, columns])] == order.tolist()


def test_another_cell_is_any_other_one_with_the_same_chance():
    domain = Space(c=Choice(*"abcde"), d=Choice(*"ab")).domain
    n = 8000
    xs = domain.centre(torch.tensor([[0.5, 0.1]], dtype=torch.float64).repeat(n, 1))
    which = torch.tensor([True, False]).repeat(n, 1)
    cells = domain.index(another(xs, domain, which, Key(2)))
    counts = cells[:, 0].bincount(minlength=5)
    assert counts[2] == 0
    assert chisquare(counts[[0, 1, 3, 4]].numpy()).pvalue > 1e-3
    assert bool((cells[:, 1] == 0).all())
    assert bool((domain.index(another(xs, domain, ~which, Key(2)))[:, 1] == 1).all())


def test_insertion_moves_one_item_anywhere():
    found = Counter(map(tuple, insertion(torch.arange(4).repeat(12_000, 1), Key(1)).tolist()))
    expected = Counter()
    for i in range(4):
        for j in range(4):
            if i != j:
                rest = [k for k in range(4) if k != i]
                expected[(*rest[:j], i, *rest[j:])] += 1000
    assert found.keys() == expected.keys()
    assert chisquare([found[k] for k in expected], list(expected.values())).pvalue > 1e-3


def test_children_are_points_and_have_what_their_parents_have():
    domain = MIXED.domain
    a, b = (domain.centre(domain.uniform(300, Key(i), MIXED.middle)) for i in range(2))
    one, two = Breeding(chance=1.0).crossed(a, b, domain, Key(5))
    assert all(point in MIXED for point in MIXED.decode(torch.cat([one, two])))
    lists = kinds(domain).lists
    straight, turned = (one == a) & (two == b), (one == b) & (two == a)
    assert bool((straight | turned)[:, lists].all())
    exchanged = turned[lists.expand_as(a) & (a != b)]
    assert abs(float(exchanged.to(torch.float64).mean()) - 0.5) < 0.07
    # an order keeps a stretch of one parent where it is
    columns = kinds(domain).orders[0]
    p, q, child = tours(a, columns), tours(b, columns), tours(one, columns)
    assert bool((child.sort(1).values == torch.arange(5)).all())
    assert float(((child == p) | (child == q)).to(torch.float64).mean()) > 0.5


def test_only_a_share_of_pairs_is_crossed_and_of_permutations_shuffled():
    domain = MIXED.domain
    a, b = (domain.centre(domain.uniform(2000, Key(i), MIXED.middle)) for i in range(2))
    one, _ = Breeding(chance=0.3).crossed(a, b, domain, Key(5))
    assert abs(float((one != a).any(1).to(torch.float64).mean()) - 0.3) < 0.05
    columns = kinds(domain).orders[0]
    after = Breeding(shuffled=0.25, each=1e-9).mutated(a, domain, Key(1))
    moved = (tours(after, columns) != tours(a, columns)).any(1)
    assert abs(float(moved.to(torch.float64).mean()) - 0.25) < 0.04
    rest = torch.tensor([i for i in range(domain.dim) if i not in columns.tolist()])
    assert torch.allclose(after[:, rest], a[:, rest])


def test_one_plain_coordinate_is_mutated_on_average():
    domain = MIXED.domain
    a = domain.centre(domain.uniform(4000, Key(0), MIXED.middle))
    after = Breeding(shuffled=0.0).mutated(a, domain, Key(1))
    lists = kinds(domain).lists
    assert abs(float((after != a)[:, lists].to(torch.float64).mean()) - 1 / 6) < 0.02


def test_the_better_are_chosen_more_often():
    losses = torch.tensor([0.0, 1.0, 2.0, 10.0], dtype=torch.float64)
    n = 20_000
    gain = 10 - losses
    roulette = gain + 0.1 * gain.mean()
    expected = {
        "tournament": torch.tensor([7.0, 5.0, 3.0, 1.0]) / 16,
        "roulette": roulette / roulette.sum(),
        "rank": torch.tensor([1.8, 1.8 - 1.6 / 3, 1.8 - 3.2 / 3, 0.2]) / 4,
    }
    for name, chances in expected.items():
        counts = SELECTIONS[name](losses, n, Key(4)).bincount(minlength=4)
        assert chisquare(counts.numpy(), (chances.double() / chances.double().sum() * n).numpy()).pvalue > 1e-3, name


def generations(method, count, f=lambda xs: xs.square().sum(1)):
    state = method.init(torch.full((4,), 2.0, dtype=torch.float64), Key(0))
    states = []
    for _ in range(count):
        state, xs = method.ask(state)
        state = method.tell(state, xs, f(xs))
        states.append((state, xs))
    return states


def test_the_best_of_old_and_new_survive_or_only_an_elite():
    for (before, _), (after, xs) in pairwise(generations(Genetic(popsize=20), 6)):
        everybody = torch.cat([before.losses, xs.square().sum(1)]).unique()
        assert torch.equal(after.losses, everybody[:20])
    for (before, _), (after, xs) in pairwise(generations(Genetic(popsize=20, elite=2), 6)):
        children = xs.square().sum(1).unique()
        assert torch.equal(after.losses, torch.cat([before.losses[:2], children[:18]]).unique())
    for (_, _), (after, xs) in pairwise(generations(Genetic(popsize=20, elite=0), 6)):
        assert set(after.losses.tolist()) <= set(xs.square().sum(1).tolist())


def test_a_generation_waits_until_it_is_complete_and_the_steady_state_does_not():
    method = Genetic(popsize=6, elite=1)
    state = method.init(torch.zeros(2, dtype=torch.float64), Key(0))
    sizes = []
    for _ in range(14):
        state, xs = method.ask(state, 1)
        state = method.tell(state, xs, xs.square().sum(1))
        sizes.append((len(state.losses), len(state.brood_losses)))
    assert sizes[:7] == [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (6, 0), (6, 1)]
    assert sizes[11] == (6, 0)
    assert [len(xs) for _, xs in generations(Genetic(popsize=6, children=1), 4)] == [6, 1, 1, 1]


def test_nobody_is_there_twice_nor_after_a_failure():
    def f(xs):
        losses = (xs * 2).round().square().sum(1)
        losses[xs[:, 0] > 2.5] = float("nan")
        return losses

    states = [state for state, _ in generations(Genetic(popsize=30), 10, f)]
    assert len(states[0].population) < 30 == len(states[-1].population)  # some of the first have failed
    for state in states:
        assert len(state.population.unique(dim=0)) == len(state.population)
        assert bool(state.losses.isfinite().all())
        assert bool((state.losses.diff() >= 0).all())


def test_the_order_of_equal_answers_makes_no_difference():
    states = []
    for turned in (False, True):
        state, xs = Genetic(popsize=8).ask(Genetic(popsize=8).init(torch.zeros(2, dtype=torch.float64), Key(0)))
        rows = torch.arange(8).flip(0) if turned else torch.arange(8)
        states.append(Genetic(popsize=8).tell(state, xs[rows], torch.ones(8, dtype=torch.float64), rows))
    assert torch.equal(states[0].population, states[1].population)


def test_a_mixed_space_is_solved():
    def f(p):
        wrong = sum(a != b for a, b in zip(p["order"], [3, 1, 4, 0, 2], strict=True))
        return abs(p["a"] - 0.3) + abs(p["n"] - 17) + 3 * (p["kind"] != "y") + wrong + 2 * (p["some"] != [0, 2])

    result = minimize(f, MIXED, method=Genetic(popsize=40), until=Evaluations(3000), key=1)
    assert result.fun < 0.02
    assert {**result.x, "a": 0} == {"a": 0, "n": 17, "kind": "y", "order": [3, 1, 4, 0, 2], "some": [0, 2]}


def solve(method, problem, n, key):
    oracle = Function(problem.keyed, batched=True, memory=2**24)
    state = method.init(problem.space.middle, Key(key), problem.space.domain)
    while state.asked < n and state.value != problem.optimum:
        state = method.advance(oracle, state)
    return state.value


def test_schedules_and_selections():
    assert [solve(Genetic(), ft06, 15_000, key) for key in range(2)] == [55, 55]
    bag = knapsack(50)
    random = float(bag.keyed(torch.rand(10_000, 50, generator=Key(0).generator())).min())
    assert solve(Genetic(), bag, 10_000, 0) < bag.optimum + 0.35 * (random - bag.optimum)


def test_what_it_cannot_do_is_refused():
    with pytest.raises(InvalidValue, match="lottery"):
        Genetic(selection="lottery")
    with pytest.raises(InvalidValue, match="elite of 3"):
        Genetic(popsize=10, children=2, elite=3)
    with pytest.raises(InvalidValue, match="popsize"):
        Genetic(popsize=1)
    with pytest.raises(InvalidValue, match="cycle"):
        Breeding(ordering="cycle")
    with pytest.raises(InvalidValue, match="shuffles"):
        Breeding(shuffles=())
    with pytest.raises(InvalidValue, match="chance"):
        Breeding(chance=1.5)
    with pytest.raises(InvalidValue, match="each"):
        Breeding(each=0.0)
