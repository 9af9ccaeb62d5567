"""The default of a study: what is chosen when, and that the choice depends on nothing but the history."""

import math
from dataclasses import replace

import pytest
import torch

from descend.direct import Uniform
from descend.errors import InvalidValue
from descend.key import Key
from descend.model.automatic import ROWS, Automatic, Situation, choose
from descend.model.bayes import Bayes
from descend.model.modelled import Cube, History
from descend.model.tpe import TPE
from descend.run import Evaluations, minimize
from descend.space.domain import Domain
from descend.testing import search

SLOW = search.serves_unequal_workers, search.loses_no_answer


@pytest.mark.parametrize("contract", [c for c in search.CONTRACTS if c not in SLOW], ids=lambda c: c.__name__)
def test_it_keeps_the_contract(contract):
    contract(Automatic())


@pytest.mark.slow
@pytest.mark.parametrize("contract", SLOW, ids=lambda c: c.__name__)
def test_it_serves_workers(contract):
    contract(Automatic(limit=50))


def at(answers, turn=0, objectives=1, waiting=0, limit=300, noisy=False):
    return Situation(3, answers, objectives, waiting, turn, limit, noisy)


@pytest.mark.parametrize(
    ("situation", "kind"),
    [
        (at(3, turn=3), Bayes),
        (at(10, turn=10), Bayes),
        (at(11, turn=11), TPE),
        (at(12, turn=12), Bayes),
        (at(13, turn=13), Bayes),
        (at(40, turn=40, waiting=15), Bayes),
        (at(40, turn=40, waiting=16), TPE),
        (at(299, turn=298), Bayes),
        (at(300, turn=298), TPE),
        (at(300, turn=300), Bayes),
        (at(1199, turn=1200), Bayes),
        (at(1200, turn=1200), TPE),
        (at(51, turn=51, objectives=2), Bayes),
        (at(300, turn=300, objectives=2), TPE),
        (at(50, turn=50, objectives=4), TPE),
        (at(50, turn=50, noisy=True), Bayes),
        (at(50, turn=50, noisy=True, waiting=16), TPE),
    ],
)
def test_what_is_chosen(situation, kind):
    method, why = choose(situation)
    assert isinstance(method, kind)
    assert "{" not in why


def test_every_row_is_taken_somewhere_and_the_last_one_everywhere():
    many = [at(n, turn, m, k) for n in (0, 50, 400, 2000) for turn in (0, 2) for m in (1, 2, 5) for k in (0, 20)]
    many.append(at(50, 50, noisy=True))
    taken = {next(i for i, row in enumerate(ROWS) if row.when(situation)) for situation in many}
    assert taken == set(range(len(ROWS)))
    assert all(ROWS[-1].when(situation) for situation in many)


def history(n, waiting=0, m=1):
    lower = torch.zeros(2, dtype=torch.float64)
    cube = Cube(Domain.box(lower, lower + 1), lower + 0.5)
    us = Key(n).uniform(n + waiting, 2, like=lower)
    values = torch.stack([(us[:n] - 0.3 * (j + 1)).square().sum(1) for j in range(m)], 1)
    return History(cube, cube.middle, us[:n], values, us.new_zeros(n, 0), us[n:], n + waiting)


def test_each_point_of_a_batch_has_a_turn_of_its_own():
    """Of two points one is the process's, which is what it would have asked for; the other one is TPE's."""
    told = history(22)
    both = Automatic().propose(told, 2, Key(3))
    assert torch.equal(both[:1], Bayes().propose(told, 1, Key(3).fold("point", 0)))
    after = History(told.cube, told.start, told.us, told.values, told.violations, both[:1], 23)
    assert torch.equal(both[1:], TPE().propose(after, 1, Key(3).fold("point", 1)))


def test_a_proposal_is_a_function_of_its_arguments():
    first = [Automatic().propose(history(n, 2), 1, Key(1)) for n in (12, 13, 30)]
    Automatic().propose(history(25), 3, Key(2))
    again = [Automatic().propose(history(n, 2), 1, Key(1)) for n in (30, 13, 12)]
    assert all(torch.equal(a, b) for a, b in zip(first, reversed(again), strict=True))


def test_noise_is_noticed():
    clear = history(30)
    assert not Situation.of(clear, 300).noisy
    told = replace(clear, values=clear.values + 0.2 * Key(9).normal(30, 1, like=clear.values))
    assert Situation.of(told, 300).noisy
    assert not Situation.of(replace(told, violations=told.values), 300).noisy
    assert not Situation.of(told, 30).noisy


def test_failures_do_not_count_as_answers():
    told = history(12)
    told.values[4:] = math.nan
    assert Situation.of(told, 300).answers == 4
    assert Situation.of(history(9, 3, m=2), 300) == Situation(2, 9, 2, 3, 12, 300)


def test_it_finds_what_chance_does_not():
    """Waves over a bowl, and a choice that decides where it is."""
    from descend.space import Choice, Float, Space

    space = Space(side=Choice("left", "right", "both"), x=Float(-4, 4), y=Float(1e-4, 1, log=True))

    def f(point):
        middle = {"left": -1.5, "right": 1.0, "both": 0.0}[point["side"]]
        wave = 0.2 * (1 - math.cos(3 * (point["x"] - middle)))
        return (point["x"] - middle) ** 2 + wave + (math.log10(point["y"]) + 2) ** 2 + 0.1 * len(point["side"])

    ours = minimize(f, space, method=Automatic(), until=Evaluations(40), key=1).fun
    chance = minimize(f, space, method=Uniform(), until=Evaluations(400), key=1).fun
    assert ours < 0.4 + 1e-2
    assert ours < chance


@pytest.mark.parametrize("limit", [9, 1.5, True])
def test_a_limit_outside_its_range_is_refused(limit):
    with pytest.raises(InvalidValue, match="limit"):
        Automatic(limit=limit)
