"""The batches of `along`: memory is used again only where nobody keeps it."""

import torch

from descend.direction import Coordinate, Seeded
from descend.key import Key
from descend.noise import Law
from descend.oracle import Function

SCALES = torch.tensor([[-1.0, 1.0]] * 40, dtype=torch.float64)


def ask(f, directions):
    oracle = Function(f, batched=True, memory=8 * 3 * 7)
    return oracle.along(torch.arange(3, dtype=torch.float64), directions, SCALES, Key(0))


def test_an_objective_may_keep_what_it_is_given_or_views_of_it():
    kept, views = [], []

    def f(points):
        kept.append((points, points.clone()))
        return points.sum(1)

    def g(points):
        views.append((points[1:, 0], points[1:, 0].clone()))
        return points[:, 1]

    for objective in (f, g):
        ask(objective, Seeded(Key(1), Law.NORMAL, 40, 3))
    assert len(kept) == len(views) == 12
    assert all(torch.equal(given, copy) for given, copy in kept + views)


def test_an_objective_may_overwrite_what_it_is_given():
    def f(points):
        return points.square_().sum(1)

    block = Coordinate(torch.arange(40) % 3, 3)
    expected = ask(lambda points: points.square().sum(1), block)
    assert torch.equal(ask(f, block), expected)
