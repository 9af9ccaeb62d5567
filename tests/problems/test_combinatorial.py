"""Knapsacks against all selections, job shops against a schedule written out by hand, and known optima."""

from itertools import chain, combinations

import numpy as np
import pytest
import torch

from descend.errors import InvalidValue
from descend.key import Key
from descend.problems.combinatorial import JobShop, Knapsack, ft06, ft10, knapsack


def test_the_optimum_of_a_knapsack_is_that_of_all_selections():
    for key in range(5):
        bag = knapsack(10, key)
        everything = chain.from_iterable(combinations(range(10), k) for k in range(11))
        assert min(bag(taken) for taken in everything) == bag.optimum


def test_too_heavy_is_worse_than_nothing():
    bag = Knapsack([5, 6], [3, 4], capacity=6)
    assert [bag([]), bag([0]), bag([1]), bag([0, 1])] == [0, -5, -6, 1]
    keys = torch.tensor([[0.1, 0.2], [0.9, 0.2], [0.2, 0.5], [0.7, 0.8]])
    assert bag.keyed(keys).tolist() == [0, -5, -6, 1]


def test_instances_are_strongly_correlated():
    bag = knapsack(40, 3)
    assert {v - w for v, w in zip(bag.values, bag.weights, strict=True)} == {100}
    assert bag.capacity == sum(bag.weights) // 2
    assert all(1 <= w <= 1000 for w in bag.weights)


def plain(shop, order):
    """Job by job and machine by machine, as one would by hand."""
    length = len(shop.jobs[0])
    step = [0] * len(shop.jobs)
    job_free, machine_free = [0] * len(shop.jobs), {}
    for operation in order:
        job = int(operation) // length
        machine, duration = shop.jobs[job][step[job]]
        end = max(job_free[job], machine_free.get(machine, 0)) + duration
        job_free[job] = machine_free[machine] = end
        step[job] += 1
    return max(job_free)


def test_many_schedules_at_once_are_those_of_one_after_the_other():
    for shop in (ft06, ft10):
        keys = Key(1).uniform(40, len(shop.jobs) * len(shop.jobs[0]), like=torch.zeros(0, dtype=torch.float64))
        orders = keys.argsort(1)
        expected = [plain(shop, order) for order in orders.tolist()]
        assert shop.keyed(keys).tolist() == expected
        assert [shop(order) for order in orders.tolist()] == expected


def test_a_schedule_breaks_no_rule():
    orders = Key(2).permutation(100)[None].numpy()
    starts = ft10.starts(orders)[0]
    table = np.array(ft10.jobs).reshape(-1, 2)
    ends = starts + table[:, 1]
    assert (starts.reshape(10, 10)[:, 1:] >= ends.reshape(10, 10)[:, :-1]).all()
    for machine in range(10):
        mine = np.flatnonzero(table[:, 0] == machine)
        mine = mine[starts[mine].argsort()]
        assert len(mine) == 10
        assert (starts[mine][1:] >= ends[mine][:-1]).all()
    assert sorted(ft10.operations(orders)[0]) == list(range(100))


def test_the_instances_are_those_of_fisher_and_thompson():
    """Sums that the published tables have; bounds that no schedule can be below."""
    for shop, total, bound in ((ft06, 197, 47), (ft10, 5109, 655)):
        table = np.array(shop.jobs)
        assert table[:, :, 1].sum() == total
        assert all(sorted(job) == list(range(len(shop.jobs))) for job in table[:, :, 0].tolist())
        longest_job = table[:, :, 1].sum(1).max()
        busiest = max(table[table[:, :, 0] == k][:, 1].sum() for k in range(len(shop.jobs)))
        assert max(longest_job, busiest) == bound <= shop.optimum


def test_what_is_no_instance_is_refused():
    with pytest.raises(InvalidValue, match="2 values and 1 weights"):
        Knapsack([1, 2], [1], 3)
    with pytest.raises(InvalidValue, match="got 0"):
        Knapsack([1, 0], [1, 1], 3)
    with pytest.raises(InvalidValue, match=r"\[1, 2\]"):
        JobShop([[(0, 1)], [(0, 1), (1, 1)]])
