"""Annealing: its chains have Boltzmann's law at a constant temperature, and cool as they should."""

import math
from itertools import pairwise, permutations

import pytest
import torch
from scipy.stats import chisquare

from descend.errors import InvalidValue
from descend.key import Key
from descend.oracle import Function
from descend.population.annealing import ROWS, Annealing
from descend.population.cooling import (
    LAWS,
    Adaptive,
    Clock,
    Constant,
    Geometric,
    Linear,
    Logarithmic,
    Reciprocal,
    Visiting,
)
from descend.problems.combinatorial import ft06
from descend.run import Evaluations, minimize
from descend.space import Choice, Int, Permutation, Space, Subset
from descend.testing.search import CONTRACTS


@pytest.mark.parametrize("contract", CONTRACTS, ids=lambda contract: contract.__name__)
@pytest.mark.parametrize("row", ROWS)
def test_it_keeps(contract, row):
    contract(ROWS[row])


def chains(space, loss, temperature, moves, n=4000, **visiting):
    """Where n chains are after some moves at a constant temperature; loss takes cells or points (n, d)."""
    method = Annealing(
        chains=n, temperature=temperature, schedule=Constant(), visiting=Visiting(adapts=False, **visiting)
    )
    state = method.init(space.middle, Key(1), space.domain)
    for _ in range(moves):
        state, xs = method.ask(state)
        state = method.tell(state, xs, loss(xs))
    return state


def test_ordered_and_unordered_cells_have_boltzmanns_law():
    heights = torch.tensor([0.0, 1.0, 0.3, 2.0, 0.7, 1.5], dtype=torch.float64)
    for space in (Space(n=Int(0, 5)), Space(c=Choice(*"abcdef"))):
        state = chains(space, lambda xs, s=space: heights[s.domain.index(xs)[:, 0]], 0.6, 40, width=0.3)
        counts = space.domain.index(state.points)[:, 0].bincount(minlength=6)
        law = (-heights / 0.6).exp()
        assert chisquare(counts.numpy(), (law / law.sum() * 4000).numpy()).pvalue > 1e-3, space


def test_a_selection_has_boltzmanns_law():
    space = Space(s=Subset(3))
    weights = torch.tensor([1.0, -0.5, 0.25], dtype=torch.float64)

    def loss(xs):
        taken = (xs > 0.5).to(torch.float64)
        return taken @ weights + taken[:, 0] * taken[:, 1]

    state = chains(space, loss, 0.5, 30)
    corners = torch.cartesian_prod(*[torch.tensor([0.25, 0.75], dtype=torch.float64)] * 3)
    law = (-loss(corners) / 0.5).exp()
    counts = ((state.points > 0.5).long() * torch.tensor([4, 2, 1])).sum(1).bincount(minlength=8)
    assert chisquare(counts.numpy(), (law / law.sum() * 4000).numpy()).pvalue > 1e-3


def test_permutations_have_boltzmanns_law():
    space = Space(p=Permutation(4))
    orders = [list(p) for p in permutations(range(4))]

    def loss(xs):
        order = xs.argsort(1)
        return (order - torch.arange(4)).square().sum(1).to(torch.float64) / 4

    state = chains(space, loss, 1.0, 30)
    law = (-loss(torch.tensor(orders).argsort(1).to(torch.float64))).exp()
    names = [orders.index(p) for p in state.points.argsort(1).tolist()]
    counts = torch.tensor(names).bincount(minlength=24)
    assert chisquare(counts.numpy(), (law / law.sum() * 4000).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("law", LAWS)
def test_numbers_have_boltzmanns_law(law):
    """exp(-x^2 / 2 T) is normal with the variance T."""
    method = Annealing(
        chains=4000, temperature=0.5, schedule=Constant(), visiting=Visiting(law, width=1.5, adapts=False)
    )
    state = method.init(torch.zeros(2, dtype=torch.float64), Key(0))
    for _ in range(60):
        state, xs = method.ask(state)
        state = method.tell(state, xs, xs.square().sum(1) / 2)
    assert abs(float(state.points.mean())) < 0.03
    assert abs(float(state.points.square().mean()) - 0.5) < 0.035  # 4.5 standard errors
    kurtosis = float(state.points.pow(4).mean() / state.points.square().mean() ** 2)
    assert abs(kurtosis - 3) < 0.35


def test_the_laws_of_steps():
    like = torch.zeros(0, dtype=torch.float64)
    rows = {name: f((20_000, 2), Key(3).generator(), like) for name, f in LAWS.items()}
    assert abs(float(rows["normal"].std()) - 1) < 0.02
    assert abs(float(rows["uniform"].square().mean()) - 1 / 3) < 0.01
    assert float(rows["uniform"].abs().max()) <= 1
    assert abs(float(rows["cauchy"].abs().median()) - 1) < 0.04
    assert abs(float((rows["cauchy"].abs() > 10).to(torch.float64).mean()) - 0.0635) < 0.006
    # alike in all directions: both coordinates are far out together
    far = rows["cauchy"][:, 0].abs() > 20
    assert float(rows["cauchy"][far, 1].abs().median()) > 10


def test_schedules():
    at = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    clock = Clock(at, 10 * at, torch.full_like(at, 0.7), at)
    assert Constant()(clock).tolist() == [1, 1, 1]
    assert Linear()(clock).tolist() == [1, 0.5, 0]
    torch.testing.assert_close(Geometric(1e-4)(clock), torch.tensor([1, 1e-2, 1e-4]).double())
    torch.testing.assert_close(Reciprocal()(clock), torch.tensor([1, 1 / 6, 1 / 11]).double())
    wanted = torch.tensor([math.log(2) / math.log(s) for s in (2, 7, 12)]).double()
    torch.testing.assert_close(Logarithmic()(clock), wanted)
    # wanted: 1, 0.44, 0.001; accepted: 0, 0.5, 1
    torch.testing.assert_close(Adaptive(0.9)(clock), torch.tensor([0.7 / 0.9, 0.63, 0.63]).double())


def bowl(xs):
    return xs.square().sum(1)


def run(method, moves, f=bowl, d=2):
    state = method.init(torch.full((d,), 3.0, dtype=torch.float64), Key(2))
    states = []
    for _ in range(moves):
        state, xs = method.ask(state)
        state = method.tell(state, xs, f(xs))
        states.append(state)
    return states


def test_it_cools_as_its_schedule_says_and_is_heated_again():
    states = run(Annealing(chains=3, steps=10, temperature=5.0, schedule=Geometric(0.01)), 25)
    cool = torch.stack([state.cool for state in states])
    moves = torch.arange(1, 26) % 10
    torch.testing.assert_close(cool, (0.01 ** (moves / 10).double())[:, None].expand(25, 3))
    assert states[-1].first == 5.0


def test_the_first_temperature_accepts_the_mean_of_first_moves_uphill_every_second_time():
    states = run(Annealing(chains=50), 6)
    before, known = next(pair for pair in pairwise(states) if not math.isnan(pair[1].first))
    _, xs = Annealing(chains=50).ask(before)
    up = bowl(xs) - before.losses
    up = up[(up > 0) & up.isfinite()]
    assert known.tried == before.tried + len(up) >= 20
    assert known.uphill == pytest.approx(before.uphill + float(up.sum()))
    assert math.exp(-(known.uphill / known.tried) / known.first) == pytest.approx(0.5)
    # no chain goes up before there is a temperature
    assert bool((before.losses <= states[0].losses).all())


def test_steps_adapt_until_44_of_100_are_accepted():
    scales = torch.tensor([1.0, 1e-3], dtype=torch.float64)
    method = Annealing(chains=200, temperature=1e-4, schedule=Constant())
    states = run(method, 800, lambda xs: (xs / scales).square().sum(1))
    assert abs(float(states[-1].rate.mean()) - 0.44) < 0.05
    width = states[-1].width.log().mean(0).exp()
    assert 300 < float(width[0] / width[1]) < 3000


def test_rows_solve_many_basins():
    f = lambda x: float((x**2 - 10 * torch.cos(2 * math.pi * x) + 10).sum())  # noqa: E731
    start = torch.full((3,), 4.0, dtype=torch.float64)
    for name in ("classic", "adaptive", "cauchy"):
        result = minimize(f, start, method=ROWS[name], bounds=(-5.12, 5.12), until=Evaluations(14_000), key=0)
        assert result.fun < 0.9, name  # the next basin begins at 0.99
    for name in ("boltzmann", "fast"):
        result = minimize(f, start, method=ROWS[name], bounds=(-5.12, 5.12), until=Evaluations(6000), key=0)
        assert result.fun < 10, name  # a random point has 90


def test_a_job_shop_is_solved():
    oracle = Function(ft06.keyed, batched=True, memory=2**24)
    method = Annealing(steps=1000)
    state = method.init(ft06.space.middle, Key(0), ft06.space.domain)
    while state.value != 55 and state.asked < 15_000:
        state = method.advance(oracle, state)
    assert state.value == 55


def test_what_it_cannot_do_is_refused():
    with pytest.raises(InvalidValue, match="chains"):
        Annealing(chains=0)
    with pytest.raises(InvalidValue, match="temperature"):
        Annealing(temperature=-1.0)
    with pytest.raises(InvalidValue, match="riffle"):
        Annealing(shuffles=("riffle",))
    with pytest.raises(InvalidValue, match="levy"):
        Visiting("levy")
    with pytest.raises(InvalidValue, match="width"):
        Visiting(width=0.0)
    with pytest.raises(InvalidValue, match="power"):
        Visiting(power=-1.0)
    with pytest.raises(InvalidValue, match="end"):
        Geometric(2.0)
    with pytest.raises(InvalidValue, match="factor"):
        Adaptive(1.0)
