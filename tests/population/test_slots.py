"""Answers find their places."""

import math

import torch

from descend.key import Key
from descend.population.slots import guests, of_slots, slots_of


def test_slots_go_round():
    assert slots_of(7, 5, 4).tolist() == [3, 0, 1, 2, 3]


def test_the_best_answer_to_each_slot_counts_whatever_their_order():
    for seed in range(20):
        size, n = 7, 25
        tickets = Key(seed).integers(-1, 30, n)
        losses = Key(seed).fold("losses").integers(0, 9, n).double()
        losses[Key(seed).fold("failed").integers(0, n, 3)] = math.inf
        slots, rows = of_slots(tickets, losses, size)
        wanted = {}
        for row in range(n):
            if tickets[row] >= 0:
                slot = int(tickets[row]) % size
                if slot not in wanted or losses[row] < losses[wanted[slot]]:
                    wanted[slot] = row
        assert dict(zip(slots.tolist(), rows.tolist(), strict=True)) == wanted
        assert slots.tolist() == sorted(wanted)


def test_guests_take_the_places_of_the_worst_they_are_better_than():
    standing = torch.tensor([3.0, math.inf, 1.0, 8.0])
    tickets, losses = torch.tensor([-1, 5, -1, -1]), torch.tensor([9.0, 0.0, 2.0, math.inf])
    slots, rows = guests(tickets, losses, standing)
    assert slots.tolist() == [1]
    assert rows.tolist() == [2]
    slots, rows = guests(torch.full((6,), -1), torch.arange(6.0), standing)
    assert slots.tolist() == [1, 3, 0]
    assert rows.tolist() == [0, 1, 2]
